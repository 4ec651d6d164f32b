"""Models as ONNX: the same faces without torch, for every recipe, and no file if they would differ."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import QUIET, RECIPES, Tiny, TinyD, saved_model
from torch import nn

from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.explore.sample import sample
from facesmith.export.run_onnx import load as load_onnx
from facesmith.export.run_onnx import open_session
from facesmith.export.to_onnx import compare, export, metadata_of, onnx_bytes
from facesmith.gan import contracts
from facesmith.gan.recipe import recipe
from facesmith.model import load
from facesmith.modelfiles.locate import model_file
from facesmith.pictures.images import read_picture, read_provenance


class LayeredG(contracts.Generator):
    """A generator whose z and w differ in size, with one latent per layer and its own distribution of z."""

    def __init__(self, resolution, channels):
        super().__init__(resolution=resolution, channels=channels, z_dim=5, w_dim=7, num_ws=3)
        self.map, self.layers = nn.Linear(5, 7), nn.ModuleList(nn.Linear(7, channels * resolution**2) for _ in range(3))

    def draw_z(self, count, rng):
        return torch.randn(count, self.z_dim, generator=rng).exp()

    def mapping(self, z, labels=None):
        return self.map(z).relu()

    def synthesis(self, w):
        w = w if w.ndim == 3 else w.unsqueeze(1).expand(-1, 3, -1)
        drawn = sum(layer(w[:, i]) * (i + 1) for i, layer in enumerate(self.layers))
        return drawn.view(-1, self.channels, self.resolution, self.resolution).tanh()


class NoisyG(LayeredG):
    def synthesis(self, w):
        pictures = super().synthesis(w)
        return pictures + torch.rand_like(pictures)


@recipe("test-three-layers")
@dataclass(frozen=True, kw_only=True)
class Layered(Tiny):
    def networks(self):
        return {"G": LayeredG(self.resolution, self.channels), "D": TinyD(self.resolution, self.channels)}


@recipe("test-noisy")
@dataclass(frozen=True, kw_only=True)
class Noisy(Tiny):
    def networks(self):
        return {"G": NoisyG(self.resolution, self.channels), "D": TinyD(self.resolution, self.channels)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run folder and its model as ONNX."""
    folder = tmp_path_factory.mktemp("exported")
    run = saved_model(folder / "run", "progressive64")
    lines = list(export(run, folder / "model.onnx", license="for this test", console=QUIET))
    return run, folder / "model.onnx", lines


def nearly_equal(images, expected):
    """At most one level of 255 apart, in less than 0.1 % of the values."""
    difference = np.abs(images.astype(int) - expected)
    return difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_a_seed_is_the_same_face_with_and_without_torch(exported):
    run, file, lines = exported
    model, onnx = load(run), load_onnx(file, threads=1)
    seeds = [0, 7, 2**32 - 1, *range(40)]
    for psi in (1.0, 0.6, 0.0):
        assert nearly_equal(onnx.sample(seeds, psi), model.sample(seeds, psi))
    assert onnx.sample([]).shape == (0, 16, 16, 3)
    w = model.latents([1, 2, 3])
    assert np.abs(onnx.latents([1, 2, 3]) - w).max() < 1e-5
    assert nearly_equal(onnx.synthesize(w, 0.5), model.synthesize(w, 0.5))
    assert "largest difference" in lines[1]


@pytest.mark.parametrize(("opset", "ir_version"), [(18, 8), (20, 9), (23, 11)])
def test_the_file_has_the_requested_opset_and_the_lowest_ir_version_for_it(opset, ir_version, exported, tmp_path):
    list(export(exported[0], tmp_path / "model.onnx", opset=opset, console=QUIET))
    proto = pytest.importorskip("onnx").load(tmp_path / "model.onnx")
    assert ([entry.version for entry in proto.opset_import], proto.ir_version) == ([opset], ir_version)


def test_the_file_contains_its_metadata(exported):
    run, file, _ = exported
    model, metadata = load(run), load_onnx(file).metadata
    assert metadata["model"] == model.hash
    assert metadata["header"]["recipe"] == "progressive64"
    assert metadata["header"]["seen"] == model.header["seen"] > 0
    assert metadata["license"] == "for this test"
    assert "Mersenne" in metadata["seeds"]
    assert b"site-packages" not in file.read_bytes(), "no paths of the machine that exported it"


def test_sample_draws_from_a_file_without_importing_torch(exported, tmp_path):
    run, file, _ = exported
    code = (
        "import sys; from facesmith.cli import main\n"
        f"sys.argv[1:] = ['sample', '--model', {str(file)!r}, '--seeds', '3-5', '--psi', '0.9', '--out', 'a.png']\n"
        "main(); print('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert process.stdout.split() == ["a.png", "False"]
    (path,) = sample(lambda: load(run), [3, 4, 5], tmp_path / "b.png", psi=0.9, console=QUIET)
    assert nearly_equal(read_picture(tmp_path / "a.png"), read_picture(path))
    with_onnx, with_torch = read_provenance(tmp_path / "a.png"), read_provenance(path)
    assert len(with_onnx.pop("Onnx")) == 64
    assert with_onnx == with_torch


def test_a_generator_with_one_latent_per_layer_and_its_own_z_is_exported(tmp_path):
    model = load(saved_model(tmp_path / "run", "test-three-layers"))
    metadata = metadata_of(model, "none")
    assert "z" not in metadata
    (tmp_path / "m.onnx").write_bytes(onnx_bytes(model, metadata))
    onnx = load_onnx(tmp_path / "m.onnx")
    assert compare(model.G, onnx._session).largest < 1e-5
    with pytest.raises(BadModel, match="needs torch"):
        onnx.sample([1])
    w = np.random.default_rng(0).normal(size=(20, 3, 7)).astype(np.float32)
    with torch.inference_mode():
        expected = model.G.synthesis(torch.from_numpy(w)).numpy()
    assert np.abs(onnx.synthesize(w) / 127.5 - 1 - expected.transpose(0, 2, 3, 1)).max() < 0.01
    with pytest.raises(BadData, match="shape"):
        onnx.synthesize(w[:, :2])


def test_the_same_model_gives_the_same_bytes(exported):
    run, file, _ = exported
    model = load(run)
    assert onnx_bytes(model, metadata_of(model, "for this test")) == file.read_bytes()


def test_a_model_that_draws_other_faces_with_onnx_is_not_written(tmp_path):
    run = saved_model(tmp_path / "run", "test-noisy")
    with pytest.raises(BadModel, match="draws other images"):
        list(export(run, tmp_path / "m.onnx", console=QUIET))
    assert not (tmp_path / "m.onnx").exists()


def test_the_output_path_is_checked_first(exported, tmp_path):
    run, file, _ = exported
    with pytest.raises(BadOption, match=r"\.onnx"):
        next(export(run, tmp_path / "m.txt", console=QUIET))
    with pytest.raises(OutputExists):
        next(export(run, file, console=QUIET))


def test_other_files_are_refused(exported, tmp_path):
    onnx = pytest.importorskip("onnx")
    _, file, _ = exported
    with pytest.raises(BadModel, match="does not exist"):
        load_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(BadModel, match="only facesmith sample"):
        model_file(file)
    whole = file.read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2]):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(BadModel):
            load_onnx(tmp_path / "m.onnx")
    proto = onnx.load(file)
    for text, message in (
        ("{", "not a Facesmith model"),
        ("[]", "not a Facesmith"),
        ('{"format": 9}', "format 9"),
        ("{}", "not a Facesmith"),
    ):
        onnx.helper.set_model_props(proto, {"facesmith": text})
        onnx.save(proto, tmp_path / "m.onnx")
        with pytest.raises(BadModel, match=message):
            load_onnx(tmp_path / "m.onnx")
    onnx.helper.set_model_props(proto, {})
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(BadModel, match="facesmith export"):
        load_onnx(tmp_path / "m.onnx")


def reshaped(proto, **sizes):
    metadata = json.loads(proto.metadata_props[0].value)
    proto.metadata_props[0].value = json.dumps(metadata | sizes)


def with_nan(proto):
    for tensor in proto.graph.initializer:
        if tensor.data_type == 1 and len(tensor.dims) > 1:  # weights
            tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()


def with_image_of(*nodes):
    """Replace the images by the result of nodes that follow them, the last of which has no output yet."""

    def change(proto):
        for node in proto.graph.node:
            for i, name in enumerate(node.output):
                if name == "images":
                    node.output[i] = "drawn"
        for node in nodes:
            proto.graph.node.append(node())

    return change


def helper():
    return pytest.importorskip("onnx").helper


def endless_loop():
    onnx = pytest.importorskip("onnx")
    value, boolean = onnx.helper.make_tensor_value_info, onnx.TensorProto.BOOL
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["c"], ["go"]), onnx.helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [value("i", 7, []), value("c", boolean, []), value("x", 1, None)],
        [value("go", boolean, []), value("y", 1, None)],
    )
    return onnx.helper.make_node("Loop", ["", "", "drawn"], ["images"], body=body)


def enormous():
    onnx = pytest.importorskip("onnx")
    sizes = onnx.helper.make_tensor("sizes", 7, [3], [4096, 4096, 4096])
    return onnx.helper.make_node("Constant", [], ["sizes"], value=sizes)


def in_another_file():
    """A tensor whose values are in a file beside the model."""
    onnx = pytest.importorskip("onnx")
    tensor = onnx.helper.make_tensor("elsewhere", 1, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret"
    return tensor


def sparse():
    values = helper().make_tensor("sparse", 1, [1], [1.0])
    return helper().make_sparse_tensor(values, helper().make_tensor("places", 7, [1], [0]), [1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda proto: proto.graph.initializer.append(in_another_file()), "refers to another file"),
        (
            with_image_of(
                lambda: helper().make_node("Constant", [], ["elsewhere"], value=in_another_file()),
                lambda: helper().make_node("Add", ["drawn", "elsewhere"], ["images"]),
            ),
            "refers to another file",
        ),
        (
            with_image_of(
                lambda: helper().make_node("Constant", [], ["sparse"], sparse_value=sparse()),
                lambda: helper().make_node("Add", ["drawn", "sparse"], ["images"]),
            ),
            "sparse tensors",
        ),
        (lambda proto: reshaped(proto, resolution=32), "contradicts its metadata"),
        (lambda proto: reshaped(proto, channels=1), "contradicts its metadata"),
        (lambda proto: reshaped(proto, z_dim=7), "contradicts its metadata"),
        (lambda proto: reshaped(proto, num_ws=2), "contradicts its metadata"),
        (lambda proto: reshaped(proto, resolution=2**16), "not a Facesmith model"),
        (lambda proto: reshaped(proto, model="a" * 100_000), "not a Facesmith model"),
        (with_nan, "not finite"),
        (with_image_of(endless_loop), "'Loop'"),
        (with_image_of(lambda: helper().make_node("Fly", ["drawn"], ["images"])), "invalid"),
        (with_image_of(lambda: helper().make_node("Fly", ["drawn"], ["images"], domain="evil")), "'Fly'"),
        (
            with_image_of(
                enormous,
                lambda: helper().make_node("ConstantOfShape", ["sizes"], ["cube"]),
                lambda: helper().make_node("ReduceSum", ["cube"], ["sum"], keepdims=0),
                lambda: helper().make_node("Add", ["drawn", "sum"], ["images"]),
            ),
            "too much memory",
        ),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(exported, tmp_path, change, message):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(exported[1])
    change(proto)
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(BadModel, match=message) as caught:
        load_onnx(tmp_path / "m.onnx").sample([1])
    assert len(str(caught.value)) < 500


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_draws_faces(exported, tmp_path_factory, data):
    content = bytearray(exported[1].read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damaged") / "m.onnx"
    file.write_bytes(content)
    try:
        faces = load_onnx(file, threads=1).sample([1])
    except BadModel as error:
        assert len(str(error)) < 1000
    else:
        assert faces.shape[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_exported(tmp_path, name):
    run = saved_model(tmp_path / "run", name)
    list(export(run, tmp_path / "m.onnx", console=QUIET))
    assert nearly_equal(load_onnx(tmp_path / "m.onnx").sample(range(20)), load(run).sample(range(20)))
    assert open_session((tmp_path / "m.onnx").read_bytes()).metadata()


def test_quality_needs_the_model_itself(exported, tmp_path):
    with pytest.raises(BadOption, match="--quality needs PyTorch"):
        list(sample(lambda: load_onnx(exported[1]), [1], tmp_path / "face.png", quality=True, console=QUIET))
