"""Shares of attributes among samples are counted correctly, and what a generator lost is named."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from planted import PlantedModel, Thumbnails
from rich.console import Console
from small import QUIET, faces_folder
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

import facesmith
from facesmith.attributes.spectrum_match import SpectrumMatch
from facesmith.card.facts import CardOptions
from facesmith.card.write_card import write_card
from facesmith.errors import BadData
from facesmith.evaluation import evaluate as verb
from facesmith.evaluation.attribute_shares import (
    AttributeShare,
    attribute_summary,
    attribute_table,
    class_shares,
    corrected_share,
    explanation,
    lost_attributes,
)
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.evaluation.evaluation_json import _attribute
from facesmith.evaluation.measure_attributes import attribute_shares, checked_labels
from facesmith.evaluation.model_result import evaluate_model
from facesmith.evaluation.reference import prepare_reference
from facesmith.faces import open_faces
from facesmith.metrics.comparison import Score
from facesmith.pictures.images import write_png

SHARES = st.floats(0.01, 0.99)


class FinerThumbnails(Thumbnails):
    """Features in which eyeglasses and long hair are visible."""

    name, dims = "fine", 3 * 12**2

    def features(self, pixels):
        return adaptive_avg_pool2d(pixels.permute(0, 3, 1, 2).float(), 12).flatten(1)


def softened(pictures):
    """Pictures averaged over 3x3 pixels."""
    floats = torch.tensor(np.asarray(pictures)).permute(0, 3, 1, 2).float()
    smooth = avg_pool2d(floats, 3, 1, 1, count_include_pad=False)
    return smooth.round().byte().permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return open_faces(faces_folder(tmp_path_factory.mktemp("faces"), 1500, 32), 32)


@pytest.fixture(scope="module")
def reference(faces):
    return prepare_reference(faces, FinerThumbnails(), 400, QUIET, identity=False)


def measured(faces, reference, pictures):
    result = evaluate_model(PlantedModel(pictures, faces), reference, len(pictures), QUIET)
    return attribute_shares(result, reference, checked_labels(faces, QUIET), QUIET)


def rows_with(faces, name, value):
    rows = np.concatenate([faces.part("train"), faces.part("validation")])
    return rows[faces.attributes[name][rows] == value]


def test_a_generator_that_lost_long_hair_is_noticed(faces, reference):
    shares = measured(faces, reference, faces.pixels[rows_with(faces, "long_hair", 0)[:400]])
    assert "long_hair" in lost_attributes(shares)
    (long_hair,) = (share for share in shares if share.name == "long_hair")
    assert long_hair.certain
    assert long_hair.samples.high < 0.1 < long_hair.data.low
    assert "long_hair" in attribute_summary(shares)
    assert attribute_table(shares)[1][3] == "rarer"


def test_a_generator_that_draws_only_long_hair_lost_the_others(faces, reference):
    shares = measured(faces, reference, faces.pixels[rows_with(faces, "long_hair", 1)[:400]])
    assert "not long_hair" in lost_attributes(shares)


@pytest.mark.parametrize("change", [np.asarray, softened])
def test_a_fair_generator_lost_nothing_even_if_it_is_soft(faces, reference, change):
    rows = np.concatenate([faces.part("train"), faces.part("validation")])[:800]
    shares = measured(faces, reference, change(faces.pixels[rows]))
    assert lost_attributes(shares) == []
    certain = [share for share in shares if share.certain]
    assert len(certain) >= 2
    assert all(abs(share.samples.value - share.data.value) < 0.1 for share in certain)


@given(SHARES, st.floats(0.5, 1), st.floats(0.55, 1))
def test_the_correction_inverts_the_errors_of_a_classifier(share, sensitivity, specificity):
    assume(sensitivity + specificity > 1.1)
    counted = share * sensitivity + (1 - share) * (1 - specificity)
    score = corrected_share(counted, 2000, sensitivity, 500, specificity, 500)
    assert score.value == pytest.approx(share, abs=1e-9)
    assert 0 <= score.low <= score.value <= score.high <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(1, 50))
def test_every_classifier_gives_a_valid_interval(counted, sensitivity, specificity, n_with, n_without):
    score = corrected_share(counted, 30, sensitivity, n_with, specificity, n_without)
    assert 0 <= score.low <= score.value <= score.high <= 1
    if sensitivity + specificity <= 1:
        assert (score.low, score.high) == (0, 1), "no better than chance: nothing is known"


@pytest.mark.parametrize("share", [0.03, 0.1, 0.5, 0.9])
def test_the_interval_contains_the_true_share_in_95_percent(share):
    rng, sensitivity, specificity, hits = np.random.default_rng(0), 0.8, 0.93, 0
    for _ in range(3000):
        counted = rng.binomial(1000, share * sensitivity + (1 - share) * (1 - specificity)) / 1000
        score = corrected_share(
            counted, 1000, rng.binomial(100, sensitivity) / 100, 100, rng.binomial(400, specificity) / 400, 400
        )
        hits += score.low <= share <= score.high
    assert hits / 3000 == pytest.approx(0.95, abs=0.015)


@given(st.floats(0, 0.2), st.floats(0.6, 1))
def test_fewer_findings_than_false_alarms_may_all_be_right(counted, sensitivity):
    score = corrected_share(counted, 1000, sensitivity, 300, 0.6, 1000)  # 40 % false alarms on held-out faces
    assert (score.low, score.value) == (0, 0)
    assert counted / sensitivity <= score.high < counted / sensitivity + 0.06
    opposite = corrected_share(1 - counted, 1000, 0.6, 1000, sensitivity, 300)
    assert (opposite.low, opposite.value, opposite.high) == pytest.approx((1 - score.high, 1, 1))


def test_an_attribute_that_the_probe_can_not_recognize_is_never_called_lost():
    weak = AttributeShare("smiling", Score(0.5, 0.45, 0.55), Score(0.1, 0.05, 0.15), 0.2, 0.6, 0.6, auc=0.65)
    assert lost_attributes([weak]) == []
    assert attribute_table([weak])[1][2:4] == ["unknown", "uncertain"]
    assert lost_attributes([replace(weak, auc=0.9)]) == ["smiling"]


CONFUSION = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])  # [true, predicted]


def predicted(rng, true):
    """The classes that a probe with these errors predicts."""
    return (rng.random(len(true))[:, None] > CONFUSION[true].cumsum(1)).sum(1)


@pytest.mark.parametrize("shares", [(0.2, 0.3, 0.5), (0.9, 0.1, 0.0), (1 / 3, 1 / 3, 1 / 3)])
def test_the_shares_of_classes_are_found_although_the_probe_confuses_them(shares):
    rng, hits = np.random.default_rng(0), 0
    for _ in range(20):
        drawn, labels = rng.choice(3, 3000, p=shares), np.repeat(np.arange(3), 400)
        found = class_shares(predicted(rng, drawn), predicted(rng, labels), labels, 3)
        assert sum(score.value for score in found) == pytest.approx(1)
        assert all(0 <= score.low <= score.value <= score.high <= 1 for score in found)
        assert all(abs(score.value - share) < 0.15 for score, share in zip(found, shares, strict=True))
        hits += sum(score.low - 0.005 <= share <= score.high for score, share in zip(found, shares, strict=True))
    assert hits >= 0.85 * 60, "95 % intervals"


def test_a_class_that_no_sample_has_is_rare_and_one_that_no_face_was_taken_for_is_possible():
    labels = np.repeat(np.arange(3), 50)
    found = class_shares(np.zeros(500, int), labels, labels, 3)
    assert found[0].value > 0.99
    never = class_shares(np.full(500, 2), np.where(labels == 2, 1, labels), labels, 3)
    assert sum(score.value for score in never) == pytest.approx(1)


def test_an_exaggerated_attribute_means_that_its_opposite_was_lost():
    many = AttributeShare("young", Score(0.7, 0.68, 0.72), Score(0.9, 0.88, 0.92), 0.9, 0.9, 0.9, auc=0.95)
    assert lost_attributes([many, replace(many, name="no_beard")]) == ["not young", "beard"]
    assert lost_attributes([replace(many, name="age_20-29", column="age")]) == []


def test_classes_of_a_column_are_counted_together(tmp_path):
    """Short and long hair as two classes of one column: their shares add up to 1."""
    folder = faces_folder(tmp_path / "faces", 1500, 32)
    table = (folder / "metadata.csv").read_text().splitlines()
    place = table[0].split(",").index("long_hair")
    lines = [f"{row.split(',')[0]},{'long' if row.split(',')[place] == '1' else 'short'}" for row in table[1:]]
    (folder / "metadata.csv").write_text("\n".join(["file_name,hair", *lines]) + "\n")
    faces = open_faces(folder, 32)
    assert set(faces.attributes) == {"hair=long", "hair=short"}
    reference = prepare_reference(faces, FinerThumbnails(), 400, QUIET, identity=False)
    short = rows_with(faces, "hair=short", 1)[:300]
    long = rows_with(faces, "hair=long", 1)[:100]
    shares = measured(faces, reference, faces.pixels[np.sort(np.concatenate([short, long]))])
    assert sum(share.samples.value for share in shares) == pytest.approx(1)
    assert {share.name: share.column for share in shares} == {"hair_long": "hair", "hair_short": "hair"}
    assert {share.name: share.samples.value for share in shares}["hair_long"] == pytest.approx(0.25, abs=0.06)


def test_a_column_with_many_rare_classes_does_not_make_the_others_more_frequent(faces, reference):
    """Faces with eyeglasses have one of 17 rare classes, the others short or long hair, which do not add up to 1."""
    rare, long = faces.attributes["eyeglasses"] == 1, faces.attributes["long_hair"] == 1
    classes = {"hair=long": long & ~rare, "hair=short": ~long & ~rare}
    classes |= {f"hair=rare{i}": rare & (np.arange(len(rare)) % 17 == i) for i in range(17)}
    attributes = {name: column.astype(np.float32) for name, column in classes.items()}
    labeled = replace(faces, attributes=attributes)
    fair = np.concatenate([faces.part("train"), faces.part("validation")])[:400]
    shares = measured(labeled, replace(reference, faces=labeled), faces.pixels[fair])
    assert {"hair_long", "hair_short"} <= {share.name for share in shares} != set(classes)
    assert {share.difference for share in shares} <= {"", "uncertain"}
    both = [share for share in shares if share.name in ("hair_long", "hair_short")]
    assert sum(share.samples.value for share in both) == pytest.approx(sum(share.data.value for share in both), abs=0.1)


def test_an_attribute_without_labels_on_the_training_faces_of_the_probe_is_left_out(faces, reference):
    attributes = {name: faces.attributes[name].copy() for name in ("long_hair", "eyeglasses")}
    attributes["long_hair"][faces.part("train")] = np.nan
    for names in (["long_hair", "eyeglasses"], ["long_hair"]):
        labeled = replace(faces, attributes={name: attributes[name] for name in names})
        shares = measured(labeled, replace(reference, faces=labeled), faces.pixels[faces.part("train")[:60]])
        assert [share.name for share in shares] == names[1:]


def test_softened_faces_have_the_spectrum_of_the_samples(faces):
    real = np.asarray(faces.pixels[:300])
    soft = softened(real)
    matched = SpectrumMatch(real, soft)(real, seed=0)

    def detail(pictures):
        return np.sqrt((np.diff(pictures.astype(float), axis=1)[:, 4:-4, 4:-4] ** 2).mean())

    assert abs(detail(matched) - detail(soft)) < 0.3 * (detail(real) - detail(soft))


def test_the_table_is_printed_stored_and_on_the_page(faces, tmp_path, monkeypatch):
    from test_evaluate import saved_model

    data = faces_folder(tmp_path / "faces", 420)
    monkeypatch.setattr(verb, "open_extractor", lambda *_, **__: Thumbnails())
    model = saved_model(tmp_path / "run", open_faces(data, 16))
    options = EvaluateOptions([model], data, tmp_path / "out", 60, attributes=True)
    text = "\n".join(evaluate(options, QUIET))
    assert "attribute" in text
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    shares = report["models"][0]["attributes"]
    assert {"data", "samples", "accuracy", "auc", "difference"} <= set(shares["smiling"])
    card = write_card(
        model, evaluation=tmp_path / "out", options=CardOptions(consent="all agreed in writing")
    ).read_text()
    assert f"| smiling | {shares['smiling']['data']['value']:.1%} (" in card
    assert "Consent of the people shown in the training data: all agreed in writing." in card
    assert "Who is drawn" in (tmp_path / "out" / "report.html").read_text()
    (data / "metadata.csv").unlink()
    with pytest.raises(BadData, match="has no labels, and --attributes compares labels"):
        list(evaluate(replace(options, out=tmp_path / "other"), QUIET))  # 16 px are too few for the classifier
    (data / "metadata.csv").write_text("file_name,age\nnobody.png,7\n")
    with pytest.raises(BadData, match="has no labels that can be used"):
        list(evaluate(replace(options, out=tmp_path / "other"), QUIET))


@pytest.fixture(scope="module")
def unlabeled(tmp_path_factory):
    """Faces without labels that the bundled classifier can look at."""
    folder = tmp_path_factory.mktemp("unlabeled")
    for seed, face in enumerate(facesmith.load().sample(range(900))):
        write_png(folder / f"{seed}.png", face)
    return open_faces(folder, 64)


def test_without_labels_a_classifier_takes_their_place_and_says_so(unlabeled):
    messages = Console(file=io.StringIO(), width=1000)
    labels = checked_labels(unlabeled, messages)
    assert "has no labels" in messages.file.getvalue()
    assert "is unknown" in messages.file.getvalue()
    assert "male" in labels.names
    assert "attractive" not in labels.names
    reference = prepare_reference(unlabeled, FinerThumbnails(), 400, QUIET, identity=False)
    rows = np.concatenate([unlabeled.part("train"), unlabeled.part("validation")])
    women = rows[labels.targets[rows, labels.names.index("male")] == 0]
    lost_in = {}
    for name, drawn in (("women", women), ("all", rows)):
        result = evaluate_model(PlantedModel(unlabeled.pixels[drawn[:400]], unlabeled), reference, 400, QUIET)
        shares = attribute_shares(result, reference, labels, QUIET)
        lost_in[name] = lost_attributes(shares)
        assert all(share.recognized for share in shares)
        assert "whose accuracy on this data is unknown" in attribute_summary(shares)
        assert explanation(shares).startswith("The data has no labels.")
        assert _attribute(shares[0])["labels"] == "bundled classifier"
    assert "male" in lost_in["women"]
    assert lost_in["all"] == []
