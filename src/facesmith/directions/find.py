"""The verb: a model and labelled faces -> directions beside the model, and a sheet of what they do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console

from facesmith.attributes import DatasetLabels, learnable_labels
from facesmith.attributes.dataset_labels import unknown_column_message
from facesmith.attributes.train_classifier import classifier_training_rows
from facesmith.directions.means import difference_of_means
from facesmith.directions.options import Asked, Found
from facesmith.directions.sheet import directions_sheet
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


def learn(asked: Asked, console: Console) -> Iterator[str]:
    """Make a model's directions.

    Yields:
        a line for each direction, then the paths of the file and of its sheet.

    Raises:
        BadOption: there is no such method or attribute, or the method needs data.
        BadModel: the method needs an encoder, and the model has none.
        BadData: the faces carry no labels that can be learnt.
    """
    if asked.method not in METHODS:
        raise BadOption(f"--method {asked.method!r} is not one of {', '.join(METHODS)}.")
    model = load(asked.model)
    file = sidecar_path(model.path, "directions")
    file = file if asked.out is None else asked.out / file.name
    sheet = file.with_suffix(".png")
    for path in (file, sheet):
        refuse_to_overwrite(path, asked.force)
    found = _unlabelled(model, asked) if asked.method in ("pca", "sefa") else _labelled(model, asked, console)
    names = list(found.directions)
    header = {**found.header, "names": names, "method": asked.method, "attributes": found.told}
    save_sidecar(file, "directions", found.directions, header, model.hash)
    arrays = {name: direction.numpy() for name, direction in found.directions.items()}
    picture = directions_sheet(model.G, arrays, SHEET_SEEDS, found.notes)
    write_png(sheet, picture, model.provenance({"Directions": ", ".join(names)}))
    yield from (f"{name}: {found.notes[name]}" for name in names)
    yield str(file)
    yield str(sheet)


def _unlabelled(model: Model, asked: Asked) -> Found:
    if asked.attributes is not None or asked.keep is not None:
        raise BadOption(f"--method {asked.method} knows no attributes; leave out --attributes and --keep.")
    with torch.inference_mode():
        w = latents(model.G, range(FACES))
        steps = (pca if asked.method == "pca" else sefa)(model.G, w, COUNT)
    names = [f"{asked.method}_{i + 1}" for i in range(len(steps))]
    lengths = {name: {"length": float(step.norm())} for name, step in zip(names, steps, strict=True)}
    notes = {name: f"length {told['length']:.2f}" for name, told in lengths.items()}
    return Found(dict(zip(names, steps, strict=True)), lengths, notes, {})


def _labelled(model: Model, asked: Asked, console: Console) -> Found:
    if asked.data is None:
        raise BadOption(f"--method {asked.method} needs --data, labelled faces. Without labels: --method pca or sefa.")
    if asked.method == "means" and model.E is None:
        raise BadModel(
            f"Recipe {model.recipe.name} has no encoder, which --method means needs. Try --method supervised."
        )
    if asked.method == "means" and asked.keep is not None:
        raise BadOption("--method means takes plain differences, which keep nothing; leave out --keep.")
    faces = open_faces(asked.data, model.G.resolution, model.G.channels, console=console)
    for notice in faces.notices:
        console.print(f"notice: {notice}")
    labels = learnable_labels(faces)
    for name, reason in labels.skipped.items():
        console.print(f"notice: {name} can't be learnt: {reason}")
    for name in map(direction_name, [*(asked.attributes or ()), *(asked.keep or ())]):
        if name not in labels.names:
            raise BadOption(unknown_column_message(name, dict.fromkeys(labels.names), faces.path))
    found = (
        _of_means(model, faces, labels, asked)
        if asked.method == "means"
        else supervised(model.G, faces, labels, asked, console)
    )
    return Found(found.directions, found.told, found.notes, {**found.header, "data": faces.fingerprint})


def _of_means(model: Model, faces: Faces, labels: DatasetLabels, asked: Asked) -> Found:
    rows = classifier_training_rows(faces)
    w = torch.from_numpy(model.invert(np.asarray(faces.pixels[rows]), refined=False))
    steps = difference_of_means(w, labels.targets[rows])
    wanted = list(map(direction_name, asked.attributes)) if asked.attributes is not None else labels.names
    directions = {
        name: step for name, step in zip(labels.names, steps, strict=True) if name in wanted and step.isfinite().all()
    }
    told = {name: {"length": float(step.norm())} for name, step in directions.items()}
    return Found(directions, told, {name: f"length {each['length']:.2f}" for name, each in told.items()}, {})
