"""The diagnosis: signs, healthy and planted histories, real trainings that fail, and what happens then."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small import QUIET, Tiny, faces_folder, procedural_pixels, small_state
from torch.nn.functional import mse_loss

import facesmith.training.run as run_module
from facesmith.errors import BadOption, TrainingStopped
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import recipe
from facesmith.gan.recipe_options import option
from facesmith.io.messages import SafeConsole
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.training.averages import inference_networks
from facesmith.training.diagnosis import (
    AUC,
    DISTANCE,
    FACES,
    HELD_OUT_FACES,
    LEVEL,
    TRAINING_AUC,
    VARIETY,
    diagnose,
    is_healthy,
    needing_rollback,
    sample_statistics,
    thumbnails,
    unexamined,
)
from facesmith.training.monitor import Monitor
from facesmith.training.plan import TrainOptions
from facesmith.training.step import train_step
from facesmith.training.train import train

BUDGET = 100_000


def history(*saves, budget=BUDGET):
    """A log whose saves have these values of variety, distance and AUC, spread over the whole budget."""
    names = (VARIETY, DISTANCE, AUC)
    step = budget // len(saves)
    return [{"seen": step * (n + 1), **dict(zip(names, save, strict=False))} for n, save in enumerate(saves)]


def names_of(lines, budget=BUDGET):
    """The names of the problems in a log."""
    return [problem.name for problem in diagnose(lines, budget)]


# Variety, distance and AUC as logged by runs on CelebA.
HEALTHY = {
    "dcgan64": [(0.25, 0.27), (0.48, 0.078), (0.65, 0.035), (0.72, 0.028), (0.8, 0.011), (0.81, 0.01), (0.94, 0.011),
                (1.01, 0.004), (1.0, 0.005), (1.0, 0.002), (0.95, 0.004), (0.91, 0.002)],
    "wgan-gp64": [(0.03, 0.649, 1.0), (0.06, 0.493, 1.0), (0.11, 0.418, 1.0), (0.28, 0.255, 1.0), (0.67, 0.073, 0.992),
                  (0.81, 0.039, 0.988), (0.86, 0.017, 0.988), (0.99, 0.01, 0.968), (1.15, 0.005, 0.585)],
    "elu36": [(0.51, 1.455, 1.0), (0.81, 1.854, 1.0), (0.56, 2.629, 0.999), (0.7, 1.608, 0.999), (1.16, 0.724, 0.912),
              (0.88, 0.253, 0.919), (0.7, 0.079, 0.997), (0.82, 0.098, 0.972)],
    "dcgan32": [(0.08, 0.53, 1.0), (0.08, 0.446, 0.997), (0.12, 0.313, 1.0), (0.16, 0.177, 0.999), (0.24, 0.152, 0.985),
                (0.3, 0.116, 0.997)],
    "quick": [(0.82, 0.031, 0.901), (0.84, 0.019, 0.846), (0.85, 0.025, 0.855), (0.88, 0.022, 0.87),
                (0.87, 0.006, 0.925), (0.87, 0.013, 0.845), (0.82, 0.016, 0.829)],
}  # fmt: skip


def test_what_could_not_be_examined_is_named():
    assert [reason.partition(" (")[0] for reason in unexamined([])] == [
        "mode collapse",
        "divergence",
        "no progress",
        "discriminator too strong",
        "overfitting",
    ]
    line = {VARIETY: 0.9, DISTANCE: 0.02, AUC: 0.7, TRAINING_AUC: 0.55, "scores/faces": 500}
    lines = [line | {"seen": i, "scores/held_out_faces": 500} for i in range(1, 9)]
    assert unexamined(lines) == []
    few = [each | {"scores/held_out_faces": 3} for each in lines]
    assert unexamined(few) == ["overfitting (needs more held-out faces; there are 3)"]
    without = [each | {"scores/held_out_faces": 0} for each in lines]
    (reason,) = unexamined(without)
    assert reason.startswith(
        "overfitting (needs 3 checkpoints with discriminator scores of held-out faces; there are 0"
    )


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_runs_have_no_problem_at_any_save(name):
    lines = history(*HEALTHY[name])  # the first third of a run
    for save in range(1, len(lines) + 1):
        assert names_of(lines[:save], 3 * BUDGET) == []
    assert is_healthy(lines, 3 * BUDGET)


def test_low_variety_is_no_collapse_while_samples_still_improve():
    lines = history(*HEALTHY["dcgan32"])  # a short run: these are all its saves
    for save in range(1, len(lines) + 1):
        assert names_of(lines[:save]) == []


NO_PROGRESS = {  # logged by balanced64 on LFW at 32 px, with options that make it fail
    "a weak discriminator": [(0.8, 0.771, 0.43), (0.85, 0.709, 0.36), (0.89, 0.674, 0.38), (0.9, 0.649, 0.37),
                             (0.92, 0.627, 0.28), (0.92, 0.622, 0.33), (0.92, 0.622, 0.38), (0.92, 0.651, 0.37),
                             (0.9, 0.671, 0.37), (0.92, 0.662, 0.32), (0.92, 0.663, 0.24), (0.91, 0.672, 0.19)],
    "a low learning rate": [(0.77, 0.852, 0.39 + 0.035 * save) for save in range(12)],
}  # fmt: skip


@pytest.mark.parametrize("name", NO_PROGRESS)
def test_a_run_that_stays_far_from_faces_makes_no_progress(name):
    lines = history(*NO_PROGRESS[name])
    assert names_of(lines) == ["no progress"]
    assert not any(names_of(lines[:save]) for save in range(7))  # in the first half of the budget
    assert not any(names_of(lines, 3 * BUDGET))
    near = [line | {DISTANCE: line[DISTANCE] / 3} for line in lines]  # already faces, if bad ones
    assert names_of(near) == []
    assert not needing_rollback(diagnose(lines, BUDGET))


PLANTED = {
    "mode collapse": [(0.5, 0.2, 0.9), (0.8, 0.1, 0.9), (0.9, 0.08, 0.9), (0.2, 0.09, 0.9), (0.1, 0.1, 0.9),
                 (0.1, 0.1, 0.9)],
    "discriminator too strong": [(1.9, 1.62, 1.0), (1.5, 1.63, 1.0), (1.0, 2.05, 1.0), (1.1, 2.16, 1.0),
                   (1.0, 2.5, 1.0), (1.1, 2.46, 1.0)],
    "divergence": [(0.6, 0.1, 0.9), (0.8, 0.03, 0.9), (0.8, 0.02, 0.9), (0.9, 0.2, 0.9), (0.9, 0.3, 0.9),
                   (0.8, 0.4, 0.9)],
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_problems_are_named_after_three_saves_and_pass(name):
    lines = history(*PLANTED[name])
    assert names_of(lines) == [name]
    assert names_of(lines[:-1]) == []
    assert not is_healthy(lines, BUDGET)
    recovered = {"seen": BUDGET, VARIETY: 0.9, DISTANCE: 0.02, AUC: 0.8}
    assert names_of([*lines, recovered]) == []
    (problem,) = diagnose(lines, BUDGET)
    assert problem.symptom.endswith(".")
    assert problem.advice.endswith(".")


def test_a_growing_network_at_a_new_size_is_no_problem():
    for planted in PLANTED.values():
        lines = history(*planted)
        assert names_of([{**line, LEVEL: n / 10} for n, line in enumerate(lines)]) == []
        assert names_of([{**line, LEVEL: 0.5} for line in lines]) == names_of(lines)


def test_low_variety_is_normal_early_in_a_run_only():
    alike = [(0.05, 0.6, 0.9)] * 4
    assert names_of(history(*alike), budget=10 * BUDGET) == []
    assert names_of(history(*alike)) == ["mode collapse"]


def test_overfitting_needs_enough_faces_to_be_significant():
    def lines(share, faces):
        return [
            {**line, TRAINING_AUC: share, FACES: faces, HELD_OUT_FACES: faces}
            for line in history(*[(0.9, 0.01, 0.9)] * 3)
        ]

    assert names_of(lines(0.65, 500)) == ["overfitting"]
    assert names_of(lines(0.65, 64)) == []  # may be chance
    assert names_of(lines(0.7, 64)) == ["overfitting"]
    assert names_of(lines(0.55, 5000)) == []
    few = [{**line, HELD_OUT_FACES: 16} for line in lines(0.7, 304)]
    assert names_of(few) == []
    assert names_of([{**line, TRAINING_AUC: 0.9} for line in few]) == ["overfitting"]


def test_a_save_clearly_worse_than_the_best_is_not_healthy():
    assert is_healthy(history((0.9, 0.02), (0.85, 0.03)), BUDGET)
    assert not is_healthy(history((0.9, 0.02), (0.5, 0.02)), BUDGET)
    assert not is_healthy(history((0.9, 0.02), (0.9, 0.06)), BUDGET)
    assert not is_healthy([], BUDGET)


anything = st.none() | st.floats() | st.integers() | st.just(10**400) | st.text() | st.booleans()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.dictionaries(st.sampled_from([VARIETY, DISTANCE, AUC, TRAINING_AUC, FACES, HELD_OUT_FACES]), anything),
        max_size=8,
    )
)
def test_a_damaged_log_raises_nothing(damaged):
    lines = [{"seen": n, **line} for n, line in enumerate(damaged)]
    assert isinstance(names_of(lines), list)
    assert isinstance(is_healthy(lines, BUDGET), bool)


def test_signs_of_real_faces_of_one_face_and_of_noise():
    pixels = procedural_pixels(576)
    real = thumbnails(pixels[64:])
    like_real = sample_statistics(thumbnails(pixels[:64]), real)
    assert like_real[VARIETY] == pytest.approx(1, abs=0.2)
    assert abs(like_real[DISTANCE]) < 0.03
    single = sample_statistics(thumbnails(np.repeat(pixels[:1], 64, 0)), real)
    assert single[VARIETY] == pytest.approx(0, abs=0.01)
    assert single[DISTANCE] > 0.3
    few = sample_statistics(thumbnails(np.repeat(pixels[:4], 16, 0)), real)
    assert few[VARIETY] == pytest.approx(0, abs=0.01)
    noise = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    assert sample_statistics(thumbnails(noise), real)[DISTANCE] > 0.25
    assert sample_statistics(thumbnails(pixels[:64]), real[:1]) == {}
    assert set(sample_statistics(thumbnails(pixels[:64]), real[:2])) == {VARIETY, DISTANCE}


def test_a_generator_without_input_is_diagnosed_as_collapsed(tmp_path):
    state = small_state("dcgan32", faces=128, budget=400)
    with Monitor(tmp_path, state, 0.0, QUIET) as monitor:
        for save in range(5):
            state.seen += 80
            if save == 2:
                with torch.no_grad():
                    next(state.averages["G"].parameters()).zero_()
            monitor.log_checkpoint(inference_networks(state))
        assert "mode collapse" in names_of(monitor.lines, state.budget)
        assert "collapse" in monitor.lines[-1]["problems"]
        assert "problems" not in monitor.lines[1]


def test_a_discriminator_trained_on_few_faces_is_diagnosed_as_overfitting(tmp_path):
    state = small_state("dcgan32", faces=32, budget=10_000, lr=2e-3, batch_size=16, mirror=False)
    others = procedural_pixels(400)[200:]
    with Monitor(tmp_path, state, 0.0, QUIET, others) as monitor:
        monitor.log_checkpoint(inference_networks(state))
        for _ in range(3):
            for _ in range(50):
                train_step(state)
            monitor.log_checkpoint(inference_networks(state))
    shares = [line[TRAINING_AUC] for line in monitor.lines]
    assert shares[0] < 0.6
    assert min(shares[1:]) > 0.7
    assert names_of(monitor.lines, state.budget) == ["overfitting"]


class Collapsing(NonSaturating):
    """Collapses to one gray image from step 50 on if the learning rate is too high."""

    def loss(self, player, nets, batch):
        loss = super().loss(player, nets, batch)
        if player == "G" and batch.step > 50 and batch.knobs.lr["G"] > 3e-3:
            loss.total = 100 * mse_loss(batch.fake, torch.zeros_like(batch.fake))
            if batch.knobs.lr["G"] > 0.1:
                loss.total = loss.total * float("nan")
        return loss


@recipe("test-collapsing")
@dataclass(frozen=True, kw_only=True)
class WithCollapse(Tiny):
    lr: float = option(1e-2, "learning rate", at_least=0)

    def objective(self):
        return Collapsing()

    def knobs(self, progress):
        return replace(super().knobs(progress), level=1.0)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"), 100)


@pytest.fixture
def options(faces, tmp_path):
    return TrainOptions(
        "test-collapsing", faces, tmp_path / "run", {}, kimg=1.2, save_every_kimg=0.1, precision="float32", threads=1
    )


def log(options):
    return [json.loads(line) for line in (options.out / "log.jsonl").read_text().splitlines()]


def test_a_problem_is_printed_once_and_training_continues(options, capsys):
    assert train(options, SafeConsole()).finished
    messages = [line for line in capsys.readouterr().out.splitlines() if line.startswith("diagnosis:")]
    assert sum("collapse" in line for line in messages) == 1
    assert "learning rate" in messages[0]
    assert "collapse" in log(options)[-1]["problems"]


def test_on_trouble_stop_saves_and_stops(options):
    with pytest.raises(TrainingStopped, match=r"saved at .* kimg\. "):
        train(replace(options, on_trouble="stop"), QUIET)
    last = log(options)[-1]
    assert last["problems"]
    assert load_state(options.out / "state.pt")["seen"] == last["seen"] < 1200


def test_a_problem_at_the_end_of_the_budget_does_not_stop_the_run(options):
    short = replace(options, kimg=1.0, on_trouble="stop")
    with pytest.raises(TrainingStopped):
        train(short, QUIET)
    seen = load_state(options.out / "state.pt")["seen"]
    # This budget ends at the save where the problem is found.
    assert train(replace(short, kimg=seen / 1000, out=options.out.with_name("ended")), QUIET).finished


def test_on_trouble_rollback_ends_with_a_healthy_generator(options):
    assert train(replace(options, on_trouble="rollback"), QUIET).finished
    lines = log(options)
    returns = [line for line in lines if "rolled_back_from" in line]
    assert returns
    assert all(line["problems"] for line in returns)
    assert "problems" not in lines[-1]
    assert lines[-1]["lr/G"] == pytest.approx(1e-2 / 4)  # the first rate that does not collapse
    assert load_state(options.out / "state.pt")["rollbacks"] == 2
    assert [line["seen"] for line in lines] == sorted(line["seen"] for line in lines)
    assert lines[-1][VARIETY] > 0.25


def test_a_problem_at_the_end_is_rolled_back_and_trained_again(options):
    with pytest.raises(TrainingStopped):
        train(replace(options, on_trouble="stop"), QUIET)
    seen = load_state(options.out / "state.pt")["seen"]
    short = replace(options, kimg=seen / 1000, out=options.out.with_name("short"), on_trouble="rollback")
    assert train(short, QUIET).finished
    assert "problems" not in log(short)[-1]
    assert load_state(short.out / "state.pt")["rollbacks"] >= 1
    assert load_model(short.out).header["seen"] == log(short)[-1]["seen"] == seen


def test_after_too_many_rollbacks_the_last_healthy_save_remains(options, monkeypatch):
    monkeypatch.setattr(run_module, "MAX_ROLLBACKS", 0)
    rolling = replace(options, on_trouble="rollback")
    with pytest.raises(
        TrainingStopped, match=r"still unstable after 0 rollbacks\. .* restored to .* multiplied by 0\.5\."
    ):
        train(rolling, QUIET)
    state, last = load_state(options.out / "state.pt"), log(options)[-1]
    seen = load_state(options.out / "state-healthy.pt")["seen"]
    assert state["seen"] == load_model(options.out).header["seen"] == last["seen"] == seen < last["rolled_back_from"]
    newest = max((options.out / "samples").iterdir())
    assert int(newest.stem) == seen
    assert newest.read_bytes() == (options.out / "samples.png").read_bytes()
    monkeypatch.setattr(run_module, "MAX_ROLLBACKS", 4)
    assert train(rolling, QUIET).finished
    assert load_state(options.out / "state.pt")["rollbacks"] == 2  # at a quarter of its rate it stays healthy


def test_after_too_many_diverged_losses_the_last_healthy_save_remains(options, monkeypatch):
    monkeypatch.setattr(run_module, "MAX_ROLLBACKS", 0)
    with pytest.raises(TrainingStopped, match="the loss of G is nan"):
        train(replace(options, hyperparameters={"lr": 0.2}, on_trouble="rollback"), QUIET)
    assert load_model(options.out).header["seen"] == load_state(options.out / "state.pt")["seen"]


def test_a_finished_run_with_a_problem_is_rolled_back_when_requested_later(options):
    rolling = replace(options, on_trouble="rollback")
    with pytest.raises(TrainingStopped):
        train(replace(options, on_trouble="stop"), QUIET)
    short = replace(
        rolling, kimg=load_state(options.out / "state.pt")["seen"] / 1000, out=options.out.with_name("short")
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module.Run, "roll_back", lambda *_: False)  # as if killed after its last save
        assert train(short, QUIET).finished
    assert log(short)[-1]["problems"]
    assert train(replace(short, on_trouble="warn"), QUIET).finished
    assert load_state(short.out / "state.pt")["rollbacks"] == 0
    assert train(short, QUIET).finished
    assert "problems" not in log(short)[-1]
    assert load_state(short.out / "state.pt")["rollbacks"] >= 1


def test_a_rollback_removes_newer_snapshots_and_the_newer_model(options, monkeypatch):
    after_rollbacks = []
    roll_back = run_module.Run.roll_back

    def observed(*arguments):
        roll_back(*arguments)
        seen = load_state(options.out / "state.pt")["seen"]
        snapshots = [int(path.stem) for path in (options.out / "snapshots").iterdir()]
        after_rollbacks.append((seen, max(snapshots), load_model(options.out).header["seen"]))
        return True

    monkeypatch.setattr(run_module.Run, "roll_back", observed)
    assert train(replace(options, on_trouble="rollback", snapshots=50), QUIET).finished
    assert after_rollbacks
    assert all(seen == latest == model for seen, latest, model in after_rollbacks)


def test_a_diverged_loss_is_rolled_back(options, capsys):
    options = replace(options, hyperparameters={"lr": 0.2}, on_trouble="rollback")
    assert train(options, SafeConsole(width=300)).finished
    assert load_state(options.out / "state.pt")["rollbacks"] >= 1
    output = capsys.readouterr().out
    assert "the loss of G is nan" in output
    assert "new --out" not in output, "the run continues by itself, so there is nothing to try"


def test_an_unknown_on_trouble_is_refused(options):
    with pytest.raises(BadOption, match="warn, rollback, stop"):
        train(replace(options, on_trouble="panic"), QUIET)
