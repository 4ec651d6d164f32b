"""Descriptions of faces: what the classifier is sure of is stated, what it is not sure of is marked or left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small import saved_model

from facesmith.attributes import AttributeScores, Classifier, TrainedClassifier, direction_name, predict_logits
from facesmith.errors import BadModel
from facesmith.model import load
from facesmith.modelfiles.classifier_file import load_classifier, save_classifier
from facesmith.modelfiles.sidecar import save_sidecar

pytest.importorskip("fastapi", reason="the studio is an extra")
from fastapi.testclient import TestClient

from facesmith.studio.access import Access
from facesmith.studio.app import create_app
from facesmith.studio.face_description import describe_face
from facesmith.studio.open_models import OpenModels
from facesmith.studio.services import Studio

HOST = "127.0.0.1:8400"
GRAY = np.full((16, 16, 3), 128, np.uint8)
GOOD, BAD = (AttributeScores(0.9, accuracy, accuracy, 0.5, 0.5) for accuracy in (0.9, 0.6))


def planted(probabilities, badly_recognized=()):
    """A classifier that gives every face these probabilities."""
    classifier = Classifier(len(probabilities)).eval()
    torch.nn.init.zeros_(classifier.last.weight)
    with torch.no_grad():
        classifier.last.bias.copy_(torch.tensor([math.log(p / (1 - p)) for p in probabilities.values()]))
    scores = {name: BAD if name in badly_recognized else GOOD for name in probabilities}
    return TrainedClassifier(classifier, tuple(probabilities), scores)


def description(folder, probabilities, **options):
    run = saved_model(folder / str(len(list(folder.iterdir()))))
    model = load(run)
    save_classifier(run / "attributes.safetensors", planted(probabilities, **options), model.hash)
    return describe_face(model, GRAY)["text"]


@pytest.mark.parametrize(
    ("probabilities", "text"),
    [
        ({"male": 0.02, "smiling": 0.97, "black_hair": 0.95}, "a woman, smiling, with black hair"),
        ({"male": 0.98, "smiling": 0.2, "no_beard": 0.05}, "a man, with a beard"),
        ({"male": 0.25}, "a person, perhaps a woman"),
        ({"male": 0.5}, "a person"),
        ({direction_name("gender=male"): 0.97, direction_name("gender=female"): 0.04, "race_white": 0.99}, "a man"),
        ({"smiling": 0.8}, "a person; perhaps smiling"),
        ({"male": 0.05, "black_hair": 0.5, "brown_hair": 0.45}, "a woman, with dark hair"),
        ({"male": 0.05, "black_hair": 0.95, "brown_hair": 0.05}, "a woman, with black hair"),
        ({"smiling": 0.97, "mouth_slightly_open": 0.97}, "a person, smiling"),
        ({"smiling": 0.1, "mouth_slightly_open": 0.97}, "a person, with the mouth slightly open"),
        ({"male": 0.95, "young": 0.15, "eyeglasses": 0.75}, "a man; perhaps with glasses, older"),
        ({"attractive": 0.99, "big_nose": 0.99, "chubby": 0.99}, "a person"),
    ],
)
def test_description_states_what_is_certain_and_marks_the_rest(tmp_path, probabilities, text):
    assert description(tmp_path, probabilities) == text


def test_attributes_that_are_recognized_badly_are_left_out(tmp_path):
    assert description(tmp_path, {"smiling": 0.99, "eyeglasses": 0.99}, badly_recognized=["smiling"]) == (
        "a person, with glasses"
    )


def test_hair_is_dark_if_brown_is_recognized_badly(tmp_path):
    probabilities = {"black_hair": 0.4, "brown_hair": 0.4}
    assert description(tmp_path, probabilities, badly_recognized=["brown_hair"]) == "a person; perhaps with dark hair"
    assert description(tmp_path, probabilities, badly_recognized=list(probabilities)) == "a person"


def test_description_belongs_to_the_picture_of_its_url(tmp_path):
    run = saved_model(tmp_path / "run")
    model = load(run)
    with TestClient(
        create_app(Studio(OpenModels([run], ["run"])), Access(frozenset([HOST]))), f"http://{HOST}"
    ) as client:
        (facts,) = client.get("/api/models").json()["models"]
        query = {"model": facts["id"], "seed": 3, "psi": 0.8}
        assert facts["can_describe"] is False
        missing = client.get("/api/describe.json", params=query).json()
        assert missing["command"].startswith("facesmith directions")
        trained = TrainedClassifier(Classifier(2).eval(), ("smiling", "male"), {"smiling": GOOD, "male": GOOD})
        torch.nn.init.normal_(trained.classifier.last.weight, std=3)
        save_classifier(run / "attributes.safetensors", trained, model.hash)
        (facts,) = client.get("/api/models").json()["models"]
        assert facts["can_describe"] is True
        assert facts["id"] == query["model"], "pictures do not depend on the classifier"
        (run / "attributes.safetensors").write_bytes(b"damaged")
        assert client.get("/api/models").json()["models"][0]["can_describe"] is False
        assert "can't be used" in client.get("/api/describe.json", params=query).json()["missing"]
        save_classifier(run / "attributes.safetensors", trained, model.hash)
        assert client.get("/api/models").json()["models"][0]["can_describe"] is True
        answer = client.get("/api/describe.json", params=query).json()
        assert answer == describe_face(load(run), model.sample([3], 0.8)[0])
        assert client.get("/api/describe.json", params=query | {"live": 1}).status_code == 400


def test_classifier_survives_its_file(tmp_path):
    trained = planted({"smiling": 0.9, "male": 0.3})
    save_classifier(tmp_path / "a.safetensors", trained, "ab" * 32)
    again = load_classifier(tmp_path / "a.safetensors", "ab" * 32)
    assert (again.names, again.scores) == (trained.names, trained.scores)
    pictures = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8)
    assert torch.allclose(
        predict_logits(again.classifier, pictures), predict_logits(trained.classifier, pictures), atol=0.02
    )


@pytest.mark.parametrize(
    "header",
    [
        {"names": ["a"], "scores": {}},
        {"names": "a", "scores": {"a": 1}},
        {"names": ["a", "b"], "scores": {"a": {}, "b": {}}},
        {"names": [], "scores": {}},
        {},
    ],
)
def test_damaged_classifier_is_reported_in_one_line(tmp_path, header):
    save_sidecar(tmp_path / "a.safetensors", "attributes", {"x": torch.zeros(1)}, header, "ab" * 32)
    with pytest.raises(BadModel, match="damaged") as refused:
        load_classifier(tmp_path / "a.safetensors", "ab" * 32)
    assert "\n" not in str(refused.value)


def test_classifier_of_other_shapes_is_reported(tmp_path):
    trained = planted({"a": 0.5, "b": 0.5})
    weights = trained.classifier.state_dict()
    header = {"names": ["a"], "scores": {"a": dict.fromkeys(GOOD.__dataclass_fields__, 0.5)}}
    save_sidecar(tmp_path / "a.safetensors", "attributes", weights, header, "ab" * 32)
    with pytest.raises(BadModel, match="other shapes"):
        load_classifier(tmp_path / "a.safetensors", "ab" * 32)


def test_bundled_generator_describes_its_faces():
    model = load(None)
    texts = [describe_face(model, face)["text"] for face in model.sample(range(16))]
    assert any("woman" in text for text in texts)
    assert any("smiling" in text for text in texts)
    assert sum(file.stat().st_size for file in model.path.parent.iterdir()) < 24 * 2**20
