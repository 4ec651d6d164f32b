"""Moving averages (EMA) of the networks, and the networks that are saved and sampled."""

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
PRIOR_BATCHES = 32  # of 64 faces each: about 20 faces for each of the 100 dimensions of vae64's latent
CALIBRATION_SEED = 20_160_000  # any fixed number


@torch.no_grad()
def update_averages(state: TrainState, knobs: Knobs, new_images: int) -> None:
    """Update the moving averages after `new_images` images, in place; buffers are copied.

    The half-life is `knobs.ema_share` of the images seen, as in the ramp-up of Karras et al. 2020, arXiv:1912.04958.
    """
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
    """Copies of the averaged networks in evaluation mode, to be saved and sampled.

    The BatchNorm statistics of the training networks don't fit averaged weights. So they are estimated again:
    from latents for the generator, from a fixed sample of faces for an encoder. `w_avg` is estimated again, too.
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
    """Batches of `w` like those that the generator is trained on: random ones, encoded faces, or both, alternating."""
    G, faces = nets["G"], _calibration_faces(state)
    assert isinstance(G, Generator)
    draws_latents = any(turn.n_fake for turn in state.recipe.turns(state.step))
    for number in range(CALIBRATION_BATCHES):
        if "E" in nets and (number % 2 or not draws_latents):
            mean, log_variance = nets["E"](next(faces))
            yield reparameterize(mean, log_variance, rng)
        else:
            yield draw_latents(G, CALIBRATION_BATCH_SIZE, rng)
