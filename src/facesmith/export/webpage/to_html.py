"""Write a generator as one web page that draws faces in the reader's browser.

The page contains everything, and its Content-Security-Policy forbids it to load or send anything. Only scripts whose
hash is in the policy run, so text of a model or card can't become code.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup  # Jinja2's
from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadOption
from facesmith.export.webpage.page_data import PageData, page_data
from facesmith.export.webpage.scripts import PAGE, STUDIO_PAGE, joined, read
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.model import Model, load
from facesmith.modelfiles.frontmatter import CARD, DATA, OWN_FIELDS, read_front_matter, stated_hash, stated_license
from facesmith.modelfiles.locate import bundled_model

SUFFIXES = (".html", ".htm")
KERNEL = Path(__file__).parent / "kernel" / "kernel.wasm"
UNKNOWN = "unknown: no model card states it"
MAX_TEXT = 2000  # characters of a text from a card


def export_html(
    path: Path | None, out: Path, *, license: str | None = None, force: bool = False, console: Console
) -> Iterator[str]:
    """Write a model as a web page.

    Args:
        license: shown on the page. Default: the license in the card next to the model.

    Yields:
        Lines that name the file, its size, and how exactly its faces agree with PyTorch's.

    Raises:
        BadOption: `out` is not an HTML file.
        BadModel: a web page can't draw this model's faces exactly enough. Nothing is written then.
        OutputExists: `out` exists, and `force` is not set.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise BadOption(f"--html {out}: the file name must end in .html.")
    refuse_to_overwrite(out, force, "--html")
    model = load(path)
    console.print(f"exporting {model.path} ...")
    data = page_data(model, model.directions)
    content = html(data, card_texts(model, license), bundled=model.path == bundled_model()).encode()
    with atomic_write(out) as stream:
        stream.write(content)
    yield str(out)
    yield f"{len(content) / 1e6:.1f} MB. Open it in any browser; it needs no network and sends nothing."
    yield f"compared with PyTorch: faces differ by at most {data.difference:.2g} of 255 gray levels before rounding"


def card_texts(model: Model, license: str | None = None) -> dict[str, str]:
    """What the page says about the model: `name`, `data`, `license` and `made_by`, from the card beside the model."""
    card = model.path.with_name(CARD)
    fields = read_front_matter(card) if stated_hash(card) == model.hash else {}
    name, data = _first_name(fields.get("model-index")), fields.get(OWN_FIELDS, {}).get(DATA)
    texts = {
        "name": name or f"{model.recipe.name} at {model.resolution} px",
        "data": data if isinstance(data, str) and data else UNKNOWN,
        "license": license or stated_license(model.path, model.hash) or UNKNOWN,
        "made_by": f"Facesmith {__version__}",
    }
    return {key: text[:MAX_TEXT] for key, text in texts.items()}


def _first_name(index: Any) -> str | None:
    first = index[0] if isinstance(index, list) and index else None
    name = first.get("name") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


def html(data: PageData, card: Mapping[str, str], *, bundled: bool) -> str:
    """The page.

    Args:
        bundled: whether the model comes with Facesmith, so that commands need not name it.
    """
    script, style = joined("main.js"), _style()
    policy = {
        "default-src": "'none'",
        "script-src": f"'{_hash(script)}' 'wasm-unsafe-eval'",
        "style-src": f"'{_hash(style)}'",
        "img-src": "data: blob:",
        "worker-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    worker = joined("worker.js")
    assert not any("</script" in text.lower() or "<!--" in text for text in (script, worker))
    values = {"model": data.model, "card": dict(card), "bundled": bundled}
    # Jinja2 escapes name and made_by. The rest is our own, or JSON without "<".
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(read("index.html"))
    return template.render(
        policy=Markup("; ".join(f"{name} {sources}" for name, sources in policy.items())),
        name=card["name"],
        made_by=card["made_by"],
        icon=base64.b64encode((STUDIO_PAGE / "icon.svg").read_bytes()).decode(),
        style=Markup(style),
        data=Markup(_json_without_markup(values)),
        worker=Markup(worker),
        kernel=base64.b64encode(KERNEL.read_bytes()).decode(),
        constants=base64.b64encode(data.constants).decode(),
        script=Markup(script),
    )


def _style() -> str:
    return (STUDIO_PAGE / "style.css").read_text(encoding="utf-8") + (PAGE / "faces.css").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json_without_markup(values: Mapping[str, Any]) -> str:
    """JSON in which no text can end a script element or begin a comment."""
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
