"""A hook of MkDocs that exports the bundled generator as a web page, which how-to/share-a-web-page.md embeds.

The page has several megabytes, so it is made with the site and not stored in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console


def on_post_build(config: Any) -> None:
    """Write the page into the finished site."""
    from facesmith.export.webpage.to_html import export_html

    out = Path(config["site_dir"]) / "how-to" / "faces.html"
    list(export_html(None, out, force=True, console=Console(quiet=True)))
