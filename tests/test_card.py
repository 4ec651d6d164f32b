"""A model card: the fields that the Hub reads, numbers that come from files, and facts that are unknown."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from hub_stand_in import refusals
from huggingface_hub import ModelCard
from small import QUIET, faces_folder, saved_model

from facesmith.card.card_sections import SECTIONS
from facesmith.card.facts import CardOptions, gather_facts
from facesmith.card.write_card import write_card
from facesmith.cli.sharing import _read_biases
from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.frontmatter import CARD, HASH, read_front_matter, stated_hash, stated_license
from facesmith.modelfiles.locate import bundled_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder that contains an evaluation."""
    folder = saved_model(tmp_path_factory.mktemp("run"))
    faces = faces_folder(tmp_path_factory.mktemp("faces"), 240)
    list(evaluate(EvaluateOptions([folder], faces, folder / "evaluation", 30), QUIET))
    return folder


def numbers(text):
    return set(re.findall(r"\d+\.\d+", text))


def test_unknown_facts_are_called_unknown(tmp_path):
    path = write_card(saved_model(tmp_path / "run"), options=CardOptions())
    text = path.read_text()
    assert path == tmp_path / "run" / CARD
    for phrase in ("Not evaluated", "Not checked", "Model: unknown", "data: unknown", "time | unknown"):
        assert phrase in text
    read = ModelCard.load(path).data
    assert read.license == "unknown"
    assert read.library_name == "facesmith"
    assert read.pipeline_tag == "unconditional-image-generation"
    assert read.to_dict()["facesmith"][HASH] == load_model(tmp_path / "run").hash
    assert not numbers(text.split("Hyperparameters:")[0]) - {"2.0"}, "a number that is in no file (but for Apache's)"


def test_the_hub_reads_license_data_and_every_metric(run, tmp_path):
    options = CardOptions("First faces", "cc-by-nc-4.0", 'drawn "faces"', "CC0-1.0", "It draws *round* heads.")
    path = write_card(run, tmp_path / "card.md", options=options)
    text, report = path.read_text(), json.loads((run / "evaluation" / "report.json").read_text())
    (result,) = report["models"]
    read = ModelCard.load(path).data
    assert (read.license, read.model_name) == ("cc-by-nc-4.0", "First faces")
    assert {(each.dataset_type, each.dataset_name) for each in read.eval_results} == {("faces", 'drawn "faces"')}
    assert read.metrics == list(result["metrics"])
    values = {each.metric_type: each.metric_value for each in read.eval_results}
    assert values == {name: score["value"] for name, score in result["metrics"].items()}
    for question, answer in result["verdicts"].items():
        assert f"{question} {answer}" in text
    for name, score in result["metrics"].items():
        assert f"| {name} | {score['value']:.4g} |" in text
    for phrase in ("CC0-1.0", "It draws *round* heads.", "30 samples (seeds 0-29, psi 1)"):
        assert phrase in text


@pytest.mark.parametrize("data", ["ada/faces", "my-faces", "my photos", "https://example.org/faces", "Gesichter, ä"])
@pytest.mark.parametrize("license", ["mit", "CC-BY-4.0", "proprietary", "my own", "gpl", None])
def test_the_hub_accepts_a_card_whatever_license_and_data_are_called(run, tmp_path, data, license):
    text = write_card(run, tmp_path / CARD, options=CardOptions(data=data, license=license)).read_text("utf-8")
    known = ("license: gpl\n", "license: mit\n")  # the stand-in for the Hub knows a few licenses only
    assert refusals(text.replace(*known)) == []
    assert read_front_matter(tmp_path / CARD)["facesmith"]["data"] == data
    assert (f"datasets:\n- {data}\n" in text) == (data in ("ada/faces", "my-faces"))
    assert (f"license_name: {license}\n" in text) == (license in ("proprietary", "my own"))


def test_a_copy_check_against_other_faces_is_not_called_a_result(run, tmp_path):
    unchecked = write_card(run, tmp_path / "unchecked.md", options=CardOptions()).read_text()
    assert "Not checked: the model was trained on other faces than these." in unchecked
    assert "The median ratio" not in unchecked
    report = json.loads((run / "evaluation" / "report.json").read_text())
    report["models"][0]["copies"]["checked"] = True
    (tmp_path / "report.json").write_text(json.dumps(report))
    checked = write_card(run, tmp_path / "checked.md", evaluation=tmp_path, options=CardOptions()).read_text()
    assert f"The median ratio is {report['models'][0]['copies']['ratio']['value']:.3f}" in checked


def test_a_license_that_the_hub_does_not_know_is_called_other(run, tmp_path):
    path = write_card(run, tmp_path / CARD, options=CardOptions(license="non-commercial research, as the data's"))
    fields = ModelCard.load(path).data
    assert (fields.license, fields.license_name) == ("other", "non-commercial research, as the data's")
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    model_hash = load_model(run).hash
    assert stated_license(tmp_path / "model.safetensors", model_hash) == "non-commercial research, as the data's"
    assert stated_license(tmp_path / "model.safetensors", "0" * 64) is None
    assert stated_hash(path) == model_hash
    assert read_front_matter(path)["facesmith"]["recipe"] == "dcgan64"


def test_an_evaluation_of_another_model_is_not_used(run, tmp_path):
    other = saved_model(tmp_path / "other", "vae64")
    with pytest.raises(BadData, match="facesmith evaluate"):
        write_card(other, evaluation=run / "evaluation", options=CardOptions())
    (other / "evaluation").mkdir()
    (other / "evaluation" / "report.json").write_bytes((run / "evaluation" / "report.json").read_bytes())
    assert "Not evaluated" in write_card(other, options=CardOptions()).read_text()
    with pytest.raises(OutputExists):
        write_card(other, options=CardOptions())


@pytest.mark.parametrize("damage", ["{", "[]", '{"models": 3}', "[" * 9999])
def test_a_damaged_evaluation_gives_a_one_line_error(run, tmp_path, damage):
    (tmp_path / "report.json").write_text(damage)
    with pytest.raises(BadData, match=r"report\.json can't be used: .*facesmith evaluate again"):
        write_card(run, tmp_path / "c.md", evaluation=tmp_path, options=CardOptions())


def test_an_incomplete_report_gives_a_one_line_error(run, tmp_path):
    report = json.loads((run / "evaluation" / "report.json").read_text())
    del report["protocol"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(BadData, match="Run facesmith evaluate again"):
        write_card(run, tmp_path / "c.md", evaluation=tmp_path, options=CardOptions())
    assert not (tmp_path / "c.md").exists()


def test_every_section_has_its_own_heading(run):
    facts = gather_facts(run, None, CardOptions())
    headings = [text for section in SECTIONS if (text := next(iter(section(facts)), None))]
    assert all(re.match("##? ", each) for each in headings)
    assert len(set(headings)) == len(headings) >= len(SECTIONS) - 1, "only the classifier is missing"


def test_the_bundled_card_is_what_the_card_command_writes(tmp_path):
    path = Path(__file__).parents[1] / "tools" / "bundled_card.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    expected = script.bundled_card(tmp_path).read_text(encoding="utf-8")
    assert bundled_model().with_name(CARD).read_text(encoding="utf-8") == expected, "run: python tools/bundled_card.py"
    assert ModelCard.load(bundled_model().with_name(CARD)).data.eval_results
    assert refusals(expected) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "is not UTF-8 text"),
        (b"x" * 2**21, "more than 1 MiB"),
        (b"{\\rtf1\\ansi Mostly men.}", r"is an RTF document\. Save it as plain text"),
        (b"PK\3\4" + bytes(26) + b"[Content_Types].xml", r"is an Office document\. Save it as plain text"),
    ],
)
def test_a_text_about_biases_that_cant_be_used_is_one_line(tmp_path, content, reason):
    (tmp_path / "b.md").write_bytes(content)
    with pytest.raises(BadOption, match=reason):
        _read_biases(tmp_path / "b.md")


def test_a_report_with_text_that_utf8_cant_store_gives_a_card(run, tmp_path):
    report = json.loads((run / "evaluation" / "report.json").read_text())
    report["warnings"] = ["\ud800"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    text = write_card(run, tmp_path / "c.md", evaluation=tmp_path, options=CardOptions()).read_text(encoding="utf-8")
    assert "Warning: \\ud800" in text


def test_the_bundled_card_is_never_replaced(tmp_path):
    with pytest.raises(BadOption, match=r"part of this installation.* Add --out"):
        write_card(None, options=CardOptions(), force=True)
    assert write_card(None, tmp_path / "card.md", options=CardOptions()).stat().st_size > 1000
