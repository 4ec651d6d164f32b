"""Photos to faces to a generator, as plain functions for programs and notebooks.

Each function does what the command of the same name does, with the same options and defaults.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from facesmith.errors import BadData
from facesmith.evaluation.evaluate import EvaluateOptions
from facesmith.evaluation.evaluate import evaluate as evaluate_models
from facesmith.explore.detect_marks import detect_watermark
from facesmith.gan.recipe import parse_condition
from facesmith.io.argument_types import checked_arguments
from facesmith.io.files import user_path
from facesmith.io.given_arrays import as_array
from facesmith.io.messages import SafeConsole
from facesmith.modelfiles.evaluation_file import EVALUATION
from facesmith.photos.extract import extract as extract_faces
from facesmith.photos.extraction_report import ExtractReport
from facesmith.pictures.images import Pixels
from facesmith.training.choose_recipe import recipe_name
from facesmith.training.plan import TrainOptions
from facesmith.training.train import TrainReport
from facesmith.training.train import train as train_generator
from facesmith.watermark.find_mark import Found
from facesmith.watermark.key import PUBLIC_KEY

NOTEBOOK_WIDTH = 100


@dataclass(frozen=True)
class EvaluationReport:
    """The result of an evaluation. `print(report)` shows it as the command line does.

    Attributes:
        out: the folder with `report.json` and `report.html`.
        text: the table and the answers.
        models: for each model its metrics, each with `value`, `low`, `high` (95 % interval) and `real`, the value that
            as many real faces reach, if there are as many: `report.models[0]["fd5k_lite0"]["value"]`.
        data: everything in `report.json`.
    """

    out: Path
    text: str
    models: Sequence[Mapping[str, Mapping[str, float]]]
    data: Mapping[str, Any]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"EvaluationReport({str(self.out)!r}, {len(self.models)} models)"


@checked_arguments
def detect(pixels: Pixels, *, key: str = PUBLIC_KEY) -> Found:
    """Look for the invisible watermark of generated faces in a picture.

    It is looked for in the whole picture, at the places of a sheet, and around each face. A picture without one takes a
    few seconds.

    Args:
        pixels: uint8 `[H, W, C]` with C = 3, or 1 for gray.
        key: of the watermark.

    Returns:
        `significant` says whether there is a watermark; `p_value` is an upper bound of the probability that a picture
        without one looks like this by chance. `score` and `place` say how clear it is, and where.

    Raises:
        BadData: the array has another shape or type.

    Example:
        >>> facesmith.detect(np.asarray(PIL.Image.open("face.png").convert("RGB"))).significant
        True
    """
    pixels = as_array(pixels, "The picture")
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or pixels.shape[-1] not in (1, 3) or not pixels.size:
        raise BadData(f"The picture is {pixels.dtype} {list(pixels.shape)}; expected uint8 [H, W, 3] or [H, W, 1].")
    return detect_watermark(pixels, key)


@checked_arguments
def extract(
    photos: str | Path,
    out: str | Path,
    *,
    size: int | None = None,
    frame: float = 2.45,
    crop: int | None = None,
    faces: Literal["largest", "all"] = "largest",
    min_face: int | None = None,
    threshold: float = 0.85,
    max_fill: float = 0.2,
    every: int = 25,
    workers: int | None = None,
    pictures: bool = True,
    shards: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    force: bool = False,
    quiet: bool = False,
) -> ExtractReport:
    """Find, align and crop every face of a collection of photos. An interrupted extraction continues.

    Args:
        photos: a folder (searched recursively), an archive, a Parquet file, one picture, or a video.
        out: the folder for faces, tables and report.
        size: side of the faces in pixels, 16 to 256; by default 128, or `crop` if that is smaller.
        frame: side of the faces in eye distances.
        crop: do not search for faces; take the middle `crop` x `crop` pixels of each photo.
        faces: `"largest"` takes the main face of each photo, `"all"` takes all.
        min_face: smallest face, in pixels of the photo; by default half of `size`, at least 40.
        threshold: lowest probability of a detected face, 0 to 1.
        max_fill: largest share of a crop that may lie beyond the photo, 0 to 1.
        every: use every n-th frame of a video.
        workers: threads, or processes with `shards`; by default one for each CPU core.
        pictures: show photos in the report.
        shards: write tar files of faces, each from this many photos.
        engine: who extracts shards: `"local"`, processes of this machine; or `"ray"`.
        address: of a Ray cluster, `"auto"` or `"HOST:PORT"`; by default, Ray starts on this machine.
        force: replace an earlier extraction.
        quiet: print nothing.

    Raises:
        FacesmithError: the photos, the options or the folder cannot be used.
    """
    return extract_faces(
        user_path(photos), user_path(out), size=size, frame=frame, crop=crop, faces=faces, min_face=min_face,
        threshold=threshold, max_fill=max_fill, every=every, workers=workers, pictures=pictures, shards=shards,
        engine=engine, address=address, force=force, console=_console(quiet),
    )  # fmt: skip


@checked_arguments
def train(
    data: str | Path,
    out: str | Path,
    recipe: str | None = None,
    *,
    from_: str | Path | None = None,
    from_scratch: bool = False,
    minutes: float | None = None,
    kimg: float | None = None,
    epochs: float | None = None,
    set: Mapping[str, Any] | None = None,
    condition: Sequence[str] | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    limit: int | None = None,
    mirror: bool = True,
    average: bool = True,
    hold_out: bool = True,
    as_in_text: bool = False,
    snapshots: int = 0,
    keep_epochs: int | None = None,
    images_every: int | None = None,
    save_every: float | None = None,
    validate_every: float | None = None,
    on_trouble: str = "warn",
    extend: bool = False,
    force: bool = False,
    threads: int | None = None,
    quiet: bool = False,
) -> TrainReport:
    """Train a generator on a folder or zip of faces. The same call resumes an interrupted run.

    Interrupt it with Ctrl-C, or with the stop button of a notebook: it saves and returns a report whose `finished` is
    False.

    Args:
        data: the faces.
        out: the run folder.
        recipe: a recipe's name; by default that of the run in `out` or of the model in `from_`, else `quick`.
        from_: initial weights: a run folder, a `model.safetensors`, or `"bundled"`. (`from` is a Python keyword.)
        from_scratch: don't start from the bundled generator, as a run on few faces does without recipe and `from_`.
        minutes: budget in minutes; 30 if no budget is given.
        kimg: budget in thousands of real images shown.
        epochs: budget in epochs: passes over the training faces. `gray-dcgan64` and `elu36` count as their tutorials
            do.
        set: hyperparameters of the recipe, such as `{"lr": 1e-4}`.
        condition: attributes to learn, as columns of the label table: `["smiling", "male"]`.
        batch: batch size; the same as `set={"batch_size": batch}`.
        seed: another seed gives another training.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        precision: `"auto"` (measured), `"float32"` or `"bfloat16"`.
        limit: use only this many faces.
        mirror: mirror each face with probability 1/2.
        average: save and sample moving averages of the weights instead of current weights.
        hold_out: keep a fifth of the faces out of training, for validation and test.
        as_in_text: train as the tutorial of the recipe does, except for a few differences that the documentation lists.
        snapshots: keep the models of this many last checkpoints.
        keep_epochs: keep model and networks of the epochs 1, N + 1, 2 N + 1, ...
        images_every: steps between two writings of images to TensorBoard; by default at checkpoints only.
        save_every: kimg between two checkpoints.
        validate_every: kimg between two small evaluations; keeps the best model as `best.safetensors`.
        on_trouble: `"warn"`, `"rollback"` (to the last healthy checkpoint) or `"stop"`.
        extend: continue a run to a larger budget.
        force: delete the run in `out` and start over.
        threads: CPU threads.
        quiet: print nothing.

    Raises:
        FacesmithError: the data, the options or the run folder cannot be used, or the training diverged.
    """
    start, folder = None if from_ is None else user_path(from_), user_path(out)
    hyperparameters = dict(set or {})
    if batch is not None:
        hyperparameters["batch_size"] = batch
    if condition is not None:
        name = recipe_name(recipe, start, folder, force=force)
        hyperparameters["condition"] = parse_condition(name, ",".join(condition))
    options = TrainOptions(
        recipe=recipe,
        data=user_path(data),
        out=folder,
        hyperparameters=hyperparameters,
        minutes=minutes,
        kimg=kimg,
        epochs=epochs,
        seed=seed,
        device=device,
        precision=precision,
        limit=limit,
        mirror=mirror,
        average=average,
        hold_out=hold_out,
        as_in_text=as_in_text,
        keep_epochs=keep_epochs,
        snapshots=snapshots,
        images_every=images_every,
        save_every_kimg=save_every,
        validate_every_kimg=validate_every,
        on_trouble=on_trouble,
        finetune_from=start,
        from_scratch=from_scratch,
        extend=extend,
        force=force,
        threads=threads,
    )
    return train_generator(options, _console(quiet))


@checked_arguments
def evaluate(
    model: str | Path | Sequence[str | Path] | None,
    data: str | Path,
    *,
    out: str | Path = "evaluation",
    samples: int = 5000,
    psi: float = 1.0,
    features: str = "lite0",
    weights: str | Path | None = None,
    download: bool = False,
    limit: int | None = None,
    attributes: bool = False,
    identity: bool = True,
    pictures: bool = True,
    force: bool = False,
    quiet: bool = False,
) -> EvaluationReport:
    """Compare one or more generators with held-out real faces: quality, variety, and copies of training photos.

    Args:
        model: a run folder, a `model.safetensors`, a list of these, or None for the bundled generator.
        data: the faces that the model was trained on.
        out: the folder for `report.json` and `report.html`.
        samples: faces to draw of each model, with seeds 0 to samples - 1.
        psi: truncation from 0 (the average face) to 1 (full variety).
        features: `"lite0"`, or `"inception"` for FID.
        weights: the weight file of Inception.
        download: download the weights of Inception, 91 MiB.
        limit: the same limit as in training.
        attributes: compare how often labeled attributes occur in the data and among samples.
        identity: compare people by face recognition.
        pictures: show real faces in the report.
        force: replace an earlier evaluation.
        quiet: print nothing.

    Raises:
        FacesmithError: the models, the faces or the options cannot be used.
    """
    several = [model] if model is None or isinstance(model, str | Path) else model
    paths = [None if each is None else user_path(each) for each in several]
    options = EvaluateOptions(
        paths, user_path(data), user_path(out), samples, features, None if weights is None else user_path(weights),
        download, limit, pictures, force, psi, identity, attributes,
    )  # fmt: skip
    lines = list(evaluate_models(options, _console(quiet)))
    stored = json.loads((options.out / EVALUATION).read_text(encoding="utf-8"))
    text = "\n".join(lines[:-2]).strip()  # the last two lines name the files
    return EvaluationReport(options.out, text, [each["metrics"] for each in stored["models"]], stored)


def _console(quiet: bool) -> Console:
    """Where progress is printed: as bars in a terminal, and as plain lines in a notebook."""
    if _in_notebook():
        return SafeConsole(
            file=sys.stdout, force_jupyter=False, force_terminal=False, color_system=None, soft_wrap=False,
            width=NOTEBOOK_WIDTH, quiet=quiet,
        )  # fmt: skip
    return SafeConsole(stderr=True, quiet=quiet)


def _in_notebook() -> bool:
    """Whether an IPython kernel runs this process."""
    return "ipykernel" in sys.modules and "IPython" in sys.modules
