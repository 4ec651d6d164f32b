"""One process at a time writes into a folder, also on disks without file locks."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys

import pytest
from small import QUIET, RESOLUTION, faces_folder, stop_after

from facesmith.errors import RunBusy
from facesmith.io.lock import locked
from facesmith.training.plan import TrainOptions
from facesmith.training.train import train

SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}
BUSY = RunBusy("busy")


@pytest.fixture(params=[None, "ENOSYS", "ENOTSUP", "ENOLCK"])
def disk(request, monkeypatch):
    """A disk with file locks, and disks without."""

    def refuse(*_):
        raise OSError(getattr(errno, request.param), "no locks here")

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("disk")
def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path):
    for _ in range(2):
        with locked(tmp_path / ".lock", BUSY), pytest.raises(RunBusy), locked(tmp_path / ".lock", BUSY):
            pass


@pytest.mark.usefixtures("disk")
def test_a_killed_process_does_not_block_the_folder(tmp_path):
    code = (
        "import errno, fcntl, os, sys\n"
        "def refuse(*_): raise OSError(errno.ENOLCK, 'no locks here')\n"
        "fcntl.flock = refuse\n"
        "from pathlib import Path\n"
        "from facesmith.errors import FacesmithError\n"
        "from facesmith.io.lock import locked\n"
        "with locked(Path(sys.argv[1]), FacesmithError()): os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / ".lock"], check=False).returncode == 9
    with locked(tmp_path / ".lock", BUSY):
        pass


def test_a_mark_of_another_machine_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    mark = tmp_path / ".lock-process"
    mark.write_text("123\nnode17\n")
    with (
        pytest.raises(RunBusy, match=r"^busy It is marked as running on node17\.") as raised,
        locked(mark.parent / ".lock", BUSY),
    ):
        pass
    assert str(raised.value).endswith(f"delete {mark}.")
    mark.unlink()
    with locked(tmp_path / ".lock", BUSY), pytest.raises(RunBusy) as raised, locked(tmp_path / ".lock", BUSY):
        pass
    assert str(raised.value) == "busy"  # on this machine, a killed process is recognized


def test_other_faults_of_the_disk_are_not_hidden(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / ".lock", BUSY):
        pass


@pytest.mark.parametrize("kind", ["ENOSYS", "ENOTSUP", "ENOLCK"])
def test_a_run_is_trained_and_resumed_without_file_locks(tmp_path, monkeypatch, kind):
    def refuse(*_):
        raise OSError(getattr(errno, kind), "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    faces, run = faces_folder(tmp_path / "faces"), tmp_path / "run"
    options = TrainOptions(
        "dcgan64", faces, run, SMALL, kimg=0.05, save_every_kimg=0.04, precision="float32", threads=1
    )
    with monkeypatch.context() as patched:
        stop_after(2, patched)
        assert not train(options, QUIET).finished
    assert train(options, QUIET).finished
    assert not (run / ".lock-process").exists()
