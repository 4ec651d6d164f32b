"""Where a model is: what `--model` and `facesmith.load` name -> the file to open. Loads no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from facesmith.errors import BadModel
from facesmith.modelfiles.hub import fetch, is_address, parse_address
from facesmith.modelfiles.run_folder import MODEL as MODEL

BUNDLED = Path("bundled")  # how a person names the generator that ships, where a name is needed
TRAIN = "facesmith train --data FACES --out runs/first"


def bundled_model() -> Path:
    """The generator that ships inside the package; its sidecars stand beside it. It need not be there."""
    return Path(str(files("facesmith").joinpath("bundled", MODEL)))


def model_file(path: Path | None) -> Path:
    """The model file that a path stands for: a run folder stands for its model, None or `shipped` for what ships.

    hf://user/name (which a Path writes hf:/user/name) is fetched from the Hub into its cache.

    Raises:
        BadModel: there is none.
    """
    if path is None or (path == BUNDLED and not path.exists()):
        file = bundled_model()
        if not file.is_file():
            raise BadModel(
                f"This installation comes without a generator. Train one ({TRAIN}), then name it: --model runs/first"
            )
        return file
    if is_address(path):
        return fetch(parse_address(path))
    if path.suffix.lower() == ".onnx":
        raise BadModel(f"{path} is ONNX, which only facesmith sample draws from; name the model it was made of.")
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        what = f"{path} holds no {MODEL}" if path.is_dir() else f"{path} does not exist"
        raise BadModel(f"{what}. Give a run folder or a .safetensors file that facesmith train has written.")
    return file
