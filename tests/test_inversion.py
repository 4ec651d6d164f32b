"""The parts of inversion: face template, prior, encoder, optimization, and the encoder's file."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from pictures import photo, portrait, shared, without_face
from safetensors.torch import load_file, save_file
from small import QUIET, TinyG, faces_folder, procedural_pixels, saved_model
from torch import nn

import facesmith
from facesmith.detection.align import Alignment, align, transform
from facesmith.detection.detect import Detector
from facesmith.errors import BadModel, BadOption, BadPicture, OutputExists
from facesmith.explore.train_inverter import train_inverter
from facesmith.faces import open_faces
from facesmith.gan.contracts import Generator
from facesmith.inversion.encoder import BATCH_SIZE, EncoderTraining, InversionEncoder
from facesmith.inversion.face_template import (
    FaceTemplate,
    estimate_template,
    extracted_template,
    locate_face,
    read_template,
)
from facesmith.inversion.inverter import load_encoder, save_encoder
from facesmith.inversion.optimize import lr_factor, optimize_latents
from facesmith.inversion.perceptual_distance import PerceptualDistance, pixel_distance
from facesmith.inversion.prior import latent_prior, norm_penalty
from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.sidecar import HEADER_KEY
from facesmith.pictures.images import resize, to_float, to_gray

HASH = "a" * 64


@pytest.fixture(autouse=True, scope="module")
def small_linear_fit():
    """Fit the encoder's linear part to few samples, which suffices for tiny generators."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facesmith.inversion.encoder.LINEAR_SAMPLES", 256)
        yield


TEMPLATE = FaceTemplate(Alignment(64).targets() / 64, "extracted")


class Mapped(Generator):
    """A generator with correlated `w`; each of two layers has a latent and draws one half of the image."""

    spherical = False

    def __init__(self, layers=2):
        super().__init__(resolution=16, channels=3, z_dim=4, w_dim=6, num_ws=layers)
        rng = torch.Generator().manual_seed(0)
        self.register_buffer("mixing", torch.randn(4, 6, generator=rng))
        self.register_buffer("weight", torch.randn(layers, 6, 3 * 16 * 16 // layers, generator=rng) / 6)

    def mapping(self, z, labels=None):
        return 3 + z @ self.mixing

    def synthesis(self, w):
        each = w if w.ndim == 3 else w[:, None].expand(-1, self.num_ws, -1)
        return torch.einsum("nkd,kdp->nkp", each - 3, self.weight).reshape(-1, 3, 16, 16).tanh()


# Face template


def test_extracted_faces_have_a_template_in_the_header():
    template = extracted_template({"alignment": Alignment(32, 2.45).to_values()})
    np.testing.assert_allclose(template.targets(64), Alignment(64, 2.45).targets())
    for header in ({}, {"alignment": None}, {"alignment": {"layout": "center-crop-1", "size": 64, "crop": 108}}):
        assert extracted_template(header) is None


def test_template_is_estimated_from_faces():
    detected = Detector().detect([np.asarray(photo())])[0].landmarks[0].astype(np.float64)
    alignment = Alignment(64, 3.8)
    rng = np.random.default_rng(0)
    faces = np.stack([align(np.asarray(photo()), detected + rng.normal(0, 1, (5, 2)), alignment)[0] for _ in range(20)])
    template = estimate_template(faces)
    assert (template.source, template.count) == ("estimated", 20)
    assert np.abs(template.points - alignment.targets() / 64).mean() < 0.03
    assert estimate_template(procedural_pixels(24)) is None


def test_template_survives_the_header_and_damaged_ones_are_refused():
    template = FaceTemplate(np.round(TEMPLATE.points, 5), "estimated", 40)
    values = json.loads(json.dumps(template.to_values()))
    again = read_template(values, "file")
    assert (again.points == template.points).all()
    assert (again.source, again.count) == ("estimated", 40)
    for wrong in (None, [], {}, {**values, "points": [[1, 2]]}, {**values, "source": "x"}, {**values, "count": True}):
        with pytest.raises(BadModel, match="file: the face template in its header is damaged"):
            read_template(wrong, "file")
    for number in (1e9, float("nan"), "a", None):
        with pytest.raises(BadModel):
            read_template({**values, "points": [[number, 0.5]] * 5}, "file")


def test_face_of_a_photo_is_aligned_to_the_template():
    located = locate_face(np.asarray(photo()), TEMPLATE, 64, 3)
    assert located.face.shape == (64, 64, 3)
    assert (located.face_count, located.aligned_already) == (1, False)
    landmarks = Detector().detect([np.asarray(photo())])[0].landmarks[0]
    assert np.linalg.norm(transform(located.matrix, landmarks) - TEMPLATE.targets(64), axis=1).mean() < 3
    gray = locate_face(np.asarray(photo()), TEMPLATE, 64, 1).face
    assert np.array_equal(gray, to_gray(located.face))


def test_aligned_face_is_only_resized():
    landmarks = Detector().detect([np.asarray(photo())])[0].landmarks[0]
    face, _ = align(np.asarray(photo()), landmarks, Alignment(128))
    located = locate_face(face, TEMPLATE, 64, 3)
    assert located.aligned_already
    assert np.array_equal(located.face, resize(face, 64))


def test_photos_without_the_requested_face_are_refused():
    with pytest.raises(BadPicture, match=r"no face found \(in 200x200 pixels\)"):
        locate_face(np.asarray(without_face()), TEMPLATE, 64, 3)
    with pytest.raises(BadPicture, match="--face 2: it shows 1 face"):
        locate_face(np.asarray(photo()), TEMPLATE, 64, 3, which=2)
    with pytest.raises(BadModel, match="--aligned"):
        locate_face(np.asarray(photo()), None, 64, 3)


def test_faces_are_ordered_by_size():
    two = np.full((300, 520, 3), 128, np.uint8)
    two[40:240, 10:210] = np.asarray(portrait())
    two[10:290, 230:510] = np.asarray(portrait().resize((280, 280)))
    large, small = (locate_face(two, TEMPLATE, 64, 3, which=i) for i in (1, 2))
    assert large.face_count == small.face_count == 2
    assert np.linalg.det(large.matrix[:, :2]) < np.linalg.det(small.matrix[:, :2])


@pytest.mark.slow
def test_no_face_is_found_in_photos_without_faces():
    from facesmith.photos.sources import iterate_photos, open_source

    source = open_source(shared("photos.zip"))
    empty = [each for each in iterate_photos(source, 25) if "/no_face/" in f"/{each.source}"]
    wrong = []
    for each in empty:
        try:
            locate_face(each.load(), TEMPLATE, 64, 3)
            wrong.append(each.source)
        except BadPicture:
            pass
    assert len(empty) == 57
    assert len(wrong) <= 3, wrong


# Prior and perceptual distance


def test_prior_whitens_latents_of_seeds():
    G = Mapped()
    prior = latent_prior(G)
    w = G.mapping(torch.randn(4000, 4, generator=torch.Generator().manual_seed(7)))
    u = prior.to_u(w)
    assert torch.allclose(prior.to_w(u), w, atol=1e-3)
    assert u.mean(0).abs().max() < 0.1
    variance, _ = torch.linalg.eigh(torch.cov(u.T))
    np.testing.assert_allclose(variance, [0, 0, 1, 1, 1, 1], atol=0.1)  # of 6 axes the mapping uses 4


def test_norm_penalty_applies_to_large_norms_only():
    u = torch.tensor([0.0, 1.0, 2.0])[:, None, None].expand(3, 2, 5)
    assert norm_penalty(u).tolist() == [0, 0, 9]


def test_perceptual_distance_is_0_for_equal_images_and_grows_with_noise():
    face = to_float(torch.from_numpy(resize(np.asarray(portrait()), 64)[None].copy()))
    perceptual = PerceptualDistance()
    targets = perceptual.features(face)
    noise = face + 0.1 * torch.randn(face.shape, generator=torch.Generator().manual_seed(0))
    strong = face + 0.4 * torch.randn(face.shape, generator=torch.Generator().manual_seed(0))
    distances = [float(perceptual.distance(perceptual.features(each), targets)) for each in (face, noise, strong)]
    assert distances[0] < 1e-6 < distances[1] < distances[2]
    assert pixel_distance(face, face) == 0
    assert pixel_distance(face, face + 0.5).item() == pytest.approx(0.25)


# Encoder


def test_encoder_learns_the_latents_of_samples():
    G = TinyG(16, 3).eval()
    training = EncoderTraining(
        G, latent_prior(G), lambda count: to_float(torch.from_numpy(procedural_pixels(count))), steps=10
    )
    terms = [training.step(i)["latent"] for i in range(10)]
    assert np.mean(terms[-5:]) < 0.3  # always predicting the mean costs 1


def test_encoder_training_is_deterministic():
    G = TinyG(16, 3).eval()
    trainings = [
        EncoderTraining(G, latent_prior(G), lambda n: to_float(torch.from_numpy(procedural_pixels(n))), 2)
        for _ in range(2)
    ]
    assert trainings[0].step(0) == trainings[1].step(0)


@pytest.mark.parametrize("resolution", [16, 36, 64, 128])
def test_encoders_are_small_at_every_resolution(resolution):
    encoder = InversionEncoder(resolution, 3, 128).eval()
    assert encoder(torch.zeros(2, 3, resolution, resolution)).shape == (2, 128)
    max_bytes = 4e6 if resolution <= 64 else 4.6e6
    assert 4 * sum(parameter.numel() for parameter in encoder.parameters()) < max_bytes


def saved_encoder(path, G, template=TEMPLATE):
    torch.manual_seed(0)
    encoder = InversionEncoder(G.resolution, G.channels, G.w_dim, 8)
    nn.init.normal_(encoder.last.weight)
    save_encoder(path, encoder.eval(), template, {"seen": 1}, HASH)
    return encoder


def test_encoder_survives_saving_and_loading(tmp_path):
    G = TinyG(16, 3)
    encoder = saved_encoder(tmp_path / "inversion.safetensors", G)
    again, template = load_encoder(tmp_path / "inversion.safetensors", G, HASH)
    faces = to_float(torch.from_numpy(procedural_pixels(4)))
    assert torch.equal(again(faces), encoder(faces))
    np.testing.assert_allclose(template.points, TEMPLATE.points)
    saved_encoder(tmp_path / "none.safetensors", G, None)
    assert load_encoder(tmp_path / "none.safetensors", G, HASH)[1] is None


def test_files_without_a_matching_encoder_are_refused(tmp_path):
    G, path = TinyG(16, 3), tmp_path / "inversion.safetensors"
    saved_encoder(path, G)
    with pytest.raises(BadModel, match="another model"):
        load_encoder(path, G, "b" * 64)
    with pytest.raises(BadModel, match="does not contain the tensors"):
        load_encoder(path, TinyG(16, 3, z_dim=9), HASH)
    tensors = load_file(path)
    plain = {"kind": "inversion", "model": HASH, "format": 1, "width": 8, "template": None}
    for wrong in ({"width": 10**9}, {"width": "8"}, {"width": True}, {"width": 9}, {"template": 3}, {"width": None}):
        save_file(tensors, path, {HEADER_KEY: json.dumps({**plain, **wrong})})
        with pytest.raises(BadModel):
            load_encoder(path, G, HASH)
    del tensors["encoder.last.bias"]
    save_file(tensors, path, {HEADER_KEY: json.dumps(plain)})
    with pytest.raises(BadModel, match="does not contain the tensors"):
        load_encoder(path, G, HASH)


# Optimization


@pytest.mark.parametrize("layers", [1, 2])
def test_optimization_finds_the_latent_of_a_sample(layers):
    G = Mapped(layers).eval()
    w = G.mapping(torch.randn(1, 4, generator=torch.Generator().manual_seed(3)))
    images = G.synthesis(w)
    start = latent_prior(G).mean[None]
    optimized = optimize_latents(G, latent_prior(G), start, images, steps=12, console=QUIET)
    assert optimized.shape == ((1, layers, 6) if layers > 1 else (1, 6))
    errors = [(G.synthesis(each) - images).square().mean((1, 2, 3)) for each in (start, optimized)]
    assert (errors[1] < 0.5 * errors[0]).all()


def test_optimized_latent_does_not_depend_on_the_batch():
    G = Mapped(1).eval()
    images = G.synthesis(G.mapping(torch.randn(2, 4, generator=torch.Generator().manual_seed(3))))
    start = latent_prior(G).mean.expand(2, 6)
    both = optimize_latents(G, latent_prior(G), start, images, steps=2, console=QUIET)
    alone = optimize_latents(G, latent_prior(G), start[:1], images[:1], steps=2, console=QUIET)
    assert torch.allclose(both[:1], alone, atol=1e-2)


def test_learning_rate_warms_up_and_decays_to_0():
    factors = [lr_factor(i / 100) for i in range(100)]
    assert factors[0] < 0.2
    assert max(factors) > 0.9
    assert factors[-1] < 0.001


# The verb train-inverter


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = saved_model(tmp_path_factory.mktemp("run"))
    data = faces_folder(tmp_path_factory.mktemp("faces"))
    return run, data, list(train_inverter(run, data, kimg=0.03, console=QUIET))


def test_training_writes_an_encoder_beside_the_model(trained):
    run, data, lines = trained
    assert lines[0].startswith("no landmarks found in these faces")
    assert lines[-1] == str(run / "inversion.safetensors")
    model = facesmith.load(run)
    w = model.invert(model.sample([1, 2]), optimize=False)
    assert w.shape == (2, 8)
    with pytest.raises(OutputExists):
        list(train_inverter(run, data, console=QUIET))


def test_encoder_is_trained_on_the_training_split_only(trained, monkeypatch):
    run, data, _ = trained
    faces = open_faces(data, 16)
    training = {face.tobytes() for i in faces.part("train") for face in (faces.pixels[i], faces.pixels[i][:, ::-1])}
    inner, seen = EncoderTraining.__init__, []

    def recording(self, G, prior, next_faces, steps, seed=0):
        def record(count):
            batch = next_faces(count)
            seen.extend(((batch + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy())
            return batch

        inner(self, G, prior, record, steps, seed)

    monkeypatch.setattr(EncoderTraining, "__init__", recording)
    list(train_inverter(run, data, kimg=0.03, force=True, console=QUIET))
    assert len(seen) == 2 * BATCH_SIZE
    assert {face.tobytes() for face in seen} <= training


def test_accuracy_on_training_faces_is_not_called_held_out(trained, tmp_path):
    run, data, lines = trained
    assert lines[-2].endswith(" dB on held-out faces")
    (tmp_path / "one").mkdir()
    shutil.copy(next(data.glob("*.png")), tmp_path / "one")
    lines = list(train_inverter(run, tmp_path / "one", kimg=0.01, force=True, console=QUIET))
    assert lines[-2].endswith(" dB on training faces, because none are held out")


def test_models_with_their_own_encoder_are_refused(tmp_path):
    run = saved_model(tmp_path / "run", "test-autoencoder")
    with pytest.raises(BadModel, match="its own encoder"):
        list(train_inverter(run, tmp_path, console=QUIET))


@pytest.mark.parametrize("kimg", [0, float("inf"), float("nan"), 1e300])
def test_a_budget_out_of_range_is_refused_before_any_work(tmp_path, kimg):
    with pytest.raises(BadOption, match="--kimg must be more than 0"):
        list(train_inverter(tmp_path / "missing", tmp_path, kimg=kimg, console=QUIET))


def test_ctrl_c_writes_the_encoder_so_far(trained, monkeypatch):
    run, data, _ = trained
    inner = EncoderTraining.step

    def step(self, number):
        if number == 1:
            raise KeyboardInterrupt
        return inner(self, number)

    monkeypatch.setattr(EncoderTraining, "step", step)
    lines = list(train_inverter(run, data, kimg=1, force=True, console=QUIET))
    assert "after 0.0 kimg" in lines[-2]
    assert facesmith.load(run).invert(procedural_pixels(1), optimize=False).shape == (1, 8)


def test_a_second_ctrl_c_skips_the_test_and_keeps_the_encoder(trained, monkeypatch):
    run, data, _ = trained
    (run / "inversion.safetensors").unlink()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("facesmith.explore.train_inverter.reconstruction_errors", interrupted)
    lines = list(train_inverter(run, data, kimg=0.03, console=QUIET))
    assert lines[-2:] == ["after 0.0 kimg, not tested", str(run / "inversion.safetensors")]
    assert facesmith.load(run).invert(procedural_pixels(1), optimize=False).shape == (1, 8)


def test_the_encoder_of_the_bundled_generator_is_never_replaced(tmp_path):
    with pytest.raises(BadOption, match=r"part of this installation.* Copy model\.safetensors"):
        list(train_inverter(bundled_model(), tmp_path, force=True, console=QUIET))
