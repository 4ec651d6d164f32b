"""Leave out the seeds whose faces look most distorted, for `--quality`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadOption

MAX_NAMED_SEEDS = 20


class QualityModel(Protocol):
    """A model that can score its faces."""

    def distorted(self, seeds: Sequence[int], condition: Mapping[str, float] | None = None) -> NDArray[np.bool_]:
        """Return whether each seed is among the tenth whose faces look most distorted, `[N]`.

        Raises:
            BadOption: this kind of model can't tell.
        """


def undistorted(
    model: QualityModel, seeds: Sequence[int], condition: Mapping[str, float] | None, console: Console
) -> list[int]:
    """The seeds without those whose faces look most distorted; prints which ones are left out.

    Raises:
        BadOption: none remains, or the model can't tell.
    """
    distorted = model.distorted(seeds, condition)
    left_out = [seed for seed, is_distorted in zip(seeds, distorted, strict=True) if is_distorted]
    if len(left_out) == len(seeds):
        raise BadOption(
            f"--quality leaves out all {len(seeds)} faces, because they look distorted. Request other or more faces."
        )
    if left_out:
        names = ", ".join(map(str, left_out[:MAX_NAMED_SEEDS])) + (", ..." if len(left_out) > MAX_NAMED_SEEDS else "")
        message = f"left out {len(left_out)} of {len(seeds)} seeds, whose faces look most distorted: {names}"
        console.print(message)
    return [seed for seed, is_distorted in zip(seeds, distorted, strict=True) if not is_distorted]
