"""Photos at addresses, read by fsspec, and in text files that list paths."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from pictures import different_faces, write_video
from small import QUIET
from test_shards import content, rows, run_here

from facesmith.errors import BadData, BadPicture, FacesmithError, MissingExtra
from facesmith.explore.detect_marks import detect
from facesmith.io.file_kinds import HEAD_BYTES
from facesmith.photos import extract as extract_module
from facesmith.photos.extract import extract
from facesmith.photos.sources import iterate_photos, open_source
from facesmith.storage import addresses
from facesmith.storage.open_store import open_store
from facesmith.storage.store import sort_by_kind


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return different_faces(tmp_path_factory.mktemp("many") / "photos", 3)


@pytest.fixture
def bucket(photos):
    """A file system in memory with the photos, a zip of them, and other files."""
    memory = fsspec.filesystem("memory")
    memory.rm("/", recursive=True) if memory.ls("/") else None
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in photos.iterdir():
            memory.pipe(f"/bucket/a/{path.name}", path.read_bytes())
            archive.write(path, path.name)
    memory.pipe("/bucket/photos.zip", packed.getvalue())
    memory.pipe("/bucket/notes.md", b"notes")
    memory.pipe("/bucket/.hidden/x.png", b"")
    yield memory
    memory.rm("/bucket", recursive=True)


def test_a_folder_at_an_address_is_read_like_one_on_the_disk(bucket, photos):
    store = open_store(Path("memory://bucket"))
    files = sort_by_kind(store)
    names = [path.name for path in sorted(photos.iterdir())]
    assert [f.name for f in files.pictures] == [*(f"a/{n}" for n in names), *(f"photos.zip/{n}" for n in names)]
    assert files.ignored == {".md": 1}
    assert store.read("a/000.png") == store.read("photos.zip/000.png") == (photos / "000.png").read_bytes()
    with pytest.raises(BadPicture, match="no such file"):
        store.read("a/gone.png")


@pytest.mark.parametrize(("address", "count"), [("memory://bucket/photos.zip", 3), ("memory://bucket/a/001.png", 1)])
def test_an_archive_or_a_picture_at_an_address(bucket, photos, address, count):
    source = open_source(Path(address))
    assert len(source.files) == count
    assert source.read(source.files[-1]).pixels.shape == (200, 200, 3)
    assert source.name == address.rpartition("/")[2]


def test_shards_of_photos_at_an_address_equal_those_of_the_folder(bucket, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    extract(photos, tmp_path / "folder", shards=2, console=QUIET)
    extract(Path("memory://bucket/a"), tmp_path / "bucket", shards=2, console=QUIET)
    tars = [name for name in content(tmp_path / "folder") if name.endswith(".tar")]
    assert len(tars) == 2
    assert all(content(tmp_path / "folder")[name] == content(tmp_path / "bucket")[name] for name in tars)


def test_photos_at_an_address_are_read_several_at_a_time(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    read, together = type(bucket).cat_file, threading.Barrier(3, timeout=20)

    def reading(file_system, path, **options):
        if options["end"] > HEAD_BYTES:
            together.wait()
        return read(file_system, path, **options)

    monkeypatch.setattr(type(bucket), "cat_file", reading)
    report = extract(Path("memory://bucket/a"), tmp_path / "out", shards=3, console=QUIET)
    assert report.faces == 3


def test_an_address_that_does_not_exist_is_an_error(bucket):
    with pytest.raises(BadData, match=r"^memory://bucket/gone does not exist"):
        open_store(Path("memory://bucket/gone"))
    with pytest.raises(BadData, match=r"^warp://x can't be used: "):
        open_store(Path("warp://x"))


def test_a_message_shows_an_address_as_typed(bucket):
    bucket.pipe("/bucket/empty/notes.md", b"notes")
    with pytest.raises(BadData, match=r"^memory://bucket/empty contains no pictures or videos \(1 \.md\)"):
        open_source(Path("memory://bucket/empty"))


def test_a_server_that_does_not_answer_is_an_error_of_one_line(monkeypatch):
    def refused(address):
        raise OSError("Authentication failed")

    monkeypatch.setattr("fsspec.core.url_to_fs", refused)
    with pytest.raises(FacesmithError, match=r"^sftp://nas/photos can't be reached: Authentication failed"):
        open_store(Path("sftp://nas/photos"))


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtra, match=r"^s3://bucket/photos needs another package. Install s3fs"):
        open_store(Path("s3://bucket/photos"))


def test_a_fault_of_the_network_is_tried_again_and_never_counts_as_a_damaged_photo(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(addresses.time, "sleep", lambda _: None)
    read, failures = type(bucket).cat_file, [1, 1, 0, 1, 1, 1]

    def failing(file_system, path, **options):
        if options["end"] > HEAD_BYTES and failures.pop(0):
            raise ConnectionResetError("reset by peer")
        return read(file_system, path, **options)

    monkeypatch.setattr(type(bucket), "cat_file", failing)
    assert open_store(Path("memory://bucket")).read("a/000.png")
    with pytest.raises(FacesmithError, match=r"000.png can't be reached: reset by peer. Check the network"):
        extract(Path("memory://bucket/a"), tmp_path / "out", workers=1, console=QUIET)


class CutOff(io.BytesIO):
    """A file whose connection is lost after some bytes; before it is opened if they are negative."""

    limit_bytes = 2**30

    def read(self, size=-1):
        if self.tell() >= self.limit_bytes:
            raise ConnectionResetError("reset by peer")
        return super().read(size)


@pytest.fixture
def cut_off(bucket, monkeypatch):
    """Lets the files of the bucket that are open, or will be, end in an error after some bytes."""
    monkeypatch.setattr(addresses.time, "sleep", lambda _: None)

    def opened(file_system, path, mode="rb", **options):
        if mode == "rb" and CutOff.limit_bytes < 0:
            raise ConnectionResetError("reset by peer")
        return CutOff(file_system.cat_file(path)) if mode == "rb" else opens(file_system, path, mode, **options)

    opens = type(bucket).open
    monkeypatch.setattr(type(bucket), "open", opened)
    return partial(monkeypatch.setattr, CutOff, "limit_bytes")


@pytest.mark.parametrize("limit_bytes", [-1, 0, 50_000])
def test_a_fault_of_the_network_never_counts_as_a_damaged_video(bucket, cut_off, tmp_path, capfd, limit_bytes):
    noise = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), np.uint8)
    bucket.pipe("/bucket/films/a.mp4", write_video(tmp_path / "a.mp4", noise).read_bytes())
    (tmp_path / "list.txt").write_text("memory://bucket/films/a.mp4\n")
    cut_off(limit_bytes)
    for photos in (Path("memory://bucket/films"), tmp_path / "list.txt"):
        with pytest.raises(FacesmithError, match=r"a.mp4 can't be reached: reset by peer. Check the network"):
            extract(photos, tmp_path / photos.stem, workers=1, every=1, console=QUIET)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("address", ["memory://bucket/photos.zip", "memory://bucket"])  # alone, and in a folder
def test_a_fault_of_the_network_never_counts_as_a_damaged_archive(bucket, cut_off, address):
    opened = open_source(Path(address))
    cut_off(0)
    with pytest.raises(FacesmithError, match=r"photos.zip can't be reached: reset by peer"):
        opened.read(opened.files[-1])
    with pytest.raises(FacesmithError, match=r"photos.zip can't be reached: reset by peer"):
        open_source(Path(address))


def test_an_empty_file_in_a_bucket_is_counted_although_s3_sends_no_part_of_it(bucket, monkeypatch):
    bucket.pipe("/bucket/empty.dat", b"")
    read = type(bucket).cat_file

    def refusing(file_system, path, start=None, end=None, **options):
        if start is not None and file_system.size(path) == 0:
            raise OSError("416: the requested range is not satisfiable")
        return read(file_system, path, start=start, end=end, **options)

    monkeypatch.setattr(type(bucket), "cat_file", refusing)
    monkeypatch.setattr(addresses.time, "sleep", None)
    store = open_store(Path("memory://bucket"))
    assert sort_by_kind(store).ignored == {".md": 1, "empty file": 1}
    assert store.read("empty.dat") == b""


def test_a_file_that_is_too_large_is_not_downloaded_completely(bucket, monkeypatch):
    bucket.pipe("/bucket/large.png", bytes(3 * 2**20))
    read, downloaded = type(bucket).cat_file, []

    def counting(*arguments, **options):
        content = read(*arguments, **options)
        downloaded.append(len(content))
        return content

    monkeypatch.setattr(type(bucket), "cat_file", counting)
    monkeypatch.setattr(addresses, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(BadPicture, match=r"^file of more than 1 MiB; make it smaller first$"):
        open_store(Path("memory://bucket")).read("large.png")
    assert max(downloaded) == 2**20 + 1


def test_a_list_of_paths_names_photos_by_their_common_folder(photos, bucket, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    again = photos / ".." / "photos" / "002.png"
    lines = ["# a comment", f"{photos}/000.png", "", str(again), f"{photos}/000.png", f"{photos}/gone.png"]
    (lists / "photos.txt").write_text("\n".join(lines))
    store = open_store(lists / "photos.txt")
    assert [file.name for file in store.files()] == ["000.png", "002.png", "gone.png"]
    report = extract(lists / "photos.txt", tmp_path / "out", workers=1, console=QUIET)
    assert (report.photos, report.faces, report.unreadable) == (3, 2, 1)
    assert [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")] == ["000.png", "002.png"]
    assert str(photos) not in (tmp_path / "out" / "rejected.csv").read_text()
    (photos.parent / "relative.lst").write_text("photos/001.png\nphotos/002.png")
    assert [file.name for file in open_store(photos.parent / "relative.lst").files()] == ["001.png", "002.png"]


def test_a_list_may_mix_addresses_archives_and_paths(photos, bucket, tmp_path):
    archive = tmp_path / "more.zip"
    archive.write_bytes(bucket.cat("/bucket/photos.zip"))
    (tmp_path / "list.txt").write_text(
        f"memory://bucket/a/000.png\n{photos}/001.png\nmemory://bucket/photos.zip\nmore.zip"
    )
    source = open_source(tmp_path / "list.txt")
    assert len(source.files) == 8
    assert all(source.read(file).pixels.shape == (200, 200, 3) for file in source.files)


def test_a_list_may_name_folders_of_paths_and_addresses(photos, bucket, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(photos, own / "x")
    (own / "more.zip").write_bytes(bucket.cat("/bucket/photos.zip"))
    bucket.pipe("/bucket/b.1/000.png", bucket.cat("/bucket/a/000.png"))
    (tmp_path / "list.txt").write_text("own\nown/x/000.png\nmemory://bucket/a\nmemory://bucket/b.1/\n")
    source = open_source(tmp_path / "list.txt")
    names = [f"00{number}.png" for number in range(3)]
    of_addresses = [file.name for file in source.files if file.name.startswith("memory:")]
    assert of_addresses == [*(f"memory://bucket/a/{name}" for name in names), "memory://bucket/b.1/000.png"]
    local = [file.name.removeprefix(str(tmp_path)) for file in source.files[: -len(of_addresses)]]
    assert local == [*(f"/own/more.zip/{name}" for name in names), *(f"/own/x/{name}" for name in names)]
    assert all(source.read(file).pixels.shape == (200, 200, 3) for file in source.files)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_lists_that_programs_for_windows_write_are_read(photos, tmp_path, encoding):
    shutil.copytree(photos, tmp_path / "my photos")
    lines = ['"my photos/000.png"', "my photos/001.png", "'my photos/002.png'"]
    (tmp_path / "list.txt").write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    source = open_source(tmp_path / "list.txt")
    assert [file.name for file in source.files] == ["000.png", "001.png", "002.png"]
    assert all(source.read(file).pixels.shape == (200, 200, 3) for file in source.files)


def test_a_list_may_name_files_by_address_and_in_the_home_folder(photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "my photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    address = (tmp_path / "my photos" / "000.png").as_uri()
    assert "%20" in address
    (tmp_path / "list.txt").write_text(f"{address}\n~/my photos/001.png\n")
    source = open_source(tmp_path / "list.txt")
    assert [file.name for file in source.files] == ["000.png", "001.png"]
    assert all(source.read(file).pixels.shape == (200, 200, 3) for file in source.files)


def test_faces_in_a_folder_that_a_list_names_are_not_searched_again(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "list.txt").write_text("photos\n")
    out = tmp_path / "photos" / "faces"
    first = extract(tmp_path / "list.txt", out, shards=2, console=QUIET)
    assert (first.photos, first.faces) == (3, 3)
    assert [row["source"] for row in rows(out / "metadata.csv")] == [f"photos/00{number}.png" for number in range(3)]
    assert extract(tmp_path / "list.txt", out, shards=2, console=QUIET).was_complete


def test_each_address_in_a_list_is_read_from_its_own_server(bucket, tmp_path, monkeypatch):
    bucket.pipe("/bucket/nas1/a.png", b"first")
    bucket.pipe("/bucket/nas2/a.png", b"second")
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda url: (bucket, url.replace("sftp://", "/bucket/")))
    (tmp_path / "list.txt").write_text("sftp://nas1/a.png\nsftp://nas2/a.png\n")
    store = open_store(tmp_path / "list.txt")
    assert [store.read(file.name) for file in store.files()] == [b"first", b"second"]


def test_files_at_listed_addresses_are_not_called_empty(bucket, tmp_path):
    bucket.pipe("/bucket/films/a.mp4", bytes(range(256)) * 9)
    (tmp_path / "list.txt").write_text("memory://bucket/notes.md\nmemory://bucket/films/a.mp4\n")
    source = open_source(tmp_path / "list.txt")
    assert source.ignored == {".md": 1}
    (photo,) = iterate_photos(source, 1)
    with pytest.raises(BadPicture, match=r"^damaged video"):
        photo.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "lists no photos"),
        (b"# nothing\n", "lists no photos"),
        (b"a.png\nb.png\n", "None of the 2 paths that .*list.txt lists exists; the first is .*a.png"),
        (b"some\0bytes", "is not a text file that lists photos"),
        (b"\xff\xfe\xfa", "None of the 1 paths"),
    ],
)
def test_a_list_without_photos_is_an_error(tmp_path, text, message):
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises(BadData, match=message):
        open_store(tmp_path / "list.txt").files()


@pytest.mark.slow
def test_shards_of_photos_in_a_bucket_of_s3(photos, tmp_path, monkeypatch):
    """Needs s3fs and moto, a stand-in for S3: pip install s3fs 'moto[server]'."""
    reason = "this environment has no s3fs and moto"
    s3fs, server = pytest.importorskip("s3fs", reason=reason), pytest.importorskip("moto.server", reason=reason)
    bucket = server.ThreadedMotoServer(port=0)
    bucket.start()
    try:
        host, port = bucket.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        file_system = s3fs.S3FileSystem()
        file_system.mkdir("bucket")
        for path in photos.iterdir():
            file_system.pipe(f"bucket/photos/{path.name}", path.read_bytes())
        extract(photos, tmp_path / "folder", shards=2, workers=1, console=QUIET)
        extract(Path("s3://bucket/photos"), tmp_path / "bucket", shards=2, workers=1, console=QUIET)
        (tmp_path / "list.txt").write_text("\n".join(f"s3://bucket/photos/{path.name}" for path in photos.iterdir()))
        extract(tmp_path / "list.txt", tmp_path / "list", shards=2, workers=1, console=QUIET)
        with pytest.raises(BadData, match="s3://nothing/here does not exist"):
            extract(Path("s3://nothing/here"), tmp_path / "none", shards=2, console=QUIET)
    finally:
        bucket.stop()
    tars = {name: data for name, data in content(tmp_path / "folder").items() if name.endswith(".tar")}
    assert len(tars) == 2
    for name in ("bucket", "list"):
        assert tars.items() <= content(tmp_path / name).items()


def test_a_missing_path_in_a_list_is_not_called_empty(tmp_path):
    different_faces(tmp_path / "photos", 1)
    (tmp_path / "list.txt").write_text("photos/000.png\nphotos/b\nphotos/c.jpg\n")
    files = sort_by_kind(open_store(tmp_path / "list.txt"))
    assert len(files.pictures) == 2  # reading c.jpg gives the reason
    assert files.ignored == {"missing file": 1}


def test_web_addresses_in_a_list_are_refused_with_the_command_that_downloads_them(photos, tmp_path):
    (tmp_path / "list.txt").write_text(f"{photos}/000.png\nhttps://example.org/a.jpg\nhttp://example.org/b.jpg\n")
    with pytest.raises(BadData, match=r"lists 2 web addresses, first https://example.org/a.jpg.*wget -P photos -i -"):
        open_store(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("https://example.org/a.jpg", "curl -LO https://example.org/a.jpg"), ("gone.jpg", "gone.jpg does not exist")],
)
def test_a_wrong_path_among_several_is_found_before_any_work(photos, wrong, message):
    with pytest.raises(BadData, match=message):
        next(detect([photos / "000.png", Path(wrong)], QUIET))


def test_a_place_that_several_paths_name_is_read_once(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    paths = [photos, photos / "..", tmp_path / "link", photos / ".." / "photos", Path("memory://bucket/a")]
    assert addresses.checked_paths(paths) == [photos, photos / "..", paths[-1]]
