"""A generator that draws training people in another light is noticed; new people are not taken for training people."""

from __future__ import annotations

import io
import json
import zipfile
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import shared
from PIL import Image
from planted import PlantedModel, Thumbnails
from small import QUIET

from facesmith.errors import FacesmithError
from facesmith.evaluation.evaluation_json import evaluation_json
from facesmith.evaluation.evaluation_page import evaluation_page
from facesmith.evaluation.model_result import evaluate_model
from facesmith.evaluation.reference import prepare_reference
from facesmith.evaluation.verdicts import metric_table, new_people, short_verdict
from facesmith.faces import open_faces
from facesmith.metrics import face_embedding
from facesmith.metrics.copies import nearest_faces, thumbnails
from facesmith.metrics.face_embedding import embed_faces, load_face_embedding
from facesmith.metrics.identity import People, compare_people, embed_people, nearest_people
from facesmith.photos import split
from facesmith.pictures.images import write_png

PEOPLE = 60  # with two photos each
SIDE = 64
CROP = (55, 60, 195, 200)  # the face in a photo of LFW
VERDICT = "Are they new people?"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Faces of LFW, and three groups of their rows: first and second photos of the same people, and other people."""
    folder = tmp_path_factory.mktemp("lfw") / "lfw"
    with zipfile.ZipFile(shared("lfw.zip")) as archive:
        photos = defaultdict(list)
        for name in archive.namelist():
            if name.endswith(".jpg"):
                photos[name.split("/")[1]].append(name)
        several = [person for person, files in photos.items() if len(files) == 2][:PEOPLE]
        single = [person for person, files in photos.items() if len(files) == 1][: 2 * PEOPLE]
        for name in (name for person in (*several, *single) for name in photos[person]):
            with Image.open(io.BytesIO(archive.read(name))) as photo:
                face = np.asarray(photo.convert("RGB").crop(CROP).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
            path = folder / name.removeprefix("lfw/")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path.with_suffix(".png"), face)
    faces = open_faces(folder.parent, SIDE)
    row = {name.rpartition("/")[2].removesuffix(".png"): i for i, name in enumerate(faces.names)}
    first, second = (np.array([row[f"{person}_000{n}"] for person in several]) for n in (1, 2))
    others = np.array([row[f"{person}_0001"] for person in single])
    parts = np.full(len(faces.names), split.PARTS.index("validation"), np.int8)
    parts[first], parts[others[:PEOPLE]] = split.PARTS.index("train"), split.PARTS.index("test")
    return replace(faces, parts=parts), first, second, others[PEOPLE:]


@pytest.fixture(scope="module")
def reference(people):
    return prepare_reference(people[0], Thumbnails(), PEOPLE, QUIET)


def in_another_light(pictures):
    """Pictures darkened from one side to the other."""
    light = np.linspace(0.6, 1.2, SIDE)[None, None, :, None]
    return np.clip(pictures * light, 0, 255).astype(np.uint8)


def test_two_photos_of_one_person_are_closer_than_photos_of_two_people(people):
    faces, first, second, _ = people
    network = load_face_embedding()
    a, b = (embed_faces(network, faces.pixels, rows, "faces", QUIET) for rows in (first, second))
    same, different = (np.linalg.norm(a - other, axis=1) for other in (b, np.roll(b, 1, axis=0)))
    accuracy = np.mean([same < 0.61, different >= 0.61])
    assert accuracy > 0.95


def test_training_people_in_another_light_are_noticed(people, reference):
    faces, _, second, _ = people
    planted = in_another_light(faces.pixels[second])
    result = evaluate_model(PlantedModel(planted, faces), reference, PEOPLE, QUIET)
    assert short_verdict(result) == "new faces", "they are no copies of a photo"
    assert result.people.draws_training_people
    assert result.people.share.value > 0.5
    assert new_people(result, reference).startswith("TRAINING PEOPLE: by face recognition,")
    nearest = reference.training[result.people.nearest.training]
    assert (np.array(faces.groups)[nearest] == np.array(faces.groups)[second]).mean() > 0.8
    report = evaluation_json([result], reference, PEOPLE, {})
    (model,) = json.loads(json.dumps(report))["models"]
    assert model["people"]["found"]
    assert model["people"]["share"]["value"] == result.people.share.value
    assert model["verdicts"][VERDICT].startswith("TRAINING PEOPLE")
    page = evaluation_page([result], ["planted"], reference, pictures=True)
    assert "Nearest people" in page
    assert "TRAINING PEOPLE" in page


def test_new_people_are_not_taken_for_training_people(people, reference):
    faces, _, _, others = people
    result = evaluate_model(PlantedModel(faces.pixels[others], faces), reference, PEOPLE, QUIET)
    assert not result.people.draws_training_people
    assert new_people(result, reference).startswith("Yes, as far as face recognition can tell")
    row = metric_table([result], ["planted"], reference)[-1]
    assert row[0] == "near training people"


def test_without_identity_no_face_is_recognized(people, monkeypatch):
    faces, _, second, _ = people
    monkeypatch.setattr("facesmith.metrics.identity.load_face_embedding", lambda: pytest.fail("it was loaded"))
    reference = prepare_reference(faces, Thumbnails(), PEOPLE, QUIET, identity=False)
    result = evaluate_model(PlantedModel(faces.pixels[second], faces), reference, PEOPLE, QUIET)
    assert new_people(result, reference) == "Not checked: --no-identity was given."
    assert evaluation_json([result], reference, PEOPLE, {})["models"][0]["people"]["checked"] is False


def test_held_out_faces_of_one_person_are_not_compared(people):
    faces, *_ = people
    one = replace(faces, groups=["person/a"] * len(faces.names))
    reason = embed_people(one, one.part("train"), one.part("test"), QUIET)
    assert reason == "this needs held-out faces of at least 5 people, and they show 1"


@pytest.mark.parametrize(("close", "draws"), [(100, False), (350, True)])
def test_few_held_out_people_leave_it_unclear_whether_training_people_are_drawn(close, draws):
    rng = np.random.default_rng(0)
    training, held_out, samples = (rng.normal(size=(n, 128)).astype(np.float32) for n in (200, 20, 500))
    samples[:close] = training[np.arange(close) % 200] + 0.01
    ratios = nearest_people(held_out, training, held_out, np.arange(20)).ratio
    check = compare_people(samples, People(load_face_embedding(), training, held_out, ratios))
    assert check.draws_training_people == draws
    assert check.unclear != draws


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_missing_or_damaged_weights_give_a_one_line_error(tmp_path, monkeypatch, content):
    file = tmp_path / "weights.safetensors"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(face_embedding, "WEIGHTS", file)
    with pytest.raises(FacesmithError, match="Install facesmith again") as error:
        load_face_embedding()
    assert "\n" not in str(error.value)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(2, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_nearest_people_are_those_of_a_plain_search(count, n_training, n_held_out, seed):
    rng = np.random.default_rng(seed)
    samples, training, held_out = (rng.normal(size=(n, 8)).astype(np.float32) for n in (count, n_training, n_held_out))
    nearest = nearest_people(samples, training, held_out)
    i = int(rng.integers(count))
    for found, distance, others in (
        (nearest.training, nearest.to_training, training),
        (nearest.held_out, nearest.to_held_out, held_out),
    ):
        distances = np.linalg.norm(others - samples[i], axis=1)
        assert distances[found[i]] == pytest.approx(distances.min(), abs=1e-3)
        assert distance[i] == pytest.approx(distances.min(), abs=1e-3)
    own = nearest_people(held_out, training, held_out, np.arange(n_held_out))
    assert (own.held_out != np.arange(n_held_out)).all()


def test_pixels_alone_do_not_notice_the_planted_people(people, reference):
    """This is why people are compared as well."""
    faces, first, second, _ = people
    ratio = nearest_faces(
        in_another_light(faces.pixels[second]),
        thumbnails(faces.pixels, first),
        reference.test_thumbnails,
        "",
        QUIET,
    ).ratio
    assert np.median(ratio) > 0.8
