"""Options of `facesmith directions`, and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facesmith.attributes.train_classifier import ClassifierBudget, TrainedClassifier
from facesmith.watermark.marking import DEFAULT_MARKING, Marking


@dataclass(frozen=True)
class DirectionOptions:
    """Which directions to find, and how.

    Attributes:
        model: a run folder or model file; None for the bundled generator.
        data: labeled faces; PCA and SeFa need none.
        out: folder for directions.safetensors and directions.png; None writes them next to the model.
        method: "supervised", "means", "pca" or "sefa".
        attributes: only these, however well the classifier recognizes them; None selects those it recognizes best.
        keep: attributes that must not change; None is `supervised.DEFAULT_KEEP`.
        steps: of refinement; 0 keeps the linear fit.
        classifier_budget: how long to train the classifier.
        force: replace existing files.
        marking: watermark and signed content credentials of the contact sheet.
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
    marking: Marking = DEFAULT_MARKING


@dataclass(frozen=True)
class FoundDirections:
    """Directions and what was measured of them.

    Attributes:
        directions: `[w_dim]` by name.
        measurements: JSON values by name, for the header.
        notes: a short text by name, for people.
        header: further header entries.
        classifier: the classifier that recognized the attributes, if there is one.
        real_skin: by name, the skin color `[3]` of real faces with the attribute minus that of faces without it.
    """

    directions: dict[str, Tensor]
    measurements: dict[str, dict[str, Any]]
    notes: dict[str, str]
    header: dict[str, Any]
    classifier: TrainedClassifier | None = None
    real_skin: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
