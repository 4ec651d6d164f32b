from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facesmith.faces import Stream

N = 10
PIXELS = np.random.default_rng(0).integers(0, 256, (2 * N, 4, 4, 3), np.uint8)
PART = np.arange(0, 2 * N, 2)


def stream(**changes) -> Stream:
    return Stream(PIXELS, PART, **{"seed": 1, "mirror": True, **changes})


def rows_of(faces: torch.Tensor) -> list[int]:
    """The row of each face of a batch, flipped or not."""
    pixels = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 127.5 - 1
    either = [torch.stack([each, each.flip(2)]) for each in pixels]
    return [next(i for i, two in enumerate(either) if (two == face).all((1, 2, 3)).any()) for face in faces]


@settings(deadline=None)
@given(st.lists(st.integers(0, 25), max_size=6), st.booleans())
def test_faces_do_not_depend_on_batch_sizes(counts, replacement):
    one = stream()
    parts = [one.draw(count, replacement=replacement) for count in counts]
    assert torch.equal(
        torch.cat([torch.empty(0, 3, 4, 4), *parts]), stream().draw(sum(counts), replacement=replacement)
    )


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 2**63), st.booleans())
def test_resumed_stream_is_identical(position, seed, replacement):
    uninterrupted = stream(seed=seed)
    uninterrupted.position = position
    uninterrupted.draw(7, replacement=replacement)
    resumed = stream(seed=seed, position=uninterrupted.position)
    assert torch.equal(uninterrupted.draw(15, replacement=replacement), resumed.draw(15, replacement=replacement))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 25), st.booleans())
def test_last_drawn_faces_are_those_of_the_last_batch(position, count, replacement):
    one = stream(position=position)
    batch = one.draw(count, replacement=replacement)
    assert torch.equal(one.last_drawn(count, replacement=replacement), batch)
    assert one.position == position + count


def test_each_epoch_has_every_face_once_in_a_new_order():
    one = stream(mirror=False)
    first, second = rows_of(one.draw(N)), rows_of(one.draw(N))
    assert sorted(first) == sorted(second) == PART.tolist()
    assert first != second


def test_replacement_draws_uniformly_from_the_given_rows():
    counts = np.bincount(rows_of(stream().draw(2000, replacement=True)), minlength=2 * N)
    assert counts[1::2].sum() == 0
    assert counts[::2].min() > 120
    assert len(set(rows_of(stream().draw(N, replacement=True)))) < N


def test_mirroring_flips_half_of_the_faces_but_not_the_data():
    before = PIXELS.copy()
    faces, plain = stream().draw(1000), stream(mirror=False).draw(1000)
    same = (faces == plain).flatten(1).all(1)
    assert torch.equal(faces[~same], plain[~same].flip(3))
    assert 0.42 < same.float().mean() < 0.58
    assert np.array_equal(PIXELS, before)


@settings(deadline=None)
@given(st.integers(1, 25), st.booleans(), st.booleans())
def test_labels_belong_to_their_faces_mirrored_or_not(count, mirror, replacement):
    labels = np.arange(4 * N, dtype=np.float32).reshape(2 * N, 2)
    faces, batch_labels = stream(labels=labels, mirror=mirror).draw_with_labels(count, replacement=replacement)
    assert torch.equal(batch_labels, torch.from_numpy(labels[rows_of(faces)]))
    plain, no_labels = stream(mirror=mirror).draw_with_labels(count, replacement=replacement)
    assert torch.equal(plain, faces)
    assert no_labels is None


def test_faces_are_float32_in_minus_one_to_one():
    faces = stream().draw(3)
    assert faces.shape == (3, 3, 4, 4)
    assert faces.dtype == torch.float32
    assert faces.min() >= -1
    assert faces.max() <= 1
    assert stream().draw(0).shape == (0, 3, 4, 4)


def test_other_seed_gives_another_order():
    assert rows_of(stream(seed=1).draw(N)) != rows_of(stream(seed=2).draw(N))


def test_stream_needs_at_least_one_row():
    with pytest.raises(AssertionError):
        Stream(PIXELS, np.empty(0, np.int64), seed=0, mirror=False)
