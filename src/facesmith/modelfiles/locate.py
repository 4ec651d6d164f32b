"""Find the model file that `--model` or `facesmith.load` refers to, and name models. Doesn't import torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from itertools import islice
from pathlib import Path

from facesmith.errors import BadModel, BadOption
from facesmith.io.files import real_path, refuse_lfs_pointer
from facesmith.io.messages import as_typed, shorten
from facesmith.io.suggest_path import suggest_path
from facesmith.modelfiles.hub import Address, address_of_cached, fetch, is_address, parse_address, suggest_address
from facesmith.modelfiles.run_folder import MODEL

BUNDLED = Path("bundled")  # the bundled generator's name in options that need one, such as --from
MAX_SEARCHED, MAX_NAMED = 1000, 3  # entries of a folder to look into for models, and models to name
TRAIN_COMMAND = "facesmith train --data FACES --out runs/first"
COMMIT_DIGITS = 12  # of a commit on the Hub, in names


def bundled_model() -> Path:
    """The path of the bundled generator inside the package, even if an installation lacks the file."""
    return Path(str(files("facesmith").joinpath("bundled", MODEL)))


def refuse_to_write_beside_bundled(model_file: Path, advice: str) -> None:
    """Raise BadOption, with advice, for a model in the folder of the bundled generator, a part of the installation."""
    if real_path(model_file.parent) == real_path(bundled_model().parent):
        raise BadOption(f"{model_file.parent} is part of this installation, and all commands use its files. {advice}")


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


def model_names(paths: Sequence[Path | None]) -> list[str]:
    """A short name for each model or run; its path, as it was given, if another one has the same name.

    Args:
        paths: run folders, model files and addresses on the Hub; None for the bundled generator.
    """
    names = [_short_name(path) for path in paths]
    return [name if names.count(name) == 1 else _path_as_name(path) for name, path in zip(names, paths, strict=True)]


def _short_name(path: Path | None) -> str:
    """The name of a run folder; of a model on the Hub, its repository; of other files, their own name."""
    if path is None or path == bundled_model() or (path == BUNDLED and not path.exists()):
        return str(BUNDLED)
    if address := _address_of(path):
        return address.repo
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (Path.resolve follows links)
    if absolute.name == MODEL and not absolute.is_dir():
        absolute = absolute.parent
    return absolute.name.removesuffix(Path(MODEL).suffix) or str(path)


def _path_as_name(path: Path | None) -> str:
    address = None if path is None else _address_of(path)
    return str(path or BUNDLED) if address is None else f"{address.repo}@{(address.revision or 'main')[:COMMIT_DIGITS]}"


def _address_of(path: Path) -> Address | None:
    return parse_address(path) if is_address(path) else address_of_cached(path)
