"""One face per seed, on a contact sheet or in single files. The model runs in PyTorch or ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from rich.console import Console

from facesmith.errors import BadData, BadOption
from facesmith.explore.leave_out_distorted import QualityModel, undistorted
from facesmith.io.file_kinds import (
    ARCHIVE_SUFFIXES,
    COMPRESSED_SUFFIXES,
    DOCUMENT_SUFFIXES,
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
)
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.memory import require_sheet_memory
from facesmith.io.outputs import Outputs
from facesmith.io.progress import bar
from facesmith.io.seeds import BATCH_SIZE
from facesmith.pictures.images import MEDIA_TYPES, SHEET_GAP_PX, Pixels, read_provenance, write_picture
from facesmith.pictures.provenance import NORMAL_PRIOR, PRIOR, QUALITY_METADATA, parse_provenance, seed_metadata
from facesmith.pictures.sheet_layout import SheetLayout, stored_layout
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

MAX_SHEET_FACES = 10_000
EXPORTED_SUFFIXES = frozenset({".html", ".onnx"})  # of what `facesmith export` writes
# An --out with such a suffix is meant as a file, not as a folder.
FILE_SUFFIXES = EXPORTED_SUFFIXES.union(
    *(PICTURE_SUFFIXES, VIDEO_SUFFIXES, ARCHIVE_SUFFIXES, COMPRESSED_SUFFIXES, DOCUMENT_SUFFIXES),
    (".pdf", ".htm", ".svg", ".txt", ".csv", ".tsv", ".json"),
)
SEED_FILE = re.compile(r"seed[0-9]{6,}\.png")


class SamplingModel(QualityModel, Protocol):
    """What `sample` needs of a model: `Model`, or `OnnxModel`, which needs no PyTorch.

    Attributes:
        path: its file.
        hash: sha256 of the model.safetensors that it is, or was exported from.
    """

    path: Path
    hash: str

    @property
    def resolution(self) -> int:
        """Height and width of its images."""

    def sample(self, seeds: Sequence[int], psi: float = 1.0, condition: Mapping[str, float] | None = None) -> Pixels:
        """Return one face per seed, uint8 `[N, H, W, C]`.

        Raises:
            BadOption: the model does not support the condition.
        """

    def with_normal_prior(self) -> SamplingModel:
        """Return this model with latents drawn from N(0, I) instead of the prior that was fitted to faces.

        Raises:
            BadOption: no prior was fitted.
        """

    def provenance(self, entries: Mapping[str, str]) -> dict[str, str]:
        """Return the metadata of an image of this model; `entries` say how it was made."""


def sample(
    open_model: Callable[[], SamplingModel],
    seeds: Sequence[int],
    out: Path,
    *,
    psi: float = 1.0,
    condition: Mapping[str, float] | None = None,
    normal_prior: bool = False,
    quality: bool = False,
    chosen_before: bool = False,
    layout: SheetLayout = SheetLayout(),  # noqa: B008 (immutable)
    marking: Marking = DEFAULT_MARKING,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Draw one face per seed and yield the path of what was written.

    Args:
        open_model: called after the options were checked.
        out: a .png or .jpg for a contact sheet; any other name is a folder for one PNG per face.
        psi: truncation, 0-1.
        condition: of a conditional model: attributes of all faces, each 0 or 1.
        normal_prior: draw latents from N(0, I) instead of the prior that was fitted to faces.
        quality: leave out the seeds whose faces look most distorted, about a tenth.
        chosen_before: the seeds were chosen with `quality` before; the metadata record it.
        layout: of a sheet; single faces are enlarged only.
        marking: watermark and signed content credentials.

    Raises:
        BadOption: the file type is not supported, or there are too many faces for a sheet.
        OutputExists: `out` exists, and `force` is not set.
    """
    suffix = out.suffix.lower()
    if suffix not in MEDIA_TYPES and suffix in FILE_SUFFIXES:
        advice = "For a zip, name a folder, and zip it afterwards."
        if suffix in EXPORTED_SUFFIXES:
            advice = f"To write the generator itself: facesmith export --{suffix[1:]} {out}"
        raise BadOption(f"--out {out}: expected a .png or .jpg for a sheet, or a folder for one PNG per face. {advice}")
    if suffix in MEDIA_TYPES and len(seeds) > MAX_SHEET_FACES:
        raise BadOption(
            f"{len(seeds)} faces are too many for one sheet (limit {MAX_SHEET_FACES}); use a folder as --out."
        )
    if suffix in MEDIA_TYPES:
        refuse_to_overwrite(out, force)
        model = _opened(open_model, normal_prior)
        subject = f"A sheet of {len(seeds)} faces"
        side_px, advice = model.resolution * layout.scale, "Use a folder as --out, fewer --seeds or a smaller --scale."
        require_sheet_memory(len(seeds), side_px + layout.gap_px, subject, advice)
        drawing = _Drawing(model, psi, condition, normal_prior, quality, chosen_before, layout, marking)
        seeds = drawing.chosen(seeds, console)
        sheet = layout.arranged(drawing.faces(seeds))
        yield write_picture(out, sheet, drawing.metadata(seeds), marking.sign)
        return
    if (layout.columns, layout.gap_px) != (None, SHEET_GAP_PX):
        raise BadOption(f"--columns and --gap arrange a sheet, but --out {out} is a folder. Name a .png or .jpg.")
    model = _opened(open_model, normal_prior)
    drawn = (model.hash, list(seeds), psi, condition, normal_prior, quality, layout, marking.keys)
    outputs = Outputs([out], drawn, folder=True)
    outputs.refuse_to_overwrite(force)
    drawing = _Drawing(model, psi, condition, normal_prior, quality, chosen_before, layout, marking)
    seeds = drawing.chosen(seeds, console)
    with outputs.writing(remove=_faces_in(out) if force else ()):
        _write_faces(drawing, seeds, out, console)
    yield out


def _opened(open_model: Callable[[], SamplingModel], normal_prior: bool) -> SamplingModel:
    model = open_model()
    return model.with_normal_prior() if normal_prior else model


@dataclass(frozen=True)
class _Drawing:
    """Draws the faces of seeds with their marks, and makes the metadata that says how they were drawn."""

    model: SamplingModel
    psi: float
    condition: Mapping[str, float] | None
    normal_prior: bool
    quality: bool
    chosen_before: bool
    layout: SheetLayout
    marking: Marking

    def chosen(self, seeds: Sequence[int], console: Console) -> Sequence[int]:
        """The seeds to draw; prints which ones are left out."""
        return undistorted(self.model, seeds, self.condition, console) if self.quality else seeds

    def faces(self, seeds: Sequence[int]) -> Pixels:
        return self.marking.marked(self.model.sample(seeds, self.psi, self.condition))

    def metadata(self, seeds: Sequence[int]) -> dict[str, str]:
        entries = seed_metadata(seeds, self.psi, self.condition)
        entries |= {PRIOR: NORMAL_PRIOR} if self.normal_prior else {}
        entries |= QUALITY_METADATA if self.quality or self.chosen_before else {}
        return self.model.provenance(entries | self.layout.metadata() | self.marking.metadata(self.model.resolution))


def _faces_in(folder: Path) -> list[Path]:
    """The files in a folder that are named as faces of seeds."""
    return [file for file in folder.glob("seed*.png") if SEED_FILE.fullmatch(file.name)]


def _write_faces(drawing: _Drawing, seeds: Sequence[int], out: Path, console: Console) -> None:
    """Write one PNG per face to the folder `out`."""
    starts = range(0, len(seeds), BATCH_SIZE)
    for start in bar(starts, len(starts), f"drawing faces, {BATCH_SIZE} at a time", console):
        batch = seeds[start : start + BATCH_SIZE]
        for seed, face in zip(batch, drawing.layout.enlarged(drawing.faces(batch)), strict=True):
            write_picture(out / f"seed{seed:06d}.png", face, drawing.metadata([seed]), drawing.marking.sign)


def sample_like(
    open_model: Callable[[], SamplingModel],
    like: Path,
    out: Path,
    *,
    layout: Mapping[str, Any] = MappingProxyType({}),
    marking: Marking = DEFAULT_MARKING,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Draw the faces of a picture again that `sample` wrote, with the seeds, psi and condition in its metadata.

    Args:
        layout: attributes of `SheetLayout` that replace those of the picture.

    Raises:
        BadData: the picture has no such metadata, or was drawn by another model.
    """
    metadata = read_provenance(like)
    origin = parse_provenance(metadata)
    if origin is None:
        raise BadData(f"{like} has no seeds in its metadata; only pictures drawn by Facesmith have.")
    model = open_model()
    if model.hash != origin.model:
        raise BadData(
            f"{like} was drawn by another model (hash {origin.model[:12]}, recipe {origin.recipe}) than {model.path}."
        )
    stored = stored_layout(metadata)
    if out.suffix.lower() not in MEDIA_TYPES:  # single faces have no columns
        stored = SheetLayout(scale=stored.scale, filter=stored.filter)
    return sample(
        lambda: model,
        origin.seeds,
        out,
        psi=origin.psi,
        condition=origin.condition,
        normal_prior=origin.prior == NORMAL_PRIOR,
        chosen_before=QUALITY_METADATA.items() <= metadata.items(),
        layout=replace(stored, **layout),
        marking=marking,
        force=force,
        console=console,
    )
