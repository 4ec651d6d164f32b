"""The monitor: log, sheets, curves, TensorBoard and film agree."""

from __future__ import annotations

import json
import time

import av
import numpy as np
import pytest
import torch
from rich.console import Console
from small import QUIET, small_state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facesmith.errors import BadData
from facesmith.faces import Stream
from facesmith.pictures.images import grid, read_picture, to_uint8
from facesmith.training import curves
from facesmith.training.averages import inference_networks
from facesmith.training.curves import (
    STEP_SHARES,
    VALIDATION_KID,
    checkpoint_share_keys,
    draw_curves,
    draw_scores,
    loss_names,
    points,
    smoothed,
)
from facesmith.training.diagnosis import VARIETY
from facesmith.training.discriminator_scores import Histogram, read_histogram
from facesmith.training.monitor import Monitor
from facesmith.training.progress_film import progress_film
from facesmith.training.step import train_step
from facesmith.training.validation import KID, best_kid


def run(tmp_path, saves=2, console=QUIET, seconds=0.0):
    state = small_state(budget=10**6)
    with Monitor(tmp_path, state, seconds, console) as monitor:
        for _ in range(saves):
            shown = []
            for _ in range(3):
                terms = train_step(state)
                shown.append(terms)
                monitor.log_step(terms)
            monitor.log_checkpoint(inference_networks(state))
    return state, shown


def test_a_log_line_has_the_means_since_the_last_save(tmp_path):
    state, shown = run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["seen"] for line in lines] == [24, 48]
    for name in ("D/loss", "G/loss", "D/accuracy_real", "D/accuracy_fake", "G/fooling_rate"):
        mean = torch.stack([terms[name] for terms in shown]).mean().item()
        assert lines[-1][name] == pytest.approx(mean, rel=1e-5), name
    assert lines[-1]["lr/D"] == state.recipe.lr
    assert lines[-1]["seconds"] >= lines[0]["seconds"]


def test_tensorboard_has_scalars_and_both_kinds_of_images(tmp_path):
    run(tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("D/loss")] == [24, 48]
    assert {*events.Tags()["images"]} == {"real", "fake"}


def tensorboard_images(folder, name):
    """Step -> picture, as TensorBoard shows them."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    return {event.step: read_picture(event.encoded_image_string) for event in events.Images(name)}


@pytest.mark.parametrize("name", ["dcgan64", "gray-dcgan64"])  # the latter draws with replacement
def test_tensorboard_shows_4_rows_of_8_real_faces_of_the_current_batch(tmp_path, name):
    state = small_state(name, budget=10**6, batch_size=32)
    with Monitor(tmp_path, state, 0.0, QUIET) as monitor:
        for _ in range(5):
            batches = watched_batches(state)
            monitor.log_step(train_step(state))
        monitor.log_images(inference_networks(state))
    (sheet,) = tensorboard_images(tmp_path, "real").values()
    assert np.array_equal(sheet, grid(to_uint8(batches[-1]).numpy(), 8))
    (fakes,) = tensorboard_images(tmp_path, "fake").values()
    assert fakes.shape == sheet.shape


def watched_batches(state):
    """A list that receives the real faces of the next step's batches."""
    batches, draw = [], Stream.draw_with_labels

    def draw_and_store(count, *, replacement=False):
        faces, labels = draw(state.stream, count, replacement=replacement)
        batches.extend([faces] if count else [])
        return faces, labels

    state.stream.draw_with_labels = draw_and_store
    return batches


def test_lines_and_sheets_after_the_last_saved_state_are_removed(tmp_path):
    run(tmp_path, saves=3)
    state = small_state(budget=10**6)
    state.seen = 24  # as if the state of the second save had been lost
    with Monitor(tmp_path, state, 5.0, QUIET) as monitor:
        assert monitor.seconds >= 5.0
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["000000024.png"]


def test_images_of_a_recipe_are_written_and_removed_with_the_rest(tmp_path):
    state = small_state(budget=10**6)
    shown = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 4, 4)
    with Monitor(tmp_path, state, 0.0, QUIET) as monitor:
        for state.seen in (8, 16):
            monitor.log_step({"G/loss": torch.tensor(1.0), "G/epoch": shown})
        monitor.log_checkpoint(inference_networks(state))
    row = read_picture(tmp_path / "shown" / "000000008.png")
    assert row.shape == (4, 5 * 6 - 2, 3)
    assert row[0, ::6, 0].tolist() == [0, 64, 128, 191, 255]
    assert "G/epoch" not in json.loads((tmp_path / "log.jsonl").read_text())
    state.seen = 8
    with Monitor(tmp_path, state, 0.0, QUIET):
        assert [path.name for path in (tmp_path / "shown").iterdir()] == ["000000008.png"]


def test_a_rollback_remembers_the_best_kid(tmp_path):
    state = small_state(budget=10**6)
    with Monitor(tmp_path, state, 0.0, QUIET) as monitor:
        monitor.log_validation({KID: 0.5}, is_best=True)
        for seen, kid in ((8, 0.2), (16, 0.3)):
            state.seen = seen
            monitor.log_validation({KID: kid}, is_best=kid < 0.3)
        for back_to in (4, 2):
            seen_before, state.seen = state.seen, back_to
            monitor.log_rollback("mode collapse", seen_before)
            assert best_kid(monitor.lines) == 0.2
            assert [line["seen"] for line in monitor.lines] == [back_to]


def test_a_log_file_gets_a_line_per_save_and_quiet_gets_none(tmp_path, capsys):
    run(tmp_path / "a", console=Console(stderr=True))
    output = capsys.readouterr().err
    assert output.count("kimg") == 2
    assert "D on real" in output
    assert "fooling rate" in output
    run(tmp_path / "b")
    assert capsys.readouterr().err == ""


def test_a_log_file_gets_the_time_left(tmp_path, capsys, monkeypatch):
    state = small_state(budget=600)
    now = time.monotonic()
    with Monitor(tmp_path, state, 0.0, Console(stderr=True)) as monitor:
        monitor.started = now
        for seen, second in ((100, 60), (200, 120), (600, 360)):  # 100 images a minute
            state.seen = seen
            monkeypatch.setattr(time, "monotonic", lambda second=second: now + second)
            monitor.log_checkpoint(inference_networks(state))
    lines = capsys.readouterr().err.splitlines()
    assert ["5 min left" in lines[0], "4 min left" in lines[1], "min left" in lines[2]] == [True, True, False]


@pytest.fixture
def figures(monkeypatch):
    """The figures that were written as curves or scores, by file name."""
    written, save_png = {}, curves.save_png

    def recorded(figure, path):
        written[path.name] = figure
        return save_png(figure, path)

    monkeypatch.setattr(curves, "save_png", recorded)
    return written


def panels(figure):
    """The labels of the lines in each panel, by the title of its y axis."""
    return {
        axes.get_ylabel(): [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
        for axes in figure.axes
    }


def test_a_log_file_gets_a_line_between_two_saves_that_are_far_apart(tmp_path, capsys, monkeypatch):
    state = small_state(budget=6000)
    now = time.monotonic()
    with Monitor(tmp_path, state, 0.0, Console(stderr=True)) as monitor:
        for second in range(1, 71):
            state.seen = 10 * second
            monkeypatch.setattr(time, "monotonic", lambda second=second: now + second)
            monitor.log_step({"G/loss": torch.tensor(1.0)})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3, "after 5, 35 and 65 seconds"
    assert "0.1/6 kimg" in lines[0]
    assert "min left" in lines[0]
    assert "G 1.00" in lines[0]


def test_curves_are_drawn_if_terms_come_and_go(tmp_path, figures):
    lines = [{"seen": 10, "step": 1, "D/loss": 1.0}, {"seen": 20, "step": 2, "G/fooling_rate": 0.5, "G/loss": 2.0}]
    draw_curves(tmp_path / "curves.png", lines, "a title")
    fooling = STEP_SHARES["G/fooling_rate"][0]
    assert panels(figures["curves.png"]) == {"loss": ["D/loss", "G/loss"], "share": [fooling]}
    draw_curves(tmp_path / "empty.png", [], "nothing yet")
    assert panels(figures["empty.png"]) == {"": []}
    assert (tmp_path / "curves.png").stat().st_size > (tmp_path / "empty.png").stat().st_size


def test_the_film_shows_every_sheet_and_holds_the_last(tmp_path):
    run(tmp_path, saves=3)
    film = progress_film(tmp_path, tmp_path / "progress.mp4", QUIET)
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 3 + 16
    sheets = [read_picture(path) for path in sorted((tmp_path / "samples").iterdir())]
    for frame, sheet in zip(frames, [*sheets, sheets[-1]], strict=False):
        height, width, _ = sheet.shape
        assert abs(frame[:height, :width].astype(int) - sheet).mean() < 12  # the film's own losses
    with pytest.raises(BadData, match="no sample sheets"):
        progress_film(tmp_path / "samples", tmp_path / "other.mp4", QUIET)


def test_scores_are_logged_and_drawn(tmp_path, figures):
    run(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for line in lines:
        histogram = read_histogram(line)
        assert sum(histogram.real) == sum(histogram.fake) == 48
        assert {"scores/accuracy_real", "scores/accuracy_fake", "scores/auc"} <= line.keys()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {*events.Tags()["histograms"]} == {"D(x)", "D(G(z))"}
    assert panels(figures["scores.png"]) == {"share of 48 pictures each": ["real faces, D(x)", "fakes, D(G(z))"]}


def test_curves_draw_loss_terms_only(tmp_path):
    state = small_state("quick", budget=48, batch_size=16)
    with Monitor(tmp_path, state, 0.0, QUIET) as monitor:
        for _ in range(3):
            monitor.log_step(train_step(state))
        monitor.log_checkpoint(inference_networks(state))
        assert set(loss_names(monitor.lines)) == {"D/loss", "G/loss", "D/loss_fake", "D/loss_real", "D/r1"}


@pytest.mark.parametrize("real_threshold", [None, 0.5, 4.0])
def test_scores_of_every_kind_are_drawn_with_their_threshold(tmp_path, figures, real_threshold):
    scores = Histogram(-1.0, 2.0, False, real_threshold, tuple(range(40)), (1,) * 40)
    draw_scores(tmp_path / "scores.png", scores, "a title")
    (axes,) = figures["scores.png"].axes
    assert panels(axes.figure) == {"share of 780 pictures each": ["real faces, D(x)", "fakes, D(G(z))"]}
    marks = [text.get_text().strip() for text in axes.texts]
    assert marks == (["scored as real →"] if real_threshold == 0.5 else []), "4 is beyond the scores"


def test_only_finite_numbers_of_a_log_are_drawn(tmp_path):
    lines = [{"seen": 10, "D/loss": float("nan")}, {"seen": 20, "D/loss": "x"}, {"seen": 30, "D/loss": 3}]
    assert points(lines, "D/loss") == ([0.03], [3.0])
    assert loss_names([*lines, {"seen": 40, "G/loss": None, "D/accuracy_real": 0.5, "lr/D": 1e-3}]) == ["D/loss"]


def test_auc_is_drawn_if_there_is_no_threshold():
    assert checkpoint_share_keys([{"seen": 1, "scores/auc": 0.5, "scores/accuracy_real": 0.5}]) == [
        "scores/accuracy_real"
    ]
    assert checkpoint_share_keys([{"seen": 1, "scores/auc": 0.5}]) == ["scores/auc"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"G/prior": 2.0, "D/l2": 0.0}, {"other terms": ["D/l2", "G/prior"]}),
        ({"G/prior": -2.0}, {"other terms": ["G/prior"]}),
        ({"D/l2": 0.0}, {"other terms": ["D/l2"]}),
        ({"D/auc": 0.5, "G/loss": 1.0}, {"loss": ["G/loss"], "share": [STEP_SHARES["D/auc"][0]]}),
        ({VALIDATION_KID: 0.1, VARIETY: 1.0}, {"KID": [VALIDATION_KID], "statistics": [VARIETY]}),
    ],
)
def test_curves_have_a_panel_for_each_kind_of_term(tmp_path, figures, terms, expected):
    draw_curves(tmp_path / "curves.png", [{"seen": seen, **terms} for seen in (10, 20)], "a title")
    assert panels(figures["curves.png"]) == expected


def test_long_curves_are_smoothed_and_short_ones_not():
    assert smoothed([1.0] * 60) is None
    means = smoothed([0.0, 1.0] * 120)
    assert len(means) == 240
    assert np.ptp(means[10:-10]) < 0.15
    assert smoothed([3.0] * 500) == pytest.approx([3.0] * 500)


def test_speed_of_a_short_last_interval_is_left_out():
    log = [{"seen": seen, "images_per_second": speed} for seen, speed in ((1000, 50), (2000, 52), (2040, 9))]
    assert points(log, "images_per_second") == ([1.0, 2.0], [50.0, 52.0])
    assert points([*log[:2], {"seen": 2900, "images_per_second": 51}], "images_per_second")[0] == [1.0, 2.0, 2.9]
    assert points([{**line, "G/loss": 1} for line in log], "G/loss")[0] == [1.0, 2.0, 2.04]
