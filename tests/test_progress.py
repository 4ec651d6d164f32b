"""Long tasks show a bar in a terminal, and plain lines with count, total and time left in a log."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import textwrap
import time

import pytest
from small import faces_folder, saved_model

from facesmith.io import progress
from facesmith.io.messages import SafeConsole
from facesmith.io.progress import LineClock, Progress, bar, duration, duration_in_words

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when the test moves it."""
    seconds = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    def move(by):
        seconds[0] += by

    return move


def log():
    return SafeConsole(file=io.StringIO(), width=200)


def test_a_log_gets_plain_lines_with_count_total_rate_and_time_left(clock):
    console = log()
    for _ in bar(range(400), 400, "packing pictures", console):
        clock(1)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "packing pictures: 5 of 400 (1 %), 1/s, 7 min left"
    assert lines[1] == "packing pictures: 35 of 400 (8 %), 1/s, 6 min left"
    assert lines[-1] == "packing pictures: 400 done, took 7 min"
    assert len(lines) == 400 // 30 + 2
    assert not CONTROL.search(console.file.getvalue())


def test_a_short_task_and_a_quiet_console_print_nothing(clock):
    for console, seconds in ((log(), 0.04), (SafeConsole(file=io.StringIO(), quiet=True), 10)):
        for _ in bar(range(100), 100, "packing", console):
            clock(seconds)
        assert console.file.getvalue() == ""


def test_lines_come_after_a_tenth_of_the_task_but_not_faster_than_every_five_seconds(clock):
    console = log()
    for _ in bar(range(100), 100, "packing", console):
        clock(0.9)  # a tenth takes nine seconds
    shares = [int(text) for text in re.findall(r"\((\d+) %\)", console.file.getvalue())]
    assert shares == [6, 16, 26, 36, 46, 56, 66, 76, 86, 96]
    console = log()
    for _ in bar(range(100), 100, "packing", console):
        clock(0.1)
    assert console.file.getvalue().count("%") == 1


def test_a_resumed_task_counts_from_where_it_was_but_its_rate_is_of_this_start(clock):
    console = log()
    with Progress(console, "extracting faces, photos", 1000, 900) as task:
        for _ in range(10):
            clock(4)
            task.advance(5)
    assert console.file.getvalue().splitlines()[0] == (
        "extracting faces, photos: 910 of 1,000 (91 %), 1.25/s, 72 s left"
    )


def test_a_task_of_unknown_length_shows_what_is_done(clock):
    console = log()
    with Progress(console, "extracting faces, photos", None) as task:
        for _ in range(3):
            clock(4)
            task.advance(1000)
    assert console.file.getvalue() == (
        "extracting faces, photos: 2,000, 250/s\nextracting faces, photos: 3,000 done, took 12 s\n"
    )


def test_an_interrupted_task_does_not_claim_to_be_done(clock):
    def items():
        clock(6)
        yield 1
        raise KeyboardInterrupt

    console = log()
    with pytest.raises(KeyboardInterrupt):
        list(bar(items(), 10, "packing", console))
    assert console.file.getvalue().count("\n") == 1
    assert "done" not in console.file.getvalue()


def test_a_line_clock_survives_an_empty_task(clock):
    clock(6)
    assert not LineClock(0, 0).is_due(0)
    assert list(bar([], 0, "nothing", log())) == []


SCRIPT = """
    import sys, time
    from facesmith.io.messages import SafeConsole
    from facesmith.io import progress
    progress.FIRST_LINE_SECONDS = 0.01
    for _ in progress.bar(range(8), 8, "packing", SafeConsole(stderr=True)):
        time.sleep(0.05)
"""


def run_script(error_stream, **environment):
    variables = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], stderr=error_stream, env=variables | environment, check=True
    )


def terminal_output(**environment):
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    reader, terminal = pty.openpty()
    run_script(terminal, **environment)
    os.close(terminal)
    output = b""
    try:
        while part := os.read(reader, 4096):
            output += part
    except OSError:  # Linux reports the closed terminal as an error
        pass
    os.close(reader)
    return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0, "0 s", "0 seconds"),
        (99, "99 s", "99 seconds"),
        (100, "2 min", "2 minutes"),
        (5940, "99 min", "99 minutes"),
        (9000, "2.5 h", "2.5 hours"),
    ],
)
def test_durations_are_short_on_the_console_and_in_words_on_pages(seconds, short, words):
    assert duration(seconds) == short
    assert duration_in_words(seconds) == words


def test_a_terminal_gets_a_bar_without_colors_if_it_wants_none():
    assert "\x1b[?25l" in terminal_output(TERM="xterm")  # the cursor is hidden while a bar moves
    colors = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
    assert colors.search(terminal_output(TERM="xterm-256color"))
    assert not colors.search(terminal_output(TERM="xterm-256color", NO_COLOR="1"))


def test_a_dumb_terminal_gets_plain_lines():
    output = terminal_output(TERM="dumb")
    assert "packing: " in output
    assert not CONTROL.search(output)


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}])
def test_a_pipe_gets_plain_lines_whatever_the_environment_says(tmp_path, environment):
    with open(tmp_path / "log", "wb") as stream:
        run_script(stream, TERM="xterm", **environment)
    text = (tmp_path / "log").read_text()
    assert "of 8 (" in text
    assert not CONTROL.search(text)


@pytest.mark.slow
def test_long_commands_write_plain_lines_to_a_pipe(tmp_path):
    faces, run = faces_folder(tmp_path / "faces", 70), saved_model(tmp_path / "run", "quick")
    commands = {
        "extracting faces": ["extract", faces, "--out", tmp_path / "cut", "--crop", "16", "--size", "16"],
        "packing pictures": ["faces", faces],
        "drawing faces": ["sample", "--model", run, "--out", tmp_path / "drawn", "--seeds", "0-99"],
        "drawing walk.gif": ["walk", "--model", run, "--out", tmp_path / "walk.gif", "--seeds", "1,2"],
    }
    script = """
        import json, sys
        from facesmith import cli
        from facesmith.io import progress
        progress.FIRST_LINE_SECONDS = progress.LINE_SECONDS = 0.0
        for arguments in json.loads(sys.argv[1]):
            sys.argv = ["facesmith", *arguments]
            print("$", *arguments, file=sys.stderr)
            cli.main()
    """
    arguments = json.dumps([list(map(str, each)) for each in commands.values()])
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), arguments], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert not CONTROL.search(finished.stderr)
    parts = finished.stderr.split("$ ")[1:]
    for name, part in zip(commands, parts, strict=True):
        assert re.search(rf"{name}.* of \d+ \(\d+ %\)", part), part


def test_the_lines_are_no_constants_of_the_tests():
    assert progress.FIRST_LINE_SECONDS <= 10
    assert progress.LINE_SECONDS <= 60
