"""Write the card of a model."""

from __future__ import annotations

from pathlib import Path

from facesmith.card.card_sections import SECTIONS
from facesmith.card.facts import CardOptions, Facts, gather_facts
from facesmith.card.hub_fields import hub_fields
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.io.messages import encodable
from facesmith.modelfiles.frontmatter import CARD, front_matter
from facesmith.modelfiles.locate import refuse_to_write_beside_bundled


def write_card(
    path: Path | None,
    out: Path | None = None,
    *,
    evaluation: Path | None = None,
    options: CardOptions,
    force: bool = False,
) -> Path:
    """Write a model's card and return its path.

    Args:
        out: by default README.md in the model's folder.
        evaluation: as for `gather_facts`.

    Raises:
        FacesmithError: the model or its evaluation can't be read, `out` exists, or the card would be written beside
            the bundled generator.
    """
    facts = gather_facts(path, evaluation, options)
    if out is None:
        refuse_to_write_beside_bundled(facts.model.path, "Add --out CARD.md.")
    file = out or facts.model.path.with_name(CARD)
    refuse_to_overwrite(file, force)
    content = card_text(facts)
    with atomic_write(file, "w") as stream:
        stream.write(content)
    return file


def card_text(facts: Facts) -> str:
    """The card as Markdown, with its YAML header."""
    paragraphs = [paragraph for section in SECTIONS for paragraph in section(facts)]
    return encodable(front_matter(hub_fields(facts)) + "\n" + "\n\n".join(paragraphs) + "\n")
