"""Faces in shards as a dataset: the same as in a folder; damage is named; each training process has its own part."""

from __future__ import annotations

import errno
import json
import os
import shutil

import numpy as np
import pytest
from pictures import different_faces
from small import QUIET
from test_shards import content, rows, run_here
from typer.testing import CliRunner

from facesmith.cli import app
from facesmith.errors import BadData
from facesmith.faces import Stream, open_faces
from facesmith.faces import shards as shards_module
from facesmith.photos import extract as extract_module
from facesmith.photos import shard_files
from facesmith.photos.extract import extract
from facesmith.photos.split import describe
from facesmith.pictures.images import read_picture, write_png


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """Nine photos in shards of two; with labels."""
    folder = tmp_path_factory.mktemp("shards")
    different_faces(folder / "photos", 9)
    lines = [f"{i:03d}.png,{i % 2},{'a' if i < 4 else 'b'},person {i // 2}" for i in range(9)]
    (folder / "photos" / "metadata.csv").write_text("\n".join(["file_name,smiling,group,person", *lines]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract_module, "choose_engine", lambda *_: run_here)
        extract(folder / "photos", folder / "out", size=64, shards=2, console=QUIET)
    return folder / "out"


@pytest.fixture
def shards(extracted, tmp_path):
    """A copy to damage."""
    shutil.copytree(extracted, tmp_path / "out")
    return tmp_path / "out"


def test_shards_open_as_a_dataset_with_labels_persons_and_split(extracted):
    faces = open_faces(extracted, 64)
    table = rows(extracted / "metadata.csv")
    assert faces.names == [row["file_name"] for row in table]
    assert faces.layout == "extracted faces"
    assert faces.alignment == {"layout": "eyes-nose-mouth-2", "size": 64, "frame": 2.45}
    assert faces.attributes["smiling"].tolist() == [float(row["smiling"]) for row in table]
    assert faces.attributes["group=a"].tolist() == [float(row["group"] == "a") for row in table]
    assert set(faces.attributes) == {"smiling", "group=a", "group=b"}
    assert faces.groups == [f"person/{row['person']}" for row in table]
    parts = ("train", "validation", "test")
    assert [parts[part] for part in faces.parts] == [row["split"] for row in table]
    picture = shard_files.read_picture(extracted, faces.names[3])
    assert np.array_equal(faces.pixels[3], read_picture(picture))
    assert open_faces(extracted, 64).fingerprint == faces.fingerprint
    assert not faces.notices


@pytest.mark.parametrize("shards", [None, 101])
@pytest.mark.parametrize(("count", "are_persons"), [(2, True), (101, False)])
def test_large_folders_of_photos_with_their_names_are_classes_and_no_persons(
    tmp_path, monkeypatch, shards, count, are_persons
):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    for name in ("male", "female"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng([i, len(name)]).integers(0, 256, (36, 36, 3), np.uint8)
            write_png(tmp_path / "photos" / name / f"{name}_{i:04d}.png", noise)
    out = tmp_path / "out"
    extract(tmp_path / "photos", out, size=36, crop=36, shards=shards, console=QUIET)
    faces = open_faces(out, 36)
    assert len(faces.names) == 2 * count
    groups = {"person/male", "person/female"} if are_persons else set(faces.groups)
    assert set(faces.groups) == groups
    assert len(groups) == (2 if are_persons else 2 * count)
    counts = json.loads((out / "faces.json").read_text())["split"]["counts"]
    assert counts == describe(faces.parts)["counts"]


def test_the_second_start_reads_no_picture(extracted, monkeypatch):
    first = open_faces(extracted, 64)
    monkeypatch.setattr("facesmith.faces.shards.ShardStore.read", None)
    assert np.array_equal(open_faces(extracted, 64).pixels, first.pixels)


def test_faces_command_describes_shards(extracted):
    result = CliRunner().invoke(app, ["faces", str(extracted)])
    assert result.exit_code == 0, result.output
    assert "faces          9 (extracted faces)" in result.output
    assert "smiling" in result.output


def test_a_face_without_a_row_is_left_out(shards):
    table = shards / "metadata.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:3], *lines[4:]]) + "\n")
    faces = open_faces(shards, 64)
    assert len(faces.names) == 8
    assert "00001.tar/00001-00000.png" not in faces.names
    assert faces.fingerprint != open_faces(shards, 64, limit=3).fingerprint


@pytest.mark.parametrize(("encoding", "separator"), [("utf-8-sig", ";"), ("utf-16", "\t")])
def test_a_table_that_a_spreadsheet_saved_gives_the_same_faces(extracted, shards, encoding, separator):
    table = shards / "metadata.csv"
    lines = [line.replace(",", separator) + separator for line in table.read_text().splitlines()]
    lines.append(separator * lines[0].count(separator))  # spreadsheets also save empty columns and lines
    table.write_text("\n".join(lines) + "\n", encoding=encoding)
    original, saved = open_faces(extracted, 64), open_faces(shards, 64)
    assert (saved.names, saved.groups, saved.fingerprint) == (original.names, original.groups, original.fingerprint)
    assert saved.attributes.keys() == original.attributes.keys()
    assert np.array_equal(saved.parts, original.parts)


def flip_a_byte(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def edit_record(shards, **changes):
    path = shards / "00002.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_table(shards, old, new):
    table = shards / "metadata.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


FAULTS = {
    "truncated tar": (lambda s: os.truncate(s / "00002.tar", 5000), "00002.tar has 5000 bytes; faces.json says"),
    "missing tar": (lambda s: (s / "00002.tar").unlink(), "00002.tar is missing"),
    "missing record": (lambda s: (s / "00002.json").unlink(), "00002.json is missing"),
    "doubled shard": (lambda s: shutil.copy(s / "00002.tar", s / "00009.tar"), "00009.tar is not a shard of this"),
    "copied shard": (lambda s: shutil.copy(s / "00002.tar", s / "00002 (1).tar"), r"00002 \(1\).tar is not a shard"),
    "record of another shard": (
        lambda s: shutil.copy(s / "00001.json", s / "00002.json"),
        "is the record of shard 00001",
    ),
    "flipped byte": (
        lambda s: flip_a_byte(s / "00002.tar", 800),
        "00002-00000.png is damaged: it differs from 00002.json",
    ),
    "other tar": (lambda s: edit_record(s, tar_sha256="0" * 64), r"faces.json disagrees \(tar\) with 00002.json"),
    "record without faces": (lambda s: edit_record(s, sha256=[]), "00002.json lists its faces inconsistently"),
    "unknown face": (
        lambda s: edit_table(s, "00002-00001", "00002-00007"),
        "00002-00007.png, which is not in its shard",
    ),
    "strange name": (lambda s: edit_table(s, "00002.tar/", "../"), "line 6, is not a face of these shards"),
    "strange split": (lambda s: edit_table(s, ",train\n", ",holiday\n"), "is not a face of these shards"),
    "face twice": (lambda s: edit_table(s, "00002-00001", "00002-00000"), "lists a face twice"),
    "no split": (lambda s: edit_table(s, ",split\n", ",spilt\n"), "has no column split"),
    "missing table": (lambda s: (s / "metadata.csv").unlink(), "metadata.csv can't be read"),
    "empty table": (lambda s: (s / "metadata.csv").write_text(""), "has no column file_name"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_is_named_in_one_line(shards, fault):
    damage, message = FAULTS[fault]
    damage(shards)
    with pytest.raises(BadData, match=message) as raised:
        open_faces(shards, 64)
    assert "\n" not in str(raised.value)
    assert "run the same extract again" in str(raised.value)


@pytest.mark.parametrize("operation", ["open_regular_file", "read_at"])
def test_a_shard_that_can_not_be_read_is_no_fault_of_the_cache(extracted, monkeypatch, operation):
    working = getattr(shards_module, operation)

    def fail_for_tars(file, *arguments):
        if operation == "open_regular_file" and file.suffix != ".tar":
            return working(file)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shards_module, operation, fail_for_tars)
    with pytest.raises(BadData, match=r"out: 00000\.tar/00000-0000\d\.png can't be read: Input/output error\.$"):
        open_faces(extracted, 64)


@pytest.mark.parametrize("fault", ["truncated tar", "missing tar", "missing record"])
def test_the_same_extract_repairs_a_finished_extraction(shards, extracted, monkeypatch, fault):
    FAULTS[fault][0](shards)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    report = extract(extracted.parent / "photos", shards, size=64, shards=2, console=QUIET)
    assert not report.was_complete
    assert content(shards) == content(extracted)


def test_faces_that_are_too_small_are_an_error_as_in_a_folder(extracted):
    with pytest.raises(BadData, match=r"none can be used at 128x128.*extract PHOTOS --size 128"):
        open_faces(extracted, 128)


def test_each_process_packs_only_its_own_training_faces(extracted):
    whole = open_faces(extracted, 64)
    shares = [open_faces(extracted, 64, rank=rank, processes=2) for rank in range(2)]
    assert len({faces.fingerprint for faces in (whole, *shares)}) == 1
    own = [faces.own_part("train").tolist() for faces in shares]
    assert sorted(own[0] + own[1]) == whole.part("train").tolist()
    assert abs(len(own[0]) - len(own[1])) <= 1
    for faces in shares:
        assert faces.part("train").tolist() == whole.part("train").tolist()
        assert len(faces.own_pixels) == len(faces.rows) < len(whole.names)
        assert np.array_equal(faces.pixels[faces.rows], whole.pixels[faces.rows])
        assert len(faces.pixels) == len(whole.pixels)
    assert shares[0].own_part("validation").tolist() == whole.part("validation").tolist()
    assert shares[1].own_part("validation").tolist() == []
    streams = [
        Stream(faces.pixels, faces.own_part("train"), seed=0, mirror=False, rank=rank, processes=2, own=True)
        for rank, faces in enumerate(shares)
    ]
    for stream, rows_ in zip(streams, own, strict=True):
        drawn = stream.draw(len(rows_))
        expected = {whole.pixels[row].tobytes() for row in rows_}
        assert {((image.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy().tobytes() for image in drawn} == expected
        assert stream.position == 2 * len(rows_)
        assert stream.last_drawn(len(rows_)).equal(drawn)


def test_the_second_start_of_each_process_reads_no_picture(extracted, monkeypatch):
    for rank in range(2):
        open_faces(extracted, 64, rank=rank, processes=2)
    monkeypatch.setattr("facesmith.faces.shards.ShardStore.read", None)
    for rank in range(2):
        open_faces(extracted, 64, rank=rank, processes=2)
