"""Damaged and hostile files of every kind: each command succeeds or ends in one clear line, in bounded time and memory.

The fast tests only read each kind of file, damaged in 20 ways. The slow ones run commands on 500 damaged files of each
kind; `FACESMITH_FUZZ` sets another number.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from damage import damaged_bytes, damaged_json, damaged_lines, damaged_safetensors, damaged_table
from pictures import write_video
from PIL import Image
from small import QUIET, SMALL, faces_folder

from facesmith import cli
from facesmith.card.facts import CardOptions
from facesmith.card.write_card import write_card
from facesmith.errors import FacesmithError
from facesmith.export.run_onnx import load as load_onnx
from facesmith.faces import open_faces
from facesmith.inversion.encoder import InversionEncoder
from facesmith.inversion.inverter import save_encoder
from facesmith.latent.latent_file import load_latent, save_latent
from facesmith.model import load
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.modelfiles.evaluation_file import find_evaluation
from facesmith.modelfiles.frontmatter import read_front_matter
from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.run_folder import read_log
from facesmith.photos import faces_folder as faces_folder_module
from facesmith.photos import journal
from facesmith.photos.extract import extract
from facesmith.photos.sources import iterate_photos, open_source
from facesmith.pictures.images import read_picture, read_provenance, write_png
from facesmith.pictures.provenance import parse_provenance
from facesmith.storage.open_store import open_store
from facesmith.training.curves import loss_names, named_lines, share_lines
from facesmith.training.discriminator_scores import read_histogram
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

MAX_SECONDS = 30
MAX_BYTES = 3 * 2**30
READS, COMMANDS = 20, int(os.environ.get("FACESMITH_FUZZ", "500"))
INVERT = "load('run').invert(np.zeros((16, 16, 3), np.uint8), optimize=False)"
SMALL_OPTIONS = " ".join(f"--set {name}={value}" for name, value in SMALL["dcgan64"].items())
TRAIN = f"train dcgan64 --data faces --out run --extend --kimg 0.06 --device cpu {SMALL_OPTIONS}"
EXTRACT = "extract photos --crop 32 --size 16 --workers 1 --out"
EDIT = "edit --model run --edit pca_1=1 --out o.png --seeds 0"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        file: its path among the examples.
        damage: returns damaged content.
        read: reads it, as the commands do.
        commands: command lines that read it. Each damaged file is given to one of them.
    """

    file: str
    damage: Callable[[bytes, Random], bytes]
    read: Callable[[Path], object]
    commands: tuple[str, ...]


def faces_of(path):
    return open_faces(path, 16)


def all_files(path):
    with contextlib.closing(open_store(path)) as store:
        for file in store.files():
            store.read(file.name)


def log_of(path):
    lines, _ = read_log(path)
    return named_lines(lines, loss_names(lines)), share_lines(lines), [read_histogram(line) for line in lines]


def frames_of(path):
    with contextlib.closing(open_source(path)) as source:
        return [photo.load() for photo in iterate_photos(source, 2)]


def directions_of(path):
    return load(path.parent).directions


def evaluation_of(path):
    return find_evaluation(path.parent, load_model(path.parents[1]).hash)


def journal_of(path):
    return journal.settings_of(path.parent), list(journal.records(path.parent))


SHEET = "--sheet sheet.png"
PICTURE_COMMANDS = (f"faces pictures {SHEET}", "extract pictures --crop 32 --size 16 --workers 1 --out new")
KINDS = {
    "model": Kind(
        "run/model.safetensors", damaged_safetensors, load_model,
        ("sample --model run --seeds 0-1 --out o.png", "card run --force"),
    ),
    "state": Kind("run/state.pt", damaged_bytes, load_state, (TRAIN,)),
    "plan": Kind("run/run.json", damaged_json, read_plan, (TRAIN, "report run", "card run --force")),
    "log": Kind("run/log.jsonl", damaged_lines, log_of, ("report run", TRAIN, "card run --force")),
    "evaluation": Kind("run/evaluation/report.json", damaged_json, evaluation_of, ("card run --force",)),
    "directions": Kind("run/directions.safetensors", damaged_safetensors, directions_of, (EDIT,)),
    "latent": Kind(
        "me.latent", damaged_safetensors, lambda path: load_latent(path, load("run").G, load("run").hash),
        ("mix me.latent --model run --out o.png",),
    ),
    "inverter": Kind("run/inversion.safetensors", damaged_safetensors, lambda path: load("run").inverter, (INVERT,)),
    "journal": Kind(
        "interrupted/.extract.jsonl", damaged_lines, journal_of,
        (f"{EXTRACT} interrupted", f"{EXTRACT} interrupted --force", f"faces interrupted {SHEET}"),
    ),
    "faces.json": Kind(
        "extracted/faces.json", damaged_json, lambda path: faces_of(path.parent),
        (f"{EXTRACT} extracted", f"faces extracted {SHEET}", f"{EXTRACT} extracted --force"),
    ),
    "metadata.csv": Kind(
        "extracted/metadata.csv", damaged_table, lambda path: faces_of(path.parent),
        (f"faces extracted {SHEET}", f"{EXTRACT} extracted --force"),
    ),
    "labels": Kind("faces/metadata.csv", damaged_table, lambda path: faces_of(path.parent), (f"faces faces {SHEET}",)),
    "celeba": Kind(
        "celeba/list_attr_celeba.txt", damaged_table, lambda path: faces_of(path.parent), (f"faces celeba {SHEET}",)
    ),
    "stylegan": Kind(
        "stylegan/dataset.json", damaged_json, lambda path: faces_of(path.parent), (f"faces stylegan {SHEET}",)
    ),
    **{
        f"picture {suffix}": Kind(f"pictures/a.{suffix}", damaged_bytes, read_picture, PICTURE_COMMANDS)
        for suffix in ("png", "jpg", "tif", "webp", "avif", "gif", "bmp")
    },
    "provenance": Kind(
        "drawn.png", damaged_bytes, lambda path: parse_provenance(read_provenance(path)),
        ("sample --model run --like drawn.png --out o.png",),
    ),
    **{
        f"archive {name}": Kind(name, damaged_bytes, all_files, (f"faces {name} {SHEET}",))
        for name in ("a.zip", "a.tar", "a.tgz", "a.tar.xz", "nested.zip")
    },
    "video": Kind(
        "videos/v.mp4", damaged_bytes, frames_of,
        ("extract videos --workers 1 --crop 32 --size 16 --out new --every 2",),
    ),
    "card": Kind("run/README.md", damaged_bytes, read_front_matter, ("card run --force",)),
    "onnx": Kind("m.onnx", damaged_bytes, load_onnx, ("sample --model m.onnx --seeds 0 --out o.png",)),
    "packed index": Kind(
        "CACHE index.json", damaged_json, lambda path: faces_of(Path("faces")), (f"faces faces {SHEET}",)
    ),
    "packed stamps": Kind(
        "CACHE stamps/*.json", damaged_json, lambda path: faces_of(Path("faces")), (f"faces faces {SHEET}",)
    ),
}  # fmt: skip


def pictures_of_all_formats(folder):
    """One photo in each format, besides one that stays intact."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    picture = Image.fromarray(pixels)
    picture.save(folder / "intact.png")
    for suffix in ("png", "jpg", "tif", "webp", "avif", "gif", "bmp"):
        picture.save(folder / f"a.{suffix}")


def archives(folder, faces):
    """The same faces as zip, tar, compressed tars and as a zip in a zip."""
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(faces.iterdir())[:6]:
            archive.write(path, f"faces/{path.name}")
    for name, mode in (("a.tar", "w"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")):
        with tarfile.open(folder / name, mode) as archive:
            for path in sorted(faces.iterdir())[:6]:
                archive.add(path, path.name)
    with zipfile.ZipFile(folder / "nested.zip", "w") as archive:
        archive.write(folder / "a.zip", "inner/a.zip")


def labels(folder, faces):
    """The faces with the label files of CelebA and of StyleGAN."""
    names = [path.name for path in sorted(faces.glob("*.png"))]
    for layout in ("celeba", "stylegan"):
        shutil.copytree(faces, folder / layout, ignore=shutil.ignore_patterns("metadata.csv"))
    rows = [f"{name} {' '.join('1' if (i + k) % 2 else '-1' for k in range(4))}" for i, name in enumerate(names)]
    (folder / "celeba" / "list_attr_celeba.txt").write_text(
        f"{len(names)}\nSmiling Male Young Bald\n" + "\n".join(rows)
    )
    (folder / "stylegan" / "dataset.json").write_text(
        json.dumps({"labels": [[name, i % 3] for i, name in enumerate(names)]})
    )


def sidecars(folder):
    """Directions, a latent and an inversion encoder for the model of the run."""
    model = load(Path("run"))
    run_cli(["directions", "--model", "run", "--method", "pca"])
    encoder = InversionEncoder(model.G.resolution, model.G.channels, model.G.w_dim, 4).eval()
    save_encoder(folder / "run" / "inversion.safetensors", encoder, None, {}, model.hash)
    save_latent(folder / "me.latent", torch.ones(model.G.w_dim), model.hash, {"source": "a.png"})


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A folder with one intact file of each kind, and its cache."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACESMITH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        faces = faces_folder(folder / "faces", 30, 16)
        pictures_of_all_formats(folder / "pictures")
        archives(folder, faces)
        labels(folder, faces)
        options = TrainOptions(
            "dcgan64", Path("faces"), Path("run"), SMALL["dcgan64"], kimg=0.04, save_every_kimg=0.02, device="cpu",
            precision="float32", threads=1,
        )  # fmt: skip
        train(options, QUIET)
        sidecars(folder)
        (folder / "photos").mkdir()
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 255, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            write_png(folder / "photos" / f"{i}.png", pixels)
        (folder / "photos" / "unreadable.jpg").write_bytes(b"")
        with patch.context() as inner:
            inner.setattr("facesmith.photos.collect.BATCH_SIZE", 2)
            extract(Path("photos"), Path("extracted"), crop=32, size=16, workers=1, console=QUIET)
            inner.setattr(faces_folder_module, "finish", stop)
            with contextlib.suppress(KeyboardInterrupt):
                extract(Path("photos"), Path("interrupted"), crop=32, size=16, workers=1, console=QUIET)
        (folder / "videos").mkdir()
        frames = [np.full((64, 64, 3), 40 * i, np.uint8) for i in range(6)]
        write_video(folder / "videos" / "v.mp4", frames)
        evaluation = json.loads(bundled_model().with_name("report.json").read_text(encoding="utf-8"))
        evaluation["models"][0]["sha256"] = load_model(Path("run")).hash
        (folder / "run" / "evaluation").mkdir()
        (folder / "run" / "evaluation" / "report.json").write_text(json.dumps(evaluation))
        write_card(Path("run"), options=CardOptions())
        assert run_cli(["sample", "--model", "run", "--seeds", "0-3", "--out", "drawn.png"]) == (0, "")
        run_cli(["faces", "faces", "--sheet", "s.png"])
    return folder


@pytest.fixture(scope="module")
def examples_with_onnx(examples):
    """The same, with an ONNX file, which takes long to export."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(examples)
        assert run_cli(["export", "--model", "run", "--onnx", "m.onnx"]) == (0, "")
    return examples


def stop(*_):
    raise KeyboardInterrupt


class TookTooLong(BaseException):
    """A command ran longer than `MAX_SECONDS`."""


@contextlib.contextmanager
def limits():
    """Raise `TookTooLong` after 30 seconds, and let allocations beyond 3 GiB fail."""

    def too_long(*_):
        raise TookTooLong

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, too_long)
    start = time.monotonic()
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)  # pytest-timeout uses the same timer
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_BYTES, memory[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(
            signal.ITIMER_REAL, max(0.01, remaining - (time.monotonic() - start)) if remaining else 0, interval
        )


def run_cli(arguments):
    """Run a command in this process; its exit code, and its last line on standard error if it failed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["facesmith", *arguments]
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), limits():
            cli.main()
    except SystemExit as end:
        code = end.code or 0
    else:
        code = 0
    finally:
        sys.argv = argv
    output = stdout.getvalue() + stderr.getvalue()
    assert "Traceback" not in output, output
    assert not set(map(chr, (*range(32), 127))) - {"\n", "\t", "\r"} & set(output), f"control characters: {output!r}"
    lines = stderr.getvalue().splitlines()
    return code, (lines or [""])[-1] if code else ""


def run_python(code):
    """Run a line of Python; the exit code and the message that a command would give."""
    try:
        with limits():
            eval(code)
    except FacesmithError as error:
        return error.exit_code, f"facesmith: {error}"
    return 0, ""


def target_of(kind, folder):
    if kind.file.startswith("CACHE "):
        (file, *_) = (folder / "cache").rglob(kind.file.removeprefix("CACHE "))
        return file
    return folder / kind.file


def damage_copy(name, examples, folder, seed, monkeypatch):
    """Copy the examples to `folder`, go there, and damage one file; return its path."""
    kind = KINDS[name]
    shutil.copytree(examples, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FACESMITH_CACHE", str(folder / "cache"))
    target = target_of(kind, folder)
    target.write_bytes(kind.damage(target.read_bytes(), Random(f"{name} {seed}")))
    return target


def try_command(name, examples, folder, seed, monkeypatch):
    """Damage a copy of the examples, run a command on it, and return its exit code."""
    damage_copy(name, examples, folder, seed, monkeypatch)
    commands = KINDS[name].commands
    command = commands[seed % len(commands)]
    code, message = run_python(command) if command == INVERT else run_cli(command.split())
    where = f"{command} (damage {seed} of {name})"
    assert code in (0, 1, 2), f"{where}: exit code {code}, {message}"
    if code:
        assert message.startswith("facesmith: "), f"{where}: {message}"
        assert 20 < len(message) < 1500, f"{where}: {message}"
        assert "not enough memory" not in message, f"{where}: {message}"
    return code


@pytest.mark.parametrize("name", [name for name in KINDS if name != "onnx"])
def test_damaged_files_are_read_or_refused(examples, tmp_path, monkeypatch, name):
    intact, kind = None, KINDS[name]
    for seed in range(READS):
        if intact is None:
            target = damage_copy(name, examples, tmp_path / "copy", seed, monkeypatch)
            relative = target.relative_to(tmp_path / "copy")
            intact = (examples / relative).read_bytes()
        else:
            target.write_bytes(kind.damage(intact, Random(f"{name} {seed}")))
        with contextlib.suppress(FacesmithError), limits():
            kind.read(target)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "onnx"])
def test_intact_files_are_read(examples, tmp_path, monkeypatch, name):
    """Otherwise the tests on damaged files would prove nothing."""
    shutil.copytree(examples, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("FACESMITH_CACHE", str(tmp_path / "copy" / "cache"))
    KINDS[name].read(target_of(KINDS[name], tmp_path / "copy"))


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_commands_accept_intact_files(examples_with_onnx, tmp_path, monkeypatch, name):
    for number, command in enumerate(KINDS[name].commands):
        shutil.copytree(examples_with_onnx, tmp_path / str(number))
        monkeypatch.chdir(tmp_path / str(number))
        monkeypatch.setenv("FACESMITH_CACHE", str(tmp_path / str(number) / "cache"))
        assert (run_python(command) if command == INVERT else run_cli(command.split())) == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", KINDS)
def test_commands_on_damaged_files_succeed_or_end_in_one_clear_line(examples_with_onnx, tmp_path, monkeypatch, name):
    faults, codes = [], []
    for seed in range(COMMANDS):
        folder = tmp_path / str(seed)
        try:
            codes.append(try_command(name, examples_with_onnx, folder, seed, monkeypatch))
        except (Exception, TookTooLong) as error:  # noqa: BLE001 - any exception is a fault, and all are reported
            faults.append(f"{seed}: {type(error).__name__}: {error}")
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)
    print(
        f"{name}: {codes.count(0)} of {COMMANDS} damaged files still worked, {COMMANDS - codes.count(0)} were refused"
    )
    assert not faults, "\n".join(faults)
