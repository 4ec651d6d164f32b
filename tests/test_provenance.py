"""Metadata of synthetic images: the same in PNG and JPEG, for Facesmith and, as XMP and EXIF, for other programs."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from small import QUIET, saved_model

from facesmith.errors import BadOption, BadPicture
from facesmith.explore.sample import sample, sample_like
from facesmith.model import load
from facesmith.pictures.images import grid, read_picture, read_provenance, write_picture
from facesmith.pictures.provenance import SOURCE_TYPES, parse_provenance, seed_metadata, synthetic_metadata, xmp

PIXELS = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
METADATA = synthetic_metadata("dcgan64", "f" * 64, seed_metadata([1, 2], 0.7))
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["png", "jpg", "jpeg", "JPG"]),
    st.dictionaries(st.text("abcXYZ", min_size=1, max_size=20), st.text(max_size=200).filter(lambda s: "\0" not in s)),
)
def test_any_metadata_survives_png_and_jpeg(tmp_path_factory, suffix, entries):
    metadata = {**entries, **METADATA}
    path = write_picture(tmp_path_factory.mktemp("a") / f"a.{suffix}", PIXELS, metadata)
    assert read_provenance(path) == metadata


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("synthetic", ["true", "in part"])
def test_other_programs_can_read_that_an_image_is_synthetic(tmp_path, suffix, synthetic):
    metadata = {**METADATA, "Synthetic": synthetic, "Description": "<tag> & 'quote'"}
    path = write_picture(tmp_path / f"a.{suffix}", PIXELS[..., :1], metadata)
    with Image.open(path) as picture:
        packet = picture.info["xmp"]
        description = ElementTree.fromstring(packet).find(".//{*}Description")
        assert description.get(IPTC) == SOURCE_TYPES[synthetic]
        assert "".join(description.itertext()).strip() == "<tag> & 'quote'"
        if suffix == "jpg":
            assert picture.getexif()[ExifTags.Base.Software] == metadata["Software"]
            assert picture.getexif()[ExifTags.Base.ImageDescription] == metadata["Description"]
    assert SOURCE_TYPES["true"].endswith("/trainedAlgorithmicMedia")


def test_images_that_are_not_synthetic_are_not_marked_so(tmp_path):
    assert xmp({"Software": "facesmith"}) is None
    assert read_provenance(write_picture(tmp_path / "a.jpg", PIXELS, {"Software": "facesmith"})) == {
        "Software": "facesmith"
    }


def test_faces_are_redrawn_from_the_metadata_of_a_jpeg(run, tmp_path):
    (path,) = sample(lambda: load(run), [5, 6, 7], tmp_path / "sheet.jpg", psi=0.8, console=QUIET)
    sheet = grid(load(run).sample([5, 6, 7], 0.8))
    assert np.abs(read_picture(path).astype(int) - sheet).mean() < 4, "JPEG artifacts only"
    (again,) = sample_like(lambda: load(run), path, tmp_path / "again.png", console=QUIET)
    assert np.array_equal(read_picture(again), sheet)


def test_too_many_seeds_for_a_jpeg_are_refused(tmp_path):
    metadata = synthetic_metadata("dcgan64", "f" * 64, seed_metadata(range(10**18, 10**18 + 5000), 1.0))
    with pytest.raises(BadOption, match=r"\.png"):
        write_picture(tmp_path / "a.jpg", PIXELS, metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("comment", [b"", b"by hand", b"[1]", b"[" * 9000, b"\xff\xfe", b'{"Seeds": [1]}'])
def test_comments_of_other_programs_are_ignored(tmp_path, comment):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", comment=comment)
    assert read_provenance(tmp_path / "a.jpg") == {}


@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20), psi=st.floats(0, 1))
def test_seeds_and_psi_survive_the_metadata(seeds, psi):
    origin = parse_provenance(synthetic_metadata("vae64", "a" * 64, seed_metadata(seeds, psi)))
    assert (origin.seeds, origin.psi, origin.model, origin.recipe) == (seeds, psi, "a" * 64, "vae64")


@given(st.dictionaries(st.sampled_from(["Seeds", "Psi", "Model"]), st.text('[]{}0123456789.,-ne" ', max_size=30)))
def test_invalid_metadata_is_ignored(metadata):
    origin = parse_provenance(metadata)
    assert origin is None or (origin.seeds and 0 <= origin.psi <= 1)


def test_names_that_are_not_utf8_are_written_into_pictures(tmp_path):
    metadata = synthetic_metadata("dcgan64", "ab" * 32, {"Terms": "caf\udce9.latent + 3"})
    for name in ("a.png", "a.jpg"):
        path = write_picture(tmp_path / name, np.zeros((8, 8, 3), np.uint8), metadata)
        assert read_provenance(path)["Terms"] == "caf\\udce9.latent + 3"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_a_picture_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(BadPicture, match="can't be read as a picture"):
        read_provenance(tmp_path / "a.png")
