"""Everything that Facesmith writes is recognized by `facesmith detect`, and signed by all its verbs on request."""

from __future__ import annotations

import io
import json
import os
import zipfile

import av
import c2pa
import numpy as np
import pytest
from certificates import write_chain
from PIL import Image
from small import QUIET, faces_folder
from typer.testing import CliRunner

import facesmith
from facesmith.cli import app
from facesmith.cli.shared import read_watermark_key
from facesmith.errors import BadData
from facesmith.explore.detect_marks import detect
from facesmith.modelfiles.run_folder import SHEETS
from facesmith.pictures.images import grid, read_picture, read_provenance, write_png
from facesmith.pictures.video import write_film
from facesmith.watermark.embed import watermarked

skimage = pytest.importorskip("skimage", reason="its astronaut is the photo with a face")

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4", ".gif": "image/gif"}
VERBS = {
    "sample": ("sample --seeds 0-3", "a.png"),
    "sample as JPEG": ("sample --seeds 0-3", "a.jpg"),
    "sample enlarged": ("sample --seeds 0-1 --scale 3 --filter bicubic", "a.png"),
    "walk": ("walk --seeds 1,2 --seconds 0.2", "a.mp4"),
    "walk as GIF": ("walk --seeds 1,2 --seconds 0.2 --scale 2", "a.gif"),
    "mix": ("mix 29-3+34", "a.png"),
    "edit": ("edit --seeds 1 --edit smiling=1", "a.png"),
    "invert": ("invert PHOTO --quick", "a.png"),
    "compare": ("compare bundled --seeds 1-3", "comparison/samples.png"),
    "directions": ("directions --method sefa", "found/directions.png"),
    "film": ("film RUN", "a.mp4"),
}


@pytest.fixture(autouse=True, scope="module")
def few_samples():
    """Compare reconstructions with few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facesmith.explore.reconstruction_error.SAMPLES", 8)
        yield


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return write_png(tmp_path_factory.mktemp("photo") / "photo.png", skimage.data.astronaut())


def run(command, *words):
    result = CliRunner().invoke(app, ["--quiet", *command.split(), *map(str, words)])
    assert result.exit_code == 0, result.output
    return result


def picture_in(path):
    """The pixels of a picture, or of the first frame of a film."""
    if path.suffix != ".mp4":
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    with av.open(str(path)) as film:
        return next(film.decode(video=0)).to_ndarray(format="rgb24")


def verdict(path):
    _, detection = next(iter(detect([path], QUIET)))
    return detection


@pytest.mark.parametrize(("command", "name"), VERBS.values(), ids=VERBS)
def test_what_a_verb_writes_is_detected_and_can_be_signed(command, name, photo, tmp_path):
    chain, key, authority = write_chain(tmp_path)
    out = tmp_path / name
    (tmp_path / "run" / SHEETS).mkdir(parents=True)
    faces = facesmith.load().sample(range(4), watermark=True)
    write_png(tmp_path / "run" / SHEETS / "000001000.png", grid(faces), {"Watermark": "yes"})
    command = command.replace("PHOTO", str(photo)).replace("RUN", str(tmp_path / "run"))
    given = out if out.parent == tmp_path else out.parent  # some verbs write a folder
    run(command, "--out", given, "--sign", chain, "--key", key)
    assert facesmith.detect(picture_in(out)).significant
    with (
        c2pa.Settings.from_dict({"trust": {"trust_anchors": authority}, "verify": {"verify_trust": True}}) as settings,
        c2pa.Context(settings) as context,
        c2pa.Reader(MEDIA_TYPES[out.suffix], io.BytesIO(out.read_bytes()), context=context) as reader,
    ):
        assert json.loads(reader.json())["validation_state"] == "Trusted"
    found = verdict(out)
    assert found.metadata["Watermark"] == "yes"
    assert found.summary().startswith("watermark: yes")
    assert "metadata: generated" in found.summary()
    assert found.summary().endswith("generated, signed by signer, intact")


@pytest.mark.parametrize("verb", ["sample", "mix", "compare", pytest.param("directions", marks=pytest.mark.slow)])
def test_an_own_key_marks_what_a_verb_writes_besides_the_public_one(verb, tmp_path):
    command, name = VERBS[verb]
    out, secret = tmp_path / name, tmp_path / "secret.txt"
    secret.write_text("a long secret sentence")
    run(command, "--out", out if out.parent == tmp_path else out.parent, "--watermark-key", secret)
    _, found = next(iter(detect([out], QUIET, read_watermark_key(secret))))
    assert found.watermark.significant
    assert found.own.significant


def test_compare_can_leave_the_watermark_out(tmp_path):
    command, name = VERBS["compare"]
    run(command, "--out", (tmp_path / name).parent, "--no-watermark")
    assert not facesmith.detect(picture_in(tmp_path / name)).significant
    assert read_provenance(tmp_path / name)["Watermark"] == "no"


def test_pictures_of_one_name_in_several_places_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_png(tmp_path / folder / "face.png", np.zeros((64, 64, 3), np.uint8))
    paths = [tmp_path / "a" / "face.png", tmp_path / "b"]
    assert [name for name, _ in detect(paths, QUIET)] == [str(tmp_path / folder / "face.png") for folder in ("a", "b")]
    assert [name for name, _ in detect(paths[1:], QUIET)] == ["face.png"]


def test_a_face_pasted_into_a_photo_is_detected(photo, tmp_path):
    run(f"invert {photo} --quick --out {tmp_path / 'sheet.png'} --paste {tmp_path / 'pasted.png'}")
    pasted = read_picture(tmp_path / "pasted.png")
    assert facesmith.detect(pasted).significant
    content = io.BytesIO()
    Image.fromarray(pasted).save(content, "JPEG", quality=85)
    assert facesmith.detect(np.asarray(Image.open(content))).significant


def test_without_the_option_pictures_are_marked_and_with_it_they_say_so(tmp_path):
    result = run("sample --seeds 5 --no-watermark --out", tmp_path / "plain")
    assert result.exit_code == 0
    run("sample --seeds 5 --out", tmp_path / "marked")
    plain, marked = (read_picture(tmp_path / name / "seed000005.png") for name in ("plain", "marked"))
    model = facesmith.load()
    assert np.array_equal(plain, model.sample([5])[0])
    assert np.array_equal(marked, watermarked(model.sample([5]))[0])
    assert np.array_equal(marked, model.sample([5], watermark=True)[0])
    assert np.array_equal(marked, model.synthesize(model.latents([5]), watermark=True)[0])
    assert read_provenance(tmp_path / "plain" / "seed000005.png")["Watermark"] == "no"
    assert "no watermark" not in verdict(tmp_path / "plain").summary()
    notice = CliRunner().invoke(app, ["sample", "--seeds", "5", "--no-watermark", "--out", str(tmp_path / "b.png")])
    assert "can't be recognized as generated" in notice.output


def test_both_the_public_and_the_own_key_find_the_watermark(tmp_path):
    secret, other = tmp_path / "secret.txt", tmp_path / "other.txt"
    secret.write_text("correct horse battery staple\n")
    other.write_text("another secret")
    run("sample --seeds 4", "--out", tmp_path / "a.png", "--watermark-key", secret)
    face = read_picture(tmp_path / "a.png")
    assert facesmith.detect(face).significant
    text = run("detect", tmp_path / "a.png", "--watermark-key", secret).output
    assert "watermark: yes" in text
    assert "own watermark: yes" in text
    assert "own watermark: no" in run("detect", tmp_path / "a.png", "--watermark-key", other).output
    assert "own watermark" not in run("detect", tmp_path / "a.png").output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--watermark-key NONE", "can't be read"),
        ("--watermark-key EMPTY", "is empty"),
        ("--watermark-key . --no-watermark", "one of them"),
    ],
)
def test_keys_that_can_not_be_used_are_refused(tmp_path, options, message):
    (tmp_path / "empty").write_text(" \n")
    options = options.replace("NONE", str(tmp_path / "none")).replace("EMPTY", str(tmp_path / "empty"))
    result = CliRunner().invoke(app, ["sample", "--out", str(tmp_path / "a.png"), *options.split()])
    assert message in str(result.exception)
    assert not (tmp_path / "a.png").exists()


def test_samples_of_a_training_are_marked(tmp_path):
    faces = faces_folder(tmp_path / "faces", 24, 32)
    run(f"train dcgan32 --data {faces} --out {tmp_path / 'run'} --kimg 0.01")
    assert facesmith.detect(read_picture(tmp_path / "run" / "samples.png")).significant


def test_claims_that_do_not_agree_are_named(tmp_path):
    model = facesmith.load()
    face = model.sample([5])[0]
    write_png(tmp_path / "a.png", face, model.provenance({"Watermark": "yes"}))
    assert "They don't agree: the watermark was destroyed" in verdict(tmp_path / "a.png").summary()
    write_png(tmp_path / "b.png", watermarked(face[None])[0], model.provenance({"Watermark": "no"}))
    assert "They don't agree: the metadata says that there is no" in verdict(tmp_path / "b.png").summary()
    write_png(tmp_path / "c.png", watermarked(face[None])[0])
    assert verdict(tmp_path / "c.png").summary().endswith("metadata: none")


def test_altered_credentials_are_named(tmp_path):
    chain, key, _ = write_chain(tmp_path)
    run("sample --seeds 0 --out", tmp_path / "a.png", "--sign", chain, "--key", key)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[-60] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadData, match="None of the pictures can be read"):
        list(detect([tmp_path / "a.png"], QUIET))
    run("sample --seeds 0 --out", tmp_path / "a.jpg", "--sign", chain, "--key", key)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    content[-60] ^= 1
    (tmp_path / "a.jpg").write_bytes(content)
    assert "ALTERED" in verdict(tmp_path / "a.jpg").summary()


def test_every_frame_of_a_film_has_what_the_film_says(tmp_path):
    model = facesmith.load()
    faces = watermarked(model.sample(range(2)))
    for suffix in (".mp4", ".gif"):
        write_film(tmp_path / f"a{suffix}", [*faces] * 15, 25, model.provenance({"Watermark": "no"}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.mp4", "a.mp4")
    (tmp_path / "a.mp4").unlink()
    found = dict(detect([tmp_path / "a.gif", tmp_path / "a.zip"], QUIET))
    names = [name.removeprefix(f"{tmp_path}{os.sep}") for name in found]
    assert names == ["a.gif", "a.zip/a.mp4#000000", "a.zip/a.mp4#000025"]
    for detection in found.values():
        assert f"metadata: generated by model {model.hash[:12]}" in detection.summary()
        assert "They don't agree: the metadata says that there is no" in detection.summary()


def test_metadata_can_not_control_the_terminal(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8), {"Synthetic": "true", "Model": "\x1b[31mred"})
    result = run("detect", tmp_path / "a.png")
    assert "\x1b" not in result.output
    assert "a.png  watermark: no" in result.output


def test_folders_are_read_and_pictures_that_can_not_be_read_are_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    write_png(tmp_path / "flat.png", np.full((40, 30, 3), 9, np.uint8))
    result = CliRunner().invoke(app, ["detect", str(tmp_path)])
    assert result.exit_code == 0
    assert "broken.png skipped" in result.output
    assert "flat.png  watermark: no" in result.output
