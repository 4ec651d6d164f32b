"""The losses of every step, in a CSV file: `losses.csv` in the run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from facesmith.io.files import atomic_write, naming_errors
from facesmith.modelfiles.run_folder import LOSSES


class LossHistory:
    """Collects the losses of each step on the device, and appends them to the file at checkpoints.

    A row has the step, counted from 0, the images seen after it, and the loss of each player. If the discriminator's
    loss is a cross-entropy or a squared error, its parts on real images and on fakes follow. A loss is empty if the
    player did not play in that step. What a killed run wrote after its last checkpoint is removed.

    Args:
        out: the run folder.
        players: names of the recipe's players.
        step: the number of steps done; later rows are removed.
    """

    def __init__(self, out: Path, players: Iterable[str], step: int) -> None:
        players = list(players)
        self.file, self.names = out / LOSSES, [f"{player}/loss" for player in players]
        self.names += ["D/loss_real", "D/loss_fake"] if "D" in players else []
        self.rows: list[tuple[int, int, list[Tensor | None]]] = []
        self._remove_rows_from(step)

    def add(self, step: int, seen: int, terms: Mapping[str, Tensor]) -> None:
        """Add the loss terms of a step."""
        self.rows.append((step, seen, [terms.get(name) for name in self.names]))

    def write(self) -> None:
        """Append the new rows to the file."""
        lines = []
        for step, seen, losses in self.rows:
            texts = ("" if loss is None else f"{float(loss):.6g}" for loss in losses)
            lines.append(",".join((str(step), str(seen), *texts)) + "\n")
        self.rows.clear()
        with naming_errors(self.file), self.file.open("a", encoding="utf-8", newline="\n") as stream:
            stream.writelines(lines)

    def _remove_rows_from(self, step: int) -> None:
        lines = self.file.read_text("utf-8", "replace").split("\n")[1:] if self.file.is_file() else []
        kept = [line for line in lines if (first := line.split(",")[0]).isdecimal() and int(first) < step]
        with atomic_write(self.file, "w") as stream:
            stream.write("\n".join([",".join(("step", "seen", *self.names)), *kept]) + "\n")
