"""Upload a model with its card and its sidecar files to the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from facesmith.card.facts import CardOptions
from facesmith.card.write_card import write_card
from facesmith.errors import BadModel, BadOption
from facesmith.modelfiles.checkpoint import load_model
from facesmith.modelfiles.frontmatter import CARD, stated_hash
from facesmith.modelfiles.hub import SIDECAR_KINDS, SIDECARS, Address, upload
from facesmith.modelfiles.run_folder import MODEL
from facesmith.modelfiles.sidecar import HEADER_KEY, open_tensors, sidecar_path


def push(path: Path | None, to: Address, *, private: bool = False, console: Console) -> Iterator[str]:
    """Upload a model, so that `--model hf://user/name` opens it anywhere.

    The card beside the model is uploaded if it was written for this model. Otherwise a card is made from its files.

    Returns:
        Lines to print: the URL, the sha256, and how to use the model.

    Raises:
        BadModel: the model can't be opened, or the upload failed.
        BadData: the card's front matter is not YAML.
    """
    model = load_model(path)
    if to.revision is not None and "/" in to.revision:
        raise BadOption(f"{to}: push to a branch, such as hf://{to.repo}@main.")
    contents = {MODEL: model.path}
    for kind, name in zip(SIDECAR_KINDS, SIDECARS, strict=True):
        if _belongs_to(model.hash, file := sidecar_path(model.path, kind)):
            contents[name] = file
    with tempfile.TemporaryDirectory() as folder:
        card = model.path.with_name(CARD)
        if stated_hash(card) != model.hash:
            console.print(
                f"{card} is not a card of this model. A card without a license is uploaded instead; "
                "to write your own, see: facesmith card --help"
            )
            options = CardOptions(name=to.repo.partition("/")[2])
            card = write_card(model.path, Path(folder) / CARD, options=options)
        contents[CARD] = card
        for name, file in sorted(contents.items()):
            console.print(f"uploading {name}, {file.stat().st_size / 2**20:.1f} MiB")
        url = upload(to, contents, f"{model.recipe.name}, sha256 {model.hash[:12]}", private=private)
    yield url
    yield f"sha256 {model.hash}"
    yield f"to draw faces: facesmith sample --model {to}"


def _belongs_to(model_hash: str, file: Path) -> bool:
    """Whether a sidecar file belongs to the model with this hash, by its header."""
    try:
        with open_tensors(file, "np") as opened:
            header: str = (opened.metadata() or {}).get(HEADER_KEY, "")
    except BadModel:
        return False
    return model_hash in header
