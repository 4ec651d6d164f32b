"""Where Linux states the limits of a container: the control groups of this process. Doesn't import torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def cgroup_folders(controller: str) -> Iterator[Path]:
    """Yield the folders whose limits apply to this process, the narrowest first: its own group and all groups above.

    Some containers show their own group at the root, under another path than the kernel's. Paths that don't exist are
    left out.

    Args:
        controller: "cpu" or "memory". Version 1 has one tree per controller, version 2 a single one.
    """
    for root, path in ((CGROUPS, _own_path("")), (CGROUPS / controller, _own_path(controller))):
        own = root / path
        folders = [own, *own.parents]
        yield from (folder for folder in folders[: folders.index(root) + 1] if folder.is_dir())


def read_number(file: Path) -> float | None:
    """The first number in a file; None if there is no such file, or it says "max"."""
    try:
        return float(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _own_path(controller: str) -> str:
    """The path of this process's group below the root of a controller's tree; "" is version 2."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return ""
    entries = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    paths = [path for _, controllers, path in entries if controller in controllers.split(",")]
    own = paths[0].strip("/") if paths else ""
    return "" if ".." in own.split("/") else own
