"""Conditional models, from the labels of a dataset through training to sampling with a requested condition."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    QUIET,
    RESOLUTION,
    SMALL,
    ConditionalG,
    WithoutFloat64,
    faces_folder,
    procedural_labels,
    saved_model,
    small_state,
    stop_after,
)

import facesmith
from facesmith.attributes.conditioning import condition_attributes, condition_labels, repeat_rare_labels, with_labels
from facesmith.errors import BadData, BadOption
from facesmith.explore.edit import EditOptions, edit
from facesmith.explore.mix import GAP_PX, mix
from facesmith.explore.sample import sample, sample_like
from facesmith.explore.walk import WalkOptions, _frames, walk
from facesmith.faces import Stream, open_faces
from facesmith.gan.contracts import Discriminator
from facesmith.gan.recipe import make_recipe, parse_condition
from facesmith.io.attribute_options import parse_condition_values
from facesmith.latent import latents, truncate
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.latent.label_shares import draw_labels, label_combinations, store_label_shares
from facesmith.model import load
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.modelfiles.sidecar import save_sidecar
from facesmith.pictures.captions import GUTTER_PX
from facesmith.pictures.images import read_picture, read_provenance
from facesmith.training.averages import inference_networks
from facesmith.training.discriminator_scores import discriminator_scores
from facesmith.training.plan import TrainOptions
from facesmith.training.state import set_label_shares
from facesmith.training.step import make_batch, train_step
from facesmith.training.train import train

CONDITION = ("smiling", "long_hair")
FACES = 80


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"), FACES)


@pytest.fixture
def faces(data):
    return open_faces(data, RESOLUTION)


def with_column(data, path, name, values):
    """A copy of the faces whose table has a new or replaced column."""
    path.mkdir()
    for picture in data.glob("*.png"):
        (path / picture.name).write_bytes(picture.read_bytes())
    with (data / "metadata.csv").open() as stream:
        rows = [{**row, name: value} for row, value in zip(csv.DictReader(stream), values, strict=True)]
    with (path / "metadata.csv").open("w") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


# Labels of a dataset.


def test_labels_match_the_columns(faces):
    labels = with_labels(faces, CONDITION).labels
    assert labels.shape == (FACES, 2)
    for i, name in enumerate(CONDITION):
        assert np.array_equal(labels[:, i] > 0, faces.attributes[name] == 1)
    assert set(np.unique(labels)) == {-1, 1}
    assert with_labels(faces, ()) is faces


def test_condition_on_a_number_is_refused_with_advice(data, tmp_path):
    path = with_column(data, tmp_path / "aged", "age", [str(20 + i % 40) for i in range(FACES)])
    with pytest.raises(BadOption, match=r"age has numbers from 20 to 59, .*column of 1 and 0 .*age_over_39"):
        with_labels(open_faces(path, RESOLUTION), ("age",))


def test_column_of_classes_stands_for_all_its_classes(data, tmp_path):
    path = with_column(
        data, tmp_path / "classes", "Age Group", [("20-29", "30-39", "70+")[i % 3] for i in range(FACES)]
    )
    faces = open_faces(path, RESOLUTION)
    names = condition_attributes(faces, ("age_group", "smiling"))
    assert names == ("age_group=20-29", "age_group=30-39", "age_group=70+", "smiling")
    labels = with_labels(faces, names).labels
    assert (labels[:, :3].sum(1) == -1).all()  # one yes and two no
    assert np.array_equal(labels[:, 1] > 0, np.arange(FACES) % 3 == 1)
    assert condition_attributes(faces, ("age_group=70+",)) == ("age_group=70+",)


def test_class_with_too_few_faces_is_an_error_that_names_the_others(data, tmp_path):
    path = with_column(
        data, tmp_path / "rare", "kind", ["a" if i < 39 else "b" if i < 75 else "c" for i in range(FACES)]
    )
    with pytest.raises(BadOption, match=r"kind=c \(5 faces with it.*Without them: kind=a,kind=b"):
        with_labels(open_faces(path, RESOLUTION), ("kind",))


def test_column_that_gives_no_attribute_is_an_error_with_the_reason(data, tmp_path):
    path = with_column(data, tmp_path / "text", "caption", [f"face {i}" for i in range(FACES)])
    with pytest.raises(BadOption, match=r"'caption' .*is not an attribute: 80 different texts, more than 64 classes"):
        with_labels(open_faces(path, RESOLUTION), ("caption",))


def test_unknown_values_become_label_zero_with_a_notice(data, tmp_path):
    values = ["" if i < 20 else str(i % 2) for i in range(FACES)]
    path = with_column(data, tmp_path / "incomplete", "kind", values)
    faces = with_labels(open_faces(path, RESOLUTION), ("kind", "smiling"))
    assert np.array_equal(faces.labels[:, 0] == 0, np.isnan(faces.attributes["kind"]))
    assert any("20 of 80 faces lack a label" in notice for notice in faces.notices)


def test_faces_with_a_rare_label_are_repeated_but_label_shares_are_not_changed(faces):
    rare = np.arange(FACES) % 20 == 3
    labels = np.where(np.stack([rare, np.arange(FACES) % 2 == 0], 1), 1, -1).astype(np.float32)
    rows = faces.part("train")
    repeated = repeat_rare_labels(rows, labels)
    times = np.bincount(repeated, minlength=FACES)
    expected = min(4, round(0.2 / rare[rows].mean()))
    assert expected > 1
    assert set(times[rows][rare[rows]]) == {expected}
    assert set(times[rows][~rare[rows]]) == {1}
    assert times.sum() == times[rows].sum()
    state = small_state("test-conditional", condition=("smiling",))
    state.stream = Stream(faces.pixels, repeated, seed=0, mirror=False, labels=labels[:, :1])
    set_label_shares(state)
    assert state.nets["G"].label_shares[1].item() == pytest.approx(rare[rows].mean())


def test_missing_labels_and_unknown_columns_are_errors(data, faces, tmp_path):
    with pytest.raises(BadOption, match=r"no column 'smilling'\. Did you mean 'smiling'"):
        with_labels(faces, ("smilling",))
    plain = tmp_path / "plain"
    plain.mkdir()
    for picture in data.glob("*.png"):
        (plain / picture.name).write_bytes(picture.read_bytes())
    with pytest.raises(BadData, match="has no labels for the condition smiling,long_hair"):
        with_labels(open_faces(plain, RESOLUTION), CONDITION)
    rare = with_column(data, tmp_path / "rare", "rare", [str(int(i == 3)) for i in range(FACES)])
    with pytest.raises(BadOption, match="1 faces with it, 79 without"):
        with_labels(open_faces(rare, RESOLUTION), ("rare",))


def test_condition_is_a_list_of_columns_for_conditional_recipes():
    assert parse_condition("test-conditional", "Smiling, Long Hair") == CONDITION
    with pytest.raises(BadOption, match=r"dcgan64 takes no --condition\. Recipes that do: .*test-conditional"):
        parse_condition("dcgan64", "smiling")
    for names in (("a", "a"), ("",), ("A",), ("a b",), ("a=1=2",), ("=a",), ("a=",)):
        with pytest.raises(BadOption, match="not a list of distinct attribute names"):
            make_recipe("test-conditional", {"condition": names})
    with pytest.raises(BadOption, match="at most 12"):
        make_recipe("test-conditional", {"condition": [f"n{i}" for i in range(40)]})
    assert make_recipe("test-conditional", {}).hyperparameters()["condition"] == ()
    assert make_recipe("test-conditional", {"condition": list(CONDITION)}).hyperparameters()["condition"] == CONDITION


# Labels of generated faces.


def generator_with_shares_of(labels):
    G = ConditionalG(RESOLUTION, 3, labels.shape[1])
    store_label_shares(G, labels)
    return G


def test_labels_are_drawn_for_a_generator_on_a_device_without_float64():
    G = generator_with_shares_of(torch.tensor([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]]))
    expected = draw_labels(G, 50, torch.Generator().manual_seed(0))
    G.label_shares = G.label_shares.as_subclass(WithoutFloat64)
    assert torch.equal(draw_labels(G, 50, torch.Generator().manual_seed(0)), expected)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.sampled_from([-1.0, 1.0, 0.0]), min_size=3, max_size=3), min_size=1, max_size=40), st.data()
)
def test_open_labels_are_drawn_with_their_shares_among_matching_faces(rows, data):
    labels = torch.tensor([[1.0, 1.0, 1.0], *rows])
    G = generator_with_shares_of(labels)
    condition = torch.tensor(data.draw(st.lists(st.sampled_from([-1.0, 1.0, 0.0]), min_size=3, max_size=3)))
    drawn = draw_labels(G, 4000, torch.Generator().manual_seed(0), condition)
    complete = labels[(labels != 0).all(1)]
    matching = complete[(complete * condition >= 0).all(1)]
    expected = matching if len(matching) else complete
    assert (drawn * condition >= 0).all()
    assert torch.equal(drawn.abs(), torch.ones(4000, 3))
    is_open = condition == 0
    assert torch.allclose(drawn[:, is_open].mean(0), expected[:, is_open].mean(0), atol=0.1)


def test_label_combinations_are_complete():
    assert label_combinations(2).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert len(label_combinations(5).unique(dim=0)) == 32


def test_condition_keeps_the_z_and_most_other_labels_of_a_seed():
    G = generator_with_shares_of(torch.from_numpy(procedural_labels(200, ("smiling", "long_hair", "eyeglasses"))))
    seeds = range(300)
    z, free = draw_z_and_labels(G, seeds)
    with_smile, without = (draw_z_and_labels(G, seeds, torch.tensor([sign, 0.0, 0.0])) for sign in (1.0, -1.0))
    assert torch.equal(z, with_smile[0])
    assert torch.equal(z, without[0])
    assert (with_smile[1][:, 0] == 1).all()
    assert (without[1][:, 0] == -1).all()
    assert (with_smile[1][:, 1:] == without[1][:, 1:]).all(1).float().mean() > 0.7
    assert set(free[:, 0].tolist()) == {-1, 1}
    assert torch.equal(draw_z_and_labels(G, [7])[1][0], free[7])


def test_unconditional_generator_draws_no_labels():
    G = small_state("dcgan64").nets["G"].eval()
    assert not hasattr(G, "label_shares")
    rng = torch.Generator().manual_seed(5)
    assert draw_labels(G, 3, rng) is None
    assert torch.equal(rng.get_state(), torch.Generator().manual_seed(5).get_state())
    z = torch.randn(1, G.z_dim, generator=torch.Generator().manual_seed(5))
    assert torch.equal(latents(G, [5])[0], G.mapping(z)[0])


# Training.


class RecordingD(Discriminator):
    """A discriminator that records its inputs."""

    def __init__(self):
        super().__init__()
        self.scale, self.inputs = torch.nn.Parameter(torch.ones(())), []

    def forward(self, x, labels=None):
        self.inputs.append((x.detach(), labels))
        return self.scale * x.flatten(1).mean(1)


def test_both_networks_get_the_labels_of_real_and_fake_faces():
    state = small_state("test-conditional", condition=CONDITION)
    D = state.nets["D"] = RecordingD()
    truth = {face.tobytes(): row for face, row in zip(state.stream.pixels, state.stream.labels, strict=True)}
    state.stream.mirror = False
    turn = state.recipe.turns(0)[0]
    batch = make_batch(state, turn, state.knobs, torch.Generator().manual_seed(0))
    pixels = ((batch.real.permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    assert all(
        np.array_equal(truth[face.tobytes()], row) for face, row in zip(pixels, batch.labels.numpy(), strict=True)
    )
    assert torch.equal(batch.fake_labels[: len(batch.labels)], batch.labels)
    assert len(batch.fake_labels) == turn.n_fake
    for player in "DG":
        state.objective.loss(player, state.nets, batch)
    (real, fake, generator_turn) = D.inputs
    assert real[1] is batch.labels
    assert fake[1] is generator_turn[1] is batch.fake_labels


def test_unconditional_training_has_no_labels():
    state = small_state("test-conditional")
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    assert batch.labels is batch.fake_labels is None
    train_step(state)
    assert discriminator_scores(state, 8) is not None


def test_discriminator_scores_use_the_labels():
    state = small_state("test-conditional", condition=CONDITION)
    for _ in range(2):
        train_step(state)
    scores = discriminator_scores(state, 8, state.stream.pixels, state.stream.labels)
    with torch.no_grad():
        rows = torch.from_numpy(state.stream.labels)
        x = torch.from_numpy(state.stream.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = state.nets["D"].eval()(x, rows)
    assert np.allclose(scores.real, expected.numpy(), atol=1e-5)
    assert np.allclose(scores.held_out, expected.numpy(), atol=1e-5)


def test_average_latent_has_labels_distributed_like_the_data():
    state = small_state("test-conditional", condition=CONDITION)
    G = inference_networks(state)["G"]
    w = latents(G, range(3000)).mean(0)
    assert torch.allclose(G.w_avg, w, atol=0.1)


def test_quick_uses_labels_in_the_latent_and_in_the_discriminator():
    state = small_state("quick", condition=CONDITION)
    before = [net.state_dict()[key].clone() for net, key in ((state.nets["G"], "layers.0.weight"),
                                                             (state.nets["D"], "projection.weight"))]  # fmt: skip
    for _ in range(2):
        train_step(state)
    G, D = (state.nets[name].eval() for name in "GD")
    z, labels = torch.randn(4, G.z_dim), torch.tensor([[1.0, -1.0]]).expand(4, 2)
    assert torch.equal(G.mapping(z, labels)[:, : G.z_dim], z)
    assert G.mapping(z, labels).shape == (4, G.w_dim)
    assert torch.equal(G.mapping(z), G.mapping(z, torch.zeros(4, 2)))
    assert not G.spherical, "latents that contain labels are interpolated linearly"
    x = G(z, labels)
    assert not torch.equal(x, G(z, -labels))
    assert torch.allclose(D(x, labels) + D(x, -labels), 2 * D(x), atol=1e-5)
    assert not torch.equal(D(x, labels), D(x))
    assert not torch.equal(before[0][:, G.z_dim :], G.layers[0].weight[:, G.z_dim :])
    assert not torch.equal(before[1], D.projection.weight)


def test_quick_without_condition_has_no_label_weights():
    state = small_state("quick")
    G, D = (state.nets[name] for name in "GD")
    z = torch.randn(2, G.z_dim)
    assert G.mapping(z) is z
    assert G.spherical
    assert not [key for net in (G, D) for key in net.state_dict() if "label" in key or "projection" in key]
    assert state.recipe.hyperparameters()["condition"] == ()


@pytest.fixture
def options(data, tmp_path):
    return TrainOptions(
        "test-conditional", data, tmp_path / "run", {"condition": CONDITION}, kimg=0.12, save_every_kimg=0.04,
        precision="float32", threads=1,
    )  # fmt: skip


@pytest.mark.parametrize("recipe", ["test-conditional", "quick"])
def test_resumed_conditional_training_is_byte_identical(options, tmp_path, monkeypatch, recipe):
    options = replace(options, recipe=recipe, hyperparameters={**SMALL.get(recipe, {}), **options.hyperparameters})
    uninterrupted = replace(options, out=tmp_path / "uninterrupted")
    assert train(uninterrupted, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(3, patched)
        assert not train(options, QUIET).finished
    assert train(options, QUIET).finished
    assert (options.out / MODEL).read_bytes() == (uninterrupted.out / MODEL).read_bytes()
    model = facesmith.load(options.out)
    assert model.conditions == CONDITION
    assert model.header["hyperparameters"]["condition"] == list(CONDITION)


def test_run_resumes_only_with_the_same_condition_and_labels(options, data, tmp_path):
    train(options, QUIET)
    plan = json.loads((options.out / "run.json").read_text())
    assert plan["hyperparameters"]["condition"] == list(CONDITION)
    for condition, message in ((("smiling",), "was smiling,long_hair, now smiling"), ((), "now None")):
        with pytest.raises(BadData, match=message):
            train(replace(options, hyperparameters={"condition": condition}), QUIET)
    other = with_column(data, tmp_path / "other", "smiling", [str(i % 2) for i in range(FACES)])
    with pytest.raises(BadData, match="the faces' labels was"):
        train(replace(options, data=other), QUIET)


def test_fine_tuning_takes_over_the_label_shares_of_the_new_faces(options, data, tmp_path):
    train(options, QUIET)
    other = with_column(data, tmp_path / "other", "smiling", [str(int(i < 60)) for i in range(FACES)])
    finetuned = replace(
        options, recipe=None, hyperparameters={}, finetune_from=options.out, data=other, out=tmp_path / "finetuned"
    )
    train(finetuned, QUIET)
    smiles = [facesmith.load(out).G.label_shares[2:].sum().item() for out in (options.out, finetuned.out)]
    assert smiles[1] > smiles[0] + 0.1


def test_unconditional_model_stores_no_label_shares(options):
    train(replace(options, hyperparameters={}), QUIET)
    loaded = load_model(options.out)
    assert loaded.header["hyperparameters"]["condition"] == []
    assert "G.label_shares" not in loaded.nets.state_dict()


# Requesting a condition.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = saved_model(tmp_path_factory.mktemp("runs") / "conditional", "test-conditional", condition=CONDITION)
    model, header = facesmith.load(folder), {"names": ["hat"]}
    save_sidecar(
        folder / "directions.safetensors", "directions", {"hat": torch.ones(model.G.w_dim)}, header, model.hash
    )
    return folder


@pytest.mark.parametrize("psi", [1.0, 0.6])
def test_condition_applies_to_walk_mix_and_edit(run, tmp_path, psi):
    model, smiling = facesmith.load(run), {"smiling": 1, "long_hair": 0}
    expected = model.sample([3, 4], psi, condition=smiling)
    assert not np.array_equal(expected, model.sample([3, 4], psi, condition={**smiling, "smiling": 0}))
    size = expected.shape[1]
    sheet = read_picture(mix(run, "3 + 4", tmp_path / "mix.png", psi=psi, condition=smiling, scale=1))
    for i, face in enumerate(expected):
        left = GUTTER_PX + i * (GUTTER_PX + size + GAP_PX)
        assert np.array_equal(sheet[:size, left : left + size], face)
    walk_options = WalkOptions([3, 4], seconds=1, fps=10, psi=psi, condition=smiling)
    frames = list(_frames(model, walk_options, 10, 1, condition_labels(CONDITION, smiling)))
    assert np.array_equal(np.stack([frames[0], frames[5]]), expected)
    list(walk(run, walk_options, [tmp_path / "walk.gif"], console=QUIET))
    out = tmp_path / "edit.png"
    list(edit(EditOptions(run, "3", {"hat": 1}, out, steps=1, psi=psi, scale=1, condition=smiling), QUIET))
    assert np.array_equal(read_picture(tmp_path / "edit.png")[:size, :size], expected[0])
    for name in ("mix.png", "edit.png"):
        assert json.loads(read_provenance(tmp_path / name)["Condition"]) == smiling


@pytest.mark.parametrize("psi", [0.0, 0.5])
def test_truncation_keeps_the_labels(psi):
    G = small_state("quick", condition=CONDITION).nets["G"].eval()
    w = latents(G, range(6))
    truncated = truncate(G, w, psi)
    assert torch.equal(truncated[:, G.z_dim :], w[:, G.z_dim :])
    assert torch.allclose(truncated[:, : G.z_dim], torch.lerp(G.w_avg[: G.z_dim].expand(6, -1), w[:, : G.z_dim], psi))
    layered = w[:, None].expand(-1, 3, -1)
    assert torch.equal(truncate(G, layered, psi), truncated[:, None].expand(-1, 3, -1))


def test_unknown_condition_is_an_error_before_any_output(run, tmp_path):
    unknown = {"hat": 1}
    for draw in (
        lambda: mix(run, "3 + 4", tmp_path / "mix.png", condition=unknown),
        lambda: list(walk(run, WalkOptions([3, 4], condition=unknown), [tmp_path / "walk.gif"], console=QUIET)),
        lambda: list(edit(EditOptions(run, "3", {"hat": 1}, tmp_path / "edit.png", condition=unknown), QUIET)),
    ):
        with pytest.raises(BadOption, match="has no attribute 'hat'"):
            draw()
    assert not list(tmp_path.iterdir())


def test_condition_sets_some_labels_and_the_seed_the_others(run):
    model = facesmith.load(run)
    free = model.sample(range(24))
    smiling, serious = (model.sample(range(24), condition={"smiling": value}) for value in (1, 0))
    assert not np.array_equal(smiling, serious)
    for yes, no in zip(smiling, serious, strict=True):
        assert not np.array_equal(yes, no)
    labels = draw_z_and_labels(model.G, range(24))[1]
    conditions = [{name: int(row[i] > 0) for i, name in enumerate(CONDITION)} for row in labels]
    assert all(
        np.array_equal(model.sample([seed], condition=each)[0], free[seed]) for seed, each in enumerate(conditions)
    )
    assert np.array_equal(model.sample([3, 9], condition={"smiling": 1}), smiling[[3, 9]])
    assert np.array_equal(model.synthesize(model.latents([4], condition={"smiling": 1})), smiling[4:5])


def test_psi_zero_is_the_average_face_with_the_condition(run):
    model = facesmith.load(run)
    smiling, serious = (model.sample([1, 2], psi=0, condition={"smiling": value}) for value in (1, 0))
    assert np.array_equal(smiling[0], smiling[1])
    assert not np.array_equal(smiling[0], serious[0])


def test_condition_values_are_parsed():
    assert parse_condition_values(["smiling=1, Male = 0", "eyeglasses=1"]) == {"smiling": 1, "male": 0, "eyeglasses": 1}
    assert parse_condition_values(["label=2", "Age Group = 30-39,age_group=70+=0"]) == {
        "label=2": 1,
        "age_group=30-39": 1,
        "age_group=70+": 0,
    }
    assert parse_condition_values([]) == {}
    for text in ("smiling", "smiling=", "=1", "smiling=1,,male=0", "a=b=c=1", "a=b=c", "a=b="):
        with pytest.raises(BadOption, match="can't be read"):
            parse_condition_values([text])
    with pytest.raises(BadOption, match="twice"):
        parse_condition_values(["smiling=1", "smiling=0"])
    assert condition_labels(CONDITION, {}) is None
    assert condition_labels(CONDITION, {"long_hair": 0}).tolist() == [0, -1]


def test_class_sets_the_other_classes_of_its_column_to_no():
    names = ("label=0", "label=1", "label=2", "smiling", "age_group=30-39")
    assert condition_labels(names, {"label=2": 1}).tolist() == [-1, -1, 1, 0, 0]
    assert condition_labels(names, {"label": 1}).tolist() == [-1, 1, -1, 0, 0]
    assert condition_labels(names, {"label": 0, "smiling": 0}).tolist() == [1, -1, -1, -1, 0]
    assert condition_labels(names, {"label": 2}).tolist() == [-1, -1, 1, 0, 0]
    assert condition_labels(names, {"label": np.int64(2)}).tolist() == [-1, -1, 1, 0, 0]
    assert condition_labels(names, {"label": np.float32(2), "smiling": True}).tolist() == [-1, -1, 1, 1, 0]
    assert condition_labels(names, {"label=1": 0, "age_group=30-39": 1}).tolist() == [0, -1, 0, 0, 1]
    with pytest.raises(BadOption, match="exclude each other"):
        condition_labels(names, {"label=1": 1, "label=2": 1})
    with pytest.raises(BadOption, match=r"no attribute 'label=7'\. It has: label=0, label=1, label=2\."):
        condition_labels(names, {"label=7": 1})
    with pytest.raises(BadOption, match=r"smiling=yes: Write an attribute and 1 \(yes\) or 0"):
        condition_labels(names, {"smiling=yes": 1})


def test_condition_that_the_model_lacks_is_an_error(run, tmp_path):
    model = facesmith.load(run)
    with pytest.raises(BadOption, match=r"has no attribute 'smilin'\. Did you mean 'smiling'"):
        model.sample([1], condition={"smilin": 1})
    with pytest.raises(BadOption, match=r"is 0\.5"):
        model.latents([1], condition={"smiling": 0.5})
    plain = facesmith.load(saved_model(tmp_path / "plain"))
    with pytest.raises(BadOption, match="not conditional"):
        plain.sample([1], condition={"smiling": 1})


def test_metadata_has_the_condition_and_sample_like_repeats_it(run, tmp_path):
    (path,) = sample(lambda: load(run), range(4), tmp_path / "a.png", condition={"smiling": 1}, console=QUIET)
    assert json.loads(read_provenance(path)["Condition"]) == {"smiling": 1}
    (again,) = sample_like(lambda: load(run), path, tmp_path / "b.png", console=QUIET)
    assert np.array_equal(read_picture(again), read_picture(path))
    (free,) = sample(lambda: load(run), range(4), tmp_path / "c.png", console=QUIET)
    assert "Condition" not in read_provenance(free)
