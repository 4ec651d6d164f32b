import os
import zipfile

import numpy as np
import pytest
from pictures import portrait, write_film

from facesmith.errors import BadData, BadPicture
from facesmith.photos.sources import count_photos, iterate_photos, open_source, source_fingerprint


@pytest.fixture
def folder(tmp_path):
    """Pictures, and what else lies about in people's folders."""
    root = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "sub/c.webp", ".hidden.jpg", ".cache/d.jpg", "__MACOSX/e.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        portrait().save(root / name, "PNG")
    for name in ("notes.txt", "boxes.csv", "sub/more.TXT", "README"):
        (root / name).write_text("no picture")
    return root


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


def names(source, every=1):
    return [photo.source for photo in iterate_photos(source, every)]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pictures_come_in_the_order_of_their_names(folder, kind, tmp_path):
    source = open_source(folder if kind == "folder" else zipped(folder, tmp_path / "photos.zip"))
    assert names(source) == ["a.PNG", "b.jpg", "sub/c.webp"]
    assert source.ignored == {".txt": 2, ".csv": 1, "without ending": 1}
    assert count_photos(source, 1) == 3
    for photo in iterate_photos(source, 1):
        np.testing.assert_array_equal(photo.load(), np.asarray(portrait()))
    source.close()


def test_the_output_is_no_input(folder):
    assert names(open_source(folder, outside=folder / "sub")) == ["a.PNG", "b.jpg"]


def test_one_picture_is_enough(folder):
    source = open_source(folder / "b.jpg")
    assert names(source) == ["b.jpg"]
    assert source.name == "b.jpg"


@pytest.mark.parametrize("name", ["absent", "absent.zip", "absent.jpg"])
def test_what_is_absent_is_told(tmp_path, name):
    with pytest.raises(BadData, match="does not exist"):
        open_source(tmp_path / name)


def test_nothing_to_look_at_is_told(folder, tmp_path):
    with pytest.raises(BadData, match=r"no pictures and no films \(1 .csv\)"):
        open_source(folder / "boxes.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no files at all"):
        open_source(tmp_path / "empty")


def test_a_broken_zip_is_told(folder, tmp_path):
    path = zipped(folder, tmp_path / "photos.zip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadData, match="no readable zip"):
        open_source(path)


def test_broken_entries_of_a_zip_have_a_reason(folder, tmp_path):
    path = zipped(folder, tmp_path / "photos.zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("b.jpg").header_offset + 5_000] ^= 0xFF
    path.write_bytes(content)
    source = open_source(path)
    _, damaged, whole = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match="damaged in the zip"):
        damaged.load()
    assert whole.load().shape == (200, 200, 3)
    source.close()


def test_entries_that_unpack_to_too_much_are_not_read(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.png", "w") as entry,
    ):
        for _ in range(257):
            entry.write(bytes(2**20))
    source = open_source(tmp_path / "bomb.zip")
    with pytest.raises(BadPicture, match="file of 257 MiB"):
        next(iterate_photos(source, 1)).load()
    source.close()


def test_links_that_lead_nowhere_have_a_reason(folder):
    (folder / "z.jpg").symlink_to(folder / "gone.jpg")
    with pytest.raises(BadPicture):
        list(iterate_photos(open_source(folder), 1))[-1].load()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_do_not_block(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert "pipe.jpg" not in names(open_source(folder))


def test_films_give_every_nth_frame(tmp_path):
    colours = np.arange(0, 250, 10, dtype=np.uint8)  # 25 frames, each of one grey
    write_film(tmp_path / "film.mp4", (np.full((32, 48, 3), colour, np.uint8) for colour in colours))
    source = open_source(tmp_path / "film.mp4")
    photos = list(iterate_photos(source, 10))
    assert [photo.source for photo in photos] == [f"film.mp4#{number:06d}" for number in (0, 10, 20)]
    assert count_photos(source, 10) == 3
    for photo, colour in zip(photos, colours[::10], strict=True):
        pixels = photo.load()
        assert pixels.shape == (32, 48, 3)
        assert abs(float(pixels.mean()) - colour) < 4


def test_films_among_photos_are_looked_at(folder):
    write_film(folder / "sub" / "film.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2)
    assert names(open_source(folder))[2:] == ["sub/c.webp", "sub/film.mp4#000000", "sub/film.mp4#000001"]


@pytest.mark.parametrize("keep_bytes", [0, 20, 1500])
def test_damaged_films_have_a_reason(tmp_path, keep_bytes):
    film = write_film(tmp_path / "film.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    film.write_bytes(film.read_bytes()[:keep_bytes])
    (photo,) = iterate_photos(open_source(tmp_path), 1)
    with pytest.raises(BadPicture):
        photo.load()


def test_films_in_zips_have_a_reason(tmp_path):
    write_film(tmp_path / "film.mp4", [np.zeros((32, 32, 3), np.uint8)])
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "film.mp4", "film.mp4")
    source = open_source(tmp_path / "photos.zip")
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match="unpack it first"):
        photo.load()
    source.close()


def test_the_fingerprint_tells_of_changes(folder):
    before = source_fingerprint(open_source(folder))
    assert source_fingerprint(open_source(folder)) == before
    portrait().save(folder / "new.png")
    assert source_fingerprint(open_source(folder)) != before
