"""The verb `directions`: find a model's attribute directions, write them next to the model, and show what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.attributes import DatasetLabels, learnable_labels
from facesmith.attributes.dataset_labels import expand_classes, unknown_column_message
from facesmith.attributes.train_classifier import classifier_training_rows
from facesmith.directions import unsupervised
from facesmith.directions.direction_options import DirectionOptions, FoundDirections
from facesmith.directions.skin_tone import allowed_change, described_change, skin_change, skin_samples
from facesmith.directions.supervised import supervised_directions
from facesmith.directions.unsupervised import unsupervised_directions
from facesmith.errors import BadModel, BadOption
from facesmith.faces import Faces, open_faces
from facesmith.gan.contracts import Generator
from facesmith.io.attribute_options import direction_name
from facesmith.io.outputs import Outputs
from facesmith.latent import latents
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model, load
from facesmith.modelfiles.classifier_file import KIND, save_classifier
from facesmith.modelfiles.locate import refuse_to_write_beside_bundled
from facesmith.modelfiles.sidecar import save_sidecar, sidecar_path
from facesmith.pictures.captions import with_caption, with_heading
from facesmith.pictures.images import Pixels, enlarge, grid, write_picture
from facesmith.watermark.marking import Marking

WITHOUT_CLASSIFIER = ("means", *unsupervised.METHODS)
METHODS = ("supervised", *WITHOUT_CLASSIFIER)
SHEET_SEEDS = (3, 5, 8)
SHEET_STRENGTHS = (-1, 0, 1)
SKIN_SEEDS = range(3_000, 3_200)  # that no direction was fitted to
FACE_PX = 64  # up to which faces are enlarged on the sheet
GAP_PX = 6


def find_directions(options: DirectionOptions, console: Console) -> Iterator[str]:
    """Find a model's directions and write them with a contact sheet.

    Yields:
        a line per direction, then the paths of the file and of its sheet.

    Raises:
        BadOption: the method or an attribute is unknown, or the method needs labeled faces; or the model is the
            bundled generator and `options.out` is None.
        BadModel: the method needs an encoder, and the model has none.
        BadData: the faces have no usable labels.
        OutputExists: the file or its sheet exists, and `options.force` is not set.
    """
    if options.method not in METHODS:
        raise BadOption(f"--method {options.method!r} is not one of {', '.join(METHODS)}.")
    model = load(options.model)
    if options.out is None:
        refuse_to_write_beside_bundled(
            model.path,
            "Add --out FOLDER, and use the result with facesmith edit --directions FOLDER/directions.safetensors.",
        )
    file = sidecar_path(model.path, "directions")
    file = file if options.out is None else options.out / file.name
    sheet = file.with_suffix(".png")
    classifier_file = file.with_name(sidecar_path(model.path, KIND).name)
    paths = [file, sheet, *([] if options.method in WITHOUT_CLASSIFIER else [classifier_file])]
    outputs = Outputs(paths, replace(options, force=False, marking=replace(options.marking, sign=None)))
    outputs.refuse_to_overwrite(options.force)
    needs_labels = options.method not in unsupervised.METHODS
    result = _find_labeled(model, options, console) if needs_labels else _find_unsupervised(model, options)
    skin_notes = _measure_skin(model.G, result, console)
    names = list(result.directions)
    header = {**result.header, "names": names, "method": options.method, "attributes": result.measurements}
    arrays = {name: direction.numpy() for name, direction in result.directions.items()}
    picture = directions_sheet(model.G, arrays, SHEET_SEEDS, result.notes, options.marking)
    with outputs.writing():
        save_sidecar(file, "directions", result.directions, header, model.hash)
        if result.classifier is not None:
            save_classifier(classifier_file, result.classifier, model.hash)
        write_picture(
            sheet,
            picture,
            model.provenance({"Directions": ", ".join(names), **options.marking.metadata(model.resolution)}),
            options.marking.sign,
        )
    for name in names:
        yield f"{name}: {', '.join(filter(None, (result.notes[name], skin_notes.get(name))))}"
    yield str(file)
    yield str(sheet)


def _measure_skin(G: Generator, result: FoundDirections, console: Console) -> dict[str, str]:
    """Add to the measurements of directions how they change the color of the skin, on fresh faces.

    Returns:
        the change in words, by name; empty texts where people would not notice it.
    """
    with torch.inference_mode():
        w = latents(G, SKIN_SEEDS)
        samples = skin_samples(w, synthesize(G, w))
    if samples is None:  # it draws no faces
        return {}
    notes = {}
    for name, direction in result.directions.items():
        change, real = skin_change(G, samples, direction), result.real_skin.get(name)
        result.measurements[name]["skin"] = {
            "change": change.round(2).tolist(),
            "real": None if real is None else real.round(2).tolist(),
        }
        notes[name] = described_change(change, real)
        if result.real_skin and np.linalg.norm(change) > allowed_change(real):
            console.print(
                f"notice: {name} changes the skin color by {np.linalg.norm(change):.1f} (CIE Lab); real faces with and "
                f"without the attribute differ by {np.linalg.norm(real) if real is not None else 0:.1f}"
            )
    return notes


def directions_sheet(
    G: Generator,
    directions: Mapping[str, NDArray[np.float32]],
    seeds: Sequence[int],
    notes: Mapping[str, str],
    marking: Marking,
) -> Pixels:
    """Return a contact sheet `[H, W, 3]`: a row per direction, with each face at strengths -1, 0 and 1.

    Args:
        notes: a short text below a direction's name.
        marking: of the faces.
    """
    with torch.inference_mode():
        w = latents(G, seeds)
        rows = []
        for name, direction in directions.items():
            edited = torch.stack([w + strength * torch.from_numpy(direction) for strength in SHEET_STRENGTHS], dim=1)
            faces = marking.marked(synthesize(G, edited.flatten(0, 1)))
            faces = enlarge(faces, max(1, FACE_PX // G.resolution))
            captions = [f"{strength:+d}" if strength else "0" for strength in SHEET_STRENGTHS] * len(w)
            cells = np.stack([with_caption(face, caption) for face, caption in zip(faces, captions, strict=True)])
            rows.append(with_heading(grid(cells, len(cells), GAP_PX), name, notes.get(name, "")))
    return grid(np.stack(rows), 1, GAP_PX)


def _find_unsupervised(model: Model, options: DirectionOptions) -> FoundDirections:
    if options.attributes is not None or options.keep is not None:
        raise BadOption(f"--method {options.method} uses no attributes; leave out --attributes and --keep.")
    return _with_lengths(unsupervised_directions(model.G, options.method))


def _find_labeled(model: Model, options: DirectionOptions, console: Console) -> FoundDirections:
    if options.data is None:
        raise BadOption(
            f"--method {options.method} needs labeled faces: give --data. Without labels, use --method pca or sefa."
        )
    if options.method == "means" and model.E is None:
        raise BadModel(
            f"--method means needs a recipe with an encoder, and {model.recipe.name} has none. Use --method supervised."
        )
    if options.method == "means" and options.keep is not None:
        raise BadOption("--method means can't keep attributes unchanged; leave out --keep.")
    faces = open_faces(options.data, model.G.resolution, model.G.channels, console=console)
    for notice in faces.notices:
        console.print(f"notice: {notice}")
    if options.attributes is not None:
        learnable_labels(faces, options.attributes)  # refuses attributes that can't be learned
    labels = learnable_labels(faces)
    if options.attributes is None:
        for name, reason in labels.skipped.items():
            console.print(f"notice: {name} can't be learned: {reason}")
    for name, threshold in labels.ranked.items():
        console.print(f"notice: {name} is a number; from {threshold:g} on it counts as yes, for half of the faces")
    options = replace(
        options,
        attributes=_requested_names(options.attributes, labels, faces),
        keep=_requested_names(options.keep, labels, faces),
    )
    result = (
        _find_by_means(model, faces, labels, options)
        if options.method == "means"
        else supervised_directions(model.G, faces, labels, options, console)
    )
    header = {**result.header, "data": faces.fingerprint}
    return replace(result, header=header)


def _requested_names(requested: Sequence[str] | None, labels: DatasetLabels, faces: Faces) -> list[str] | None:
    """The names of requested attributes as directions have them; a column of classes stands for all its classes.

    Raises:
        BadOption: an attribute doesn't exist, or can't be learned.
    """
    if requested is None:
        return None
    expanded = expand_classes(requested, faces.attributes)
    for name in expanded:
        if direction_name(name) not in labels.names:
            raise BadOption(unknown_column_message(name, faces, labels.names))
    return list(dict.fromkeys(map(direction_name, expanded)))


def _find_by_means(model: Model, faces: Faces, labels: DatasetLabels, options: DirectionOptions) -> FoundDirections:
    rows = classifier_training_rows(faces)
    w = torch.from_numpy(model.invert(np.asarray(faces.pixels[rows]), optimize=False))
    steps = difference_of_means(w, labels.targets[rows])
    names = labels.names if options.attributes is None else options.attributes
    return _with_lengths({
        name: step for name, step in zip(labels.names, steps, strict=True) if name in names and step.isfinite().all()
    })  # fmt: skip


def difference_of_means(w: Tensor, targets: NDArray[np.float32]) -> Tensor:
    """Return the mean latent of faces with each attribute minus that of faces without it, `[A, w_dim]`.

    Args:
        w: latents `[N, w_dim]` of encoded faces.
        targets: `[N, A]`, above 0.5 if a face has the attribute; NaN if unknown.

    Source: Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300,
    section 4.2; White 2016, arXiv:1609.04468, section 3.3.
    """
    present = torch.from_numpy(targets > 0.5)
    absent = torch.from_numpy(targets <= 0.5)
    return torch.stack([w[present[:, i]].mean(0) - w[absent[:, i]].mean(0) for i in range(present.shape[1])])


def _with_lengths(directions: dict[str, Tensor]) -> FoundDirections:
    """Return directions of which only their lengths are known."""
    lengths = {name: float(direction.norm()) for name, direction in directions.items()}
    measurements = {name: {"length": length} for name, length in lengths.items()}
    notes = {name: f"length {length:.2f}" for name, length in lengths.items()}
    return FoundDirections(directions, measurements, notes, {})
