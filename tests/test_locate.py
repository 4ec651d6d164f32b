"""Which file a model's name refers to: a run folder, a file, or the bundled generator."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from small import saved_model

import facesmith
from facesmith.errors import BadModel
from facesmith.export.run_onnx import load as load_onnx
from facesmith.io.files import sha256
from facesmith.modelfiles import locate
from facesmith.modelfiles.checkpoint import load_state
from facesmith.modelfiles.locate import model_file, model_names
from facesmith.modelfiles.run_folder import MODEL
from facesmith.modelfiles.sidecar import load_sidecar
from facesmith.training.plan import read_plan


def zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, bytes(99))
    return stream.getvalue()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Another path for the bundled generator. The file does not exist yet."""
    file = tmp_path / "bundled" / MODEL
    monkeypatch.setattr(locate, "bundled_model", lambda: file)
    return file


@pytest.mark.parametrize("name", ["bundeld", "Bundled", "bundle"])
def test_a_misspelled_name_of_the_bundled_generator_is_recognized(name):
    with pytest.raises(BadModel, match=rf"^{name} does not exist.* Did you mean bundled\?$"):
        model_file(Path(name))


def test_without_a_path_the_bundled_generator_is_loaded(package, tmp_path):
    run = saved_model(tmp_path / "run")
    shutil.copytree(run, package.parent)
    model = facesmith.load()
    assert model.path == package
    assert model.hash == sha256(run / MODEL)


def test_bundled_refers_to_the_bundled_generator_unless_a_local_folder_has_that_name(package, tmp_path, monkeypatch):
    shutil.copytree(saved_model(tmp_path / "run"), package.parent)
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    assert locate.model_file(locate.BUNDLED) == package
    mine = saved_model(here / "bundled")
    assert locate.model_file(locate.BUNDLED).resolve() == mine / MODEL


def test_without_a_bundled_generator_the_message_says_how_to_train_one(package):
    with pytest.raises(BadModel, match=r"facesmith train --data FACES --out runs/first"):
        facesmith.load()


def test_the_bundled_generator_is_inside_the_package():
    assert locate.bundled_model().parent == Path(facesmith.__file__).parent / "bundled"


def test_the_bundled_generator_loads_and_is_small():
    model = facesmith.load()
    assert model.sample([0]).shape == (1, model.resolution, model.resolution, 3)
    assert locate.bundled_model().stat().st_size <= 8 * 2**20


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 2300000\n"


def test_a_git_lfs_pointer_is_recognized_wherever_a_model_is_read(tmp_path):
    for name in (MODEL, "model.onnx", "me.latent"):
        (tmp_path / name).write_bytes(LFS_POINTER)
    for read in (
        lambda: facesmith.load(tmp_path),
        lambda: facesmith.load(tmp_path / MODEL),
        lambda: load_onnx(tmp_path / "model.onnx"),
        lambda: load_sidecar(tmp_path / "me.latent", "latent", "a" * 64),
    ):
        with pytest.raises(BadModel, match=r"Git LFS pointer.*git lfs pull.*hf://"):
            read()


def test_a_git_lfs_pointer_in_place_of_another_file_is_not_called_damaged(tmp_path):
    for name in ("state.pt", "run.json"):
        (tmp_path / name).write_bytes(LFS_POINTER)
    for read in (lambda: load_state(tmp_path / "state.pt"), lambda: read_plan(tmp_path / "run.json")):
        with pytest.raises(BadModel, match=r"Git LFS pointer, not the file itself. Download it: git lfs pull$"):
            read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is not a safetensors file, but PNG. Expected a file that Facesmith wrote"),
        (b"GGUF\3" + bytes(99), "is not a safetensors file. Expected"),
        (b'{"recipe": "quick"}', "is not a safetensors file. Expected"),
        (zipped("model.safetensors"), "is a zip, not a model. If a model.safetensors"),
        (zipped("model/data.pkl"), "is a PyTorch file, which may contain code"),
        (b"\x20\0\0\0\0\0\0\0{", "Is the file complete"),
        (b"\x20\0\0", "Is the file complete"),
        (b"", "Is the file complete"),
    ],
)
def test_another_file_in_place_of_a_model_is_named(tmp_path, content, message):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(BadModel, match=message):
        facesmith.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("https://huggingface.co/ann/faces", "hf://ann/faces"),
        ("https://huggingface.co/ann/faces/tree/main", "hf://ann/faces"),
        ("hf.co/ann/faces", "hf://ann/faces"),
        ("hf:ann/faces", "hf://ann/faces"),
        ("ann/faces", "hf://ann/faces"),
        ("ann/faces/first", None),
        ("here/faces", None),
        ("faces", None),
        ("../faces", None),
        ("/ann/faces", None),
    ],
)
def test_a_missing_model_that_may_be_on_the_hub_is_suggested(tmp_path, monkeypatch, path, address):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(BadModel, match="does not exist") as error:
        facesmith.load(path)
    assert ("If it is on the Hub, write hf://" in str(error.value)) == bool(address)
    assert address is None or str(error.value).endswith(f" write {address}.")
    assert str(error.value).startswith(path)  # as typed, with both slashes


@pytest.mark.parametrize("address", ["http://example.org/model.safetensors", "s3://bucket/runs/first"])
def test_an_address_of_a_model_is_named_as_it_was_given(address):
    with pytest.raises(BadModel, match=f"^{address} is an address. Download the model first"):
        model_file(Path(address))


@pytest.mark.parametrize("content", ["", '{"recipe": "quick', "["])
def test_a_run_whose_plan_is_damaged_keeps_its_model(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadModel, match=r"Start the run over with --force\.$"):
        read_plan(tmp_path / "run.json")
    (tmp_path / MODEL).write_bytes(b"x")
    with pytest.raises(BadModel, match=f"copy its {MODEL} to another folder and fine-tune the copy with --from"):
        read_plan(tmp_path / "run.json")


def test_models_are_named_after_their_run_their_file_or_their_place_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("runs/lr0.001", "runs/first", "old/first"):
        Path(run).parent.mkdir(exist_ok=True)
        saved_model(Path(run))
    best = Path(shutil.copy("runs/first/model.safetensors", "runs/first/best.safetensors"))
    Path("linked").symlink_to("runs/first")
    blob = Path("hub/models--ada--faces/blobs/9f")
    snapshots = [Path(f"hub/models--ada--faces/snapshots/{commit * 40}/{MODEL}") for commit in "ab"]
    blob.parent.mkdir(parents=True)
    blob.touch()
    for each in snapshots:
        each.parent.mkdir(parents=True)
        each.symlink_to(blob.absolute())
    assert model_names([Path("runs/lr0.001"), best, Path("linked"), None, snapshots[0], Path("hf:/bob/faces@v2")]) == [
        *("lr0.001", "best", "linked", "bundled", "ada/faces", "bob/faces")
    ]
    files = [Path(run) / MODEL for run in ("runs/first", "old/first", "runs/lr0.001")]
    assert model_names(files) == ["runs/first/model.safetensors", "old/first/model.safetensors", "lr0.001"]
    assert model_names(snapshots) == [f"ada/faces@{'a' * 12}", f"ada/faces@{'b' * 12}"]
    monkeypatch.chdir("runs/first")
    assert model_names([Path(), Path("../lr0.001"), locate.bundled_model()]) == ["first", "lr0.001", "bundled"]
