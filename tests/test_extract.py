import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import filelock
import numpy as np
import pytest
from faults import KILLED, Disk, faulty
from faults import Killed as KilledAtDisk
from pictures import EYES, FACE_BOX, bomb, different_faces, photo, portrait, shared, without_face, write_video
from PIL import Image, ImageEnhance, ImageFilter
from rich.console import Console
from test_shards import run_here

from facesmith import faces
from facesmith.detection.align import Alignment, transform
from facesmith.detection.detect import DEFAULT_THRESHOLD, Detector
from facesmith.errors import BadOption, FacesmithError, OutputExists
from facesmith.photos import collect, journal
from facesmith.photos.crop import AlignedCropper, main_face
from facesmith.photos.extract import extract
from facesmith.photos.extraction_report import unreadable_reason
from facesmith.photos.faces_folder import CLEARED_JOURNAL_NAME, LOCK_NAME
from facesmith.photos.journal import JOURNAL_NAME
from facesmith.photos.sources import Photo
from facesmith.pictures.images import FirstPicture, read_picture, write_picture
from facesmith.storage import store

QUIET = Console(quiet=True)
TABLES = {"metadata.csv", "rejected.csv", "faces.json", "report.html"}


def rows(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def content(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def run(photos, out, **options):
    return extract(photos, out, **{"size": 64, "workers": 2, "console": QUIET, **options})


def rejections(out):
    return {row["source"]: row["reason"] for row in rows(out / "rejected.csv")}


@pytest.mark.parametrize(
    ("options", "size", "min_face"),
    [({}, 128, 64), ({"size": 64}, 64, 40), ({"size": 256, "min_face": 30}, 256, 30), ({"crop": 100}, 100, None)],
)
def test_the_smallest_face_follows_the_size(tmp_path, options, size, min_face):
    photo().save(tmp_path / "photo.png")
    run(tmp_path / "photo.png", tmp_path / "out", **{"size": None, **options})
    header = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert read_picture(tmp_path / "out" / "000001.png").shape == (size, size, 3)
    assert header["settings"].get("min_face") == min_face


def test_one_photo_gives_one_face(tmp_path):
    photo().save(tmp_path / "a.png")
    report = run(tmp_path / "a.png", tmp_path / "out")
    assert (report.photos, report.faces, report.rejected, report.was_complete) == (1, 1, {}, False)
    assert set(content(tmp_path / "out")) == TABLES | {"000001.png"}
    (row,) = rows(tmp_path / "out" / "metadata.csv")
    assert (row["file_name"], row["source"]) == ("000001.png", "a.png")
    box = [float(row[name]) for name in ("left", "top", "width", "height")]
    np.testing.assert_allclose(box, FACE_BOX, atol=5)
    assert 0.99 < float(row["confidence"]) <= 1
    assert 0 < float(row["blur"]) < 0.5
    assert read_picture(tmp_path / "out" / "000001.png").shape == (64, 64, 3)


def test_affine_columns_map_the_photo_to_the_crop(tmp_path):
    photo().save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "out", size=256, min_face=40, frame=3.48)
    (row,) = rows(tmp_path / "out" / "metadata.csv")
    matrix = np.array([[float(row[f"affine_{i}{j}"]) for j in range(3)] for i in range(2)])
    eyes = np.array([[float(row[f"{side}_eye_{axis}"]) for axis in "xy"] for side in ("left", "right")])
    np.testing.assert_allclose(eyes, EYES, atol=3)
    crop = read_picture(tmp_path / "out" / "000001.png").astype(float)
    full = np.asarray(photo()).astype(float)
    for x, y in ((225, 129), (204, 101), (180, 60)):
        u, v = np.floor(transform(matrix, np.array([x + 0.5, y + 0.5]))).astype(int)
        assert abs(crop[v, u] - full[y, x]).max() < 40


def test_extracted_faces_open_as_a_dataset(tmp_path):
    run(different_faces(tmp_path / "photos", 3), tmp_path / "out")
    opened = faces.open_faces(tmp_path / "out", 64)
    assert len(opened.names) == 3
    assert opened.alignment == {"layout": "eyes-nose-mouth-2", "size": 64, "frame": 2.45}


def test_faces_json_has_settings_counts_split_and_versions(tmp_path):
    photo().save(tmp_path / "a.png")
    (tmp_path / "note.txt").write_text("x")
    run(tmp_path, tmp_path / "out", size=32, frame=5.0)
    header = json.loads((tmp_path / "out" / "faces.json").read_text())
    assert header["format"] == 3
    assert header["alignment"] == {"layout": "eyes-nose-mouth-2", "size": 32, "frame": 5}
    assert header["counts"]["faces"] == 1
    assert header["counts"]["ignored"] == {".txt": 1}
    assert sum(header["split"]["counts"].values()) == 1
    assert header["photos"] == tmp_path.name
    assert {"facesmith", "torch", "mtcnn"} <= header["versions"].keys()
    assert str(tmp_path) not in json.dumps(header)


def odd_pictures(folder):
    """Save the same face in every supported file format and color mode; returns the names."""
    face = portrait()
    upside_down = face.rotate(180)
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: rotate by 180 degrees
    gray16 = Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257)
    transparent = face.convert("RGBA")
    transparent.putalpha(Image.radial_gradient("L").resize(face.size).point(lambda level: 255 - level // 4))
    pictures = {
        "gray.jpg": (face.convert("L"), {}),
        "gray16.png": (gray16, {}),
        "gray16.tif": (gray16, {}),
        "palette.png": (face.quantize(64), {}),
        "palette.gif": (face.quantize(64), {}),
        "rgba.png": (transparent, {}),
        "la.png": (transparent.convert("LA"), {}),
        "cmyk.jpg": (face.convert("CMYK"), {}),
        "turned.jpg": (upside_down, {"exif": exif}),
        "webp.webp": (face, {}),
        "bmp.bmp": (face, {}),
    }
    folder.mkdir()
    for name, (picture, options) in pictures.items():
        picture.save(folder / name, **options)
    return list(pictures)


def test_every_file_format_gives_its_face(tmp_path):
    names = odd_pictures(tmp_path / "photos")
    run(tmp_path / "photos", tmp_path / "out")
    # All but the first are rejected as its near-duplicates, so each was read and its face found upright.
    assert len(rows(tmp_path / "out" / "metadata.csv")) + len(rejections(tmp_path / "out")) == len(names)
    assert {reason.split(":")[0] for reason in rejections(tmp_path / "out").values()} <= {"near-duplicate"}


def test_heic_gives_its_face(tmp_path):
    pytest.importorskip("pillow_heif", reason="pillow-heif is an extra").register_heif_opener()
    portrait().save(tmp_path / "phone.heic")
    assert run(tmp_path / "phone.heic", tmp_path / "out").faces == 1


def test_bad_files_are_skipped_with_a_reason(tmp_path):
    stream = io.BytesIO()
    portrait().save(stream, "JPEG")
    bad = {
        "bomb.png": bomb(),
        "empty.jpg": b"",
        "text.jpg": b"not a picture",
        "truncated.jpg": stream.getvalue()[: len(stream.getvalue()) // 2],
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    portrait().save(tmp_path / "good.png")
    report = run(tmp_path, tmp_path / "out")
    assert (report.photos, report.faces, report.unreadable) == (5, 1, 4)
    assert report.rejection_lines() == [
        "rejected, unreadable: 4",
        "  more than … million pixels; make it smaller first: 1",
        "  empty file: 1",
        "  not a picture but: text: 1",
    ]
    reasons = rejections(tmp_path / "out")
    assert reasons["bomb.png"] == "unreadable: more than 100 million pixels; make it smaller first"
    assert reasons["empty.jpg"] == "unreadable: empty file"
    assert reasons["text.jpg"] == "unreadable: not a picture but: text"
    assert reasons["truncated.jpg"].startswith("unreadable: damaged")


def test_every_photo_is_kept_or_has_a_reason(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    portrait().save(photos / "1.png")
    ImageEnhance.Brightness(portrait()).enhance(0.9).save(photos / "2-again.png")
    portrait().filter(ImageFilter.GaussianBlur(5)).save(photos / "3-blurred.png")
    without_face().save(photos / "4-none.png")
    photo().resize((140, 140), Image.Resampling.LANCZOS).save(photos / "5-small.png")
    report = run(photos, tmp_path / "out", threshold=0.5)
    assert [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")] == ["1.png"]
    reasons = rejections(tmp_path / "out")
    assert reasons.pop("2-again.png") == "near-duplicate: of 000001.png"
    assert reasons.pop("3-blurred.png").startswith("too blurred: 0.")
    assert reasons.pop("4-none.png") == "no face found"
    assert reasons.pop("5-small.png").startswith(("too small: ", "no face found"))
    assert reasons == {}
    assert sum(report.rejected.values()) == 4


def test_faces_all_and_faces_largest(tmp_path):
    pair = Image.new("RGB", (500, 200), "gray")
    pair.paste(portrait(), (150, 0))
    pair.paste(ImageEnhance.Contrast(portrait().resize((140, 140))).enhance(0.3), (360, 40))
    pair.save(tmp_path / "pair.png")
    run(tmp_path / "pair.png", tmp_path / "all", faces="all")
    n_rows = len(rows(tmp_path / "all" / "metadata.csv")) + len(rows(tmp_path / "all" / "rejected.csv"))
    assert n_rows == 2
    report = run(tmp_path / "pair.png", tmp_path / "main")
    assert report.faces == 1
    assert report.rejected == {"not the main face of its photo": 1}
    assert 150 < float(rows(tmp_path / "main" / "metadata.csv")[0]["left"]) < 350


def test_main_face_is_large_and_central():
    boxes = np.array([(0, 0, 100, 100), (200, 150, 90, 90), (240, 190, 20, 20)], np.float32)
    assert main_face(boxes, (400, 500)) == 1
    assert main_face(boxes[[0, 2]], (400, 500)) == 0


@pytest.mark.parametrize("cut_px", [0, 70])
def test_a_rejected_face_is_shown_as_far_as_it_lies_inside_its_photo(cut_px):
    pixels = np.asarray(portrait())[:, cut_px:]
    photos = [Photo("a.png", lambda: FirstPicture(pixels))]
    largest, detector = Alignment(64), Detector(40, DEFAULT_THRESHOLD)
    (face,) = AlignedCropper(detector, largest, "largest", 40, 1.0).process(photos).outcomes
    (rejection,) = AlignedCropper(detector, largest, "largest", 190, 1.0).process(photos).outcomes
    left, _, width, height = face.box.astype(int).tolist()
    assert (left < 0) is (cut_px > 0)
    shown = np.asarray(Image.open(io.BytesIO(rejection.thumbnail)).convert("RGB"))
    bars = (shown == 255).all((0, 2)).sum()
    assert 64 - bars == pytest.approx(64 * (width + min(left, 0)) / height, abs=2)


def test_crop_takes_the_middle_of_each_photo(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    portrait().save(photos / "1.png")
    photo().crop((0, 0, 512, 400)).save(photos / "2-other.png")
    without_face().crop((0, 0, 200, 80)).save(photos / "3-small.png")
    portrait().filter(ImageFilter.GaussianBlur(5)).save(photos / "4-blurred.png")
    ImageEnhance.Brightness(portrait()).enhance(0.9).save(photos / "5-again.png")
    report = run(photos, tmp_path / "out", size=36, crop=90)
    assert (report.photos, report.faces, report.faceless) == (5, 2, 0)
    kept = rows(tmp_path / "out" / "metadata.csv")
    assert [(row["source"], row["left"], row["top"]) for row in kept] == [
        ("1.png", "55.00", "55.00"),
        ("2-other.png", "211.00", "155.00"),
    ]
    assert {kept[0][name] for name in ("confidence", "left_eye_x", "right_mouth_y")} == {""}
    middle = portrait().crop((55, 55, 145, 145)).resize((36, 36), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "000001.png"), np.asarray(middle))
    reasons = rejections(tmp_path / "out")
    assert reasons["3-small.png"] == "too small: 200x80 px, less than --crop 90"
    assert reasons["4-blurred.png"].startswith("too blurred")
    assert reasons["5-again.png"] == "near-duplicate: of 000001.png"
    assert faces.open_faces(tmp_path / "out", 36).alignment == {"layout": "center-crop-1", "size": 36, "crop": 90}


def test_center_crops_and_detected_faces_are_not_mixed(tmp_path):
    photos = different_faces(tmp_path / "photos", 1)
    run(photos, tmp_path / "out", size=36, crop=90)
    assert run(photos, tmp_path / "out", size=36, crop=90).was_complete
    with pytest.raises(OutputExists, match="crop was 90, now 100"):
        run(photos, tmp_path / "out", size=36, crop=100)
    with pytest.raises(OutputExists, match="frame was None"):
        run(photos, tmp_path / "out", size=36)
    with pytest.raises(BadOption, match="never enlarged"):
        run(photos, tmp_path / "other", size=64, crop=48)


def test_faces_beyond_the_photo_are_counted_and_refused(tmp_path):
    portrait().crop((0, 35, 200, 200)).save(tmp_path / "tight.png")
    kept = run(tmp_path / "tight.png", tmp_path / "kept", size=48, frame=3.48)
    (row,) = rows(tmp_path / "kept" / "metadata.csv")
    assert 0 < float(row["fill"]) < 0.2
    assert (kept.filled, kept.mean_fill) == (1, float(row["fill"]))
    header = json.loads((tmp_path / "kept" / "faces.json").read_text())
    assert (header["counts"]["filled"], header["settings"]["max_fill"]) == (1, 0.2)
    assert "1 faces reach beyond their photo" in (tmp_path / "kept" / "report.html").read_text()
    refused = run(tmp_path / "tight.png", tmp_path / "refused", size=48, max_fill=0.01, frame=3.48)
    assert refused.rejected == {"beyond the photo": 1}
    (reason,) = rejections(tmp_path / "refused").values()
    assert reason.startswith(f"beyond the photo: {float(row['fill']):.0%} of the crop, more than --max-fill 0.01")
    tight = run(tmp_path / "tight.png", tmp_path / "framed", size=48, max_fill=0.01)
    assert (tight.faces, tight.filled, tight.fill_summary()) == (1, 0, None)


def test_photos_on_their_side_give_upright_faces_with_any_number_of_workers(tmp_path):
    photos = different_faces(tmp_path / "photos", 4)
    for turns, path in enumerate(sorted(photos.iterdir())):
        Image.open(path).rotate(90 * turns, expand=True).save(path)
    assert run(photos, tmp_path / "one", workers=1).faces == 4
    run(photos, tmp_path / "three", workers=3)
    assert content(tmp_path / "one") == content(tmp_path / "three")
    first, *others = [read_picture(tmp_path / "one" / f"{n:06d}.png").astype(int)[12:52, 16:48] for n in (1, 2, 3, 4)]
    for crop in others:
        for wrong in (crop[::-1], crop.transpose(1, 0, 2)[:32, :32]):
            assert abs(crop - first).mean() < abs(wrong - first[: len(wrong), : len(wrong[0])]).mean() / 2


def test_videos_are_searched_by_frames(tmp_path):
    frames = [np.asarray(portrait())] * 3 + [np.asarray(without_face())] * 3
    write_video(tmp_path / "video.mp4", frames)
    report = run(tmp_path / "video.mp4", tmp_path / "out", every=2)
    assert report.photos == 3
    assert [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")] == ["video.mp4#000000"]
    assert rejections(tmp_path / "out") == {
        "video.mp4#000002": "near-duplicate: of 000001.png",
        "video.mp4#000004": "no face found",
    }


def test_workers_and_zips_do_not_change_the_result(tmp_path):
    photos = different_faces(tmp_path / "photos", 5)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in photos.iterdir():
            archive.write(path, path.name)
    run(photos, tmp_path / "one", workers=1)
    run(photos, tmp_path / "three", workers=3)
    run(tmp_path / "photos.zip", tmp_path / "zip")
    assert content(tmp_path / "one") == content(tmp_path / "three")
    pictures = [name for name in content(tmp_path / "one") if name.endswith(("png", "csv"))]
    assert all(content(tmp_path / "zip")[name] == content(tmp_path / "one")[name] for name in pictures)


class Killed(BaseException):
    """Represents anything that ends a process between two lines."""


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(collect, "BATCH_SIZE", 2)


def uninterrupted(folder, **options):
    """Photos, and the files that an extraction without a break makes of them."""
    photos = different_faces(folder / "photos", 7)
    without_face().save(photos / "003-none.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "BATCH_SIZE", 2)  # as in `small_batches`: rounding differs with the batch
        run(photos, folder / "out", **options)
    return photos, content(folder / "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return uninterrupted(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_of_crops(tmp_path_factory):
    """The same without a search for faces, which takes less time."""
    return uninterrupted(tmp_path_factory.mktemp("crops"), crop=200)


def interrupted(monkeypatch, photos, out, after, error=Killed, **options):
    """Extract until `after` pictures are written, then fail at the next one; returns the error message."""
    written = []
    write = type(out).write_bytes

    def failing_write(path, data):
        if len(written) == after:
            raise error
        written.append(path)
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(out), "write_bytes", failing_write)
        with pytest.raises((Killed, KeyboardInterrupt, FacesmithError)) as caught:
            run(photos, out, **options)
    return str(caught.value)


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_resumed_extraction_is_byte_identical(tmp_path, monkeypatch, small_batches, whole, after):
    photos, expected = whole
    interrupted(monkeypatch, photos, tmp_path / "out", after)
    assert "faces.json" not in content(tmp_path / "out")
    run(photos, tmp_path / "out")
    assert content(tmp_path / "out") == expected


def test_a_folder_that_is_replaced_meanwhile_keeps_its_tables(tmp_path, monkeypatch, small_batches):
    photos = different_faces(tmp_path / "photos", 7)
    run(photos, tmp_path / "out")
    finished = content(tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "below")  # as on the disk below a network disk

    add, out = journal.add, tmp_path / "out"

    def add_and_lose_the_disk(*arguments):
        add(*arguments)
        if (tmp_path / "below").exists():
            shutil.move(out, tmp_path / "gone")
            shutil.move(tmp_path / "below", out)

    monkeypatch.setattr(journal, "add", add_and_lose_the_disk)
    with pytest.raises(FacesmithError, match=r"extract\.jsonl: No such file.* the extraction resumes"):
        run(photos, out)
    assert content(out) == finished
    shutil.rmtree(out)
    shutil.move(tmp_path / "gone", out)
    run(photos, out)
    assert content(out) == finished


@pytest.mark.parametrize("cut_bytes", [1, 40])
def test_incomplete_journal_line_is_repeated(tmp_path, monkeypatch, small_batches, cut_bytes):
    photos = different_faces(tmp_path / "photos", 6)
    run(photos, tmp_path / "whole")
    interrupted(monkeypatch, photos, tmp_path / "out", 5)
    path = tmp_path / "out" / JOURNAL_NAME
    path.write_bytes(path.read_bytes()[:-cut_bytes])
    run(photos, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_empty_pictures_after_a_power_cut_are_written_again(tmp_path, monkeypatch, small_batches):
    photos = different_faces(tmp_path / "photos", 6)
    run(photos, tmp_path / "whole")
    interrupted(monkeypatch, photos, tmp_path / "out", 5)
    (tmp_path / "out" / "000002.png").write_bytes(b"")
    run(photos, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_full_disk_loses_nothing(tmp_path, monkeypatch, small_batches):
    photos = different_faces(tmp_path / "photos", 6)
    run(photos, tmp_path / "whole")
    message = interrupted(monkeypatch, photos, tmp_path / "out", 3, OSError(28, "No space left on device"))
    assert "No space left on device" in message
    assert "run the same command again" in message
    run(photos, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("finished", [False, True])
def test_force_can_be_killed_at_any_file_operation_and_repeated(tmp_path, monkeypatch, small_batches, finished):
    photos = different_faces(tmp_path / "photos", 4)
    few = different_faces(tmp_path / "few", 2)
    run(few, tmp_path / "whole", crop=48, size=16)
    if finished:
        run(photos, tmp_path / "old")
    else:
        interrupted(monkeypatch, photos, tmp_path / "old", 3)
    with faulty(Disk(out := shutil.copytree(tmp_path / "old", tmp_path / "out"))) as disk:
        run(few, out, force=True, crop=48, size=16)
    assert disk.operations > 15
    for at in range(disk.operations):
        out = shutil.copytree(tmp_path / "old", tmp_path / f"{at}")
        with faulty(Disk(out, KILLED, at)), suppress(KilledAtDisk):
            run(few, out, force=True, crop=48, size=16)
        run(few, out, force=True, crop=48, size=16)
        assert content(out) == content(tmp_path / "whole"), f"operation {at}"


def test_deleted_crops_stay_deleted(tmp_path, monkeypatch, small_batches):
    photos = different_faces(tmp_path / "photos", 6)
    interrupted(monkeypatch, photos, tmp_path / "out", 5)
    (tmp_path / "out" / "000001.png").unlink()
    run(photos, tmp_path / "out")
    (tmp_path / "out" / "000006.png").unlink()
    assert run(photos, tmp_path / "out").was_complete
    assert not {"000001.png", "000006.png"} & content(tmp_path / "out").keys()


def test_ctrl_c_says_how_to_resume(tmp_path, monkeypatch, small_batches):
    photos = different_faces(tmp_path / "photos", 6)
    output = io.StringIO()
    monkeypatch.setattr(sys.modules[__name__], "QUIET", Console(file=output, width=200))
    interrupted(monkeypatch, photos, tmp_path / "out", 3, KeyboardInterrupt)
    assert output.getvalue() == "Stopped after 2 photos. To resume, run the same command without --force.\n"


def test_killed_process_is_resumed(tmp_path):
    photos = different_faces(tmp_path / "photos", 20)
    run(photos, tmp_path / "whole")
    script = f"""
        from pathlib import Path
        from rich.console import Console
        from facesmith.photos import collect, extract
        collect.BATCH_SIZE, quiet = 1, Console(quiet=True)
        extract.extract(Path({str(photos)!r}), Path({str(tmp_path / "out")!r}), size=64, workers=1, console=quiet)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "000003.png").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "out" / JOURNAL_NAME).exists()
    report = run(photos, tmp_path / "out")
    assert report.faces == 20 == len(rows(tmp_path / "out" / "metadata.csv"))
    for name in ("metadata.csv", "rejected.csv"):
        assert [row["source"] for row in rows(tmp_path / "out" / name)] == [
            row["source"] for row in rows(tmp_path / "whole" / name)
        ]


def test_force_is_not_advised_where_it_would_be_refused(tmp_path):
    photo().save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    for force in (False, True):
        with pytest.raises(OutputExists, match=r"even --force keeps it\. Choose another --out\."):
            run(tmp_path / "a.png", tmp_path / "out", force=force)


def test_finished_extraction_is_not_touched(tmp_path):
    photo().save(tmp_path / "a.png")
    first = run(tmp_path / "a.png", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = run(tmp_path / "a.png", tmp_path / "out", workers=1)
    assert again.was_complete
    assert (again.faces, again.photos) == (first.faces, first.photos)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_an_error_that_names_them(tmp_path, monkeypatch, finished):
    photos = different_faces(tmp_path / "photos", 2)
    if finished:
        run(photos, tmp_path / "out")
    else:
        interrupted(monkeypatch, photos, tmp_path / "out", 1)
    with pytest.raises(OutputExists, match="size was 64, now 32, min_face was 40, now 50"):
        run(photos, tmp_path / "out", size=32, min_face=50)
    portrait().rotate(5).save(photos / "new.png")
    with pytest.raises(OutputExists, match="the files in PHOTOS have changed"):
        run(photos, tmp_path / "out")


def test_other_files_are_not_overwritten(tmp_path):
    photo().save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "000001.png").write_text("mine")
    with pytest.raises(OutputExists):
        run(tmp_path / "a.png", tmp_path / "out")
    assert (tmp_path / "out" / "000001.png").read_text() == "mine"


def test_force_replaces_an_extraction_and_nothing_else(tmp_path):
    photos = different_faces(tmp_path / "photos", 3)
    run(photos, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for path in list(photos.iterdir())[1:]:
        path.unlink()
    report = run(photos, tmp_path / "out", size=32, force=True)
    assert report.faces == 1
    assert set(content(tmp_path / "out")) == TABLES | {"000001.png", "notes.txt"}


def test_second_process_on_the_same_folder_is_an_error(tmp_path, monkeypatch):
    photo().save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    lock = filelock.FileLock(tmp_path / "out" / ".extract.lock")
    with lock, pytest.raises(FacesmithError, match="Another process"):
        run(tmp_path / "a.png", tmp_path / "out")
    assert run(tmp_path / "a.png", tmp_path / "out").faces == 1
    with lock, pytest.raises(FacesmithError, match="Another process"):  # other settings, but it is running
        run(tmp_path / "a.png", tmp_path / "out", size=32)
    with pytest.raises(OutputExists, match="add --force"):
        run(tmp_path / "a.png", tmp_path / "out", size=32)


@pytest.mark.parametrize("options", [{}, {"shards": 5}])
def test_a_system_that_removes_no_open_file_finishes_the_extraction(tmp_path, monkeypatch, options):
    photos, unlink = different_faces(tmp_path / "photos", 2), Path.unlink

    def refusing(path, missing_ok=False):
        if path.name == LOCK_NAME:
            raise PermissionError(13, "The process cannot access the file", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    monkeypatch.setattr("facesmith.photos.extract.choose_engine", lambda *_: run_here)
    assert run(photos, tmp_path / "out", crop=64, **options).photos == 2
    assert run(photos, tmp_path / "out", crop=64, **options).was_complete


@pytest.mark.parametrize(
    "options",
    [
        {"size": 8},
        {"size": 512},
        {"frame": 1.9},
        {"frame": 17.0},
        {"max_fill": 1.1},
        {"faces": "both"},
        {"min_face": 5},
        {"threshold": 1.0},
        {"every": 0},
        {"workers": 0},
    ],
)
def test_values_out_of_range_are_errors(tmp_path, options):
    photo().save(tmp_path / "a.png")
    with pytest.raises(BadOption, match=f"--{next(iter(options)).replace('_', '-')}"):
        run(tmp_path / "a.png", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_output_must_not_be_the_photo_folder(tmp_path):
    photo().save(tmp_path / "a.png")
    with pytest.raises(BadOption, match="is the folder of the photos"):
        run(tmp_path, tmp_path, force=True)


@pytest.mark.parametrize("pictures", [True, False])
def test_report_without_pictures_shows_no_photos(tmp_path, pictures):
    photos = different_faces(tmp_path / "photos", 2)
    without_face().save(photos / "none.png")
    run(photos, tmp_path / "out", pictures=pictures)
    text = (tmp_path / "out" / "report.html").read_text()
    assert ("data:image" in text) is pictures
    assert "no face found" in text


def test_pictures_can_be_left_out_of_the_report_of_a_finished_extraction(tmp_path):
    photos = different_faces(tmp_path / "photos", 2)
    run(photos, tmp_path / "out", crop=64)
    before = content(tmp_path / "out")
    assert run(photos, tmp_path / "out", crop=64, pictures=False).was_complete
    after = content(tmp_path / "out")
    run(photos, tmp_path / "without", crop=64, pictures=False)
    assert after.pop("report.html") == content(tmp_path / "without")["report.html"] != before.pop("report.html")
    assert after == before


def test_file_names_that_are_not_unicode_are_supported(tmp_path):
    try:
        portrait().save(os.fsencode(tmp_path) + b"/caf\xe9.png", "PNG")
    except OSError:
        pytest.skip("this file system accepts only Unicode names")
    run(tmp_path, tmp_path / "out")
    assert rows(tmp_path / "out" / "metadata.csv")[0]["source"] == "caf\\udce9.png"


def test_real_portraits_have_faces_and_landscapes_have_none(tmp_path):
    with zipfile.ZipFile(shared("photos.zip")) as archive:
        for name in archive.namelist():
            if "portraits" in name or "no_face" in name:
                archive.extract(name, tmp_path)
    portraits = run(tmp_path / "photos" / "portraits", tmp_path / "a")
    assert (portraits.photos, portraits.faceless) == (36, 0)
    landscapes = run(tmp_path / "photos" / "no_face", tmp_path / "b")
    assert landscapes.photos - landscapes.faceless <= 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_that_a_spreadsheet_saved_is_kept_and_replaced_by_force(tmp_path, encoding, separator):
    photos, out = different_faces(tmp_path / "photos", 2), tmp_path / "out"
    run(photos, out)
    before = content(out)
    table = rows(out / "metadata.csv")
    lines = [separator.join((*table[0], "smiling")), *(separator.join((*row.values(), "1")) for row in table)]
    saved = "\r\n".join(lines).encode(encoding)
    (out / "metadata.csv").write_bytes(saved)
    assert run(photos, out).was_complete
    assert (out / "metadata.csv").read_bytes() == saved
    (out / "000002.png").rename(out / "000007.png")  # the table no longer lists it, so it is not a file of extract
    (out / "metadata.csv").write_bytes("\r\n".join([*lines, lines[-1].replace("000002", "000003")]).encode(encoding))
    (out / "000003.png").write_bytes(b"")
    run(photos, out, force=True)
    assert content(out) == before | {"000007.png": before["000002.png"]}


def test_force_over_two_damaged_tables_keeps_the_folder_and_says_why(tmp_path):
    photos, out = different_faces(tmp_path / "photos", 1), tmp_path / "out"
    run(photos, out)
    for name in ("faces.json", "metadata.csv"):
        (out / name).write_bytes(b"\xff")
    before = content(out)
    with pytest.raises(OutputExists, match=r"faces\.json and metadata\.csv are both damaged"):
        run(photos, out, force=True)
    assert content(out) == before


def test_an_output_below_a_file_names_the_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputExists, match=r"file is a file\. Choose another --out"):
        run(different_faces(tmp_path / "photos", 1), tmp_path / "file" / "faces")


def test_force_does_not_touch_other_folders(tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "metadata.csv").write_text("file_name,age\n000001.png,30\n")
    (out / "000001.png").write_bytes(b"mine")
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(FacesmithError):
        extract(photos, out, force=True, console=Console(quiet=True))
    assert (out / "000001.png").read_bytes() == b"mine"
    assert (out / "metadata.csv").read_text().startswith("file_name,age")


@pytest.mark.parametrize(
    "damage",
    [
        {"n_photos": "2"},
        {"n_photos": -1},
        {"kept": 5},
        {"kept": [["../photos/000.png", "x"]]},
        {"hashes": ["zz"]},
        {"sizes_bytes": []},
        {"fills": []},
        {"fills": [2.0]},
        {"rejected": [["a.png", "too small", 3]]},
        {"rejected": [["a.png", "too small", "no base64!"]]},
    ],
)
def test_a_damaged_journal_is_repeated_from_the_damage(tmp_path, monkeypatch, small_batches, whole_of_crops, damage):
    (photos, expected), out = whole_of_crops, tmp_path / "out"
    interrupted(monkeypatch, photos, out, 6, crop=200)
    lines = (out / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    assert len(list(journal.records(out))) == 3
    lines[2] = json.dumps({**json.loads(lines[2]), **damage}).encode() + b"\n"
    (out / JOURNAL_NAME).write_bytes(b"".join(lines))
    assert len(list(journal.records(out))) == 1
    run(photos, out, crop=200)
    assert content(out) == expected


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("first_line", [b"", b"[1]\n", b"{}\n", b"\xff\n", b"[" * 9999 + b"\n", b'{"size": NaN}\n'])
def test_a_journal_with_damaged_settings_gives_one_line_or_starts_over(tmp_path, force, first_line):
    photos = different_faces(tmp_path / "photos", 1)
    out = tmp_path / "out"
    out.mkdir()
    (out / JOURNAL_NAME).write_bytes(first_line + b'{"n_photos": 1, "n_unreadable": 0, "n_faceless": 1}\n')
    try:
        report = run(photos, out, force=force)
    except OutputExists as error:
        assert not force
        assert "--force" in str(error)
    else:
        assert report.faces == 1


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"settings": {}}', b"\xff", b"[" * 9999, b'{"settings": ' + b"9" * 5000 + b"}"],
)
def test_a_damaged_faces_json_names_the_fault_and_force_extracts_again(tmp_path, damage):
    photos, out = different_faces(tmp_path / "photos", 1), tmp_path / "out"
    run(photos, out)
    before = content(out)
    (out / "faces.json").write_bytes(damage)
    with pytest.raises(OutputExists, match=r"faces\.json can't be used: .* --force"):
        run(photos, out)
    run(photos, out, force=True)
    assert content(out) == before


@pytest.mark.parametrize("table", [b"\xff\xfe\x00", b'file_name,affine_00\n"000001.png', b"x" * 200_000])
def test_force_replaces_an_extraction_with_a_damaged_table(tmp_path, table):
    photos, out = different_faces(tmp_path / "photos", 2), tmp_path / "out"
    run(photos, out)
    before = content(out)
    (out / "metadata.csv").write_bytes(table)
    run(photos, out, force=True)
    assert content(out) == before


def labeled_photos(folder, table, name="metadata.csv"):
    different_faces(folder, 3)
    (folder / "sub").mkdir()
    (folder / "000.png").rename(folder / "sub" / "000.png")
    (folder / name).write_text(table)
    return folder


def test_labels_of_photos_are_carried_over_to_their_faces(tmp_path):
    table = "File;Smiling;Age Group;blur;person\n000;1;30-39;x;Ann\nsub\\002.PNG;0;20-29;x;Ben\nzz.png;1;;;\n"
    photos = labeled_photos(tmp_path / "photos", table)
    output = io.StringIO()
    report = run(photos, tmp_path / "out", console=Console(file=output, width=300))
    assert report.ignored == {}
    table = rows(tmp_path / "out" / "metadata.csv")
    kept = {row["source"]: (row["Smiling"], row["Age Group"], row["person"]) for row in table}
    assert kept == {"001.png": ("", "", ""), "002.png": ("0", "20-29", "Ben"), "sub/000.png": ("1", "30-39", "Ann")}
    assert output.getvalue().splitlines()[:4] == [
        "notice: metadata.csv: rows whose picture does not exist: 1, such as zz.png",
        "notice: 1 of 3 pictures have no row in metadata.csv",
        "notice: columns that extract writes itself are not carried over: blur",
        "notice: labels of 2 photos are carried over from metadata.csv: Smiling, Age Group, person",
    ]
    opened = faces.open_faces(tmp_path / "out", 64)
    known = {name: np.nan_to_num(column, nan=-1).tolist() for name, column in opened.attributes.items()}
    assert known == {"smiling": [-1, 0, 1], "age_group=20-29": [-1, 1, 0], "age_group=30-39": [-1, 0, 1]}
    assert opened.groups[1:] == ["person/Ben", "person/Ann"]


def test_folders_of_photos_become_labels_of_their_faces(tmp_path):
    folder = labeled_photos(tmp_path / "photos", "")
    (folder / "metadata.csv").unlink()
    for name, number in (("happy", "001"), ("sad", "002")):
        (folder / name).mkdir()
        (folder / f"{number}.png").rename(folder / name / f"{number}.png")
    (folder / "sub").rename(folder / "train")
    run(folder, tmp_path / "out", console=QUIET)
    kept = {row["source"]: (row["happy"], row["sad"]) for row in rows(tmp_path / "out" / "metadata.csv")}
    assert kept == {"happy/001.png": ("1", "0"), "sad/002.png": ("0", "1"), "train/000.png": ("0", "0")}


def test_folders_that_become_no_labels_are_explained(tmp_path):
    for i in range(65):
        (tmp_path / "photos" / f"street {i}").mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "photos" / f"street {i}" / "photo.png")
    output = io.StringIO()
    run(tmp_path / "photos", tmp_path / "out", size=16, crop=16, console=Console(file=output, width=300))
    assert "notice: 65 folders are not classes, because they are more than 64\n" in output.getvalue()


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("list_attr_celeba.txt", "3\nSmiling\n000.png 1\n001.png -1\n002.png 1\n"),
        ("dataset.json", json.dumps({"labels": [["sub/000.png", 1], ["001.png", 0], ["002.png", 1]]})),
    ],
)
def test_every_kind_of_label_table_is_carried_over(tmp_path, name, table):
    run(labeled_photos(tmp_path / "photos", table, name), tmp_path / "out")
    (column,) = faces.open_faces(tmp_path / "out", 64).attributes.values()
    assert column.tolist() == [0, 1, 1]


def test_changed_labels_are_not_taken_for_the_same_extraction(tmp_path):
    photos = labeled_photos(tmp_path / "photos", "file,smiling\n000.png,1\n")
    run(photos, tmp_path / "out")
    assert run(photos, tmp_path / "out").was_complete
    (photos / "metadata.csv").write_text("file,smiling\n000.png,0\n")
    with pytest.raises(OutputExists, match="the files in PHOTOS have changed"):
        run(photos, tmp_path / "out")
    run(photos, tmp_path / "out", force=True)
    assert rows(tmp_path / "out" / "metadata.csv")[2]["smiling"] == "0"


def test_extracting_from_extracted_faces_is_named(tmp_path):
    photos, log = tmp_path / "photos", io.StringIO()
    photos.mkdir()
    for i in range(3):
        Image.effect_noise((120, 120), 40 + i).save(photos / f"{i}.png")
    for source, out in ((photos, "first"), (tmp_path / "first", "second")):
        assert "cut out again" not in log.getvalue()
        run(source, tmp_path / out, size=36, crop=36, console=Console(file=log, width=999))
    assert f"facesmith train --data {tmp_path / 'first'}" in log.getvalue()


def test_folders_that_extract_wrote_inside_the_photos_are_left_aside(tmp_path):
    photos = different_faces(tmp_path / "photos", 3)
    run(photos, photos / "faces", crop=64)
    report = run(photos, photos / "small", size=36, crop=64)
    assert report.photos == 3
    assert report.ignored == {"in a folder that extract wrote": 5}  # a face and four tables
    assert run(photos, photos / "faces", crop=64).was_complete


@pytest.mark.parametrize("options", [{}, {"shards": 2}])
@pytest.mark.parametrize("journal_name", [JOURNAL_NAME, CLEARED_JOURNAL_NAME])
def test_an_unfinished_extraction_inside_the_photos_is_left_aside(tmp_path, monkeypatch, options, journal_name):
    def stop(*_):
        raise Killed

    photos, whole = different_faces(tmp_path / "photos", 3), different_faces(tmp_path / "whole", 3)
    monkeypatch.setattr("facesmith.photos.extract.choose_engine", lambda *_: run_here)
    with monkeypatch.context() as patch:
        patch.setattr("facesmith.photos.faces_folder.finish", stop)
        with pytest.raises(Killed):
            run(photos, photos / "faces", crop=64, **options)
    (photos / "faces" / JOURNAL_NAME).rename(photos / "faces" / journal_name)
    report = run(photos, photos / "small", size=36, crop=64)
    assert report.photos == 3
    assert report.ignored == {"folder of an unfinished extraction": 1}
    run(whole, tmp_path / "small", size=36, crop=64)
    assert rows(photos / "small" / "metadata.csv") == rows(tmp_path / "small" / "metadata.csv")


def test_archives_that_are_left_out_are_named_before_the_work(tmp_path, monkeypatch):
    def stop(*_):
        raise Killed

    photos = different_faces(tmp_path / "photos", 1)
    for name in ("a.zip", "b.zip", "c.zip"):
        with zipfile.ZipFile(photos / name, "w") as archive:
            archive.write(photos / "000.png", "000.png")
    monkeypatch.setattr("facesmith.storage.open_store.MAX_INNER", 1)
    monkeypatch.setattr(journal, "begin", stop)
    output = io.StringIO()
    with pytest.raises(Killed):
        run(photos, tmp_path / "out", crop=64, console=Console(file=output, width=300))
    assert output.getvalue().startswith(
        "notice: archives that are not searched: 2. Most frequent reason: an archive too many or too deep (limits 1"
    )


def test_generated_photos_are_counted(tmp_path):
    (tmp_path / "photos").mkdir()
    for number, (name, entries) in enumerate({"a.png": {"Synthetic": "true"}, "b.jpg": {}, "c.png": {}}.items()):
        pixels = np.asarray(portrait().rotate(20 * number))
        write_picture(tmp_path / "photos" / name, pixels, entries)
    for _ in range(2):  # the second time it is complete already
        notice = run(tmp_path / "photos", tmp_path / "out", crop=64).generated_notice()
        assert notice is not None
        assert notice.startswith("1 of 3 photos contain faces that Facesmith generated")
    (tmp_path / "photos" / "a.png").unlink()
    assert run(tmp_path / "photos", tmp_path / "real", crop=64).generated_notice() is None


def test_a_drive_that_is_unplugged_ends_the_extraction_which_resumes(tmp_path, monkeypatch):
    different_faces(tmp_path / "stick", 40)
    expected = tmp_path / "undisturbed"
    run(tmp_path / "stick", expected, crop=64, pictures=False)
    read = store.read_file

    def unplugged(path):
        if path.name == "035.png":
            (tmp_path / "stick").rename(tmp_path / "away")
        return read(path)

    monkeypatch.setattr(store, "read_file", unplugged)
    with pytest.raises(FacesmithError, match="stick disappeared"):
        run(tmp_path / "stick", tmp_path / "out", crop=64, pictures=False, workers=1)
    monkeypatch.undo()
    (tmp_path / "away").rename(tmp_path / "stick")
    run(tmp_path / "stick", tmp_path / "out", crop=64, pictures=False)
    assert content(tmp_path / "out") == content(expected)


def test_equal_reasons_count_together_and_commands_stay_whole():
    cut = [unreadable_reason(f"unreadable: damaged: truncated ({n} bytes, {n}x{n} pixels)") for n in (9, 120)]
    assert cut == ["damaged: truncated (… bytes, … pixels)"] * 2
    command = "AVIF needs a newer Pillow: pip install 'pillow>=11.3'"
    assert unreadable_reason(f"unreadable: {command}") == command
    assert unreadable_reason("too small: 20 px") == ""
