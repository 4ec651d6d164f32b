"""An evaluation from end to end: numbers twice the same, words that fit them, mistakes in one line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pictures import shared
from planted import Planted, Thumbnails
from small import QUIET, ConditionalG, faces_folder, small_state

from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.evaluation import condition_results
from facesmith.evaluation import evaluate as verb
from facesmith.evaluation.condition_results import with_condition_results
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.evaluation.model_result import draw, evaluate_model
from facesmith.evaluation.reference import prepare_reference
from facesmith.evaluation.verdicts import novelty, short_verdict
from facesmith.faces import open_faces
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.photos import split
from facesmith.training.averages import inference_networks
from facesmith.training.step import train_step

SAMPLES = 60
COUNT = 420


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"), COUNT)


def saved_model(path, faces, steps=2, **values):
    state = small_state(**values)
    if values.get("channels") == 1:
        state.stream.pixels = state.stream.pixels[..., :1]
    for _ in range(steps):
        train_step(state)
    header = {"recipe": state.recipe.name, "hyperparameters": state.recipe.hyperparameters(), "seen": state.seen}
    header |= {"fingerprint": faces.fingerprint, "split": split.describe(faces.parts)} if faces else {}
    save_model(path / "model.safetensors", dict(inference_networks(state).items()), header)
    return path


@pytest.fixture
def faces(data):
    return open_faces(data, 16)


@pytest.fixture
def asked(data, faces, tmp_path, monkeypatch):
    """A question that costs little."""
    monkeypatch.setattr(verb, "open_extractor", lambda *_, **__: Thumbnails())
    return EvaluateOptions([saved_model(tmp_path / "run", faces)], data, tmp_path / "out", SAMPLES)


def numbers(asked):
    lines = list(evaluate(asked, QUIET))
    report = json.loads((asked.out / "report.json").read_text())
    return lines, report


def test_two_evaluations_give_identical_numbers(asked, tmp_path):
    first, report = numbers(asked)
    again, report_again = numbers(replace(asked, out=tmp_path / "again"))
    assert first[:-2] == again[:-2]
    assert report.pop("seconds")
    assert report_again.pop("seconds")
    assert report == report_again


def test_the_receipt_says_all_that_is_needed_to_get_it_again(asked, faces):
    _, report = numbers(asked)
    (model,) = report["models"]
    assert report["protocol"]["seeds"] == f"0-{SAMPLES - 1}"
    assert report["protocol"]["resize"] == "mean"
    assert report["protocol"]["weights_sha256"] == "0" * 64
    assert report["data"]["fingerprint"] == faces.fingerprint
    assert report["data"]["judged_against"] == {"part": "test", "count": len(faces.part("test"))}
    assert report["data"]["in_place_of_samples"]["count"] == SAMPLES
    assert len(model["sha256"]) == 64
    assert set(model["metrics"]) == {
        f"{name}{SAMPLES}_thumbnails" for name in ("fd", "kid", "precision", "recall", "density", "coverage")
    }
    for score in model["metrics"].values():
        assert score["low"] <= score["value"] <= score["high"]
        assert np.isfinite(score["real"])
    assert {"torch", "facesmith", "python"} <= set(report["versions"])
    assert report["machine"]["threads"] >= 1
    assert report["seconds"]["all"] >= 0


def test_the_words_and_the_page_say_what_was_found(asked):
    lines, _ = numbers(asked)
    text = "\n".join(lines)
    assert f"fd{SAMPLES}_thumbnails" in text
    assert "New faces?" in text
    assert "detector finds a face in" in text
    page = (asked.out / "report.html").read_text()
    assert "nearest held-out face" in page
    assert "closest pairs" in page
    assert "<script" not in page


def test_real_pictures_stay_out_of_the_page_where_asked(asked, tmp_path):
    numbers(asked)
    numbers(replace(asked, out=tmp_path / "plain", pictures=False))
    with_real, without = ((f / "report.html").read_text() for f in (asked.out, tmp_path / "plain"))
    assert "below each the nearest training face" in with_real
    assert "below each" not in without
    assert len(without) < len(with_real)


def test_models_are_compared_in_one_table(asked, faces, tmp_path):
    other = saved_model(tmp_path / "other", faces, steps=1)
    lines, report = numbers(replace(asked, models=[*asked.models, other]))
    assert lines[0].split() == ["metric", "run", "other", "real", "faces"]
    assert [model["path"] for model in report["models"]] == [
        str(m / "model.safetensors") for m in (*asked.models, other)
    ]
    assert report["models"][0]["metrics"] != report["models"][1]["metrics"]
    alone = numbers(replace(asked, out=tmp_path / "alone"))[1]
    assert alone["models"][0]["metrics"] == report["models"][0]["metrics"]


def test_samples_are_truncated_as_asked(asked, tmp_path):
    full, report = numbers(asked)
    pulled, other = numbers(replace(asked, psi=0.5, out=tmp_path / "pulled"))
    assert (report["protocol"]["psi"], other["protocol"]["psi"]) == (1.0, 0.5)
    assert full[:-2] != pulled[:-2]
    assert np.array_equal(draw(load(asked.models[0]), 3, QUIET, 0.5), load(asked.models[0]).sample(range(3), psi=0.5))
    assert "psi 0.5" in (tmp_path / "pulled" / "report.html").read_text()


def test_models_of_different_kinds_are_not_compared(asked, faces, tmp_path):
    grey = saved_model(tmp_path / "grey", faces, channels=1)
    small = saved_model(tmp_path / "small", None, resolution=32)
    for other in (grey, small):
        with pytest.raises(BadModel, match="different kinds"):
            numbers(replace(asked, models=[*asked.models, other]))


def test_grey_models_are_held_against_grey_faces(asked, data, tmp_path):
    grey = saved_model(tmp_path / "grey", open_faces(data, 16, 1), channels=1)
    _, report = numbers(replace(asked, models=[grey]))
    assert report["data"]["size"] == [16, 16, 1]
    assert any("grey" in notice for notice in report["data"]["notices"])


def test_a_model_of_other_faces_is_told_of(asked, tmp_path, faces):
    other = saved_model(tmp_path / "other", replace(faces, fingerprint="0" * 64))
    _, report = numbers(replace(asked, models=[other]))
    (model,) = report["models"]
    assert "other faces" in model["notice"]
    assert not model["copies"]["judged"]
    assert "Not judged" in model["verdicts"]["New faces?"]


def test_limit_asks_for_the_faces_that_the_model_was_trained_on(asked, data, tmp_path):
    limited = open_faces(data, 16, limit=300)
    model = saved_model(tmp_path / "limited", limited)
    _, report = numbers(replace(asked, models=[model], limit=300))
    assert report["models"][0]["notice"] is None
    assert report["data"]["faces"] == 300


def test_a_model_of_another_split_is_refused(asked, faces, tmp_path):
    parts = faces.parts.copy()
    parts[0] = (parts[0] + 1) % 3
    model = saved_model(tmp_path / "split", replace(faces, parts=parts))
    with pytest.raises(BadData, match="split in another way"):
        numbers(replace(asked, models=[model]))


def test_wrong_input_ends_in_one_line(asked, tmp_path):
    large = saved_model(tmp_path / "large", None, resolution=32)
    with pytest.raises(BadData, match="none can be used at 32x32"):
        numbers(replace(asked, models=[large]))
    with pytest.raises(BadData, match="judging needs 30"):
        numbers(replace(asked, data=faces_folder(tmp_path / "few", 60)))
    with pytest.raises(BadOption, match="--samples 29"):
        numbers(replace(asked, samples=29))
    with pytest.raises(BadModel, match="does not exist"):
        numbers(replace(asked, models=[tmp_path / "nothing"]))
    numbers(asked)
    with pytest.raises(OutputExists, match="--force"):
        numbers(asked)
    numbers(replace(asked, force=True))


def test_few_pictures_are_warned_of(asked, faces):
    _, report = numbers(asked)
    told = " ".join(report["warnings"])
    assert f"{SAMPLES} samples are few for 48 dimensions" in told
    assert f"{len(faces.part('test'))} test faces are few" in told


def test_a_conditional_model_is_judged_by_what_it_is_told(asked, faces, data, tmp_path, monkeypatch):
    monkeypatch.setattr(condition_results, "MIN_PICTURES", 20)
    model = saved_model(tmp_path / "told", faces, name="test-conditional", condition=("smiling", "eyeglasses"))
    asked = replace(asked, models=[model], classifier_budget=ClassifierBudget(max_images=128))
    lines, report = numbers(asked)
    found = {each["told"]: each for each in report["models"][0]["conditions"]}
    assert list(found) == ["smiling=1", "smiling=0", "eyeglasses=1", "eyeglasses=0"]
    test = faces.part("test")
    for name in ("smiling", "eyeglasses"):
        assert found[f"{name}=1"]["samples"] + found[f"{name}=0"]["samples"] == SAMPLES
        assert found[f"{name}=1"]["faces"] == faces.attributes[name][test].sum()
    assert found["smiling=1"]["metrics"]["fd"]["real"] < found["smiling=1"]["metrics"]["fd"]["value"]
    assert found["eyeglasses=1"]["metrics"] == {}
    assert 0 <= found["smiling=0"]["agreement"]["value"] <= 1
    assert any(line.startswith("eyeglasses=1") and "too few" in line for line in lines)
    assert any(line.startswith("smiling: found in") for line in lines)
    assert "Below, the same seeds in every row" in (asked.out / "report.html").read_text()


def test_without_the_columns_a_conditional_model_is_judged_as_any(asked, faces, data, tmp_path):
    model = saved_model(tmp_path / "told", faces, name="test-conditional", condition=("smiling",))
    (data / "metadata.csv").rename(tmp_path / "metadata.csv")
    try:
        _, report = numbers(replace(asked, models=[model]))
    finally:
        (tmp_path / "metadata.csv").rename(data / "metadata.csv")
    assert "conditions" not in report["models"][0]
    assert report["models"][0]["metrics"]


@pytest.mark.slow
def test_planted_generators_that_obey_and_that_don_t_are_told_apart(faces):
    reference = prepare_reference(faces, Thumbnails(), 200, QUIET)
    G = ConditionalG(16, 3, 1)
    _, labels = draw_z_and_labels(G, range(200))
    having = [faces.part("train")[faces.attributes["long_hair"][faces.part("train")] == side] for side in (0, 1)]
    agreement = {}
    for obeys in (True, False):
        rows = [having[int((label > 0) == obeys)][i % 100] for i, label in enumerate(labels[:, 0])]
        model = Planted(faces.pixels[rows], faces)
        model.conditions, model.G = ("long_hair",), G
        judged = with_condition_results(
            evaluate_model(model, reference, 200, QUIET), reference, ClassifierBudget(max_images=6000), QUIET
        )
        agreement[obeys] = [answer.agreement.value for answer in judged.answers]
        print(obeys, agreement[obeys], [answer.real_agreement for answer in judged.answers])
    assert min(agreement[True]) > 0.8
    assert max(agreement[False]) < 0.2


def planted_verdict(faces, reference, pictures):
    judged = evaluate_model(Planted(pictures, faces), reference, len(pictures), QUIET)
    return short_verdict(judged), novelty(judged), judged


def test_planted_generators_are_seen_through():
    faces = open_faces(shared("celeba64.zip"), 64, limit=1000)
    reference = prepare_reference(faces, Thumbnails(), 100, QUIET)
    noise = np.random.default_rng(0).normal(0, 8, (100, 64, 64, 3))
    twelve = faces.pixels[reference.training[np.resize(np.arange(12), 100)]]
    copies = np.clip(twelve.astype(float) + noise, 0, 255).astype(np.uint8)
    short, said, judged = planted_verdict(faces, reference, copies)
    assert short == "copies of 12 photos"
    assert "100 of 100 samples are copies of these 12 photos" in said
    assert (judged.copied == np.arange(12)).all()
    assert judged.distinct <= 12
    short, said, judged = planted_verdict(faces, reference, faces.pixels[reference.test[:100]])
    assert short == "new faces"
    assert said.startswith("New faces")
    assert judged.face_rate.value > 0.9
    assert judged.scores["fd"].value < reference.floor["fd"].value
