"""A model's card: what the Hub reads of it, numbers from files alone, and what is unknown."""

from __future__ import annotations

import json
import re

import pytest
from huggingface_hub import ModelCard
from small import QUIET, faces_folder, saved_model

from facesmith.card.card_sections import PARTS
from facesmith.card.facts import CardOptions, gather_facts
from facesmith.card.write_card import write_card
from facesmith.errors import BadData, OutputExists
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.frontmatter import CARD, HASH, fields, stated_license


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with an evaluation beside the model."""
    folder = saved_model(tmp_path_factory.mktemp("run"))
    faces = faces_folder(tmp_path_factory.mktemp("faces"), 240)
    list(evaluate(EvaluateOptions([folder], faces, folder / "evaluation", 30), QUIET))
    return folder


def numbers(text):
    return set(re.findall(r"\d+\.\d+", text))


def test_a_card_without_an_evaluation_says_what_is_unknown(tmp_path):
    path = write_card(saved_model(tmp_path / "run"), options=CardOptions())
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
    options = CardOptions("First faces", "cc-by-nc-4.0", 'drawn "faces"', "CC0-1.0", "It draws *round* heads.")
    path = write_card(run, tmp_path / "card.md", options=options)
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
    path = write_card(run, tmp_path / CARD, options=CardOptions(license="non-commercial research, as the data's"))
    told = ModelCard.load(path).data
    assert (told.license, told.license_name) == ("other", "non-commercial research, as the data's")
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    model_hash = load_model(run).hash
    assert stated_license(tmp_path / "model.safetensors", model_hash) == "non-commercial research, as the data's"
    assert stated_license(tmp_path / "model.safetensors", "0" * 64) is None
    assert fields(path)["recipe"] == "dcgan64"


def test_an_evaluation_of_another_model_is_not_taken(run, tmp_path):
    other = saved_model(tmp_path / "other", "vae64")
    with pytest.raises(BadData, match="facesmith evaluate"):
        write_card(other, evaluation=run / "evaluation", options=CardOptions())
    (other / "evaluation").mkdir()
    (other / "evaluation" / "report.json").write_bytes((run / "evaluation" / "report.json").read_bytes())
    assert "Not evaluated" in write_card(other, options=CardOptions()).read_text()
    with pytest.raises(OutputExists):
        write_card(other, options=CardOptions())


@pytest.mark.parametrize("damage", ["{", "[]", '{"models": 3}', "[" * 9999])
def test_a_damaged_evaluation_is_told_of(run, tmp_path, damage):
    (tmp_path / "report.json").write_text(damage)
    with pytest.raises(BadData, match="holds no evaluation"):
        write_card(run, tmp_path / "c.md", evaluation=tmp_path, options=CardOptions())


def test_a_report_that_lacks_parts_is_told_of(run, tmp_path):
    report = json.loads((run / "evaluation" / "report.json").read_text())
    del report["protocol"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(BadData, match="Evaluate the model again"):
        write_card(run, tmp_path / "c.md", evaluation=tmp_path, options=CardOptions())
    assert not (tmp_path / "c.md").exists()


def test_every_part_has_its_heading(run):
    facts = gather_facts(run, None, CardOptions())
    headings = [next(iter(part(facts))) for part in PARTS]
    assert all(re.match("##? ", each) for each in headings)
    assert len(set(headings)) == len(PARTS)
