"""The invert verb and Model.invert: latents, sheets, latent files, pasted photos and reconstruction errors."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import torch
from pictures import photo, portrait, without_face
from PIL import Image
from rich.console import Console
from small import QUIET, faces_folder, procedural_pixels, saved_model

import facesmith
from facesmith.detection.align import Alignment
from facesmith.errors import BadData, BadModel, BadOption, BadPicture, FacesmithError, OutputExists
from facesmith.explore.invert import GAP_PX, MAX_PICTURES, InvertOptions, invert
from facesmith.explore.reconstruction_error import ReconstructionError, psnr, reconstruction_errors
from facesmith.inversion.encoder import InversionEncoder
from facesmith.inversion.face_template import FaceTemplate, locate_face
from facesmith.inversion.inverter import save_encoder
from facesmith.latent.latent_file import load_latent
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path
from facesmith.pictures.captions import CAPTION_PX
from facesmith.pictures.images import (
    center_square,
    enlarge,
    read_picture,
    read_provenance,
    resize,
    to_float,
    to_gray,
    write_png,
)

ENCODER_ONLY = InvertOptions(aligned=True, optimize=False)
TEMPLATE = FaceTemplate(Alignment(64).targets() / 64, "extracted")


@pytest.fixture(autouse=True, scope="module")
def few_samples():
    """Compare reconstructions with few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facesmith.explore.reconstruction_error.SAMPLES", 8)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model whose recipe has its own encoder."""
    return saved_model(tmp_path_factory.mktemp("run"), "test-autoencoder")


@pytest.fixture(scope="module")
def run_with_encoder(tmp_path_factory):
    """A model with an encoder, a template and one direction next to it."""
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


# In Python


def test_without_optimization_the_latent_is_the_encoders_mean(run):
    model = facesmith.load(run)
    faces = procedural_pixels(20)
    w = model.invert(faces, optimize=False)
    assert w.shape == (20, 8)
    mean, _ = model.E(to_float(torch.tensor(faces)))
    np.testing.assert_allclose(w, mean, atol=1e-5)


@pytest.mark.parametrize("which", ["run", "run_with_encoder"])
def test_latent_does_not_depend_on_the_batch(which, request):
    model = facesmith.load(request.getfixturevalue(which))
    faces = procedural_pixels(20)
    assert np.array_equal(model.invert(faces, optimize=False)[17:18], model.invert(faces[17:18], optimize=False))
    assert model.invert(faces[:0]).shape == (0, model.G.w_dim)


def test_photo_is_aligned_before_inversion(run_with_encoder):
    model = facesmith.load(run_with_encoder)
    face = locate_face(np.asarray(photo()), TEMPLATE, 16, 3).face
    assert np.array_equal(model.invert(np.asarray(photo()), optimize=False), model.invert(face[None], optimize=False))
    assert np.array_equal(model.invert(face, optimize=False), model.invert(face[None], optimize=False))
    with pytest.raises(BadPicture, match="no face"):
        model.invert(np.asarray(without_face()))
    with pytest.raises(BadPicture, match="shows 1 face"):
        model.invert(np.asarray(photo()), face=2)


def test_optimization_improves_the_reconstruction(run_with_encoder, monkeypatch):
    monkeypatch.setattr("facesmith.inversion.inverter.STEPS", 8)
    model = facesmith.load(run_with_encoder)
    faces = model.sample([5])
    guess, optimized = (model.invert(faces, optimize=each) for each in (False, True))
    assert guess.shape == optimized.shape == (1, model.G.w_dim)
    assert psnr(faces, model.synthesize(optimized)) > psnr(faces, model.synthesize(guess)) + 1


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32), np.zeros((16, 16), np.uint8)]
)
def test_arrays_of_wrong_shape_or_type_are_refused(run, wrong):
    with pytest.raises(BadData, match="expected uint8"):
        facesmith.load(run).invert(wrong)


# The sheet


def test_sheet_shows_each_picture_above_its_reconstruction(run, tmp_path):
    for i, face in enumerate(procedural_pixels(3)):
        write_png(tmp_path / f"{i}.png", face)
    lines = list(
        invert(run, [tmp_path / f"{i}.png" for i in range(3)], tmp_path / "out.png", ENCODER_ONLY, console=QUIET)
    )
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


def test_other_sizes_are_cropped_with_a_notice_and_never_enlarged(tmp_path):
    run = saved_model(tmp_path / "run", "test-autoencoder", channels=1)
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    write_png(tmp_path / "large.png", picture)
    write_png(tmp_path / "small.png", picture[:12])
    (tmp_path / "text.png").write_text("no picture")
    output = io.StringIO()
    names = [tmp_path / name for name in ("large.png", "small.png", "text.png")]
    list(invert(run, names, tmp_path / "out.png", ENCODER_ONLY, console=Console(file=output, width=200)))
    assert "large.png (50x40) cropped to its center, resized to 16x16, converted to gray" in output.getvalue()
    assert "small.png skipped: 50x12, smaller than 16x16" in output.getvalue()
    assert "text.png skipped: not a picture" in output.getvalue()
    shown = read_picture(tmp_path / "out.png")
    fitted = to_gray(resize(center_square(picture), 16)).repeat(3, axis=2)
    assert np.array_equal(shown[:128, :128], enlarge(fitted, 8))
    with pytest.raises(BadData, match="None of the pictures"):
        list(invert(run, names[1:], tmp_path / "none.png", ENCODER_ONLY, console=QUIET))


def test_folders_are_read_up_to_the_limit(run, tmp_path, monkeypatch):
    folder = faces_folder(tmp_path / "faces", 5)
    assert len(list(invert(run, [folder], tmp_path / "out.png", ENCODER_ONLY, console=QUIET))) == 5 + 2
    assert MAX_PICTURES > 100
    monkeypatch.setattr("facesmith.explore.invert.MAX_PICTURES", 4)
    with pytest.raises(BadData, match="more than 4"):
        list(invert(run, [folder], tmp_path / "more.png", ENCODER_ONLY, console=QUIET))


def test_files_that_are_no_pictures_are_counted(run, tmp_path):
    folder = faces_folder(tmp_path / "faces", 1)
    (folder / "notes.txt").write_text("no picture")
    console = Console(file=io.StringIO(), width=200)
    list(invert(run, [folder], tmp_path / "out.png", ENCODER_ONLY, console=console))
    assert "files that are not pictures are ignored (" in console.file.getvalue()
    assert "1 .txt" in console.file.getvalue()


def test_further_pages_are_named(run, tmp_path):
    pages = [Image.fromarray(pixels) for pixels in procedural_pixels(3, 16)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    console = Console(file=io.StringIO(), width=200)
    list(invert(run, [tmp_path / "scan.tif"], tmp_path / "out.png", ENCODER_ONLY, console=console))
    assert "has 3 pages or frames: using the first" in console.file.getvalue()


def test_damaged_picture_does_not_stop_the_others(run, tmp_path):
    Image.fromarray(procedural_pixels(1)[0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:100])
    names = [tmp_path / "bad.png", tmp_path / "good.png"]
    lines = list(invert(run, names, tmp_path / "out.png", ENCODER_ONLY, console=QUIET))
    assert [line.split()[0] for line in lines[:-1]] == ["good.png"]


# Photos


def test_face_is_found_in_a_photo_with_a_notice(run_with_encoder, astronaut, tmp_path):
    two = np.concatenate([np.asarray(portrait())] * 2, axis=1)
    write_png(tmp_path / "two.png", two)
    output, options = io.StringIO(), InvertOptions(optimize=False)
    pictures = [astronaut, tmp_path / "two.png"]
    list(invert(run_with_encoder, pictures, tmp_path / "out.png", options, console=Console(file=output, width=200)))
    assert "two.png (400x200) shows 2 faces: using the largest (--face)" in output.getvalue()
    assert "astronaut.png" not in output.getvalue()
    face = locate_face(np.asarray(photo()), TEMPLATE, 16, 3).face
    assert np.array_equal(read_picture(tmp_path / "out.png")[:128, :128], enlarge(face, 8))


def test_photo_without_a_face_is_refused(run_with_encoder, tmp_path):
    write_png(tmp_path / "field.png", np.asarray(without_face()))
    with pytest.raises(BadData, match=r"None .*field.png: no face found \(in 200x200 pixels\).*--aligned"):
        list(invert(run_with_encoder, [tmp_path / "field.png"], tmp_path / "out.png", console=QUIET))
    assert not (tmp_path / "out.png").exists()


def test_latent_file_records_where_the_face_was(run_with_encoder, astronaut, tmp_path):
    options = InvertOptions(optimize=False, latents=tmp_path / "latents")
    copy = write_png(tmp_path / "copy" / astronaut.name, np.asarray(photo()))
    list(invert(run_with_encoder, [astronaut, copy, astronaut], tmp_path / "out.png", options, console=QUIET))
    model = facesmith.load(run_with_encoder)
    assert sorted(path.name for path in options.latents.iterdir()) == ["astronaut-2.latent", "astronaut.latent"]
    w = load_latent(options.latents / "astronaut.latent", model.G, model.hash)
    np.testing.assert_array_equal(w, model.invert(np.asarray(photo()), optimize=False)[0])
    _, header = load_sidecar(options.latents / "astronaut.latent", "latent", model.hash)
    assert (header["photo"]["height"], header["photo"]["face"], header["optimized"]) == (512, 1, False)
    located = locate_face(np.asarray(photo()), TEMPLATE, 16, 3)
    np.testing.assert_allclose(header["photo"]["matrix"], located.matrix, atol=1e-5)
    lines = list(
        invert(run_with_encoder, [astronaut], tmp_path / "me.latent", InvertOptions(optimize=False), console=QUIET)
    )
    assert lines[-1] == str(tmp_path / "me.latent")
    assert torch.equal(load_latent(tmp_path / "me.latent", model.G, model.hash), w)


def test_edited_face_is_pasted_into_its_photo(run_with_encoder, astronaut, tmp_path):
    options = InvertOptions(optimize=False, edits=("smiling=1",), paste=tmp_path / "pasted.png")
    lines = list(invert(run_with_encoder, [astronaut], tmp_path / "out.png", options, console=QUIET))
    assert lines[-1] == str(tmp_path / "pasted.png")
    pasted = read_picture(tmp_path / "pasted.png")
    assert pasted.shape == (512, 512, 3)
    assert (pasted != np.asarray(photo())).any(2).mean() < 0.1
    with Image.open(tmp_path / "pasted.png") as picture:
        assert "icc_profile" not in picture.info
    metadata = read_provenance(tmp_path / "pasted.png")
    assert (metadata["Synthetic"], metadata["Edits"]) == ("in part", "smiling=1")
    model = facesmith.load(run_with_encoder)
    edited = model.synthesize(model.invert(np.asarray(photo()), optimize=False) + model.directions["smiling"])
    assert np.array_equal(read_picture(tmp_path / "out.png")[256:384, :128], enlarge(edited[0], 8))


# Wrong options


def test_model_without_encoder_is_refused_with_advice(tmp_path):
    run = saved_model(tmp_path / "run")
    with pytest.raises(BadModel, match=r"no encoder.*train-inverter --model .*model\.safetensors --data FACES"):
        list(invert(run, [tmp_path / "any.png"], tmp_path / "out.png", console=QUIET))


def test_encoder_of_another_model_is_refused(run_with_encoder, tmp_path):
    run = saved_model(tmp_path / "run", seed=1)
    (run / "inversion.safetensors").write_bytes((run_with_encoder / "inversion.safetensors").read_bytes())
    with pytest.raises(BadModel, match="another model"):
        facesmith.load(run).invert(procedural_pixels(1))


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("out.jpg", InvertOptions(), r"\.png"),
        ("out.png", InvertOptions(edits=("smiling",)), "can't be read"),
        ("out.png", InvertOptions(edits=("hat=1",)), "no direction 'hat'"),
        ("me.latent", InvertOptions(edits=("smiling=1",)), "without edits"),
        ("out.png", InvertOptions(paste="pasted.jpg"), "--paste"),
    ],
)
def test_wrong_options_are_refused_before_any_picture_is_read(run_with_encoder, tmp_path, out, options, message):
    if options.paste:
        options = InvertOptions(paste=tmp_path / options.paste)
    with pytest.raises(BadOption, match=message):
        list(invert(run_with_encoder, [tmp_path / "absent.png"], tmp_path / out, options, console=QUIET))


def test_photos_to_paste_into_have_a_limit_of_their_own(run_with_encoder, astronaut, tmp_path, monkeypatch):
    monkeypatch.setattr("facesmith.explore.invert.MAX_PASTED_PHOTOS", 1)
    pictures = [astronaut, write_png(tmp_path / "second.png", np.asarray(photo()))]
    pasting = InvertOptions(optimize=False, paste=tmp_path / "pasted")
    with pytest.raises(BadData, match="more than 1 pictures"):
        list(invert(run_with_encoder, pictures, tmp_path / "out.png", pasting, console=QUIET))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["astronaut.png", "second.png"]
    list(invert(run_with_encoder, pictures, tmp_path / "out.png", InvertOptions(optimize=False), console=QUIET))
    assert (tmp_path / "out.png").exists(), "the limit is for --paste only"


def test_one_file_stores_one_face(run_with_encoder, astronaut, tmp_path):
    second = write_png(tmp_path / "second.png", np.asarray(photo()))
    for out, options in (
        ("me.latent", InvertOptions(optimize=False)),
        ("out.png", InvertOptions(optimize=False, paste=tmp_path / "pasted.png")),
    ):
        with pytest.raises(BadOption, match="there are 2"):
            list(invert(run_with_encoder, [astronaut, second], tmp_path / out, options, console=QUIET))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["astronaut.png", "second.png"]
    write_png(tmp_path / "out.png", procedural_pixels(1)[0])
    with pytest.raises(OutputExists):
        list(invert(run_with_encoder, [astronaut], tmp_path / "out.png", console=QUIET))


# Reconstruction error


def test_psnr_is_the_peak_signal_to_noise_ratio():
    black = np.zeros((3, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] += 255
    other[2, ..., 0] += 51  # a fifth of 255, in a third of the values
    np.testing.assert_allclose(psnr(black, other), [np.inf, 0, 10 * np.log10(75)])


def test_errors_are_compared_with_samples_and_the_average_face(run_with_encoder):
    model = facesmith.load(run_with_encoder)
    faces = model.sample([3, 1007])
    same, other = reconstruction_errors(model, faces, model.sample([3, 3]), QUIET)
    assert (same.distance, same.closer_samples, same.best_distance) == (0, 0, 0)
    assert same.verdict() == "closer than all 8 samples"
    assert "psnr_db" not in same.to_values()  # infinite, which JSON doesn't know
    assert 0 < other.best_distance <= other.distance
    assert other.samples == 8


@pytest.mark.parametrize(
    ("distance", "closer", "verdict"),
    [
        (5.0, 0, "closer than all 1,000 samples"),
        (5.0, 3, "closer than the average face, but 3 of 1,000 samples are closer"),
        (12.0, 0, "no closer than the average face"),
    ],
)
def test_verdict_follows_from_the_distances(distance, closer, verdict):
    error = ReconstructionError(20.0, 15.0, distance, 10.0, 6.0, closer)
    assert error.verdict().startswith(verdict)
    assert "20.0 dB (average face 15.0 dB)" in error.summary()


def test_exact_encoder_gives_exact_reconstructions(tmp_path):
    """With the inverse of the generator as its encoder, a model reproduces its own faces."""
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


def test_inversion_without_optimization_runs_the_encoder_once_and_draws_no_face(run_with_encoder):
    model, used = facesmith.load(run_with_encoder), []
    with torch.nn.modules.module.register_module_forward_pre_hook(lambda module, _: used.append(module)):
        model.invert(np.asarray(photo()), optimize=False)
    assert [type(module) for module in used].count(InversionEncoder) == 1
    assert not set(used) & set(model.G.modules())


def test_outputs_of_pictures_with_very_long_names_are_written(run, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        write_png(photos / f"{'a' * 250}{i}.png", procedural_pixels(2)[i])
    write_png(photos / "short.png", procedural_pixels(3)[2])
    options = InvertOptions(aligned=True, optimize=False, latents=tmp_path / "latents")
    list(invert(run, [photos], tmp_path / "out.png", options, console=QUIET))
    names = sorted(path.name for path in (tmp_path / "latents").iterdir())
    assert names == [f"{'a' * 240}-2.latent", f"{'a' * 240}.latent", "short.latent"]


def test_names_that_differ_in_upper_case_only_are_numbered(run, tmp_path):
    """Disks of Windows and macOS take them for the same file."""
    for i, (folder, name) in enumerate((("a", "Face"), ("b", "face"))):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / f"{name}.png", procedural_pixels(2)[i])
    options = InvertOptions(aligned=True, optimize=False, latents=tmp_path / "latents")
    list(invert(run, [tmp_path / "a", tmp_path / "b"], tmp_path / "out.png", options, console=QUIET))
    names = sorted(path.name for path in (tmp_path / "latents").iterdir())
    assert names == ["Face.latent", "face-2.latent"]


def test_damaged_directions_prevent_edits_only(run_with_encoder, tmp_path):
    copy = shutil.copytree(run_with_encoder, tmp_path / "copy")
    sidecar_path(copy / "model.safetensors", "directions").write_bytes(b"damaged")
    write_png(tmp_path / "a.png", procedural_pixels(1)[0])
    list(invert(copy, [tmp_path / "a.png"], tmp_path / "out.png", ENCODER_ONLY, console=QUIET))
    assert (tmp_path / "out.png").exists()
    edited = InvertOptions(aligned=True, optimize=False, edits=("smiling=1",))
    with pytest.raises(BadModel):
        list(invert(copy, [tmp_path / "a.png"], tmp_path / "edited.png", edited, console=QUIET))


def test_output_that_can_not_be_written_does_not_prevent_the_others(run, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i, name in enumerate("abc"):
        write_png(photos / f"{name}.png", procedural_pixels(3)[i])
    save = facesmith.explore.invert.save_latent

    def fail_for_a(file, *rest):
        if file.name == "a.latent":
            raise OSError(28, "No space left on device")
        return save(file, *rest)

    monkeypatch.setattr("facesmith.explore.invert.save_latent", fail_for_a)
    options = InvertOptions(aligned=True, optimize=False, latents=tmp_path / "latents")
    with pytest.raises(FacesmithError, match=r"^A file could not be written; all others were\. .*a\.latent: No space"):
        list(invert(run, [photos], tmp_path / "out.png", options, console=QUIET))
    assert sorted(path.name for path in (tmp_path / "latents").iterdir()) == ["b.latent", "c.latent"]


def test_only_what_was_written_is_named_as_a_result(run, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    write_png(tmp_path / "a.png", procedural_pixels(1)[0])
    monkeypatch.setattr("facesmith.explore.invert.write_picture", fail)
    options = InvertOptions(aligned=True, optimize=False, latents=tmp_path / "latents")
    lines = invert(run, [tmp_path / "a.png"], tmp_path / "out.png", options, console=QUIET)
    assert [next(lines).split()[0], next(lines)] == ["a.png", str(tmp_path / "latents")]
    with pytest.raises(FacesmithError, match=r"^A file could not be written"):
        next(lines)


def test_a_face_is_counted_from_1(run_with_encoder):
    for face in (0, -1):
        with pytest.raises(BadOption, match="the largest face is 1"):
            facesmith.load(run_with_encoder).invert(np.asarray(photo()), face=face)
