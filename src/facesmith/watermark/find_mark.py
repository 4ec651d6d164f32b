"""Find the watermark in a picture of any size: in the whole picture, at common sizes, or around given faces.

A wide search tries millions of places, so by chance it reaches higher scores. `Found.p_value` accounts for that: each
search may spend a share of all chances, and divides it by the number of its tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facesmith.pictures.images import Pixels
from facesmith.watermark.key import (
    BLOCK_PX,
    BLOCKS,
    FRAME_PX,
    FREQUENCIES,
    PUBLIC_KEY,
    SIDES,
    STEP,
    Floats,
    Patterns,
    dct_matrix,
    patterns_of,
)
from facesmith.watermark.measure import CONTRASTS, chance_bound, luma, resized, score, strengths, unclipped_shares

SIGNIFICANT = 1e-5  # a picture counts as marked up to this p-value
# The shares of all chances: half of them for the few tries in the whole picture, a quarter for the usual sides, an
# eighth for parts of the whole picture, and an eighth for places around faces.
WHOLE_SHARE, SIDES_SHARE, PART_SHARE, FACES_SHARE = 0.5, 0.25, 0.125, 0.125
MAX_POSITIONS = 10_000_000  # that are tried for the usual sides
TRIES_PER_POSITION = 30  # at which contrasts, and steps that improve the position, are tried
MAX_PHASES = 3  # positions are tried in steps of a pixel of the picture, or of a third of a frame's pixel
MAX_MIRRORED_PIXELS = 400_000  # in the mirror image of a larger picture, only the whole picture is tried
MAX_ASPECT = 1.2  # of a picture that may be a single face
WHOLE_SIDES = (0.97, 1.2)  # of the frame, as shares of the picture's side, if the picture was cropped and resized
FACE_SIDES = (0.7, 1.45)  # of the frame, as shares of the square around a face
SIDE_STEP = 1.005
REACH_PX = 8  # of a frame: how far it may be from where it is expected
PROMISING = 4.0  # a place of a sheet whose score is at least this is improved
LANCZOS_REACH = 3  # in pixels of the smaller of the two pictures, on each side
REFINED = 4  # the number of best places around a face that are improved
REFINING_STEPS_PX = (0.4, 0.2, 0.1)  # of a frame
STRIP_POSITIONS = 2**16  # positions that are scored at once; more need more memory
# The score is computed only where it is high in these blocks, which form a lattice.
SAMPLED_BLOCKS = tuple(block for block in range(BLOCKS**2) if (block % BLOCKS + 2 * (block // BLOCKS)) % 4 == 0)
SELECTED_SHARE, MIN_SELECTED = 0.02, 64


Indices = NDArray[np.intp]


class Place(NamedTuple):
    """A square frame: its upper left corner and its side, in pixels of the picture."""

    left: float
    top: float
    side: float


@dataclass(frozen=True)
class Found:
    """The best place for a watermark.

    Attributes:
        score: see `measure.score`.
        p_value: an upper bound of the probability that a picture without watermark gets such a score anywhere.
        place: of the frame; in the mirror image if `mirrored`.
        mirrored: whether the picture was mirrored.
    """

    score: float
    p_value: float
    place: Place
    mirrored: bool = False

    @property
    def significant(self) -> bool:
        """Whether the picture counts as marked."""
        return self.p_value <= SIGNIFICANT


def find(pixels: Pixels, faces: Callable[[], Sequence[Place]] = list, key: str = PUBLIC_KEY) -> Found:
    """Return the best place for the watermark of `key` in a picture, uint8 `[H, W, C]`.

    The search ends at the first place that is significant.

    Args:
        faces: returns squares around faces, in and around which frames of many sizes are tried. It is called only if
            the quicker searches find nothing.
    """
    best: Found | None = None
    for found in _candidates(pixels, faces, patterns_of(key)):
        best = found if best is None or found.p_value < best.p_value else best
        if best.significant:
            break
    assert best is not None, "the whole picture is always a candidate"
    return best


def _candidates(pixels: Pixels, faces: Callable[[], Sequence[Place]], patterns: Patterns) -> Iterator[Found]:
    """Yield the best place of each search, from the quickest search to the slowest."""
    brightness = luma(pixels)
    pictures = {False: brightness, True: np.ascontiguousarray(brightness[:, ::-1])}  # by whether it is mirrored
    tries = len(pictures) * len(CONTRASTS)
    whole = Place(0, 0, max(brightness.shape))
    for mirrored, picture in pictures.items():
        frame = resized(picture, FRAME_PX, FRAME_PX)
        weights = unclipped_shares(pixels[:, ::-1] if mirrored else pixels)
        z = score(strengths(frame[None], patterns)[0], patterns, weights)
        yield Found(z, chance_bound(z, tries / WHOLE_SHARE), whole, mirrored)
    searches = {mirrored: _WideSearch(picture, patterns, mirrored) for mirrored, picture in pictures.items()}
    if brightness.size > MAX_MIRRORED_PIXELS:
        del searches[True]
    for number, side in enumerate(SIDES, 1):
        share = SIDES_SHARE * _part_of_share(number) / len(pictures)
        for search in searches.values():
            yield from search.at_side(side, share)
    if max(brightness.shape) <= MAX_ASPECT * min(brightness.shape):
        yield searches[False].around(whole, WHOLE_SIDES, PART_SHARE)
    for number, face in enumerate(faces(), 1):
        yield searches[False].around(face, FACE_SIDES, FACES_SHARE * _part_of_share(number))


def _part_of_share(number: int) -> float:
    """The part of a share that the search with this number gets, from 1: 1/2, 1/6, 1/12 …, at most 1 in all."""
    return 1 / (number * (number + 1))


class _WideSearch:
    """Tries many places in one picture. A part of the frame may have been cut off."""

    def __init__(self, brightness: Floats, patterns: Patterns, mirrored: bool) -> None:
        self._patterns, self._mirrored, self._positions = patterns, mirrored, 0
        self._brightness = brightness

    def at_side(self, side: int, share: float) -> Iterator[Found]:
        """Yield the best place of a frame with this side, if its score is promising.

        Nothing is tried if the picture is too small for this side, or if too many places were tried before.

        Args:
            share: of all chances, for this search.
        """
        pixel = side / FRAME_PX  # of the frame, in pixels of the picture
        margin = REACH_PX * side // FRAME_PX
        padded = np.pad(self._brightness, margin, mode="edge")
        height, width = (int(size / pixel) for size in padded.shape)
        phases = min(MAX_PHASES, int(np.ceil(pixel)))
        positions = phases**2 * (height - FRAME_PX + 1) * (width - FRAME_PX + 1)
        if min(height, width) < FRAME_PX or self._positions + positions > MAX_POSITIONS:
            return
        self._positions += positions
        best = []
        for down, right in product(range(phases), repeat=2):
            top, left = down * pixel / phases, right * pixel / phases
            rows, columns = int((padded.shape[0] - top) / pixel), int((padded.shape[1] - left) / pixel)
            if min(rows, columns) < FRAME_PX:
                continue
            box = (left, top, left + columns * pixel, top + rows * pixel)
            z, row, column = best_position(resized(padded, rows, columns, box), self._patterns)
            best.append((z, Place(left + column * pixel - margin, top + row * pixel - margin, side)))
        if max(best)[0] >= PROMISING:
            yield self._refined([max(best)], positions * TRIES_PER_POSITION / share)

    def around(self, expected: Place, sides: tuple[float, float], share: float) -> Found:
        """Return the best place of all frames near an expected one.

        Args:
            sides: the smallest and largest side to try, as shares of the expected one.
            share: of all chances, for this search.
        """
        count = int(np.log(sides[1] / sides[0]) / np.log(SIDE_STEP)) + 1
        canvas_px, best = FRAME_PX + 2 * REACH_PX, []
        for side in expected.side * sides[0] * SIDE_STEP ** np.arange(count):
            pixel = side / FRAME_PX
            middle = [corner + expected.side / 2 for corner in (expected.left, expected.top)]
            for shift in product((0, pixel / 2), repeat=2):
                left, top = (m - canvas_px / 2 * pixel + s for m, s in zip(middle, shift, strict=True))
                canvas = self._part(Place(left, top, canvas_px * pixel), canvas_px)
                z, row, column = best_position(canvas, self._patterns)
                best.append((z, Place(left + column * pixel, top + row * pixel, side)))
        positions = len(best) * (canvas_px - FRAME_PX + 1) ** 2
        return self._refined(sorted(best, reverse=True)[:REFINED], positions * TRIES_PER_POSITION / share)

    def _refined(self, places: Sequence[tuple[float, Place]], tries: float) -> Found:
        """The best place next to some places.

        Args:
            tries: of the search, divided by its share of all chances.
        """
        best, best_place = max(((self._score(place), place) for _, place in places))
        for _, place in places:
            z, place = self._climb(place)
            if z > best:
                best, best_place = z, place
        return Found(best, chance_bound(best, tries), best_place, self._mirrored)

    def _climb(self, place: Place) -> tuple[float, Place]:
        best, z = place, self._score(place)
        for step in REFINING_STEPS_PX:
            unit = step * place.side / FRAME_PX
            for left, top, grown in product((0, -unit, unit), repeat=3):
                near = Place(best.left + left - grown / 2, best.top + top - grown / 2, best.side + grown)
                if (new := self._score(near)) > z:
                    best, z = near, new
        return z, best

    def _score(self, place: Place) -> float:
        return score(strengths(self._part(place, FRAME_PX)[None], self._patterns)[0], self._patterns)

    def _part(self, place: Place, size: int) -> Floats:
        """A square of the picture, resized. What lies beyond the picture is repeated from its edge."""
        height, width = self._brightness.shape
        right, bottom = place.left + place.side, place.top + place.side
        beyond = int(np.ceil(max(0, -place.left, -place.top, right - width, bottom - height)))
        margin = int(np.ceil(LANCZOS_REACH * max(1, place.side / size))) + 1
        # Only what affects the square is cut out, because a photo may be large and has many places.
        rows, columns = (
            np.arange(max(-beyond, int(start) - margin - 1), min(length + beyond, int(end) + margin + 1))
            for start, end, length in ((place.top, bottom, height), (place.left, right, width))
        )
        part = self._brightness[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
        box = (place.left - columns[0], place.top - rows[0], right - columns[0], bottom - rows[0])
        return resized(part, size, size, box)


def best_position(canvas: Floats, patterns: Patterns) -> tuple[float, int, int]:
    """The best score of a frame in a canvas `[H, W]` whose pixels are those of the frame, and its row and column.

    All positions in whole pixels are tried, at unchanged contrast. A sample of the blocks selects the positions at
    which the score is computed.
    """
    rows, columns = (size - FRAME_PX + 1 for size in canvas.shape)
    step, best = max(1, STRIP_POSITIONS // columns), (-np.inf, 0, 0)
    for top in range(0, rows, step):
        coefficients = _coefficients(canvas[top : top + step + FRAME_PX - 1])
        sample = _sums_everywhere(coefficients, SAMPLED_BLOCKS, patterns)
        count = min(sample.size, max(MIN_SELECTED, int(SELECTED_SHARE * sample.size)))
        selected = np.argpartition(sample, -count, axis=None)[-count:]
        selected_rows, selected_columns = np.divmod(selected, sample.shape[1])
        sums = _sums(coefficients, selected_rows, selected_columns, patterns)
        winner = int(sums.argmax())
        z = float(sums[winner]) * np.sqrt(2 / patterns.offsets.size)
        best = max(best, (z, top + int(selected_rows[winner]), int(selected_columns[winner])))
    return best


def _coefficients(canvas: Floats) -> Floats:
    """The DCT coefficients of a block at each position in a canvas, `[H - 7, W - 7, len(FREQUENCIES)]`."""
    waves = dct_matrix(BLOCK_PX)[: 1 + max(map(max, FREQUENCIES))]
    height = canvas.shape[0] - BLOCK_PX + 1
    shifted = np.stack([canvas[y : y + height] for y in range(BLOCK_PX)])
    vertical = (waves @ shifted.reshape(BLOCK_PX, -1)).reshape(len(waves), height, -1)
    windows = np.lib.stride_tricks.sliding_window_view(vertical, BLOCK_PX, axis=2)
    # One matrix product of a copy is faster than many products of strided views.
    both = (windows.reshape(-1, BLOCK_PX) @ waves.T).reshape(*windows.shape[:3], -1)
    return np.stack([both[i, ..., j] for i, j in FREQUENCIES], axis=-1)


def _sums_everywhere(coefficients: Floats, blocks: Sequence[int], patterns: Patterns) -> Floats:
    """The sum of the cosines of some blocks' patterns, for each position of a frame, `[H, W]`."""
    rows, columns = (size - (BLOCKS - 1) * BLOCK_PX for size in coefficients.shape[:2])
    total = np.zeros((rows, columns), np.float32)
    for block in blocks:
        y, x = BLOCK_PX * (block // BLOCKS), BLOCK_PX * (block % BLOCKS)
        turns = coefficients[y : y + rows, x : x + columns] @ (patterns.weights[block].T / np.float32(STEP))
        for cosine in np.moveaxis(np.cos(np.float32(2 * np.pi) * (turns - patterns.offsets[block])), -1, 0):
            total += cosine
    return total


def _sums(coefficients: Floats, rows: Indices, columns: Indices, patterns: Patterns) -> Floats:
    """The sums of the cosines of all patterns for frames at these rows and columns `[N]`, `[N]`."""
    y, x = np.divmod(np.arange(BLOCKS**2), BLOCKS) * np.array(BLOCK_PX)
    part = coefficients[y[:, None] + rows, x[:, None] + columns]  # [BLOCKS**2, N, len(FREQUENCIES)]
    turns = part @ (patterns.weights.transpose(0, 2, 1) / np.float32(STEP)) - patterns.offsets[:, None]
    sums: Floats = np.cos(np.float32(2 * np.pi) * turns).sum((0, 2))
    return sums
