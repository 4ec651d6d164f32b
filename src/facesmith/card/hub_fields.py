"""The front matter of a card: the fields that the Hub reads.

Source: huggingface.co/docs/hub/model-cards and its model card specification, modelcard.md.
"""

from __future__ import annotations

import re
from typing import Any

from facesmith.card.facts import Facts
from facesmith.modelfiles.evaluation_file import ModelEvaluation
from facesmith.modelfiles.frontmatter import HASH, OWN_FIELDS

TASK = "unconditional-image-generation"
LICENSE_IDENTIFIER = r"[a-z0-9][a-z0-9.-]*"  # how the Hub writes licenses that it knows


def hub_fields(facts: Facts) -> dict[str, Any]:
    """The fields in the order in which they are written."""
    model, options, result = facts.model, facts.options, facts.result
    fields: dict[str, Any] = {
        **_license(options.license),
        "library_name": "facesmith",
        "pipeline_tag": TASK,
        "tags": ["facesmith", "faces", "image-generation", model.recipe.name],
    }
    if options.data:
        fields["datasets"] = [options.data]
    if result:
        fields["metrics"] = list(result["metrics"])
        fields["model-index"] = [{"name": facts.name, "results": [_evaluation(facts, result)]}]
    fields[OWN_FIELDS] = {HASH: model.hash, "recipe": model.recipe.name}
    if model.header.get("fingerprint"):
        fields[OWN_FIELDS]["data_fingerprint"] = str(model.header["fingerprint"])
    if type(model.header.get("seen")) is int:
        fields[OWN_FIELDS]["images_seen"] = model.header["seen"]
    return fields


def _license(text: str | None) -> dict[str, str]:
    if text is None:
        return {"license": "unknown"}
    if re.fullmatch(LICENSE_IDENTIFIER, text):
        return {"license": text}
    return {"license": "other", "license_name": text}


def _evaluation(facts: Facts, result: ModelEvaluation) -> dict[str, Any]:
    data = facts.options.data or "unknown"
    return {
        "task": {"type": TASK},
        "dataset": {"name": data, "type": data, "split": "test"},
        "metrics": [{"type": name, "name": name, "value": score["value"]} for name, score in result["metrics"].items()],
    }
