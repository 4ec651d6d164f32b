"""Models on the Hugging Face Hub, by their address hf://user/name[@revision]. Only harmless files are fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesmith.errors import BadModel, BadOption, MissingExtra
from facesmith.io.files import sha256
from facesmith.modelfiles.frontmatter import CARD, HASH, fields
from facesmith.modelfiles.run_folder import MODEL

SIDECARS = ("directions.safetensors", "inversion.safetensors")
# Paths make one slash of two.
ADDRESS = re.compile(r"hf:/{1,2}(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
PREFIX = "hf:/"
LOGIN = "Log in with a token that may do it: hf auth login"


@dataclass(frozen=True)
class Address:
    """A model on the Hub.

    Attributes:
        revision: branch, tag or commit; None for the newest.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(path: Path | str) -> bool:
    """Whether it names a model on the Hub rather than a file here."""
    return (path.as_posix() if isinstance(path, Path) else path).startswith(PREFIX)


def parse_address(path: Path | str) -> Address:
    """The address that a text or a path is.

    Raises:
        BadOption: it is none.
    """
    text = path.as_posix() if isinstance(path, Path) else path
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise BadOption(f"{text!r} is no address on the Hub. Write hf://user/name, or hf://user/name@revision.")
    return Address(found["repo"], found["revision"])


def fetch(address: Address) -> Path:
    """The model file of an address, in the Hub's cache, with sidecars and card; without a network as it was last.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        BadModel: it can't be had, holds no model of ours, or another than its card says.
    """
    hub = _hub()
    try:
        folder = hub.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=[MODEL, CARD, *SIDECARS], library_name="facesmith"
        )
    except Exception as error:  # noqa: BLE001 - it has no common class for what can go wrong on the way
        raise _explained(error, address) from None
    file = Path(folder) / MODEL
    if not file.is_file():
        raise BadModel(f"{address} holds no {MODEL}, so it is no model that Facesmith can open.")
    told, found = fields(file.with_name(CARD)).get(HASH), sha256(file)
    if told is not None and told != found:
        raise BadModel(
            f"{address}: the model's sha256 is {found[:12]}..., its card says {told[:12]}...: one of them was changed."
        )
    return file


def upload(address: Address, contents: Mapping[str, Path], message: str, *, private: bool) -> str:
    """Put files into a repository on the Hub, which is made where there is none; the commit's address.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        BadModel: it can't be done: no network, no right to it.
    """
    hub = _hub()
    api = hub.HfApi(library_name="facesmith")
    added = [hub.CommitOperationAdd(name, str(path)) for name, path in sorted(contents.items())]
    try:
        api.create_repo(address.repo, private=private, exist_ok=True)
        done = api.create_commit(address.repo, added, commit_message=message, revision=address.revision)
    except Exception as error:  # noqa: BLE001
        raise _explained(error, address) from None
    return str(done.commit_url)


def _hub() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise MissingExtra("Models on the Hub need an extra: pip install 'facesmith[hub]'") from None
    disable_progress_bars()
    return huggingface_hub


def _explained(error: Exception, address: Address) -> BadModel:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            why = f"its owner wants to be asked first; visit its page. {LOGIN}"
        case errors.RepositoryNotFoundError():
            why = f"there is no such model, or it is private. {LOGIN}"
        case errors.RevisionNotFoundError():
            why = f"it has no revision {address.revision!r}."
        case errors.HfHubHTTPError() if error.response is not None and error.response.status_code in (401, 403):
            why = LOGIN
        case errors.HFValidationError():
            why = "that is no name on the Hub."
        case _:
            words = " ".join(str(error).split())[:150]
            why = f"the Hub can't be reached, and the cache holds no copy. Is there a network? ({words})"
    return BadModel(f"{address}: {why}")
