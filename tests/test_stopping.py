"""Every stop signal stops a command in an orderly way; nohup is respected."""

from __future__ import annotations

import signal
import threading

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


def test_other_threads_run_without_handling_signals():
    ran = []

    def run():
        with handling_stop_signals(interrupt):
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran
