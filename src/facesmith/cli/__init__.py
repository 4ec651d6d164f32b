"""The command line, one command per verb: parse, call, print. Results go to stdout, all else to stderr."""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer

# isort: off
# The verbs, in the order in which the help lists them.
from facesmith.cli import photos, training, sampling, inverting, editing, evaluation, studio, sharing, machine  # noqa: F401

# isort: on
from facesmith.cli.shared import app
from facesmith.errors import FacesmithError

INTERRUPTED = 130
UsageError: type[Any] = typer.BadParameter.__mro__[1]  # typer names this base of its option errors nowhere itself
DISK_ERRORS = {
    errno.EEXIST,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


def main() -> None:
    """The program: a mistake of the user's ends in one line, and only our own bugs in a traceback."""
    try:
        code = app(_hoisted(sys.argv[1:]), prog_name="facesmith", standalone_mode=False)
        if code == INTERRUPTED:  # how typer tells of Ctrl-C
            raise KeyboardInterrupt
    except UsageError as error:
        told = error.format_message()  # empty where the help was printed instead
        _fail(" ".join(told.split()), 2) if told else sys.exit(2)
    except FacesmithError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _fail(f"{error.filename or 'A file'}: {error.strerror}. Nothing that was saved before is lost.", 1)
    except (MemoryError, RuntimeError) as error:  # torch has no class of its own for memory that the CPU lacks
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        _fail(
            "There is not enough memory for this. Nothing that was saved before is lost. Make it smaller: "
            "a smaller --batch, fewer --samples, or networks of less width.",
            1,
        )
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _fail(message: str, code: int) -> None:
    print(f"facesmith: {message}", file=sys.stderr)
    sys.exit(code)


def _hoisted(arguments: list[str]) -> list[str]:
    """--quiet and --threads belong to every verb, so they are understood behind one too."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*front, *rest, argument, *waiting]
        if argument in ("--quiet", "-q") or argument.startswith("--threads="):
            front.append(argument)
        elif argument == "--threads":
            front += [argument, *(number for number in [next(waiting, None)] if number is not None)]
        else:
            rest.append(argument)
    return front + rest
