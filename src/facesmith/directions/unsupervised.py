"""Directions of models without labels: those along which latents, or what the first layer makes of them, vary most.

Papers: Härkönen et al. 2020, "GANSpace", arXiv:2004.02546, section 2.1 (PCA); Shen and Zhou 2021, "Closed-Form
Factorization of Latent Semantics in GANs", arXiv:2007.06600, equation 5 (SeFa).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facesmith.errors import BadModel
from facesmith.gan.contracts import Generator

DEVIATIONS = 2.0  # of the latents along a direction: how far strength 1 goes
FACES_EACH = 16  # latents that go through the first layer at a time
MOST_NUMBERS = 4096  # of a first layer's output that PCA looks at


def pca(G: Generator, w: Tensor, count: int) -> Tensor:
    """`[count, w_dim]` of latents `[N, w_dim]`.

    Where the generator has a mapping of its own, the directions in which `w` varies most; else (and where `w` is z with
    labels beside it) all vary alike, and it is those in which the first layer's output does.
    """
    if type(G).mapping is not Generator.mapping and not G.label_dim:
        return _scaled(_components(w), w, count)
    module, _ = first_layer(G)
    outputs = torch.cat([_outputs(G, module, some) for some in torch.split(w, FACES_EACH)])
    picked = torch.linspace(0, outputs.shape[1] - 1, min(MOST_NUMBERS, outputs.shape[1])).long()
    scores = _centred(outputs[:, picked]) @ _components(outputs[:, picked])[: G.w_dim].T  # [N, K]
    # Which step of w goes with each component: least squares of w on the components (the paper's equation 3).
    steps = torch.linalg.lstsq(scores / scores.std(0).clamp_min(1e-9), _centred(w)).solution
    return _scaled(steps / steps.norm(dim=1, keepdim=True).clamp_min(1e-12), w, count)


def sefa(G: Generator, w: Tensor, count: int) -> Tensor:
    """`[count, w_dim]`: steps that the weights which take `w` lengthen most.

    Args:
        w: latents `[N, w_dim]`, whose spread says how long a step is.
    """
    module, shape = first_layer(G)
    unit = torch.eye(G.w_dim).reshape(-1, *shape)
    with torch.inference_mode():
        # The layer is affine, so its weight is what it makes of each unit, whatever the form that it is kept in.
        still = module(torch.zeros(1, *shape))
        rows = torch.cat([module(part) - still for part in torch.split(unit, FACES_EACH)])
    _, _, axes = torch.linalg.svd(rows.flatten(1).T.double(), full_matrices=False)
    return _scaled(axes.float(), w, count)


def first_layer(G: Generator) -> tuple[nn.Module, tuple[int, ...]]:
    """The first module with a weight that takes a latent, and in which shape.

    Raises:
        BadModel: there is none.
    """
    found: list[tuple[nn.Module, tuple[int, ...]]] = []

    def look(module: nn.Module, inputs: tuple[object, ...]) -> None:
        x = inputs[0] if inputs else None
        if isinstance(x, Tensor) and x[0].numel() == G.w_dim and isinstance(getattr(module, "weight", None), Tensor):
            found.append((module, tuple(x.shape[1:])))

    _watched(G, lambda module: module.register_forward_pre_hook(look), G.w_avg[None])
    if not found:
        raise BadModel("No layer of this generator takes its latent as it is, so SeFa can't be done. Try --method pca.")
    return found[0]


def _outputs(G: Generator, module: nn.Module, w: Tensor) -> Tensor:
    """What a module gives for latents `[N, w_dim]`, flat: `[N, K]`."""
    condition: list[Tensor] = []
    _watched(
        G,
        lambda each: each.register_forward_hook(lambda *told: condition.append(told[2])) if each is module else None,
        w,
    )
    return condition[0].flatten(1).float()


def _watched(G: Generator, hook: Callable[[nn.Module], object], w: Tensor) -> None:
    """One synthesis with hooks on all modules, which are gone afterwards."""
    handles = [handle for module in G.modules() if (handle := hook(module)) is not None]
    try:
        with torch.inference_mode():
            G.synthesis(w)
    finally:
        for handle in handles:
            handle.remove()  # type: ignore[attr-defined]


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(0)


def _components(x: Tensor) -> Tensor:
    """Unit vectors `[K, d]` along which `[N, d]` varies, most first."""
    axes: Tensor = torch.linalg.svd(_centred(x), full_matrices=False)[2]
    return axes


def _scaled(axes: Tensor, w: Tensor, count: int) -> Tensor:
    """The first unit vectors, as long as two deviations of latents along them, their largest number positive."""
    axes = axes[:count]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    lengths: Tensor = DEVIATIONS * (_centred(w) @ axes.T).std(0)
    steps: Tensor = axes * lengths[:, None]
    return steps
