"""Faces in shards: the same faces whatever the engine, the workers and the interruptions."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import different_faces, photo, without_face, write_video
from rich.console import Console

from facesmith.errors import BadData, BadOption, FacesmithError, MissingExtra, OutputExists
from facesmith.photos import extract as extract_module
from facesmith.photos import extract_shard as extract_shard_module
from facesmith.photos import extract_shards as extract_shards_module
from facesmith.photos import local_engine, ray_engine, shard_files
from facesmith.photos.crop import AlignedCropper
from facesmith.photos.extract import extract
from facesmith.photos.extract_shard import extract_shard
from facesmith.photos.shard_notes import note_file, read_note
from facesmith.pictures.images import read_picture

QUIET = Console(quiet=True)


def run_here(job, slices):
    """An engine in this process."""
    for part in slices:
        yield frozenset([part.number])
        extract_shard(job, part)
    yield frozenset()


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)


def run(photos, out, **options):
    return extract(photos, out, **{"size": 64, "shards": 2, "console": QUIET, **options})


def content(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def rows(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five photos of one face each, one without a face, and a damaged one."""
    folder = different_faces(tmp_path_factory.mktemp("many") / "photos", 5)
    without_face().save(folder / "002b.png")
    (folder / "003b.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    return folder


def test_shards_have_the_faces_of_a_folder(tmp_path, photos, in_process):
    report = run(photos, tmp_path / "shards", shards=3)
    plain = extract(photos, tmp_path / "plain", size=64, console=QUIET, workers=1)
    assert (report.photos, report.faces, report.rejected) == (plain.photos, plain.faces, plain.rejected)
    names = {"faces.json", "metadata.csv", "rejected.csv", "report.html"}
    shards = {f"{number:05d}.{ending}" for number in range(3) for ending in ("tar", "json")}
    assert set(content(tmp_path / "shards")) == names | shards
    in_shards, in_folder = rows(tmp_path / "shards" / "metadata.csv"), rows(tmp_path / "plain" / "metadata.csv")
    for row, other in zip(in_shards, in_folder, strict=True):
        assert row.pop("split") in ("train", "validation", "test")
        tar, member = row.pop("file_name").split("/")
        with tarfile.open(tmp_path / "shards" / tar) as archive:
            png = archive.extractfile(member).read()
        assert shard_files.read_picture(tmp_path / "shards", f"{tar}/{member}") == png
        pixels = read_picture(png).astype(int)
        # The detector's last digits depend on the batch.
        assert abs(pixels - read_picture(tmp_path / "plain" / other.pop("file_name"))).max() <= 2
        for name, value in row.items():
            assert value == other[name] or float(value) == pytest.approx(float(other[name]), abs=0.02), name
    assert rows(tmp_path / "shards" / "rejected.csv") == rows(tmp_path / "plain" / "rejected.csv")
    header = json.loads((tmp_path / "shards" / "faces.json").read_text())
    assert header["settings"]["shards"] == 3
    assert sum(header["split"]["counts"].values()) == 5


def test_a_tar_describes_each_face_beside_its_picture(tmp_path, photos, in_process):
    (tmp_path / "photos").mkdir()
    photo().save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,smiling,age\na.png,1,40s\n")
    run(tmp_path / "photos", tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "00000.tar") as archive:
        assert archive.getnames() == ["00000-00000.png", "00000-00000.json"]
        assert {member.mtime for member in archive} == {0}
        face = json.loads(archive.extractfile("00000-00000.json").read())
    (row,) = rows(tmp_path / "out" / "metadata.csv")
    assert face["source"] == "a.png"
    assert face["labels"] == {"smiling": "1", "age": "40s"}
    assert (row["smiling"], row["age"]) == ("1", "40s")
    assert face["box"] == [float(row[name]) for name in ("left", "top", "width", "height")]
    assert face["landmarks"][0] == [float(row["left_eye_x"]), float(row["left_eye_y"])]
    assert face["transform"][1][2] == float(row["affine_12"])
    assert (face["blur"], face["fill"], len(face["hash"])) == (float(row["blur"]), float(row["fill"]), 64)


def test_webdataset_readers_open_the_shards(tmp_path, photos, in_process):
    datasets = pytest.importorskip("datasets")
    run(photos, tmp_path / "out", shards=10)
    tar = str(tmp_path / "out" / "00000.tar")
    faces = datasets.load_dataset(
        "webdataset", data_files=[tar], split="train", cache_dir=tmp_path / "cache", streaming=True
    )
    first = next(iter(faces))
    assert (first["__key__"], first["png"].size, first["json"]["source"]) == ("00000-00000", (64, 64), "000.png")


@pytest.mark.parametrize("after", [0, 1, 2])
def test_interrupted_extraction_resumes_with_the_shards_that_are_missing(
    tmp_path, photos, in_process, monkeypatch, after
):
    run(photos, tmp_path / "straight")
    done = []

    def stop_after(job, slices):
        for part in slices:
            if len(done) == after:
                (job.out / ".00009.tar.4194305-1.part").write_bytes(b"x")
                raise KeyboardInterrupt
            yield frozenset([part.number])
            extract_shard(job, part)
            done.append(part.number)
        yield frozenset()

    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: stop_after)
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path / "out")
    with pytest.raises(OutputExists, match="shards was 2, now 3"):
        run(photos, tmp_path / "out", shards=3)
    with pytest.raises(OutputExists, match="shards was 2, now None"):
        run(photos, tmp_path / "out", shards=None)
    resumed = []

    def watched(job, slices):
        for part in slices:
            resumed.append(part.number)
            yield frozenset([part.number])
            extract_shard(job, part)
        yield frozenset()

    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: watched)
    run(photos, tmp_path / "out")
    assert resumed == [number for number in range(4) if number not in done]
    assert content(tmp_path / "out") == content(tmp_path / "straight")
    assert run(photos, tmp_path / "out").was_complete


def test_a_shard_that_a_network_disk_shows_late_is_waited_for(tmp_path, photos, monkeypatch):
    def late(job, slices):
        for part in slices:
            yield frozenset([part.number])
            extract_shard(job, part)
            record = job.out / f"{part.number:05d}.json"
            threading.Timer(0.1, record.rename(tmp_path / "hidden").rename, [record]).start()
        yield frozenset()

    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: late)
    monkeypatch.setattr(extract_shards_module, "RETRY_SECONDS", 0.01)
    assert run(photos, tmp_path / "out", shards=10).faces == 5


def damage(out, fault):
    tar, record = out / "00001.tar", out / "00001.json"
    if fault == "truncated tar":
        os.truncate(tar, 1000)
    elif fault == "missing tar":
        tar.unlink()
    elif fault == "record of another shard":
        record.write_bytes((out / "00000.json").read_bytes())
    elif fault == "record without a face":
        values = json.loads(record.read_text())
        values["record"]["kept"].pop()
        record.write_text(json.dumps(values))
    elif fault == "record of other settings":
        values = json.loads(record.read_text())
        record.write_text(json.dumps(values | {"settings": "0" * 16}))
    else:
        record.write_bytes(record.read_bytes()[:-20])


FAULTS = {
    "truncated tar": "00001.tar has 1000 bytes",
    "missing tar": "00001.tar is missing",
    "record of another shard": "00001.json is the record of shard 00000",
    "record without a face": "00001.json lists its faces inconsistently",
    "record of other settings": "00001.json belongs to an extraction with other settings",
    "cut record": "00001.json can't be used",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_shard_is_named_and_extracted_again(tmp_path, photos, in_process, fault, capsys):
    run(photos, tmp_path / "out")
    whole = content(tmp_path / "out")
    (tmp_path / "out" / "faces.json").unlink()
    settings = json.loads(whole["faces.json"])["settings"]
    (tmp_path / "out" / ".extract.jsonl").write_text(json.dumps(settings) + "\n")
    damage(tmp_path / "out", fault)
    run(photos, tmp_path / "out", console=Console(stderr=True, soft_wrap=True))
    assert FAULTS[fault] in capsys.readouterr().err
    assert content(tmp_path / "out") == whole


def test_near_duplicates_are_found_across_shards(tmp_path, in_process):
    folder = different_faces(tmp_path / "photos", 3)
    (folder / "003.png").write_bytes((folder / "000.png").read_bytes())
    report = run(folder, tmp_path / "out", shards=1)
    assert report.rejected == {"near-duplicate": 1}
    assert rows(tmp_path / "out" / "rejected.csv") == [
        {"source": "003.png", "reason": "near-duplicate: of 00000.tar/00000-00000.png"}
    ]
    assert [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")] == ["000.png", "001.png", "002.png"]


def test_videos_and_archives_in_the_folder_are_extracted(tmp_path, in_process):
    frames = [np.roll(np.asarray(photo()), shift, 1) for shift in (0, 60, 120)]
    (tmp_path / "photos").mkdir()
    write_video(tmp_path / "photos" / "b.mp4", frames)
    with tarfile.open(tmp_path / "photos" / "a.tar", "w") as archive:
        for path in sorted(different_faces(tmp_path / "others", 3).iterdir()):
            archive.add(path, path.name)
    report = run(tmp_path / "photos", tmp_path / "out", every=2, workers=1)
    plain = extract(tmp_path / "photos", tmp_path / "plain", size=64, every=2, workers=1, console=QUIET)
    assert (report.photos, report.faces) == (plain.photos, plain.faces) == (5, plain.faces)
    sources = [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")]
    assert sources == [row["source"] for row in rows(tmp_path / "plain" / "metadata.csv")]


class Ended(BaseException):
    """In place of the end of a worker's process."""


def test_a_photo_that_ends_its_worker_is_left_out_with_the_reason(tmp_path, photos, monkeypatch):
    process, deaths = AlignedCropper.process, []

    def deadly(cropper, batch):
        if "001.png" in [photo.source for photo in batch]:
            deaths.append([photo.source for photo in batch])
            raise Ended
        return process(cropper, batch)

    def retrying(job, slices):
        for part in slices:
            while True:
                try:
                    extract_shard(job, part)
                except Ended:
                    continue
                break
            yield frozenset()

    monkeypatch.setattr(AlignedCropper, "process", deadly)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: retrying)
    report = run(photos, tmp_path / "out", shards=3)
    assert deaths == [["000.png", "001.png", "002.png"]] * 2 + [["001.png"]]
    assert report.rejected["crash"] == 1
    assert {row["source"]: row["reason"] for row in rows(tmp_path / "out" / "rejected.csv")}["001.png"].startswith(
        "crash: "
    )
    assert [row["source"] for row in rows(tmp_path / "out" / "metadata.csv")] == [
        "000.png", "002.png", "003.png", "004.png",
    ]  # fmt: skip
    assert report.photos == 7


def test_workers_that_end_before_their_first_photo_are_an_error(tmp_path, photos, monkeypatch):
    def broken(*_):
        raise Ended

    def retrying(job, slices):
        part = next(slices)
        for _ in range(3):
            with pytest.raises(Ended):
                extract_shard(job, part)
        extract_shard(job, part)
        yield frozenset()

    monkeypatch.setattr(extract_shard_module, "reopen_source", broken)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: retrying)
    with pytest.raises(FacesmithError, match="3 processes ended before their first photo of shard 00000"):
        run(photos, tmp_path / "out")


def test_processes_give_the_same_faces_although_one_is_killed(tmp_path, photos, monkeypatch):
    started = []
    start = local_engine._Processes._start

    def watched(self):
        started.append(start(self))
        return started[-1]

    def run_and_kill(job, slices):
        for running in local_engine.run_local(job, slices, 1):
            if len(started) == 1 and read_note(note_file(job.out, 1)) is not None:
                started[0].kill()
            yield running

    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(local_engine._Processes, "_start", watched)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_and_kill)
    run(photos, tmp_path / "killed", shards=4)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    run(photos, tmp_path / "here", shards=4)
    assert content(tmp_path / "killed") == content(tmp_path / "here")


def test_workers_that_end_at_once_are_an_error(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(local_engine, "WORKER", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(FacesmithError, match="ends as soon as it starts"):
        run(photos, tmp_path / "out", workers=1)


def test_modules_in_the_current_folder_do_not_replace_those_of_a_worker(tmp_path, photos, monkeypatch):
    for name in ("random", "torch", "signal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    assert run(photos, tmp_path / "out", shards=10, workers=1).faces == 5


def test_ctrl_c_says_how_to_resume_shards_without_deleting_them(tmp_path, photos, monkeypatch):
    def stopped(job, slices):
        yield frozenset()
        raise KeyboardInterrupt

    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: stopped)
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path / "out", shards=4, force=True, console=Console(file=output, width=200))
    assert output.getvalue() == "Stopped after 0 of 2 shards. To resume, run the same command without --force.\n"


def test_force_replaces_shards_and_keeps_other_files(tmp_path, photos, in_process):
    run(photos, tmp_path / "out")
    whole = content(tmp_path / "out")
    (tmp_path / "out" / "00099.tar").write_bytes(b"mine")
    (tmp_path / "out" / "notes.json").write_text("{}")
    run(photos, tmp_path / "out", shards=4, force=True)
    assert {"00000.tar", "00001.tar", "00099.tar", "notes.json"} < set(content(tmp_path / "out"))
    assert "00002.tar" not in content(tmp_path / "out")
    (tmp_path / "out" / "00099.tar").unlink()
    (tmp_path / "out" / "notes.json").unlink()
    run(photos, tmp_path / "out", force=True)
    assert content(tmp_path / "out") == whole
    extract(photos, tmp_path / "out", size=64, console=QUIET, force=True, workers=1)
    assert not [name for name in content(tmp_path / "out") if name.startswith("0000") and "tar" in name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shards": None, "engine": "ray"}, "--engine ray needs --shards N"),
        ({"shards": 0}, "--shards must be 1 or more"),
        ({"engine": "spark"}, "--engine must be local or ray"),
        ({"address": "auto"}, "Add --engine ray"),
    ],
)
def test_options_that_do_not_fit_together_are_errors(tmp_path, photos, options, message):
    with pytest.raises(BadOption, match=message):
        run(photos, tmp_path / "out", **options)


def test_a_machine_without_the_output_or_with_other_versions_is_an_error(tmp_path, photos, monkeypatch):
    def elsewhere(job, slices):
        part = next(slices)
        other = replace(job, out=tmp_path / "not here")
        with pytest.raises(BadData, match=r"has no .*not here with this extraction.* network disk"):
            extract_shard(other, part)
        other = replace(job, versions=job.versions | {"torch": "1.0"})
        with pytest.raises(BadData, match=r"has torch .*, not 1\.0\. Install the same versions"):
            extract_shard(other, part)
        raise FacesmithError("seen")
        yield

    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: elsewhere)
    with pytest.raises(FacesmithError, match="seen"):
        run(photos, tmp_path / "out")


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("nonsense", BadOption, "must be auto or HOST:PORT"),
        ("10.0.0.1:99999999", BadOption, "must be auto or HOST:PORT"),
        ("127.0.0.1:1", FacesmithError, "There is no Ray cluster at 127.0.0.1:1"),
        ("auto", FacesmithError, "Ray can't be reached at auto"),
    ],
)
def test_an_address_without_a_cluster_is_an_error(tmp_path, photos, monkeypatch, address, error, message):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(error, match=message) as raised:
        run(photos, tmp_path / "out", engine="ray", address=address)
    assert "ray start --head" in str(raised.value) or error is BadOption


def test_without_ray_one_line_names_the_extra(tmp_path, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"^--engine ray needs an extra\. Run: pip install 'facesmith\[ray\]'$"):
        run(photos, tmp_path / "out", engine="ray")


def ray_of_the_caller(tasks, canceled):
    """In place of Ray with a connection of the caller: the first task fails, and the others go on."""

    def start(*_):
        tasks.append(FacesmithError(f"fault {len(tasks)}"))
        return tasks[-1]

    return SimpleNamespace(
        is_initialized=lambda: True,
        cluster_resources=lambda: {"CPU": 2},
        put=lambda value: value,
        get=lambda task: task,
        wait=lambda running, timeout: (running[:1], running[1:]),
        remote=lambda **_: lambda _: SimpleNamespace(remote=start),
        cancel=lambda task, force: canceled.append(task),
    )


def test_after_an_error_no_task_of_the_callers_ray_goes_on(tmp_path, photos, monkeypatch):
    tasks, canceled = [], []
    monkeypatch.setitem(sys.modules, "ray", ray_of_the_caller(tasks, canceled))
    with pytest.raises(FacesmithError, match="fault 0"):
        run(photos, tmp_path / "out", engine="ray")
    assert len(tasks) == 2
    assert canceled == tasks[1:]


@pytest.mark.slow
def test_ray_gives_the_same_faces(tmp_path, photos, monkeypatch):
    run(photos, tmp_path / "ray", shards=4, engine="ray", workers=1)
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    run(photos, tmp_path / "here", shards=4)
    assert content(tmp_path / "ray") == content(tmp_path / "here")


@pytest.mark.slow
def test_a_ray_cluster_that_loses_a_machine_gives_the_same_faces(tmp_path, photos, monkeypatch):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    connected = ray_engine.run_ray

    def losing_a_machine(job, slices):
        lost = False
        for running in connected(job, slices, cluster.address, None):
            if not lost and any(job.out.glob("*.tar")):
                cluster.remove_node(other, allow_graceful=False)
                lost = True
            yield running
        assert lost

    try:
        monkeypatch.setattr(extract_module, "choose_engine", lambda *_: losing_a_machine)
        run(photos, tmp_path / "ray", shards=1)
    finally:
        cluster.shutdown()
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    run(photos, tmp_path / "here", shards=1)
    assert content(tmp_path / "ray") == content(tmp_path / "here")


@pytest.mark.slow
def test_a_photo_that_kills_processes_of_ray_is_left_out(tmp_path, photos):
    folder = different_faces(tmp_path / "photos", 2)
    (folder / "deadly.png").write_bytes((folder / "000.png").read_bytes())
    # Ray's processes import this module by its path, and with it the deadly cropper.
    killer = tmp_path / "sitecustomize.py"
    killer.write_text(KILLER)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "facesmith", "extract", str(folder), "--out", str(tmp_path / "out")]
    options = ["--shards", "3", "--engine", "ray", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": path}
    finished = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert [(row["source"], row["reason"][:6]) for row in rows(tmp_path / "out" / "rejected.csv")] == [
        ("deadly.png", "crash:")
    ]
    assert len(rows(tmp_path / "out" / "metadata.csv")) == 2


KILLER = """
import os, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "facesmith.photos.extract_shard":
            sys.meta_path.remove(self)
            from facesmith.photos.sources import PhotoSource
            load = PhotoSource.read
            PhotoSource.read = lambda source, file: os.abort() if "deadly" in file.name else load(source, file)
        return None

sys.meta_path.insert(0, Finder())
"""
