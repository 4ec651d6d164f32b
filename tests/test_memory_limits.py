"""Every command compares the memory that it needs with what is free, before it allocates it."""

from __future__ import annotations

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small import QUIET, faces_folder, saved_model

from facesmith.errors import BadOption, PictureUnavailable
from facesmith.evaluation.evaluate import EvaluateOptions, evaluate
from facesmith.explore.compare import CompareOptions, compare
from facesmith.explore.edit import EditOptions, edit
from facesmith.explore.mix import mix
from facesmith.explore.sample import sample
from facesmith.explore.walk import WalkOptions, walk
from facesmith.io import cgroups, memory
from facesmith.io.memory import GIB, MIB, free_memory, largest_fitting, require_memory
from facesmith.model import load
from facesmith.pictures.images import MAX_PIXELS, read_converted, read_picture
from facesmith.training.progress_film import progress_film


@pytest.fixture
def free(monkeypatch):
    """A function that pretends that this many bytes are free."""

    def pretend(free_bytes):
        monkeypatch.setattr(memory, "free_memory", lambda: int(free_bytes))

    return pretend


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"), resolution=32, width=4)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1073741824", "memory.current": "73741824"}, 1_000_000_000),
        (
            {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 5\ninactive_file 300\n"},
            400,
        ),
        ({"memory.max": "1000", "memory.current": "2000"}, 0),
        ({"box/memory.max": "500", "box/memory.current": "100", "memory.max": "900", "memory.current": "100"}, 400),
        ({"memory/box/memory.limit_in_bytes": "700", "memory/box/memory.usage_in_bytes": "100"}, 600),
        (
            {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "600",
             "memory/memory.stat": "total_inactive_file 250"},
            350,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "5"}, None),
        ({"memory.max": "max", "memory.current": "5"}, None),
        ({"memory.max": "\xff", "memory.current": ""}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_free_memory_respects_the_limits_of_a_container(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path)
    monkeypatch.setattr(cgroups, "OWN_CGROUPS", tmp_path / "own")
    (tmp_path / "own").write_text("7:memory:/box\n0::/box\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    assert free_memory() == expected if expected is not None else free_memory() > 100 * MIB


def test_free_memory_respects_ulimits():
    resource = pytest.importorskip("resource", reason="this system has no ulimits")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    before = free_memory()
    import psutil

    used = psutil.Process().memory_info().data
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (used + 200 * MIB, hard))
        assert free_memory() <= 200 * MIB < before
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 2000), st.integers(0, 10**9))
def test_the_largest_count_that_fits_is_accepted_and_is_the_largest(fixed, each, most, free_bytes):
    def needed(count):
        return fixed + each * count

    count = largest_fitting(needed, most, free_bytes)
    limit = memory.SUGGESTED_SHARE * memory.USABLE_SHARE * free_bytes
    assert 0 <= count <= most
    if count:
        require_memory(needed(count), "It", "", free_bytes)
    if count < most:
        assert needed(count + 1) > limit


def test_a_refusal_names_both_sizes_and_what_to_do(free):
    free(3.2 * GIB)
    with pytest.raises(BadOption, match=r"^It needs about 5\.0 GiB of memory, but only 3\.2 GiB is free\. Do this\.$"):
        require_memory(5 * GIB, "It", "Do this.")
    require_memory(2.5 * GIB, "It", "Do this.")


def test_a_large_picture_is_unavailable_rather_than_decoded(free):
    content = io.BytesIO()
    Image.new("L", (6000, 4000)).save(content, "PNG")
    free(100 * MIB)
    with pytest.raises(PictureUnavailable, match="6000x4000 pixels need 275 MiB of memory, but only 100 MiB is free"):
        read_picture(content.getvalue(), name="large.png")
    free(GIB)
    assert read_picture(content.getvalue(), name="large.png").shape == (4000, 6000, 3)


def test_a_large_picture_waits_for_the_memory_of_others_instead_of_being_refused(free):
    content = io.BytesIO()
    Image.new("L", (6000, 4000)).save(content, "PNG")
    is_decoding, may_end = threading.Event(), threading.Event()

    def convert(picture):
        is_decoding.set()
        assert may_end.wait(60)
        return picture.size

    free(400 * MIB)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(read_converted, content.getvalue(), None, MAX_PIXELS, convert)
        try:
            assert is_decoding.wait(60)
            free(100 * MIB)  # the first picture occupies the rest
            second = pool.submit(read_picture, content.getvalue())
            assert not wait([second], 0.2).done
            free(400 * MIB)
        finally:
            may_end.set()
        assert first.result()[0] == (6000, 4000)
        assert second.result().shape == (4000, 6000, 3)


def test_a_sheet_of_too_many_faces_is_refused_and_a_folder_is_not(model, free, tmp_path):
    free(100 * MIB)
    with pytest.raises(BadOption, match=r"A sheet of 9999 faces needs about .* Use a folder"):
        list(sample(lambda: load(model), range(9999), tmp_path / "sheet.png", console=QUIET))
    list(sample(lambda: load(model), range(3), tmp_path / "faces", console=QUIET))
    assert len(list((tmp_path / "faces").iterdir())) == 3
    assert not (tmp_path / "sheet.png").exists()


def test_large_sums_and_edits_are_refused(model, free, tmp_path):
    free(100 * MIB)
    with pytest.raises(BadOption, match="A sheet of 32 terms needs"):
        mix(model, " + ".join(map(str, range(1, 33))), tmp_path / "mix.png", scale=32)
    with pytest.raises(BadOption, match="A sheet of 20 faces needs"):
        list(edit(EditOptions(model, "0-19", {"smiling": 1.0}, tmp_path / "edit.png", scale=32), QUIET))


def test_a_comparison_of_too_many_faces_is_refused(model, free, tmp_path):
    free(100 * MIB)
    options = CompareOptions([model] * 16, tmp_path / "out", range(1000))
    with pytest.raises(BadOption, match=r"A picture of 16000 faces needs about .* Name fewer --seeds"):
        list(compare(options, QUIET))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("walk.mp4", {"grid": (8, 8), "faces": range(128)}),
        ("walk.gif", {"seconds": 900.0}),
        ("walk.gif", {"faces": range(1500)}),
    ],
)
def test_films_that_are_too_large_or_long_are_refused(model, free, tmp_path, name, changes):
    free(100 * MIB)
    options = WalkOptions(**{"faces": range(4), **changes})
    with pytest.raises(BadOption, match=rf"The film {name} \(\d+x\d+, \d+ frames\) needs about .* Make it shorter"):
        list(walk(model, options, [tmp_path / name], scale=16, console=QUIET))
    assert not any(tmp_path.iterdir())


def test_a_progress_film_that_is_too_long_for_a_gif_is_refused(free, tmp_path):
    samples = tmp_path / "run" / "samples"
    samples.mkdir(parents=True)
    for i in range(30):
        Image.fromarray(np.zeros((500, 500, 3), np.uint8)).save(samples / f"{i:09d}.png")
    free(10 * MIB)
    with pytest.raises(BadOption, match=r"progress\.gif \(500x500, 46 frames\) needs about"):
        progress_film(tmp_path / "run", tmp_path / "progress.gif", QUIET)


def test_an_evaluation_of_too_many_samples_names_the_number_that_fits(model, free, tmp_path):
    faces = faces_folder(tmp_path / "faces", size_px=32)
    free(500 * MIB)
    options = EvaluateOptions([model], faces, tmp_path / "out", 10**9)
    with pytest.raises(BadOption, match=r"--samples 1000000000 needs about .* Use --samples \d+ or fewer") as refusal:
        list(evaluate(options, QUIET))
    assert 1000 < int(re.search(r"Use --samples (\d+)", str(refusal.value))[1]) < 100_000


def test_an_evaluation_on_too_many_faces_names_the_number_that_fits(model, free, tmp_path):
    faces = faces_folder(tmp_path / "faces", 400, size_px=32)
    options = EvaluateOptions([model], faces, tmp_path / "out", 30, identity=False)
    free(6 * MIB)
    with pytest.raises(BadOption, match=r"30 samples with 400 faces needs about .* Use --limit \d+ or less") as refusal:
        list(evaluate(options, QUIET))
    assert 30 <= int(re.search(r"Use --limit (\d+)", str(refusal.value))[1]) < 400
    assert not (tmp_path / "out").exists()


def test_a_model_larger_than_the_memory_is_not_read(model, free):
    free(1000)
    with pytest.raises(BadOption, match=r"Opening .*model\.safetensors needs about"):
        load(model)


def test_an_onnx_model_that_needs_too_much_memory_is_not_run(model, free, tmp_path):
    pytest.importorskip("onnxruntime")
    from facesmith.export.run_onnx import load as load_onnx
    from facesmith.export.to_onnx import export

    out = Path(tmp_path / "model.onnx")
    list(export(model, out, license="none", console=QUIET))
    onnx = load_onnx(out)
    assert onnx.resolution == 32
    free(20_000)
    with pytest.raises(BadOption, match=r"Drawing with .*model\.onnx needs about"):
        load_onnx(out)
