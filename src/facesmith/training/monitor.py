"""What a user sees of a run: a progress line, sample sheets, curves, a log of JSON lines, TensorBoard."""

from __future__ import annotations

import ctypes
import gc
import shutil
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import asdict
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from facesmith.gan.recipe import CONSOLE_STEPS
from facesmith.io.files import naming_errors
from facesmith.io.progress import LineClock, duration, shows_bars, shows_lines
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.modelfiles.run_folder import (
    CURVES,
    LOG,
    RECIPE_SHEETS,
    RECONSTRUCTIONS,
    SCORES,
    SHEET,
    SHEETS,
    TENSORBOARD,
    read_log,
    sheets,
    write_log,
)
from facesmith.pictures.images import Pixels, grid, to_uint8, write_png
from facesmith.training.curves import draw_curves, draw_scores
from facesmith.training.diagnosis import (
    LEVEL,
    MAX_REAL_FACES,
    VARIETY,
    Problem,
    diagnose,
    sample_statistics,
    thumbnails,
)
from facesmith.training.discriminator_scores import MAX_SCORES, Scores, discriminator_scores, training_faces
from facesmith.training.loss_history import LossHistory
from facesmith.training.reconstructions import MEASURED_FACES, write_reconstructions
from facesmith.training.state import TrainState
from facesmith.training.validation import BEST_BEFORE_ROLLBACK, best_kid
from facesmith.watermark.marking import DEFAULT_MARKING

FIXED_SEEDS = range(64)
TENSORBOARD_IMAGES, TENSORBOARD_COLUMNS = 32, 8
MAX_HELD_OUT = MAX_SCORES
REFRESH_SECONDS = 0.5
MEMORY_RELEASE_SECONDS = 5.0  # at least this long between two: one takes as long as a small checkpoint


class Monitor:
    """Prints the progress of a run and writes its log, contact sheets, curves and TensorBoard files; a context manager.

    Args:
        out: the run folder. What a killed run wrote after its last checkpoint is removed.
        state: not changed.
        seconds: spent on training before this start.
        held_out: faces of the validation split, to be scored and reconstructed; may be empty.
        held_out_labels: `[M, K]`, for a conditional recipe.
        face_count: training faces, in all processes together.
        prints_text: also print what the text of the recipe prints.
    """

    def __init__(
        self,
        out: Path,
        state: TrainState,
        seconds: float,
        console: Console,
        held_out: Pixels | None = None,
        held_out_labels: NDArray[np.float32] | None = None,
        *,
        face_count: int | None = None,
        prints_text: bool = False,
    ) -> None:
        self.prints_text = prints_text
        self.face_count = face_count or len(state.stream.indices)
        self.out, self.state, self.console = out, state, console
        self.held_out, self.held_out_labels = held_out, held_out_labels
        self.real_thumbnails = thumbnails(training_faces(state, MAX_REAL_FACES))
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = defaultdict(int)
        self.printed: set[str] = set()
        self.lines, self.tensorboard = self._open_log()
        self.losses = LossHistory(out, state.players, state.step)
        self.recent: deque[Mapping[str, Tensor]] = deque(maxlen=CONSOLE_STEPS)
        self.started = self.last_refresh = self.last_checkpoint = time.monotonic()
        self.last_memory_release = -inf
        self.seconds_before, self.seen_at_checkpoint, self.seen_at_start = seconds, state.seen, state.seen
        self.progress, self.task = _progress(console, state)
        self.line_clock = LineClock(state.budget, state.seen) if shows_lines(console) else None

    def __enter__(self) -> Monitor:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        with naming_errors(self.out / TENSORBOARD):
            self.tensorboard.close()

    @property
    def seconds(self) -> float:
        """Spent on training so far, over all starts."""
        return self.seconds_before + time.monotonic() - self.started

    def log_step(self, terms: Mapping[str, Tensor]) -> None:
        """Add a step's terms. Scalars stay on the device until they are printed; images are written at once."""
        for name, term in terms.items():
            if term.ndim:
                self._write_recipe_images(name, term)
                continue
            self.sums[name] = self.sums.get(name, 0) + term.float()
            self.counts[name] += 1
        self.losses.add(self.state.step - 1, self.state.seen, terms)
        if self.prints_text:
            self._print_text(terms)
        now = time.monotonic()
        if now - self.last_refresh >= REFRESH_SECONDS:
            self.last_refresh = now
            images_per_second = (self.state.seen - self.seen_at_start) / (now - self.started)
            status = _status(self._means(), images_per_second)
            self.progress.update(
                self.task, total=self.state.budget, completed=self.state.seen, status=status, kimg=_kimg(self.state)
            )
            if self.line_clock is not None and self.line_clock.is_due(self.state.seen):
                self._print_line(now, status)

    def _print_text(self, terms: Mapping[str, Tensor]) -> None:
        """Print what the text of the recipe prints after this step."""
        state = self.state
        self.recent.append({name: term for name, term in terms.items() if not term.ndim})
        epochs = round(state.budget / state.recipe.epoch_images(self.face_count), 2)
        for text in state.recipe.console_lines(state.step - 1, self.recent, self.face_count, epochs):
            self.print(text)

    def log_validation(self, scores: Mapping[str, float], *, is_best: bool) -> None:
        """Print a validation and add it to the log; the next checkpoint writes it to the disk."""
        self.lines.append({"seen": self.state.seen, **scores})
        with naming_errors(self.out / TENSORBOARD):
            for name, number in scores.items():
                self.tensorboard.add_scalar(name, number, self.state.seen)
        numbers = "  ".join(f"{name.removeprefix('validation/')} {number:.4g}" for name, number in scores.items())
        best = "  best so far" if is_best else ""
        self.print(f"{self.state.seen / 1000:8.1f} kimg  validation: {numbers}{best}")

    def log_checkpoint(self, nets: nn.ModuleDict) -> None:
        """Write a line of the log, contact sheets and curves; print the problems that the diagnosis finds.

        Args:
            nets: the averaged networks in evaluation mode.
        """
        state, now = self.state, time.monotonic()
        if now - self.last_memory_release >= MEMORY_RELEASE_SECONDS:
            release_memory()
            self.last_memory_release = now
        means = self._means()
        images_per_second = (state.seen - self.seen_at_checkpoint) / max(now - self.last_checkpoint, 1e-9)
        line: dict[str, Any] = {
            "seen": state.seen,
            "step": state.step,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(images_per_second, 1),
            "memory_mib": used_mib(),
            "threads": torch.get_num_threads(),
            "budget": state.budget,
            **{f"lr/{name}": lr for name, lr in state.knobs.lr.items()},
            **({LEVEL: state.knobs.level} if state.recipe.knobs(0.0).level < 1 else {}),  # a growing network
            **means,
        }
        scores = discriminator_scores(state, state.seen - self.seen_at_checkpoint, self.held_out, self.held_out_labels)
        if scores is not None:
            histogram = scores.histogram()
            line |= {**scores.summary(), "scores": asdict(histogram)}
            draw_scores(self.out / SCORES, histogram, f"{state.recipe.name}, {state.seen / 1000:.1f} kimg")
        if "E" in nets and self.held_out is not None and len(self.held_out):
            line |= write_reconstructions(self.out, nets, self.held_out[:MEASURED_FACES], state.seen)
        samples = synthesize_seeds(nets["G"], FIXED_SEEDS)
        problems: list[Problem] = []
        if "D" in state.nets:
            line |= sample_statistics(thumbnails(samples), self.real_thumbnails)
            problems = diagnose([*self.lines, line], state.budget)
        if problems:
            line["problems"] = ", ".join(problem.name for problem in problems)
        self.lines.append(line)
        write_log(self.out / LOG, self.lines)
        self.losses.write()
        self._write_sheets(samples)
        draw_curves(self.out / CURVES, self.lines, state.recipe.name)
        with naming_errors(self.out / TENSORBOARD):
            self._write_tensorboard(line, scores)
            self._write_tensorboard_images(samples)
        if self.line_clock is not None:
            self._print_line(now, _status(means, images_per_second))
        self._print_new(problems)
        self._begin_interval()

    def log_rollback(self, problems: str, seen_before: int) -> None:
        """After a rollback of the state, remove newer lines and sheets, and log the rollback."""
        with naming_errors(self.out / TENSORBOARD):
            self.tensorboard.close()
        best = best_kid(self.lines)
        self.lines, self.tensorboard = self._open_log()
        self.losses = LossHistory(self.out, self.state.players, self.state.step)
        line = {"seen": self.state.seen, "rolled_back_from": seen_before, "problems": problems}
        self.lines.append(line | ({BEST_BEFORE_ROLLBACK: best} if best < inf else {}))
        write_log(self.out / LOG, self.lines)
        if remaining := sheets(self.out):
            shutil.copyfile(remaining[-1], self.out / SHEET)
        draw_curves(self.out / CURVES, self.lines, self.state.recipe.name)
        # Rich freezes the time of a finished bar; reset starts it again.
        self.progress.reset(self.task, completed=self.state.seen, status="", kimg=_kimg(self.state))
        self._begin_interval()
        # Speed and time left are measured from here.
        self.seconds_before = self.seconds
        self.started, self.seen_at_start = time.monotonic(), self.state.seen

    def print_once(self, message: str) -> None:
        """Print a message, unless this process has already printed it."""
        if message not in self.printed:
            self.printed.add(message)
            self.print(message)

    def _open_log(self) -> tuple[list[dict[str, Any]], SummaryWriter]:
        """The log up to the present state; anything later is removed, sheets included."""
        lines = [line for line in read_log(self.out / LOG)[0] if line["seen"] <= self.state.seen]
        write_log(self.out / LOG, lines)
        for sheet in [path for folder in (SHEETS, RECONSTRUCTIONS, RECIPE_SHEETS) for path in sheets(self.out, folder)]:
            if int(sheet.stem) > self.state.seen:
                sheet.unlink()
        with naming_errors(self.out / TENSORBOARD):
            return lines, SummaryWriter(str(self.out / TENSORBOARD), purge_step=self.state.seen + 1)

    def _begin_interval(self) -> None:
        """Reset the sums and the timer for the next line of the log."""
        self.sums.clear()
        self.counts.clear()
        self.last_checkpoint, self.seen_at_checkpoint = time.monotonic(), self.state.seen

    def _means(self) -> dict[str, float]:
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def _print_line(self, now: float, status: str) -> None:
        """Print a plain line in place of the progress bar."""
        assert self.line_clock is not None
        shown, images = self.state.seen - self.seen_at_start, self.state.budget - self.state.seen
        left = f"{duration(images * (now - self.started) / shown)} left  " if shown and images > 0 else ""
        self.print(f"{_kimg(self.state):>18}  {left}{status}")
        self.line_clock.shown(self.state.seen)

    def _print_new(self, problems: list[Problem]) -> None:
        """Print the problems that the previous checkpoint did not have."""
        before = next((str(line.get("problems", "")) for line in self.lines[-2::-1] if VARIETY in line), "")
        for problem in problems:
            if problem.name not in before:
                self.print(f"diagnosis: {problem}")

    def print(self, message: str) -> None:
        """Print a message on a line of its own, above the progress bar."""
        self.console.print(message)

    def _write_recipe_images(self, name: str, images: Tensor) -> None:
        """Write the images `[N, C, H, W]` that a recipe returns among its terms, side by side."""
        row = grid(DEFAULT_MARKING.marked(to_uint8(images).cpu().numpy()), len(images))
        write_png(self.out / RECIPE_SHEETS / f"{self.state.seen:09d}.png", row, self._metadata)
        with naming_errors(self.out / TENSORBOARD):
            self.tensorboard.add_image(name, row, self.state.seen, dataformats="HWC")

    def _write_sheets(self, samples: Pixels) -> None:
        sheet = grid(DEFAULT_MARKING.marked(samples))
        write_png(self.out / SHEETS / f"{self.state.seen:09d}.png", sheet, self._metadata)
        write_png(self.out / SHEET, sheet, self._metadata)

    @property
    def _metadata(self) -> dict[str, str]:
        about = {"Software": "facesmith", "Synthetic": "true", "Recipe": self.state.recipe.name}
        return about | DEFAULT_MARKING.metadata(self.state.recipe.resolution)

    def log_images(self, nets: nn.ModuleDict) -> None:
        """Write samples and real faces of the current batch to TensorBoard.

        Args:
            nets: the averaged networks in evaluation mode.
        """
        samples = synthesize_seeds(nets["G"], FIXED_SEEDS[:TENSORBOARD_IMAGES])
        with naming_errors(self.out / TENSORBOARD):
            self._write_tensorboard_images(samples)

    def _write_tensorboard_images(self, samples: Pixels) -> None:
        """Write 4 rows of 8 samples, and as many real faces: the last ones that a player was trained on."""
        state = self.state
        turns = [turn for turn in state.recipe.turns(max(0, state.step - 1)) if turn.n_real]
        replacement = bool(turns) and turns[-1].replacement
        real = to_uint8(state.stream.last_drawn(TENSORBOARD_IMAGES, replacement=replacement)).numpy()
        fake = DEFAULT_MARKING.marked(samples[:TENSORBOARD_IMAGES])
        for name, faces in (("fake", fake), ("real", real)):
            sheet = grid(faces, TENSORBOARD_COLUMNS)
            self.tensorboard.add_image(name, sheet, state.seen, dataformats="HWC")
        self.tensorboard.flush()

    def _write_tensorboard(self, line: Mapping[str, Any], scores: Scores | None) -> None:
        seen = self.state.seen
        for name, number in line.items():
            if isinstance(number, int | float):
                self.tensorboard.add_scalar(name, number, seen)
        if scores is not None:
            self.tensorboard.add_histogram("D(x)", scores.real, seen)
            self.tensorboard.add_histogram("D(G(z))", scores.fake, seen)


def _progress(console: Console, state: TrainState) -> tuple[Bars, TaskID]:
    columns = (
        TextColumn("{task.fields[kimg]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[status]}"),
    )
    progress = Bars(*columns, console=console, disable=not shows_bars(console), speed_estimate_period=120)
    return progress, progress.add_task("", total=state.budget, completed=state.seen, status="", kimg=_kimg(state))


def _kimg(state: TrainState) -> str:
    return f"{state.seen / 1000:.1f}/{state.budget / 1000:g} kimg"


def _status(means: Mapping[str, float], images_per_second: float) -> str:
    """Speed, losses and the discriminator's accuracy in one line."""
    parts = [f"{images_per_second:.0f} img/s"]
    parts += [f"{name.removesuffix('/loss')} {loss:.2f}" for name, loss in means.items() if name.endswith("/loss")]
    names = {
        "D/accuracy_real": "D on real",
        "D/accuracy_fake": "D on fake",
        "D/auc": "AUC",
        "G/fooling_rate": "fooling rate",
    }
    return "  ".join([*parts, *(f"{text} {means[name]:.0%}" for name, text in names.items() if name in means)])


def release_memory() -> None:
    """Collect cyclic garbage, and return free memory to the system if the C library can.

    Without this, memory grows by 10 % in a long run. Matplotlib figures are large reference cycles, which Python
    collects late. The C library then keeps the freed blocks.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def used_mib() -> int:
    """The memory that this process has allocated, in MiB.

    Mapped files are excluded: cached faces and shared libraries change with what other programs do.
    """
    info = psutil.Process().memory_info()
    return round((info.rss - getattr(info, "shared", 0)) / 2**20)
