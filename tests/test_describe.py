from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from facesmith.errors import BadData, BadOption
from facesmith.faces.describe import describe
from facesmith.pictures.images import read_picture, write_png
from facesmith.procedural import draw_many, write_faces

QUIET = Console(quiet=True)


def summary(path, **options):
    return list(describe(path, console=QUIET, **options))


def test_summary_has_counts_sizes_attributes_split_and_a_sheet(tmp_path):
    out = write_faces(tmp_path / "faces", 9, size_px=32)
    sheet = tmp_path / "sheet.png"
    lines = summary(out, sheet=sheet)
    text = "\n".join(lines)
    assert lines[0] == "faces          9 (metadata.csv)"
    assert "sizes          32x32 (9)" in lines
    assert "split          train " in text
    assert "  smiling  " in text
    assert lines[-1] == f"contact sheet  {sheet}"
    assert read_picture(sheet).shape == (3 * 34 - 2, 3 * 34 - 2, 3)


def test_sheet_is_in_the_cache_by_default(tmp_path, cache):
    out = write_faces(tmp_path / "faces", 1)
    sheet = summary(out)[-1].removeprefix("contact sheet  ")
    assert sheet.startswith(str(cache))
    assert np.array_equal(read_picture(type(cache)(sheet)), draw_many([0], 64)[0])


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "folder.png"])
def test_a_sheet_that_is_no_png_is_refused_before_any_work(tmp_path, cache, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadOption, match=r"expected the name of a \.png file"):
        summary(write_faces(tmp_path / "faces", 1, 16), sheet=tmp_path / name)
    assert not list(cache.rglob("*.u8"))


def test_one_small_picture_does_not_decide_the_size(tmp_path):
    for i, pixels in enumerate(draw_many(range(6), 48)):
        write_png(tmp_path / f"face{i}.png", pixels)
    write_png(tmp_path / "_icon.png", draw_many([0], 8)[0])
    text = "\n".join(summary(tmp_path))
    assert "faces          6" in text
    assert "_icon.png (8x8, smaller than 48x48)" in text


def test_other_sizes_and_persons_are_counted(tmp_path):
    for i in range(6):
        folder = tmp_path / f"P{i}"
        folder.mkdir()
        Image.fromarray(draw_many([i], 64)[0]).resize((64, 64 + i)).save(folder / f"P{i}_0001.png")
    text = "\n".join(summary(tmp_path))
    assert "and 2 other sizes" in text
    assert "groups         6, 6 of them persons" in text


def test_every_line_can_be_printed(tmp_path):
    for i, name in enumerate(("\udcff", "new\nline")):
        (tmp_path / name).mkdir()
        Image.fromarray(draw_many([i], 32)[0]).save(tmp_path / name / "a.png")
    for line in summary(tmp_path):
        assert line.encode()
        assert "\n" not in line


def test_attributes_show_a_share_a_range_or_unknown(tmp_path):
    for i, pixels in enumerate(draw_many(range(3), 32)):
        write_png(tmp_path / f"{i}.png", pixels)
    (tmp_path / "metadata.csv").write_text("file_name,none,flag,age\n0.png,,1,20\n1.png,,0,30\n2.png,,,40\n")
    lines = summary(tmp_path)
    values = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")}
    assert any(line.endswith("columns that are not attributes: none (unknown for all)") for line in lines)
    assert values == {"flag": "50.0% of 2 labeled faces", "age": "20 to 40, mean 30"}


def test_unusable_dataset_says_why(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadData, match="empty file"):
        summary(tmp_path)
