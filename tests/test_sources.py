import os
import struct
import tarfile
import zipfile
from pathlib import Path

import av
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


def test_output_folder_is_not_searched_whatever_it_is_called(folder, monkeypatch):
    monkeypatch.setattr("facesmith.storage.store.real_path", Path.absolute)  # as on a disk that ignores case
    (folder.parent / "SUB").symlink_to(folder / "sub")
    assert names(open_source(folder, outside=folder.parent / "SUB")) == ["a.PNG", "b.jpg"]


def test_source_may_be_one_picture(folder):
    source = open_source(folder / "b.jpg")
    assert names(source) == ["b.jpg"]
    assert source.name == "b.jpg"


@pytest.mark.parametrize("name", ["absent", "absent.zip", "absent.jpg"])
def test_missing_source_is_an_error(tmp_path, name):
    with pytest.raises(BadData, match="does not exist"):
        open_source(tmp_path / name)


def test_source_without_pictures_is_an_error(folder, tmp_path):
    with pytest.raises(BadData, match=r"no pictures or videos \(1 \.csv\)\."):
        open_source(folder / "boxes.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"videos \(no files\)"):
        open_source(tmp_path / "empty")


def test_truncated_zip_is_an_error(folder, tmp_path):
    path = zipped(folder, tmp_path / "photos.zip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadData, match=r"cut off.*7z x photos\.zip"):
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

    monkeypatch.setattr("facesmith.photos.sources.read_first_picture", broken)
    source = open_source(zipped(folder, tmp_path / "photos.zip"))
    with pytest.raises(RuntimeError, match="a bug"):
        next(iterate_photos(source, 1)).load()
    source.close()


def test_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**20))
    content = bytearray(path.read_bytes())
    size = content.index(b"PK\1\2") + 24  # in the directory
    content[size : size + 4] = struct.pack("<I", 257 * 2**20)
    path.write_bytes(content)
    source = open_source(path)
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


@pytest.mark.parametrize(("pixel_shape", "width"), [("1/1", 48), ("4/3", 64), ("8/9", 43)])
def test_frames_of_a_video_are_as_wide_as_they_are_shown(tmp_path, pixel_shape, width):
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, 24:] = 255
    write_video(tmp_path / "dvd.mp4", [frame], pixel_shape)
    (photo,) = iterate_photos(open_source(tmp_path), 1)
    pixels = photo.load()
    assert pixels.shape == (32, width, 3)
    assert [pixels[16, width // 4, 0] < 20, pixels[16, 3 * width // 4, 0] > 235] == [True, True]


def test_a_video_whose_drive_disappears_is_an_error(tmp_path):
    video = tmp_path / "stick" / "video.mp4"
    video.parent.mkdir()
    write_video(video, [np.zeros((32, 48, 3), np.uint8)] * 3)
    source = open_source(video.parent)
    video.parent.rename(tmp_path / "away")
    with pytest.raises(BadData, match="disappeared while it was being read"):
        next(iterate_photos(source, 1))


def test_videos_among_photos_are_searched(folder):
    write_video(folder / "sub" / "video.mp4", [np.zeros((32, 32, 3), np.uint8)] * 2)
    assert names(open_source(folder))[2:] == ["sub/c.webp", "sub/video.mp4#000000", "sub/video.mp4#000001"]


@pytest.mark.parametrize("name", ["00000.MTS", "clip.ts", "VTS_01_1.VOB"])
def test_videos_of_camcorders_and_dvds_are_searched(tmp_path, name):
    formats = {
        "00000.MTS": ("mpegts", {"mpegts_m2ts_mode": "1"}),
        "clip.ts": ("mpegts", {}),
        "VTS_01_1.VOB": ("vob", {}),
    }
    container_format, options = formats[name]
    with av.open(str(tmp_path / name), "w", format=container_format, container_options=options) as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for packet in (*video.encode(av.VideoFrame(64, 48, "yuv420p")), *video.encode()):
            container.mux(packet)
    (tmp_path / "main.ts").write_text("Get the face();\n" * 99)
    source = open_source(tmp_path)
    assert [photo.load().shape for photo in iterate_photos(source, 1)] == [(48, 64, 3)]
    assert source.ignored == {".ts": 1}


@pytest.mark.parametrize("keep_bytes", [0, 20, 1500])
def test_damaged_video_has_a_reason(tmp_path, keep_bytes):
    video = write_video(tmp_path / "video.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    video.write_bytes(video.read_bytes()[:keep_bytes])
    (photo,) = iterate_photos(open_source(tmp_path), 1)
    with pytest.raises(BadPicture):
        photo.load()


ARCHIVES = ["stored.zip", "deflated.zip", "x.tar", "x.tar.gz", "outer.zip/stored.zip", "outer.zip/x.tar.gz"]


def archived(name, files, folder):
    """An archive of files; `outer.zip/stored.zip` is an archive in another one."""
    outer, _, inner = name.rpartition("/")
    path = folder / inner
    if ".tar" in inner:
        with tarfile.open(path, "w:gz" if inner.endswith("gz") else "w") as archive:
            for file in files:
                archive.add(file, file.name)
    else:
        method = zipfile.ZIP_STORED if "stored" in inner else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in files:
                archive.write(file, file.name)
    return archived(outer, [path], folder) if outer else path


@pytest.mark.parametrize("archive", ARCHIVES)
def test_videos_in_archives_give_the_same_frames(tmp_path, archive):
    frames = [np.full((32, 48, 3), gray, np.uint8) for gray in range(0, 250, 25)]
    videos = [write_video(tmp_path / f"{i}.mp4", frames[i:]) for i in range(2)]
    source = open_source(archived(archive, videos, tmp_path))
    photos = [photo for path in videos for photo in iterate_photos(open_source(path), 4)]
    from_archive = list(iterate_photos(source, 4))
    assert [photo.source.rpartition("/")[2] for photo in from_archive] == [photo.source for photo in photos]
    for photo, expected in zip(from_archive, photos, strict=True):
        np.testing.assert_array_equal(photo.load(), expected.load())
    assert count_photos(source, 4) is None
    source.close()


@pytest.mark.parametrize("archive", ["stored.zip", "deflated.zip", "x.tar.gz"])
@pytest.mark.parametrize("keep_bytes", [1, 20, 1500])
def test_damaged_video_in_an_archive_has_a_reason(tmp_path, archive, keep_bytes):
    video = write_video(tmp_path / "video.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    video.write_bytes(video.read_bytes()[:keep_bytes])
    source = open_source(archived(archive, [video], tmp_path))
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match="damaged video"):
        photo.load()
    source.close()


@pytest.mark.parametrize("archive", [None, "stored.zip", "x.tar.gz"])
def test_an_empty_video_is_called_empty(tmp_path, archive):
    video = tmp_path / "video.mp4"
    video.write_bytes(b"")
    source = open_source(archived(archive, [video], tmp_path) if archive else tmp_path)
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match=r"^empty file$"):
        photo.load()
    source.close()


def test_damaged_entry_of_a_video_has_a_reason(tmp_path):
    video = write_video(tmp_path / "video.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20)
    path = archived("deflated.zip", [video], tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    source = open_source(path)
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match="damaged in the zip"):
        photo.load()
    source.close()


def test_full_disk_is_no_damage_of_a_video(tmp_path, monkeypatch):
    video = write_video(tmp_path / "video.mp4", [np.zeros((32, 32, 3), np.uint8)])
    source = open_source(archived("deflated.zip", [video], tmp_path))
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr("facesmith.storage.seekable.tempfile.TemporaryFile", lambda: full)
        (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match=r"can't be unpacked to .* \(No space left on device\); set TMPDIR"):
        photo.load()
    source.close()


def test_playlist_named_like_a_video_opens_no_other_file(tmp_path):
    write_video(tmp_path / "secret.mp4", [np.zeros((32, 32, 3), np.uint8)])
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    (photo,) = iterate_photos(open_source(tmp_path / "list.mp4"), 1)
    with pytest.raises(BadPicture, match="damaged video"):
        photo.load()


@pytest.mark.skipif(os.name == "nt", reason="this system allows no colon in a name")
@pytest.mark.parametrize("name", ["2024-05-01T12:30:00.mp4", "pipe:0.mp4", "http:host.mp4"])
def test_a_video_whose_name_looks_like_an_address_is_read_as_a_file(tmp_path, monkeypatch, name):
    write_video(tmp_path / "video.mp4", [np.zeros((32, 48, 3), np.uint8)] * 2).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    source = open_source(Path(name))
    assert [photo.load().shape for photo in iterate_photos(source, 1)] == [(32, 48, 3)] * 2
    assert count_photos(source, 1) == 2


def test_fingerprint_changes_with_the_files(folder):
    before = source_fingerprint(open_source(folder))
    assert source_fingerprint(open_source(folder)) == before
    portrait().save(folder / "new.png")
    assert source_fingerprint(open_source(folder)) != before
