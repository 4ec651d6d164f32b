"""A program for torchrun that test_processes.py starts: trains small runs in all of its processes.

Run: python -m torch.distributed.run --nproc-per-node N tests/train_in_processes.py FACES OUT
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import QUIET, RESOLUTION, SMALL, small_state, stop_after

from facesmith.errors import NonFiniteLoss
from facesmith.faces import Stream
from facesmith.gan.balance import Balance
from facesmith.training.plan import TrainOptions
from facesmith.training.processes import ALONE, Processes, joined_processes
from facesmith.training.step import train_step
from facesmith.training.train import train

CPU = torch.device("cpu")


def options_for(recipe: str, faces: Path, out: Path) -> TrainOptions:
    values = SMALL.get(recipe, {"resolution": RESOLUTION})
    return TrainOptions(recipe, faces, out, values, kimg=0.24, save_every_kimg=0.08, precision="float32", threads=1)


def stop_and_resume(options: TrainOptions, rank: int) -> None:
    """Train without a break; then again, with a signal to the last process only, and resume."""
    train(replace(options, out=options.out / "straight"), QUIET)
    interrupted = replace(options, out=options.out / "interrupted")
    with pytest.MonkeyPatch.context() as patch:
        if rank:
            stop_after(2, patch)
        assert not train(interrupted, QUIET).finished
    assert train(interrupted, QUIET).finished


def gradient_difference(processes: Processes) -> float:
    """The largest difference between gradients on two half batches and on the whole batch in one process."""

    def gradients(images, processes):
        D = small_state("wgan-gp64").nets["D"]
        loss = D(images).square().mean()
        loss.backward()
        mean_loss = processes.average_gradients(D.parameters(), loss)
        return torch.cat([mean_loss[None], *(p.grad.flatten() for p in D.parameters())])

    whole = small_state().stream.draw(16)
    half = whole.chunk(processes.count)[processes.rank]
    alone = gradients(whole, ALONE)
    return float((gradients(half, processes) - alone).abs().max() / alone.abs().max())


def main() -> None:
    faces, out = Path(sys.argv[1]), Path(sys.argv[2])
    result = {}
    with joined_processes(CPU) as processes:
        rank = processes.rank
        result["gradient difference"] = gradient_difference(processes)
        # Each process sees other logits, whose mean decides.
        balance, logits = Balance("skip"), torch.full((4,), 9.0 * rank)
        result["decision"] = balance.decide(logits, -logits, processes.average)
        state = small_state()
        state.processes = processes
        state.stream = Stream(state.stream.pixels, state.stream.indices, seed=0, mirror=False, rank=rank, processes=2)
        result["first faces"] = state.stream.draw(8)[:, 0, 0, 0].tolist()
        # A loss that is not finite in one process stops all of them, before the weights change.
        if rank:
            finite_loss = state.objective.discriminator_loss
            state.objective.discriminator_loss = lambda *values: finite_loss(*values) * float("nan")
        before = [p.clone() for p in state.nets.parameters()]
        with suppress(NonFiniteLoss):
            train_step(state)
            result["went on"] = True
        result["unchanged"] = all(map(torch.equal, before, state.nets.parameters()))
    for recipe in sys.argv[3:]:
        stop_and_resume(options_for(recipe, faces, out / recipe), rank)
    (out / f"process {rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
