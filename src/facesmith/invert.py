"""Pictures and what a model makes of them: through its encoder to a latent, and back to a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from facesmith.errors import BadData, BadOption, BadPicture
from facesmith.figure import captioned
from facesmith.files import refuse_to_overwrite
from facesmith.images import Pixels, as_input, enlarge, grid, write_png
from facesmith.photos.sources import open_source, stream
from facesmith.sample import Model, load

FACE_PX = 128  # up to which faces are enlarged by default
COLUMNS = 8
GAP_PX = 8
MOST_PICTURES = 256
EVERY = 25  # of films, as extract takes them


def invert(path: Path, pictures: Sequence[Path], out: Path, *, force: bool = False, console: Console) -> Iterator[str]:
    """Reconstruct pictures through a model's encoder: a sheet with each above its reconstruction, and its score.

    The score is the peak signal-to-noise ratio, as a yardstick also that of the model's average face.

    Args:
        pictures: files, folders and zips.

    Yields:
        a line for each picture, one for all, and the sheet's path.

    Raises:
        BadModel: the model's recipe has no encoder.
        BadData: none of the pictures can be used, or they are too many.
    """
    if out.suffix.lower() != ".png":
        raise BadOption(f"--out {out}: the sheet is written as .png.")
    refuse_to_overwrite(out, force)
    model = load(path)
    model.invert(_none(model))  # tells of a missing encoder before any picture is read
    names, fitted = _read(model, pictures, console)
    w = model.invert(fitted)
    rebuilt = model.synthesize(w)
    average = model.synthesize(model.G.w_avg[None].cpu().numpy())
    scores, yardstick = psnr(fitted, rebuilt), psnr(fitted, average)
    for name, score in zip(names, scores, strict=True):
        yield f"{name}  {score:.1f} dB"
    yield f"mean of {len(names)}  {scores.mean():.1f} dB; the average face instead: {yardstick.mean():.1f} dB"
    both = enlarge(np.concatenate([fitted, rebuilt], axis=1), max(1, FACE_PX // model.G.resolution))
    cells = [captioned(pair, f"{score:.1f} dB") for pair, score in zip(both, scores, strict=True)]
    told = model.provenance({
        "Synthetic": "in part",
        "Description": "Pictures, and below each what a model makes of it; the lower ones are synthetic.",
    })  # fmt: skip
    yield str(write_png(out, grid(np.stack(cells), COLUMNS, GAP_PX), told))


def psnr(pictures: Pixels, others: Pixels) -> np.ndarray:
    """Peak signal-to-noise ratio of pictures `[N, H, W, C]` and others, decibels `[N]`: infinite where they are equal.

    10 log10(255² / mean squared difference); about 20 is alike at a glance, 30 hard to tell apart.
    """
    squared = np.square(pictures.astype(np.float64) - others).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        decibels: np.ndarray = 10 * np.log10(255**2 / squared)
    return decibels


def _none(model: Model) -> Pixels:
    return np.empty((0, model.G.resolution, model.G.resolution, model.G.channels), np.uint8)


def _read(model: Model, pictures: Sequence[Path], console: Console) -> tuple[list[str], Pixels]:
    """Names and pixels of all pictures that fit the model, with a notice on the console for each that was changed."""
    names: list[str] = []
    fitted: list[Pixels] = []
    for path in pictures:
        source = open_source(path)
        try:
            for photo in stream(source, EVERY):
                if len(names) == MOST_PICTURES:
                    raise BadData(f"There are more than {MOST_PICTURES} pictures; the sheet shows no more. Name fewer.")
                try:
                    picture = photo.load()
                    fitted.append(as_input(picture, model.G.resolution, model.G.channels))
                except BadPicture as reason:
                    console.print(f"{photo.source} left out: {reason}")
                    continue
                names.append(photo.source)
                if notice := _notice(model, picture):
                    console.print(f"{photo.source} {notice}")
        finally:
            source.close()
    if not names:
        raise BadData(f"None of the pictures can be used at {model.G.resolution}x{model.G.resolution}.")
    return names, np.stack(fitted)


def _notice(model: Model, picture: Pixels) -> str:
    """What was done to a picture `[H, W, 3]` to fit it, in words; empty where nothing was."""
    height, width = picture.shape[:2]
    size = model.G.resolution
    done = [] if height == width else ["cut to its middle"]
    done += [] if min(height, width) == size else [f"made smaller to {size}x{size}"]
    done += ["made grey"] if model.G.channels == 1 and np.ptp(picture, axis=2).any() else []
    return f"({width}x{height}) {', '.join(done)}" if done else ""
