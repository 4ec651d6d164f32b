"""Arrays that programs pass, checked before they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData
from facesmith.io.messages import shorten


def as_array(values: object, what: str) -> NDArray[Any]:
    """The array that a program passed, also as a list, a picture of Pillow or a tensor.

    Raises:
        BadData: it is no array of numbers; the message calls it `what`.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadData(f"{what}: {type(values).__name__} is no array ({str(error)[:100]}).") from None
    if array.dtype.kind not in "biuf":
        raise BadData(f"{what}: {shorten(repr(values), 40)} is no array of numbers.")
    return array
