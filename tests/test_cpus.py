"""The number of CPUs respects affinity and the quota of a container."""

from __future__ import annotations

import os

import pytest

from facesmith.io import cgroups, cpus


def only_these_cpus(monkeypatch, groups, allowed):
    """Pretend that this is a machine with these groups, and that the process may use these CPUs."""
    (groups / "own").write_text("4:cpu,cpuacct:/box/inner\n0::/box/inner\n")
    monkeypatch.setattr(cgroups, "CGROUPS", groups)
    monkeypatch.setattr(cgroups, "OWN_CGROUPS", groups / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: len(allowed), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "damaged"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"box/inner/cpu.max": "100000 100000\n", "cpu.max": "max 100000\n"}, 1),
        ({"box/cpu.max": "300000 100000\n", "box/inner/cpu.max": "400000 100000\n"}, 3),
        ({}, 8),
    ],
)
def test_a_quota_limits_the_cpus(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    only_these_cpus(monkeypatch, tmp_path, range(8))
    assert cpus.usable_cpus() == expected


def test_affinity_limits_the_cpus(tmp_path, monkeypatch):
    only_these_cpus(monkeypatch, tmp_path, {3})
    assert cpus.usable_cpus() == 1


@pytest.mark.parametrize(
    ("quota", "requested", "before", "expected"),
    [("200000 100000", None, None, "2"), ("200000 100000", 5, None, "5"), ("200000 100000", None, "1", "1"),
     ("max 100000", None, None, None), ("max 100000", 3, "1", "3")],
)  # fmt: skip
def test_threads_follow_the_quota_unless_the_user_chose_them(tmp_path, monkeypatch, quota, requested, before, expected):
    (tmp_path / "cpu.max").write_text(quota)
    only_these_cpus(monkeypatch, tmp_path, range(8))
    monkeypatch.delenv(cpus.THREADS_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(cpus.THREADS_VARIABLE, before)
    cpus.limit_threads(requested)
    assert os.environ.get(cpus.THREADS_VARIABLE) == expected
