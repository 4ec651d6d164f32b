"""Through the encoder and back: what is shown is what the networks give, and the score is one's own to check."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from small import QUIET, drawn_pixels, faces_folder, saved_model

import facesmith
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.figure import CAPTION_PX
from facesmith.images import center_square, enlarge, read_picture, read_provenance, resize, to_float, to_grey, write_png
from facesmith.invert import GAP_PX, MOST_PICTURES, invert, psnr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"), "test-autoencoder")


def test_a_pictures_latent_is_the_encoders_mean(run):
    model = facesmith.load(run)
    faces = drawn_pixels(20)
    w = model.invert(faces)
    assert w.shape == (20, 8)
    mean, _ = model.E(to_float(torch.tensor(faces)))
    np.testing.assert_allclose(w, mean, atol=1e-5)


def test_a_pictures_latent_does_not_depend_on_those_beside_it(run):
    model = facesmith.load(run)
    faces = drawn_pixels(20)
    assert np.array_equal(model.invert(faces)[17:18], model.invert(faces[17:18]))
    assert model.invert(faces[:0]).shape == (0, 8)


@pytest.mark.parametrize("wrong", [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32)])
def test_pictures_that_do_not_fit_are_told_in_programs(run, wrong):
    with pytest.raises(BadData, match="expected uint8"):
        facesmith.load(run).invert(wrong)


def test_the_sheet_holds_each_picture_above_its_reconstruction(run, tmp_path):
    for i, face in enumerate(drawn_pixels(3)):
        write_png(tmp_path / f"{i}.png", face)
    lines = list(invert(run, [tmp_path / f"{i}.png" for i in range(3)], tmp_path / "out.png", console=QUIET))
    model = facesmith.load(run)
    rebuilt = model.synthesize(model.invert(drawn_pixels(3)))
    sheet = read_picture(tmp_path / "out.png")
    for i in range(3):
        left = i * (128 + GAP_PX)
        assert np.array_equal(sheet[:128, left : left + 128], enlarge(drawn_pixels(3)[i], 8))
        assert np.array_equal(sheet[128:256, left : left + 128], enlarge(rebuilt[i], 8))
        assert lines[i] == f"{i}.png  {psnr(drawn_pixels(3), rebuilt)[i]:.1f} dB"
    assert sheet.shape[0] > 256 + CAPTION_PX
    assert lines[3].startswith("mean of 3")
    assert read_provenance(tmp_path / "out.png")["Synthetic"] == "in part"


def test_other_sizes_are_fitted_with_a_notice_and_never_enlarged(tmp_path):
    run = saved_model(tmp_path / "run", "test-autoencoder", channels=1)
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    write_png(tmp_path / "large.png", picture)
    write_png(tmp_path / "small.png", picture[:12])
    (tmp_path / "text.png").write_text("no picture")
    said = io.StringIO()
    names = [tmp_path / name for name in ("large.png", "small.png", "text.png")]
    list(invert(run, names, tmp_path / "out.png", console=Console(file=said, width=200)))
    assert "large.png (50x40) cut to its middle, made smaller to 16x16, made grey" in said.getvalue()
    assert "small.png left out: 50x12, smaller than 16x16" in said.getvalue()
    assert "text.png left out: not a picture" in said.getvalue()
    shown = read_picture(tmp_path / "out.png")
    fitted = to_grey(resize(center_square(picture), 16)).repeat(3, axis=2)
    assert np.array_equal(shown[:128, :128], enlarge(fitted, 8))
    with pytest.raises(BadData, match="None of the pictures"):
        list(invert(run, names[1:], tmp_path / "none.png", console=QUIET))


def test_folders_are_read_whole_up_to_what_a_sheet_shows(run, tmp_path):
    folder = faces_folder(tmp_path / "faces", 5)
    assert len(list(invert(run, [folder], tmp_path / "out.png", console=QUIET))) == 5 + 2
    for i in range(MOST_PICTURES):
        write_png(folder / f"more{i}.png", drawn_pixels(1)[0])
    with pytest.raises(BadData, match=f"more than {MOST_PICTURES}"):
        list(invert(run, [folder], tmp_path / "more.png", console=QUIET))


def test_recipes_without_an_encoder_name_those_with_one(tmp_path):
    run = saved_model(tmp_path / "run")
    with pytest.raises(BadModel, match=r"dcgan64 has no encoder.*test-autoencoder"):
        list(invert(run, [tmp_path / "any.png"], tmp_path / "out.png", console=QUIET))
    with pytest.raises(BadOption, match=r"\.png"):
        list(invert(run, [], tmp_path / "out.jpg", console=QUIET))


def test_the_score_is_the_peak_signal_to_noise_ratio():
    black = np.zeros((3, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] += 255
    other[2, ..., 0] += 51  # a fifth of 255, in a third of the values
    np.testing.assert_allclose(psnr(black, other), [np.inf, 0, 10 * np.log10(75)])


def test_a_reconstruction_of_ones_own_face_beats_the_average(tmp_path):
    """An encoder that is the generator's inverse gives the face back: the whole way, pixels to pixels."""
    model = facesmith.load(saved_model(tmp_path / "run", "test-autoencoder"))
    weight = model.G.dense.weight.double()
    scale = model.G.norm.weight.double() / (model.G.norm.running_var + model.G.norm.eps).sqrt()
    gain = scale.repeat_interleave(16 * 16)[:, None] * weight

    class Inverse(torch.nn.Module):
        def forward(self, x):
            start = model.G.synthesis(torch.zeros(1, 8)).atanh().double().flatten()
            before = x.clamp(-0.999, 0.999).double().atanh().flatten(1) - start
            mean = (before @ torch.linalg.pinv(gain).T).float()
            return mean, torch.zeros_like(mean)

    model.E = Inverse()
    faces = model.sample([1, 2, 3])
    assert psnr(faces, model.synthesize(model.invert(faces))).min() > 40


def test_a_damaged_picture_does_not_stop_the_others(run, tmp_path):
    Image.fromarray(drawn_pixels(1)[0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:100])
    lines = list(invert(run, [tmp_path / "bad.png", tmp_path / "good.png"], tmp_path / "out.png", console=QUIET))
    assert [line.split()[0] for line in lines[:-2]] == ["good.png"]
