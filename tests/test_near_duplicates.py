from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut

from facesmith.photos import near_duplicates
from facesmith.photos.near_duplicates import (
    BITS,
    NEAR_BITS,
    HashIndex,
    distance,
    first_near_duplicates,
    near_duplicate_groups,
    perceptual_hash,
)
from facesmith.procedural import draw_many

FACE = astronaut()[20:212, 130:322]


def flipped(hash_, bits):
    """The hash with these bits flipped."""
    raw = np.unpackbits(np.asarray(hash_, np.uint64).view(np.uint8))
    raw[list(bits)] ^= 1
    return np.packbits(raw).view(np.uint64)


def recompressed(quality: int):
    stream = io.BytesIO()
    Image.fromarray(FACE).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_recompressed_resized_and_brightened_pictures_are_near_duplicates():
    changed = [
        recompressed(40),
        np.asarray(Image.fromarray(FACE).resize((96, 96))),
        (FACE * 0.8).astype(np.uint8),
        np.asarray(Image.fromarray(FACE).convert("L"))[..., None],
    ]
    for other in changed:
        assert distance(perceptual_hash(FACE), perceptual_hash(other)) <= NEAR_BITS


def test_other_faces_are_no_near_duplicates():
    assert distance(perceptual_hash(FACE), perceptual_hash(FACE[:, ::-1])) > NEAR_BITS
    assert distance(perceptual_hash(FACE), perceptual_hash(draw_many([0])[0])) > NEAR_BITS


def test_groups_equal_those_of_comparing_every_pair(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK_SIZE", 7)  # pairs within and across blocks
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (60, 4), np.uint64)
    for i in range(0, 60, 3):  # chains: each hash is near the one before
        hashes[i] = flipped(hashes[(i * 7) % 60], rng.choice(BITS, 20, replace=False))
    groups = near_duplicate_groups(hashes)
    expected = np.arange(60)
    near = distance(hashes[:, None], hashes[None]) <= NEAR_BITS
    for _ in range(60):
        expected = np.where(near, expected[None], 60).min(axis=1)
    assert np.array_equal(groups, expected)
    assert len(set(groups.tolist())) < 60


@given(st.integers(0, 2 * NEAR_BITS))
def test_threshold_counts_bits_exactly(bits):
    hashes = np.stack([np.zeros(4, np.uint64), flipped(np.zeros(4), range(bits))])
    assert (near_duplicate_groups(hashes)[1] == 0) == (bits <= NEAR_BITS)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(12)))
def test_groups_do_not_depend_on_the_order(order):
    chain = np.stack([flipped(np.zeros(4), range(20 * i, 20 * i + 20)) for i in range(12)])
    chain[6:] = np.bitwise_xor.accumulate(chain[6:])  # the second half is one chain
    groups = near_duplicate_groups(chain[list(order)])
    sets = {frozenset(order[i] for i in np.flatnonzero(groups == g)) for g in set(groups.tolist())}
    groups = near_duplicate_groups(chain)
    assert sets == {frozenset(np.flatnonzero(groups == g).tolist()) for g in set(groups.tolist())}


def test_thousands_of_equal_pictures_are_grouped_fast():
    assert not near_duplicate_groups(np.zeros((5000, 4), np.uint64)).any()


def test_zero_and_single_pictures_have_groups():
    assert near_duplicate_groups(np.empty((0, 4), np.uint64)).tolist() == []
    assert near_duplicate_groups(np.ones((1, 4), np.uint64)).tolist() == [0]
    assert perceptual_hash(np.zeros((1, 1, 3), np.uint8)).shape == (4,)


def test_hash_index_finds_near_duplicates_by_number():
    index = HashIndex()
    hashes = [perceptual_hash(np.rot90(FACE, turns)) for turns in range(3)]
    assert [index.find(hash_) for hash_ in hashes] == [None, None, None]
    assert [index.add(hash_) for hash_ in hashes] == [0, 1, 2]
    assert index.find(perceptual_hash((np.rot90(FACE) * 0.8).astype(np.uint8))) == 1
    assert index.find(perceptual_hash(np.rot90(FACE, 3))) is None


def test_hash_index_grows():
    index = HashIndex()
    hashes = np.random.default_rng(0).integers(0, 2**64, (3000, 4), np.uint64, endpoint=False)
    for hash_ in hashes:
        index.add(hash_)
    assert [index.find(hashes[i]) for i in (0, 1023, 1024, 2999)] == [0, 1023, 1024, 2999]


def test_first_near_duplicates_are_those_of_the_index_face_by_face(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK_SIZE", 7)
    hashes = clustered_hashes(200)
    index, expected, numbers = HashIndex(), [], []
    for i, each in enumerate(hashes):
        original = index.find(each)
        expected.append(-1 if original is None else numbers[original])
        if original is None:
            index.add(each)
            numbers.append(i)
    assert first_near_duplicates(hashes).tolist() == expected
    assert 100 < expected.count(-1) < 200


def test_among_too_many_hashes_to_compare_all_pairs_nearly_all_are_found(monkeypatch):
    hashes = clustered_hashes(3000, bits=20)
    exact = first_near_duplicates(hashes), near_duplicate_groups(hashes)
    monkeypatch.setattr(near_duplicates, "MAX_COMPARED", 1000)
    found = first_near_duplicates(hashes), near_duplicate_groups(hashes)
    for a, b in zip(exact, found, strict=True):
        assert (a == b).mean() > 0.99
        assert np.array_equal(first_near_duplicates(hashes), found[0])  # and always the same ones
    assert (exact[0] >= 0).sum() > 500


def test_thousands_of_equal_hashes_among_too_many_are_grouped(monkeypatch):
    monkeypatch.setattr(near_duplicates, "MAX_COMPARED", 100)
    hashes = np.zeros((500, 4), np.uint64)
    assert not near_duplicate_groups(hashes).any()
    assert first_near_duplicates(hashes).tolist() == [-1] + [0] * 499


def clustered_hashes(count, bits=24):
    """Random hashes; every third one is near an earlier one."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (count, 4), np.uint64)
    for i in range(3, count, 3):
        hashes[i] = flipped(hashes[rng.integers(i)], rng.choice(BITS, bits, replace=False))
    return hashes
