"""A model -> the Hugging Face Hub, with its card and its sidecars."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from safetensors import SafetensorError, safe_open

from facesmith.card.facts import CardOptions
from facesmith.card.write_card import write_card
from facesmith.errors import BadOption
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.frontmatter import CARD, HASH, fields
from facesmith.modelfiles.hub import SIDECARS, Address, upload
from facesmith.modelfiles.run_folder import MODEL
from facesmith.modelfiles.sidecar import HEADER_KEY


def push(path: Path | None, to: Address, *, private: bool = False, console: Console) -> Iterator[str]:
    """Upload a model that opens here, so that `--model hf://user/name` opens it anywhere.

    The card beside it goes along if it is this model's; else one is made of what its files tell.

    Raises:
        BadModel: the model can't be opened, or the Hub not be written to.
    """
    model = load_model(path)
    if to.revision is not None and "/" in to.revision:
        raise BadOption(f"{to}: push to a branch, such as hf://{to.repo}@main.")
    contents = {MODEL: model.path}
    contents |= {name: file for name in SIDECARS if _belongs(file := model.path.with_name(name), model.hash)}
    with tempfile.TemporaryDirectory() as folder:
        beside = model.path.with_name(CARD)
        if fields(beside).get(HASH) == model.hash:
            contents[CARD] = beside
        else:
            console.print(
                f"{beside} is no card of this model: one is made, with no licence. See: facesmith card --help"
            )
            options = CardOptions(name=to.repo.partition("/")[2])
            contents[CARD] = write_card(model.path, Path(folder) / CARD, options=options)
        for name, file in sorted(contents.items()):
            console.print(f"uploading {name}, {file.stat().st_size / 2**20:.1f} MiB")
        url = upload(to, contents, f"{model.recipe.name}, sha256 {model.hash[:12]}", private=private)
    yield url
    yield f"sha256 {model.hash}"
    yield f"draw with it: facesmith sample --model hf://{to.repo}"


def _belongs(file: Path, model_hash: str) -> bool:
    """Whether it is a sidecar of this model, by the hash in its header."""
    try:
        with safe_open(file, "np") as opened:
            told = (opened.metadata() or {}).get(HEADER_KEY, "")
    except (OSError, SafetensorError):
        return False
    return model_hash in told
