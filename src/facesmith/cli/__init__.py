"""The command line: parses options, calls one function per command, prints its results.

Results go to stdout; progress, notices and errors go to stderr.

shared.py         the app and the options that several commands share
option_errors.py  clearer messages for mistakes in options
photos.py         extract, faces
training.py       train, recipes, film, report
sampling.py       sample, walk, mix
inverting.py      invert, train-inverter
editing.py        directions, edit
evaluation.py     evaluate
comparing.py      compare
detecting.py      detect
studio.py         studio
sharing.py        export, card, push
machine.py        demo, info
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

# isort: off
# The help lists the commands in this order.
from facesmith.cli import photos, training, sampling, inverting, editing  # noqa: F401
from facesmith.cli import evaluation, comparing, detecting, studio, sharing, machine  # noqa: F401

# isort: on
from facesmith.cli.option_errors import SUM_IN_QUOTES, clearer_message
from facesmith.cli.shared import app
from facesmith.errors import BadOption, FacesmithError
from facesmith.io.files import explain_disk_error, is_disk_error
from facesmith.io.messages import one_line
from facesmith.io.stopping import handling_stop_signals, interrupt

INTERRUPTED = 130  # typer's return value after a KeyboardInterrupt
# In the RuntimeErrors of PyTorch, on the CPU and on others; and in what loading its libraries raises.
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "Cannot allocate memory", "failed to map segment")
UNEXPANDED = re.compile(  # the start of a path that some programs replace; the group's name says what it is
    r"""(?P<a_variable>\$(?:\w+|\{\w+\})|%\w+%)(?:[/\\]|$)
    |(?P<a_home_folder>~\w*(?:/|$))
    |(?P<a_drive>[A-Za-z]:[\\/])
    |(?P<an_address>file:/)""",
    re.VERBOSE,
)
OUTPUT_OPTIONS = ("--out", "--sheet", "--film", "--latents", "--paste", "--onnx", "--html")
EMPTY_ARGUMENT = re.compile(r"|--[\w-]+=")
UsageError: type[Any] = typer.BadParameter.__mro__[
    1
]  # the base class of typer's option errors; typer doesn't export it


def main() -> None:
    """Run the program. A user's mistake is reported in one line; only our own bugs show a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # it need not be UTF-8, and file names may have any character
    with handling_stop_signals(interrupt) as stop, _disk_errors_of_threads_unprinted():
        try:
            _run()
        except KeyboardInterrupt:
            _fail("interrupted", stop.exit_code)


@contextmanager
def _disk_errors_of_threads_unprinted() -> Iterator[None]:
    """Print no traceback for a disk error in a thread, such as TensorBoard's: the main thread gets it, too."""
    earlier = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is None or not is_disk_error(arguments.exc_value):
            earlier(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = earlier


def _run() -> None:
    try:
        _refuse_empty_arguments(sys.argv[1:])
        _refuse_standard_streams(sys.argv[1:])
        _refuse_unexpanded_outputs(sys.argv[1:])
        _refuse_missing_folder()
        code = app(_with_global_options_first(sys.argv[1:]), prog_name="facesmith", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except UsageError as error:
        # Empty if typer has printed the help instead.
        message = clearer_message(error)
        _fail(message, 2) if message else sys.exit(2)
    except FacesmithError as error:
        _fail(str(error), error.exit_code)
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if isinstance(error, OSError) and is_disk_error(error):
            _name_standard_output(error)
            _fail(explain_disk_error(error), 1)
        if not isinstance(error, MemoryError) and not any(text in str(error) for text in OUT_OF_MEMORY):
            raise
        _fail(
            "There is not enough memory. Everything saved before is intact. Close other programs, or give the command "
            "less to do at once: fewer faces, smaller photos, or a smaller --batch, if it has this option.",
            1,
        )


def _name_standard_output(error: OSError) -> None:
    """Name standard output in an error without a file, if its text can't be written, and discard that text.

    Otherwise Python would try again at its end, fail again, and change the exit code.
    """
    try:
        sys.stdout.flush()
    except OSError:
        error.filename = error.filename or "standard output"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> None:
    print(f"facesmith: {one_line(message)}", file=sys.stderr)
    sys.exit(code)


def _refuse_missing_folder() -> None:
    """Raise BadOption if the current folder has been deleted: torch would end the process with an obscure message."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise BadOption("The current folder no longer exists. Change to another one with cd.") from None


def _refuse_empty_arguments(arguments: list[str]) -> None:
    """Raise BadOption for an argument without text. As a path, it would mean the current folder."""
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        if EMPTY_ARGUMENT.fullmatch(argument):
            where = argument.rstrip("=") or (previous if previous.startswith("--") else "An argument")
            raise BadOption(f"{where} is empty. Is a variable in the command not set?")


def _refuse_standard_streams(arguments: list[str]) -> None:
    """Raise BadOption for `-`, which means standard input or output in other programs. No option has this value."""
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        name, _, value = argument.rpartition("=")
        if argument == "-" and "mix" in arguments and not previous.startswith("--"):
            raise BadOption(SUM_IN_QUOTES)
        if argument == "-" or (value == "-" and name.startswith("--")):
            where = name or (previous if previous.startswith("--") else "An argument")
            raise BadOption(
                f"{where} is -, but Facesmith reads and writes files, not standard input and output. Give the name of "
                "a file or folder; ./- is a file with this name."
            )


def _refuse_unexpanded_outputs(arguments: list[str]) -> None:
    """Raise BadOption for an output such as `$HOME/faces`, which would become a folder of this name."""
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        option, _, value = (previous, "", argument) if previous in OUTPUT_OPTIONS else argument.partition("=")
        begins = UNEXPANDED.match(value) if option in OUTPUT_OPTIONS else None
        if begins is not None and begins.lastgroup is not None and not (begins["a_drive"] and os.name == "nt"):
            start = begins.lastgroup.replace("_", " ")
            expanded = " that was not expanded" if begins["a_variable"] or begins["a_home_folder"] else ""
            raise BadOption(
                f"{option} {value} begins with {start}{expanded}. Write the path as this machine has it. For a file or "
                "folder with exactly this name, write ./ before it."
            )


def _with_global_options_first(arguments: list[str]) -> list[str]:
    """Move --quiet and --threads in front of the command, so that they may also follow it."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return [*front, *rest, argument, *remaining]
        if argument in ("--quiet", "-q") or argument.startswith("--threads="):
            front.append(argument)
        elif argument == "--threads":
            front += [argument, *(number for number in [next(remaining, None)] if number is not None)]
        else:
            rest.append(argument)
    return front + rest
