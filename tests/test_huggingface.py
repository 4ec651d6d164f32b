"""What extract writes is read by the library `datasets`, and what that writes is read by Facesmith."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import pytest
from pictures import portrait
from rich.console import Console

from facesmith.faces import open_faces
from facesmith.photos.extract import extract
from facesmith.procedural.generate import draw_many

pytest.importorskip("datasets")

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


def test_datasets_reads_what_extract_writes(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        portrait().rotate(20 * i, expand=False).save(photos / f"{i}.png")
    extract(photos, tmp_path / "faces", size=64, crop=120, console=Console(quiet=True))
    result = json.loads(run_datasets(READ_IMAGEFOLDER, tmp_path / "faces", home=tmp_path / "home"))
    assert result["splits"] == ["train"]
    with open(tmp_path / "faces" / "metadata.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["source"] for row in result["rows"]] == [row["source"] for row in rows]
    assert {tuple(row["image"]) for row in result["rows"]} == {(64, 64)}


@pytest.fixture
def dataset(tmp_path):
    """A folder of Parquet shards that `datasets` wrote from procedural faces."""
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for i, pixels in enumerate(draw_many(range(12))):
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{i:02d}.png")
    (tmp_path / "set" / "data").mkdir(parents=True)
    run_datasets(WRITE_PARQUET, tmp_path / "pictures", tmp_path / "set", home=tmp_path / "home")
    return tmp_path / "set"


def test_parquet_of_datasets_is_read_as_faces(dataset, tmp_path):
    faces = open_faces(dataset, 64)
    expected = open_faces(tmp_path / "pictures", 64)
    assert (faces.pixels == expected.pixels).all()
