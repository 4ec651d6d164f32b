"""Directions without labels: along which latents, or the output of the generator's first layer, vary most.

Sources: Härkönen et al. 2020, "GANSpace", arXiv:2004.02546, section 2.1 (PCA); Shen and Zhou 2021, "Closed-Form
Factorization of Latent Semantics in GANs", arXiv:2007.06600, equation 5 (SeFa).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn

from facesmith.errors import BadModel
from facesmith.gan.contracts import Generator
from facesmith.latent import latents

METHODS = ("pca", "sefa")
LATENT_COUNT = 2_000  # latents whose standard deviation sets the length of directions
DIRECTION_COUNT = 10
DEVIATIONS = 2.0  # length at strength 1, in standard deviations of the latents along the direction
BATCH_SIZE = 16  # latents that go through the first layer together
MAX_PCA_FEATURES = 4096  # numbers of the first layer's output that PCA uses


class _StopSynthesis(Exception):
    """Raised by a hook, because the rest of the synthesis is not needed."""


def unsupervised_directions(G: Generator, method: str) -> dict[str, Tensor]:
    """Return directions `[w_dim]` by name, such as pca_1, the most important first. Takes about a second.

    Args:
        method: one of `METHODS`.

    Raises:
        BadModel: the method needs a layer that this generator does not have.
    """
    assert method in METHODS
    with torch.inference_mode():
        w = latents(G, range(LATENT_COUNT)).cpu()
        steps = (pca if method == "pca" else sefa)(G, w, DIRECTION_COUNT)
    return {f"{method}_{i + 1}": step for i, step in enumerate(steps)}


def pca(G: Generator, w: Tensor, count: int) -> Tensor:
    """Return directions by PCA, `[count, w_dim]`, the most important first.

    With a mapping network, these are the principal components of `w`. Without one, `w` varies equally in all directions
    (apart from labels). Then they are the latent steps that match the principal components of the first layer's output.

    Args:
        w: latents `[N, w_dim]`.
    """
    if type(G).mapping is not Generator.mapping and not G.label_dim:
        return _scaled(_principal_axes(w), w, count)
    module, _ = first_layer(G)
    outputs = torch.cat([_layer_outputs(G, module, batch) for batch in torch.split(w, BATCH_SIZE)])
    features = torch.linspace(0, outputs.shape[1] - 1, min(MAX_PCA_FEATURES, outputs.shape[1])).long()
    scores = _centered(outputs[:, features]) @ _principal_axes(outputs[:, features])[: G.w_dim].T  # [N, K]
    # The latent step for each component: least squares of w on the component scores (equation 3 of the paper).
    steps = torch.linalg.lstsq(scores / scores.std(0).clamp_min(1e-9), _centered(w)).solution
    return _scaled(steps / steps.norm(dim=1, keepdim=True).clamp_min(1e-12), w, count)


def sefa(G: Generator, w: Tensor, count: int) -> Tensor:
    """Return directions by SeFa, `[count, w_dim]`: right singular vectors of the weight that takes `w`.

    Args:
        w: latents `[N, w_dim]`, whose standard deviations set the length of the directions.
    """
    module, shape = first_layer(G)
    unit = torch.eye(G.w_dim).reshape(-1, *shape)
    with torch.inference_mode():
        # The layer is affine: its response to unit vectors is its weight, in whatever form the layer stores it.
        bias = module(torch.zeros(1, *shape))
        rows = torch.cat([module(batch) - bias for batch in torch.split(unit, BATCH_SIZE)])
    _, _, axes = torch.linalg.svd(rows.flatten(1).T.double(), full_matrices=False)
    return _scaled(axes.float(), w, count)


def first_layer(G: Generator) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the first module with a weight that takes a latent as its input, and the shape of that input.

    Raises:
        BadModel: there is none.
    """
    layers: list[tuple[nn.Module, tuple[int, ...]]] = []

    def record(module: nn.Module, inputs: tuple[object, ...]) -> None:
        x = inputs[0] if inputs else None
        if isinstance(x, Tensor) and x[0].numel() == G.w_dim and isinstance(getattr(module, "weight", None), Tensor):
            layers.append((module, tuple(x.shape[1:])))
            raise _StopSynthesis

    _synthesize_with_hooks(G, lambda module: module.register_forward_pre_hook(record), G.w_avg[None])
    if not layers:
        raise BadModel("No layer of this generator takes the latent directly, which SeFa needs. Try --method pca.")
    return layers[0]


def _layer_outputs(G: Generator, layer: nn.Module, w: Tensor) -> Tensor:
    """Return the flattened outputs of a layer for latents `[N, w_dim]`, `[N, K]`."""
    outputs: list[Tensor] = []

    def record(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append(output)
        raise _StopSynthesis

    def hook(module: nn.Module) -> object:
        return module.register_forward_hook(record) if module is layer else None

    _synthesize_with_hooks(G, hook, w)
    return outputs[0].flatten(1).float()


def _synthesize_with_hooks(G: Generator, hook: Callable[[nn.Module], object], w: Tensor) -> None:
    """Run the generator once with hooks on its modules, until one raises `_StopSynthesis`; then remove the hooks."""
    handles = [handle for module in G.modules() if (handle := hook(module)) is not None]
    try:
        with torch.inference_mode(), suppress(_StopSynthesis):
            G.synthesis(w)
    finally:
        for handle in handles:
            handle.remove()  # type: ignore[attr-defined]


def _centered(x: Tensor) -> Tensor:
    return x - x.mean(0)


def _principal_axes(x: Tensor) -> Tensor:
    """Return unit vectors `[K, d]` along which `[N, d]` varies, the largest variance first."""
    axes: Tensor = torch.linalg.svd(_centered(x), full_matrices=False)[2]
    return axes


def _scaled(axes: Tensor, w: Tensor, count: int) -> Tensor:
    """Return the first unit vectors, scaled to two standard deviations of latents, their largest entry positive."""
    axes = axes[:count]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    lengths: Tensor = DEVIATIONS * (_centered(w) @ axes.T).std(0)
    steps: Tensor = axes * lengths[:, None]
    return steps
