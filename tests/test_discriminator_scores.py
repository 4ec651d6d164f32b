"""What the critic says of real faces and fakes: ranks by hand, thresholds, and nothing changed by asking."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from small import RECIPES, RESOLUTION, TEST_RECIPES, procedural_pixels, small_state

from facesmith.faces import Stream
from facesmith.io.images import to_float
from facesmith.training.discriminator_scores import (
    BINS,
    Scores,
    discriminator_scores,
    ranked,
    read_histogram,
    training_faces,
)
from facesmith.training.trainer import state_dict, train_step


def scores_of(real, fake, real_threshold):
    return Scores(np.array(real, np.float32), np.array(fake, np.float32), real_threshold)


def test_ranks_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 6, 40).astype(np.float32), rng.integers(-2, 5, 30).astype(np.float32)
    by_pairs = (real[:, None] > fake).mean() + (real[:, None] == fake).mean() / 2
    assert ranked(real, fake) == pytest.approx(by_pairs)
    assert ranked(real, real) == 0.5
    assert ranked(real + 10, fake) == 1.0


def test_how_the_game_stands_depends_on_what_logits_mean():
    real, fake = [-1.0, 0.4, 0.6, 3.0], [-2.0, 0.3, 0.5, 0.7]
    assert scores_of(real, fake, 0.0).standing() == {
        "scores/accuracy_real": 0.75, "scores/accuracy_fake": 0.25, "scores/auc": 10 / 16
    }  # fmt: skip
    assert scores_of(real, fake, 0.5).standing() == {
        "scores/accuracy_real": 0.5, "scores/accuracy_fake": 0.75, "scores/auc": 10 / 16
    }  # fmt: skip
    assert scores_of(real, fake, None).standing() == {"scores/auc": 10 / 16}


def test_few_unseen_faces_count_and_a_handful_do_not():
    def told(unseen):
        held = Scores(np.zeros(40, np.float32), np.zeros(40, np.float32), 0.0, np.full(unseen, -1, np.float32))
        return held.standing()

    assert told(16)["scores/training_auc"] == 1.0
    assert told(16)["scores/unseen_faces"] == 16
    assert "scores/training_auc" not in told(7)


def test_faces_that_come_several_times_in_a_pass_are_looked_at_once():
    state = small_state()
    pixels, rows = state.stream.pixels, np.array([3, 3, 3, 3, 5, 8, 8, 9])
    state.stream = Stream(pixels, rows, seed=0, mirror=False)
    np.testing.assert_array_equal(training_faces(state, 100), pixels[[3, 5, 8, 9]])
    assert len(discriminator_scores(state, shown=8).real) == 4


def test_a_few_unseen_faces_stand_in_a_batch_as_varied_as_those_of_training_faces():
    state = small_state("quick64", batch_size=16)
    unseen, batches = procedural_pixels(200)[192:], []
    state.nets["D"].register_forward_pre_hook(lambda _, condition: batches.append(condition[0]))
    assert len(discriminator_scores(state, shown=8, unseen=unseen).unseen) == 8
    judged = batches[-1]
    assert torch.equal(judged[:8], to_float(torch.from_numpy(unseen)))
    assert len(judged.flatten(1).unique(dim=0)) == 16


def test_histograms_are_over_probabilities_where_logits_mean_some():
    held = scores_of([0.0, 20.0], [-20.0, -20.0], 0.0).histogram()
    assert (held.low, held.high, held.real_threshold, held.probability) == (0.0, 1.0, 0.5, True)
    assert held.fake[0] == 2
    assert held.real[BINS // 2] == held.real[-1] == 1
    for threshold in (0.5, None):
        held = scores_of([1.0, 9.0], [-7.0, 1.0], threshold).histogram()
        assert (held.low, held.high, held.real_threshold, held.probability) == (-7.0, 9.0, threshold, False)
        assert sum(held.real) == sum(held.fake) == 2
    assert sum(scores_of([2.0], [2.0], None).histogram().real) == 1


def test_a_log_keeps_a_histogram_and_what_is_none_is_left():
    held = scores_of([0.0, 20.0], [-20.0, -20.0], None).histogram()
    plain = json.loads(json.dumps(asdict(held)))
    assert read_histogram({"scores": plain}) == held
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
def test_asking_changes_nothing(name):
    asked, left_alone = small_state(name), small_state(name)
    for state in (asked, left_alone):
        train_step(state)
    scores = discriminator_scores(asked, shown=8)
    assert scores is not None
    assert ("scores/accuracy_fake" in scores.standing()) == (asked.objective.real_threshold is not None)
    assert np.isfinite(scores.real).all()
    again = discriminator_scores(asked, shown=8)
    np.testing.assert_array_equal(scores.fake, again.fake)  # dropout is off, latents and faces are the same
    for state in (asked, left_alone):
        train_step(state)
    kept, expected = (state_dict(state) for state in (asked, left_alone))
    for part in ("nets", "averages"):
        assert all(torch.equal(kept[part][key], held) for key, held in expected[part].items())
    assert all(net.training for net in asked.nets.values())


def test_each_kind_passes_batch_norm_by_itself_with_its_own_statistics():
    state = small_state("dcgan64")
    D, G = state.nets["D"], state.nets["G"]
    batch = state.recipe.batch_size
    scores = discriminator_scores(state, shown=0)
    rng = torch.Generator().manual_seed(20_140_610)
    with torch.no_grad():
        expected = D(G(G.draw_z(batch, rng)))  # networks in training mode: no dropout in these
    np.testing.assert_allclose(scores.fake[:batch], expected.numpy(), rtol=1e-5, atol=1e-6)


def many_faces(count=1300):
    state = small_state("dcgan64", budget=10**6)
    pixels = np.random.default_rng(0).integers(0, 256, (count, RESOLUTION, RESOLUTION, 3), np.uint8)
    state.stream = Stream(pixels, np.arange(count), seed=0, mirror=True)
    return state


def test_more_faces_shown_pay_for_more_scores_and_the_end_for_all():
    state = many_faces()
    assert [len(discriminator_scores(state, shown).real) for shown in (0, 24 * 300, 10**6)] == [64, 304, 1000]
    state.seen = state.budget
    assert len(discriminator_scores(state, 0).fake) == 1000
    assert len(discriminator_scores(many_faces(50), 10**6).real) == 50


def test_the_same_fakes_are_scored_however_many():
    state = many_faces()
    few, many = discriminator_scores(state, 0), discriminator_scores(state, 10**6)
    np.testing.assert_array_equal(few.fake, many.fake[: len(few.fake)])


def test_recipes_without_critic_and_broken_critics_have_no_scores():
    state = small_state("dcgan64")
    with torch.no_grad():
        next(state.nets["D"].parameters()).fill_(float("nan"))
    assert discriminator_scores(state, 0) is None
    assert discriminator_scores(small_state("vae64"), 0) is None
