"""The state of a training, its step and its loop. It knows no recipe by name.

Every random choice of a step follows from seed and step alone, so step, seen and the stream's position are all that
resuming needs beside the tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from facesmith.errors import Diverged
from facesmith.faces import Stream
from facesmith.gan.contracts import Batch, Generator, Knobs, Loss, Objective, Player, Turn, current_level, set_level
from facesmith.gan.recipe import Recipe
from facesmith.gan.vae import reparameterize
from facesmith.latent.from_seeds import average_latent, draw_latents
from facesmith.latent.label_shares import draw_labels, store_label_shares
from facesmith.modelfiles.checkpoint import MODEL_FORMAT

SETTLING_BATCHES, SETTLING_BATCH = 8, 64
PRIOR_BATCHES = 32  # of faces whose latents are fitted: some twenty for each number of a latent
SETTLING_SEED = 20_160_000


@dataclass
class TrainState:
    """All of a training at one moment.

    Attributes:
        averages: moving averages of the networks that the recipe names; these are kept and sampled.
        budget: images; progress is `seen / budget`.
        step: counted from 0.
        seen: real faces shown to any player while training. The only clock.
        rollbacks: how often it went back to an earlier state; each halves the learning rates.
        warmup: share of the budget in which the learning rate of who trains the generator rises from 0.
    """

    recipe: Recipe
    nets: nn.ModuleDict
    averages: nn.ModuleDict
    players: dict[str, Player]
    optimizers: dict[str, Optimizer]
    objective: Objective
    stream: Stream
    seed: int
    budget: int
    precision: torch.dtype
    device: torch.device
    step: int = 0
    seen: int = 0
    rollbacks: int = 0
    warmup: float = 0.0

    @property
    def knobs(self) -> Knobs:
        progress = min(self.seen / self.budget, 1.0)
        knobs = self.recipe.knobs(progress)
        lr = {name: lr * self._share_of_lr(name, progress) for name, lr in knobs.lr.items()}
        # What has grown stays grown: a longer budget, or one begun from a model, would have it smaller by its shares.
        return replace(knobs, lr=lr, level=max(knobs.level, current_level(self.nets)))

    def _share_of_lr(self, player: str, progress: float) -> float:
        warm = progress / self.warmup if progress < self.warmup and "G" in self.players[player].nets else 1.0
        return warm * 0.5**self.rollbacks


def new_state(
    recipe: Recipe, stream: Stream, *, seed: int, budget: int, precision: torch.dtype, device: torch.device
) -> TrainState:
    """A training that has not begun. Draws the weights from `seed`; sets torch's global seed."""
    torch.manual_seed(seed)
    nets = nn.ModuleDict(recipe.networks()).to(device).to(memory_format=torch.channels_last)
    averages = nn.ModuleDict({name: copy.deepcopy(nets[name]) for name in recipe.averaged}).requires_grad_(False)
    players = recipe.players()
    optimizers = {
        name: player.optimizer([p for net in player.nets for p in nets[net].parameters()])
        for name, player in players.items()
    }
    objective = recipe.objective().to(device)
    state = TrainState(recipe, nets, averages, players, optimizers, objective, stream, seed, budget, precision, device)
    set_label_shares(state)
    return state


def set_label_shares(state: TrainState) -> None:
    """Let a conditional generator, and its average, know how labels are spread among its faces; in place."""
    G, average = state.nets["G"], state.averages["G"]
    assert isinstance(G, Generator)
    assert isinstance(average, Generator)
    if G.label_dim:
        assert state.stream.labels is not None
        once = np.unique(state.stream.indices)  # those of rare labels come several times in a pass
        store_label_shares(G, torch.from_numpy(state.stream.labels[once]))
        average.label_shares.copy_(G.label_shares)


def fit(state: TrainState, after_step: Callable[[dict[str, Tensor]], bool]) -> None:
    """Train to the end of the budget, or until `after_step` (given a step's terms) says that it is enough."""
    while state.seen < state.budget:
        if not after_step(train_step(state)):
            return


def train_step(state: TrainState) -> dict[str, Tensor]:
    """All turns of a step; the state is changed in place.

    Returns:
        The terms by name, detached, on the device: scalars, and what pictures a recipe shows.

    Raises:
        Diverged: a loss or a gradient is not finite; that player's weights were not touched.
    """
    knobs, seen_before = state.knobs, state.seen
    # Dropout and the like draw from the global generator, latents from their own.
    torch.manual_seed(_mixed(state.seed, state.step, 0))
    rng = torch.Generator().manual_seed(_mixed(state.seed, state.step, 1))
    set_level(state.nets, knobs.level)
    terms: dict[str, Tensor] = {}
    for turn in state.recipe.turns(state.step):
        terms |= play(state, turn, knobs, rng)
        if turn.phase == "train":
            state.seen += turn.n_real
    update_averages(state, knobs, state.seen - seen_before)
    state.step += 1
    return terms


def play(state: TrainState, turn: Turn, knobs: Knobs, rng: torch.Generator) -> dict[str, Tensor]:
    """Let each player of a turn take one step on the same batch; terms as in `train_step`."""
    set_trainable(state.nets, [net for name in turn.players for net in state.players[name].nets])
    batch = make_batch(state, turn, knobs, rng)
    terms: dict[str, Tensor] = {}
    for name in turn.players:
        # Gradients pass through the other networks, not into them.
        set_trainable(state.nets, state.players[name].nets)
        with autocast(state):
            loss = state.objective.loss(name, state.nets, batch)
        if loss.update:
            descend(state, name, loss, knobs.lr[name])
        terms |= {key: term.detach() for key, term in loss.terms.items()}
    return terms


def make_batch(state: TrainState, turn: Turn, knobs: Knobs, rng: torch.Generator) -> Batch:
    """The faces, latents and fakes of a turn."""
    G = state.nets["G"]
    assert isinstance(G, Generator)
    real, labels = state.stream.draw_with_labels(turn.n_real, replacement=turn.replacement)
    real, z = real.to(state.device), G.draw_z(turn.n_fake, rng).to(state.device)
    fake_labels = _labels_of_fakes(G, turn.n_fake, labels, rng)
    labels, fake_labels = (None if held is None else held.to(state.device) for held in (labels, fake_labels))
    with autocast(state):
        fake = G(z, fake_labels) if turn.n_fake else real[:0]
    return Batch(real, z, fake, labels, knobs, state.step, turn.phase, fake_labels)


def _labels_of_fakes(G: Generator, count: int, labels: Tensor | None, rng: torch.Generator) -> Tensor | None:
    """Those of the real faces beside them, so that both kinds have the same; for further fakes, drawn alike."""
    if labels is None:
        return None
    further = draw_labels(G, max(0, count - len(labels)), rng)
    assert further is not None
    return torch.cat([labels[:count], further])


def descend(state: TrainState, name: str, loss: Loss, lr: float) -> None:
    """One optimizer step of a player down its loss.

    Raises:
        Diverged: before the weights are touched.
    """
    optimizer, player = state.optimizers[name], state.players[name]
    optimizer.zero_grad()  # what an earlier player's loss may have left here is not this player's
    loss.total.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if not bool(torch.isfinite(norm + loss.total.detach())):
        optimizer.zero_grad()
        raise Diverged(
            f"Step {state.step}, {state.seen / 1000:.1f} kimg: player {name}'s loss is {loss.total.item():.3g} and its "
            f"gradient's norm {norm.item():.3g}",
            "its weights were left as they were, and the last save is whole. "
            f"Try a lower learning rate (now {lr:g}), or --precision float32, with another --out.",
        )
    if player.clip_norm is not None:
        clip_grads_with_norm_(parameters, player.clip_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()


def set_trainable(nets: nn.ModuleDict, names: Iterable[str]) -> None:
    """Let gradients into these networks and no other."""
    chosen = set(names)
    for name, net in nets.items():
        net.requires_grad_(name in chosen)


def autocast(state: TrainState) -> torch.autocast:
    """A fresh context each time: one that outlives an optimizer step would go on using the weights from before."""
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.precision == torch.bfloat16)


@torch.no_grad()
def update_averages(state: TrainState, knobs: Knobs, shown: int) -> None:
    """Move the averages towards the networks by what `shown` images weigh; buffers are copied."""
    if shown == 0:
        return
    halflife = knobs.ema_share * state.seen
    weight = 1.0 - 0.5 ** (shown / halflife) if halflife else 1.0
    for name, average in state.averages.items():
        torch._foreach_lerp_(list(average.parameters()), list(state.nets[name].parameters()), weight)
        for kept, buffer in zip(average.buffers(), state.nets[name].buffers(), strict=True):
            kept.copy_(buffer)


@torch.no_grad()
def inference_networks(state: TrainState) -> nn.ModuleDict:
    """Copies of the averages as they are kept: in evaluation mode, with statistics of their own.

    An average of weights has seen no batch, so its BatchNorm statistics are those of other weights: they are estimated
    anew with fixed faces, for networks that take pictures, and with latents such as the generator is trained on. So is
    `w_avg`.
    """
    nets = copy.deepcopy(state.averages).eval()
    for net in nets.values():
        if not isinstance(net, Generator):
            faces = _settling_faces(state)
            estimate_batch_norm(net, net, (next(faces) for _ in range(SETTLING_BATCHES)))
    G = nets["G"]
    assert isinstance(G, Generator)
    rng = torch.Generator().manual_seed(SETTLING_SEED)
    estimate_batch_norm(G, G.synthesis, _settling_latents(state, nets, rng))
    if "E" in nets and G.fits_prior:
        faces = _settling_faces(state)
        encoded = (nets["E"](next(faces)) for _ in range(PRIOR_BATCHES))
        G.fit_prior(torch.cat([reparameterize(mean, log_variance, rng) for mean, log_variance in encoded]))
    G.w_avg.copy_(average_latent(G, rng))
    return nets


def _settling_faces(state: TrainState) -> Iterator[Tensor]:
    again = Stream(state.stream.pixels, state.stream.indices, seed=SETTLING_SEED, mirror=False)  # by pictures alone
    while True:
        yield again.draw(SETTLING_BATCH).to(state.device)


def _settling_latents(state: TrainState, nets: nn.ModuleDict, rng: torch.Generator) -> Iterator[Tensor]:
    """`w` drawn, where a turn of the recipe draws any, and encoded, where it has an encoder; or both in turn."""
    G, faces = nets["G"], _settling_faces(state)
    assert isinstance(G, Generator)
    drawn = any(turn.n_fake for turn in state.recipe.turns(state.step))
    for number in range(SETTLING_BATCHES):
        if "E" in nets and (number % 2 or not drawn):
            mean, log_variance = nets["E"](next(faces))
            yield reparameterize(mean, log_variance, rng)
        else:
            yield draw_latents(G, SETTLING_BATCH, rng)


def estimate_batch_norm(net: nn.Module, forward: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
    """Set the running statistics of BatchNorm to their plain mean over these batches, sent forward; in place."""
    norms = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean of all that follows
        norm.train()
    for batch in batches:
        forward(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def state_dict(state: TrainState) -> dict[str, Any]:
    """All that resuming needs, as tensors and plain values."""
    return {
        "format": MODEL_FORMAT,
        "nets": state.nets.state_dict(),
        "averages": state.averages.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in state.optimizers.items()},
        "objective": state.objective.state_dict(),
        "position": state.stream.position,
        "budget": state.budget,
        "step": state.step,
        "seen": state.seen,
        "rollbacks": state.rollbacks,
    }


def load_state_dict(state: TrainState, saved: dict[str, Any]) -> None:
    """Put a saved training into a new state of the same recipe; in place."""
    state.nets.load_state_dict(saved["nets"])
    state.averages.load_state_dict(saved["averages"])
    for name, optimizer in state.optimizers.items():
        optimizer.load_state_dict(saved["optimizers"][name])
    state.objective.load_state_dict(saved["objective"])
    state.stream.position = saved["position"]
    state.budget, state.step, state.seen = saved["budget"], saved["step"], saved["seen"]
    state.rollbacks = saved["rollbacks"]


def _mixed(*numbers: int) -> int:
    """One seed of several numbers, as unlike its neighbours' as can be."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
