"""Clearer messages for mistakes in the options of a command."""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

from facesmith.io.messages import SEVERAL_PATHS

# Messages of the parser of options about a value, and clearer ones.
CLEARER = {
    ": Value error, ": ": ",
    "Input should be a valid number, unable to parse string as a number": (
        "expected a number such as 2 or 0.7, with a point instead of a comma and without a unit"
    ),
    "Input should be a valid integer, unable to parse string as an integer": (
        "expected a whole number such as 64, without a unit"
    ),
}
SUM_IN_QUOTES = "Put the sum in quotes. If it starts with a minus, put a space before it: facesmith mix ' - 3 + 29'"
EXAMPLE = re.compile(r"^.*: (facesmith .+)$", re.MULTILINE)  # in the help of a command
LONG_DASHES = ("\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}")  # that text processors make of two hyphens


NAME_AND_VALUE = ("--set", "--edit", "--condition")  # options such as --set lr=1e-4


class _Guess(NamedTuple):
    """Options of other programs, the option that must exist here or the name of the command, and advice."""

    names: str
    place: str
    advice: str


GUESSES = (
    _Guess("--count --n -n --num --number --num-samples --samples", "--seeds", "For 24 faces, use --seeds 0-23"),
    _Guess("--truncation --trunc", "--psi", "Use --psi, such as --psi 0.7"),
    _Guess("--frames", "--fps", "The number of frames is --seconds times --fps"),
    _Guess("--iterations --iters --steps --max-steps", "--epochs", "Use --minutes, --epochs or --kimg (1,000 images)"),
    _Guess("--iterations --iters --steps --max-steps --epochs --minutes", "--kimg", "Use --kimg (1,000 images)"),
    _Guess("--lr --learning-rate", "--set", "Use --set lr=1e-4. `facesmith recipes NAME` lists all hyperparameters"),
    _Guess("--resolution --image-size", "--set", "Use --set resolution=64"),
    _Guess("--resume --continue", "--extend", "To resume a run, run the same command again. --extend trains longer"),
    _Guess("--resume --continue", "--min-face", "To resume, run the same command again"),
    _Guess("--gpu --gpus --cuda", "--device", "Use --device cuda"),
    _Guess("--cpu", "--device", "Use --device cpu"),
    _Guess("--images --input --faces --folder -i", "--data", "Use --data FACES"),
    _Guess(
        "--images --input --data --faces --folder -i",
        "--sheet",
        "Give the faces without an option: facesmith faces FACES",
    ),
    _Guess("--output --out -o", "--sheet", "Use --sheet"),
    _Guess(
        "--images --input --data --photos --folder -i", "--min-face", "Give the photos without the name of an option"
    ),
    _Guess("--output --output-dir --outdir -o", "--out", "Use --out"),
    _Guess("--out --output --output-dir --outdir -o", "--onnx", "Use --onnx FILE or --html FILE"),
    _Guess("--overwrite --yes -y -f", "--force", "Use --force"),
    _Guess("--recipe --arch --config", "train", "Write the recipe without an option: facesmith train quick"),
    _Guess("--model --run --checkpoint --ckpt --weights --network --pretrained", "train", "Use --from MODEL"),
    _Guess("--run --checkpoint --ckpt --weights --network --pretrained --from", "--model", "Use --model MODEL"),
    *(
        _Guess(
            "--model --run --checkpoint --ckpt", command, f"Give it without an option: facesmith {command} runs/first"
        )
        for command in ("report", "film", "card")
    ),
    *(
        _Guess(
            "--image --images --photo --photos --picture --input -i",
            command,
            f"Give the picture without an option: facesmith {command} face.png",
        )
        for command in ("detect", "invert")
    ),
)


def clearer_message(error: Any) -> str:
    """The message of one of typer's errors about options, in plainer words. Empty if typer has printed the help."""
    if similar := getattr(error, "possibilities", None):  # --force is never a guess: it deletes
        error.possibilities = [name for name in similar if name != "--force"]
    message: str = error.format_message()
    for words, clearer in CLEARER.items():
        message = message.replace(words, clearer)
    clear = _advice_for_unknown_option(error) or message
    return clear + _advice_for_extra_arguments(error) + _advice_for_missing(error) + _advice_for_program(error)


def _advice_for_unknown_option(error: Any) -> str:
    """The message for an option of other programs; empty for others, whose message has similar names."""
    name = getattr(error, "option_name", None)
    if name is None or error.ctx is None:
        return ""
    options = {option for parameter in error.ctx.command.params for option in parameter.opts}
    for argument in sys.argv[1:]:  # `-data` is read as the option -d
        if argument.startswith(name) and f"-{argument.partition('=')[0]}" in options:
            return f"No such option: {argument}. A name of several letters begins with two hyphens: -{argument}"
    places = {error.ctx.command.name, *options}
    advice = [guess.advice for guess in GUESSES if name in guess.names.split() and guess.place in places]
    if error.ctx.command.name == "mix" and not name.startswith("--"):
        advice.append(SUM_IN_QUOTES)
    return f"No such option: {name}. {advice[0]}" if advice else ""


def _advice_for_extra_arguments(error: Any) -> str:
    """A sentence about what to do with arguments that belong to no option; empty after other errors."""
    if not error.message.startswith("Got unexpected extra argument") or error.ctx is None:
        return ""
    if error.ctx.command.name == "mix":
        return f". {SUM_IN_QUOTES}"
    arguments = sys.argv[1:]
    if any(argument.startswith(LONG_DASHES) for argument in arguments):
        return ". An option begins with two hyphens (--), not with a long dash"
    if advice := _advice_for_two_values(arguments):
        return advice
    extra = error.message.rpartition(" (")[2].rstrip(")").split()
    if extra and all(argument.strip(",").isdecimal() for argument in extra):
        return ". Write several values as one, with commas and without spaces: 1,2,3"
    if error.ctx.command.name in ("extract", "faces"):
        return f". Give one folder, archive or file. {SEVERAL_PATHS}"
    names = {name for parameter in error.ctx.command.params for name in parameter.opts}
    options = " or ".join(option for option in ("--model", "--data") if option in names)
    return f". Write the option before it: {options}" if options else ""


def _advice_for_two_values(arguments: list[str]) -> str:
    """How to write an option that is followed by two values; empty if there is none."""
    for option, first, second in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if first.startswith("-") or second.startswith("-"):
            continue
        if option in NAME_AND_VALUE and "=" not in first:
            return f". Write {option} with an equals sign and without spaces: {option} {first}={second}"
        if option in NAME_AND_VALUE and "=" in second:
            return f". Repeat the option: {option} {first} {option} {second}"
        if option == "--grid" and second.isdecimal():
            return f". Write both numbers as one value: --grid {first}x{second}"
        if option == "--size" and second.isdecimal():
            return f". Give one number for both sides: --size {first}"
    return ""


def _advice_for_missing(error: Any) -> str:
    """An example of the command, if an option or argument is missing."""
    if not error.format_message().startswith("Missing ") or error.ctx is None:
        return ""
    example = EXAMPLE.search(error.ctx.command.help or "")
    return f" For example: {example[1]}" if example else ""


def _advice_for_program(error: Any) -> str:
    """How to get the help or the version, if these were written as in other programs."""
    if error.message == "No such command 'help'.":
        return " Write: facesmith --help, or facesmith extract --help"
    version = getattr(error, "option_name", None) in ("-V", "-v") and any(
        "--version" in parameter.opts for parameter in error.ctx.command.params
    )
    return ". Use --version" if version else ""
