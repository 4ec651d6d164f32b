"""Find the model file that `--model` or `facesmith.load` refers to. Doesn't import torch."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from itertools import islice
from pathlib import Path

from facesmith.errors import BadModel
from facesmith.io.files import refuse_lfs_pointer
from facesmith.io.messages import as_typed, shorten
from facesmith.io.suggest_path import suggest_path
from facesmith.modelfiles.hub import fetch, is_address, parse_address, suggest_address
from facesmith.modelfiles.run_folder import MODEL

BUNDLED = Path("bundled")  # the bundled generator's name in options that need one, such as --from
MAX_SEARCHED, MAX_NAMED = 1000, 3  # entries of a folder to look into for models, and models to name
TRAIN_COMMAND = "facesmith train --data FACES --out runs/first"


def bundled_model() -> Path:
    """The path of the bundled generator inside the package, even if an installation lacks the file."""
    return Path(str(files("facesmith").joinpath("bundled", MODEL)))


def models_near(folder: Path) -> list[Path]:
    """The model files in a folder and in the run folders inside it, sorted; not those of large folders."""
    try:
        inside = sorted(islice(folder.iterdir(), MAX_SEARCHED))
        return [file for each in (folder, *inside) if (file := each / MODEL).is_file()]
    except OSError:  # no folder, or not readable
        return []


def _models_in(path: Path) -> str:
    """Which run folders are inside a folder that is none itself, or beside a missing one."""
    runs = [str(file.parent) for file in models_near(path if path.is_dir() else path.parent)]
    more = f" and {len(runs) - MAX_NAMED} more" if len(runs) > MAX_NAMED else ""
    return f" Did you mean {' or '.join(map(shorten, runs[:MAX_NAMED]))}{more}?" if runs else ""


def model_file(path: Path | None) -> Path:
    """Find the model file that a path refers to.

    Args:
        path: a model file, a run folder, or hf://user/name to download from the Hub (a Path shortens it to
            hf:/user/name). None and `bundled` refer to the bundled generator.

    Raises:
        BadModel: there is no such model.
    """
    if path is None or (path == BUNDLED and not path.exists()):
        file = bundled_model()
        if not file.is_file():
            raise BadModel(
                f"This installation has no bundled generator. Train one: {TRAIN_COMMAND}. Then use --model runs/first"
            )
        return file
    if is_address(path):
        return fetch(parse_address(path))
    if path.suffix.lower() == ".onnx":
        raise BadModel(
            f"{path} is an ONNX file; only facesmith sample reads these. Use the model it was exported from."
        )
    if path.parts[:1] in (("http:",), ("https:",), ("s3:",), ("gs:",)) and not suggest_address(path):
        raise BadModel(f"{as_typed(path)} is an address. Download the model first.")
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        problem = "is not a regular file" if file.exists() else "does not exist"
        found = f"{path} contains no {MODEL}" if path.is_dir() and not file.exists() else f"{as_typed(file)} {problem}"
        if get_close_matches(str(path), [str(BUNDLED)]):
            suggestion = f" Did you mean {BUNDLED}?"
        else:
            suggestion = suggest_address(path) or _models_in(path) or suggest_path(path)
        raise BadModel(f"{found}. Expected a run folder or a .safetensors file that facesmith train wrote.{suggestion}")
    refuse_lfs_pointer(file)
    return file
