"""Faces beside their reconstructions: the right ones, in the right places, and the error that a hand computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small import QUIET, RESOLUTION, procedural_pixels, small_state

from facesmith.pictures.images import read_picture, read_provenance
from facesmith.training.averages import inference_networks
from facesmith.training.monitor import Monitor
from facesmith.training.reconstructions import reconstruct, reconstruction_errors, write_reconstructions
from facesmith.training.step import train_step

GAP_PX = 2


@pytest.fixture(scope="module")
def nets():
    state = small_state("test-autoencoder", budget=10**6)
    for _ in range(200):
        train_step(state)
    return inference_networks(state)


def test_errors_are_in_the_range_of_minus_one_to_one():
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    assert reconstruction_errors(black, white) == {"reconstruction/mse": 4.0, "reconstruction/psnr_db": 0.0}
    one_off = reconstruction_errors(black, black + 1)
    assert one_off["reconstruction/psnr_db"] == pytest.approx(20 * np.log10(255))
    assert np.isfinite(reconstruction_errors(black, black)["reconstruction/psnr_db"])


def test_a_reconstruction_does_not_depend_on_the_other_faces(nets):
    faces = procedural_pixels()[:20]
    rebuilt = reconstruct(nets, faces)
    assert rebuilt.shape == faces.shape
    np.testing.assert_array_equal(reconstruct(nets, faces[3:4]), rebuilt[3:4])
    others = reconstruction_errors(faces, np.roll(rebuilt, 1, axis=0))
    assert reconstruction_errors(faces, rebuilt)["reconstruction/mse"] < 0.8 * others["reconstruction/mse"]


@pytest.mark.parametrize("count", [1, 8, 11, 40])
def test_each_face_is_above_its_reconstruction(nets, tmp_path, count):
    faces = procedural_pixels()[:count]
    errors = write_reconstructions(tmp_path, nets, faces, seen=80)
    assert errors == reconstruction_errors(faces, reconstruct(nets, faces))
    pairs, rebuilt = read_picture(tmp_path / "reconstructions.png"), reconstruct(nets, faces)
    step = RESOLUTION + GAP_PX
    for i in range(min(count, 16)):
        top, left = (i // 8) * 2 * step, (i % 8) * step
        np.testing.assert_array_equal(pairs[top : top + RESOLUTION, left : left + RESOLUTION], faces[i])
        below = top + step
        np.testing.assert_array_equal(pairs[below : below + RESOLUTION, left : left + RESOLUTION], rebuilt[i])


def test_only_reconstructions_are_marked_as_synthetic_and_kept_per_save(nets, tmp_path):
    write_reconstructions(tmp_path, nets, procedural_pixels()[:16], seen=80)
    write_reconstructions(tmp_path, nets, procedural_pixels()[:16], seen=160)
    assert "Synthetic" not in read_provenance(tmp_path / "reconstructions.png")
    sheets = sorted((tmp_path / "reconstructions").iterdir())
    assert [path.name for path in sheets] == ["000000080.png", "000000160.png"]
    assert read_provenance(sheets[0])["Synthetic"] == "true"
    assert read_picture(sheets[0]).shape[0] == 2 * RESOLUTION + GAP_PX


@pytest.mark.parametrize(("recipe", "held_out"), [("dcgan64", 5), ("test-autoencoder", 0), ("test-autoencoder", 5)])
def test_recipes_with_an_encoder_show_held_out_faces(tmp_path, recipe, held_out):
    state = small_state(recipe, budget=10**6)
    with Monitor(tmp_path, state, 0.0, QUIET, procedural_pixels()[:held_out]) as monitor:
        monitor.log_step(train_step(state))
        monitor.log_checkpoint(inference_networks(state))
    expected = recipe == "test-autoencoder" and held_out > 0
    assert (tmp_path / "reconstructions.png").exists() == expected
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert ("reconstruction/mse" in line) == ("reconstruction/psnr_db" in line) == expected


def test_what_a_killed_run_drew_after_its_last_save_is_taken_back(nets, tmp_path):
    for seen in (80, 160):
        write_reconstructions(tmp_path, nets, procedural_pixels()[:3], seen=seen)
    state = small_state("test-autoencoder", budget=10**6)
    state.seen = 80
    Monitor(tmp_path, state, 0.0, QUIET).tensorboard.close()
    assert [path.name for path in (tmp_path / "reconstructions").iterdir()] == ["000000080.png"]
