from __future__ import annotations

import errno
import gzip
import io
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facesmith.errors import BadData, BadPicture, FacesmithError, PictureUnavailable
from facesmith.io.file_kinds import kind_of_content
from facesmith.io.messages import printable_name
from facesmith.storage import archives
from facesmith.storage.open_store import open_store
from facesmith.storage.store import kinds_text, sort_by_kind


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def names(path):
    return [file.name for file in open_store(path).files()]


def test_folder_and_its_zip_have_the_same_files(tmp_path):
    files = {"b.txt": "1", "a/c.txt": "2", "a/d/e.txt": "3", "ü.txt": "4"}
    hidden = {".x": "", "a/.y/z.txt": "", "__MACOSX/._b.txt": "", "a/._c.txt": ""}
    for name, content in (files | hidden).items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    archive = zipped(tmp_path / "x.zip", (files | hidden).items())
    assert names(tmp_path / "folder") == names(archive) == sorted(files)
    for path in (tmp_path / "folder", archive):
        assert {name: open_store(path).read(name).decode() for name in files} == files


def test_changed_file_has_another_stamp(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one")
    before = open_store(tmp_path).files()
    assert open_store(tmp_path).files() == before
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert open_store(tmp_path).files() != before
    first = open_store(zipped(tmp_path / "1.zip", [("a", "one")])).files()
    assert first != open_store(zipped(tmp_path / "2.zip", [("a", "two")])).files()


def test_linked_folders_are_listed_once_and_circles_end(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("x")
    faces = tmp_path / "faces"
    (faces / "deep").mkdir(parents=True)
    (faces / "linked").symlink_to(tmp_path / "elsewhere")
    (faces / "again").symlink_to(tmp_path / "elsewhere")
    (faces / "deep" / "circle").symlink_to(faces)
    (faces / "deep" / "b.txt").write_text("y")
    (faces / "self").symlink_to(faces / "self")
    assert names(faces) == ["again/a.txt", "deep/b.txt", "self"]


def test_broken_link_is_listed_and_has_a_reason(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["gone.png"]
    with pytest.raises(BadPicture, match="can't be read: No such file"):
        open_store(tmp_path).read("gone.png")


def test_pipes_devices_and_broken_links_are_ignored_and_counted(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "metadata.csv")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    store = open_store(tmp_path)
    result = sort_by_kind(store)
    assert result.pictures == []
    assert result.ignored == {"pipe or device": 3, "broken link": 1}
    with pytest.raises(BadPicture, match="named pipe"):
        store.read("metadata.csv")


def test_names_that_are_not_utf8_are_read_and_printable(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff\n.txt", "w") as stream:
        stream.write("x")
    (name,) = names(tmp_path)
    assert open_store(tmp_path).read(name) == b"x"
    assert printable_name(name) == "\N{REPLACEMENT CHARACTER}" * 2 + ".txt"


def test_zip_writes_nothing_and_lists_repeated_names_once(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(
            tmp_path / "x.zip", [("../up.txt", "1"), ("/abs.txt", "2"), ("a.txt", "old"), ("a.txt", "new")]
        )
    store = open_store(archive)
    assert [file.name for file in store.files()] == ["../up.txt", "/abs.txt", "a.txt"]
    assert [store.read(file.name) for file in store.files()] == [b"1", b"2", b"new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]


def test_encrypted_zip_is_an_error_that_names_the_command(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a.txt", "secret")])
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1  # the flag in the local header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the directory
    archive.write_bytes(raw)
    with pytest.raises(BadData, match=r"encrypted. Unpack it first: unzip x\.zip"):
        open_store(archive)


def test_zip_bomb_is_not_unpacked(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a.txt", "x")])
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"PK\1\2") + 24
    raw[at : at + 4] = struct.pack("<I", 2**31)
    archive.write_bytes(raw)
    with pytest.raises(BadPicture, match="2048 MiB"):
        open_store(archive).read("a.txt")


def test_path_that_can_not_be_opened_is_an_error(tmp_path):
    with pytest.raises(BadData, match="does not exist"):
        open_store(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadData, match="neither a folder nor a file"):
        open_store(tmp_path / "pipe")
    whole = zipped(tmp_path / "whole.zip", [("a.txt", "x" * 1000)]).read_bytes()
    for name in ("half.zip", "half"):  # the second is recognized by its content
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadData, match=r"cut off.*unpack what is there: 7z x half"):
            open_store(tmp_path / name)


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("hf://datasets/ann/faces", ": hf download ann/faces --repo-type dataset"),
        ("https://huggingface.co/datasets/ann/faces/tree/main", ": hf download ann/faces --repo-type dataset"),
        ("https://example.org/faces.zip", r": curl -LO https://example.org/faces.zip$"),
    ],
)
def test_address_is_an_error_that_names_the_command(address, command):
    with pytest.raises(BadData, match=f"^{address} is an address. Download it first{command}"):
        open_store(Path(address))


def test_archive_is_recognized_by_content_not_by_name(tmp_path):
    for name in ("photos", "photos.jpg", "photos.zip.1"):
        zipped(tmp_path / name, [("a.txt", "one")])
        assert names(tmp_path / name) == ["a.txt"]


def test_single_file_is_a_store_of_one_file(tmp_path):
    (tmp_path / "a.md").write_text("one")
    assert names(tmp_path / "a.md") == ["a.md"]
    assert open_store(tmp_path / "a.md").read("a.md") == b"one"


def picture_bytes(file_format="PNG"):
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "teal").save(stream, file_format)
    return stream.getvalue()


@pytest.mark.parametrize("archived", [False, True])
def test_pictures_are_recognized_by_content_not_by_name(tmp_path, archived):
    pictures = ["IMG_3", "a.jpg_large", "b.jpeg.1", "c.jpg?width=300", "d.txt", "e.mp4", "f.JPEG", "g.png.jpg"]
    files = {name: picture_bytes("JPEG") for name in pictures} | {"h": picture_bytes("AVIF")}
    others = {
        "x.pdf": b"%PDF-1.4",
        "notes.txt": b"hello",
        "y.nef": b"II*\0 raw",
        "z.docx": b"PK\3\4",
        "BM.csv": b"BM,1",
    }
    if archived:
        root = zipped(tmp_path / "photos.zip", (files | others).items())
    else:
        root = tmp_path
        for name, content in (files | others).items():
            (root / name).write_bytes(content)
    result = sort_by_kind(open_store(root))
    assert [file.name for file in result.pictures] == sorted(files)
    assert result.ignored == {
        "PDF: save its pages as pictures first": 1,
        ".txt": 1,
        ".csv": 1,
        ".docx": 1,
        "camera raw (.nef): convert it to JPEG first": 1,
    }


def test_each_linked_file_is_listed_once_by_its_direct_name(tmp_path):
    faces = tmp_path / "faces"
    (faces / "z").mkdir(parents=True)
    (faces / "z" / "real.txt").write_text("x")
    (faces / "a.txt").symlink_to(faces / "z" / "real.txt")
    (faces / "b").symlink_to(faces / "z")
    (tmp_path / "outside.txt").write_text("y")
    (faces / "c.txt").symlink_to(tmp_path / "outside.txt")
    (faces / "d.txt").symlink_to(tmp_path / "outside.txt")
    assert names(faces) == ["c.txt", "z/real.txt"]


def test_files_that_are_called_by_hashes_have_the_names_of_their_links(tmp_path):
    cache = tmp_path / "datasets--ann--faces"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots" / "1" / "img").mkdir(parents=True)
    for blob, link in (("9b74", "img/a.png"), ("12ab", "metadata.csv"), ("77ff", "README")):
        (cache / "blobs" / blob).write_text(blob)
        (cache / "snapshots" / "1" / link).symlink_to(cache / "blobs" / blob)
    assert names(cache) == ["blobs/77ff", "snapshots/1/img/a.png", "snapshots/1/metadata.csv"]
    assert open_store(cache).read("snapshots/1/img/a.png") == b"9b74"


def test_zip_with_backslashes_has_folders(tmp_path):
    files = {r"faces\a.png": "1", r"faces\metadata.csv": "2", r"__MACOSX\._a.png": "3", "faces\\": ""}
    archive = zipped(tmp_path / "x.zip", [])
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo()
            entry.filename = name  # the constructor would change it on Windows
            opened.writestr(entry, content)
    assert names(archive) == ["faces/a.png", "faces/metadata.csv"]
    assert open_store(archive).read("faces/metadata.csv") == b"2"
    assert open_store(archive).head("faces/a.png") == b"1"


def test_zip_that_is_named_like_a_picture_is_read_in_a_folder(tmp_path):
    zipped(tmp_path / "a.jpg", [("b.png", picture_bytes())])
    (tmp_path / "c.jpg").write_bytes(b"not a picture")
    assert [file.name for file in sort_by_kind(open_store(tmp_path)).pictures] == ["a.jpg/b.png", "c.jpg"]


@pytest.mark.parametrize(
    "folder",
    [
        *("@eaDir", "$RECYCLE.BIN", "__MACOSX", ".thumbnails", "System Volume Information", "Network Trash Folder"),
        *("Catalog Previews.lrdata", "My.photoslibrary/resources", "iPhoto Library/Thumbnails"),
    ],
)
def test_system_folders_are_skipped(tmp_path, folder):
    faces = tmp_path / "faces"
    (faces / "class" / folder).mkdir(parents=True)
    (faces / "class" / folder / "a.png").write_bytes(picture_bytes())
    (faces / "class" / "b.png").write_bytes(picture_bytes())
    assert names(faces) == ["class/b.png"]
    archive = zipped(tmp_path / "x.zip", [(f"class/{folder}/a.png", "x"), ("class/b.png", "x"), ("Thumbs.db", "")])
    assert names(archive) == ["class/b.png"]


def test_of_a_photo_library_only_the_originals_are_read(tmp_path):
    library = tmp_path / "Photos Library.photoslibrary"
    for name in ("originals/A/a.jpg", "resources/derivatives/A/a.jpg", "originals/resources/b.jpg"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_bytes(picture_bytes())
    originals = ["originals/A/a.jpg", "originals/resources/b.jpg"]
    assert names(library) == originals
    assert names(tmp_path) == [f"{library.name}/{name}" for name in originals]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.7z", "a.rar", "a.parquet"])
def test_an_empty_archive_file_is_called_empty(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert sort_by_kind(open_store(tmp_path)).ignored == {"empty file": 1}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("'my photos'", "my photos"), ("my photos ", "my photos"), (r"my\ photos", "my photos")),
        *(("My Photos", "my photos"), ("my fotos", "my photos"), ("my photos\\a.png", "my photos/a.png")),
        *(("$PLACE/my photos", "my photos"), ("~/my photos", "my photos")),
    ],
)
def test_the_path_that_was_meant_is_suggested(tmp_path, monkeypatch, typed, meant):
    (tmp_path / "my photos").mkdir()
    (tmp_path / "my photos" / "a.png").write_bytes(picture_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE", ".")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadData, match=rf"does not exist\. .* Did you mean (.*/)?{meant}\?$"):
        open_store(Path(typed))
    with pytest.raises(BadData, match=r"Give a folder or a zip of pictures\.$"):
        open_store(Path("quite another name"))


def tarred(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


FILES = [("b.txt", b"two"), ("a/c.txt", b"three"), ("__MACOSX/x.txt", b"-"), ("b.txt", b"newer"), ("../up.txt", b"up")]


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_tar_is_read_in_place(tmp_path, compression):
    store = open_store(tarred(tmp_path / "faces", FILES, f"w:{compression}"))
    assert {file.name: store.read(file.name) for file in store.files()} == {
        "../up.txt": b"up",
        "a/c.txt": b"three",
        "b.txt": b"newer",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    store.close()


def test_tar_links_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("link.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert names(tmp_path / "x.tar") == []


def test_archives_in_folders_and_archives_are_read_in_place(tmp_path):
    inner = zipped(tmp_path / "inner.zip", [("deep/a.png", "a")])
    tar = tarred(tmp_path / "middle.tgz", [("b.png", b"b"), ("i.zip", inner.read_bytes())], "w:gz")
    folder = tmp_path / "folder"
    folder.mkdir()
    outer = zipped(folder / "outer.zip", [("m.tgz", tar.read_bytes()), ("c.png", "c")])
    (folder / "d.png").write_bytes(b"d")
    expected = {"m.tgz/i.zip/deep/a.png": b"a", "m.tgz/b.png": b"b", "c.png": b"c"}
    store = open_store(outer)
    assert {file.name: store.read(file.name) for file in sort_by_kind(store).pictures} == expected
    store = open_store(folder)
    assert {file.name: store.read(file.name) for file in sort_by_kind(store).pictures} == {
        "d.png": b"d",
        **{f"outer.zip/{name}": content for name, content in expected.items()},
    }
    before = store.files()
    assert open_store(folder).files() == before


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"Rar!\x1a\x07\x01\0", "unrar x x.zip"),
        (b"7z\xbc\xaf'\x1c\0\x04", "7z x x.zip"),
        (b"(\xb5/\xfd....", "tar --zstd -xf x.zip"),
    ],
)
def test_archive_that_can_not_be_read_names_the_command(tmp_path, content, command):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BadData, match=command):
        open_store(tmp_path / "x.zip")
    (tmp_path / "a.png").write_bytes(b"a")
    result = sort_by_kind(open_store(tmp_path))
    assert [file.name for file in result.pictures] == ["a.png"]
    ((reason, count),) = result.ignored.items()
    assert count == 1
    assert command in reason


def test_gzip_without_a_tar_is_an_error(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"text" * 1000))
    with pytest.raises(BadData, match=r"not of a tar. Unpack it first: gunzip a\.gz"):
        open_store(tmp_path / "a.gz")
    assert sort_by_kind(open_store(tmp_path)).ignored == {"gzip file of no tar (unpack it: gunzip)": 1}


@pytest.mark.parametrize(("first", "last"), [("a.z01", "a.zip"), ("a.zip.001", "a.zip.002")])
def test_part_of_a_split_zip_names_the_command(tmp_path, first, last):
    whole = zipped(tmp_path / "whole", [("a.png", random.Random(0).randbytes(900)), ("b.png", b"b")]).read_bytes()
    (tmp_path / first).write_bytes(whole[:500])
    (tmp_path / last).write_bytes(whole[500:])
    for name in (first, last):
        command = "7z x a.zip" if first == "a.z01" else f"7z x {name}"
        with pytest.raises(BadData, match=rf"split zip.*{command}"):
            open_store(tmp_path / name).files()


def test_truncated_tar_is_an_error(tmp_path):
    whole = tarred(tmp_path / "x.tgz", FILES, "w:gz").read_bytes()
    (tmp_path / "x.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="copy or download complete"):
        open_store(tmp_path / "x.tgz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_entry_is_read_only_up_to_its_stated_size(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.writestr("a.txt", bytes(50 * 2**20))
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    directory = raw.index(b"PK\1\2")
    raw[directory + 16 : directory + 20] = struct.pack("<I", zlib.crc32(bytes(1000)))
    raw[directory + 24 : directory + 28] = struct.pack("<I", 1000)
    (tmp_path / "x.zip").write_bytes(raw)
    assert open_store(tmp_path / "x.zip").read("a.txt") == bytes(1000)


def test_archive_that_unpacks_to_suspiciously_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("facesmith.storage.seekable.MIN_UNPACKED_LIMIT", 2**20)
    (tmp_path / "x.tgz").write_bytes(gzip.compress(bytes(20 * 2**20)))
    with pytest.raises(BadData, match="unpacks to more than"):
        open_store(tmp_path / "x.tgz")


def test_any_damage_to_a_tar_gives_only_a_facesmith_error(tmp_path):
    rng = random.Random(0)
    for compression in ("", "gz", "xz"):
        whole = tarred(tmp_path / "x.tar", FILES, f"w:{compression}").read_bytes()
        for _ in range(40):
            raw = bytearray(whole[: rng.randrange(1, len(whole))])
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            (tmp_path / "x.tar").write_bytes(raw)
            with suppress(FacesmithError):  # no other error
                store = open_store(tmp_path / "x.tar")
                for file in store.files():
                    store.read(file.name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_a_zip_gives_only_a_facesmith_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    raw = bytearray(zipped(path, [("a/ü.txt", "one" * 50), ("b.txt", "two" * 50)]).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with suppress(FacesmithError):  # no other error
        store = open_store(path)
        for file in store.files():
            store.read(file.name)


def test_archives_beyond_the_first_kinds_are_counted_as_archives(tmp_path):
    for i in range(8):
        (tmp_path / f"{i}.zip").write_bytes(b"PK\3\4" + bytes(30 + i))
    assert kinds_text(sort_by_kind(open_store(tmp_path)).ignored).endswith("and 3 more archives that can't be read")


def test_a_zip_with_other_data_behind_it_is_not_called_incomplete(tmp_path):
    path = zipped(tmp_path / "a b.zip", [("a.txt", "x")])
    path.write_bytes(path.read_bytes() + bytes(100_000))
    with pytest.raises(BadData, match=r"or other data follows the zip.*7z x 'a b.zip'"):
        open_store(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "a.zip is empty"), (bytes(10240), "can't be read as a zip .File is not a zip file")]
)
def test_a_file_that_is_only_named_zip_is_not_called_cut_off(tmp_path, content, message):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BadData, match=message):
        open_store(tmp_path / "a.zip")


def test_a_file_that_is_only_named_parquet_is_not_called_so(tmp_path):
    (tmp_path / "faces.parquet").write_text('{"error": "not found"}')
    assert sort_by_kind(open_store(tmp_path)).ignored == {"file with the suffix .parquet that is not a Parquet file": 1}


def test_links_to_the_folders_of_the_kernel_are_not_followed(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for target in ("/proc", "/proc/self", "/sys/kernel"):
        (tmp_path / target.replace("/", "_")).symlink_to(target)
    assert names(tmp_path) == ["a.txt"]


def test_files_below_too_deep_folders_are_counted(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"a")
    monkeypatch.chdir(tmp_path)
    for _ in range(21):  # longer than a path may be
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    Path("deep.png").write_bytes(b"a")
    monkeypatch.chdir(tmp_path)
    store = open_store(tmp_path)
    first, second = sort_by_kind(store).pictures
    assert first.name == "a.png"
    with pytest.raises(BadPicture, match="File name too long"):
        store.read(second.name)


def test_kinds_that_are_not_listed_are_counted():
    counts = Counter({f".{i}": 9 - i for i in range(7)})
    assert kinds_text(counts).endswith("5 .4 and 7 of other kinds")


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["写真/顔.jpg", "旅行/IMG_1.jpg", "表示.jpg", "写真a.jpg", "ひらがな 2.jpg"], "cp932"),
        (["写真/顔.jpg", "Müller.jpg"], "utf-8"),
        (["Jörg.jpg", "Müller/süß.jpg"], "cp437"),
        (["Ärger.jpg"], "cp437"),
        (["châle.jpg", "Été/noël.jpg"], "cp437"),
        (["España/niño.jpg"], "cp437"),
        (["Übung/Größe.jpg", "a.jpg"], "cp437"),
        (["Jörg.jpg", "Müller/süß.jpg"], "cp1252"),
        (["März.jpg"], "cp1252"),
        (["ÄRGER.jpg", "Été/noël à la plage.jpg", "cœur.jpg"], "cp1252"),
        (["Málaga/niño.jpg", "García.jpg"], "cp1252"),
        (["São Paulo/mãe.jpg"], "cp1252"),
        (["São Paulo/mãe.jpg", "coração.jpg"], "cp850"),
        (["Jörg.jpg", "Smørrebrød.jpg"], "cp850"),
        (["a.jpg", "b/c.jpg"], "cp437"),
    ],
)
def test_names_in_a_zip_that_states_no_encoding(tmp_path, monkeypatch, names, encoding):
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda self: (self.filename.encode(encoding), 0))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    store = open_store(tmp_path / "a.zip")
    assert [file.name for file in store.files()] == sorted(names)
    assert store.read(names[0]) == b"x"


def test_russian_names_in_an_old_zip_are_not_called_japanese(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda self: (self.filename.encode("cp866"), 0))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("Фото.jpg", b"x")
    (file,) = open_store(tmp_path / "a.zip").files()
    assert file.name == "Фото.jpg".encode("cp866").decode("cp437")


def test_a_japanese_name_with_a_backslash_in_its_bytes_is_one_name(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda self: (self.filename.encode("cp932"), 0))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("日本\\表情.jpg", b"x")  # the second byte of the third character is a backslash
    (file,) = open_store(tmp_path / "a.zip").files()
    assert file.name == "日本/表情.jpg"


def test_a_tar_without_signature_is_recognized_by_its_checksum(tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    old = bytearray(content.getvalue())
    old[257:512] = bytes(255)  # such headers end here
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old[:512])
    (tmp_path / "photos").write_bytes(old)
    assert [file.name for file in open_store(tmp_path / "photos").files()] == ["a.jpg"]
    old[0] += 1
    assert kind_of_content(bytes(old[:512])).name == ""


@pytest.mark.parametrize("leave_folder", [True, False])
def test_a_folder_that_disappears_while_it_is_read_is_an_error(tmp_path, leave_folder):
    (tmp_path / "stick").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "stick" / name).write_bytes(b"x")
    store = open_store(tmp_path / "stick")
    first, second = (file.name for file in store.files())
    assert store.read(first) == b"x"
    (tmp_path / "stick").rename(tmp_path / "away")
    if leave_folder:  # as the empty mount point of a drive
        (tmp_path / "stick").mkdir()
    with pytest.raises(BadData, match="disappeared while it was being read"):
        store.read(second)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_on_a_drive_that_disappears_is_an_error_and_a_bad_sector_is_not(tmp_path, monkeypatch, kind):
    archive = tmp_path / f"photos.{kind}"
    (tmp_path / "a.jpg").write_bytes(b"x" * 1000)
    with zipfile.ZipFile(archive, "w") if kind == "zip" else tarfile.open(archive, "w") as writer:
        add = writer.write if kind == "zip" else writer.add
        add(tmp_path / "a.jpg", "a.jpg")
    store = open_store(archive)

    def failing(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", failing)
    monkeypatch.setattr(archives, "read_at", failing)
    with pytest.raises(PictureUnavailable, match="can't be read: Input/output error"):
        store.read("a.jpg")
    archive.rename(tmp_path / "away")
    with pytest.raises(BadData, match="disappeared while it was being read"):
        store.read("a.jpg")


def test_one_file_that_disappears_is_only_a_bad_picture(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    store = open_store(tmp_path)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(BadPicture, match="No such file"):
        store.read("a.jpg")


def test_photos_that_are_still_in_icloud_are_counted(tmp_path):
    for name in (".IMG_1.HEIC.icloud", ".hidden", "a.jpg"):
        (tmp_path / name).write_bytes(b"bplist00")
    assert sort_by_kind(open_store(tmp_path)).ignored == {"photo still in iCloud (download it first)": 1}


def test_an_address_of_a_local_folder_is_this_folder(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    assert names(Path(folder.as_uri())) == ["a.jpg"]
    with pytest.raises(BadData, match="does not exist"):
        open_store(Path((tmp_path / "other").as_uri()))
