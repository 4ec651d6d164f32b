"""The pace of a run: it ends on time whatever the machine does, and threads follow the free cores."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import QUIET, RESOLUTION, faces_folder, small_state, stop_after

from facesmith.errors import BadOption
from facesmith.modelfiles.checkpoint import load_state
from facesmith.training import make_plan as make_plan_module
from facesmith.training import pace as pace_module
from facesmith.training import train as train_module
from facesmith.training.monitor import Monitor
from facesmith.training.pace import FreeCores, Pace, best_threads, candidate_threads
from facesmith.training.plan import TrainOptions
from facesmith.training.speed import Speed
from facesmith.training.step import train_step
from facesmith.training.train import train

MINUTES = 30
SAVES = 40
STATE = small_state(budget=1000)
SPEEDS = st.floats(5, 500)  # images per second


def no_measurement(candidates):
    raise AssertionError("nothing has to be measured")


class Cores:
    """Stands in for `FreeCores`."""

    def __init__(self, *free):
        self.free = list(free)

    def since_last_call(self):
        return self.free.pop(0)


def simulate(state, planned_speed, speed_at):
    """Train in simulated time with saves at regular intervals; returns the seconds and the progress at each save."""
    pace = Pace(threads=1, max_threads=None, minutes=MINUTES)
    state.seen, state.budget, state.replanned_at = 0, round(60 * MINUTES * planned_speed), (0, 0.0)
    save_every, seconds, progress = state.budget // SAVES, 0.0, []
    while state.seen < state.budget:
        images = min(state.budget, (state.seen // save_every + 1) * save_every) - state.seen
        for _ in range(20):
            seconds += images / 20 / speed_at(seconds)
        state.seen += images
        pace.adjust(state, seconds, no_measurement)
        progress.append(state.progress)
    return seconds, progress


@settings(deadline=None)
@given(planned=SPEEDS, before=SPEEDS, after=SPEEDS, share=st.floats(0, 0.9))
def test_a_run_ends_on_time_when_the_speed_changes_up_to_four_times(planned, before, after, share):
    before, after = (float(np.clip(speed, planned / 4, planned * 4)) for speed in (before, after))
    seconds, progress = simulate(STATE, planned, lambda now: before if now < share * 60 * MINUTES else after)
    assert seconds == pytest.approx(60 * MINUTES, rel=0.1)
    assert progress == sorted(progress)  # so the learning rate never rises again
    assert progress[-1] == 1


def test_the_pause_of_a_checkpoint_does_not_count_as_the_speed():
    state, pace = small_state(budget=144_000), Pace(threads=1, max_threads=None, minutes=MINUTES)
    state.seen = 96_000
    assert pace.adjust(state, 1200.0, no_measurement) == []
    state.seen += 16
    assert pace.adjust(state, 1203.2, no_measurement) == []  # stopped right after the checkpoint: 5 images a second
    assert state.budget == 144_000
    state.seen += 3_800
    pace.adjust(state, 1248.2, no_measurement)
    assert state.budget == 144_000  # measured since the first checkpoint: 79 images a second
    state.seen += 3_600
    assert pace.adjust(state, 1338.2, no_measurement)  # 40 a second
    assert state.budget == state.seen + round((1800 - 1338.2) * 40)


def test_a_steady_machine_keeps_the_plan():
    seconds, _ = simulate(STATE, 50.0, lambda now: 50.5)
    assert STATE.replanned_at == (0, 0.0)
    assert STATE.budget == 50 * 60 * MINUTES
    assert seconds == pytest.approx(60 * MINUTES, rel=0.02)


def test_progress_continues_from_where_the_budget_changed():
    state = small_state(budget=1000)
    state.seen = 400
    assert state.progress == pytest.approx(0.4)
    state.change_budget(700)
    assert state.progress == pytest.approx(0.4)
    state.seen = 550
    assert state.progress == pytest.approx(0.7)
    state.seen = 800
    assert state.progress == 1
    state.change_budget(800)
    assert state.progress == 1


def test_a_budget_in_images_never_changes():
    state = small_state(budget=1000)
    pace = Pace(threads=1, max_threads=None, minutes=None)
    state.seen = 10
    assert pace.adjust(state, 1e6, no_measurement) == []
    assert state.budget == 1000


def test_threads_follow_the_free_cores_if_they_stay_free_or_busy():
    state = small_state(budget=1000)
    pace = Pace(threads=2, max_threads=2, minutes=None, free_cores=Cores(2.0, 0.9, 1.9, 1.1, 1.0, 1.2, 2.0, 1.8))
    measured = []

    def measure(candidates):
        measured.append(candidates)
        return {1: 50.0, 2: 25.0} if len(measured) == 1 else {1: 50.0, 2: 80.0}

    threads = []
    for seconds in range(8):
        pace.adjust(state, float(seconds), measure)
        threads.append(pace.threads)
    assert threads == [2, 2, 2, 2, 1, 1, 1, 2]
    assert measured == [[1, 2], [1, 2]]


def test_threads_that_are_no_faster_are_measured_once_only():
    state = small_state(budget=1000)
    pace = Pace(threads=2, max_threads=2, minutes=None, free_cores=Cores(*[1.0] * 6))
    measured = []
    for seconds in range(6):
        pace.adjust(state, float(seconds), lambda candidates: measured.append(candidates) or {1: 51.0, 2: 50.0})
    assert pace.threads == 2
    assert measured == [[1, 2]]


def test_fixed_threads_are_never_measured():
    state = small_state(budget=1000)
    pace = Pace(threads=2, max_threads=None, minutes=None, free_cores=Cores(*[1.0] * 3))
    for seconds in range(3):
        pace.adjust(state, float(seconds), no_measurement)
    assert pace.threads == 2


def test_candidates_are_halved_down_to_one():
    assert candidate_threads(1) == [1]
    assert candidate_threads(2) == [1, 2]
    assert candidate_threads(12) == [1, 3, 6, 12]
    assert best_threads({1: 50, 2: 52}, current=1) == 1  # not clearly faster
    assert best_threads({1: 50, 2: 60}, current=1) == 2


def test_free_cores_count_other_processes_and_not_this_one(monkeypatch):
    clock, busy, own = 0.0, 0.0, 0.0
    Times = namedtuple("Times", "user system idle")
    monkeypatch.setattr(pace_module.time, "monotonic", lambda: clock)
    monkeypatch.setattr(pace_module.psutil, "cpu_times", lambda percpu: [Times(busy, 1.0, 9.0), Times(own, 0.0, 0.0)])
    monkeypatch.setattr(pace_module.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(pace_module.psutil.Process, "cpu_times", lambda self: Times(own, 0.0, 0.0))
    cores = FreeCores()
    clock, busy, own = 10.0, 0.0, 10.0  # this process alone
    assert cores.since_last_call() == pytest.approx(2.0)
    clock, busy, own = 20.0, 7.5, 20.0  # another one works three quarters of the time
    assert cores.since_last_call() == pytest.approx(1.25)
    assert cores.since_last_call() == 2.0  # no time has passed


@pytest.fixture
def options(tmp_path):
    values = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}
    faces = faces_folder(tmp_path / "faces")
    return TrainOptions(
        "dcgan64", faces, tmp_path / "run", values, minutes=0.05, save_every_kimg=0.04, precision="float32", threads=1
    )


@pytest.fixture
def slow_machine(monkeypatch):
    """A machine that trains 80 images a second, half as many as were measured, in simulated time."""
    simulate_machine(monkeypatch, measured=160.0)


@pytest.fixture
def fast_machine(monkeypatch):
    """The same machine, but it was busy when its speed was measured."""
    simulate_machine(monkeypatch, measured=20.0)


def simulate_machine(monkeypatch, measured):
    seconds = 0.0

    def step(state):
        nonlocal seconds
        seconds += 8 / 80
        return train_step(state)

    speed = Speed({"float32": measured}, "float32", "as requested")
    monkeypatch.setattr(make_plan_module, "measure", lambda *args: speed)
    monkeypatch.setattr(train_module, "train_step", step)
    monkeypatch.setattr(Monitor, "seconds", property(lambda self: seconds))


@pytest.mark.usefixtures("slow_machine")
def test_a_slower_machine_gets_fewer_images_in_the_same_minutes(options):
    report = train(options, QUIET)
    assert report.finished
    lines = [json.loads(line) for line in (options.out / "log.jsonl").read_text().splitlines()]
    assert report.seen == pytest.approx(0.05 * 60 * 80, rel=0.1)
    assert lines[-1]["seconds"] == pytest.approx(0.05 * 60, rel=0.1)
    assert lines[-1]["budget"] == json.loads((options.out / "run.json").read_text())["budget"] == report.seen


@pytest.mark.usefixtures("slow_machine")
def test_a_resumed_run_keeps_the_changed_budget_and_its_schedule(options, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(16, patched)
        assert not train(options, QUIET).finished
    saved = load_state(options.out / "state.pt")
    assert saved["replanned_at"][0] > 0
    resumed, slow_step = [], train_module.train_step

    def first_step(state):
        resumed[:] = resumed or [(state.budget, state.replanned_at, state.seen)]
        return slow_step(state)

    monkeypatch.setattr(train_module, "train_step", first_step)
    report = train(options, QUIET)
    assert report.finished
    assert resumed == [(saved["budget"], tuple(saved["replanned_at"]), saved["seen"])]
    assert train(replace(options, minutes=0.08, extend=True), QUIET).seen == pytest.approx(0.08 * 60 * 80, rel=0.1)
    with pytest.raises(BadOption, match="--extend makes a run longer"):
        train(replace(options, minutes=0.07, extend=True), QUIET)


@pytest.mark.usefixtures("fast_machine")
def test_a_run_on_a_machine_that_became_faster_can_be_extended(options):
    seen = train(options, QUIET).seen
    assert seen == pytest.approx(0.05 * 60 * 80, rel=0.1)
    # At the speed measured first, .06 minutes are 72 images.
    assert train(replace(options, minutes=0.06, extend=True), QUIET).seen == pytest.approx(0.06 * 60 * 80, rel=0.1)
