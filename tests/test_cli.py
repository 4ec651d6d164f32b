"""Each command end to end, and one-line error messages."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from pictures import shared
from small import RESOLUTION, faces_folder, saved_model, small_recipe, stop_after

from facesmith import cli
from facesmith.cli import option_errors
from facesmith.cli.shared import app
from facesmith.detection import align, detect, quality
from facesmith.errors import BadOption, BadPicture
from facesmith.photos import extract
from facesmith.pictures.images import read_picture, write_png

TINY = ["--set", f"resolution={RESOLUTION}", "--set", "width=4", "--set", "z_dim=8", "--batch", "8"]


@pytest.fixture
def facesmith(capsys, monkeypatch):
    """Run the program in this process. Returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["facesmith", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as exit:
            code = exit.code or 0
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


def train(facesmith, faces, out, *more):
    return facesmith("train", "dcgan64", "--data", faces, "--out", out, "--kimg", "0.08", *TINY, *more)


def test_every_option_that_names_an_output_is_checked_for_variables_and_home_folders():
    commands = typer.main.get_command(app).commands.values()
    parameters = [parameter for command in commands for parameter in command.params]
    paths = {each.opts[0] for each in parameters if each.type_descriptor.annotation is Path}
    inputs = {"--model", "--data", "--from", "--like", "--directions", "--weights", "--evaluation", "--biases"}
    marks = {"--sign", "--key", "--watermark-key"}
    assert set(cli.OUTPUT_OPTIONS) == {path for path in paths if path.startswith("--")} - inputs - marks


def test_a_conditional_model_is_trained_and_sampled(facesmith, tmp_path):
    faces = faces_folder(tmp_path / "faces", 80)
    training = ("train", "--data", faces, "--out", tmp_path / "run", "--kimg", "0.08", *TINY, "--set", "hidden=16")
    code, _, _ = facesmith(*training, "--condition", "Smiling, Long Hair")
    assert code == 0
    sheets = []
    for value in (1, 0):
        out = tmp_path / f"{value}.png"
        condition = ("--condition", f"smiling={value}")
        assert facesmith("sample", "--model", tmp_path / "run", "--out", out, "--seeds", "0-3", *condition)[0] == 0
        sheets.append(read_picture(out))
    assert (sheets[0] != sheets[1]).any()
    again = ("sample", "--model", tmp_path / "run", "--like", tmp_path / "1.png", "--out", tmp_path / "again.png")
    assert facesmith(*again)[0] == 0
    assert (read_picture(tmp_path / "again.png") == sheets[0]).all()
    for message, arguments in (
        ("leave out --seeds, --psi, --condition, --prior and --quality", (*again, "--condition", "smiling=1")),
        ("did you mean 'smiling'", ("sample", "--model", tmp_path / "run", "--condition", "smilin=1")),
        ("takes no --condition", ("train", "dcgan64", *training[1:5], "--condition", "smiling")),
        ("did you mean 'smiling'", (*training, "--force", "--condition", "smilling")),
    ):
        code, out, err = facesmith(*arguments)
        assert code == 2
        assert message in err.lower()
        assert len(err.strip().splitlines()) == 1


def test_train_sample_film_and_report(facesmith, faces, tmp_path):
    code, out, err = train(facesmith, faces, tmp_path / "run")
    assert (code, out.strip()) == (0, str(tmp_path / "run" / "model.safetensors"))
    assert "images/s" in err
    assert "memory" in err
    assert "disk" in err
    code, out, _ = facesmith("sample", "--model", tmp_path / "run", "--out", tmp_path / "new.png", "--seeds", "0-8")
    assert (code, out.strip()) == (0, str(tmp_path / "new.png"))
    assert read_picture(tmp_path / "new.png").shape == (3 * RESOLUTION + 4, 3 * RESOLUTION + 4, 3)
    code, _, _ = facesmith(
        "sample", "--model", tmp_path / "run", "--like", tmp_path / "new.png", "--out", tmp_path / "again.png"
    )
    assert code == 0
    assert (read_picture(tmp_path / "again.png") == read_picture(tmp_path / "new.png")).all()
    code, out, _ = facesmith("film", tmp_path / "run", "--out", tmp_path / "film.mp4")
    assert code == 0
    assert (tmp_path / "film.mp4").stat().st_size > 500
    assert facesmith("film", tmp_path / "run", "--out", tmp_path / "film.gif")[0] == 0
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF89a")
    code, out, _ = facesmith("report", tmp_path / "run", "--no-pictures")
    assert (code, out.strip()) == (0, str(tmp_path / "run" / "report.html"))
    code, _, err = facesmith("report", tmp_path)
    assert (code, err.count("\n")) == (1, 1)


def test_walk_mix_and_invert(facesmith, tmp_path, monkeypatch):
    monkeypatch.setattr("facesmith.explore.reconstruction_error.SAMPLES", 8)
    run, coder = saved_model(tmp_path / "run"), saved_model(tmp_path / "coder", "test-autoencoder")
    walk = ["walk", "--model", run, "--out", tmp_path / "w.mp4", "--seconds", "0.4"]
    code, out, _ = facesmith(*walk, "--grid", "2x1", "--random", "3", "--seed", "1", "--gif")
    assert (code, out.split()) == (0, [str(tmp_path / "w.mp4"), str(tmp_path / "w.gif")])
    assert facesmith(*walk, "--seeds", "1,2", "--linear", "--open", "--force")[0] == 0
    code, out, _ = facesmith("mix", "--model", run, "29 - 3 + 34", "--out", tmp_path / "m.png", "--plain")
    assert (code, out.strip()) == (0, str(tmp_path / "m.png"))
    code, out, _ = facesmith("sample", "--model", run, "--seeds", "1", "--out", tmp_path / "face.png")
    invert = ["invert", "--model", coder, tmp_path / "face.png", "--aligned", "--quick"]
    code, out, _ = facesmith(*invert, "--out", tmp_path / "i.png", "--latents", tmp_path / "latents")
    assert code == 0
    assert out.splitlines()[0].startswith("face.png  ")
    assert out.splitlines()[1:] == [str(tmp_path / "i.png"), str(tmp_path / "latents")]
    me = tmp_path / "latents" / "face.latent"
    assert facesmith("mix", "--model", coder, f"29 - '{me}'", "--out", tmp_path / "mixed.png")[0] == 0
    assert facesmith(*walk[:1], "--model", coder, *walk[3:], "--seeds", f"1,{me},2", "--force")[0] == 0
    code, _, err = facesmith("mix", "--model", run, f"29 - '{me}'", "--out", tmp_path / "mixed.png", "--force")
    assert (code, "another model" in err, err.count("\n")) == (1, True, 1)


def test_quiet_and_threads_may_precede_or_follow_the_command(facesmith, faces, tmp_path):
    for i, arguments in enumerate((["--quiet", "--threads", "1"], [])):
        following = [] if arguments else ["-q", "--threads=1"]
        code, _, err = facesmith(
            *arguments,
            "train",
            "dcgan64",
            "--data",
            faces,
            "--out",
            tmp_path / str(i),
            "--kimg",
            "0.04",
            *TINY,
            *following,
        )
        assert (code, err) == (0, "")


def test_faces_describes_a_dataset(facesmith, faces, tmp_path):
    code, out, _ = facesmith("faces", faces, "--sheet", tmp_path / "sheet.png")
    assert code == 0
    assert "faces          40" in out
    assert "16x16 (40)" in out
    assert "train" in out
    assert "eyeglasses" in out
    assert read_picture(tmp_path / "sheet.png").ndim == 3
    code, _, err = facesmith("faces", faces, "--sheet", tmp_path / "sheet.png")
    assert (code, "Choose another --sheet, or add --force" in err) == (1, True)


def test_recipes_are_listed_and_described(facesmith):
    code, out, _ = facesmith("recipes")
    assert code == 0
    assert "dcgan64" in out
    assert "2,765,568" in out
    code, out, _ = facesmith("recipes", "dcgan64")
    assert code == 0
    assert "arXiv:1511.06434" in out


def test_info_describes_the_machine(facesmith, monkeypatch):
    monkeypatch.setattr("facesmith.info.make_recipe", lambda *_: small_recipe("dcgan64"))  # quick to measure
    code, out, _ = facesmith("info")
    assert code == 0
    for word in ("facesmith", "devices", "precision", "images/s", "MTCNN", "memory", "disk"):
        assert word in out


def test_version_is_printed(facesmith):
    assert facesmith("--version")[:2] == (0, "facesmith 0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "dcgan46", "--data", "FACES", "--out", "OUT"], 2, "did you mean 'dcgan64'"),
        (["train", "dcgan64", "--data", "nowhere", "--out", "OUT"], 1, "does not exist"),
        (["train", "dcgan64", "--data", "FACES", "--out", "OUT"], 1, "--size 64"),  # the faces are 16x16
        (["train", "dcgan64", "--data", "FACES", "--out", "OUT", "--set", "widht=4"], 2, "did you mean 'width'"),
        (["train", "dcgan64", "--data", "FACES", "--out", "OUT", "--device", "tpu", *TINY], 2, "--device"),
        (["train", "dcgan64", "--data", "FACES", "--out", "OUT", "--precision", "half", *TINY], 2, "--precision"),
        (["train", "dcgan64", "--data", "FACES", "--out", "OUT", "--minutes", "0"], 2, "more than 0"),
        (
            ["train", "dcgan64", "--data", "FACES", "--out", "OUT", "--minutes", "1", "--kimg", "1"],
            2,
            "only one budget",
        ),
        (["sample", "--model", "nowhere", "--out", "OUT"], 1, "does not exist"),
        (["sample", "--model", "FACES", "--out", "OUT"], 1, "model.safetensors"),
        (["sample", "--model", "FACES/000000.png", "--out", "OUT"], 1, "safetensors"),
        (["sample", "--model", "FACES", "--out", "OUT", "--seeds", "one"], 2, "--seeds"),
        (["sample", "--model", "FACES", "--out", "OUT", "--like", "x.png", "--seeds", "1"], 2, "leave out --seeds"),
        (["sample", "--psi", "2", "--model", "FACES"], 2, "--psi"),
        (["sample", "--model", "FACES", "--out", "OUT", "--filter", "box"], 2, "nearest, bilinear"),
        (["train", "dcgan64", "--data", "FACES", "--out", "FACES/000000.png", *TINY], 1, "is a file"),
        (["train", "dcgan64", "--out", "OUT"], 2, "--data"),
        (["demo", "--minutes", "0", "--out", "OUT"], 2, "more than 0"),
        (["film", "FACES", "--out", "OUT.txt"], 2, ".mp4"),
        (["walk", "--model", "nowhere"], 1, "does not exist"),
        (["walk", "--model", "nowhere", "--seeds", "1,2", "--random", "3"], 2, "leave out --random"),
        (["walk", "--model", "nowhere", "--out", "OUT.avi"], 2, ".gif"),
        (["walk", "--model", "nowhere", "--grid", "4"], 2, "--grid"),
        (["mix", "--model", "nowhere", "29 3"], 2, "has no sign"),
        (["mix", "--model", "nowhere", "29 - 3", "--out", "OUT.jpg"], 2, ".png"),
        (["invert", "--model", "nowhere", "FACES/000000.png"], 1, "does not exist"),
        (["export", "--model", "nowhere", "--onnx", "OUT.txt"], 2, ".onnx"),
        (["export", "--model", "nowhere", "--onnx", "OUT.onnx"], 1, "does not exist"),
        (["sample", "--model", "OUT.onnx"], 1, "does not exist"),
        (["walk", "--model", "OUT.onnx"], 1, "only facesmith sample"),
        (["sample", "--model", "FACES", "--out", "OUT", "--sign", "chain.pem"], 2, "go together"),
        (["sample", "--model", "hf://nobody", "--out", "OUT"], 2, "hf://user/name"),
        (["card", "nowhere"], 1, "does not exist"),
        (["push", "ada/faces", "--model", "nowhere"], 2, "hf://user/name"),
        (["push", "hf://ada/faces", "--model", "nowhere"], 1, "does not exist"),
        (["nothing"], 2, "nothing"),
        (["faces", "nowhere"], 1, "does not exist"),
        (["faces", "FACES/metadata.csv"], 1, "no pictures among its 1 files"),
        (["film", "FACES"], 1, "no sample sheets"),
        (["recipes", "dcgan46"], 2, "did you mean"),
        (["extract", "nowhere", "--out", "OUT"], 1, "nowhere"),
        (["extract", "FACES", "--out", "OUT", "--frame", "-3"], 2, "frame"),
        (["extract", "a.jpg", "b.jpg", "--out", "OUT"], 2, "write their paths into a text file"),
        (["train", "quick", "--data", "FACES", "--out", "OUT", "--set", "lr", "2e-4"], 2, "spaces: --set lr=2e-4"),
        (["sample", "--out", "/dev/stdout"], 2, "/dev/stdout is a device or a pipe, not a file. Name a file"),
        (["sample", "--seeds", "1", "2", "3"], 2, "with commas and without spaces: 1,2,3"),
        (["sample", "\N{EN DASH}-out", "OUT"], 2, "begins with two hyphens"),
        (["sample", "runs/first"], 2, "Write the option before it: --model"),
        (["sample", "--psi", "0,7"], 2, "expected a number such as 2 or 0.7"),
        (["extract", "FACES", "--out", "OUT", "--size", "64x64"], 2, "expected a whole number such as 64"),
        (["extract", "", "--out", "OUT"], 2, "An argument is empty"),
        (["faces", "FACES", "--sheet", ""], 2, "--sheet is empty"),
        (["sample", "--model", "nowhere", "--out="], 2, "--out is empty"),
        (["sample", "--out", "-"], 2, "--out is -, but Facesmith reads and writes files"),
        (["walk", "--out=-"], 2, "--out is -, but"),
        (["faces", "-"], 2, "An argument is -, but"),
        (
            ["extract", "FACES", "--out", "OUT", "--crop", "90", "--min-face", "30"],
            2,
            "combined with --min-face",
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(facesmith, faces, tmp_path, arguments, code, message):
    arguments = [a.replace("FACES", str(faces)).replace("OUT", str(tmp_path / "out")) for a in arguments]
    actual_code, out, err = facesmith(*arguments)
    lines = [line for line in err.splitlines() if line.startswith("facesmith: ")]
    assert (actual_code, out, len(lines)) == (code, "", 1), err
    assert message in lines[0]
    assert err.splitlines()[-1] == lines[0]


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["train", "dcgan64", "--out", "x"], ["sample", "--psi", "2"], ["--threads", "0"], ["nothing"]],
)
def test_invalid_options_exit_with_2(facesmith, arguments):
    assert facesmith(*arguments)[0] == 2


def test_a_full_disk_is_reported_in_one_line(facesmith, faces, tmp_path, monkeypatch):
    def disk_full(*arguments, **options):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("facesmith.modelfiles.checkpoint.save_state", disk_full)
    code, _, err = train(facesmith, faces, tmp_path / "run")
    assert code == 1
    assert "No space left on device" in err.splitlines()[-1]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_exit_code_names_the_signal_that_stopped_a_command(facesmith, faces, tmp_path, monkeypatch, name, code):
    number = getattr(signal, name)
    earlier = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with monkeypatch.context() as patched:
            patched.setattr("facesmith.gan.list_recipes.recipe_table", lambda: signal.raise_signal(number))
            assert facesmith("recipes") == (code, "", "facesmith: interrupted\n")
        stop_after(3, monkeypatch, number)
        stopped_code, _, err = train(facesmith, faces, tmp_path / "run")
        assert stopped_code == code
        assert "To resume, run the same command." in err
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, earlier)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 TB")])
def test_too_little_memory_is_reported_in_one_line(facesmith, monkeypatch, error):
    def failing(*_args, **_options):
        raise error

    monkeypatch.setattr("facesmith.gan.list_recipes.recipe_table", failing)
    code, _, err = facesmith("recipes")
    assert code == 1
    assert err.count("\n") == 1
    assert "not enough memory" in err


def test_our_own_bugs_show_a_traceback(facesmith, monkeypatch):
    def bug(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("facesmith.gan.list_recipes.recipe_table", bug)
    with pytest.raises(ZeroDivisionError):
        facesmith("recipes")


def test_errors_have_exit_codes():
    assert BadPicture("x").exit_code == 1
    assert BadOption("x").exit_code == 2


def test_help_imports_nothing_slow_and_lists_the_main_commands():
    code = (
        "import sys, runpy\nsys.argv = ['facesmith', '--help']\n"
        "try:\n    runpy.run_module('facesmith', run_name='__main__')\n"
        "finally:\n    print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for word in ("extract", "train", "sample", "demo", "photos"):
        assert word in run.stdout
    assert run.stderr.split() == ["[]"]


def test_defaults_in_the_help_are_those_of_the_code():
    assert cli.photos.DEFAULT_FRAME == align.DEFAULT_FRAME
    assert cli.photos.DEFAULT_MAX_FILL == quality.DEFAULT_MAX_FILL
    assert cli.photos.DEFAULT_THRESHOLD == detect.DEFAULT_THRESHOLD
    assert cli.photos.DEFAULT_EVERY == extract.DEFAULT_EVERY


def test_ctrl_c_is_reported_in_one_line_and_exits_with_130(facesmith, faces, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("facesmith.training.make_plan.measure", interrupted)
    code, out, err = train(facesmith, faces, tmp_path / "run")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "facesmith: interrupted"


@pytest.mark.slow
def test_extract_train_and_sample_with_real_photos(facesmith, tmp_path):
    code, out, _ = facesmith(
        "extract", shared("photos.zip"), "--out", tmp_path / "faces", "--faces", "all", "--size", "32"
    )
    assert code == 0
    assert "report.html" in out
    code, _, err = facesmith(
        "train", "dcgan64", "--data", tmp_path / "faces", "--out", tmp_path / "run", "--kimg", "0.5",
        "--set", "width=8", "--set", "resolution=32",
    )  # fmt: skip
    assert code == 0, err
    assert facesmith("sample", "--model", tmp_path / "run", "--out", tmp_path / "new.png")[0] == 0


def test_a_finished_extraction_still_says_which_photos_it_lacks(facesmith, tmp_path):
    photos = faces_folder(tmp_path / "photos")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    command = ("extract", photos, "--out", tmp_path / "faces", "--crop", RESOLUTION, "--size", RESOLUTION)
    code, _, err = facesmith(*command)
    assert code == 0, err
    _, _, err = facesmith(*command)
    assert "is already complete. Unreadable photos: 1, see rejected.csv. To extract again, add --force." in " ".join(
        err.split()
    )


def test_a_generator_is_evaluated(facesmith, tmp_path):
    data, run, out = faces_folder(tmp_path / "faces", 420), tmp_path / "run", tmp_path / "report"
    assert train(facesmith, data, run)[0] == 0
    command = ("evaluate", "--model", run, "--data", data, "--samples", "30", "--out", out)
    code, output, err = facesmith(*command)
    assert code == 0
    assert "fd30_lite0" in output
    assert output.strip().endswith(f"look at {out / 'report.html'}")
    assert "warning: 30 samples are few" in err
    assert (out / "report.json").stat().st_size > 1000
    code, output, err = facesmith(*command)
    assert (code, output) == (1, "")
    assert err.startswith(f"facesmith: {out} already exists")
    code, _, err = facesmith(*command, "--force", "--features", "vgg")
    assert code == 2
    assert err.count("\n") == 1
    code, _, err = facesmith("evaluate", "--model", run)
    assert code == 2
    assert "--data" in err


@pytest.mark.parametrize("text", ["\x1b[2J", "9" * 5000, "a" * 100_000, "\udcff"])
def test_no_message_contains_control_characters_or_thousands_of_characters(facesmith, tmp_path, text):
    for arguments in (
        ["sample", "--seeds", text, "--out", tmp_path / "a.png"],
        ["mix", text, "--out", tmp_path / "a.png"],
        ["train", "--seed", text, "--data", "nowhere", "--out", tmp_path / "run"],
        ["walk", "--seed", text, "--out", tmp_path / "a.mp4", "--model", "nowhere"],
        ["sample", "--psi", text],
        [text],
    ):
        code, out, err = facesmith(*arguments)
        assert (code in (1, 2), out, err.count("\n")) == (True, "", 1), err
        assert "\x1b" not in err
        assert len(err.encode()) < 4200


def test_a_wrong_choice_is_answered_with_the_valid_ones(facesmith):
    code, _, err = facesmith("sample", "--prior", "cosmic")
    assert code == 2
    assert err == "facesmith: Invalid value for '--prior': 'cosmic' is not one of 'own', 'normal'.\n"


@pytest.mark.filterwarnings("error")
def test_a_full_disk_in_tensorboard_is_one_line_that_names_it(facesmith, faces, tmp_path, monkeypatch):
    def fail(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", fail)
    code, _, error = train(facesmith, faces, tmp_path / "run")
    assert code == 1
    assert f"facesmith: {tmp_path}/run/tensorboard: No space left on device." in error
    assert "Traceback" not in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("argument", "unbuffered"), [("recipes", "1"), ("recipes", ""), ("--help", "")])
def test_a_full_standard_output_is_named(argument, unbuffered):
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "facesmith", argument]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"facesmith: standard output: No space left on device. ")


@pytest.mark.skipif(sys.platform == "win32", reason="about pipes")
def test_work_goes_on_when_nobody_reads_the_results(faces, tmp_path):
    """As after `facesmith evaluate ... | head -1`: the report is written after the summary is printed."""
    run = saved_model(tmp_path / "run")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "facesmith", "evaluate", "--model", run, "--data", faces, "--no-identity"]
    ended = subprocess.run([*command, "--samples", "30", "--out", tmp_path / "out"], stdout=writer, timeout=300)
    os.close(writer)
    assert ended.returncode == 0
    assert {"report.json", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_a_deleted_current_folder_is_named(tmp_path):
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); from facesmith import cli; cli.main()"
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "gone"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "facesmith: The current folder no longer exists. Change to another one with cd.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "a/run"], "(a/run). Write the option before it: --model"),
        (["train", "quick", "a", "--data", "b", "--out", "c"], "(a). Write the option before it: --data"),
        (["recipes", "a", "b"], "(b)"),
        (
            ["edit", "--edit", "smiling", "1"],
            "(1). Write --edit with an equals sign and without spaces: --edit smiling=1",
        ),
        (["edit", "--edit", "a=1", "b=-1"], "(b=-1). Repeat the option: --edit a=1 --edit b=-1"),
        (["sample", "--condition", "a=1", "b=0"], "(b=0). Repeat the option: --condition a=1 --condition b=0"),
        (["extract", "a", "--out", "b", "--size", "64", "64"], "(64). Give one number for both sides: --size 64"),
    ],
)
def test_a_path_without_its_option_is_helped(facesmith, arguments, message):
    code, _, error = facesmith(*arguments)
    assert (code, error) == (2, f"facesmith: Got unexpected extra argument(s) {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--count", "24"], "--count. For 24 faces, use --seeds 0-23"),
        (["sample", "--truncation", "0.5"], "--truncation. Use --psi, such as --psi 0.7"),
        (["train", "--resume"], "--resume. To resume a run, run the same command again. --extend trains longer"),
        (["extract", "--resume"], "--resume. To resume, run the same command again"),
        (["train", "--images", "faces"], "--images. Use --data FACES"),
        (["faces", "--data", "faces"], "--data. Give the faces without an option: facesmith faces FACES"),
        (["faces", "faces", "--out", "a.png"], "--out. Use --sheet"),
        (["train", "--batchsize", "3"], "--batchsize (Possible options: --batch)"),
        (["train", "-data", "x"], "-data. A name of several letters begins with two hyphens: --data"),
        (["-V"], "-V. Use --version"),
        (["export", "--out", "model.onnx"], "--out. Use --onnx FILE or --html FILE"),
        (["train", "--steps", "100"], "--steps. Use --minutes, --epochs or --kimg (1,000 images)"),
        (["train-inverter", "--steps", "100"], "--steps. Use --kimg (1,000 images)"),
        (["train-inverter", "--minutes", "5"], "--minutes. Use --kimg (1,000 images)"),
        (["train", "--config", "quick"], "--config. Write the recipe without an option: facesmith train quick"),
        (["train", "--pretrained", "a"], "--pretrained. Use --from MODEL"),
        (["sample", "--checkpoint", "runs/a"], "--checkpoint. Use --model MODEL"),
        (["report", "--run", "a"], "--run. Give it without an option: facesmith report runs/first"),
        (["detect", "--image", "a"], "--image. Give the picture without an option: facesmith detect face.png"),
        (["sample", "--forse"], "--forse"),  # an option that deletes is never proposed
        (["mix", "-3 + 29"], f"-3. {option_errors.SUM_IN_QUOTES}"),
    ],
)
def test_an_option_of_other_programs_is_translated(facesmith, arguments, message):
    code, _, error = facesmith(*arguments)
    assert (code, error) == (2, f"facesmith: No such option: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "faces"], "Missing option '--data'. For example: facesmith train --data faces --out runs/first"),
        (["extract", "photos", "faces"], "Missing option '--out'. For example: facesmith extract "),
        (["mix"], "Missing argument 'terms'. For example: facesmith mix "),
        (["help"], "No such command 'help'. Write: facesmith --help"),
        (["extract", "photos", "--out=$HOME/faces"], "--out $HOME/faces begins with a variable that was not expanded"),
        (["sample", "--out", "~/faces.png"], "--out ~/faces.png begins with a home folder that was not expanded"),
        (["sample", "--out", "file:///faces.png"], "--out file:///faces.png begins with an address"),
        (["export", "--html=~/faces.html"], "--html ~/faces.html begins with a home folder that was not expanded"),
        (["edit", "--film", "$HOME/a.mp4"], "--film $HOME/a.mp4 begins with a variable that was not expanded"),
        (["mix", "29", "-", "3", "+", "34"], option_errors.SUM_IN_QUOTES),
        (["mix", "29", "+", "3"], f"Got unexpected extra argument(s) (+ 3). {option_errors.SUM_IN_QUOTES}"),
        (["train-inverter", "--data", "faces"], "Missing option '--model'. For example: facesmith train-inverter "),
    ],
)
def test_a_command_in_the_form_of_other_programs_is_helped(facesmith, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, error = facesmith(*arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"facesmith: {message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("guess", option_errors.GUESSES, ids=lambda guess: f"{guess.names} {guess.place}")
def test_each_translation_is_used_by_a_command(guess):
    commands = typer.main.get_command(app).commands.values()
    places = [
        {command.name, *(option for parameter in command.params for option in parameter.opts)} for command in commands
    ]
    for name in guess.names.split():
        assert any(guess.place in known and name not in known for known in places)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no line break in a name")
def test_a_line_break_in_a_name_adds_no_line(facesmith, tmp_path):
    picture = tmp_path / "a\nfacesmith: done.png"
    assert facesmith("sample", "--seeds", "3", "--out", tmp_path / "a.png")[0] == 0
    (tmp_path / "a.png").rename(picture)
    code, output, _ = facesmith("detect", picture)
    assert code == 0
    assert output.startswith("a\N{REPLACEMENT CHARACTER}facesmith: done.png  watermark: yes")
    assert output.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't limit the address space")
def test_a_library_that_finds_too_little_memory_causes_no_traceback(tmp_path):
    limited = f"ulimit -v 1200000; exec {sys.executable} -m facesmith sample --seeds 0 --out {tmp_path / 'a.png'}"
    result = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.startswith("facesmith: There is not enough memory")
    assert "Traceback" not in result.stderr


def test_names_that_the_encoding_of_the_output_lacks_are_escaped(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "\N{CJK UNIFIED IDEOGRAPH-4E2D}.png").write_bytes(b"")
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    command = [sys.executable, "-m", "facesmith", "faces", tmp_path]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert r"\u4e2d.png (empty file)" in ended.stdout


def test_modules_in_the_current_folder_do_not_replace_those_of_python(tmp_path):
    for name in ("random", "torch", "signal"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    command = [sys.executable, "-m", "facesmith", "recipes"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_page_and_an_onnx_file_are_checked_before_either_is_written(facesmith, tmp_path):
    pytest.importorskip("onnx", reason="ONNX is an extra")
    run = saved_model(tmp_path / "run")
    export = ("export", "--model", run, "--html", tmp_path / "a.html", "--onnx")
    (tmp_path / "mine.onnx").touch()
    for name, code, message in (("a.txt", 2, "must end in .onnx"), ("mine.onnx", 1, "Choose another --onnx")):
        actual_code, out, err = facesmith(*export, tmp_path / name)
        assert (actual_code, out, message in err) == (code, "", True)
    assert not (tmp_path / "a.html").exists()
