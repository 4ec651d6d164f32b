"""A generator as a web page: programs that equal the networks, what is refused, and what the file contains."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import test_onnx  # noqa: F401 (registers recipes that can't be exported)
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import QUIET, RECIPES, Tiny, TinyD, saved_model, small_recipe
from test_studio import with_directions
from torch import Tensor, nn

from facesmith.errors import BadModel, BadOption, OutputExists
from facesmith.export.webpage import to_html
from facesmith.export.webpage.constants import Constants, rounded
from facesmith.export.webpage.page_data import largest_difference
from facesmith.export.webpage.program import run as run_program
from facesmith.export.webpage.to_html import export_html
from facesmith.export.webpage.trace import trace_mapping, trace_synthesis
from facesmith.gan import contracts
from facesmith.gan.recipe import recipe
from facesmith.model import load
from facesmith.modelfiles.frontmatter import front_matter

KERNEL = Path(to_html.__file__).parent / "kernel"
VARIANTS = [
    *((name, {}) for name in RECIPES),
    ("dcgan64", {"z_dim": 100}),
    ("quick", {"condition": ("smiling", "male")}),
    ("quick", {"condition": ("smiling", "male"), "z_dim": 21}),
    ("quick", {"smooth_output": True, "resolution": 32}),
    ("balanced64", {"output": "linear", "resolution": 36}),
    ("elu36", {"output": "linear"}),
    ("gray-dcgan64", {"prior": "poisson", "smooth": False}),
    ("gray-dcgan64", {"prior": "uniform", "z_dim": 21}),
    ("dcgan32", {"blocks": "residual", "scales": 3, "deeper": 1}),
]


def trained_generator(name, values):
    """A generator whose buffers have other values than at initialization, as after training."""
    torch.manual_seed(0)
    G = small_recipe(name, **values).networks()["G"].eval()
    for buffer_name, buffer in G.named_buffers():
        if buffer_name.endswith("running_mean"):
            buffer.normal_(0, 0.2)
        elif buffer_name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
        elif buffer_name == "level":
            buffer.fill_(0.7)
        elif buffer_name == "w_avg":
            buffer.normal_(0, 0.1)
    if G.fits_prior:
        G.fit_prior(torch.randn(40, G.w_dim))
    return G


@pytest.mark.parametrize(("name", "values"), VARIANTS, ids=str)
def test_the_programs_of_every_recipe_compute_what_its_networks_compute(name, values):
    G = trained_generator(name, values)
    programs = [trace(G).with_tensors(rounded) for trace in (trace_mapping, trace_synthesis)]
    assert largest_difference(G, *programs) < 0.05


def test_a_program_that_computes_something_else_is_noticed():
    G = trained_generator("vae64", {})
    mapping, synthesis = trace_mapping(G), trace_synthesis(G)
    assert largest_difference(G, mapping, synthesis.with_tensors(lambda tensor: tensor * 1.01)) > 0.05


class StridedG(contracts.Generator):
    """A generator with a layer that no page can compute."""

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=8)
        self.dense = nn.Linear(8, 4 * resolution**2)
        self.layers = nn.Sequential(nn.Unflatten(1, (4, resolution, resolution)), nn.Conv2d(4, channels, 3, dilation=2))

    def synthesis(self, w: Tensor) -> Tensor:
        return self.layers(self.dense(w))


class NoisyG(StridedG):
    """A generator that draws random numbers."""

    def synthesis(self, w: Tensor) -> Tensor:
        maps = self.dense(w).view(-1, 4, 16, 16)
        return maps + torch.rand_like(maps)


class BranchingG(StridedG):
    """A generator whose code depends on the values that it computes."""

    def synthesis(self, w: Tensor) -> Tensor:
        return self.dense(w).view(-1, 4, 16, 16)[:, :3].tanh() if w.sum() > 0 else w


@pytest.mark.parametrize(
    ("G", "reason"),
    [
        (StridedG(16, 3), r"Conv2d\(4, 3.*no counterpart"),
        (NoisyG(16, 3), "rand_like has no counterpart"),
        (BranchingG(16, 3), "BranchingG.synthesis can't be traced"),
    ],
    ids=["layer", "function", "branch"],
)
def test_a_network_that_a_page_cannot_compute_is_refused_in_one_line(G, reason):
    with pytest.raises(BadModel, match=reason) as error:
        trace_synthesis(G)
    assert "\n" not in str(error.value)


class ExponentialG(contracts.Generator):
    """A generator with a distribution of z that no page can draw."""

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=8)
        self.dense = nn.Linear(8, channels * resolution**2)

    def draw_z(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn(count, self.z_dim, generator=rng).exp()

    def synthesis(self, w: Tensor) -> Tensor:
        return self.dense(w).view(-1, self.channels, self.resolution, self.resolution).tanh()


@recipe("test-exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Tiny):
    def networks(self):
        return {"G": ExponentialG(self.resolution, self.channels), "D": TinyD(self.resolution, self.channels)}


@pytest.mark.parametrize(
    ("name", "limits", "reason"),
    [
        ("test-three-layers", {}, "3 latents per face"),
        ("test-noisy", {}, "3 latents"),
        ("test-exponential", {}, "draws z with its own code"),
        ("vae64", {"MAX_RESOLUTION": 8}, "draws 16 px; a web page can draw at most 8 px"),
        ("vae64", {"MAX_LEVELS": -1}, "would draw other faces than PyTorch"),
    ],
)
def test_a_model_that_a_page_cannot_draw_is_refused_and_nothing_is_written(name, limits, reason, tmp_path, monkeypatch):
    for limit, value in limits.items():
        monkeypatch.setattr(f"facesmith.export.webpage.page_data.{limit}", value)
    run = saved_model(tmp_path / "run", name)
    with pytest.raises(BadModel, match=reason):
        list(export_html(run, tmp_path / "faces.html", console=QUIET))
    assert not (tmp_path / "faces.html").exists()


@given(st.integers(1, 5), st.integers(1, 7), st.floats(1e-20, 1e20), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_constants_are_restored_nearly_exactly(rows, columns, size, seed):
    tensor = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    error = (rounded(tensor) - tensor).abs().amax(1)
    assert (error <= 2e-7 * tensor.abs().amax(1)).all()
    constants = Constants()
    constants.add(tensor)
    assert len(constants.content) == 4 * rows + 3 * rows * columns


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run folder and its page."""
    folder = tmp_path_factory.mktemp("page")
    run = with_directions(saved_model(folder / "run", "vae64", resolution=32))
    lines = list(export_html(run, folder / "faces.html", license="for this <b>test</b>", console=QUIET))
    return run, folder / "faces.html", lines


def element(page, kind):
    """The contents of the elements with these attributes."""
    return re.findall(rf"<{kind}>(.*?)</{kind.split()[0]}>", page, re.DOTALL)


def test_only_the_scripts_and_styles_of_the_page_are_allowed_by_its_policy(exported):
    page = exported[1].read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = element(page, kind)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives[directive].split()[0] == f"'sha256-{digest}'"
    assert directives["default-src"] == "'none'"
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert not re.search(r'(src|href)="(?!#|data:)', page), "a page that loads nothing"
    assert not re.search(r"\son\w+=|\sstyle=", page.split("<script")[0]), "no inline handlers or styles"


def test_the_page_contains_the_model_and_its_card_but_no_path(exported):
    run, file, lines = exported
    page = file.read_text(encoding="utf-8")
    values = json.loads(element(page, 'script type="application/json" id="data"')[0])
    model = load(run)
    assert (values["model"]["hash"], values["model"]["directions"]) == (model.hash, list(model.directions))
    assert values["card"]["license"] == "for this <b>test</b>"
    assert values["card"]["data"] == "unknown: no model card states it"
    assert not values["bundled"]
    assert str(run) not in page
    assert lines[0] == str(file)
    assert "MB" in lines[1]


HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> \u2028 ' \" {{ 7*7 }}"


def test_hostile_text_of_a_card_stays_text(exported, tmp_path):
    run = saved_model(tmp_path / "run", "vae64", resolution=32)
    fields = {
        "license": HOSTILE, "model-index": [{"name": HOSTILE}],
        "facesmith": {"model_sha256": load(run).hash, "data": HOSTILE},
    }  # fmt: skip
    (run / "README.md").write_text(front_matter(fields), encoding="utf-8")
    list(export_html(run, tmp_path / "faces.html", console=QUIET))
    page, usual = (file.read_text(encoding="utf-8") for file in (tmp_path / "faces.html", exported[1]))
    assert len(re.findall("<script", page)) == len(re.findall("<script", usual)), "no more elements than usual"
    assert "<img" not in page
    assert "<!--" not in page
    card = json.loads(element(page, 'script type="application/json" id="data"')[0])["card"]
    assert card["name"] == HOSTILE
    assert card["data"] == HOSTILE


def test_a_card_of_another_model_is_not_shown(exported, tmp_path):
    run = saved_model(tmp_path / "run", "vae64", resolution=32)
    fields = {"license": "mit", "facesmith": {"model_sha256": "0" * 64, "data": "mine"}}
    (run / "README.md").write_text(front_matter(fields))
    assert to_html.card_texts(load(run))["license"].startswith("unknown")


def test_the_output_must_be_html_and_is_not_overwritten(exported, tmp_path):
    run, file, _ = exported
    with pytest.raises(BadOption, match=r"must end in \.html"):
        list(export_html(run, tmp_path / "faces.pdf", console=QUIET))
    with pytest.raises(OutputExists):
        list(export_html(run, file, console=QUIET))
    before = file.read_bytes()
    list(export_html(run, file, license="for this <b>test</b>", force=True, console=QUIET))
    assert file.read_bytes() == before, "the same model gives the same bytes"


@pytest.mark.skipif(
    not (shutil.which("clang-14") and shutil.which("wasm-ld-14")),
    reason="clang-14 and wasm-ld-14 build the kernel (Debian: clang-14 lld-14)",
)
def test_building_the_kernel_again_gives_the_same_bytes(tmp_path):
    subprocess.run([KERNEL / "build.sh", tmp_path / "kernel.wasm"], check=True)
    assert (tmp_path / "kernel.wasm").read_bytes() == (KERNEL / "kernel.wasm").read_bytes()


def test_the_reference_computes_one_face_at_a_time_alike():
    G = trained_generator("quick", {})
    program, w = trace_synthesis(G), torch.randn(3, G.w_dim)
    assert torch.allclose(run_program(program, w)[1:2], run_program(program, w[1:2]), atol=1e-6)
