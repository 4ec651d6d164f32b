"""Pictures and what a model makes of them: the latent whose face comes nearest, its score, and back into the photo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadData, BadOption, BadPicture
from facesmith.explore.reconstruction_error import ReconstructionError, reconstruction_errors
from facesmith.inversion.face_template import LocatedFace, locate_face, middle
from facesmith.inversion.paste import paste
from facesmith.io.captions import with_caption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import Pixels, crop_and_resize, enlarge, grid, write_png
from facesmith.latent import truncate
from facesmith.latent.edits import apply_edits, check_edits, parse_edits
from facesmith.latent.latent_file import LATENT_SUFFIX, save_latent
from facesmith.model import Model, load
from facesmith.photos.sources import Photo, iterate_photos, open_source

FACE_PX = 128  # up to which faces are enlarged by default
COLUMNS = 8
GAP_PX = 8
MOST_PICTURES = 256
MOST_PASTED = 32  # photos wait in memory meanwhile
EVERY = 25  # of films, as extract takes them


@dataclass(frozen=True)
class InvertOptions:
    """What is to be done with the pictures.

    Attributes:
        face: which of a photo's faces; 1 is the largest.
        aligned: the pictures are faces framed as the model knows them; none is looked for.
        optimize: come as near as can be; else the encoder's guess is taken.
        edits: such as smiling=1, made to the reconstructions.
        latents: a folder to write latent files to.
        paste: a .png, or a folder, to write photos to whose face is the reconstructed and edited one.
        psi: truncation, before edits, of what is drawn of them; latents and scores are those of the face as found.
    """

    face: int = 1
    aligned: bool = False
    optimize: bool = True
    edits: Sequence[str] = ()
    latents: Path | None = None
    paste: Path | None = None
    psi: float = 1.0


@dataclass(frozen=True)
class _Read:
    """One picture, its face framed for the model; the photo is kept only where it will be pasted into."""

    name: str
    located: LocatedFace
    size: tuple[int, int]
    photo: Pixels | None


def invert(
    path: Path | None,
    pictures: Sequence[Path],
    out: Path,
    options: InvertOptions = InvertOptions(),
    *,
    force: bool = False,
    console: Console,
) -> Iterator[str]:
    """Find the latents of faces in pictures; tell how near their faces come.

    Args:
        pictures: photos; files, folders and zips.
        out: a .png, for a sheet with each face above its reconstruction; or, of one picture, a .latent.

    Yields:
        a line for each picture, one for all if there are several, and the paths of what was written.

    Raises:
        BadModel: the model has no encoder, or what lies beside it is damaged.
        BadData: none of the pictures can be used, or they are too many.
        BadOption: a wish can't be granted.
    """
    edits = parse_edits(options.edits)
    _check_outputs(out, options, force)
    model = load(path)
    check_edits(list(edits), model.directions)
    _ = model.inverter  # tells of a missing encoder before any picture is read
    read = _read(model, pictures, options, console)
    _check_counts(model, len(read), out, options)
    faces = np.stack([each.located.face for each in read])
    w = model.inverter.invert(faces, optimize=options.optimize, console=console)
    rebuilt = model.synthesize(w.numpy())
    scores = reconstruction_errors(model, faces, rebuilt, console)
    for each, score in zip(read, scores, strict=True):
        yield f"{each.name}  {score.told()}"
    if len(read) > 1:
        yield _told_of_all(scores)
    rows = [faces, rebuilt]
    if edits or options.psi < 1:
        pulled = truncate(model.G, w, options.psi)
        rows.append(model.synthesize(apply_edits(pulled, model.directions, edits).numpy()))
    if out.suffix.lower() == LATENT_SUFFIX:
        yield str(save_latent(out, w[0], model.hash, _told(model, read[0], scores[0], options)))
    else:
        yield str(_write_sheet(model, out, rows, scores))
    yield from _write_latents(model, read, w, scores, options)
    yield from _write_pasted(model, read, rows[-1], options)


def _check_outputs(out: Path, options: InvertOptions, force: bool) -> None:
    if out.suffix.lower() not in (".png", LATENT_SUFFIX):
        raise BadOption(f"--out {out}: a sheet is written as .png, one face's latent as {LATENT_SUFFIX}.")
    if out.suffix.lower() == LATENT_SUFFIX and options.edits and options.paste is None:
        raise BadOption(
            f"--out {out} holds the face as it was found. Edit it afterwards: facesmith edit --seeds {out} --edit ..., "
            "or give --paste, or a .png as --out."
        )
    if options.paste is not None and options.paste.suffix.lower() not in (".png", ""):
        raise BadOption(f"--paste {options.paste}: one photo is written as .png; any other name is that of a folder.")
    for path in (out, options.latents, options.paste):
        if path is not None:
            refuse_to_overwrite(path, force)


def _check_counts(model: Model, count: int, out: Path, options: InvertOptions) -> None:
    if out.suffix.lower() == LATENT_SUFFIX and count > 1:
        raise BadOption(f"--out {out} holds one face, but there are {count} pictures. Use --latents FOLDER.")
    if options.paste is not None and options.paste.suffix.lower() == ".png" and count > 1:
        raise BadOption(f"--paste {options.paste} holds one photo, but there are {count}. Give a folder.")
    if options.paste is not None and model.inverter.template is None:
        raise BadOption("--paste needs to know where in its faces this model has eyes and mouth, and doesn't.")


def _read(model: Model, pictures: Sequence[Path], options: InvertOptions, console: Console) -> list[_Read]:
    """All pictures that can be used, with a notice on the console for each that can't, or was changed."""
    read: list[_Read] = []
    refused: list[str] = []
    most = MOST_PICTURES if options.paste is None else MOST_PASTED
    for path in pictures:
        source = open_source(path)
        try:
            for photo in iterate_photos(source, EVERY):
                if len(read) == most:
                    raise BadData(f"There are more than {most} pictures; no more are taken at once. Name fewer.")
                try:
                    read.append(_framed(model, photo, options, console))
                except BadPicture as reason:
                    refused.append(f"{photo.source}: {reason}")
                    console.print(f"{photo.source} left out: {reason}")
        finally:
            source.close()
    if not read:
        told = f" ({refused[0]}{f', and {len(refused) - 1} more' if len(refused) > 1 else ''})" if refused else ""
        raise BadData(f"None of the pictures can be used{told}.")
    return read


def _framed(model: Model, photo: Photo, options: InvertOptions, console: Console) -> _Read:
    picture = photo.load()
    height, width = picture.shape[:2]
    size, channels = model.G.resolution, model.G.channels
    if options.aligned:
        located = LocatedFace(crop_and_resize(picture, size, channels), middle(picture, size), 0, True)
    else:
        located = locate_face(picture, model.inverter.template, size, channels, which=options.face)
    if notice := _notice(model, picture, located, options):
        console.print(f"{photo.source} ({width}x{height}) {notice}")
    return _Read(photo.source, located, (height, width), picture if options.paste is not None else None)


def _notice(model: Model, picture: Pixels, located: LocatedFace, options: InvertOptions) -> str:
    """What was done to a picture `[H, W, 3]` to fit it, in words; empty where nothing was."""
    height, width = picture.shape[:2]
    size = model.G.resolution
    done = []
    if located.framed:
        done += [] if height == width else ["cut to its middle"]
        done += [] if min(height, width) == size else [f"made smaller to {size}x{size}"]
    elif located.found > 1:
        which = "the largest" if options.face == 1 else f"number {options.face} by size"
        done.append(f"shows {located.found} faces: {which} is taken (--face)")
    done += ["made grey"] if model.G.channels == 1 and np.ptp(picture, axis=2).any() else []
    return ", ".join(done)


def _told_of_all(scores: Sequence[ReconstructionError]) -> str:
    better = sum(score.samples_nearer == 0 for score in scores)
    decibels, average = (np.mean([getattr(score, name) for score in scores]) for name in ("psnr_db", "average_psnr_db"))
    return (
        f"mean of {len(scores)}  {decibels:.1f} dB; the average face instead: {average:.1f} dB; "
        f"{better} of {len(scores)} nearer than the best of {scores[0].samples:,} samples"
    )


def _told(model: Model, read: _Read, score: ReconstructionError, options: InvertOptions) -> dict[str, Any]:
    """What a latent file tells of where it came from: geometry and score, nothing of the photo itself."""
    template = model.inverter.template
    return {
        "photo": {
            "height": read.size[0],
            "width": read.size[1],
            "matrix": read.located.matrix.round(6).tolist(),
            "face": options.face,
        },
        "template": template.to_values() if template else None,
        "score": score.to_values(),
        "refined": options.optimize,
        "version": __version__,
    }


def _write_sheet(model: Model, out: Path, rows: Sequence[Pixels], scores: Sequence[ReconstructionError]) -> Path:
    stacked = enlarge(np.concatenate(rows, axis=1), max(1, FACE_PX // model.G.resolution))
    cells = [with_caption(each, f"{score.psnr_db:.1f} dB") for each, score in zip(stacked, scores, strict=True)]
    told = model.provenance({
        "Synthetic": "in part",
        "Description": "Pictures, and below each what a model makes of it; the lower ones are synthetic.",
    })  # fmt: skip
    return write_png(out, grid(np.stack(cells), COLUMNS, GAP_PX), told)


def _write_latents(
    model: Model, read: Sequence[_Read], w: torch.Tensor, scores: Sequence[ReconstructionError], options: InvertOptions
) -> Iterator[str]:
    if options.latents is None:
        return
    for each, latent, score, name in zip(read, w, scores, _names(read), strict=True):
        save_latent(options.latents / f"{name}{LATENT_SUFFIX}", latent, model.hash, _told(model, each, score, options))
    yield str(options.latents)


def _write_pasted(model: Model, read: Sequence[_Read], faces: Pixels, options: InvertOptions) -> Iterator[str]:
    if options.paste is None:
        return
    template, one = model.inverter.template, options.paste.suffix.lower() == ".png"
    assert template is not None
    told = model.provenance({
        "Synthetic": "in part",
        "Description": "A photo in which one face was replaced by a synthetic one.",
        "Edits": ", ".join(options.edits) or "none",
        "Psi": repr(options.psi),
    })  # fmt: skip
    for each, face, name in zip(read, faces, _names(read), strict=True):
        assert each.photo is not None
        pasted = paste(each.photo, face, each.located.matrix, template.targets(face.shape[0]))
        path = write_png(options.paste if one else options.paste / f"{name}.png", pasted, told)
        if one:
            yield str(path)
    if not one:
        yield str(options.paste)


def _names(read: Sequence[_Read]) -> list[str]:
    """A file's name for each picture, without an ending: its own, numbered where two are alike."""
    names: list[str] = []
    for each in read:
        stem = Path(each.name.replace("#", "-")).stem or "face"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names
