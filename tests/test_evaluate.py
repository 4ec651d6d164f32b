"""An evaluation from end to end: reproducible numbers, verdicts that match them, one-line errors."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictures import shared
from planted import PlantedModel, Thumbnails
from small import QUIET, ConditionalG, faces_folder, small_state

from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.evaluation import condition_results
from facesmith.evaluation import evaluate as verb
from facesmith.evaluation.condition_results import with_condition_results
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.evaluation.model_result import draw_samples, evaluate_model
from facesmith.evaluation.reference import prepare_reference
from facesmith.evaluation.verdicts import novelty, short_verdict
from facesmith.faces import open_faces
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.evaluation_file import read_evaluation
from facesmith.photos import split
from facesmith.studio.evaluation_view import real_face
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
def options(data, faces, tmp_path, monkeypatch):
    """An evaluation that takes moments."""
    monkeypatch.setattr(verb, "open_extractor", lambda *_, **__: Thumbnails())
    return EvaluateOptions([saved_model(tmp_path / "run", faces)], data, tmp_path / "out", SAMPLES)


def run_evaluation(options):
    lines = list(evaluate(options, QUIET))
    report = json.loads((options.out / "report.json").read_text())
    return lines, report


def test_two_evaluations_give_identical_numbers(options, tmp_path):
    first, report = run_evaluation(options)
    again, report_again = run_evaluation(replace(options, out=tmp_path / "again"))
    assert first[:-2] == again[:-2]
    assert report.pop("seconds")
    assert report_again.pop("seconds")
    assert report == report_again


def test_report_json_states_everything_needed_to_repeat_it(options, faces):
    _, report = run_evaluation(options)
    (model,) = report["models"]
    assert report["protocol"]["seeds"] == f"0-{SAMPLES - 1}"
    assert report["protocol"]["resize"] == "mean"
    assert report["protocol"]["weights_sha256"] == "0" * 64
    assert report["data"]["fingerprint"] == faces.fingerprint
    assert report["data"]["reference"] == {"part": "test", "count": len(faces.part("test"))}
    assert report["data"]["real_vs_real"]["count"] == SAMPLES
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


def test_fewer_real_faces_than_samples_are_compared_with_as_many_samples(options, faces, tmp_path):
    lines, report = run_evaluation(replace(options, samples=400))
    count = len(faces.part("train"))
    name = f"fd{count}_thumbnails"
    assert count < 400
    (model,) = report["models"]
    comparable, of_all = model["metrics"][name], model["metrics"]["fd400_thumbnails"]
    assert "real" not in of_all
    assert comparable["real"] == report["real"]["metrics"][name]["value"]
    assert "fd400_thumbnails" not in report["real"]["metrics"]
    assert any(line.startswith("fd400_thumbnails") and line.endswith("not measured") for line in lines)
    times = comparable["value"] / comparable["real"]
    assert f"is {times:.1f} times that of real faces" in model["verdicts"]["Do they look real?"]
    assert f"Among the first {count} samples" in model["verdicts"]["Do they vary?"]
    assert "compare only these" in " ".join(report["warnings"])
    assert read_evaluation(options.out / "report.json", model["sha256"]) is not None
    _, alone = run_evaluation(replace(options, samples=count, out=tmp_path / "as-many"))
    assert alone["models"][0]["metrics"][name] == comparable


def test_verdicts_are_printed_and_on_the_page(options):
    lines, _ = run_evaluation(options)
    text = "\n".join(lines)
    assert f"fd{SAMPLES}_thumbnails" in text
    assert "Are they new?" in text
    assert "detector finds a face in" in text
    page = (options.out / "report.html").read_text()
    assert "nearest held-out face" in page
    assert "Nearest pairs" in page
    assert f"Seeds 0 to {SAMPLES - 1}, psi 1" in page
    assert f"Samples, seeds 0 to {SAMPLES - 1}" in page
    assert "<script" not in page


def test_a_report_on_faces_whose_path_is_not_utf_8_can_be_read_again(options, tmp_path):
    data = faces_folder(tmp_path / os.fsdecode(b"faces \xff"), COUNT)
    _, report = run_evaluation(replace(options, data=data))
    evaluation, _ = read_evaluation(options.out / "report.json", report["models"][0]["sha256"])
    assert evaluation["data"]["path"] == str(data)


def test_no_pictures_leaves_real_faces_out_of_the_page(options, tmp_path):
    run_evaluation(options)
    run_evaluation(replace(options, out=tmp_path / "plain", pictures=False))
    with_real, without = ((f / "report.html").read_text() for f in (options.out, tmp_path / "plain"))
    assert "Below each sample: the nearest training face" in with_real
    assert "Below each sample" not in without
    assert len(without) < len(with_real)


def test_models_are_compared_in_one_table(options, faces, tmp_path):
    other = saved_model(tmp_path / "other", faces, steps=1)
    lines, report = run_evaluation(replace(options, models=[*options.models, other]))
    assert lines[0].split() == ["metric", "run", "other", "real", "faces"]
    assert [model["path"] for model in report["models"]] == [
        str(m / "model.safetensors") for m in (*options.models, other)
    ]
    assert report["models"][0]["metrics"] != report["models"][1]["metrics"]
    alone = run_evaluation(replace(options, out=tmp_path / "alone"))[1]
    assert alone["models"][0]["metrics"] == report["models"][0]["metrics"]


def test_samples_are_truncated_by_psi(options, tmp_path):
    full, report = run_evaluation(options)
    pulled, other = run_evaluation(replace(options, psi=0.5, out=tmp_path / "pulled"))
    assert (report["protocol"]["psi"], other["protocol"]["psi"]) == (1.0, 0.5)
    assert full[:-2] != pulled[:-2]
    assert np.array_equal(
        draw_samples(load(options.models[0]), 3, QUIET, 0.5), load(options.models[0]).sample(range(3), psi=0.5)
    )
    assert "psi 0.5" in (tmp_path / "pulled" / "report.html").read_text()


def test_models_of_different_formats_are_not_compared(options, faces, tmp_path):
    gray = saved_model(tmp_path / "gray", faces, channels=1)
    small = saved_model(tmp_path / "small", None, resolution=32)
    for other in (gray, small):
        with pytest.raises(BadModel, match="different formats"):
            run_evaluation(replace(options, models=[*options.models, other]))


def test_gray_models_are_compared_with_gray_faces(options, data, tmp_path):
    gray = saved_model(tmp_path / "gray", open_faces(data, 16, 1), channels=1)
    _, report = run_evaluation(replace(options, models=[gray]))
    assert report["data"]["size"] == [16, 16, 1]
    assert len(report["data"]["notices"]) == 1


def test_a_model_trained_on_other_faces_gives_a_notice_and_no_copy_check(options, tmp_path, faces):
    other = saved_model(tmp_path / "other", replace(faces, fingerprint="0" * 64))
    _, report = run_evaluation(replace(options, models=[other]))
    (model,) = report["models"]
    assert "other faces" in model["notice"]
    assert not model["copies"]["checked"]
    assert "Not checked" in model["verdicts"]["Are they new?"]


def test_limit_selects_the_faces_that_the_model_was_trained_on(options, data, tmp_path):
    limited = open_faces(data, 16, limit=300)
    model = saved_model(tmp_path / "limited", limited)
    _, report = run_evaluation(replace(options, models=[model], limit=300))
    assert report["models"][0]["notice"] is None
    assert report["data"]["faces"] == 300


def test_a_model_trained_with_another_split_is_refused(options, faces, tmp_path):
    parts = faces.parts.copy()
    parts[0] = (parts[0] + 1) % 3
    model = saved_model(tmp_path / "split", replace(faces, parts=parts))
    with pytest.raises(BadData, match="another split"):
        run_evaluation(replace(options, models=[model]))


def test_wrong_input_gives_a_one_line_error(options, tmp_path):
    large = saved_model(tmp_path / "large", None, resolution=32)
    with pytest.raises(BadData, match="none can be used at 32x32"):
        run_evaluation(replace(options, models=[large]))
    with pytest.raises(BadOption, match="--samples 29"):
        run_evaluation(replace(options, samples=29))
    with pytest.raises(BadModel, match="does not exist"):
        run_evaluation(replace(options, models=[tmp_path / "nothing"]))
    run_evaluation(options)
    with pytest.raises(OutputExists, match="--force"):
        run_evaluation(options)
    run_evaluation(replace(options, force=True))


def test_an_evaluation_never_replaces_the_report_of_a_run(options, tmp_path):
    run = options.models[0]
    (run / "run.json").write_text("{}")
    # The model does not exist, so this is found before any work.
    options = replace(options, models=[tmp_path / "nothing"], out=run, force=True)
    with pytest.raises(BadOption, match=r"is a run folder.* Use --out .*evaluation\."):
        run_evaluation(options)


def test_the_current_folder_is_called_by_its_name(options, data, monkeypatch):
    monkeypatch.chdir(data)
    run_evaluation(replace(options, data=Path()))
    assert f"test faces of {data.name} (fingerprint" in (options.out / "report.html").read_text()


@pytest.mark.parametrize("count", [9, 60])
def test_few_faces_leave_out_metrics_and_say_why(options, tmp_path, count):
    data = faces_folder(tmp_path / "few", count)
    few = open_faces(data, 16)
    options = replace(options, data=data, models=[saved_model(tmp_path / "few-run", few)])
    lines, report = run_evaluation(options)
    (model,) = report["models"]
    assert model["metrics"] == {}
    assert "These metrics are left out: fd, kid" in report["warnings"][0]
    assert "at least 30 faces in each split" in model["verdicts"]["Do they look real?"]
    assert "Less obvious copies were not searched" in model["verdicts"]["Are they new?"]
    assert "fine" not in " ".join(lines)
    page = (options.out / "report.html").read_text()
    assert "Not measured: this needs at least 30 faces in each split" in page
    evaluation, result = read_evaluation(options.out / "report.json", model["sha256"])
    assert evaluation["data"]["reference"]["count"] == len(few.part("test"))
    assert result["copies"]["nearest_pairs"]
    assert result["copies"]["ratio"] is None


@pytest.mark.parametrize("count", [9, 60])
def test_copies_are_found_among_few_faces(tmp_path, count):
    faces = open_faces(faces_folder(tmp_path / "few", count), 16)
    training = faces.pixels[faces.part("train")]
    noise = np.random.default_rng(0).integers(-8, 9, (SAMPLES, *training.shape[1:]))
    copies = np.clip(training[np.arange(SAMPLES) % len(training)] + noise, 0, 255).astype(np.uint8)
    reference = prepare_reference(faces, Thumbnails(), SAMPLES, QUIET)
    result = evaluate_model(PlantedModel(copies, faces), reference, SAMPLES, QUIET)
    assert result.has_copies
    assert len(result.copied) == len(training)
    assert f"{SAMPLES} of {SAMPLES} samples are copies of" in novelty(result, reference)
    noise_pictures = np.random.default_rng(1).integers(0, 256, copies.shape).astype(np.uint8)
    result = evaluate_model(PlantedModel(noise_pictures, faces), reference, SAMPLES, QUIET)
    assert not result.has_copies
    assert short_verdict(result) == "no identical faces"


def test_few_pictures_give_warnings(options, faces):
    _, report = run_evaluation(options)
    warnings = " ".join(report["warnings"])
    assert f"{SAMPLES} samples are few for the 48 dimensions" in warnings
    assert f"{len(faces.part('test'))} test faces are few" in warnings


def test_each_condition_of_a_conditional_model_is_evaluated(options, faces, data, tmp_path, monkeypatch):
    monkeypatch.setattr(condition_results, "MIN_PICTURES", 20)
    model = saved_model(tmp_path / "conditional", faces, name="test-conditional", condition=("smiling", "eyeglasses"))
    options = replace(options, models=[model], classifier_budget=ClassifierBudget(max_images=128))
    lines, report = run_evaluation(options)
    conditions = {each["condition"]: each for each in report["models"][0]["conditions"]}
    assert list(conditions) == ["smiling=1", "smiling=0", "eyeglasses=1", "eyeglasses=0"]
    test = faces.part("test")
    for name in ("smiling", "eyeglasses"):
        assert conditions[f"{name}=1"]["samples"] + conditions[f"{name}=0"]["samples"] == SAMPLES
        assert conditions[f"{name}=1"]["faces"] == faces.attributes[name][test].sum()
    assert conditions["smiling=1"]["metrics"]["fd"]["real"] < conditions["smiling=1"]["metrics"]["fd"]["value"]
    assert conditions["eyeglasses=1"]["metrics"] == {}
    assert 0 <= conditions["smiling=0"]["agreement"]["value"] <= 1
    assert any(line.startswith("eyeglasses=1") and "too few" in line for line in lines)
    assert any(line.startswith("smiling: found in") for line in lines)
    assert "Rows with the same seeds: smiling=1, smiling=0" in (options.out / "report.html").read_text()


def test_distances_of_a_condition_use_as_many_samples_as_real_faces(faces, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr(condition_results, "MIN_PICTURES", 20)
    monkeypatch.setattr(condition_results, "frechet_distance", lambda _, other: counts.append(len(other)))
    model = load(saved_model(tmp_path / "conditional", faces, name="test-conditional", condition=("smiling",)))
    reference = prepare_reference(faces, Thumbnails(), 400, QUIET)
    result = evaluate_model(model, reference, 400, QUIET)
    budget = ClassifierBudget(max_images=128)
    conditions = with_condition_results(result, reference, budget, QUIET).conditions
    smiling = faces.attributes["smiling"][reference.real]
    available = [int((smiling == each.requested).sum()) for each in conditions]
    assert any(each.samples > n for each, n in zip(conditions, available, strict=True))
    expected = [min(each.samples, n) for each, n in zip(conditions, available, strict=True)]
    assert (counts[::2], counts[1::2]) == (expected, expected)


def test_without_labels_a_conditional_model_is_evaluated_without_conditions(options, faces, data, tmp_path):
    model = saved_model(tmp_path / "conditional", faces, name="test-conditional", condition=("smiling",))
    (data / "metadata.csv").rename(tmp_path / "metadata.csv")
    try:
        _, report = run_evaluation(replace(options, models=[model]))
    finally:
        (tmp_path / "metadata.csv").rename(data / "metadata.csv")
    assert "conditions" not in report["models"][0]
    assert report["models"][0]["metrics"]


@pytest.mark.slow
def test_a_generator_that_ignores_its_condition_is_detected(faces):
    reference = prepare_reference(faces, Thumbnails(), 200, QUIET)
    G = ConditionalG(16, 3, 1)
    _, labels = draw_z_and_labels(G, range(200))
    rows_by_label = [faces.part("train")[faces.attributes["long_hair"][faces.part("train")] == side] for side in (0, 1)]
    agreement = {}
    for follows in (True, False):
        rows = [rows_by_label[int((label > 0) == follows)][i % 100] for i, label in enumerate(labels[:, 0])]
        model = PlantedModel(faces.pixels[rows], faces)
        model.conditions, model.G = ("long_hair",), G
        result = with_condition_results(
            evaluate_model(model, reference, 200, QUIET), reference, ClassifierBudget(max_images=6000), QUIET
        )
        agreement[follows] = [condition.agreement.value for condition in result.conditions]
        print(follows, agreement[follows], [condition.real_agreement for condition in result.conditions])
    assert min(agreement[True]) > 0.8
    assert max(agreement[False]) < 0.2


def planted_verdict(faces, reference, pictures):
    result = evaluate_model(PlantedModel(pictures, faces), reference, len(pictures), QUIET)
    return short_verdict(result), novelty(result, reference), result


def noise_pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_many_copies_are_called_so_although_there_are_few_held_out_faces(tmp_path):
    faces = open_faces(faces_folder(tmp_path / "faces", 240), 16)
    reference = prepare_reference(faces, Thumbnails(), 200, QUIET)
    assert 20 <= len(reference.test) <= 60
    pictures = noise_pictures(200)
    pictures[:20] = faces.pixels[reference.training[:20]]
    short, verdict, result = planted_verdict(faces, reference, pictures)
    assert short == "copies of 20 photos"
    assert verdict.startswith("COPIES: 20 of 200 samples")
    similar = replace(result, copy_check=replace(result.copy_check, identical=0))
    assert short_verdict(similar) == "unclear: too few held-out faces"
    verdict = novelty(similar, reference)
    assert verdict.startswith("Unclear: 20 of 200 samples are very similar to a training photo")
    assert f"too few held-out faces ({len(reference.test)})" in verdict


def test_held_out_faces_of_one_person_give_no_verdict_on_less_obvious_copies(faces):
    groups = ["person/a" if part == split.PARTS.index("test") else "person/b" for part in faces.parts]
    one = replace(faces, groups=groups)
    reference = prepare_reference(one, Thumbnails(), SAMPLES, QUIET)
    short, verdict, _ = planted_verdict(one, reference, noise_pictures(SAMPLES))
    assert short == "no identical faces"
    assert verdict.endswith("this needs held-out faces of at least 5 people, and they show 1.")


def test_planted_copies_are_detected():
    faces = open_faces(shared("celeba64.zip"), 64, limit=1000)
    reference = prepare_reference(faces, Thumbnails(), 100, QUIET)
    noise = np.random.default_rng(0).normal(0, 8, (100, 64, 64, 3))
    twelve = faces.pixels[reference.training[np.resize(np.arange(12), 100)]]
    copies = np.clip(twelve.astype(float) + noise, 0, 255).astype(np.uint8)
    short, verdict, result = planted_verdict(faces, reference, copies)
    assert short == "copies of 12 photos"
    assert "100 of 100 samples are copies of these 12 training photos" in verdict
    assert (result.copied == np.arange(12)).all()
    assert result.distinct <= 12
    short, verdict, result = planted_verdict(faces, reference, faces.pixels[reference.test[:100]])
    assert short == "new faces"
    assert verdict.startswith("None of")
    assert result.face_rate.value > 0.9
    assert result.scores["fd"].value < reference.real_scores["fd"].value


def test_real_faces_are_found_again_after_an_evaluation_of_some_in_another_folder(options, data, tmp_path, monkeypatch):
    (run,) = options.models
    monkeypatch.chdir(data.parent)
    run_evaluation(replace(options, data=Path(data.name), limit=400, out=run / "evaluation"))
    monkeypatch.chdir(tmp_path)
    face = real_face(load(run), 0, "training")
    assert any(np.array_equal(face, each) for each in open_faces(data, 16).pixels)
