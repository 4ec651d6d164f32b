"""The state of a run: networks, averages, optimizers and counters.

Every random choice of a step follows from the seed and the step number. So no state of a random number generator is
saved. Resuming needs the tensors, the counters and the position of the data stream.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from facesmith.faces import Stream
from facesmith.gan.contracts import Generator, Knobs, Objective, Player, current_level
from facesmith.gan.recipe import Recipe
from facesmith.latent.label_shares import store_label_shares
from facesmith.modelfiles.checkpoint import MODEL_FORMAT
from facesmith.training.processes import ALONE, Processes


@dataclass
class TrainState:
    """The state of a run at one moment.

    Attributes:
        nets: the trained networks by name, such as "G" and "D".
        averages: moving averages (EMA) of those in `recipe.averaged`, such as G_ema; these are saved and sampled.
        budget: images.
        replanned_at: the images seen and the progress when the budget last changed. From there, progress grows
            linearly to 1 at the end of the budget.
        step: counted from 0.
        seen: real images shown to any player in the phase "train", in all processes. The only clock.
        rollbacks: how often the run was rolled back; each halves the learning rates.
        average: whether saved weights are averages; otherwise they are the current weights.
        warmup: fraction of the budget over which the learning rate of G's player is warmed up from 0.
        processes: those that train together.
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
    average: bool = True
    warmup: float = 0.0
    replanned_at: tuple[int, float] = (0, 0.0)
    processes: Processes = ALONE

    @property
    def progress(self) -> float:
        """How much of the schedule is done, from 0 to 1."""
        seen, progress = self.replanned_at
        if self.seen >= self.budget:
            return 1.0
        return progress + (1 - progress) * (self.seen - seen) / (self.budget - seen)

    def change_budget(self, budget: int) -> None:
        """Continue from the current progress to the end of another budget of at least `seen` images."""
        self.replanned_at = (self.seen, self.progress)
        self.budget = budget

    @property
    def knobs(self) -> Knobs:
        """The recipe's scheduled values, with warm-up and rollbacks applied to the learning rates."""
        progress = self.progress
        knobs = self.recipe.knobs(progress)
        lr = {name: lr * self._lr_factor(name, progress) for name, lr in knobs.lr.items()}
        # A grown network never shrinks again, even if a longer budget or fine-tuning restarts the schedule.
        ema_share = knobs.ema_share if self.average else 0.0
        return replace(knobs, lr=lr, ema_share=ema_share, level=max(knobs.level, current_level(self.nets)))

    def _lr_factor(self, player: str, progress: float) -> float:
        is_warming_up = progress < self.warmup and "G" in self.players[player].nets
        warm = progress / self.warmup if is_warming_up else 1.0
        return warm * 0.5**self.rollbacks


def new_state(
    recipe: Recipe,
    stream: Stream,
    *,
    seed: int,
    budget: int,
    precision: torch.dtype,
    device: torch.device,
    processes: Processes = ALONE,
) -> TrainState:
    """A run at step 0. Initializes the weights from `seed` and sets torch's global seed."""
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
    state.processes = processes
    if processes.count > 1:
        objective.average = processes.average
    set_label_shares(state)
    return state


def set_label_shares(state: TrainState) -> None:
    """Store in a conditional generator, and in its average, how often each label occurs in the data; in place."""
    G, G_ema = state.nets["G"], state.averages["G"]
    assert isinstance(G, Generator)
    assert isinstance(G_ema, Generator)
    if G.label_dim:
        assert state.stream.labels is not None
        rows = np.unique(state.stream.indices)  # faces with rare labels occur several times in an epoch
        store_label_shares(G, torch.from_numpy(state.stream.labels[rows]))
        G_ema.label_shares.copy_(G.label_shares)


def state_dict(state: TrainState) -> dict[str, Any]:
    """Everything that resuming needs, as tensors and plain values."""
    return {
        "format": MODEL_FORMAT,
        "nets": state.nets.state_dict(),
        "averages": state.averages.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in state.optimizers.items()},
        "objective": state.objective.state_dict(),
        "position": state.stream.position,
        "budget": state.budget,
        "replanned_at": state.replanned_at,
        "step": state.step,
        "seen": state.seen,
        "rollbacks": state.rollbacks,
    }


def load_state_dict(state: TrainState, saved: dict[str, Any]) -> None:
    """Restore a saved state, in place. The recipe must be the same."""
    state.nets.load_state_dict(saved["nets"])
    state.averages.load_state_dict(saved["averages"])
    for name, optimizer in state.optimizers.items():
        optimizer.load_state_dict(saved["optimizers"][name])
    state.objective.load_state_dict(saved["objective"])
    state.stream.position = saved["position"]
    state.budget, state.step, state.seen = saved["budget"], saved["step"], saved["seen"]
    state.rollbacks, state.replanned_at = saved["rollbacks"], tuple(saved["replanned_at"])


def share_state(state: TrainState, processes: Processes) -> None:
    """Give all processes the state of the first one, in place."""
    if processes.count > 1:
        saved = processes.from_first(state_dict(state) if processes.is_first else None)
        if not processes.is_first:
            assert saved is not None
            load_state_dict(state, saved)
