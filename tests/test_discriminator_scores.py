"""Discriminator scores: AUC, thresholds, histograms; scoring changes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from small import RECIPES, RESOLUTION, TEST_RECIPES, procedural_pixels, small_state

from facesmith.faces import Stream
from facesmith.pictures.images import to_float
from facesmith.training.discriminator_scores import (
    BINS,
    Scores,
    auc,
    discriminator_scores,
    read_histogram,
    training_faces,
)
from facesmith.training.state import state_dict
from facesmith.training.step import train_step


def scores_of(real, fake, real_threshold):
    return Scores(np.array(real, np.float32), np.array(fake, np.float32), real_threshold)


def test_auc_is_the_share_of_correctly_ranked_pairs():
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 6, 40).astype(np.float32), rng.integers(-2, 5, 30).astype(np.float32)
    by_pairs = (real[:, None] > fake).mean() + (real[:, None] == fake).mean() / 2
    assert auc(real, fake) == pytest.approx(by_pairs)
    assert auc(real, real) == 0.5
    assert auc(real + 10, fake) == 1.0


def test_accuracies_depend_on_the_threshold_of_the_loss():
    real, fake = [-1.0, 0.4, 0.6, 3.0], [-2.0, 0.3, 0.5, 0.7]
    assert scores_of(real, fake, 0.0).summary() == {
        "scores/accuracy_real": 0.75, "scores/accuracy_fake": 0.25, "scores/auc": 10 / 16
    }  # fmt: skip
    assert scores_of(real, fake, 0.5).summary() == {
        "scores/accuracy_real": 0.5, "scores/accuracy_fake": 0.75, "scores/auc": 10 / 16
    }  # fmt: skip
    assert scores_of(real, fake, None).summary() == {"scores/auc": 10 / 16}


def test_training_auc_needs_eight_held_out_faces():
    def summary(held_out):
        zeros = np.zeros(40, np.float32)
        return Scores(zeros, zeros, 0.0, np.full(held_out, -1, np.float32)).summary()

    assert summary(16)["scores/training_auc"] == 1.0
    assert summary(16)["scores/held_out_faces"] == 16
    assert "scores/training_auc" not in summary(7)


def test_faces_repeated_in_an_epoch_are_scored_once():
    state = small_state()
    pixels, rows = state.stream.pixels, np.array([3, 3, 3, 3, 5, 8, 8, 9])
    state.stream = Stream(pixels, rows, seed=0, mirror=False)
    np.testing.assert_array_equal(training_faces(state, 100), pixels[[3, 5, 8, 9]])
    assert len(discriminator_scores(state, new_images=8).real) == 4


def test_a_few_held_out_faces_are_scored_in_a_batch_as_varied_as_training_batches():
    state = small_state("quick", batch_size=16)
    held_out, batches = procedural_pixels(200)[192:], []
    state.nets["D"].register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0]))
    assert len(discriminator_scores(state, new_images=8, held_out=held_out).held_out) == 8
    scored = batches[-1]
    assert torch.equal(scored[:8], to_float(torch.from_numpy(held_out)))
    assert len(scored.flatten(1).unique(dim=0)) == 16


def test_histograms_are_over_probabilities_if_the_loss_defines_them():
    histogram = scores_of([0.0, 20.0], [-20.0, -20.0], 0.0).histogram()
    assert (histogram.low, histogram.high, histogram.real_threshold, histogram.probability) == (0.0, 1.0, 0.5, True)
    assert histogram.fake[0] == 2
    assert histogram.real[BINS // 2] == histogram.real[-1] == 1
    for threshold in (0.5, None):
        histogram = scores_of([1.0, 9.0], [-7.0, 1.0], threshold).histogram()
        assert (histogram.low, histogram.high, histogram.real_threshold, histogram.probability) == (
            -7.0,
            9.0,
            threshold,
            False,
        )
        assert sum(histogram.real) == sum(histogram.fake) == 2
    assert sum(scores_of([2.0], [2.0], None).histogram().real) == 1


def test_histograms_survive_the_log_and_invalid_ones_are_ignored():
    histogram = scores_of([0.0, 20.0], [-20.0, -20.0], None).histogram()
    plain = json.loads(json.dumps(asdict(histogram)))
    assert read_histogram({"scores": plain}) == histogram
    for change in (
        *({"real": []}, {"real": "x"}, {"fake": [0] * BINS}, {"low": 30}, {"low": "a"}, {"high": float("inf")}),
        *(
            {"real_threshold": float("nan")},
            {"real_threshold": "x"},
            {"more": 1},
            {"real": [-1] * BINS},
            {"real": None},
        ),
    ):
        assert read_histogram({"scores": {**plain, **change}}) is None, change
    assert read_histogram({"seen": 3}) is None
    assert read_histogram({"scores": 7}) is None


@pytest.mark.parametrize("name", [*(name for name in RECIPES if name != "vae64"), *TEST_RECIPES])
def test_scoring_does_not_change_the_training(name):
    scored, left_alone = small_state(name), small_state(name)
    for state in (scored, left_alone):
        train_step(state)
    scores = discriminator_scores(scored, new_images=8)
    assert scores is not None
    assert ("scores/accuracy_fake" in scores.summary()) == (scored.objective.real_threshold is not None)
    assert np.isfinite(scores.real).all()
    again = discriminator_scores(scored, new_images=8)
    np.testing.assert_array_equal(scores.fake, again.fake)  # dropout is off, latents and faces are the same
    for state in (scored, left_alone):
        train_step(state)
    actual, expected = (state_dict(state) for state in (scored, left_alone))
    for part in ("nets", "averages"):
        assert all(torch.equal(actual[part][key], tensor) for key, tensor in expected[part].items())
    assert all(net.training for net in scored.nets.values())


def test_real_and_fake_pass_batch_norm_in_separate_batches():
    state = small_state("dcgan64")
    D, G = state.nets["D"], state.nets["G"]
    batch = state.recipe.batch_size
    scores = discriminator_scores(state, new_images=0)
    rng = torch.Generator().manual_seed(20_140_610)
    with torch.no_grad():
        expected = D(G(G.draw_z(batch, rng)))  # networks in training mode: no dropout in these
    np.testing.assert_allclose(scores.fake[:batch], expected.numpy(), rtol=1e-5, atol=1e-6)


def many_faces(count=1300):
    state = small_state("dcgan64", budget=10**6)
    pixels = np.random.default_rng(0).integers(0, 256, (count, RESOLUTION, RESOLUTION, 3), np.uint8)
    state.stream = Stream(pixels, np.arange(count), seed=0, mirror=True)
    return state


def test_the_number_of_scores_follows_the_images_seen():
    state = many_faces()
    assert [len(discriminator_scores(state, new_images).real) for new_images in (0, 24 * 300, 10**6)] == [64, 304, 1000]
    state.seen = state.budget
    assert len(discriminator_scores(state, 0).fake) == 1000
    assert len(discriminator_scores(many_faces(50), 10**6).real) == 50


def test_the_same_fakes_are_scored_every_time():
    state = many_faces()
    few, many = discriminator_scores(state, 0), discriminator_scores(state, 10**6)
    np.testing.assert_array_equal(few.fake, many.fake[: len(few.fake)])


def test_without_a_discriminator_or_finite_logits_there_are_no_scores():
    state = small_state("dcgan64")
    with torch.no_grad():
        next(state.nets["D"].parameters()).fill_(float("nan"))
    assert discriminator_scores(state, 0) is None
    assert discriminator_scores(small_state("vae64"), 0) is None


@pytest.mark.parametrize("mixed", [True, False])
def test_scores_are_of_mixed_batches_where_training_mixes_them(mixed):
    state = small_state("balanced64", d_norm="batch", mixed_batch=mixed)
    sizes = []

    class Recorder(torch.nn.Module):
        def forward(self, x, labels=None):
            sizes.append(len(x))
            return x.flatten(1).sum(1)

    state.nets["D"] = Recorder()
    discriminator_scores(state, 0, procedural_pixels(24)[:12])
    assert set(sizes) == {16 if mixed else 8}
