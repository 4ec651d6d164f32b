"""One face for each seed, on a sheet or in single files, by whatever can draw: torch or an ONNX runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console

from facesmith.errors import BadData, BadOption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import MEDIA_TYPES, PICTURE_SUFFIXES, Pixels, grid, read_provenance, write_picture
from facesmith.io.progress import bar
from facesmith.io.provenance import Sign, parse_provenance, seed_metadata
from facesmith.io.seeds import BATCH_SIZE

MOST_ON_A_SHEET = 10_000


class SamplingModel(Protocol):
    """A model that draws.

    Attributes:
        path: its file.
        hash: sha256 of the model.safetensors that it is, or was made of.
    """

    path: Path
    hash: str

    def sample(self, seeds: Sequence[int], psi: float = 1.0, condition: Mapping[str, float] | None = None) -> Pixels:
        """One face for each seed, uint8 `[N, H, W, C]`; raises BadOption where it can't be told what is given."""

    def provenance(self, shown: Mapping[str, str]) -> dict[str, str]:
        """What a picture of this model tells of itself."""


def sample(
    open_model: Callable[[], SamplingModel],
    seeds: Sequence[int],
    out: Path,
    *,
    psi: float = 1.0,
    condition: Mapping[str, float] | None = None,
    sign: Sign | None = None,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Draw one face for each seed: on one sheet where `out` ends in .png or .jpg, else as PNGs in a folder.

    Args:
        open_model: called once the output is known to be writable.
        given: of a conditional model: attributes of the faces, each 0 or 1.
    """
    suffix = out.suffix.lower()
    if suffix not in MEDIA_TYPES and suffix in PICTURE_SUFFIXES:
        raise BadOption(f"--out {out}: a sheet is written as .png or .jpg; any other name is that of a folder of PNGs.")
    if suffix in MEDIA_TYPES and len(seeds) > MOST_ON_A_SHEET:
        raise BadOption(f"{len(seeds)} faces are too many for one sheet; give a folder as --out.")
    refuse_to_overwrite(out, force)
    model = open_model()
    if suffix in MEDIA_TYPES:
        told = model.provenance(seed_metadata(seeds, psi, condition))
        yield write_picture(out, grid(model.sample(seeds, psi, condition)), told, sign)
        return
    with_bar = bar(
        range(0, len(seeds), BATCH_SIZE), -(-len(seeds) // BATCH_SIZE), f"drawing, {BATCH_SIZE} at a time", console
    )
    for start in with_bar:
        some = seeds[start : start + BATCH_SIZE]
        for seed, picture in zip(some, model.sample(some, psi, condition), strict=True):
            told = model.provenance(seed_metadata([seed], psi, condition))
            write_picture(out / f"seed{seed:06d}.png", picture, told, sign)
    yield out


def sample_like(
    open_model: Callable[[], SamplingModel],
    like: Path,
    out: Path,
    *,
    sign: Sign | None = None,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Draw again what a picture shows that `sample` has written.

    Raises:
        BadData: it carries no provenance, or that of another model.
    """
    drawn = parse_provenance(read_provenance(like))
    if drawn is None:
        raise BadData(f"{like} carries no seeds of a Facesmith model; only pictures that it drew do.")
    model = open_model()
    if model.hash != drawn.model:
        raise BadData(
            f"{like} was drawn by another model (hash {drawn.model[:12]}, recipe {drawn.recipe}) than {model.path}."
        )
    psi, condition = drawn.psi, drawn.condition
    return sample(
        lambda: model, drawn.seeds, out, psi=psi, condition=condition, sign=sign, force=force, console=console
    )
