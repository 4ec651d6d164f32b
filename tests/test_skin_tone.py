"""Directions change the color of the skin no more than real faces with and without the attribute differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted_generator import PLANTED, SIDE, W_DIM, PlantedG, planted_model, write_labeled_faces
from small import QUIET

import facesmith
from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.directions.direction_options import DirectionOptions
from facesmith.directions.find import find_directions
from facesmith.directions.skin_tone import (
    NOTICEABLE,
    SkinSamples,
    allowed_change,
    described_change,
    skin_change,
    skin_colors,
    skin_samples,
    to_lab,
    without_skin_change,
)
from facesmith.latent import latents
from facesmith.latent.whitening import whiten
from facesmith.modelfiles.sidecar import load_sidecar
from facesmith.pictures.images import to_uint8

# Landmarks around rows 5 to 9 of the planted generator's images, which show the background only.
LANDMARKS = np.array([(0.2, 0.25), (0.8, 0.25), (0.5, 0.4), (0.3, 0.65), (0.7, 0.65)])
MOUTH, HAT, BACKGROUND = PLANTED


@pytest.fixture(scope="module")
def planted():
    """The planted generator, with samples in which the background stands for the skin."""
    G = PlantedG()
    w = torch.randn(200, W_DIM, generator=torch.Generator().manual_seed(0))
    points = [LANDMARKS] * len(w)
    with torch.inference_mode():
        colors = skin_colors(to_uint8(G(w)).numpy(), points)
    return G, whiten(w, 1e-3), SkinSamples(w, points, colors)


@pytest.mark.parametrize(
    ("srgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.2, 80.1, 67.2)),
        ((0, 0, 255), (32.3, 79.2, -107.9)),
        ((119, 119, 119), (50.0, 0, 0)),
    ],
)
def test_colors_are_those_of_cie_lab(srgb, lab):
    assert to_lab(np.array([srgb], np.uint8))[0] == pytest.approx(lab, abs=0.1)


def test_a_direction_loses_the_skin_change_but_keeps_its_attribute(planted):
    G, whitening, samples = planted
    direction = MOUTH + 0.5 * BACKGROUND
    assert skin_change(G, samples, direction)[0] > NOTICEABLE
    corrected = without_skin_change(G, whitening, samples, direction, None)
    assert np.linalg.norm(skin_change(G, samples, corrected)) <= NOTICEABLE
    assert float(corrected @ MOUTH) > 0.8 * float(direction @ MOUTH)


def test_a_skin_change_as_in_real_faces_stays(planted):
    G, whitening, samples = planted
    direction = MOUTH + 0.5 * BACKGROUND
    real = 1.5 * skin_change(G, samples, direction)
    assert without_skin_change(G, whitening, samples, direction, real) is direction


def test_changes_are_described_in_words():
    assert described_change(np.array([-5.0, 1, 1]), None) == "skin color changes by 5, darker"
    assert (
        described_change(np.array([5.0, 1, 1]), np.array([6.0, 0, 0]))
        == "skin color changes by 5, lighter; real faces: 6"
    )
    assert described_change(np.array([0.1, 3.0, 4.0]), None) == "skin color changes by 5"
    assert described_change(np.array([1.0, 1, 1]), None) == ""


def test_loaded_attributes_get_a_direction_only_if_requested(tmp_path):
    (tmp_path / "faces").mkdir()
    faces = write_labeled_faces(tmp_path / "faces", 300)
    table = faces / "metadata.csv"
    table.write_text(table.read_text().replace("hat,background", "attractive,skin_tone", 1))
    run = planted_model(tmp_path / "run")
    budget = ClassifierBudget(max_images=1200)
    list(find_directions(DirectionOptions(run, faces, keep=[], steps=0, classifier_budget=budget), QUIET))
    assert list(facesmith.load(run).directions) == ["bright_mouth"]
    names = ["attractive", "skin_tone"]
    options = DirectionOptions(run, faces, attributes=names, keep=[], steps=0, classifier_budget=budget, force=True)
    list(find_directions(options, QUIET))
    assert list(facesmith.load(run).directions) == names


def test_the_bundled_generator_has_no_loaded_direction():
    model = facesmith.load()
    assert "attractive" not in model.directions
    _, header = load_sidecar(model.path.with_name("directions.safetensors"), "directions", model.hash)
    w = latents(model.G, range(5000, 5060))
    samples = skin_samples(w, model.synthesize(w.numpy()))
    for name, direction in model.directions.items():
        skin = header["attributes"][name]["skin"]
        allowed = allowed_change(np.array(skin["real"]))
        assert np.linalg.norm(skin["change"]) <= allowed, name
        change = skin_change(model.G, samples, torch.from_numpy(np.array(direction)))
        assert np.linalg.norm(change) <= allowed + 1.5, f"{name}: other faces change more"  # 60 faces are few


def test_pictures_without_faces_have_no_skin():
    noise = np.random.default_rng(0).integers(0, 256, (30, SIDE, SIDE, 3)).astype(np.uint8)
    assert skin_samples(torch.zeros(30, W_DIM), noise) is None
