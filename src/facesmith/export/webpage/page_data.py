"""What a page needs to know of a model: its programs, constants, directions, labels, watermark and card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.errors import BadModel
from facesmith.export.noise_kind import noise_kind
from facesmith.export.webpage.constants import Constants, rounded
from facesmith.export.webpage.program import Program, run
from facesmith.export.webpage.trace import trace_mapping, trace_synthesis
from facesmith.gan.contracts import Generator
from facesmith.latent.from_seeds import draw_latents, truncation_center
from facesmith.model import Model
from facesmith.pictures.provenance import xmp
from facesmith.watermark.embed import HALF_POWER, MIN_SIDE_PX, WAY, inverse_products
from facesmith.watermark.key import FRAME_PX, FREQUENCIES, PUBLIC_KEY, STEP, patterns_of
from facesmith.watermark.marking import DEFAULT_MARKING

COMPARED_FACES, BATCH = 64, 16
MAX_LEVELS = 0.5  # of 255 that a face may differ from PyTorch's, before both are rounded to whole levels
MAX_RESOLUTION = 512
MAX_BYTES = 2**27  # of constants


@dataclass(frozen=True)
class PageData:
    """The data of a page.

    Attributes:
        model: plain values, for the engine (`page/engine.js`) and the page.
        constants: the bytes of its tensors.
        difference: the largest difference from PyTorch's faces that was found, in gray levels of 255.
    """

    model: Mapping[str, Any]
    constants: bytes
    difference: float


def page_data(model: Model, directions: Mapping[str, NDArray[np.float32]]) -> PageData:
    """The data of a model's page.

    Raises:
        BadModel: a web page can't draw this model's faces, or would draw others than PyTorch.
    """
    G = model.G
    if G.num_ws > 1:
        raise BadModel(f"{model.path} has {G.num_ws} latents per face; a web page can only draw models with one.")
    if G.resolution > MAX_RESOLUTION:
        raise BadModel(f"{model.path} draws {G.resolution} px; a web page can draw at most {MAX_RESOLUTION} px.")
    draw = noise_kind(G)
    if draw is None:
        raise BadModel(f"{model.path}: recipe {model.recipe.name} draws z with its own code, which a web page lacks.")
    exact = {"mapping": trace_mapping(G), "synthesis": trace_synthesis(G)}
    programs = {name: program.with_tensors(rounded) for name, program in exact.items()}
    difference = largest_difference(G, programs["mapping"], programs["synthesis"])
    if not difference <= MAX_LEVELS:
        raise BadModel(
            f"{model.path}: a web page would draw other faces than PyTorch (they differ by {difference:.2g} of 255 "
            f"gray levels, more than {MAX_LEVELS:g}). Nothing was written."
        )
    constants = Constants()
    inputs = {"mapping": [G.z_dim, *([G.label_dim] if G.label_dim else [])], "synthesis": [G.w_dim]}
    values: dict[str, Any] = {
        "hash": model.hash,
        "recipe": model.recipe.name,
        "resolution": G.resolution,
        "channels": G.channels,
        "z_dim": G.z_dim,
        "w_dim": G.w_dim,
        "label_dim": G.label_dim,
        "conditions": list(model.conditions),
        "draw": draw,
        "spherical": G.spherical,
        "programs": {
            name: {"inputs": inputs[name], "steps": _steps(program, constants)} for name, program in programs.items()
        },
        "w_avg": constants.add_floats(G.w_avg),
        "directions": list(directions),
        "direction_vectors": constants.add_floats(_stacked(directions, G.w_dim)),
        "mark": _mark(constants) if G.resolution >= MIN_SIDE_PX else None,
        "metadata": list(model.provenance(DEFAULT_MARKING.metadata(G.resolution)).items()),
        "xmp": xmp(model.provenance({})),
    }
    if G.label_dim:
        values["label_shares"] = constants.add_floats(G.label_shares)
    values["tensors"] = constants.tensors
    if len(constants.content) > MAX_BYTES:
        raise BadModel(f"{model.path} is too large for a web page (limit {MAX_BYTES // 2**20} MiB).")
    return PageData(values, bytes(constants.content), difference)


@torch.inference_mode()
def largest_difference(G: Generator, mapping: Program, synthesis: Program) -> float:
    """The largest difference between faces of the programs and of the networks, in gray levels of 255."""
    rng = torch.Generator().manual_seed(0)
    largest = 0.0
    for start in range(0, COMPARED_FACES, BATCH):
        psi = 1 - start / (2 * COMPARED_FACES)
        z = G.draw_z(BATCH, rng)
        labels = draw_latents(G, BATCH, rng)[:, -G.label_dim :].sign() if G.label_dim else None
        w = G.mapping(z, labels)
        expected = G.synthesis(truncation_center(G, w).lerp(w, psi))
        w = run(mapping, z) if labels is None else run(mapping, z, labels)
        images = run(synthesis, truncation_center(G, w).lerp(w, psi))
        if images.shape != expected.shape:
            return float("inf")
        found = float((images - expected).abs().max()) * 127.5
        largest = max(largest, found if found == found else float("inf"))
    return largest


def _steps(program: Program, constants: Constants) -> list[dict[str, Any]]:
    return [
        {
            "op": step.op,
            "from": list(step.inputs),
            "tensors": [None if tensor is None else constants.add(tensor) for tensor in step.tensors],
            "options": dict(step.options),
        }
        for step in program.steps
    ]


def _stacked(directions: Mapping[str, NDArray[np.float32]], w_dim: int) -> Tensor:
    return torch.from_numpy(np.stack(list(directions.values()))) if directions else torch.empty(0, w_dim)


def _mark(constants: Constants) -> dict[str, Any]:
    patterns = patterns_of(PUBLIC_KEY)
    return {
        "step": STEP,
        "way": WAY,
        "half_power": HALF_POWER,
        "frame_px": FRAME_PX,
        "frequencies": [list(frequency) for frequency in FREQUENCIES],
        "weights": constants.add_floats(torch.from_numpy(patterns.weights)),
        "offsets": constants.add_floats(torch.from_numpy(patterns.offsets)),
        "inverse": constants.add_floats(torch.from_numpy(inverse_products((PUBLIC_KEY,)))),
    }
