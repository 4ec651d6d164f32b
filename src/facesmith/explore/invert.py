"""The verb `invert`: photos -> latents, reconstructions and their errors; edited faces pasted into photos."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from facesmith import __version__
from facesmith.detection.align import inside_photo
from facesmith.errors import BadData, BadOption, BadPicture, FacesmithError
from facesmith.explore.reconstruction_error import ReconstructionError, reconstruction_errors
from facesmith.inversion.face_template import LocatedFace, center_square_matrix, locate_face
from facesmith.inversion.paste import paste_into_original
from facesmith.io.commands import quoted
from facesmith.io.files import MAX_NAME_BYTES, disk_advice, disk_cause, shorten_name
from facesmith.io.messages import printable_name
from facesmith.io.outputs import Outputs
from facesmith.io.progress import Progress
from facesmith.latent import truncate
from facesmith.latent.edits import apply_edits, check_edits, parse_edits
from facesmith.latent.latent_file import LATENT_SUFFIX, save_latent
from facesmith.model import Model, load
from facesmith.photos.sources import Photo, iterate_photos, open_source
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, crop_and_resize, enlarge, grid, write_picture
from facesmith.pictures.original_photo import OriginalPhoto
from facesmith.pictures.pages import count_text
from facesmith.storage.addresses import checked_paths
from facesmith.storage.store import kinds_text
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

FACE_PX = 128  # up to which faces are enlarged by default
COLUMNS = 8
GAP_PX = 8
MAX_PICTURES = 256
MAX_PASTED_PHOTOS = 32  # these photos are kept in memory
ROOM_BYTES = 15  # in the names of outputs, for a number and a suffix
NOTABLE_FILL = 0.05  # share of a face's crop beyond the photo
FRAME_STEP = 25  # every 25th frame of a film, as in extract


@dataclass(frozen=True)
class InvertOptions:
    """How to invert pictures, and what to make of them.

    Attributes:
        face: which face of a photo; 1 is the largest.
        aligned: the pictures are faces that are aligned like the model's; don't look for faces in them.
        optimize: improve the encoder's guess by gradient descent.
        edits: texts such as smiling=1, applied to the reconstructions.
        latents: a folder for latent files.
        paste: a .png or a folder for photos with the reconstructed and edited face.
        psi: truncation of edited and pasted faces, 0-1. Latents and errors are those of the face without truncation.
        marking: watermark and signed content credentials.
    """

    face: int = 1
    aligned: bool = False
    optimize: bool = True
    edits: Sequence[str] = ()
    latents: Path | None = None
    paste: Path | None = None
    psi: float = 1.0
    marking: Marking = DEFAULT_MARKING


@dataclass(frozen=True)
class _Picture:
    """A picture with its located face.

    Attributes:
        name: of the picture.
        located: its face.
        size: height and width of the picture.
        photo: its content; None unless the face will be pasted back.
    """

    name: str
    located: LocatedFace
    size: tuple[int, int]
    photo: OriginalPhoto | None


def invert(
    path: Path | None,
    pictures: Sequence[Path],
    out: Path,
    options: InvertOptions = InvertOptions(),
    *,
    force: bool = False,
    console: Console,
) -> Iterator[str]:
    """Find the latents of faces in pictures.

    Args:
        path: a run folder or model file; None for the bundled generator.
        pictures: photos, folders and zips of photos, and films.
        out: a .png for a sheet with each face above its reconstruction; or a .latent for a single picture.

    Yields:
        a line per picture, their mean if there are several, and the paths of what was written.

    Raises:
        BadModel: the model has no encoder, or a file next to it is damaged.
        BadData: no picture can be used, or there are too many.
        BadOption: options contradict one another, or an edit is unknown.
        OutputExists: an output exists, and `force` is not set.
        FacesmithError: some files in `latents` or `paste` could not be written; all others were.
    """
    edits = parse_edits(options.edits)
    _check_outputs(out, options)
    named = {"--out": out, "--latents": options.latents, "--paste": options.paste}
    paths = {option: each for option, each in named.items() if each is not None}
    request = (path, list(pictures), replace(options, marking=replace(options.marking, sign=None)))
    outputs = Outputs(list(paths.values()), request, options=list(paths))
    outputs.refuse_to_overwrite(force)
    model = load(path)
    directions = model.directions if edits else {}  # a damaged directions file must not affect unedited faces
    check_edits(list(edits), directions)
    _ = model.inverter  # raises before any picture is read, if the model has no encoder
    inputs = _read_pictures(model, checked_paths(pictures), options, console)
    _check_counts(model, len(inputs), out, options)
    faces = np.stack([each.located.face for each in inputs])
    w = model.inverter.invert(faces, optimize=options.optimize, console=console)
    rebuilt = model.synthesize(w.numpy())
    errors = reconstruction_errors(model, faces, rebuilt, console)
    for picture, error in zip(inputs, errors, strict=True):
        yield f"{printable_name(picture.name)}  {error.summary()}"
    if len(inputs) > 1:
        yield _mean_summary(errors)
    rows = [faces, rebuilt]
    if edits or options.psi < 1:
        edited = apply_edits(truncate(model.G, w, options.psi), directions, edits)
        rows.append(model.synthesize(edited.numpy()))
    failures: dict[Path, str] = {}
    with outputs.writing():
        with _note_failure(out, failures):
            if out.suffix.lower() == LATENT_SUFFIX:
                save_latent(out, w[0], model.hash, _latent_details(model, inputs[0], errors[0], options))
            else:
                _write_sheet(model, out, [faces, *map(options.marking.marked, rows[1:])], errors, options.marking)
        _write_latents(model, inputs, w, errors, options, failures)
        _write_pasted(model, inputs, rows[-1], options, failures)
        yield from (str(each) for each in paths.values() if each not in failures and each.exists())
        if failures:
            first, *others = failures.values()
            files, label = (f"{len(failures)} files", "The first: ") if others else ("A file", "")
            raise FacesmithError(f"{files} could not be written; all others were. {label}{first}")


def _check_outputs(out: Path, options: InvertOptions) -> None:
    if out.suffix.lower() not in (".png", LATENT_SUFFIX):
        raise BadOption(f"--out {out}: expected a .png for a sheet, or a {LATENT_SUFFIX} file for a single face.")
    if out.suffix.lower() == LATENT_SUFFIX and options.edits and options.paste is None:
        raise BadOption(
            f"--out {out} stores the face without edits. Edit it afterwards: facesmith edit --seeds {quoted(out)} "
            "--edit ..., or use --paste or a .png as --out."
        )
    if options.paste is not None and options.paste.suffix.lower() not in (".png", ""):
        raise BadOption(f"--paste {options.paste}: expected a .png for one photo, or a folder.")


def _check_counts(model: Model, count: int, out: Path, options: InvertOptions) -> None:
    if out.suffix.lower() == LATENT_SUFFIX and count > 1:
        raise BadOption(f"--out {out} stores one face, but there are {count} pictures. Use --latents FOLDER.")
    if options.paste is not None and options.paste.suffix.lower() == ".png" and count > 1:
        raise BadOption(f"--paste {options.paste} is one photo, but there are {count}. Use a folder.")
    if options.paste is not None and model.inverter.template is None:
        raise BadOption("--paste needs a face template, which this model does not have.")


def _read_pictures(model: Model, pictures: Sequence[Path], options: InvertOptions, console: Console) -> list[_Picture]:
    """Read all usable pictures; print a notice for each that is skipped or changed."""
    usable: list[_Picture] = []
    skipped: list[str] = []
    limit = MAX_PICTURES if options.paste is None else MAX_PASTED_PHOTOS
    task = "reading pictures" if options.aligned else "finding faces, pictures"
    with Progress(console, task, None) as progress, closing(_iterate_pictures(pictures, console)) as photos:
        for photo in photos:
            if len(usable) == limit:
                raise BadData(f"There are more than {limit} pictures, the limit for one command. Name fewer.")
            try:
                usable.append(_locate(model, photo, options, console))
            except BadPicture as reason:
                skipped.append(f"{photo.source}: {reason}")
                console.print(f"{printable_name(photo.source)} skipped: {reason}")
            progress.advance()
    if not usable:
        more = f", and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        raise BadData(f"None of the pictures can be used{f' ({skipped[0]}{more})' if skipped else ''}.")
    return usable


def _iterate_pictures(paths: Sequence[Path], console: Console) -> Generator[Photo]:
    """Yield the photos of several files and folders; print a notice about files that are not pictures."""
    for path in paths:
        source = open_source(path)
        if ignored := kinds_text(source.ignored):
            console.print(f"{path}: files that are not pictures are ignored ({ignored})")
        try:
            yield from iterate_photos(source, FRAME_STEP)
        finally:
            source.close()


def _locate(model: Model, photo: Photo, options: InvertOptions, console: Console) -> _Picture:
    original = photo.load_original() if options.paste is not None else None
    picture = photo.read() if original is None else original
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    size, channels = model.G.resolution, model.G.channels
    if options.aligned:
        face = crop_and_resize(pixels, size, channels)
        located = LocatedFace(face, center_square_matrix(pixels, size), 0, True)
    else:
        located = locate_face(pixels, model.inverter.template, size, channels, which=options.face)
    changes = _changes(model, pixels, located, options)
    if picture.n_pictures > 1:
        changes.append(f"has {count_text(picture.n_pictures)} pages or frames: using the first")
    if changes:
        console.print(f"{photo.source} ({width}x{height}) {', '.join(changes)}")
    return _Picture(photo.source, located, (height, width), original)


def _changes(model: Model, pixels: Pixels, located: LocatedFace, options: InvertOptions) -> list[str]:
    """How a picture `[H, W, 3]` was changed to fit the model."""
    height, width = pixels.shape[:2]
    size = model.G.resolution
    changes = []
    if located.aligned_already:
        changes += [] if height == width else ["cropped to its center"]
        changes += [] if min(height, width) == size else [f"resized to {size}x{size}"]
    elif located.face_count > 1:
        which = "the largest" if options.face == 1 else f"number {options.face} by size"
        changes.append(f"shows {located.face_count} faces: using {which} (--face)")
    if (fill := 1 - inside_photo(located.matrix, (height, width), size).mean()) > NOTABLE_FILL:
        changes.append(f"face reaches beyond the photo: {fill:.0%} of its crop was filled in")
    changes += ["converted to gray"] if model.G.channels == 1 and np.ptp(pixels, axis=2).any() else []
    return changes


def _mean_summary(errors: Sequence[ReconstructionError]) -> str:
    best = sum(error.closer_samples == 0 for error in errors)
    psnr_db, average_psnr_db = (np.mean([getattr(e, name) for e in errors]) for name in ("psnr_db", "average_psnr_db"))
    return (
        f"mean of {len(errors)}  {psnr_db:.1f} dB (average face {average_psnr_db:.1f} dB); "
        f"{best} of {len(errors)} closer than all {errors[0].samples:,} samples"
    )


def _latent_details(
    model: Model, picture: _Picture, error: ReconstructionError, options: InvertOptions
) -> dict[str, Any]:
    """Return header entries for a latent file: geometry and reconstruction error, but nothing of the photo itself."""
    template = model.inverter.template
    return {
        "photo": {
            "height": picture.size[0],
            "width": picture.size[1],
            "matrix": picture.located.matrix.round(6).tolist(),
            "face": options.face,
        },
        "template": template.to_values() if template else None,
        "error": error.to_values(),
        "optimized": options.optimize,
        "version": __version__,
    }


def _write_sheet(
    model: Model, out: Path, rows: Sequence[Pixels], errors: Sequence[ReconstructionError], marking: Marking
) -> None:
    columns = enlarge(np.concatenate(rows, axis=1), max(1, FACE_PX // model.G.resolution))
    cells = [with_caption(each, f"{error.psnr_db:.1f} dB") for each, error in zip(columns, errors, strict=True)]
    metadata = model.provenance({
        "Synthetic": "in part",
        "Description": "Pictures, and below each its reconstruction by a generator; the lower ones are synthetic.",
        **marking.metadata(model.resolution),
    })  # fmt: skip
    write_picture(out, grid(np.stack(cells), COLUMNS, GAP_PX), metadata, marking.sign)


def _write_latents(
    model: Model,
    pictures: Sequence[_Picture],
    w: Tensor,
    errors: Sequence[ReconstructionError],
    options: InvertOptions,
    failures: dict[Path, str],
) -> None:
    if options.latents is None:
        return
    for picture, latent, error, name in zip(pictures, w, errors, _file_names(pictures), strict=True):
        details = _latent_details(model, picture, error, options)
        with _note_failure(file := options.latents / f"{name}{LATENT_SUFFIX}", failures):
            save_latent(file, latent, model.hash, details)


def _write_pasted(
    model: Model, pictures: Sequence[_Picture], faces: Pixels, options: InvertOptions, failures: dict[Path, str]
) -> None:
    if options.paste is None:
        return
    template, single = model.inverter.template, options.paste.suffix.lower() == ".png"
    assert template is not None, "_check_counts requires it"
    metadata = model.provenance({
        "Synthetic": "in part",
        "Description": "A photo in which one face was replaced by a synthetic one.",
        "Edits": ", ".join(options.edits) or "none",
        "Psi": repr(options.psi),
        **options.marking.metadata(model.resolution),
    })  # fmt: skip
    for picture, face, name in zip(pictures, faces, _file_names(pictures), strict=True):
        assert picture.photo is not None, "kept because options.paste is set"
        points = template.targets(face.shape[0])
        pasted = paste_into_original(picture.photo, face, picture.located.matrix, points, keys=options.marking.keys)
        with _note_failure(file := options.paste if single else options.paste / f"{name}.png", failures):
            write_picture(file, pasted, metadata, options.marking.sign, picture.photo.profile)


@contextmanager
def _note_failure(file: Path, failures: dict[Path, str]) -> Iterator[None]:
    """Note why a file can't be written, so that the others are still written after minutes of inversion."""
    try:
        yield
    except OSError as error:
        failures[file] = f"{file}: {disk_cause(error)}. {disk_advice(error)}"
    except BadOption as error:  # a folder or a file is in the way
        failures[file] = str(error)


def _file_names(pictures: Sequence[_Picture]) -> list[str]:
    """Return a file name without suffix for each picture, numbered if two have the same name but for upper case.

    Long names are shortened, so that there is room for a number and a suffix.
    """
    names: list[str] = []
    used: set[str] = set()  # without upper case, which many disks don't distinguish
    for picture in pictures:
        stem = shorten_name(Path(picture.name.replace("#", "-")).stem or "face", MAX_NAME_BYTES - ROOM_BYTES)
        name, number = stem, 2
        while name.casefold() in used:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
        used.add(name.casefold())
    return names
