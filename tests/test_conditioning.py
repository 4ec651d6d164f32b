"""Conditions: what is told of faces reaches every player, what is asked for is drawn, and mistakes are one line."""

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
    faces_folder,
    procedural_labels,
    saved_model,
    small_state,
    stop_after,
)

import facesmith
from facesmith.attributes.conditioning import condition_labels, repeat_rare_labels, with_labels
from facesmith.errors import BadData, BadOption
from facesmith.explore.edit import EditOptions, edit
from facesmith.explore.mix import GAP_PX, mix
from facesmith.explore.sample import sample, sample_like
from facesmith.explore.walk import WalkOptions, _frames, walk
from facesmith.faces import Stream, open_faces
from facesmith.gan.contracts import Discriminator
from facesmith.gan.recipe import make_recipe, parse_condition
from facesmith.io.attribute_options import parse_condition_values
from facesmith.io.captions import GUTTER_PX
from facesmith.io.images import read_picture, read_provenance
from facesmith.latent import latents, truncate
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.latent.label_shares import draw_labels, label_combinations, store_label_shares
from facesmith.model import load
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.modelfiles.sidecar import save_sidecar
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
    """The same faces with a further column, or another one of that name."""
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


# What is told.


def test_labels_are_what_the_columns_say(faces):
    labels = with_labels(faces, CONDITION).labels
    assert labels.shape == (FACES, 2)
    for i, name in enumerate(CONDITION):
        assert np.array_equal(labels[:, i] > 0, faces.attributes[name] == 1)
    assert set(np.unique(labels)) == {-1, 1}
    assert with_labels(faces, ()) is faces


def test_of_a_column_of_numbers_the_upper_half_is_a_yes(data, tmp_path):
    path = with_column(data, tmp_path / "aged", "age", [str(20 + i % 40) for i in range(FACES)])
    aged = open_faces(path, RESOLUTION)
    labels = with_labels(aged, ("age",)).labels[:, 0]
    assert np.array_equal(labels > 0, aged.attributes["age"] >= 40)


def test_what_is_not_known_is_told_to_nobody(data, tmp_path):
    values = ["" if i < 20 else str(i % 2) for i in range(FACES)]
    faces = with_labels(
        open_faces(with_column(data, tmp_path / "some", "kind", values), RESOLUTION), ("kind", "smiling")
    )
    assert np.array_equal(faces.labels[:, 0] == 0, np.isnan(faces.attributes["kind"]))
    assert any("20 of 80 faces lack a label" in notice for notice in faces.notices)


def test_faces_of_a_rare_label_come_several_times_in_a_pass_and_shares_stay_true(faces):
    rare = np.arange(FACES) % 20 == 3
    labels = np.where(np.stack([rare, np.arange(FACES) % 2 == 0], 1), 1, -1).astype(np.float32)
    rows = faces.part("train")
    shown = repeat_rare_labels(rows, labels)
    times = np.bincount(shown, minlength=FACES)
    expected = min(4, round(0.2 / rare[rows].mean()))
    assert expected > 1
    assert set(times[rows][rare[rows]]) == {expected}
    assert set(times[rows][~rare[rows]]) == {1}
    assert times.sum() == times[rows].sum()
    state = small_state("test-conditional", condition=("smiling",))
    state.stream = Stream(faces.pixels, shown, seed=0, mirror=False, labels=labels[:, :1])
    set_label_shares(state)
    assert state.nets["G"].label_shares[1].item() == pytest.approx(rare[rows].mean())


def test_faces_without_labels_and_unknown_columns_are_refused(data, faces, tmp_path):
    with pytest.raises(BadOption, match=r"no column 'smilling'\. Did you mean 'smiling'"):
        with_labels(faces, ("smilling",))
    plain = tmp_path / "plain"
    plain.mkdir()
    for picture in data.glob("*.png"):
        (plain / picture.name).write_bytes(picture.read_bytes())
    with pytest.raises(BadData, match="has no labels, which a generator that is told"):
        with_labels(open_faces(plain, RESOLUTION), CONDITION)
    rare = with_column(data, tmp_path / "rare", "rare", [str(int(i == 3)) for i in range(FACES)])
    with pytest.raises(BadOption, match="1 faces with it, 79 without"):
        with_labels(open_faces(rare, RESOLUTION), ("rare",))


def test_a_condition_is_a_list_of_columns_for_recipes_that_take_one():
    assert parse_condition("test-conditional", "Smiling, Long Hair") == CONDITION
    with pytest.raises(BadOption, match=r"dcgan64 takes no --condition\. Recipes that do: .*test-conditional"):
        parse_condition("dcgan64", "smiling")
    for names in (("a", "a"), ("",), ("A",), ("a b",), ("a=1",)):
        with pytest.raises(BadOption, match="not a list of distinct attribute names"):
            make_recipe("test-conditional", {"condition": names})
    with pytest.raises(BadOption, match="at most 12"):
        make_recipe("test-conditional", {"condition": [f"n{i}" for i in range(40)]})
    assert make_recipe("test-conditional", {}).hyperparameters()["condition"] == ()
    assert make_recipe("test-conditional", {"condition": list(CONDITION)}).hyperparameters()["condition"] == CONDITION


# What is drawn.


def generator(labels):
    G = ConditionalG(RESOLUTION, 3, labels.shape[1])
    store_label_shares(G, labels)
    return G


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.sampled_from([-1.0, 1.0, 0.0]), min_size=3, max_size=3), min_size=1, max_size=40), st.data()
)
def test_labels_are_drawn_as_the_faces_have_them_that_fit(rows, data):
    labels = torch.tensor([[1.0, 1.0, 1.0], *rows])
    G = generator(labels)
    asked = torch.tensor(data.draw(st.lists(st.sampled_from([-1.0, 1.0, 0.0]), min_size=3, max_size=3)))
    found = draw_labels(G, 4000, torch.Generator().manual_seed(0), asked)
    known = labels[(labels != 0).all(1)]
    fitting = known[(known * asked >= 0).all(1)]
    among = fitting if len(fitting) else known
    assert (found * asked >= 0).all()
    assert torch.equal(found.abs(), torch.ones(4000, 3))
    open_ones = asked == 0
    assert torch.allclose(found[:, open_ones].mean(0), among[:, open_ones].mean(0), atol=0.1)


def test_combinations_are_all_there_are():
    assert label_combinations(2).tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert len(label_combinations(5).unique(dim=0)) == 32


def test_a_seed_keeps_its_z_and_mostly_its_other_labels_whatever_is_given():
    G = generator(torch.from_numpy(procedural_labels(200, ("smiling", "long_hair", "eyeglasses"))))
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


def test_a_generator_without_labels_draws_what_it_drew():
    G = small_state("dcgan64").nets["G"].eval()
    assert not hasattr(G, "label_shares")
    rng = torch.Generator().manual_seed(5)
    assert draw_labels(G, 3, rng) is None
    assert torch.equal(rng.get_state(), torch.Generator().manual_seed(5).get_state())
    z = torch.randn(1, G.z_dim, generator=torch.Generator().manual_seed(5))
    assert torch.equal(latents(G, [5])[0], G.mapping(z)[0])


# Training.


class Listening(Discriminator):
    """Remembers what it is told."""

    def __init__(self):
        super().__init__()
        self.scale, self.heard = torch.nn.Parameter(torch.ones(())), []

    def forward(self, x, labels=None):
        self.heard.append((x.detach(), labels))
        return self.scale * x.flatten(1).mean(1)


def test_every_player_is_told_of_real_faces_and_of_fakes():
    state = small_state("test-conditional", condition=CONDITION)
    D = state.nets["D"] = Listening()
    truth = {face.tobytes(): row for face, row in zip(state.stream.pixels, state.stream.labels, strict=True)}
    state.stream.mirror = False
    turn = state.recipe.turns(0)[0]
    batch = make_batch(state, turn, state.knobs, torch.Generator().manual_seed(0))
    back = ((batch.real.permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    assert all(np.array_equal(truth[face.tobytes()], row) for face, row in zip(back, batch.labels.numpy(), strict=True))
    assert torch.equal(batch.fake_labels[: len(batch.labels)], batch.labels)
    assert len(batch.fake_labels) == turn.n_fake
    for player in "DG":
        state.objective.loss(player, state.nets, batch)
    (real, fake, played) = D.heard
    assert real[1] is batch.labels
    assert fake[1] is played[1] is batch.fake_labels


def test_unconditional_players_are_told_nothing():
    state = small_state("test-conditional")
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    assert batch.labels is batch.fake_labels is None
    train_step(state)
    assert discriminator_scores(state, 8) is not None


def test_scores_are_those_of_labelled_pictures():
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


def test_the_average_latent_is_that_of_faces_labelled_like_the_data():
    state = small_state("test-conditional", condition=CONDITION)
    G = inference_networks(state)["G"]
    w = latents(G, range(3000)).mean(0)
    assert torch.allclose(G.w_avg, w, atol=0.1)


def test_quick64_has_labels_beside_z_and_asks_its_critic_of_them():
    state = small_state("quick64", condition=CONDITION)
    before = [net.state_dict()[key].clone() for net, key in ((state.nets["G"], "layers.0.weight"),
                                                             (state.nets["D"], "projection.weight"))]  # fmt: skip
    for _ in range(2):
        train_step(state)
    G, D = (state.nets[name].eval() for name in "GD")
    z, labels = torch.randn(4, G.z_dim), torch.tensor([[1.0, -1.0]]).expand(4, 2)
    assert torch.equal(G.mapping(z, labels)[:, : G.z_dim], z)
    assert G.mapping(z, labels).shape == (4, G.w_dim)
    assert torch.equal(G.mapping(z), G.mapping(z, torch.zeros(4, 2)))
    assert not G.spherical, "what lies between two faces is on a straight line where labels are part of a latent"
    x = G(z, labels)
    assert not torch.equal(x, G(z, -labels))
    assert torch.allclose(D(x, labels) + D(x, -labels), 2 * D(x), atol=1e-5)
    assert not torch.equal(D(x, labels), D(x))
    assert not torch.equal(before[0][:, G.z_dim :], G.layers[0].weight[:, G.z_dim :])
    assert not torch.equal(before[1], D.projection.weight)


def test_quick64_untold_is_what_it_was():
    state = small_state("quick64")
    G, D = (state.nets[name] for name in "GD")
    z = torch.randn(2, G.z_dim)
    assert G.mapping(z) is z
    assert G.spherical
    assert not [key for net in (G, D) for key in net.state_dict() if "label" in key or "projection" in key]
    assert state.recipe.hyperparameters()["condition"] == ()


@pytest.fixture
def asked(data, tmp_path):
    return TrainOptions(
        "test-conditional", data, tmp_path / "run", {"condition": CONDITION}, kimg=0.12, save_every_kimg=0.04,
        precision="float32", threads=1,
    )  # fmt: skip


@pytest.mark.parametrize("recipe", ["test-conditional", "quick64"])
def test_resuming_changes_nothing(asked, tmp_path, monkeypatch, recipe):
    asked = replace(asked, recipe=recipe, hyperparameters={**SMALL.get(recipe, {}), **asked.hyperparameters})
    straight = replace(asked, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(3, patched)
        assert not train(asked, QUIET).finished
    assert train(asked, QUIET).finished
    assert (asked.out / MODEL).read_bytes() == (straight.out / MODEL).read_bytes()
    model = facesmith.load(asked.out)
    assert model.conditions == CONDITION
    assert model.header["hyperparameters"]["condition"] == list(CONDITION)


def test_a_run_remembers_what_it_was_told(asked, data, tmp_path):
    train(asked, QUIET)
    plan = json.loads((asked.out / "run.json").read_text())
    assert plan["hyperparameters"]["condition"] == list(CONDITION)
    for condition, words in ((("smiling",), "was smiling,long_hair, now smiling"), ((), "now None")):
        with pytest.raises(BadData, match=words):
            train(replace(asked, hyperparameters={"condition": condition}), QUIET)
    other = with_column(data, tmp_path / "other", "smiling", [str(i % 2) for i in range(FACES)])
    with pytest.raises(BadData, match="the faces' labels was"):
        train(replace(asked, data=other), QUIET)


def test_a_model_to_begin_from_learns_how_the_new_faces_are_labelled(asked, data, tmp_path):
    train(asked, QUIET)
    other = with_column(data, tmp_path / "other", "smiling", [str(int(i < 60)) for i in range(FACES)])
    begun = replace(asked, recipe=None, hyperparameters={}, finetune_from=asked.out, data=other, out=tmp_path / "begun")
    train(begun, QUIET)
    smiles = [facesmith.load(out).G.label_shares[2:].sum().item() for out in (asked.out, begun.out)]
    assert smiles[1] > smiles[0] + 0.1


def test_an_unconditional_model_holds_nothing_new(asked):
    train(replace(asked, hyperparameters={}), QUIET)
    loaded = load_model(asked.out)
    assert loaded.header["hyperparameters"]["condition"] == []
    assert "G.label_shares" not in loaded.nets.state_dict()


# Asking.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = saved_model(tmp_path_factory.mktemp("runs") / "told", "test-conditional", condition=CONDITION)
    model, header = facesmith.load(folder), {"names": ["hat"]}
    save_sidecar(
        folder / "directions.safetensors", "directions", {"hat": torch.ones(model.G.w_dim)}, header, model.hash
    )
    return folder


@pytest.mark.parametrize("psi", [1.0, 0.6])
def test_walks_sums_and_edits_are_of_such_faces_as_are_given(run, tmp_path, psi):
    model, smiling = facesmith.load(run), {"smiling": 1, "long_hair": 0}
    expected = model.sample([3, 4], psi, condition=smiling)
    assert not np.array_equal(expected, model.sample([3, 4], psi, condition={**smiling, "smiling": 0}))
    size = expected.shape[1]
    sheet = read_picture(mix(run, "3 + 4", tmp_path / "mix.png", psi=psi, condition=smiling, scale=1))
    for i, face in enumerate(expected):
        left = GUTTER_PX + i * (GUTTER_PX + size + GAP_PX)
        assert np.array_equal(sheet[:size, left : left + size], face)
    way = WalkOptions([3, 4], seconds=1, fps=10, psi=psi, condition=smiling)
    frames = list(_frames(model, way, 10, 1, condition_labels(CONDITION, smiling)))
    assert np.array_equal(np.stack([frames[0], frames[5]]), expected)
    list(walk(run, way, [tmp_path / "walk.gif"], console=QUIET))
    list(
        edit(
            EditOptions(run, "3", {"hat": 1}, tmp_path / "edit.png", steps=1, psi=psi, scale=1, condition=smiling),
            QUIET,
        )
    )
    assert np.array_equal(read_picture(tmp_path / "edit.png")[:size, :size], expected[0])
    for name in ("mix.png", "edit.png"):
        assert json.loads(read_provenance(tmp_path / name)["Condition"]) == smiling


@pytest.mark.parametrize("psi", [0.0, 0.5])
def test_truncation_leaves_what_a_face_was_told(psi):
    G = small_state("quick64", condition=CONDITION).nets["G"].eval()
    w = latents(G, range(6))
    pulled = truncate(G, w, psi)
    assert torch.equal(pulled[:, G.z_dim :], w[:, G.z_dim :])
    assert torch.allclose(pulled[:, : G.z_dim], torch.lerp(G.w_avg[: G.z_dim].expand(6, -1), w[:, : G.z_dim], psi))
    layered = w[:, None].expand(-1, 3, -1)
    assert torch.equal(truncate(G, layered, psi), pulled[:, None].expand(-1, 3, -1))


def test_what_a_model_cannot_be_told_is_said_before_anything_is_drawn(run, tmp_path):
    unknown = {"hat": 1}
    for draw in (
        lambda: mix(run, "3 + 4", tmp_path / "mix.png", condition=unknown),
        lambda: list(walk(run, WalkOptions([3, 4], condition=unknown), [tmp_path / "walk.gif"], console=QUIET)),
        lambda: list(edit(EditOptions(run, "3", {"hat": 1}, tmp_path / "edit.png", condition=unknown), QUIET)),
    ):
        with pytest.raises(BadOption, match="has no attribute 'hat'"):
            draw()
    assert not list(tmp_path.iterdir())


def test_what_is_given_is_drawn_and_the_rest_by_the_seed(run):
    model = facesmith.load(run)
    free = model.sample(range(24))
    smiling, serious = (model.sample(range(24), condition={"smiling": answer}) for answer in (1, 0))
    assert not np.array_equal(smiling, serious)
    for face, yes, no in zip(free, smiling, serious, strict=True):
        assert not np.array_equal(yes, no)
        assert np.array_equal(face, yes) or np.array_equal(face, no) or (face != yes).any()
    labels = draw_z_and_labels(model.G, range(24))[1]
    whole = [{name: int(row[i] > 0) for i, name in enumerate(CONDITION)} for row in labels]
    assert all(np.array_equal(model.sample([seed], condition=each)[0], free[seed]) for seed, each in enumerate(whole))
    assert np.array_equal(model.sample([3, 9], condition={"smiling": 1}), smiling[[3, 9]])
    assert np.array_equal(model.synthesize(model.latents([4], condition={"smiling": 1})), smiling[4:5])


def test_psi_pulls_towards_the_average_of_the_faces_asked_for(run):
    model = facesmith.load(run)
    smiling, serious = (model.sample([1, 2], psi=0, condition={"smiling": answer}) for answer in (1, 0))
    assert np.array_equal(smiling[0], smiling[1])
    assert not np.array_equal(smiling[0], serious[0])


def test_questions_are_read_in_one_way():
    assert parse_condition_values(["smiling=1, Male = 0", "eyeglasses=1"]) == {"smiling": 1, "male": 0, "eyeglasses": 1}
    assert parse_condition_values([]) == {}
    for text in ("smiling", "smiling=", "=1", "smiling=2", "smiling=yes", "smiling=1,,male=0", "smiling=1=1"):
        with pytest.raises(BadOption, match="can't be read"):
            parse_condition_values([text])
    with pytest.raises(BadOption, match="twice"):
        parse_condition_values(["smiling=1", "smiling=0"])
    assert condition_labels(CONDITION, {}) is None
    assert condition_labels(CONDITION, {"long_hair": 0}).tolist() == [0, -1]


def test_what_a_model_cannot_be_told_is_said(run, tmp_path):
    model = facesmith.load(run)
    with pytest.raises(BadOption, match=r"has no attribute 'smilin'\. Did you mean 'smiling'"):
        model.sample([1], condition={"smilin": 1})
    with pytest.raises(BadOption, match=r"is 0\.5"):
        model.latents([1], condition={"smiling": 0.5})
    plain = facesmith.load(saved_model(tmp_path / "plain"))
    with pytest.raises(BadOption, match="not conditional"):
        plain.sample([1], condition={"smiling": 1})


def test_a_sheet_says_what_was_given_and_is_drawn_again_from_that(run, tmp_path):
    (path,) = sample(lambda: load(run), range(4), tmp_path / "a.png", condition={"smiling": 1}, console=QUIET)
    assert json.loads(read_provenance(path)["Condition"]) == {"smiling": 1}
    (again,) = sample_like(lambda: load(run), path, tmp_path / "b.png", console=QUIET)
    assert np.array_equal(read_picture(again), read_picture(path))
    (free,) = sample(lambda: load(run), range(4), tmp_path / "c.png", console=QUIET)
    assert "Condition" not in read_provenance(free)
