"""Metrics against closed forms, published values, another implementation, and properties of all sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesmith.errors import BadData
from facesmith.metrics import frechet_distance, kid, prdc
from facesmith.metrics.comparison import SETS, protocol_name, scores, scores_with_intervals
from facesmith.metrics.kid import kid_of_subsets

ALL = (frechet_distance, kid, prdc)


@pytest.fixture(scope="module")
def published():
    """The sets that the upstream implementations were run on."""
    rs = np.random.RandomState(0)
    return rs.randn(500, 64), rs.randn(400, 64) * 0.9 + 0.1


def test_frechet_distance_equals_upstream(published):
    assert frechet_distance(*published) == pytest.approx(5.68491351, rel=1e-6)


def test_kid_equals_clean_fid(published):
    assert kid(*published) == pytest.approx(0.0337008160, rel=1e-6)
    assert kid(*published, subsets=100, subset_size=400, seed=0) == kid(*published)


def test_prdc_equals_upstream_exactly(published):
    assert prdc(*published, k=5) == {"precision": 0.95, "recall": 0.38, "density": 3.3175, "coverage": 0.996}
    three = prdc(*published, k=3)
    assert (three["precision"], three["recall"], three["coverage"]) == (0.91, 0.302, 0.986)
    assert three["density"] == pytest.approx(3.55583, abs=5e-6)


@pytest.mark.slow
def test_prdc_of_equal_gaussians_has_its_known_values():
    rng = np.random.default_rng(0)
    values = prdc(rng.standard_normal((10_000, 1000)), rng.standard_normal((10_000, 1000)), k=5)
    # In high dimensions a few points are neighbors of many, so draws differ: the density of five was .91 to 1.07.
    assert values["precision"] == pytest.approx(0.477, abs=0.04)
    assert values["recall"] == pytest.approx(0.471, abs=0.04)
    assert values["density"] == pytest.approx(1.056, abs=0.2)
    assert values["coverage"] == pytest.approx(0.974, abs=0.03)


def test_torch_fidelity_agrees(published):
    fidelity = pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    from torch import from_numpy
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    assert fidelity.__version__
    real, fake = map(from_numpy, published)
    fid = fid_statistics_to_metric(fid_features_to_statistics(real), fid_features_to_statistics(fake), verbose=False)
    assert frechet_distance(*published) == pytest.approx(fid["frechet_inception_distance"], rel=2e-6)
    # torch-fidelity draws the two sets in the opposite order of clean-fid: the same numbers, with the sets exchanged.
    theirs = kid_features_to_metric(fake, real, kid_subsets=20, kid_subset_size=300, rng_seed=0, verbose=False)
    ours = kid_of_subsets(*published, subsets=20, subset_size=300)
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)
    shares = prc_features_to_metric(fake, real, prc_neighborhood=4, verbose=False)
    values = prdc(*published, k=4)
    assert values["precision"] == pytest.approx(shares["precision"], abs=1e-6)
    assert values["recall"] == pytest.approx(shares["recall"], abs=1e-6)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200_000, 3))
    assert frechet_distance(x, x * [2, 1, 1] + [3, 0, 0]) == pytest.approx(9 + 1, rel=0.01)


def test_equal_sets_have_distance_zero():
    x = np.random.default_rng(2).standard_normal((60, 200))  # fewer pictures than dimensions
    assert abs(frechet_distance(x, x[::-1])) < 1e-9
    assert prdc(x, x, k=3) == {"precision": 1, "recall": 1, "density": pytest.approx(1, abs=0.1), "coverage": 1}


def sets(draw, count, dims, which):
    """One set of a pair. The two share no point, since rounding would decide between equal distances."""
    rng = np.random.default_rng((draw(st.integers(0, 2**32 - 1)), which))
    return rng.standard_normal((count, dims)) * draw(st.floats(0.2, 5)) + draw(st.floats(-3, 3))


@st.composite
def pairs(draw):
    dims = draw(st.integers(1, 12))
    counts = st.integers(7, 40)
    return sets(draw, draw(counts), dims, 0), sets(draw, draw(counts), dims, 1)


@settings(max_examples=60, deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_order_rotation_and_translation_change_nothing(pair, seed):
    real, fake = pair
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((real.shape[1], real.shape[1])))
    rotated = [rng.permutation(x) @ rotation + 2 for x in pair]
    scale = np.square(np.concatenate(pair)).sum(1).max()
    assert frechet_distance(*rotated) == pytest.approx(frechet_distance(real, fake), abs=1e-8 * scale)
    assert prdc(*rotated, k=2) == pytest.approx(
        prdc(real, fake, k=2), abs=0.2
    )  # rounding can decide between equal distances
    assert prdc(*(rng.permutation(x) for x in pair), k=2) == pytest.approx(prdc(real, fake, k=2))


@settings(max_examples=60, deadline=None)
@given(pairs(), st.integers(1, 6))
def test_shares_are_at_most_one_and_exchanging_the_sets_exchanges_them(pair, k):
    real, fake = pair
    values, exchanged = prdc(real, fake, k), prdc(fake, real, k)
    assert all(0 <= values[name] <= 1 for name in ("precision", "recall", "coverage"))
    assert 0 <= values["density"] <= len(real) / k
    assert (values["precision"], values["recall"]) == (exchanged["recall"], exchanged["precision"])
    assert values["coverage"] >= 0
    assert (values["precision"] == 0) == (values["density"] == 0)


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_distances_are_symmetric_and_not_negative(pair):
    real, fake = pair
    scale = np.square(np.concatenate(pair)).sum(1).max()
    there, back = frechet_distance(real, fake), frechet_distance(fake, real)
    assert there == pytest.approx(back, abs=1e-9 * scale)
    assert there > -1e-9 * scale
    n = min(len(real), len(fake))
    assert kid(real[:n], fake[:n], subsets=1) == pytest.approx(kid(fake[:n], real[:n], subsets=1), rel=1e-6, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4))
def test_distances_grow_as_a_set_moves_away(seed, step):
    x = np.random.default_rng(seed).standard_normal((80, 6))
    y = np.random.default_rng(seed + 1).standard_normal((80, 6))
    assert frechet_distance(x, y) < frechet_distance(x, y + step) < frechet_distance(x, y + 2 * step)
    assert kid(x, y) < kid(x, y + step) < kid(x, y + 2 * step)
    assert prdc(x, y)["coverage"] >= prdc(x, y + 2 * step)["coverage"]


@pytest.mark.parametrize("metric", ALL)
def test_metrics_change_neither_their_input_nor_the_random_state(metric, published):
    real, fake = (x.astype(np.float32) for x in published)
    copies = real.copy(), fake.copy()
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    assert metric(real, fake) == metric(real, fake)
    assert (np.random.get_state()[1] == before).all()
    assert np.array_equal(real, copies[0])
    assert np.array_equal(fake, copies[1])


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((9, 4)), np.zeros((9, 5)), "4 dimensions, the fake ones 5"),
        (np.zeros((9, 4)), np.zeros(9), r"shape \[9\]"),
        (np.zeros((1, 4)), np.zeros((9, 4)), "1 real pictures are too few"),
        (np.zeros((9, 4)), np.zeros((0, 4)), "0 fake pictures are too few"),
        (np.zeros((9, 4)), np.full((9, 4), np.nan), "not finite"),
    ],
)
def test_wrong_input_gives_a_one_line_error(metric, real, fake, message):
    with pytest.raises(BadData, match=message):
        metric(real, fake)


def test_prdc_needs_more_pictures_than_neighbors(published):
    with pytest.raises(BadData, match="at least 6"):
        prdc(published[0][:5], published[1], k=5)
    with pytest.raises(BadData, match="k is 0"):
        prdc(*published, k=0)


def test_intervals_contain_the_true_value():
    rng = np.random.default_rng(3)
    real = rng.standard_normal((100, 4))
    truth = kid(real, rng.standard_normal((5000, 4)) * 1.5, subsets=400)  # unbiased, so sizes don't matter
    hits = 0
    for _ in range(30):
        score = scores_with_intervals(real, rng.standard_normal((100, 4)) * 1.5)["kid"]
        hits += score.low <= truth <= score.high
    assert hits >= 24


def test_intervals_contain_the_value_and_narrow_with_more_pictures():
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((500, 8)), rng.standard_normal((2000, 8)) + 0.3
    few, many = scores_with_intervals(real, fake[:100]), scores_with_intervals(real, fake)
    assert {name: score.value for name, score in many.items()} == scores(real, fake)
    assert many["fd"].high - many["fd"].low < few["fd"].high - few["fd"].low
    assert all(score.low <= score.value <= score.high for score in many.values())
    assert SETS == 5


def test_intervals_of_shares_end_at_one():
    rng = np.random.default_rng(5)
    real, fake = rng.standard_normal((60, 2)), 0.1 * rng.standard_normal((30, 2))
    fake[0] = 100  # outside of all real pictures
    scores = scores_with_intervals(real, fake)
    assert scores["precision"].value == pytest.approx(29 / 30)
    assert scores["precision"].high == 1
    assert all(scores[name].high <= 1 for name in ("recall", "coverage"))
    assert scores["density"].high > 1


def test_a_metric_s_name_states_its_protocol():
    assert protocol_name("fd", 5000, "lite0") == "fd5k_lite0"
    assert protocol_name("fd", 512, "lite0") == "fd512_lite0"
    assert protocol_name("kid", 2500, "lite0") == "kid2.5k_lite0"
    assert protocol_name("fd", 10_000, "inception", fid=True) == "fid10k_inception"
