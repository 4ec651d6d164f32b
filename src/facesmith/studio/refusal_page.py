"""The page that says why the studio can't be opened, and what to do. It needs neither scripts nor other files."""

from __future__ import annotations

from html import escape

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title></head>
<body style="max-width:40rem;margin:4rem auto;padding:0 1.5rem;font:1.05rem/1.6 system-ui,sans-serif">
<main><h1 style="font-size:1.5rem">{title}</h1>
{paragraphs}</main></body></html>
"""
CODE = '<pre style="padding:.8rem;border:1px solid;border-radius:.4rem;overflow:auto"><code>{}</code></pre>'


def refusal_page(title: str, *parts: str) -> bytes:
    """Return an HTML page.

    Args:
        parts: paragraphs, or commands if they start with a dollar sign.
    """
    blocks = [
        CODE.format(escape(part.removeprefix("$ "))) if part.startswith("$ ") else f"<p>{escape(part)}</p>"
        for part in parts
    ]
    return PAGE.format(title=escape(title), paragraphs="\n".join(blocks)).encode()
