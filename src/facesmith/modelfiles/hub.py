"""Download and upload models on the Hugging Face Hub, addressed as hf://user/name[@revision].

Only the model, its sidecars and its card are downloaded. None of these files can run code.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesmith.errors import BadModel, BadOption, MissingExtra
from facesmith.io.files import is_disk_error, sha256
from facesmith.io.messages import one_line, printable
from facesmith.modelfiles.frontmatter import CARD, stated_hash
from facesmith.modelfiles.run_folder import MODEL

SIDECAR_KINDS = ("directions", "attributes", "inversion")
SIDECARS = tuple(f"{kind}.safetensors" for kind in SIDECAR_KINDS)  # their names on the Hub
PREFIX = "hf:/"  # with one slash, because a Path collapses two; alone, it also drops the last one
ADDRESS = re.compile(r"(?i:hf):/{1,2}(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
# Addresses in other forms: of the web page, without slashes, or only the name.
OTHER_ADDRESS = re.compile(
    r"(?:(?:https?:/+)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:)?(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:/.*)?"
)
CACHED = "models--"  # start of the name of a model's folder in the Hub's cache
CARD_CHECK = "/api/validate-yaml"
CORRECT_CARD = "Correct these fields, or write the card again: facesmith card MODEL --force"
LOGIN = "Log in with a token that has access: hf auth login"
UNREACHABLE = "the Hub can't be reached{}. {}"
PROXY = re.compile("(?:https?|all)_proxy", re.IGNORECASE)
CERTIFICATE = re.compile("certificate", re.IGNORECASE)
OFFLINE = "the offline mode of the Hub is switched on{}. To switch it off: unset HF_HUB_OFFLINE"
HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
STATUS_REASONS = {
    401: f"you are not logged in. {LOGIN}",
    403: f"your token has no right to do this there. {LOGIN}",
    407: "the proxy of this network requires a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
    404: "there is no such model or file on the Hub.",
    413: "the files are too large for the Hub to accept.",
    429: "the Hub received too many requests. Wait a few minutes, then run the same command again.",
}


@dataclass(frozen=True)
class Address:
    """The address of a model on the Hub.

    Attributes:
        revision: branch, tag or commit; None for the latest commit of the main branch.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(path: Path | str) -> bool:
    """Whether a text or path is an address on the Hub rather than a local file."""
    return f"{_text(path)}/".lower().startswith(PREFIX)


def parse_address(path: Path | str) -> Address:
    """Parse an address on the Hub.

    Raises:
        BadOption: it is not a valid address.
    """
    match = ADDRESS.fullmatch(_text(path))
    if match is None:
        as_typed = _text(path) if "://" in _text(path) else _text(path).replace(":/", "://", 1)
        raise BadOption(f"{as_typed!r} is no address on the Hub. Write hf://user/name, or hf://user/name@revision.")
    return Address(match["repo"], match["revision"])


def address_of_cached(path: Path) -> Address | None:
    """The address of a downloaded model, with its commit, if a path is a file or folder in the Hub's cache."""
    commit = path if path.is_dir() else path.parent
    repo = commit.parent.parent.name
    if commit.parent.name != "snapshots" or not repo.startswith(CACHED):
        return None
    return Address(repo.removeprefix(CACHED).replace("--", "/", 1), commit.name)


def suggest_address(path: Path) -> str:
    """A sentence that names the address on the Hub that a missing file may stand for; empty if there is none."""
    match = OTHER_ADDRESS.fullmatch(_text(path))
    if match is None or path.parent.exists() or (match["repo"] == match[0][: len(match["repo"])] != match[0]):
        return ""
    return f" If it is on the Hub, write hf://{match['repo']}."


def _text(path: Path | str) -> str:
    return path.as_posix() if isinstance(path, Path) else path


def fetch(address: Address) -> Path:
    """Download a model with its sidecars and card into the Hub's cache. Offline, the cached version is used.

    Returns:
        The path of the model file.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        BadModel: the download failed, the repository has no model, or its sha256 is not that in the card.
        BadData: the card's front matter is not YAML.
    """
    hub = _import_hub()
    try:
        folder = hub.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=[MODEL, CARD, *SIDECARS], library_name="facesmith"
        )
    except Exception as error:  # noqa: BLE001 - the Hub's errors have no common base class
        raise _as_bad_model(error, address, ", and the cache has no copy") from None
    file = Path(folder) / MODEL
    if not file.is_file():
        raise BadModel(f"{address} contains no {MODEL}, so Facesmith can't open it.")
    stated, actual = stated_hash(file.with_name(CARD)), sha256(file)
    if stated is not None and stated != actual:
        raise BadModel(
            f"{address}: the model's sha256 is {actual[:12]}..., but its card says {stated[:12]}...: "
            "one of them was changed."
        )
    return file


def upload(address: Address, contents: Mapping[str, Path], message: str, *, private: bool) -> str:
    """Upload files in one commit, and create the repository if it doesn't exist.

    Args:
        contents: local files by their name in the repository, among them the card.
        message: the commit message.
        private: create the repository as private.

    Returns:
        The URL of the commit.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        BadModel: the upload failed, for example without network or permission, or because the Hub refuses the card.
    """
    hub = _import_hub()
    api = hub.HfApi(library_name="facesmith")
    operations = [hub.CommitOperationAdd(name, str(path)) for name, path in sorted(contents.items())]
    try:
        _check_card(hub.utils, contents[CARD])
        api.create_repo(address.repo, private=private, exist_ok=True)
        commit = api.create_commit(address.repo, operations, commit_message=message, revision=address.revision)
    except Exception as error:  # noqa: BLE001 - the Hub's errors have no common base class
        raise _as_bad_model(error, address) from None
    return str(commit.commit_url)


def _check_card(utils: Any, card: Path) -> None:
    """Let the Hub check the front matter of a card, before a repository is created that would stay empty.

    Args:
        utils: the module of huggingface_hub.

    Raises:
        BadRequestError: the Hub refuses it.
    """
    from huggingface_hub import constants

    request = {"content": card.read_bytes().decode(), "repoType": "model"}
    headers = utils.build_hf_headers(library_name="facesmith")
    answer = utils.get_session().post(f"{constants.ENDPOINT}{CARD_CHECK}", json=request, headers=headers)
    utils.hf_raise_for_status(answer)


def _import_hub() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise MissingExtra("Models on the Hub need an extra: pip install 'facesmith[hub]'") from None
    disable_progress_bars()
    return huggingface_hub


def _as_bad_model(error: Exception, address: Address, cache: str = "") -> BadModel:
    """Explain an error of the Hub in one line. A fault of the disk is raised as it is.

    Args:
        cache: what to add about the cache, if the Hub can't be reached.

    Raises:
        OSError: the disk is full or can't be written.
    """
    from huggingface_hub import constants, errors

    answer = _find_cause(error, errors.HfHubHTTPError)
    match answer or error:
        case errors.GatedRepoError():
            reason = f"the owner requires you to request access first, on the model's page. {LOGIN}"
        case errors.RepositoryNotFoundError():
            reason = f"there is no such model, or it is private. {LOGIN}"
        case errors.RevisionNotFoundError():
            reason = f"it has no revision {address.revision!r}."
        case errors.BadRequestError(response=response, server_message=refusal) if CARD_CHECK in str(response.url):
            fields = one_line(refusal or "", 150).rstrip(".")
            reason = f"the Hub refuses the front matter of {CARD}: {fields}. {CORRECT_CARD}"
        case errors.HfHubHTTPError(response=response):
            status = 0 if response is None else response.status_code
            reason = STATUS_REASONS.get(status) or f"the Hub answered with status {status}. Try again later."
        case errors.HFValidationError():
            reason = "this is not a valid name on the Hub."
        case UnicodeDecodeError():
            reason = f"{CARD} is not UTF-8 text. Save it as UTF-8."
        case OSError() if is_disk_error(error) and not isinstance(error, ssl.SSLError):
            raise error
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled() if constants.HF_HUB_OFFLINE:
            reason = OFFLINE.format(cache)
        case errors.LocalEntryNotFoundError() | ConnectionError() | TimeoutError() | ssl.SSLError():
            reason = f"{UNREACHABLE.format(cache, _network_advice(error))} ({one_line(str(error), 150)})"
        case _ if type(error).__module__.partition(".")[0] in HTTP_LIBRARIES:
            reason = f"{UNREACHABLE.format(cache, _network_advice(error))} ({one_line(str(error), 150)})"
        case ValueError() if "JSON" in type(error).__name__:
            reason = f"{constants.ENDPOINT} answered with something else than the Hub's data, such as a login page."
        case _:
            reason = f"the transfer failed ({type(error).__name__}: {one_line(str(error), 150)})."
    return BadModel(f"{address}: {reason}")


def _network_advice(error: Exception) -> str:
    """What to check if the Hub can't be reached: what the error says, or what the environment sets."""
    from huggingface_hub import constants

    if CERTIFICATE.search(str(error)):
        return (
            "A certificate is not accepted. If your network has one of its own, set SSL_CERT_FILE to a file that "
            "contains it; if SSL_CERT_FILE is set, check that file."
        )
    if not constants.ENDPOINT.startswith(("http://", "https://")):
        return f"HF_ENDPOINT is {printable(constants.ENDPOINT)}; it must start with https:// or http://"
    if proxies := sorted(name for name in os.environ if PROXY.fullmatch(name) and os.environ[name]):
        return f"Check the network, and the proxy in {proxies[0]}."
    return "Check the network."


def _find_cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The first error of a kind among an error and those that caused it."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
