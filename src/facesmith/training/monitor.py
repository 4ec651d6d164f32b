"""What a person sees of a run: a progress line, sample sheets, curves, a log of JSON lines, TensorBoard."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from facesmith.io.images import Pixels, grid, to_uint8, write_png
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.modelfiles.run_folder import (
    CURVES,
    LOG,
    RECIPE_SHEETS,
    RECONSTRUCTIONS,
    SCORES,
    SHEET,
    SHEETS,
    read_log,
    sheets,
    write_log,
)
from facesmith.training import memory
from facesmith.training.curves import draw_curves, draw_scores
from facesmith.training.diagnosis import LEVEL, LOOKED_AT, VARIETY, Problem, diagnose, signs, thumbnails
from facesmith.training.discriminator_scores import MOST, Scores, discriminator_scores, training_faces
from facesmith.training.reconstructions import MEASURED, write_reconstructions
from facesmith.training.trainer import TrainState
from facesmith.training.validation import BEST_BEFORE, best_so_far

FIXED_SEEDS = range(64)
TENSORBOARD_PICTURES = 32
HELD_OUT = MOST  # faces that are not trained on, at most
REDRAW_SECONDS = 0.5


class Monitor:
    """Follows a training and tells of it; used as a context manager.

    Args:
        out: the run folder. What a killed run wrote after its last save is taken back.
        state: read, never changed.
        faces: some of the real faces, uint8 `[N, S, S, C]`, shown beside the generated ones.
        seconds: spent training before this start.
        held_out: faces that are not trained on, to be reconstructed and judged; there may be none.
        held_out_labels: theirs, where the recipe is conditional.
    """

    def __init__(
        self,
        out: Path,
        state: TrainState,
        faces: Pixels,
        seconds: float,
        console: Console,
        held_out: Pixels | None = None,
        held_out_labels: NDArray[np.float32] | None = None,
    ) -> None:
        self.out, self.state, self.faces, self.console, self.held_out = out, state, faces, console, held_out
        self.held_out_labels = held_out_labels
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = defaultdict(int)
        self.said: set[str] = set()
        self.lines, self.tensorboard = self._taken_back()
        self.real = thumbnails(training_faces(state, LOOKED_AT))
        self.started = self.last_drawn = self.tick_started = time.monotonic()
        self.seconds_before, self.tick_seen, self.first_seen = seconds, state.seen, state.seen
        self.progress, self.task = _progress(console, state)

    def __enter__(self) -> Monitor:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        self.tensorboard.close()

    @property
    def seconds(self) -> float:
        """Spent training so far, over all starts."""
        return self.seconds_before + time.monotonic() - self.started

    def step(self, terms: Mapping[str, Tensor]) -> None:
        """Take note of a step's terms. Scalars stay on the device until they are shown; pictures are kept at once."""
        for name, term in terms.items():
            if term.ndim:
                self._show(name, term)
                continue
            self.sums[name] = self.sums.get(name, 0) + term.float()
            self.counts[name] += 1
        now = time.monotonic()
        if now - self.last_drawn >= REDRAW_SECONDS:
            self.last_drawn = now
            rate = (self.state.seen - self.first_seen) / (now - self.started)
            words = _words(self._means(), rate)
            self.progress.update(self.task, completed=self.state.seen, words=words, kimg=_kimg(self.state))

    def tick(self, nets: nn.ModuleDict) -> list[Problem]:
        """Write everything down, with pictures of the settled averages.

        Returns:
            What is wrong with the game, as the doctor sees it; told to the person where it is new.
        """
        state, now = self.state, time.monotonic()
        memory.tidy()
        means = self._means()
        rate = (state.seen - self.tick_seen) / max(now - self.tick_started, 1e-9)
        line: dict[str, Any] = {
            "seen": state.seen,
            "step": state.step,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(rate, 1),
            "memory_mib": memory.used_mib(),
            **{f"lr/{name}": lr for name, lr in state.knobs.lr.items()},
            **({LEVEL: state.knobs.level} if state.recipe.knobs(0.0).level < 1 else {}),  # it grows
            **means,
        }
        scores = discriminator_scores(state, state.seen - self.tick_seen, self.held_out, self.held_out_labels)
        if scores is not None:
            line |= {**scores.standing(), "scores": asdict(scores.histogram())}
            draw_scores(self.out / SCORES, scores.histogram(), f"{state.recipe.name}, {state.seen / 1000:.1f} kimg")
        if "E" in nets and self.held_out is not None and len(self.held_out):
            line |= write_reconstructions(self.out, nets, self.held_out[:MEASURED], state.seen)
        pictures = synthesize_seeds(nets["G"], FIXED_SEEDS)
        problems = self._examine(line, pictures) if "D" in state.nets else []
        self.lines.append(line)
        write_log(self.out / LOG, self.lines)
        self._draw(pictures)
        draw_curves(self.out / CURVES, self.lines, state.recipe.name)
        self._log_to_tensorboard(line, scores, grid(pictures[:TENSORBOARD_PICTURES]))
        if not self.console.is_terminal:
            left = self._minutes_left(now)
            self.console.print(f"{state.seen / 1000:8.1f} kimg  {left}{_words(means, rate)}", soft_wrap=True)
        self._tell(problems)
        self._begin_tick()
        return problems

    def rolled_back(self, names: str, come_from: int) -> None:
        """The state is an earlier one now: what was written since is taken back, and the log tells of it."""
        self.tensorboard.close()
        best = best_so_far(self.lines)
        self.lines, self.tensorboard = self._taken_back()
        line = {"seen": self.state.seen, "rolled_back_from": come_from, "troubles": names}
        self.lines.append(line | ({BEST_BEFORE: best} if best < inf else {}))
        write_log(self.out / LOG, self.lines)
        if kept := sheets(self.out):
            shutil.copyfile(kept[-1], self.out / SHEET)
        draw_curves(self.out / CURVES, self.lines, self.state.recipe.name)
        # Reset: a bar that has been full shows the time that it took, for ever.
        self.progress.reset(self.task, completed=self.state.seen, words="", kimg=_kimg(self.state))
        self._begin_tick()
        # Speed and progress count from here.
        self.started, self.seconds_before, self.first_seen = time.monotonic(), self.seconds, self.state.seen

    def say_once(self, words: str) -> None:
        """Tell the person what is true for the rest of the run."""
        if words not in self.said:
            self.said.add(words)
            self.console.print(words, soft_wrap=True, highlight=False)

    def evaluated(self, numbers: Mapping[str, float], *, is_best: bool) -> None:
        """Take note of an evaluation: a line of its own, written down with the next tick."""
        self.lines.append({"seen": self.state.seen, **numbers})
        for name, number in numbers.items():
            self.tensorboard.add_scalar(name, number, self.state.seen)
        told = "  ".join(f"{name.removeprefix('eval/')} {number:.4g}" for name, number in numbers.items())
        words = f"{self.state.seen / 1000:8.1f} kimg  evaluated: {told}{'  the best so far' if is_best else ''}"
        self.console.print(words, soft_wrap=True, highlight=False)

    def _minutes_left(self, now: float) -> str:
        """What the progress bar says where there is none."""
        shown, images = self.state.seen - self.first_seen, self.state.budget - self.state.seen
        return f"{images * (now - self.started) / shown / 60:.0f} min left  " if shown and images > 0 else ""

    def _means(self) -> dict[str, float]:
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def _taken_back(self) -> tuple[list[dict[str, Any]], SummaryWriter]:
        """The log up to the state's moment; what is there from a later one is removed."""
        lines = [line for line in read_log(self.out / LOG)[0] if line["seen"] <= self.state.seen]
        write_log(self.out / LOG, lines)
        for sheet in [path for folder in (SHEETS, RECONSTRUCTIONS, RECIPE_SHEETS) for path in sheets(self.out, folder)]:
            if int(sheet.stem) > self.state.seen:
                sheet.unlink()
        return lines, SummaryWriter(str(self.out / "tensorboard"), purge_step=self.state.seen + 1)

    def _begin_tick(self) -> None:
        self.sums.clear()
        self.counts.clear()
        self.tick_started, self.tick_seen = time.monotonic(), self.state.seen

    def _examine(self, line: dict[str, Any], pictures: Pixels) -> list[Problem]:
        """Take the signs into the line, and diagnose."""
        line |= signs(thumbnails(pictures), self.real)
        problems = diagnose([*self.lines, line], self.state.budget)
        if problems:
            line["troubles"] = ", ".join(problem.name for problem in problems)
        return problems

    def _tell(self, problems: list[Problem]) -> None:
        """Say what is wrong, once, until it has passed."""
        told = next((str(line.get("troubles", "")) for line in self.lines[-2::-1] if VARIETY in line), "")
        for problem in problems:
            if problem.name not in told:
                self.console.print(f"doctor: {problem}", soft_wrap=True, highlight=False, markup=False)

    def _show(self, name: str, term: Tensor) -> None:
        """Keep the pictures `[N, C, H, W]` that a recipe shows, side by side."""
        row = grid(to_uint8(term).cpu().numpy(), len(term))
        write_png(self.out / RECIPE_SHEETS / f"{self.state.seen:09d}.png", row, self._provenance)
        self.tensorboard.add_image(name, row, self.state.seen, dataformats="HWC")

    @property
    def _provenance(self) -> dict[str, str]:
        return {"Software": "facesmith", "Synthetic": "true", "Recipe": self.state.recipe.name}

    def _draw(self, pictures: Pixels) -> None:
        sheet = grid(pictures)
        write_png(self.out / SHEETS / f"{self.state.seen:09d}.png", sheet, self._provenance)
        write_png(self.out / SHEET, sheet, self._provenance)

    def _log_to_tensorboard(self, line: Mapping[str, Any], scores: Scores | None, fake: Pixels) -> None:
        for name, held in line.items():
            if isinstance(held, int | float):
                self.tensorboard.add_scalar(name, held, self.state.seen)
        if scores is not None:
            self.tensorboard.add_histogram("D(x)", scores.real, self.state.seen)
            self.tensorboard.add_histogram("D(G(z))", scores.fake, self.state.seen)
        self.tensorboard.add_image("fake", fake, self.state.seen, dataformats="HWC")
        real = grid(self.faces[:TENSORBOARD_PICTURES])
        self.tensorboard.add_image("real", real, self.state.seen, dataformats="HWC")
        self.tensorboard.flush()


def _progress(console: Console, state: TrainState) -> tuple[Progress, TaskID]:
    columns = (
        TextColumn("{task.fields[kimg]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[words]}"),
    )
    shown = Progress(
        *columns, console=console, disable=console.quiet or not console.is_terminal, speed_estimate_period=120
    )
    return shown, shown.add_task("", total=state.budget, completed=state.seen, words="", kimg=_kimg(state))


def _kimg(state: TrainState) -> str:
    return f"{state.seen / 1000:.1f}/{state.budget / 1000:g} kimg"


def _words(means: Mapping[str, float], rate: float) -> str:
    """A run's present state in a line: speed, losses, how often each player wins."""
    words = [f"{rate:.0f} img/s"]
    words += [f"{name.removesuffix('/loss')} {held:.2f}" for name, held in means.items() if name.endswith("/loss")]
    names = {
        "D/accuracy_real": "knows real",
        "D/accuracy_fake": "knows fake",
        "D/auc": "ranks",
        "G/fooling_rate": "fooled by G",
    }
    words += [f"{text} {means[name]:.0%}" for name, text in names.items() if name in means]
    return "  ".join(words)
