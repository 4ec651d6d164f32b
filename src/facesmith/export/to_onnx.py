"""Export a model to one ONNX file and compare its faces with torch's before the file is written."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from facesmith import __version__
from facesmith.errors import BadModel, BadOption
from facesmith.export.check_onnx import check_onnx
from facesmith.export.noise_kind import noise_kind
from facesmith.export.onnx_format import INPUTS, METADATA_KEY, ONNX_FORMAT, OUTPUTS, SUFFIX, Metadata, missing_extra
from facesmith.export.run_onnx import Session, open_session
from facesmith.gan.contracts import Generator
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.latent.from_seeds import truncation_center
from facesmith.model import Model, load
from facesmith.modelfiles.frontmatter import stated_license
from facesmith.pictures.images import to_uint8_numpy

TOLERANCE = 1e-3  # in the range [-1, 1]: an eighth of the step between two 8-bit levels
BATCHES = ((1, 0, 1.0), (0, 1, 0.5), (3, 2, 0.7), (16, 0, 1.0), (5, 16, 0.0))  # to compare: N of z, M of w, psi
OPSET = 18  # onnxruntime 1.14 and newer read it
UNKNOWN_LICENSE = "unknown: the model card states none. It can't be more permissive than that of the training faces."


@dataclass(frozen=True)
class Difference:
    """The difference between the images of an exported file and those of torch.

    Attributes:
        largest: the largest absolute difference in the range [-1, 1].
        share: the share of 8-bit values that differ.
        levels: the largest difference of 8-bit values.
        faces: the number of images compared.
    """

    largest: float
    share: float
    levels: int
    faces: int


class _ExportedModule(nn.Module):
    """The computation in the file: map z, append w, truncate both, synthesize."""

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
    path: Path | None,
    out: Path,
    *,
    license: str | None = None,
    opset: int = OPSET,
    force: bool = False,
    console: Console,
) -> Iterator[str]:
    """Export a model's mapping, truncation and synthesis (see `onnx_format`).

    Args:
        license: stored in the file. Default: the license in the card next to the model.
        opset: version of ONNX's operators, 18 to 23.

    Yields:
        Lines that name the file and say how exactly it agrees with torch.

    Raises:
        MissingExtra: onnx, onnxscript or onnxruntime is not installed.
        BadModel: the model is conditional, or ONNX can't represent it exactly enough. Nothing is written then.
    """
    check_onnx_output(out, force)
    model = load(path)
    if model.conditions:
        raise BadModel(
            f"{model.path} is conditional ({', '.join(model.conditions)}). ONNX export needs an unconditional model."
        )
    console.print(f"exporting {model.path}, about ten seconds ...")
    metadata = metadata_of(model, license or stated_license(model.path, model.hash) or UNKNOWN_LICENSE)
    content = onnx_bytes(model, metadata, opset)
    difference = compare(model.G, open_session(content))
    if not difference.largest <= TOLERANCE:
        raise BadModel(
            f"{model.path} draws other images with ONNX than with torch (they differ by {difference.largest:.2g} in "
            f"the range [-1, 1], more than {TOLERANCE:g}). Nothing was written: recipe {model.recipe.name} can't be "
            "exported."
        )
    check_onnx(content, str(out))  # what sample would refuse must not be written
    with atomic_write(out) as stream:
        stream.write(content)
    yield str(out)
    yield (
        f"compared with torch on {difference.faces} faces in batches of 1 to 21: largest difference "
        f"{difference.largest:.2g} in the range [-1, 1]; {difference.share * 1e6:.0f} of a million 8-bit values "
        f"differ, by at most {difference.levels}"
    )
    yield f"seeds: {metadata['seeds']}"


def check_onnx_output(out: Path, force: bool) -> None:
    """Check the suffix, existing files and required packages before the export; raises as `export` does."""
    if out.suffix.lower() != SUFFIX:
        raise BadOption(f"--onnx {out}: the file name must end in {SUFFIX}.")
    refuse_to_overwrite(out, force, "--onnx")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise missing_extra(ImportError(name=package))


def metadata_of(model: Model, license: str) -> Metadata:
    """The metadata of the exported file."""
    G = model.G
    metadata: Metadata = {
        "format": ONNX_FORMAT,
        "made_by": f"facesmith {__version__}",
        "model": model.hash,
        "header": model.header,
        "resolution": G.resolution,
        "channels": G.channels,
        "z_dim": G.z_dim,
        "w_dim": G.w_dim,
        "num_ws": G.num_ws,
        "seeds": "not supported, because this recipe draws z with its own code",
        "license": license,
    }
    if distribution := noise_kind(G):
        metadata["z"] = distribution
        metadata["seeds"] = (
            f"z is {distribution} numbers as torch draws them: a Mersenne Twister with the seed's lower 32 bits"
        )
    return metadata


def onnx_bytes(model: Model, metadata: Metadata, opset: int = OPSET) -> bytes:
    """The content of the exported file. The same model gives the same bytes.

    Its IR version is the lowest that has this opset, so that old runtimes open it.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        BadModel: torch can't export these networks.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise missing_extra(error) from None
    G = model.G
    module = _ExportedModule(_export_copy(G)).eval()
    w_shape = (G.w_dim,) if G.num_ws == 1 else (G.num_ws, G.w_dim)
    examples = (torch.zeros(3, G.z_dim), torch.zeros(2, *w_shape), torch.tensor(0.5))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside torch
        try:
            program = torch.onnx.export(
                module, examples, input_names=INPUTS, output_names=OUTPUTS, dynamo=True, verbose=False,
                opset_version=opset, dynamic_shapes={"z": {0: "n"}, "w": {0: "m"}, "psi": None},
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise BadModel(f"{model.path}: torch can't export its networks to ONNX ({_reason(error)}).") from None
    assert program is not None
    proto = program.model_proto
    _remove_traces(proto)
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _export_copy(G: Generator) -> Generator:
    """A copy in the default memory format. A growing generator's level becomes a constant, since a file can't grow."""
    G = copy.deepcopy(G).to(memory_format=torch.contiguous_format)
    level = getattr(G, "level", None)
    if isinstance(level, Tensor):
        del G.level
        G.level = float(level)  # type: ignore[assignment]
    return G


def _remove_traces(proto: Any) -> None:
    """Remove the source locations on this machine that torch stores with every node."""
    parts = [proto, proto.graph, *proto.functions]
    for graph in (proto.graph, *proto.functions):
        parts += graph.node
        parts += graph.value_info
    for part in (*parts, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")


def _reason(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())[:200]


@torch.inference_mode()
def compare(G: Generator, session: Session) -> Difference:
    """Draw the same latents with torch and with the exported file, from z and from w, in batches of several sizes."""
    largest, differing, levels, values, faces = 0.0, 0, 0, 0, 0
    w_shape = (G.w_dim,) if G.num_ws == 1 else (G.num_ws, G.w_dim)
    for seed, (n, m, psi) in enumerate(BATCHES):
        rng = torch.Generator().manual_seed(seed)
        z = G.draw_z(n, rng)
        w = G.mapping(G.draw_z(m, rng)).reshape(m, *[1] * (len(w_shape) - 1), G.w_dim).expand(m, *w_shape)
        expected = _ExportedModule(G)(z, w, torch.tensor(psi))[0].numpy()
        images = session.run(z.numpy(), w.numpy(), psi)
        if not (np.isfinite(images).all() and images.shape == expected.shape):
            return Difference(np.inf, 1.0, 255, faces)
        difference = np.abs(to_uint8_numpy(images).astype(int) - to_uint8_numpy(expected))
        largest = max(largest, float(np.abs(images - expected).max()))
        levels = max(levels, int(difference.max()))
        differing, values = differing + int((difference > 0).sum()), values + difference.size
        faces += n + m
    return Difference(largest, differing / values, levels, faces)
