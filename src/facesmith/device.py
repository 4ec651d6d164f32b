"""Choose the device and check the precision for training."""

from __future__ import annotations

import platform

import torch

from facesmith.errors import BadOption

DEVICES = ("cuda", "mps", "cpu")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(name: str) -> torch.device:
    """The device "cuda", "mps" or "cpu". "auto" picks the first of these that is available.

    Raises:
        BadOption: the name is unknown, or the device is not available.
    """
    usable = usable_devices()
    if name == "auto":
        return torch.device(usable[0])
    if name.startswith("cuda:"):
        number = name.removeprefix("cuda:")
        raise BadOption(
            f"--device {name!r} names one GPU. Use --device cuda, and select the GPU with an environment variable: "
            f"CUDA_VISIBLE_DEVICES={number} facesmith ..."
        )
    if name not in DEVICES:
        raise BadOption(f"--device {name!r} is not one of auto, {', '.join(DEVICES)}.")
    if name not in usable:
        raise BadOption(f"--device {name} is not available on this machine; available: {', '.join(usable)}.")
    return torch.device(name)


def usable_devices() -> list[str]:
    """The devices of this machine, the fastest first."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name in DEVICES if available[name]]


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 natively; emulation is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        supported = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # type: ignore[no-untyped-call]
        # On x86 that includes AVX512 without instructions for bfloat16, which is emulated.
        is_x86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")
        has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return bool(supported and (has_instructions or not is_x86))
    return False


def fastest_precision(device: torch.device) -> torch.dtype:
    """bfloat16 if a device computes in it natively, otherwise float32."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def check_precision(name: str) -> None:
    """Raise BadOption if a precision is neither "auto" nor one of `PRECISIONS`."""
    if name != "auto" and name not in PRECISIONS:
        raise BadOption(f"--precision {name!r} is not one of auto, {', '.join(PRECISIONS)}.")
