"""Moving averages of the networks, and the networks that are saved and sampled."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facesmith.faces import Stream
from facesmith.gan.contracts import Generator, Knobs
from facesmith.gan.vae import reparameterize
from facesmith.latent.from_seeds import average_latent, draw_latents
from facesmith.training.state import TrainState

CALIBRATION_BATCHES, CALIBRATION_BATCH_SIZE = 8, 64
PRIOR_BATCHES = 32  # faces to which a prior is fitted: about twenty for each number of a latent
CALIBRATION_SEED = 20_160_000


@torch.no_grad()
def update_averages(state: TrainState, knobs: Knobs, new_images: int) -> None:
    """Move the averages towards the networks after `new_images` images; buffers are copied. In place."""
    if new_images == 0:
        return
    half_life = knobs.ema_share * state.seen
    weight = 1.0 - 0.5 ** (new_images / half_life) if half_life else 1.0
    for name, average in state.averages.items():
        torch._foreach_lerp_(list(average.parameters()), list(state.nets[name].parameters()), weight)
        for averaged, current in zip(average.buffers(), state.nets[name].buffers(), strict=True):
            averaged.copy_(current)


@torch.no_grad()
def inference_networks(state: TrainState) -> nn.ModuleDict:
    """Copies of the averaged networks, ready to be saved and sampled: in evaluation mode, with statistics of their own.

    The BatchNorm statistics of the training networks don't fit averaged weights. They are estimated again: from a
    fixed sample of faces for networks that take images, from latents for the generator. So is `w_avg`.
    """
    nets = copy.deepcopy(state.averages).eval()
    for net in nets.values():
        if not isinstance(net, Generator):
            faces = _calibration_faces(state)
            estimate_batch_norm(net, net, (next(faces) for _ in range(CALIBRATION_BATCHES)))
    G = nets["G"]
    assert isinstance(G, Generator)
    rng = torch.Generator().manual_seed(CALIBRATION_SEED)
    estimate_batch_norm(G, G.synthesis, _calibration_latents(state, nets, rng))
    if "E" in nets and G.fits_prior:
        faces = _calibration_faces(state)
        encoded = (nets["E"](next(faces)) for _ in range(PRIOR_BATCHES))
        G.fit_prior(torch.cat([reparameterize(mean, log_variance, rng) for mean, log_variance in encoded]))
    G.w_avg.copy_(average_latent(G, rng))
    return nets


def estimate_batch_norm(net: nn.Module, forward: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every BatchNorm layer to their plain mean over these batches; in place."""
    norms = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all following batches
        norm.train()
    for batch in batches:
        forward(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _calibration_faces(state: TrainState) -> Iterator[Tensor]:
    """The same batches of training faces every time, in an order that does not depend on the run."""
    stream = Stream(state.stream.pixels, state.stream.indices, seed=CALIBRATION_SEED, mirror=False)
    while True:
        yield stream.draw(CALIBRATION_BATCH_SIZE).to(state.device)


def _calibration_latents(state: TrainState, nets: nn.ModuleDict, rng: torch.Generator) -> Iterator[Tensor]:
    """Batches of `w` like those that the generator is trained on: random ones, encoded faces, or both in turn."""
    G, faces = nets["G"], _calibration_faces(state)
    assert isinstance(G, Generator)
    draws_latents = any(turn.n_fake for turn in state.recipe.turns(state.step))
    for number in range(CALIBRATION_BATCHES):
        if "E" in nets and (number % 2 or not draws_latents):
            mean, log_variance = nets["E"](next(faces))
            yield reparameterize(mean, log_variance, rng)
        else:
            yield draw_latents(G, CALIBRATION_BATCH_SIZE, rng)
