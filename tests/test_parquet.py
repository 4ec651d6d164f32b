"""Parquet files of Hugging Face datasets, read like folders of pictures."""

from __future__ import annotations

import io
import json
import random
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from facesmith.errors import BadData, BadPicture, FacesmithError
from facesmith.faces import open_faces
from facesmith.photos.sources import iterate_photos, open_source
from facesmith.storage.open_store import open_store
from facesmith.storage.store import sort_by_kind

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FEATURES = {
    "image": {"_type": "Image"},
    "age_group": {"_type": "ClassLabel", "names": ["0-29", "30-59", "60+"]},
}


def png(number, size_px=16):
    rng = np.random.default_rng(number)
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size_px, size_px, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def images(contents):
    """A column of pictures as `datasets` stores them."""
    return pa.array(
        [{"bytes": content, "path": None} for content in contents],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )


def write(path, columns, features=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def contents(path):
    store = open_store(path)
    return {file.name: store.read(file.name) for file in sort_by_kind(store).pictures}


@pytest.mark.parametrize("kind", ["struct", "binary", "large_binary"])
def test_each_row_is_a_picture(tmp_path, kind):
    pictures = [png(i) for i in range(25)]
    column = images(pictures) if kind == "struct" else pa.array(pictures, getattr(pa, kind)())
    path = write(tmp_path / "a.parquet", {"face": column}, row_group_size=10)
    assert contents(path) == {f"{row:07d}": picture for row, picture in enumerate(pictures)}


def test_folder_of_shards_is_read_as_one_dataset(tmp_path):
    for shard in range(3):
        write(tmp_path / f"data/train-{shard:05d}-of-00003.parquet", {"image": images([png(shard), png(shard + 10)])})
    (tmp_path / "README.md").write_text("---\ndataset_info: {}\n---\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    faces = open_faces(tmp_path, 16)
    assert faces.names == [
        f"data/train-{shard:05d}-of-00003.parquet/{row:07d}" for shard in range(3) for row in range(2)
    ]
    assert faces.notices == ["files that are not pictures are ignored (1 .md, 1 .json)"]


def test_parquet_in_a_zip_is_read(tmp_path):
    inner = write(tmp_path / "a.parquet", {"image": images([png(1), png(2)])})
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(inner, "data/a.parquet")
    assert contents(tmp_path / "x.zip") == {"data/a.parquet/0000000": png(1), "data/a.parquet/0000001": png(2)}


def test_rows_without_a_picture_have_a_reason(tmp_path):
    column = images([png(1), None, b"", b"no picture", png(2)])
    source = open_source(write(tmp_path / "a.parquet", {"image": column}))
    first, *damaged, last = iterate_photos(source, 1)
    assert first.load().shape == last.load().shape == (16, 16, 3)
    for photo, reason in zip(damaged, ("row without a picture", "empty file", "not a picture"), strict=True):
        with pytest.raises(BadPicture, match=reason):
            photo.load()


def test_damaged_page_costs_only_the_rest_of_its_row_group(tmp_path):
    pictures = [png(i, 64) for i in range(40)]
    path = write(tmp_path / "a.parquet", {"image": images(pictures)}, row_group_size=20, use_dictionary=False,
                 data_page_size=1, write_batch_size=5, write_page_checksum=True)  # fmt: skip
    raw = bytearray(path.read_bytes())
    raw[raw.index(pictures[12]) + 1000] ^= 1
    path.write_bytes(raw)
    store = open_store(path)
    read = {}
    for file in store.files():
        with suppress(BadPicture):
            read[int(file.name)] = store.read(file.name)
    assert set(read) == {*range(10), *range(20, 40)}
    with pytest.raises(BadPicture, match="damaged in the Parquet file"):
        store.read("0000012")


def test_rows_are_read_in_any_order_and_by_many_threads(tmp_path):
    pictures = [png(i) for i in range(300)]
    path = write(tmp_path / "a.parquet", {"image": images(pictures)}, row_group_size=100)
    store = open_store(path)
    rows = list(range(300))
    random.Random(0).shuffle(rows)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda row: store.read(f"{row:07d}"), rows)) == [pictures[row] for row in rows]


def test_only_a_small_part_of_a_large_row_group_is_in_memory(tmp_path):
    pictures = [np.random.default_rng(0).bytes(2**20)] * 150
    path = write(tmp_path / "a.parquet", {"image": images(pictures)}, FEATURES, use_dictionary=False, data_page_size=1,
                 write_batch_size=1)  # fmt: skip
    assert pq.ParquetFile(path).num_row_groups == 1
    del pictures
    store = open_store(path)
    before = pa.total_allocated_bytes()
    highest = 0
    for file in store.files():
        store.read(file.name)
        highest = max(highest, pa.total_allocated_bytes() - before)
    assert highest < 100 * 2**20


def test_labels_are_texts_as_in_a_csv(tmp_path):
    columns = {
        "image": images([png(i) for i in range(3)]),
        "age_group": pa.array([2, None, -1]),
        "smiling": pa.array([True, False, None]),
        "age": pa.array([30.5, float("nan"), None]),
        "name": pa.array(["Ann", "", None]),
        "pose": pa.array([{"yaw": 1, "side": True}, None, {"yaw": -3, "side": False}]),
        "boxes": pa.array([[1, 2], [], None]),
        "video": images([b"x", b"y", b"z"]),
    }
    path = write(tmp_path / "d" / "a.parquet", columns, FEATURES)
    (table,) = open_store(path).label_tables()
    assert table.columns == ["file_name", "age_group", "smiling", "age", "name", "pose.yaw", "pose.side"]
    assert table.rows == [
        ["0000000", "60+", "1", "30.5", "Ann", "1", "1"],
        ["0000001", "", "0", "", "", "", ""],
        ["0000002", "", "", "", "", "-3", "0"],
    ]
    assert table.notices == ["columns that are not labels: boxes, video"]
    store = open_store(tmp_path)
    names = [file.name for file in store.files()]
    (table,) = store.label_tables()
    assert (table.name, [row[0] for row in table.rows]) == ("d/a.parquet", names)


def test_columns_of_one_name_are_named(tmp_path):
    columns = [images([png(0)]), pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.table(columns, names=["image", "kind", "kind"]), tmp_path / "a.parquet")
    (table,) = open_store(tmp_path / "a.parquet").label_tables()
    assert table.columns == ["file_name"]
    assert table.notices == ["columns that are not labels: kind (2 columns have this name)"]


def test_shards_with_the_same_columns_have_one_table(tmp_path):
    for shard in range(3):
        write(tmp_path / f"{shard}.parquet", {"image": images([png(shard)]), "age": [shard], "box": [[1]]})
    write(tmp_path / "4.parquet", {"image": images([png(4)]), "smiling": [True]})
    store = open_store(tmp_path)
    store.files()
    first, second = store.label_tables()
    assert first.rows == [[f"{shard}.parquet/0000000", str(shard)] for shard in range(3)]
    assert (first.name, first.columns, first.notices) == (
        "0.parquet",
        ["file_name", "age"],
        ["columns that are not labels: box"],
    )
    assert (second.name, second.columns) == ("4.parquet", ["file_name", "smiling"])


def test_one_of_several_picture_columns_is_used_with_a_notice(tmp_path):
    columns = {"mask": images([png(1)]), "image": images([png(2)]), "thumbnail": pa.array([png(3)])}
    path = write(tmp_path / "a.parquet", columns)
    assert list(contents(path).values()) == [png(2)]
    assert open_store(path).label_tables()[0].notices == [
        "several columns with pictures: image is used, not mask, thumbnail"
    ]


def test_table_without_pictures_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", {"caption": ["x"], "vector": pa.array([b"\1\2"])})
    with pytest.raises(BadData, match="has no column of pictures, only: caption, vector"):
        open_store(path)
    empty = write(tmp_path / "c.parquet", {"image": images([])})
    with pytest.raises(BadData, match="has no rows"):
        open_store(empty)
    (tmp_path / "b.png").write_bytes(png(1))
    assert sort_by_kind(open_store(tmp_path)).ignored == {
        "Parquet without a column of pictures": 1,
        "Parquet without rows": 1,
    }


def test_without_pyarrow_one_line_names_the_extra(tmp_path, monkeypatch):
    for name in ("a.parquet", "b.parquet"):
        write(tmp_path / name, {"image": images([png(1)])})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # as if the extra were not installed
    for path, count in ((tmp_path / "a.parquet", ""), (tmp_path, "2 ")):
        with pytest.raises(BadData, match=count + r"Parquet, which needs an extra: pip install 'facesmith\[parquet\]'"):
            open_source(path)


def test_arrow_files_of_datasets_are_named_with_the_command(tmp_path):
    table = pa.table({"image": images([png(1)])})
    with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", table.schema) as stream:
        stream.write_table(table)
    with pa.ipc.new_file(tmp_path / "renamed", table.schema) as file:
        file.write_table(table)
    with pytest.raises(BadData, match=r"2 Arrow file; write Parquet instead: datasets\.Dataset\.from_file"):
        open_source(tmp_path)


def test_changed_file_has_other_stamps(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": images([png(1)])})
    before = open_store(path).files()
    assert open_store(path).files() == before
    write(path, {"image": images([png(2)])})
    assert open_store(path).files() != before


def test_vanished_file_has_a_reason(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": images([png(1)])})
    store = open_store(path)
    path.unlink()
    with pytest.raises(BadData, match="disappeared"):
        store.read("0000000")


def test_file_that_unpacks_to_suspiciously_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("facesmith.storage.seekable.MIN_UNPACKED_LIMIT", 2**20)
    column = images([b"\x89PNG\r\n\x1a\n" + bytes(2**20)] * 8)
    path = write(tmp_path / "a.parquet", {"image": column}, compression="zstd", use_dictionary=False)
    with pytest.raises(BadData, match="GiB of pictures; its size allows"):
        open_store(path)


def test_many_files_are_read_with_few_readers(tmp_path):
    pictures = [png(i) for i in range(20)]
    for i, picture in enumerate(pictures):
        write(tmp_path / f"{i:02d}.parquet", {"image": images([picture])})
    store = open_store(tmp_path)
    assert [store.read(file.name) for file in store.files()] == pictures
    assert len(store.readers.readers) <= 2


def damaged_copies(path, count):
    rng = random.Random(0)
    whole = path.read_bytes()
    for _ in range(count):
        raw = bytearray(whole[: rng.randrange(1, len(whole))] if rng.random() < 0.2 else whole)
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw)) if rng.random() < 0.5 else -rng.randrange(1, min(len(raw), 1500))] = (
                rng.randrange(256)
            )
        yield bytes(raw)


@pytest.mark.parametrize("count", [80, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_damage_gives_only_a_facesmith_error(tmp_path, count):
    columns = {"image": images([png(i) for i in range(8)]), "age_group": [i % 3 for i in range(8)], "name": ["x"] * 8}
    path = write(tmp_path / "a.parquet", columns, FEATURES, row_group_size=4, compression="zstd")
    threads_before = threading.active_count()  # other tests of this process may have left some
    for raw in damaged_copies(path, count):
        path.write_bytes(raw)
        with suppress(FacesmithError):  # no other error
            store = open_store(path)
            for file in store.files():
                with suppress(BadPicture):
                    store.read(file.name)
            store.label_tables()
    assert threading.active_count() < threads_before + 10
