import os
import zipfile

import numpy as np
import pytest
from pictures import portrait, write_video

from facesmith.errors import BadData, BadPicture
from facesmith.photos.sources import count_photos, iterate_photos, open_source, source_fingerprint


@pytest.fixture
def folder(tmp_path):
    """Pictures, and other files as users have them in their folders."""
    root = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "sub/c.webp", ".hidden.jpg", ".cache/d.jpg", "__MACOSX/e.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        portrait().save(root / name, "PNG")
    for name in ("notes.txt", "boxes.csv", "sub/more.TXT", "README"):
        (root / name).write_text("not a picture")
    return root


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


def names(source, every=1):
    return [photo.source for photo in iterate_photos(source, every)]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pictures_are_sorted_by_name(folder, kind, tmp_path):
    source = open_source(folder if kind == "folder" else zipped(folder, tmp_path / "photos.zip"))
    assert names(source) == ["a.PNG", "b.jpg", "sub/c.webp"]
    assert source.ignored == {".txt": 2, ".csv": 1, "no suffix": 1}
    assert count_photos(source, 1) == 3
    for photo in iterate_photos(source, 1):
        np.testing.assert_array_equal(photo.load(), np.asarray(portrait()))
    source.close()


def test_output_folder_is_not_searched(folder):
    assert names(open_source(folder, outside=folder / "sub")) == ["a.PNG", "b.jpg"]


def test_source_may_be_one_picture(folder):
    source = open_source(folder / "b.jpg")
    assert names(source) == ["b.jpg"]
    assert source.name == "b.jpg"


@pytest.mark.parametrize("name", ["absent", "absent.zip", "absent.jpg"])
def test_missing_source_is_an_error(tmp_path, name):
    with pytest.raises(BadData, match="does not exist"):
        open_source(tmp_path / name)


def test_source_without_pictures_is_an_error(folder, tmp_path):
    with pytest.raises(BadData, match=r"no pictures or videos, only: 1 \.csv\."):
        open_source(folder / "boxes.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="only: no files"):
        open_source(tmp_path / "empty")


def test_truncated_zip_is_an_error(folder, tmp_path):
    path = zipped(folder, tmp_path / "photos.zip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadData, match="can't be read as a zip"):
        open_source(path)


def test_damaged_zip_entry_has_a_reason(folder, tmp_path):
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


def test_unsupported_compression_in_a_zip_has_a_reason(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"content")
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\1\2") + 10] = 97  # the method, in the local header and in the directory
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"compressed with WavPack. Unpack it first: 7z x photos\.zip"):
        open_source(path)


def test_bug_in_image_reading_is_not_reported_as_an_encrypted_zip(folder, tmp_path, monkeypatch):
    def broken(content, name):
        raise RuntimeError("a bug")

    monkeypatch.setattr("facesmith.photos.sources.read_picture", broken)
    source = open_source(zipped(folder, tmp_path / "photos.zip"))
    with pytest.raises(RuntimeError, match="a bug"):
        next(iterate_photos(source, 1)).load()
    source.close()


def test_zip_bomb_is_not_unpacked(tmp_path):
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


def test_broken_link_has_a_reason(folder):
    (folder / "z.jpg").symlink_to(folder / "gone.jpg")
    with pytest.raises(BadPicture):
        list(iterate_photos(open_source(folder), 1))[-1].load()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_do_not_block(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert "pipe.jpg" not in names(open_source(folder))


def test_videos_give_every_nth_frame(tmp_path):
    grays = np.arange(0, 250, 10, dtype=np.uint8)  # 25 frames, each of one gray
    write_video(tmp_path / "video.mp4", (np.full((32, 48, 3), gray, np.uint8) for gray in grays))
    source = open_source(tmp_path / "video.mp4")
    photos = list(iterate_photos(source, 10))
    assert [photo.source for photo in photos] == [f"video.mp4#{number:06d}" for number in (0, 10, 20)]
    assert count_photos(source, 10) == 3
    for photo, gray in zip(photos, grays[::10], strict=True):
        pixels = photo.load()
        assert pixels.shape == (32, 48, 3)
        assert abs(float(pixels.mean()) - gray) < 4


def test_videos_among_photos_are_searched(folder):
    write_video(folder / "sub" / "video.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2)
    assert names(open_source(folder))[2:] == ["sub/c.webp", "sub/video.mp4#000000", "sub/video.mp4#000001"]


@pytest.mark.parametrize("keep_bytes", [0, 20, 1500])
def test_damaged_video_has_a_reason(tmp_path, keep_bytes):
    video = write_video(tmp_path / "video.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    video.write_bytes(video.read_bytes()[:keep_bytes])
    (photo,) = iterate_photos(open_source(tmp_path), 1)
    with pytest.raises(BadPicture):
        photo.load()


def test_video_in_a_zip_has_a_reason(tmp_path):
    write_video(tmp_path / "video.mp4", [np.zeros((32, 32, 3), np.uint8)])
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "video.mp4", "video.mp4")
    source = open_source(tmp_path / "photos.zip")
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match="unpack it first"):
        photo.load()
    source.close()


def test_fingerprint_changes_with_the_files(folder):
    before = source_fingerprint(open_source(folder))
    assert source_fingerprint(open_source(folder)) == before
    portrait().save(folder / "new.png")
    assert source_fingerprint(open_source(folder)) != before
