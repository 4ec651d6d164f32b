"""The card, written beside its model."""

from __future__ import annotations

from pathlib import Path

from facesmith.card.card_sections import PARTS
from facesmith.card.facts import CardOptions, Facts, gather_facts
from facesmith.card.hub_fields import head
from facesmith.errors import BadData
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.modelfiles.frontmatter import CARD


def text(facts: Facts) -> str:
    """The whole card.

    Raises:
        BadData: the evaluation's report lacks what a card tells of it.
    """
    try:
        parts = [part for section in PARTS for part in section(facts)]
        return "\n".join(["---", *head(facts), "---", "", *("\n\n".join(parts).splitlines()), ""])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"The evaluation's report can't be read ({error!r}). Evaluate the model again.") from None


def write_card(
    path: Path | None,
    out: Path | None = None,
    *,
    evaluation: Path | None = None,
    options: CardOptions,
    force: bool = False,
) -> Path:
    """Write a model's card.

    Args:
        out: by default README.md beside the model file.
        evaluation: as `facts.gather`.
    """
    facts = gather_facts(path, evaluation, options)
    file = out or facts.model.path.with_name(CARD)
    refuse_to_overwrite(file, force)
    content = text(facts)
    with atomic_write(file, "w") as stream:
        stream.write(content)
    return file
