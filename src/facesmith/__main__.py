"""The program. It handles stop signals before it loads the command line, which takes a moment."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 (pathlib would import more)
    # `python -m` looks for modules in the current folder first: a user's random.py would replace Python's own.
    del sys.path[0]

from facesmith.io.stopping import handling_stop_signals, interrupt


def main() -> None:
    """Load and run the command line."""
    with handling_stop_signals(interrupt) as stop:
        try:
            from facesmith import cli

            cli.main()
        except KeyboardInterrupt:  # while it was loaded
            print("facesmith: interrupted", file=sys.stderr)
            sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
