"""The small evaluation while training: the same every time, in order of quality, within its share of the time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import Thumbnails
from small import QUIET, drawn_pixels, faces_folder, small_state

from facesmith.errors import BadData
from facesmith.faces import open_faces
from facesmith.trainer import settled, train_step
from facesmith.watch import CHOSEN_BY, FEWEST, MOST, SHARE, affordable, check_validation, prepare, watched


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return open_faces(faces_folder(tmp_path_factory.mktemp("faces"), 1200), 16)


def test_it_gives_the_same_numbers_and_leaves_the_training_alone(faces):
    watch = prepare(faces, Thumbnails(), 64, QUIET)
    state = small_state()
    train_step(state)
    G = settled(state)["G"]
    torch.manual_seed(3)
    first, drawn = watched(G, watch), torch.rand(3)
    torch.manual_seed(3)
    again = watched(G, watch)
    assert torch.equal(torch.rand(3), drawn)
    assert first.pop("eval/seconds") >= 0
    assert again.pop("eval/seconds") >= 0
    assert first == again
    assert set(first) == {CHOSEN_BY, "eval/precision", "eval/coverage"}


def test_training_makes_it_better(faces):
    watch = prepare(faces, Thumbnails(), 128, QUIET)
    state = small_state(budget=10_000)
    before = watched(settled(state)["G"], watch)[CHOSEN_BY]
    for _ in range(40):
        train_step(state)
    assert watched(settled(state)["G"], watch)[CHOSEN_BY] < before


class Slow(Thumbnails):
    def features(self, pixels):
        time.sleep(0.16)
        return super().features(pixels)


def test_it_takes_no_more_than_its_share():
    pixels = drawn_pixels(4)
    samples, every = affordable(Slow(), pixels, 100_000, images_per_second=100)
    assert every == 100_000
    assert FEWEST <= samples <= MOST
    assert 0.01 * samples <= SHARE * every / 100
    samples, every = affordable(Slow(), pixels, 1000, images_per_second=100)
    assert samples == FEWEST
    assert every > 1000
    assert 0.01 * samples <= SHARE * every / 100
    assert affordable(Thumbnails(), pixels, 10**9, images_per_second=1)[0] == MOST


def test_too_few_validation_faces_are_told_of(faces):
    check_validation(faces)
    few = replace(faces, parts=np.zeros_like(faces.parts))
    with pytest.raises(BadData, match="--eval-every"):
        check_validation(few)
