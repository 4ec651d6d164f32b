"""Print what Facesmith found on this machine: versions, devices, speed, weights, memory and disk."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
from rich.console import Console

from facesmith import __version__
from facesmith.detection.mtcnn import load_networks
from facesmith.device import pick_device
from facesmith.errors import FacesmithError
from facesmith.faces.packed import cache_folder
from facesmith.gan.recipe import make_recipe
from facesmith.io.cpus import usable_cpus
from facesmith.io.memory import free_memory
from facesmith.training.speed import measure

MEASURED_RECIPE = "dcgan64"


def info(console: Console) -> Iterator[str]:
    """Yield lines about version, devices, precision, speed (measured in about ten seconds), weights, memory, disk."""
    yield f"facesmith   {__version__}, Python {platform.python_version()}, torch {torch.__version__}"
    device = pick_device("auto")
    yield f"devices     {', '.join(_devices())}; default: {device.type}"
    cores, threads = psutil.cpu_count(logical=False) or "unknown", torch.get_num_threads()
    yield f"processor   {cores} cores, {usable_cpus()} usable CPUs, {threads} threads, {_instruction_set()}"
    console.print("measuring speed, about ten seconds ...")
    speed = measure(make_recipe(MEASURED_RECIPE, {}), device)
    yield f"precision   {speed.precision}: {speed.why}"
    rates = ", ".join(f"{rate:.0f} images/s in {name}" for name, rate in speed.images_per_second.items())
    yield f"speed       {MEASURED_RECIPE} trains {rates}"
    yield f"weights     {_detector_weights()}"
    total_bytes = psutil.virtual_memory().total
    yield f"memory      {free_memory() / 2**30:.1f} of {total_bytes / 2**30:.1f} GiB free"
    for label, path in (("disk here", Path.cwd()), ("cache", _nearest_existing(cache_folder()))):
        yield f"{label:<11} {shutil.disk_usage(path).free / 2**30:.1f} GiB free at {path}"


def _devices() -> Iterator[str]:
    yield "cpu"
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        yield f"cuda ({torch.cuda.get_device_name(i)})"
    if torch.backends.mps.is_available():
        yield "mps"


def _instruction_set() -> str:
    """The vector instructions that torch uses on this CPU, such as "AVX512 with AMX"."""
    capability = torch.backends.cpu.get_cpu_capability()
    amx = bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())
    return capability + (" with AMX" if amx else "")


def _detector_weights() -> str:
    try:
        load_networks()
    except FacesmithError as error:
        return str(error)
    return "MTCNN (face detector) found, hashes match"


def _nearest_existing(path: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
