"""The verb: a model and labelled faces -> directions beside the model, and a sheet of what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facesmith.attributes import Classifier, Known, Labels, Trained, direction_name, labels_of, learned, tell
from facesmith.attributes.labels import unknown
from facesmith.attributes.learning import Effort, teaching_rows
from facesmith.calibrate import has_bfloat16
from facesmith.contracts import Generator
from facesmith.directions.linear import Coordinates, explained, orthogonal, slopes
from facesmith.directions.means import difference_of_means
from facesmith.directions.refining import CLEAR, refined, stay_weights
from facesmith.directions.sheet import directions_sheet
from facesmith.directions.strength import LEAST, Reach, reach
from facesmith.directions.unsupervised import pca, sefa
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.faces import Faces, open_faces
from facesmith.files import refuse_to_overwrite
from facesmith.images import write_png
from facesmith.latent import latents
from facesmith.progress import bar
from facesmith.sample import Model, load
from facesmith.sidecar import save_sidecar, sidecar_path
from facesmith.synthesis import synthesize

METHODS = ("learned", "means", "pca", "sefa")
# What a face keeps while another attribute is edited: sex, age, hair, glasses; of these, the columns that there are.
KEEP = ("male", "young", "black_hair", "blond_hair", "brown_hair", "gray_hair", "grey_hair", "red_hair", "eyeglasses")
FACES = 2_000  # generated ones that are labelled, seeds 0 to N-1
JUDGES = 200  # generated ones that a direction's length is measured by
MOST = 16  # directions that are learnt unless more are asked for
FIRST_SHORTEST, FIRST_LONGEST = 0.5, 3.0  # deviations of latents, from which refining begins
COUNT = 10  # directions of unlabelled models
BELIEVABLE = 0.75  # balanced accuracy on softened faces below which an attribute is not taken unasked
SHEET_SEEDS = (3, 5, 8)
DRAWN_AT_ONCE = 64


@dataclass(frozen=True)
class Asked:
    """What is wanted.

    Attributes:
        data: labelled faces; those without labels only for PCA and SeFa, which look at none.
        out: a folder for directions.safetensors and directions.png; None is beside the model.
        attributes: only these, whatever the classifier makes of them; None takes those it can tell.
        keep: what is to stay; None is `KEEP`.
        steps: of refining; 0 leaves the linear fit as it is.
        effort: of the classifier.
    """

    model: Path
    data: Path | None
    out: Path | None = None
    method: str = "learned"
    attributes: Sequence[str] | None = None
    keep: Sequence[str] | None = None
    steps: int = 600
    effort: Effort = field(default_factory=Effort)
    force: bool = False


@dataclass(frozen=True)
class Found:
    """Directions `[w_dim]` by name, and what is said of each: plain values for the header, words for people."""

    directions: Mapping[str, Tensor]
    told: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str]
    header: Mapping[str, Any]


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
        raise BadModel(f"Recipe {model.recipe.name} has no encoder, which --method means needs. Try --method learned.")
    faces = open_faces(asked.data, model.G.resolution, model.G.channels, console=console)
    for notice in faces.notices:
        console.print(f"notice: {notice}")
    labels = labels_of(faces)
    for name, reason in labels.left_out.items():
        console.print(f"notice: {name} can't be learnt: {reason}")
    for name in map(direction_name, [*(asked.attributes or ()), *(asked.keep or ())]):
        if name not in labels.names:
            raise BadOption(unknown(name, dict.fromkeys(labels.names), faces.path))
    found = (
        _of_means(model, faces, labels, asked)
        if asked.method == "means"
        else _learned(model, faces, labels, asked, console)
    )
    return Found(found.directions, found.told, found.notes, {**found.header, "data": faces.fingerprint})


def _of_means(model: Model, faces: Faces, labels: Labels, asked: Asked) -> Found:
    rows = teaching_rows(faces)
    w = torch.from_numpy(model.invert(np.asarray(faces.pixels[rows])))
    steps = difference_of_means(w, labels.targets[rows])
    wanted = list(map(direction_name, asked.attributes)) if asked.attributes is not None else labels.names
    directions = {
        name: step for name, step in zip(labels.names, steps, strict=True) if name in wanted and step.isfinite().all()
    }
    told = {name: {"length": float(step.norm())} for name, step in directions.items()}
    return Found(directions, told, {name: f"length {each['length']:.2f}" for name, each in told.items()}, {})


def _learned(model: Model, faces: Faces, labels: Labels, asked: Asked, console: Console) -> Found:
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    trained = learned(faces, labels, console, precision=precision, effort=asked.effort)
    for name, known in trained.known.items():
        console.print(f"  {name:<22} {words_of(known)}")
    G, classifier = model.G, trained.classifier
    w, logits = _labelled_faces(G, classifier, console)
    chosen = _chosen(trained, logits, asked)
    keep = [
        name for name in (map(direction_name, asked.keep) if asked.keep is not None else KEEP) if name in trained.names
    ]
    index = {name: i for i, name in enumerate(trained.names)}
    coordinates = Coordinates.of(w)
    u, fit = coordinates.to(w), slice(0, len(w) * 4 // 5)
    steepest = slopes(u[fit], logits[fit])
    linear = explained(u[fit.stop :], logits[fit.stop :], steepest)
    units = orthogonal({name: steepest[i] for name, i in index.items()}, chosen, keep)
    start = torch.stack(
        [units[name] * _first_length(logits[:, index[name]], steepest[index[name]], units[name]) for name in chosen]
    )
    numbers = [index[name] for name in chosen]
    stay = stay_weights(numbers, [index[name] for name in keep], logits)
    steps = refined(
        G, classifier, w[fit], start, coordinates, numbers, stay, console, steps=asked.steps, precision=precision
    )
    directions, told, notes = {}, {}, {}
    fresh = latents(G, range(FACES, FACES + JUDGES))
    fresh_logits = tell(classifier, synthesize(G, fresh))
    rows = list(zip(chosen, coordinates.back(steps), steps.norm(dim=1).tolist(), strict=True))
    for name, step, deviations in bar(rows, len(rows), "measuring lengths", console):
        reached = reach(G, classifier, fresh, fresh_logits, step, deviations, index[name])
        if reached.reached < LEAST and asked.attributes is None:
            console.print(f"notice: {name} left out: at full length it comes into {reached.reached:.0%} of faces only")
            continue
        directions[name] = reached.share * step
        told[name] = _told(
            trained.known[name],
            reached,
            directions[name],
            linear[index[name]],
            (logits[:, index[name]] > 0).float().mean(),
        )
        notes[name] = f"classifier {trained.known[name].balanced:.0%}, comes into {reached.reached:.0%}"
    if not directions:
        raise BadData("No direction works: this model's faces show none of the attributes. Train it longer.")
    return Found(directions, told, notes, {"keep": keep, "teaching": len(teaching_rows(faces))})


def words_of(known: Known) -> str:
    """How well a classifier knows an attribute."""
    return (
        f"right on {known.accuracy:.1%} of faces held out (always the more frequent answer: {known.majority:.1%}); "
        f"balanced {known.balanced:.1%}, softened {known.balanced_soft:.1%}"
    )


def _labelled_faces(G: Generator, classifier: Classifier, console: Console) -> tuple[Tensor, Tensor]:
    """Latents `[N, w_dim]` of generated faces, and their logits `[N, A]`."""
    with torch.inference_mode():
        w = latents(G, range(FACES))
        parts = torch.split(w, DRAWN_AT_ONCE)
        shown = bar(parts, len(parts), f"labelling {FACES} generated faces", console)
        logits = torch.cat([tell(classifier, synthesize(G, part)) for part in shown])
    return w.clone(), logits.clone()


def _chosen(trained: Trained, logits: Tensor, asked: Asked) -> list[str]:
    """Names of the attributes to find directions of: those asked for, or the ones that the classifier knows best."""
    if asked.attributes is not None:
        return list(dict.fromkeys(map(direction_name, asked.attributes)))
    varies = {name: float(logits[:, i].std()) > 0 for i, name in enumerate(trained.names)}
    sure = [name for name in trained.names if trained.known[name].balanced_soft >= BELIEVABLE and varies[name]]
    best = sorted(sure, key=lambda name: -trained.known[name].balanced_soft)[:MOST]
    if not best:
        raise BadData("The classifier can tell no attribute from softened faces; more labelled faces help.")
    return [name for name in trained.names if name in best]


def _first_length(logits: Tensor, steepest: Tensor, unit: Tensor) -> float:
    """How far to go at first, for faces that lack the attribute to have it clearly: by the slope, within reason."""
    slope, lacking = float(steepest @ unit), logits[logits < 0]
    missing = CLEAR - float(lacking.mean() if len(lacking) else logits.min())
    return min(FIRST_LONGEST, max(FIRST_SHORTEST, missing / max(slope, 1e-6)))


def _told(known: Known, reached: Reach, direction: Tensor, linear: Tensor, share: Tensor) -> dict[str, Any]:
    """What the header keeps of a direction."""
    return {
        "classifier": asdict(known),
        "calibration": asdict(reached),
        "length": float(direction.norm()),
        "linear": float(linear),  # share of the logit's variance that a linear fit explains
        "generated_share": float(share),
    }
