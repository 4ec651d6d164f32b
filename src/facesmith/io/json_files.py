"""JSON that Facesmith writes and reads again, checked against a schema where it is read.

The schema of a file is a dataclass beside the code that writes the file. Its fields are checked by msgspec, which also
applies limits such as `Annotated[int, Meta(ge=0)]`. Entries that a schema does not name are ignored.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from facesmith.errors import BadData, FacesmithError
from facesmith.io.files import LFS_POINTER, read_regular_file
from facesmith.io.messages import one_line

T = TypeVar("T")
PathText = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]  # the operating system knows no path with a NUL

MAX_JSON_BYTES = 2**26
MAX_DIGITS = 18  # of a whole number: fits into 64 bits, unlike the numbers of thousands of digits that JSON allows
MAX_REASON = 200
STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")  # of a path such as `$.kept[3][...]`
TYPE_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "text",
}


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text. All numbers in it are finite, and whole numbers have at most `MAX_DIGITS` digits.

    Raises:
        ValueError: the text can't be used; the message is the reason, in one line.
    """
    try:
        return json.loads(content, parse_float=_finite, parse_int=_bounded, parse_constant=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is not JSON ({where}: {error.msg})") from None


def as_schema(values: Any, schema: type[T]) -> T:
    """Parsed JSON as an object of a schema, such as a dataclass or `list[int]`.

    Raises:
        ValueError: an entry does not fit; the message says what was found and expected, in one line.
    """
    try:
        return msgspec.convert(values, schema)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise ValueError(_explain(str(error), values)) from None


def parse_as(content: bytes | str, schema: type[T]) -> T:
    """`parse_json`, then `as_schema`."""
    return as_schema(parse_json(content), schema)


def read_json(
    file: Path,
    schema: type[T],
    advice: str,
    *,
    error: type[FacesmithError] = BadData,
    max_bytes: int = MAX_JSON_BYTES,
) -> T:
    """Read a JSON file that must follow a schema.

    Args:
        advice: the end of the message: what to do, such as which file can be deleted and what that costs.
        error: what is raised for a file that can't be used.

    Raises:
        FileNotFoundError: there is no such file.
        FacesmithError: of the type `error`; the file is damaged or too large, or is not a regular file.
    """
    try:
        content = read_regular_file(file, max_bytes)
        if content.startswith(LFS_POINTER):
            raise error(f"{file} is a Git LFS pointer, not the file itself. Download it: git lfs pull")
        return parse_as(content, schema)
    except FileNotFoundError:
        raise
    except OSError as problem:
        reason = problem.strerror or str(problem)
    except ValueError as problem:
        reason = str(problem)
    raise error(f"{file} can't be used: {one_line(reason, MAX_REASON)}. {advice}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is not finite")
    return number


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a whole number has {len(text.lstrip('-'))} digits; expected at most {MAX_DIGITS}")
    return int(text)


def _explain(message: str, values: Any) -> str:
    """A message of msgspec in plain words, with the value that was found."""
    problem, _, path = message.partition(" - at `$")
    place = path.rstrip("`").removeprefix(".")
    if match := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"{place + '.' if place else ''}{match[1]} is missing"
    expected = re.sub(r", got `.*`$", "", problem).removeprefix("Expected ")
    expected = re.sub(r"`([^`]*)`", lambda match: _plain_types(match[1]), expected)
    found = _value_at(values, path)
    return f"{place or 'it'} is {found}; expected {expected}"


def _plain_types(types: str) -> str:
    return " or ".join(TYPE_NAMES.get(name, name) for name in types.split(" | "))


def _value_at(values: Any, path: str) -> str:
    """The value at a path, for a message. Objects and lists are shown by their kind only."""
    for name, index in STEP.findall(path):
        if index.isdecimal() and isinstance(values, list):
            values = values[int(index)]
        elif name and isinstance(values, dict):
            values = values.get(name)
        else:
            return "different"
    if isinstance(values, dict | list):
        return "an object" if isinstance(values, dict) else f"a list of {len(values)}"
    return one_line(json.dumps(values), 60)
