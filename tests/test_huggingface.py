"""What extract writes is read by the library `datasets`, and what that writes is read by Facesmith."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from facesmith.faces import open_faces
from facesmith.labels import attributes_of
from facesmith.labels.records import parse_json_lines
from facesmith.labels.table_text import UnusableTable
from facesmith.photos.extract import extract
from facesmith.procedural.generate import draw_many

pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

READ_IMAGEFOLDER = """
import json, sys, datasets
splits = datasets.load_dataset("imagefolder", data_dir=sys.argv[1])
rows = [{**row, "image": list(row["image"].size)} for row in splits["train"]]
print(json.dumps({"splits": list(splits), "rows": rows}))
"""
WRITE_PARQUET = """
import pathlib, sys, datasets
from PIL import Image
pictures = sorted(pathlib.Path(sys.argv[1]).glob("*.png"))
features = datasets.Features({
    "image": datasets.Image(),
    "age_group": datasets.ClassLabel(names=["0-29", "30-59", "60+"]),
    "smiling": datasets.Value("bool"),
    "person": datasets.Value("string"),
})
rows = range(len(pictures))
data = datasets.Dataset.from_dict({
    "image": [Image.open(path).copy() for path in pictures],
    "age_group": [row % 3 for row in rows],
    "smiling": [row % 2 == 0 for row in rows],
    "person": [f"person {row // 2}" for row in rows],
}, features)
for shard in range(2):
    part = data.shard(2, shard, contiguous=True)
    part.to_parquet(f"{sys.argv[2]}/data/train-{shard:05d}-of-00002.parquet")
"""


def run_datasets(script, *arguments, home):
    """Run a script in a process of its own, because `datasets` issues warnings and reads its settings on import."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | offline, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `pictures/`, procedural faces, and `set/`, the Parquet shards that `datasets` wrote from them."""
    root = tmp_path_factory.mktemp("huggingface")
    (root / "pictures").mkdir()
    for i, pixels in enumerate(draw_many(range(12))):
        Image.fromarray(pixels).save(root / "pictures" / f"{i:02d}.png")
    (root / "set" / "data").mkdir(parents=True)
    (root / "set" / "README.md").write_text("---\ndataset_info: {}\n---\n")
    run_datasets(WRITE_PARQUET, root / "pictures", root / "set", home=root / "home")
    return root


def test_parquet_of_datasets_is_read_as_faces_with_labels(folder):
    faces = open_faces(folder / "set", 64)
    assert (faces.pixels == open_faces(folder / "pictures", 64).pixels).all()
    assert {name: column.tolist() for name, column in faces.attributes.items()} == {
        "age_group=0-29": [1, 0, 0] * 4,
        "age_group=30-59": [0, 1, 0] * 4,
        "age_group=60+": [0, 0, 1] * 4,
        "smiling": [1, 0] * 6,
    }
    assert faces.groups == [f"person/person {row // 2}" for row in range(12)]


def test_datasets_reads_what_extract_writes_with_its_labels(folder, tmp_path):
    extract(folder / "set", tmp_path / "faces", size=64, crop=64, console=Console(quiet=True))
    result = json.loads(run_datasets(READ_IMAGEFOLDER, tmp_path / "faces", home=folder / "home"))
    assert result["splits"] == ["train"]
    with open(tmp_path / "faces" / "metadata.csv", newline="") as stream:
        sources = [row["source"] for row in csv.DictReader(stream)]
    assert [row["source"] for row in result["rows"]] == sources
    numbers = [int(source[-7:]) + 6 * ("train-00001" in source) for source in sources]
    assert [(row["image"], row["age_group"], row["smiling"], row["person"]) for row in result["rows"]] == [
        ([64, 64], ("0-29", "30-59", "60+")[number % 3], int(number % 2 == 0), f"person {number // 2}")
        for number in numbers
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_of_an_imagefolder_is_read(folder, tmp_path, kind):
    shutil.copytree(folder / "pictures", tmp_path / "train")
    rows = [
        {
            "file_name": f"{row:02d}.png",
            "smiling": row % 2 == 0,
            "pose": {"side": ("left", "right")[row % 2]},
            "box": [1],
        }
        for row in range(12)
    ]
    if kind == "csv":
        lines = [f"{row['file_name']},{row['smiling']},{row['pose']['side']}" for row in rows]
        (tmp_path / "train" / "metadata.csv").write_text("\n".join(["file_name,smiling,pose.side", *lines]))
    elif kind == "jsonl":
        lines = [json.dumps(row) for row in rows]
        (tmp_path / "train" / "metadata.jsonl").write_text("\n".join([*lines, "", "{damaged", "[1]"]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train" / "metadata.parquet")
    faces = open_faces(tmp_path, 64)
    assert {name: column.tolist() for name, column in faces.attributes.items()} == {
        "smiling": [1, 0] * 6,
        "pose.side=left": [1, 0] * 6,
        "pose.side=right": [0, 1] * 6,
    }
    if kind == "jsonl":
        assert any("2 lines are skipped: they are not JSON objects, first line 14" in text for text in faces.notices)
    if kind != "csv":
        assert any("columns that are not labels: box" in text for text in faces.notices)
    assert not any("ignored" in text for text in faces.notices)


def test_split_folders_of_an_imagefolder_are_no_classes(folder, tmp_path):
    for row in range(12):
        name = ("train", "validation", "test")[row % 3] + "/" + ("serious", "smiling")[row % 2]
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "pictures" / f"{row:02d}.png", tmp_path / name)
    faces = open_faces(tmp_path, 64)
    assert set(faces.attributes) == {"serious", "smiling"}
    assert [bool(value) for value in faces.attributes["smiling"]] == ["/smiling/" in name for name in faces.names]
    assert "folders such as train and test are not classes; Facesmith splits the faces itself" in faces.notices


def test_split_folders_without_classes_are_plain_pictures(folder, tmp_path):
    for row in range(12):
        (tmp_path / ("train", "test")[row % 2]).mkdir(exist_ok=True)
        shutil.copy(folder / "pictures" / f"{row:02d}.png", tmp_path / ("train", "test")[row % 2])
    faces = open_faces(tmp_path, 64)
    assert (faces.layout, faces.attributes) == ("pictures", {})


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.lists(st.integers())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(st.characters()), VALUES | st.dictionaries(st.text(), VALUES))), st.binary())
def test_any_json_lines_give_a_table_or_a_reason(records, garbage):
    raw = "\n".join(map(json.dumps, records)).encode() + b"\n" + garbage
    with suppress(UnusableTable):
        table = parse_json_lines(raw)
        assert {len(row) for row in table.rows} <= {len(table.columns)}
        attributes_of(dict(zip(table.columns, zip(*table.rows, strict=True), strict=True)))
