"""Which device and which precision a training uses."""

from __future__ import annotations

import torch

from facesmith.errors import BadOption

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(asked: str) -> torch.device:
    """The device of a name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        BadOption: there is no such device here.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return torch.device(next(name for name, usable in there.items() if usable))
    if asked not in there:
        raise BadOption(f"--device {asked!r} is not one of auto, {', '.join(there)}.")
    if not there[asked]:
        usable = ", ".join(name for name, is_usable in there.items() if is_usable)
        raise BadOption(f"--device {asked} is not usable on this machine; usable: {usable}.")
    return torch.device(asked)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())  # type: ignore[no-untyped-call]
    return False


def check_precision(asked: str) -> None:
    """Raise BadOption for what is neither "auto" nor a precision."""
    if asked != "auto" and asked not in PRECISIONS:
        raise BadOption(f"--precision {asked!r} is not one of auto, {', '.join(PRECISIONS)}.")
