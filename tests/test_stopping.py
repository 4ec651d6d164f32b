"""Every stop signal stops a command in an orderly way; nohup is respected."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from facesmith.io.stopping import STOP_SIGNALS, handling_stop_signals, interrupt


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_interrupts_and_the_handler_is_restored(number):
    earlier = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), handling_stop_signals(interrupt):
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, earlier)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_lost_connection_does_not_stop_a_command_under_nohup():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling_stop_signals(interrupt):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_a_module_is_loaded_completely_before_a_signal_interrupts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_module.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\ncomplete = True\n")

    def load():
        with handling_stop_signals(interrupt):
            importlib.import_module("slow_module")
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        load()
    assert sys.modules["slow_module"].complete


# The signal arrives while the command line is loaded, from its first import on.
EARLY = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would have it ignored
import facesmith.__main__ as program
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "facesmith.cli.shared":
            signal.raise_signal(signal.SIGHUP)
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["sample", "--seeds", "0-4999", "--out", "faces"]  # still runs when the signal is no longer delayed
program.main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_signal_is_handled_while_the_command_line_is_loaded(tmp_path):
    ended = subprocess.run([sys.executable, "-c", EARLY], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (129, "facesmith: interrupted\n")


# C code that runs a string of Python, as extension modules do, while a signal arrives.
PASSED_ON = """
import ctypes, signal, sys
from facesmith import cli
from facesmith.io.stopping import interrupt
run = ctypes.pythonapi.PyRun_String
run.restype, run.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.c_int, ctypes.py_object, ctypes.py_object]
scope = {"signal": signal}
cli._run = lambda: run(b"signal.raise_signal(signal.SIGTERM)", 257, scope, scope)
cli.main()
"""


@pytest.mark.skipif(sys.implementation.name != "cpython" or sys.platform == "win32", reason="about CPython's exit")
def test_exit_code_is_right_even_if_c_code_passed_the_signal_on(tmp_path):
    (tmp_path / "passed_on.py").write_text(PASSED_ON)
    ended = subprocess.run([sys.executable, "-m", "passed_on"], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (143, "facesmith: interrupted\n")


def test_other_threads_run_without_handling_signals():
    ran = []

    def run():
        with handling_stop_signals(interrupt):
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran
