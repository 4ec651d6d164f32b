"""Pictures in, latents out: what is shown is what the networks give, and the score is one's own to check."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from pictures import photo, portrait, without_face
from PIL import Image
from rich.console import Console
from small import QUIET, faces_folder, procedural_pixels, saved_model

import facesmith
from facesmith.errors import BadData, BadModel, BadOption, BadPicture, OutputExists
from facesmith.explore.invert import GAP_PX, MOST_PICTURES, InvertOptions, invert
from facesmith.explore.reconstruction_error import ReconstructionError, psnr, reconstruction_errors
from facesmith.inversion.encoder import InversionEncoder
from facesmith.inversion.face_template import FaceTemplate, locate_face
from facesmith.inversion.inverter import save_encoder
from facesmith.io.captions import CAPTION_PX
from facesmith.io.images import (
    center_square,
    enlarge,
    read_picture,
    read_provenance,
    resize,
    to_float,
    to_gray,
    write_png,
)
from facesmith.latent.latent_file import load_latent
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path
from facesmith.photos.align import Alignment

QUICK = InvertOptions(aligned=True, optimize=False)
TEMPLATE = FaceTemplate(Alignment(64).targets() / 64, "extracted")


@pytest.fixture(autouse=True, scope="module")
def few_samples():
    """The yardstick of the best sample, from fewer of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facesmith.explore.reconstruction_error.SAMPLES", 8)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model whose recipe has an encoder of its own."""
    return saved_model(tmp_path_factory.mktemp("run"), "test-autoencoder")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model with encoder, template and one direction beside it."""
    run = saved_model(tmp_path_factory.mktemp("plain"))
    model = facesmith.load(run)
    torch.manual_seed(0)
    encoder = InversionEncoder(16, 3, model.G.w_dim, 4).eval()
    save_encoder(sidecar_path(model.path, "inversion"), encoder, TEMPLATE, {}, model.hash)
    smiling = {"smiling": torch.full((model.G.w_dim,), 0.5)}
    save_sidecar(sidecar_path(model.path, "directions"), "directions", smiling, {"names": ["smiling"]}, model.hash)
    return run


@pytest.fixture
def astronaut(tmp_path):
    return write_png(tmp_path / "astronaut.png", np.asarray(photo()))


# In a program


def test_at_one_glance_a_pictures_latent_is_the_encoders_mean(run):
    model = facesmith.load(run)
    faces = procedural_pixels(20)
    w = model.invert(faces, optimize=False)
    assert w.shape == (20, 8)
    mean, _ = model.E(to_float(torch.tensor(faces)))
    np.testing.assert_allclose(w, mean, atol=1e-5)


@pytest.mark.parametrize("which", ["run", "plain"])
def test_a_pictures_latent_does_not_depend_on_those_beside_it(which, request):
    model = facesmith.load(request.getfixturevalue(which))
    faces = procedural_pixels(20)
    assert np.array_equal(model.invert(faces, optimize=False)[17:18], model.invert(faces[17:18], optimize=False))
    assert model.invert(faces[:0]).shape == (0, model.G.w_dim)


def test_a_photo_is_framed_before_it_is_inverted(plain):
    model = facesmith.load(plain)
    face = locate_face(np.asarray(photo()), TEMPLATE, 16, 3).face
    assert np.array_equal(model.invert(np.asarray(photo()), optimize=False), model.invert(face[None], optimize=False))
    assert np.array_equal(model.invert(face, optimize=False), model.invert(face[None], optimize=False))
    with pytest.raises(BadPicture, match="no face"):
        model.invert(np.asarray(without_face()))
    with pytest.raises(BadPicture, match="shows 1 face"):
        model.invert(np.asarray(photo()), face=2)


def test_refined_latents_come_nearer(plain, monkeypatch):
    monkeypatch.setattr("facesmith.inversion.inverter.STEPS", 8)
    model = facesmith.load(plain)
    faces = model.sample([5])
    guess, refined = (model.invert(faces, optimize=each) for each in (False, True))
    assert guess.shape == refined.shape == (1, model.G.w_dim)
    assert psnr(faces, model.synthesize(refined)) > psnr(faces, model.synthesize(guess)) + 1


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32), np.zeros((16, 16), np.uint8)]
)
def test_pictures_that_do_not_fit_are_told_in_programs(run, wrong):
    with pytest.raises(BadData, match="expected uint8"):
        facesmith.load(run).invert(wrong)


# The sheet


def test_the_sheet_holds_each_picture_above_its_reconstruction(run, tmp_path):
    for i, face in enumerate(procedural_pixels(3)):
        write_png(tmp_path / f"{i}.png", face)
    lines = list(invert(run, [tmp_path / f"{i}.png" for i in range(3)], tmp_path / "out.png", QUICK, console=QUIET))
    model = facesmith.load(run)
    rebuilt = model.synthesize(model.invert(procedural_pixels(3), optimize=False))
    sheet = read_picture(tmp_path / "out.png")
    for i in range(3):
        left = i * (128 + GAP_PX)
        assert np.array_equal(sheet[:128, left : left + 128], enlarge(procedural_pixels(3)[i], 8))
        assert np.array_equal(sheet[128:256, left : left + 128], enlarge(rebuilt[i], 8))
        assert lines[i].startswith(f"{i}.png  {psnr(procedural_pixels(3), rebuilt)[i]:.1f} dB")
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
    list(invert(run, names, tmp_path / "out.png", QUICK, console=Console(file=said, width=200)))
    assert "large.png (50x40) cut to its middle, made smaller to 16x16, made grey" in said.getvalue()
    assert "small.png left out: 50x12, smaller than 16x16" in said.getvalue()
    assert "text.png left out: not a picture" in said.getvalue()
    shown = read_picture(tmp_path / "out.png")
    fitted = to_gray(resize(center_square(picture), 16)).repeat(3, axis=2)
    assert np.array_equal(shown[:128, :128], enlarge(fitted, 8))
    with pytest.raises(BadData, match="None of the pictures"):
        list(invert(run, names[1:], tmp_path / "none.png", QUICK, console=QUIET))


def test_folders_are_read_whole_up_to_what_a_sheet_shows(run, tmp_path, monkeypatch):
    folder = faces_folder(tmp_path / "faces", 5)
    assert len(list(invert(run, [folder], tmp_path / "out.png", QUICK, console=QUIET))) == 5 + 2
    assert MOST_PICTURES > 100
    monkeypatch.setattr("facesmith.explore.invert.MOST_PICTURES", 4)
    with pytest.raises(BadData, match="more than 4"):
        list(invert(run, [folder], tmp_path / "more.png", QUICK, console=QUIET))


def test_a_damaged_picture_does_not_stop_the_others(run, tmp_path):
    Image.fromarray(procedural_pixels(1)[0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:100])
    names = [tmp_path / "bad.png", tmp_path / "good.png"]
    lines = list(invert(run, names, tmp_path / "out.png", QUICK, console=QUIET))
    assert [line.split()[0] for line in lines[:-1]] == ["good.png"]


# Photos


def test_a_photos_face_is_found_and_what_was_done_is_told(plain, astronaut, tmp_path):
    two = np.concatenate([np.asarray(portrait())] * 2, axis=1)
    write_png(tmp_path / "two.png", two)
    said, options = io.StringIO(), InvertOptions(optimize=False)
    pictures = [astronaut, tmp_path / "two.png"]
    list(invert(plain, pictures, tmp_path / "out.png", options, console=Console(file=said, width=200)))
    assert "two.png (400x200) shows 2 faces: the largest is taken (--face)" in said.getvalue()
    assert "astronaut.png" not in said.getvalue()
    face = locate_face(np.asarray(photo()), TEMPLATE, 16, 3).face
    assert np.array_equal(read_picture(tmp_path / "out.png")[:128, :128], enlarge(face, 8))


def test_a_photo_without_a_face_is_a_clear_error(plain, tmp_path):
    write_png(tmp_path / "field.png", np.asarray(without_face()))
    with pytest.raises(BadData, match=r"None .*field.png: no face found in its 200x200 pixels.*--aligned"):
        list(invert(plain, [tmp_path / "field.png"], tmp_path / "out.png", console=QUIET))
    assert not (tmp_path / "out.png").exists()


def test_a_face_becomes_a_latent_file_that_tells_where_it_was(plain, astronaut, tmp_path):
    options = InvertOptions(optimize=False, latents=tmp_path / "latents")
    list(invert(plain, [astronaut, astronaut], tmp_path / "out.png", options, console=QUIET))
    model = facesmith.load(plain)
    assert sorted(path.name for path in options.latents.iterdir()) == ["astronaut-2.latent", "astronaut.latent"]
    w = load_latent(options.latents / "astronaut.latent", model.G, model.hash)
    np.testing.assert_array_equal(w, model.invert(np.asarray(photo()), optimize=False)[0])
    _, told = load_sidecar(options.latents / "astronaut.latent", "latent", model.hash)
    assert (told["photo"]["height"], told["photo"]["face"], told["refined"]) == (512, 1, False)
    located = locate_face(np.asarray(photo()), TEMPLATE, 16, 3)
    np.testing.assert_allclose(told["photo"]["matrix"], located.matrix, atol=1e-5)
    lines = list(invert(plain, [astronaut], tmp_path / "me.latent", InvertOptions(optimize=False), console=QUIET))
    assert lines[-1] == str(tmp_path / "me.latent")
    assert torch.equal(load_latent(tmp_path / "me.latent", model.G, model.hash), w)


def test_an_edited_face_goes_back_into_its_photo(plain, astronaut, tmp_path):
    options = InvertOptions(optimize=False, edits=("smiling=1",), paste=tmp_path / "pasted.png")
    lines = list(invert(plain, [astronaut], tmp_path / "out.png", options, console=QUIET))
    assert lines[-1] == str(tmp_path / "pasted.png")
    pasted = read_picture(tmp_path / "pasted.png")
    assert pasted.shape == (512, 512, 3)
    assert (pasted != np.asarray(photo())).any(2).mean() < 0.1
    told = read_provenance(tmp_path / "pasted.png")
    assert (told["Synthetic"], told["Edits"]) == ("in part", "smiling=1")
    model = facesmith.load(plain)
    edited = model.synthesize(model.invert(np.asarray(photo()), optimize=False) + model.directions["smiling"])
    assert np.array_equal(read_picture(tmp_path / "out.png")[256:384, :128], enlarge(edited[0], 8))


# Mistakes


def test_models_without_an_encoder_are_told_how_to_get_one(tmp_path):
    run = saved_model(tmp_path / "run")
    with pytest.raises(BadModel, match=r"no encoder.*train-inverter --model .*model\.safetensors --data FACES"):
        list(invert(run, [tmp_path / "any.png"], tmp_path / "out.png", console=QUIET))


def test_an_encoder_of_another_model_is_told(plain, tmp_path):
    run = saved_model(tmp_path / "run", seed=1)
    (run / "inversion.safetensors").write_bytes((plain / "inversion.safetensors").read_bytes())
    with pytest.raises(BadModel, match="another model"):
        facesmith.load(run).invert(procedural_pixels(1))


@pytest.mark.parametrize(
    ("out", "options", "told"),
    [
        ("out.jpg", InvertOptions(), r"\.png"),
        ("out.png", InvertOptions(edits=("smiling",)), "can't be read"),
        ("out.png", InvertOptions(edits=("hat=1",)), "no direction 'hat'"),
        ("me.latent", InvertOptions(edits=("smiling=1",)), "as it was found"),
        ("out.png", InvertOptions(paste="pasted.jpg"), "--paste"),
    ],
)
def test_mistakes_are_told_before_any_picture_is_read(plain, tmp_path, out, options, told):
    if options.paste:
        options = InvertOptions(paste=tmp_path / options.paste)
    with pytest.raises(BadOption, match=told):
        list(invert(plain, [tmp_path / "absent.png"], tmp_path / out, options, console=QUIET))


def test_one_file_holds_one_face(plain, astronaut, tmp_path):
    for out, options in (
        ("me.latent", InvertOptions(optimize=False)),
        ("out.png", InvertOptions(optimize=False, paste=tmp_path / "pasted.png")),
    ):
        with pytest.raises(BadOption, match="there are 2"):
            list(invert(plain, [astronaut, astronaut], tmp_path / out, options, console=QUIET))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["astronaut.png"]
    write_png(tmp_path / "out.png", procedural_pixels(1)[0])
    with pytest.raises(OutputExists):
        list(invert(plain, [astronaut], tmp_path / "out.png", console=QUIET))


# The score


def test_the_score_is_the_peak_signal_to_noise_ratio():
    black = np.zeros((3, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] += 255
    other[2, ..., 0] += 51  # a fifth of 255, in a third of the values
    np.testing.assert_allclose(psnr(black, other), [np.inf, 0, 10 * np.log10(75)])


def test_scores_are_held_against_samples_and_the_average_face(plain):
    model = facesmith.load(plain)
    faces = model.sample([3, 1007])
    same, other = reconstruction_errors(model, faces, model.sample([3, 3]), QUIET)
    assert (same.distance, same.samples_nearer, same.best_distance) == (0, 0, 0)
    assert same.verdict() == "nearer than any of 8 samples"
    assert "psnr_db" not in same.to_values()  # infinite, which JSON doesn't know
    assert 0 < other.best_distance <= other.distance
    assert other.samples == 8


@pytest.mark.parametrize(
    ("distance", "nearer", "told"),
    [
        (5.0, 0, "nearer than any of 1,000 samples"),
        (5.0, 3, "nearer than the average face, but 3 of 1,000 samples are nearer"),
        (12.0, 0, "no nearer than the average face"),
    ],
)
def test_verdicts_are_honest(distance, nearer, told):
    score = ReconstructionError(20.0, 15.0, distance, 10.0, 6.0, nearer)
    assert score.verdict().startswith(told)
    assert "20.0 dB (the average face 15.0 dB)" in score.told()


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
    assert psnr(faces, model.synthesize(model.invert(faces, optimize=False))).min() > 40


def test_one_glance_takes_less_than_a_second(plain):
    model = facesmith.load(plain)
    model.invert(np.asarray(photo()), optimize=False)
    start = time.process_time()
    model.invert(np.asarray(photo()), optimize=False)
    assert time.process_time() - start < 1
