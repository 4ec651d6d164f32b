"""The verb: a model and labelled faces -> directions beside the model, and a sheet of what they do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console

from facesmith.attributes import DatasetLabels, learnable_labels
from facesmith.attributes.dataset_labels import unknown_column_message
from facesmith.attributes.train_classifier import classifier_training_rows
from facesmith.directions.direction_options import DirectionOptions, Found
from facesmith.directions.direction_sheet import directions_sheet
from facesmith.directions.means import difference_of_means
from facesmith.directions.supervised import supervised
from facesmith.directions.unsupervised import pca, sefa
from facesmith.errors import BadModel, BadOption
from facesmith.faces import Faces, open_faces
from facesmith.io.attribute_options import direction_name
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import write_png
from facesmith.latent import latents
from facesmith.model import Model, load
from facesmith.modelfiles.sidecar import save_sidecar, sidecar_path

METHODS = ("supervised", "means", "pca", "sefa")
FACES = 2_000  # whose latents say how far PCA and SeFa go
COUNT = 10  # directions of unlabelled models
SHEET_SEEDS = (3, 5, 8)


def find_directions(options: DirectionOptions, console: Console) -> Iterator[str]:
    """Make a model's directions.

    Yields:
        a line for each direction, then the paths of the file and of its sheet.

    Raises:
        BadOption: there is no such method or attribute, or the method needs data.
        BadModel: the method needs an encoder, and the model has none.
        BadData: the faces carry no labels that can be learnt.
    """
    if options.method not in METHODS:
        raise BadOption(f"--method {options.method!r} is not one of {', '.join(METHODS)}.")
    model = load(options.model)
    file = sidecar_path(model.path, "directions")
    file = file if options.out is None else options.out / file.name
    sheet = file.with_suffix(".png")
    for path in (file, sheet):
        refuse_to_overwrite(path, options.force)
    found = _unlabelled(model, options) if options.method in ("pca", "sefa") else _labelled(model, options, console)
    names = list(found.directions)
    header = {**found.header, "names": names, "method": options.method, "attributes": found.told}
    save_sidecar(file, "directions", found.directions, header, model.hash)
    arrays = {name: direction.numpy() for name, direction in found.directions.items()}
    picture = directions_sheet(model.G, arrays, SHEET_SEEDS, found.notes)
    write_png(sheet, picture, model.provenance({"Directions": ", ".join(names)}))
    yield from (f"{name}: {found.notes[name]}" for name in names)
    yield str(file)
    yield str(sheet)


def _unlabelled(model: Model, options: DirectionOptions) -> Found:
    if options.attributes is not None or options.keep is not None:
        raise BadOption(f"--method {options.method} knows no attributes; leave out --attributes and --keep.")
    with torch.inference_mode():
        w = latents(model.G, range(FACES))
        steps = (pca if options.method == "pca" else sefa)(model.G, w, COUNT)
    names = [f"{options.method}_{i + 1}" for i in range(len(steps))]
    lengths = {name: {"length": float(step.norm())} for name, step in zip(names, steps, strict=True)}
    notes = {name: f"length {told['length']:.2f}" for name, told in lengths.items()}
    return Found(dict(zip(names, steps, strict=True)), lengths, notes, {})


def _labelled(model: Model, options: DirectionOptions, console: Console) -> Found:
    if options.data is None:
        raise BadOption(
            f"--method {options.method} needs --data, labelled faces. Without labels: --method pca or sefa."
        )
    if options.method == "means" and model.E is None:
        raise BadModel(
            f"Recipe {model.recipe.name} has no encoder, which --method means needs. Try --method supervised."
        )
    if options.method == "means" and options.keep is not None:
        raise BadOption("--method means takes plain differences, which keep nothing; leave out --keep.")
    faces = open_faces(options.data, model.G.resolution, model.G.channels, console=console)
    for notice in faces.notices:
        console.print(f"notice: {notice}")
    labels = learnable_labels(faces)
    for name, reason in labels.skipped.items():
        console.print(f"notice: {name} can't be learnt: {reason}")
    for name in map(direction_name, [*(options.attributes or ()), *(options.keep or ())]):
        if name not in labels.names:
            raise BadOption(unknown_column_message(name, dict.fromkeys(labels.names), faces.path))
    found = (
        _of_means(model, faces, labels, options)
        if options.method == "means"
        else supervised(model.G, faces, labels, options, console)
    )
    return Found(found.directions, found.told, found.notes, {**found.header, "data": faces.fingerprint})


def _of_means(model: Model, faces: Faces, labels: DatasetLabels, options: DirectionOptions) -> Found:
    rows = classifier_training_rows(faces)
    w = torch.from_numpy(model.invert(np.asarray(faces.pixels[rows]), optimize=False))
    steps = difference_of_means(w, labels.targets[rows])
    wanted = list(map(direction_name, options.attributes)) if options.attributes is not None else labels.names
    directions = {
        name: step for name, step in zip(labels.names, steps, strict=True) if name in wanted and step.isfinite().all()
    }
    told = {name: {"length": float(step.norm())} for name, step in directions.items()}
    return Found(directions, told, {name: f"length {each['length']:.2f}" for name, each in told.items()}, {})
