from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facesmith.detection.align import Alignment
from facesmith.errors import BadData, BadOption
from facesmith.faces import open_faces
from facesmith.photos import split
from facesmith.pictures.images import write_png
from facesmith.procedural import draw_many, face_labels, random_face, write_faces


def pictures(folder, seeds, size_px=32, name="{}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, pixels in zip(seeds, draw_many(seeds, size_px), strict=True):
        write_png(folder / name.format(seed), pixels)
    return folder


def test_rows_of_all_arrays_are_the_same_face(tmp_path):
    out = write_faces(tmp_path / "faces", 8, size_px=32)
    (out / "000003.png").write_bytes(b"")
    faces = open_faces(out, 32)
    kept = [i for i in range(8) if i != 3]
    assert faces.names == [f"{i:06d}.png" for i in kept]
    assert np.array_equal(faces.pixels, draw_many(kept, 32))
    for name, column in faces.attributes.items():
        assert column.dtype == np.float32
        expected = [float(face_labels(random_face(i))[name]) for i in kept]
        assert np.allclose(column, expected, atol=1e-3)
    assert len(faces.groups) == len(faces.parts) == len(faces.sizes) == 7
    assert faces.notices == ["1 pictures skipped: 000003.png (empty file)"]
    assert (faces.resolution, faces.channels) == (32, 3)


def test_opening_twice_gives_equal_faces(tmp_path):
    out = write_faces(tmp_path / "faces", 5, size_px=32)
    one, two = open_faces(out, 32), open_faces(out, 32)
    assert one.fingerprint == two.fingerprint
    assert one.names == two.names
    assert one.groups == two.groups
    assert np.array_equal(one.parts, two.parts)


def test_fingerprint_changes_with_names_and_contents(tmp_path):
    out = pictures(tmp_path / "faces", range(3))
    first = open_faces(out, 32).fingerprint
    assert first == open_faces(out, 16).fingerprint
    (out / "1.png").rename(out / "4.png")
    second = open_faces(out, 32).fingerprint
    write_png(out / "4.png", draw_many([9], 32)[0])
    assert len({first, second, open_faces(out, 32).fingerprint}) == 3


def test_larger_pictures_are_reduced_with_a_notice_and_none_is_enlarged(tmp_path):
    out = pictures(tmp_path / "faces", [1], 64)
    pictures(out, [2], 32)
    pictures(out, [3], 16)
    Image.fromarray(astronaut()[:100, :64]).save(out / "high.png")
    Image.fromarray(astronaut()[:32, :40]).save(out / "wide.png")
    faces = open_faces(out, 32)
    assert faces.names == ["1.png", "2.png", "high.png", "wide.png"]
    assert faces.notices == [
        "2 of 4 pictures reduced to 32x32",
        "2 pictures are not square: their middle is used. If they are whole photos, run facesmith extract first",
        "1 pictures skipped: 3.png (16x16, smaller than 32x32)",
    ]
    assert np.array_equal(faces.pixels[3], astronaut()[:32, 4:36])


def test_square_photos_whose_faces_are_not_aligned_are_noticed(tmp_path):
    corners = [
        (0, 0),
        (60, 10),
        (120, 30),
        (20, 40),
        (90, 0),
        (130, 50),
        (40, 20),
        (100, 45),
    ]  # all crops show the face
    crops = [astronaut()[y : y + 260, x : x + 260] for x, y in corners]
    for i, crop in enumerate(crops):
        write_png(tmp_path / "uncut" / f"{i}.png", crop)
        write_png(tmp_path / "aligned" / f"{i}.png", np.roll(crops[0], i, axis=1))
        write_png(tmp_path / "faceless" / f"{i}.png", np.roll(astronaut()[300:500, 300:500], 20 * i, axis=1))
    notice = (
        "the faces in 8 pictures that were checked are not aligned: the eyes are not at the same place. "
        "If the pictures are whole photos, run facesmith extract first"
    )
    assert notice in open_faces(tmp_path / "uncut", 64).notices
    for name in ("aligned", "faceless"):
        assert not any("aligned" in notice for notice in open_faces(tmp_path / name, 64).notices)


def test_exact_copies_are_counted(tmp_path):
    out = pictures(tmp_path / "faces", [1, 2, 3], 32)
    shutil.copy(out / "1.png", out / "copy.png")
    shutil.copy(out / "1.png", out / "other copy.png")
    faces = open_faces(out, 32)
    assert faces.notices == ["2 pictures are exact copies of others; the split keeps copies together"]
    assert len({faces.groups[i] for i, name in enumerate(faces.names) if name == "1.png" or "copy" in name}) == 1


def test_colors_become_gray_with_a_notice(tmp_path):
    faces = open_faces(pictures(tmp_path, [1]), 32, 1)
    assert faces.pixels.shape == (1, 32, 32, 1)
    assert faces.notices == ["pictures converted to gray"]


def test_dataset_may_be_one_picture(tmp_path):
    faces = open_faces(pictures(tmp_path, [1]), 32)
    assert len(faces.names) == sum(len(faces.part(name)) for name in split.PARTS) == 1


def test_limit_always_takes_the_same_faces(tmp_path):
    out = pictures(tmp_path, range(12))
    few, more = open_faces(out, 32, limit=4), open_faces(out, 32, limit=8)
    assert len(few.names) == 4
    assert set(few.names) < set(more.names)
    assert few.names == sorted(few.names)
    assert len(open_faces(out, 32, limit=99).names) == 12
    whole = open_faces(out, 32)
    parts = dict(zip(whole.names, whole.parts, strict=True))
    assert [parts[name] for name in few.names] == few.parts.tolist()
    with pytest.raises(BadOption, match="--limit must be 1 or more, not 0"):
        open_faces(out, 32, limit=0)


def test_person_is_never_in_two_parts(tmp_path):
    for i in range(20):
        pictures(tmp_path / f"P{i}", range(3 * i, 3 * i + 3), name=f"P{i}_{{:04d}}.png")
    faces = open_faces(tmp_path, 32)
    assert len(set(faces.groups)) > 15  # some procedural faces are near-duplicates
    for i in range(20):
        assert (
            len({part for name, part in zip(faces.names, faces.parts, strict=True) if name.startswith(f"P{i}/")}) == 1
        )
    assert len(set(faces.parts.tolist())) > 1


def test_near_duplicates_merge_persons_and_pictures(tmp_path):
    """Ann's second picture also exists under another name, and Ben has a copy of it: all are one group."""
    pictures(tmp_path / "Ann", [1, 2], name="Ann_{:04d}.png")
    pictures(tmp_path / "Ben", [3], name="Ben_{:04d}.png")
    Image.fromarray(draw_many([2], 32)[0]).save(tmp_path / "Ben" / "Ben_0009.jpg", quality=60)
    Image.fromarray(draw_many([2], 32)[0]).save(tmp_path / "loose.jpg", quality=80)
    assert set(open_faces(tmp_path, 32).groups) == {"person/Ann"}


def test_picture_without_person_is_grouped_by_content(tmp_path):
    faces = open_faces(pictures(tmp_path, range(3)), 32)
    assert len(set(faces.groups)) == 3
    renamed = tmp_path / "other"
    renamed.mkdir()
    (tmp_path / "1.png").rename(renamed / "x.png")
    assert open_faces(renamed, 32).groups == [faces.groups[1]]


def test_overflowing_numbers_are_unknown(tmp_path):
    pictures(tmp_path, range(2))
    (tmp_path / "metadata.csv").write_text("file_name,x,y\n0.png,1e300,1e300\n1.png,inf,1\n")
    attributes = open_faces(tmp_path, 32).attributes
    assert list(attributes) == ["y"]
    assert np.isnan(attributes["y"]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("size_px", "message"),
    [
        (16, r"has 4 pictures, but none can be used at 32x32 \(0.png: 16x16, .* and 1 more\)\. For larger faces: "),
        (0, r"none can be used at 32x32 \(0.png: empty file, .* Are the files complete\?"),
    ],
)
def test_dataset_without_usable_pictures_says_why(tmp_path, size_px, message):
    pictures(tmp_path, range(4), max(size_px, 8))
    if size_px == 0:
        for file in tmp_path.iterdir():
            file.write_bytes(b"")
    with pytest.raises(BadData, match=message):
        open_faces(tmp_path, 32)


def test_names_that_are_not_utf8_are_supported(tmp_path):
    pictures(tmp_path, [1])
    (tmp_path / "1.png").rename(tmp_path / "\udcff.png")
    (tmp_path / "\udcfe\n.png").touch()
    for _ in range(2):
        faces = open_faces(tmp_path, 32, limit=5)
        assert faces.names == ["\udcff.png"]
        assert faces.notices == ["1 pictures skipped: \ufffd\ufffd.png (empty file)"]


def test_an_alignment_that_cant_be_used_counts_as_unknown_with_a_notice(tmp_path):
    pictures(tmp_path, [1])
    with open(tmp_path / "metadata.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["file_name"], ["1.png"]])
    aligned = Alignment(32).to_values()
    for alignment in (None, [1], {"eyes": 1}, {**aligned, "size": "32"}, {**aligned, "frame": -1}, aligned):
        (tmp_path / "faces.json").write_text(json.dumps({"alignment": alignment}))
        faces = open_faces(tmp_path, 32)
        assert faces.alignment == (aligned if alignment is aligned else None)
        assert any("alignment unknown" in notice for notice in faces.notices) == (alignment is not aligned)


def test_describing_does_not_import_torch():
    """Importing torch takes longer than opening 20,000 faces."""
    code = "import sys, facesmith.faces.describe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
