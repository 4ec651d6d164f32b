"""One training step, for any recipe.

A step looks up the scheduled values. For each turn it makes one batch, and each player of the turn computes its loss
and updates its networks. At the end the moving averages are updated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from facesmith.errors import NonFiniteLoss
from facesmith.gan.contracts import Batch, Generator, Knobs, Loss, Turn, set_level
from facesmith.latent.label_shares import draw_labels
from facesmith.training.averages import update_averages
from facesmith.training.state import TrainState


def train_step(state: TrainState) -> dict[str, Tensor]:
    """Run all turns of one step; the state is changed in place.

    Returns:
        The loss terms by name, detached, on the device: scalars, and images `[N, C, H, W]` that the objective logs.
        A scalar of several turns is their mean.

    Raises:
        NonFiniteLoss: a loss or a gradient is not finite; the weights of that player were not changed.
    """
    knobs, seen_before = state.knobs, state.seen
    # Dropout and augmentation use torch's global random number generator; latents and labels use `rng`.
    rank = state.processes.rank  # each process draws other random numbers
    torch.manual_seed(_mix_seeds(state.seed, state.step, 0, rank))
    rng = torch.Generator().manual_seed(_mix_seeds(state.seed, state.step, 1, rank))
    set_level(state.nets, knobs.level)
    terms: dict[str, list[Tensor]] = defaultdict(list)
    for turn in state.recipe.turns(state.step):
        for name, term in run_turn(state, turn, knobs, rng).items():
            terms[name].append(term)
        if turn.phase == "train":
            state.seen += turn.n_real * state.processes.count
    update_averages(state, knobs, state.seen - seen_before)
    state.step += 1
    return {name: values[-1] if values[-1].ndim else torch.stack(values).mean() for name, values in terms.items()}


def run_turn(state: TrainState, turn: Turn, knobs: Knobs, rng: torch.Generator) -> dict[str, Tensor]:
    """Update the networks of each player of a turn on one batch; returns loss terms as `train_step` does."""
    # The fakes need a gradient graph if a player of this turn trains G, because that player's loss uses them.
    set_trainable(state.nets, [net for name in turn.players for net in state.players[name].nets])
    batch = make_batch(state, turn, knobs, rng)
    terms: dict[str, Tensor] = {}
    for name in turn.players:
        # In the graph of the loss, only this player's networks require gradients. That of the fakes exists already.
        set_trainable(state.nets, state.players[name].nets)
        with autocast(state):
            loss = state.objective.loss(name, state.nets, batch)
        if loss.update:
            optimizer_step(state, name, loss, knobs.lr[name])
        terms |= {key: term.detach() for key, term in loss.terms.items()}
    return terms


def make_batch(state: TrainState, turn: Turn, knobs: Knobs, rng: torch.Generator) -> Batch:
    """The real images, latents and fakes of a turn."""
    G = state.nets["G"]
    assert isinstance(G, Generator)
    real, labels = state.stream.draw_with_labels(turn.n_real, replacement=turn.replacement)
    real, z = real.to(state.device), G.draw_z(turn.n_fake, rng).to(state.device)
    fake_labels = _labels_for_fakes(G, turn.n_fake, labels, rng)
    labels, fake_labels = (None if each is None else each.to(state.device) for each in (labels, fake_labels))
    with autocast(state):
        fake = G(z, fake_labels) if turn.n_fake else real[:0]
    return Batch(real, z, fake, labels, knobs, state.step, turn.phase, fake_labels)


def _labels_for_fakes(G: Generator, count: int, labels: Tensor | None, rng: torch.Generator) -> Tensor | None:
    """Labels for the fakes: those of the batch's real images. For further fakes they are drawn at random."""
    if labels is None:
        return None
    extra = draw_labels(G, max(0, count - len(labels)), rng)
    assert extra is not None
    return torch.cat([labels[:count], extra])


def optimizer_step(state: TrainState, name: str, loss: Loss, lr: float) -> None:
    """Take one optimizer step of a player, on the mean of the gradients of all processes.

    Raises:
        NonFiniteLoss: the loss or the gradient is not finite; raised before the weights change.
    """
    optimizer, player = state.optimizers[name], state.players[name]
    # The graph of the fakes was made while G required gradients. If a loss of D does not detach the fakes, it leaves
    # gradients in G.
    optimizer.zero_grad()
    loss.total.backward()  # type: ignore[no-untyped-call]
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    total = state.processes.average_gradients(parameters, loss.total)
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if not bool(torch.isfinite(norm + total)):
        optimizer.zero_grad()
        raise NonFiniteLoss(
            f"At step {state.step} ({state.seen / 1000:.1f} kimg) the loss of {name} is "
            f"{total.item():.3g}, its gradient norm {norm.item():.3g}",
            "the last checkpoint is intact. "
            f"Try a lower learning rate (now {lr:g}) or --precision float32, in a new --out.",
        )
    if player.clip_norm is not None:
        clip_grads_with_norm_(parameters, player.clip_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()


def set_trainable(nets: nn.ModuleDict, names: Iterable[str]) -> None:
    """Enable gradients for the weights of these networks and of no others."""
    trainable = set(names)
    for name, net in nets.items():
        net.requires_grad_(name in trainable)


def autocast(state: TrainState) -> torch.autocast:
    """A new autocast context. It caches cast weights, so one context must not outlive an optimizer step."""
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.precision == torch.bfloat16)


def _mix_seeds(*numbers: int) -> int:
    """One seed from several numbers; neighboring numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
