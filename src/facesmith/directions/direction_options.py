"""What is asked of `facesmith directions`, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from facesmith.attributes.train_classifier import ClassifierBudget


@dataclass(frozen=True)
class DirectionOptions:
    """What is wanted.

    Attributes:
        data: labelled faces; those without labels only for PCA and SeFa, which look at none.
        out: a folder for directions.safetensors and directions.png; None is beside the model.
        attributes: only these, whatever the classifier makes of them; None takes those it can tell.
        keep: what is to stay; None is `KEEP`.
        steps: of refining; 0 leaves the linear fit as it is.
        classifier_budget: of the classifier.
    """

    model: Path | None
    data: Path | None
    out: Path | None = None
    method: str = "supervised"
    attributes: Sequence[str] | None = None
    keep: Sequence[str] | None = None
    steps: int = 400
    classifier_budget: ClassifierBudget = field(default_factory=ClassifierBudget)
    force: bool = False


@dataclass(frozen=True)
class Found:
    """Directions `[w_dim]` by name, and what is said of each: plain values for the header, words for people."""

    directions: Mapping[str, Tensor]
    told: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str]
    header: Mapping[str, Any]
