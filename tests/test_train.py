"""A run: resumed exactly, killed without loss, locked, extended, refused where plans differ."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import filelock
import pytest
import torch
from faults import KILLED, Disk, Killed, faulty
from rich.console import Console
from safetensors.torch import load_file
from small import QUIET, RESOLUTION, TEST_RECIPES, faces_folder, stop_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facesmith.errors import BadData, BadModel, BadOption, NonFiniteLoss, OutputExists, RunBusy
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.photos.split import PARTS
from facesmith.training.choose_recipe import recipe_name
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


def options_for(faces, out):
    return TrainOptions("dcgan64", faces, out, SMALL, kimg=0.12, save_every_kimg=0.04, precision="float32", threads=1)


@pytest.fixture
def options(faces, tmp_path):
    return options_for(faces, tmp_path / "run")


@pytest.fixture(scope="module")
def uninterrupted(faces, tmp_path_factory):
    """The folder of a run that was never interrupted."""
    options = options_for(faces, tmp_path_factory.mktemp("uninterrupted") / "run")
    train(options, QUIET)
    return options.out


@pytest.fixture
def finished(options, uninterrupted):
    """The options of a finished run of its own, which a test may change."""
    shutil.copytree(uninterrupted, options.out)
    return options


def same_model(first, second):
    """Whether the models of two runs are equal, byte for byte."""
    return (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_a_run_writes_model_log_sheets_and_curves(options):
    report = train(options, QUIET)
    assert report.finished
    assert report.seen == 120
    run = options.out
    seen = [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert seen == [40, 80, 120]
    assert [int(path.stem) for path in sorted((run / "samples").iterdir())] == seen
    for name in ("samples.png", "curves.png", "model.safetensors", "state.pt", "run.json"):
        assert (run / name).stat().st_size > 0
    assert list((run / "tensorboard").iterdir())
    header = load_model(run).header
    assert header["seen"] == 120
    assert sum(header["split"]["counts"][part] for part in PARTS) == 40


def test_images_every_writes_images_and_leaves_the_training_unchanged(options, uninterrupted):
    assert train(replace(options, images_every=4), QUIET).finished
    assert same_model(options.out, uninterrupted)
    events = EventAccumulator(str(options.out / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    for name in ("real", "fake"):
        steps = {event.step for event in events.Images(name)}
        assert steps == {8, 40, 72, 104} | {
            40,
            80,
            120,
        }  # after the first step and every fourth from there; checkpoints


def test_a_grown_network_stays_grown_when_extended_or_fine_tuned(options, tmp_path):
    values = SMALL | {"max_channels": 8, "growing": 0.6, "gamma": 0.0}
    options = replace(options, recipe="progressive64", hyperparameters=values, kimg=0.04)
    train(options, QUIET)
    assert train(replace(options, kimg=0.2, extend=True), QUIET).finished
    finetuned = replace(options, recipe=None, hyperparameters={}, finetune_from=options.out, out=tmp_path / "finetuned")
    assert train(finetuned, QUIET).finished
    for run in (options.out, finetuned.out):
        levels = [json.loads(line)["knob/level"] for line in (run / "log.jsonl").read_text().splitlines()]
        assert set(levels[run == options.out :]) == {1.0}, run


@pytest.mark.parametrize("recipe", ["dcgan64", *TEST_RECIPES])
@pytest.mark.parametrize("stop", [1, 5])  # step 1 is in the middle of pretraining
def test_resume_gives_identical_models(options, tmp_path, monkeypatch, recipe, stop):
    options = replace(options, recipe=recipe, hyperparameters=SMALL if recipe == "dcgan64" else {})
    straight = replace(options, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(stop, patched)
        assert not train(options, QUIET).finished
    torch.rand(7)
    assert train(options, QUIET).finished
    assert same_model(options.out, straight.out)


def test_a_finished_run_is_left_alone_and_can_be_extended(finished, tmp_path):
    before = (finished.out / "model.safetensors").read_bytes()
    assert train(finished, QUIET).finished
    assert (finished.out / "model.safetensors").read_bytes() == before
    with pytest.raises(BadData, match="--extend"):
        train(replace(finished, kimg=0.2), QUIET)
    with pytest.raises(BadOption, match="longer"):
        train(replace(finished, kimg=0.05, extend=True), QUIET)
    assert train(replace(finished, kimg=0.2, extend=True), QUIET).seen == 200
    # The recipe's schedule is constant, so two parts give the same weights as one.
    train(replace(finished, kimg=0.2, out=tmp_path / "at once"), QUIET)
    extended, at_once = (load_model(folder).nets.state_dict() for folder in (finished.out, tmp_path / "at once"))
    assert all(torch.equal(tensor, at_once[key]) for key, tensor in extended.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hyperparameters": {**SMALL, "lr": 1e-3}}, "--set lr was 0.0002, now 0.001"),
        ({"seed": 3}, "--seed was 0, now 3"),
        ({"mirror": False}, "--mirror was True, now False"),
        ({"limit": 30}, "--limit was None, now 30"),
        ({"precision": "bfloat16"}, "--precision"),
    ],
)
def test_other_options_are_refused_in_an_existing_run(finished, change, message):
    with pytest.raises(BadData, match=message):
        train(replace(finished, **change), QUIET)


def test_force_starts_over_and_removes_only_files_of_the_run(finished):
    (finished.out / "notes.txt").write_text("mine")
    assert train(replace(finished, seed=5, force=True), QUIET).finished
    assert load_model(finished.out).header["seed"] == 5
    assert (finished.out / "notes.txt").read_text() == "mine"


def test_messages_of_a_forced_run_name_the_command_that_keeps_it(finished, monkeypatch):
    forced, output = replace(finished, force=True, kimg=0.2), io.StringIO()
    with monkeypatch.context() as patched:
        stop_after(5, patched)
        train(forced, Console(file=output, width=500))
    assert "to resume this run later, leave out --force" in output.getvalue()
    assert forced.same_command == "the same command without --force"
    assert train(replace(forced, force=False), QUIET).seen == 200


def test_torchrun_resumes_a_forced_run_after_a_failure(finished, monkeypatch):
    before = (finished.out / "state.pt").stat().st_mtime_ns
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert train(replace(finished, force=True), QUIET).finished
    assert (finished.out / "state.pt").stat().st_mtime_ns == before


def test_force_does_not_delete_the_model_that_a_run_starts_from(options):
    train(replace(options, snapshots=1), QUIET)
    before = (options.out / "model.safetensors").read_bytes()
    for start in (options.out, options.out / "snapshots" / "000000120.safetensors"):
        with pytest.raises(BadOption, match=r"--force deletes the run in .* the model that --from names"):
            train(replace(options, recipe=None, hyperparameters={}, finetune_from=start, force=True), QUIET)
    assert (options.out / "model.safetensors").read_bytes() == before


def test_extend_needs_a_run_and_no_force(options):
    with pytest.raises(BadOption, match=r"--extend continues a run, but .*run contains none"):
        train(replace(options, extend=True), QUIET)
    assert not options.out.exists()
    train(options, QUIET)
    with pytest.raises(BadOption, match=r"--force deletes it\. Leave out one of them"):
        train(replace(options, extend=True, force=True, kimg=0.2), QUIET)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "--seed is -1; it must be at least 0 and at most 4294967295"),
        ({"seed": 2**32}, "--seed is 4294967296"),
        ({"limit": 0}, "--limit is 0; it must be at least 1"),
        ({"snapshots": -1}, "--snapshots is -1"),
        ({"keep_epochs": 0}, "--keep-epochs is 0"),
        ({"images_every": 0}, "--images-every is 0"),
        ({"threads": 0}, "--threads is 0"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(options, change, message):
    with pytest.raises(BadOption, match=message):
        train(replace(options, **change), QUIET)
    assert not options.out.exists()


def test_a_run_keeps_its_recipe_when_the_command_leaves_it_out(finished):
    assert recipe_name(None, None, finished.out) == "dcgan64"
    assert train(replace(finished, recipe=None), QUIET).finished
    assert train(replace(finished, recipe=None, kimg=0.2, extend=True), QUIET).seen == 200
    with pytest.raises(BadData, match="recipe was dcgan64, now dcgan32"):
        train(replace(finished, recipe="dcgan32", hyperparameters={"resolution": RESOLUTION, "width": 4}), QUIET)


def test_a_folder_that_is_not_a_run_is_refused(options):
    options.out.mkdir()
    (options.out / "thesis.doc").write_text("mine")
    with pytest.raises(OutputExists, match="contains no run"):
        train(options, QUIET)


def test_a_run_inside_its_faces_is_resumed(options, monkeypatch):
    faces = faces_folder(options.out / "faces")
    options = replace(options, data=faces, out=faces / "run")
    with monkeypatch.context() as patched:
        stop_after(5, patched)
        train(options, QUIET)
    assert train(options, QUIET).finished


def test_two_processes_in_one_run_are_refused(options):
    options.out.mkdir()
    lock = filelock.FileLock(options.out / ".lock", timeout=0)
    with lock, pytest.raises(RunBusy, match="Another process"):
        train(options, QUIET)
    assert train(options, QUIET).finished


def test_training_works_outside_the_main_thread(options):
    reports = []
    thread = threading.Thread(target=lambda: reports.append(train(options, QUIET)))
    thread.start()
    thread.join()
    assert reports[0].finished


@pytest.mark.parametrize("stop", [1, 3, 7])
def test_losses_of_each_step_are_stored_also_after_an_interruption(options, tmp_path, monkeypatch, stop):
    options = replace(options, recipe="test-pretrained", hyperparameters={})
    straight = replace(options, out=tmp_path / "straight")
    train(straight, QUIET)
    with monkeypatch.context() as patched:
        stop_after(stop, patched)
        train(options, QUIET)
    with (options.out / "losses.csv").open("a") as stream:
        stream.write("9,9999,0.5,0.5,0.2,0.3\n10,99")  # by a run that was killed after its last checkpoint
    train(options, QUIET)
    texts = [(run / "losses.csv").read_text() for run in (options.out, straight.out)]
    assert texts[0] == texts[1]
    header, *rows = [line.split(",") for line in texts[0].splitlines()]
    assert header == ["step", "seen", "D/loss", "G/loss", "D/loss_real", "D/loss_fake"]
    for _, _, d_loss, _, *parts in rows:
        assert sum(map(float, parts)) == pytest.approx(float(d_loss), rel=1e-4)
    assert [int(row[0]) for row in rows] == list(range(len(rows)))
    assert int(rows[-1][1]) == 120
    assert [bool(row[3]) for row in rows[:4]] == [False, False, False, True]  # three steps of pretraining


def test_epochs_are_a_budget(options):
    options = replace(options, kimg=None, epochs=2)
    report = train(options, QUIET)
    faces = load_model(options.out).header["split"]["counts"]["train"]
    assert 2 * faces <= report.seen < 2 * faces + 8
    assert read_plan(options.out / "run.json").budget_request == {"epochs": 2}
    assert train(options, QUIET).seen == report.seen
    with pytest.raises(BadData, match=r"planned for 2 epochs .*--extend"):
        train(replace(options, epochs=3), QUIET)
    assert train(replace(options, epochs=3, extend=True), QUIET).seen >= 3 * faces
    with pytest.raises(BadOption, match="only one budget"):
        train(replace(options, kimg=1), QUIET)
    with pytest.raises(BadOption, match="--epochs is 0"):
        train(replace(options, epochs=0), QUIET)


@pytest.mark.parametrize("average", [True, False])
def test_without_average_the_current_weights_are_saved(options, average):
    train(replace(options, average=average), QUIET)
    saved, current = load_file(options.out / "model.safetensors"), load_state(options.out / "state.pt")["nets"]
    weights = [name for name in saved if name.endswith("weight")]
    assert all(torch.equal(saved[name], current[name]) for name in weights) is not average
    with pytest.raises(BadData, match="--average was"):
        train(replace(options, average=not average), QUIET)


def test_snapshots_keep_the_discriminator_too(options):
    train(replace(options, snapshots=2), QUIET)
    networks = sorted((options.out / "networks").iterdir())
    assert [path.name for path in networks] == ["000000080.safetensors", "000000120.safetensors"]
    stored, state = load_file(networks[-1]), load_state(options.out / "state.pt")
    assert stored.keys() == state["nets"].keys()
    assert all(torch.equal(tensor, state["nets"][name]) for name, tensor in stored.items())
    train(replace(options, force=True), QUIET)
    assert not (options.out / "networks").exists()


def test_networks_of_every_second_epoch_are_kept(options):
    epoch_images = 8 * 10
    faces = faces_folder(options.out.parent / "eighty", 80)
    options = replace(options, data=faces, hold_out=False, kimg=None, epochs=4, keep_epochs=2, snapshots=1)
    train(options, QUIET)
    for folder in ("networks", "snapshots"):
        names = sorted(path.name for path in (options.out / folder).iterdir())
        assert names == ["000000320.safetensors", "epoch0001.safetensors", "epoch0003.safetensors"]
    kept = load_model(options.out / "snapshots" / "epoch0003.safetensors")
    assert kept.header["seen"] == 3 * epoch_images
    assert {name.split(".")[0] for name in load_file(options.out / "networks" / "epoch0001.safetensors")} == {"G", "D"}


def test_snapshots_keeps_the_newest_models(options):
    train(replace(options, snapshots=2), QUIET)
    snapshots = sorted((options.out / "snapshots").iterdir())
    assert [path.name for path in snapshots] == ["000000080.safetensors", "000000120.safetensors"]
    assert load_model(snapshots[0]).header["seen"] == 80


def test_snapshots_leave_other_files_beside_them_alone(options, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(11, patched)
        train(replace(options, snapshots=1), QUIET)
    folder = options.out / "snapshots"
    others = {"000000088.directions.safetensors", "000000088-good.safetensors"}
    for name in others:
        (folder / name).write_text("mine")
    train(replace(options, snapshots=1), QUIET)
    assert {path.name for path in folder.iterdir()} == {"000000120.safetensors", *others}


def test_the_networks_beside_a_snapshot_name_its_model(options):
    train(replace(options, snapshots=1), QUIET)
    with pytest.raises(
        BadModel, match=r"networks of a training run, not a model. Give the model: .*snapshots/000000120"
    ):
        load_model(options.out / "networks" / "000000120.safetensors")


def test_a_diverging_run_stops_with_the_last_save_intact(finished):
    before = (finished.out / "model.safetensors").read_bytes()
    state = load_state(finished.out / "state.pt")
    key = next(key for key in state["nets"] if key.startswith("D.") and key.endswith("weight"))
    state["nets"][key].fill_(float("inf"))
    torch.save(state, finished.out / "state.pt")
    with pytest.raises(NonFiniteLoss, match="lower learning rate"):
        train(replace(finished, kimg=0.5, extend=True), QUIET)
    assert (finished.out / "model.safetensors").read_bytes() == before


def test_a_damaged_state_or_plan_is_one_clear_error(finished):
    (finished.out / "state.pt").write_bytes((finished.out / "state.pt").read_bytes()[:1000])
    with pytest.raises(BadModel, match="--force"):
        train(finished, QUIET)
    (finished.out / "run.json").write_text("{}")
    with pytest.raises(BadModel, match="--force"):
        train(finished, QUIET)


def test_impossible_budgets_are_refused(options):
    for change in ({"minutes": 1.0}, {"kimg": 0.0}, {"kimg": float("nan")}, {"save_every_kimg": -1.0},
                   {"kimg": 1e306}, {"kimg": None, "minutes": 1e308}):  # fmt: skip
        with pytest.raises(BadOption):
            train(replace(options, **change), QUIET)


def test_force_deletes_nothing_if_the_options_are_wrong(finished):
    before = (finished.out / "model.safetensors").read_bytes()
    for change in ({"device": "tpu"}, {"precision": "float16"}, {"kimg": -1.0}):
        with pytest.raises(BadOption):
            train(replace(finished, force=True, **change), QUIET)
    assert (finished.out / "model.safetensors").read_bytes() == before


def test_force_does_not_touch_a_folder_that_is_not_a_run(options):
    (options.out / "samples").mkdir(parents=True)
    (options.out / "samples" / "precious.txt").write_text("mine")
    with pytest.raises(OutputExists, match="contains no run"):
        train(replace(options, force=True), QUIET)
    assert (options.out / "samples" / "precious.txt").read_text() == "mine"


def test_a_run_without_its_state_is_refused(finished):
    before = (finished.out / "model.safetensors").read_bytes()
    (finished.out / "state.pt").unlink()
    with pytest.raises(BadModel, match=r"no state\.pt"):
        train(finished, QUIET)
    assert (finished.out / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 6, 9])
def test_a_run_killed_at_any_file_operation_of_its_first_save_is_resumed(options, uninterrupted, monkeypatch, writes):
    done = []

    def killed(*arguments):
        done.append(arguments)
        if len(done) > writes:
            raise KeyboardInterrupt
        return replace_file(*arguments)

    replace_file = os.replace
    with monkeypatch.context() as patched:
        stop_after(5, patched)  # a save in the middle of the first interval
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            train(options, QUIET)
    assert train(options, QUIET).finished
    assert same_model(options.out, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 8, 15])
def test_force_can_be_killed_at_any_file_operation_and_repeated(finished, uninterrupted, at):
    with faulty(Disk(finished.out, KILLED, at)), pytest.raises(Killed):
        train(replace(finished, force=True), QUIET)
    assert train(replace(finished, force=True), QUIET).finished
    assert same_model(finished.out, uninterrupted)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_every_stop_signal_saves_and_the_run_resumes(options, monkeypatch, name):
    with monkeypatch.context() as patched:
        stop_after(3, patched, getattr(signal, name))
        report = train(options, QUIET)
    assert not report.finished
    assert load_state(options.out / "state.pt")["seen"] == report.seen == 24
    assert train(options, QUIET).finished


def test_a_finished_run_writes_a_deleted_model_again(finished):
    before = (finished.out / "model.safetensors").read_bytes()
    (finished.out / "model.safetensors").unlink()
    assert train(finished, QUIET).finished
    assert (finished.out / "model.safetensors").read_bytes() == before


def test_a_run_resumes_despite_a_damaged_log_and_foreign_images(finished):
    with open(finished.out / "log.jsonl", "ab") as log:
        log.write(b'\n[]\n5\n{"a": 1}\n{"seen": "x"}\n\xff\n' + b"[" * 5000 + b'\n{"seen": 9')
    (finished.out / "samples" / "best.png").write_bytes(b"mine")
    assert train(replace(finished, kimg=0.16, extend=True), QUIET).finished
    seen = [json.loads(line)["seen"] for line in (finished.out / "log.jsonl").read_text().splitlines()]
    assert seen == sorted(set(seen) | {40, 80, 120, 160})  # on a slow machine, there are lines between checkpoints
    assert (finished.out / "samples" / "best.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"budget": "x"},
            {"budget": 0},
            {"save_every": 0},
            {"hyperparameters": None},
            {"budget_request": []},
            {"format": 99},
        ),
        *(
            {"budget_request": {"minutes": "x"}},
            {"fingerprint": 5},
            {"precision": "float16"},
            {"threads": 0},
            {"extra": 1},
            {"on_trouble": "panic"},
        ),
    ],
)
def test_a_plan_with_wrong_types_is_one_clear_error(finished, change):
    plan = json.loads((finished.out / "run.json").read_text())
    (finished.out / "run.json").write_text(json.dumps({**plan, **change}))
    with pytest.raises(BadModel, match="--force"):
        train(finished, QUIET)


@pytest.mark.parametrize("change", [{"step": "x"}, {"seen": -1}, {"position": None}, {"seconds": None}, {"nets": 3}])
def test_a_state_with_wrong_types_is_one_clear_error(finished, change):
    torch.save({**load_state(finished.out / "state.pt"), **change}, finished.out / "state.pt")
    with pytest.raises(BadModel, match="--force"):
        train(finished, QUIET)


def test_the_save_interval_can_change_on_resume(options, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(3, patched)
        train(options, QUIET)
    train(replace(options, save_every_kimg=0.016), QUIET)
    seen = [json.loads(line)["seen"] for line in (options.out / "log.jsonl").read_text().splitlines()]
    assert seen == [24, 32, 48, 64, 80, 96, 112, 120]


def test_training_from_scratch_on_few_faces_says_that_they_are_memorized(options):
    output, _ = noticed(options)
    assert "training faces: a model that is trained from scratch will memorize them and draw copies" in output
    assert "diagnosis: not examined: " in output
    assert "memorize" not in noticed(replace(options, extend=True, kimg=0.13))[0]


def test_validation_with_too_few_faces_is_refused_before_the_speed_is_measured(options):
    output = io.StringIO()
    with pytest.raises(BadData, match="--validate-every needs 50"):
        train(replace(options, validate_every_kimg=0.05), Console(file=output))
    assert "measuring" not in output.getvalue()
    assert not options.out.exists()


def test_a_finished_run_remembers_where_its_faces_are_now(finished, tmp_path):
    moved = shutil.copytree(finished.data, tmp_path / "moved")
    train(replace(finished, data=moved), QUIET)
    assert read_plan(finished.out / "run.json").data == str(moved)


def interrupt(options, monkeypatch, **changes):
    """Stop a run early, and change its plan as if another machine had written it."""
    with monkeypatch.context() as patched:
        stop_after(3, patched)
        train(options, QUIET)
    plan = json.loads((options.out / "run.json").read_text()) | changes
    (options.out / "run.json").write_text(json.dumps(plan))


def noticed(options):
    """Train to the end; returns what was printed, and the plan afterwards."""
    output = io.StringIO()
    assert train(options, Console(file=output, soft_wrap=True)).finished
    return output.getvalue(), json.loads((options.out / "run.json").read_text())


def test_a_run_from_a_gpu_names_the_device_and_continues_where_requested(options, monkeypatch):
    monkeypatch.setattr("facesmith.device.usable_devices", lambda: ["cpu"])
    monkeypatch.setattr("facesmith.training.make_plan.usable_devices", lambda: ["cpu"])
    interrupt(options, monkeypatch, device="cuda", precision="bfloat16")
    options = replace(options, precision="auto")
    with pytest.raises(BadOption, match=r"was trained on cuda, which this machine does not have.* add --device cpu"):
        train(options, QUIET)
    output, plan = noticed(replace(options, device="cpu", precision="float32"))
    assert "device cpu instead of cuda, precision float32 instead of bfloat16. Rounding differs" in output
    assert (plan["device"], plan["precision"], plan["seed"]) == ("cpu", "float32", options.seed)


def test_a_run_of_a_large_machine_continues_with_the_threads_of_this_one(options, monkeypatch):
    interrupt(options, monkeypatch, threads=64)
    monkeypatch.setattr("facesmith.training.make_plan.usable_cpus", lambda: 1)
    output, plan = noticed(replace(options, threads=None))
    assert "threads 1 instead of 64" in output
    assert plan["threads"] == 1


def test_a_run_on_the_same_machine_prints_no_such_notice(options, monkeypatch):
    interrupt(options, monkeypatch)
    assert "instead of" not in noticed(options)[0]


def test_a_run_whose_faces_have_moved_names_them(options, monkeypatch, tmp_path):
    interrupt(options, monkeypatch, data="/home/anna/faces")
    other = faces_folder(tmp_path / "other", 50)
    for data in (other, tmp_path / "nothing"):
        with pytest.raises(BadData, match=r"/home/anna/faces.* pass their new path as --data"):
            train(replace(options, data=data), QUIET)
    assert train(options, QUIET).finished


def test_an_unknown_device_in_a_plan_is_one_clear_error(options, monkeypatch):
    interrupt(options, monkeypatch, device="tpu")
    with pytest.raises(BadModel, match="device is tpu"):
        train(options, QUIET)


def command(options):
    settings = [part for name, value in options.hyperparameters.items() for part in ("--set", f"{name}={value}")]
    return [
        sys.executable, "-m", "facesmith", "train", options.recipe, "--data", str(options.data),
        "--out", str(options.out), "--kimg", str(options.kimg), "--save-every", str(options.save_every_kimg),
        "--precision", "float32", "--threads", "1", *settings,
    ]  # fmt: skip


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def test_ctrl_c_saves_and_the_same_command_resumes_to_the_same_bytes(options, tmp_path):
    options = replace(options, kimg=1.6, save_every_kimg=0.2)
    running = subprocess.Popen(command(options), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (options.out / "state.pt").exists())
    running.send_signal(signal.SIGINT)
    _, output = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "resume" in output
    assert "Traceback" not in output
    stopped_at = load_state(options.out / "state.pt")["seen"]
    assert 0 < stopped_at < 1600
    subprocess.run(command(options), check=True, timeout=120)
    train(replace(options, out=tmp_path / "straight"), QUIET)
    assert same_model(options.out, tmp_path / "straight")


@pytest.mark.slow
def test_kills_at_random_moments_lose_at_most_one_save(options, tmp_path):
    options = replace(options, kimg=4.0, save_every_kimg=0.2)
    rng, log, newest = random.Random(20), options.out / "log.jsonl", 0
    for _ in range(6):
        running = subprocess.Popen(command(options), stderr=subprocess.DEVNULL)
        grown = log.stat().st_size if log.exists() else 0
        wait_for(lambda: running.poll() is not None or (log.exists() and log.stat().st_size > grown))  # noqa: B023
        time.sleep(rng.random() * 3)  # a save takes about a second: before, during and after one
        running.kill()
        running.wait()
        logged = [json.loads(line)["seen"] for line in log.read_text().splitlines()]
        assert logged == sorted(set(logged)), "no save is logged twice"
        saved = load_state(options.out / "state.pt")["seen"] if (options.out / "state.pt").exists() else 0
        assert saved >= newest, "a save is never lost"
        assert logged[-1] - saved <= 200, "at most the last save is lost"
        newest = saved
        load_model(options.out)
    assert newest > 0
    subprocess.run(command(options), check=True, timeout=120, stderr=subprocess.DEVNULL)
    train(replace(options, out=tmp_path / "straight"), QUIET)
    assert same_model(options.out, tmp_path / "straight")
