"""A model's card: what the Hub reads of it, numbers from files alone, and what is unknown."""

from __future__ import annotations

import json
import re

import pytest
from huggingface_hub import ModelCard
from small import QUIET, faces_folder, saved_model

from facesmith.card.facts import Said, gather
from facesmith.card.sections import PARTS
from facesmith.card.write import card
from facesmith.errors import BadData, OutputExists
from facesmith.evaluation.evaluate import Asked, evaluate
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.frontmatter import CARD, HASH, fields, licence


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with an evaluation beside the model."""
    folder = saved_model(tmp_path_factory.mktemp("run"))
    faces = faces_folder(tmp_path_factory.mktemp("faces"), 240)
    list(evaluate(Asked([folder], faces, folder / "evaluation", 30), QUIET))
    return folder


def numbers(text):
    return set(re.findall(r"\d+\.\d+", text))


def test_a_card_without_an_evaluation_says_what_is_unknown(tmp_path):
    path = card(saved_model(tmp_path / "run"), said=Said())
    text = path.read_text()
    assert path == tmp_path / "run" / CARD
    for words in ("Not evaluated", "Not audited", "Of the model: unknown", "on: unknown", "time | unknown"):
        assert words in text
    read = ModelCard.load(path).data
    assert read.license == "unknown"
    assert read.library_name == "facesmith"
    assert read.pipeline_tag == "unconditional-image-generation"
    assert read.to_dict()["facesmith"][HASH] == load_model(tmp_path / "run").hash
    assert not numbers(text.split("Values:")[0]) - {"2.0"}, "no number that no file holds (but Apache's)"


def test_the_hub_reads_licence_data_and_every_metric(run, tmp_path):
    said = Said("First faces", "cc-by-nc-4.0", 'drawn "faces"', "CC0-1.0", "It draws *round* heads.")
    path = card(run, tmp_path / "card.md", said=said)
    text, report = path.read_text(), json.loads((run / "evaluation" / "report.json").read_text())
    (judged,) = report["models"]
    read = ModelCard.load(path).data
    assert (read.license, read.datasets, read.model_name) == ("cc-by-nc-4.0", ['drawn "faces"'], "First faces")
    assert read.metrics == list(judged["metrics"])
    found = {each.metric_type: each.metric_value for each in read.eval_results}
    assert found == {name: score["value"] for name, score in judged["metrics"].items()}
    for question, answer in judged["verdicts"].items():
        assert f"{question} {answer}" in text
    for name, score in judged["metrics"].items():
        assert f"| {name} | {score['value']:.4g} |" in text
    for words in ("CC0-1.0", "It draws *round* heads.", "30 samples (seeds 0-29, psi 1)", "nearest training face"):
        assert words in text


def test_a_licence_in_words_is_a_licence_of_its_own(run, tmp_path):
    path = card(run, tmp_path / CARD, said=Said(licence="non-commercial research, as the data's"))
    told = ModelCard.load(path).data
    assert (told.license, told.license_name) == ("other", "non-commercial research, as the data's")
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    model_hash = load_model(run).hash
    assert licence(tmp_path / "model.safetensors", model_hash) == "non-commercial research, as the data's"
    assert licence(tmp_path / "model.safetensors", "0" * 64) is None
    assert fields(path)["recipe"] == "dcgan64"


def test_an_evaluation_of_another_model_is_not_taken(run, tmp_path):
    other = saved_model(tmp_path / "other", "vae64")
    with pytest.raises(BadData, match="facesmith evaluate"):
        card(other, evaluation=run / "evaluation", said=Said())
    (other / "evaluation").mkdir()
    (other / "evaluation" / "report.json").write_bytes((run / "evaluation" / "report.json").read_bytes())
    assert "Not evaluated" in card(other, said=Said()).read_text()
    with pytest.raises(OutputExists):
        card(other, said=Said())


@pytest.mark.parametrize("damage", ["{", "[]", '{"models": 3}', "[" * 9999])
def test_a_damaged_evaluation_is_told_of(run, tmp_path, damage):
    (tmp_path / "report.json").write_text(damage)
    with pytest.raises(BadData, match="holds no evaluation"):
        card(run, tmp_path / "c.md", evaluation=tmp_path, said=Said())


def test_a_report_that_lacks_parts_is_told_of(run, tmp_path):
    report = json.loads((run / "evaluation" / "report.json").read_text())
    del report["protocol"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(BadData, match="Evaluate the model again"):
        card(run, tmp_path / "c.md", evaluation=tmp_path, said=Said())
    assert not (tmp_path / "c.md").exists()


def test_every_part_has_its_heading(run):
    facts = gather(run, None, Said())
    headings = [next(iter(part(facts))) for part in PARTS]
    assert all(re.match("##? ", each) for each in headings)
    assert len(set(headings)) == len(PARTS)
