"""A model -> one ONNX file, held against torch before anybody else gets it."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from facesmith import __version__
from facesmith.errors import BadModel, BadOption
from facesmith.export.onnx_format import INPUTS, METADATA_KEY, ONNX_FORMAT, OUTPUTS, SUFFIX, Metadata, missing_extra
from facesmith.export.run_onnx import Session, open_session
from facesmith.export.seeded_noise import DRAWS
from facesmith.gan.contracts import Generator
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.io.images import to_uint8_numpy
from facesmith.latent.from_seeds import truncation_center
from facesmith.model import Model, load
from facesmith.modelfiles.frontmatter import stated_license

TOLERANCE = 1e-3  # of pictures in [-1, 1]: an eighth of the step between two levels of a PNG
CHECKED = ((1, 0, 1.0), (0, 1, 0.5), (3, 2, 0.7), (16, 0, 1.0), (5, 16, 0.0))  # latents as z, as w; psi
CHECKED_SEEDS = range(16)
SAME_Z = 2e-6
UNKNOWN_LICENCE = "unknown: the model file states none; it can be no freer than that of the faces it was trained on"


@dataclass(frozen=True)
class Difference:
    """Between an exported file and torch, over all that was checked.

    Attributes:
        largest: between two pictures' numbers, of a range of 2.
        pixels: the share of 8-bit values that differ.
        levels: by how many of 255 levels at most.
        faces: how many were compared.
    """

    largest: float
    pixels: float
    levels: int
    faces: int


class _Whole(nn.Module):
    """What the file computes: z mapped, w as it is, both truncated and drawn."""

    def __init__(self, G: Generator) -> None:
        super().__init__()
        self.G = G

    def forward(self, z: Tensor, w: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        mapped = self.G.mapping(z)
        if self.G.num_ws > 1:
            mapped = mapped.unsqueeze(1).expand(-1, self.G.num_ws, -1)
        latents = torch.cat([mapped, w])
        return self.G.synthesis(truncation_center(self.G, latents).lerp(latents, psi)), latents


def export(
    path: Path | None, out: Path, *, licence: str | None = None, force: bool = False, console: Console
) -> Iterator[str]:
    """Write a model's mapping and synthesis with truncation as ONNX (`onnx.form`), and tell how exact it is.

    Args:
        licence: in words; travels in the file. By default that of the card beside the model.

    Raises:
        MissingExtra: onnx, onnxscript or onnxruntime is not installed.
        BadModel: its networks can't be written as ONNX, or not exactly enough; nothing is written then.
    """
    if out.suffix.lower() != SUFFIX:
        raise BadOption(f"--onnx {out}: the file's name must end in {SUFFIX}.")
    refuse_to_overwrite(out, force)
    model = load(path)
    if model.conditions:
        raise BadModel(
            f"{model.path} is told {', '.join(model.conditions)}; conditional models can't be written as ONNX."
        )
    console.print(f"writing {model.path} as ONNX, some ten seconds ...")
    told = metadata(model, licence or stated_license(model.path, model.hash) or UNKNOWN_LICENCE)
    content = onnx_bytes(model, told)
    difference = compared(model.G, open_session(content))
    if not difference.largest <= TOLERANCE:
        raise BadModel(
            f"{model.path} as ONNX draws other pictures than torch (by {difference.largest:.2g} of a range of 2, more "
            f"than {TOLERANCE:g}), so nothing was written. Its recipe {model.recipe.name} can't be exported."
        )
    with atomic_write(out) as stream:
        stream.write(content)
    yield str(out)
    yield (
        f"largest difference from torch {difference.largest:.2g} of a range of 2, over {difference.faces} faces in "
        f"batches of 1 to 21; "
        f"of a million 8-bit values {difference.pixels * 1e6:.0f} differ, by {difference.levels} at most"
    )
    yield f"seeds: {told['seeds']}"


def metadata(model: Model, licence: str) -> Metadata:
    """What the file says of itself."""
    G = model.G
    told: Metadata = {
        "format": ONNX_FORMAT,
        "made_by": f"facesmith {__version__}",
        "model": model.hash,
        "header": model.header,
        "resolution": G.resolution,
        "channels": G.channels,
        "z_dim": G.z_dim,
        "w_dim": G.w_dim,
        "num_ws": G.num_ws,
        "seeds": "can't be drawn from this file, since this recipe draws its latents in a way of its own",
        "licence": licence,
    }
    if known := _draw(G):
        told["z"] = known
        told["seeds"] = (
            f"z is drawn by the Mersenne Twister from the seed's lower 32 bits, as torch draws {known} numbers"
        )
    return told


def _draw(G: Generator) -> str | None:
    """The way in numpy that draws what this generator draws, found by trying; None where there is none."""
    for name, draw in DRAWS.items():
        pairs = ((draw(seed, G.z_dim), G.draw_z(1, torch.Generator().manual_seed(seed))) for seed in CHECKED_SEEDS)
        if all(np.abs(mine - its.numpy()[0]).max() <= SAME_Z for mine, its in pairs):
            return name
    return None


def onnx_bytes(model: Model, told: Metadata) -> bytes:
    """The file's content; the same model gives the same bytes.

    Raises:
        BadModel: torch can't write these networks as ONNX.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch writes by it
    except ImportError as error:
        raise missing_extra(error) from None
    whole = _Whole(_still(model.G)).eval()
    G = model.G
    w_shape = (G.w_dim,) if G.num_ws == 1 else (G.num_ws, G.w_dim)
    examples = (torch.zeros(3, G.z_dim), torch.zeros(2, *w_shape), torch.tensor(0.5))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what torch is going to change in itself
        try:
            program = torch.onnx.export(
                whole, examples, input_names=INPUTS, output_names=OUTPUTS, dynamo=True, verbose=False,
                dynamic_shapes={"z": {0: "n"}, "w": {0: "m"}, "psi": None},
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise BadModel(f"{model.path}: torch can't write its networks as ONNX ({_last_line(error)}).") from None
    assert program is not None
    proto = program.model_proto
    _forget_traces(proto)
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(told, sort_keys=True)})
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _still(G: Generator) -> Generator:
    """A copy in plain memory order; what it has grown to is a constant there, since a file doesn't grow on."""
    still = copy.deepcopy(G).to(memory_format=torch.contiguous_format)
    level = getattr(still, "level", None)
    if isinstance(level, Tensor):
        del still.level
        still.level = float(level)  # type: ignore[assignment]
    return still


def _forget_traces(proto: Any) -> None:
    """Remove what torch notes beside each node: where in its source, on this machine, it comes from."""
    parts = [proto, proto.graph, *proto.functions]
    for graph in (proto.graph, *proto.functions):
        parts += graph.node
        parts += graph.value_info
    for part in (*parts, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _last_line(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())[:200]


@torch.inference_mode()
def compared(G: Generator, session: Session) -> Difference:
    """Draw the same latents by torch and by the file, as z and as w, in batches of several sizes."""
    largest, wrong, levels, values, faces = 0.0, 0, 0, 0, 0
    w_shape = (G.w_dim,) if G.num_ws == 1 else (G.num_ws, G.w_dim)
    for i, (n, m, psi) in enumerate(CHECKED):
        rng = torch.Generator().manual_seed(i)
        z = G.draw_z(n, rng)
        w = G.mapping(G.draw_z(m, rng)).reshape(m, *[1] * (len(w_shape) - 1), G.w_dim).expand(m, *w_shape)
        expected = _Whole(G)(z, w, torch.tensor(psi))[0].numpy()
        found = session.run(z.numpy(), w.numpy(), psi)
        if not (np.isfinite(found).all() and found.shape == expected.shape):
            return Difference(np.inf, 1.0, 255, faces)
        apart = np.abs(to_uint8_numpy(found).astype(int) - to_uint8_numpy(expected))
        largest, levels = max(largest, float(np.abs(found - expected).max())), max(levels, int(apart.max()))
        wrong, values, faces = wrong + int((apart > 0).sum()), values + apart.size, faces + n + m
    return Difference(largest, wrong / values, levels, faces)
