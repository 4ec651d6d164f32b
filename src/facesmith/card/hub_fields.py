"""The front matter of a card: the fields that the Hub reads.

The Hub refuses a card with a license that is not in its list, or with a dataset whose ID is not valid.

Sources: huggingface.co/docs/hub/model-cards and its model card specification, modelcard.md; for the licenses,
huggingface.co/docs/hub/repositories-licenses and the answers of the Hub's check.
"""

from __future__ import annotations

import re
from typing import Any

from facesmith.card.facts import Facts
from facesmith.modelfiles.evaluation_file import ModelEvaluation
from facesmith.modelfiles.frontmatter import DATA, HASH, OWN_FIELDS

TASK = "unconditional-image-generation"
DATASET_ID = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)
OTHER_DATASET = "faces"  # in place of an ID, which the Hub requires of every evaluation
LICENSES = frozenset({
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0",
    "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1",
    "lgpl-3.0", "isc", "h-research", "intel-research", "lppl-1.3c", "ms-pl", "apple-ascl", "apple-amlr", "mpl-2.0",
    "odc-by", "odbl", "openmdw-1.0", "openmdw-1.1", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa",
    "unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license", "fair-noncommercial-research-license", "llama2",
    "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "grok2-community", "gemma", "unknown", "other",
})  # fmt: skip


def hub_fields(facts: Facts) -> dict[str, Any]:
    """The fields in the order in which they are written."""
    model, options, result = facts.model, facts.options, facts.result
    fields: dict[str, Any] = {
        **_license(options.license),
        "library_name": "facesmith",
        "pipeline_tag": TASK,
        "tags": ["facesmith", "faces", "image-generation", model.recipe.name],
    }
    if options.data and DATASET_ID.fullmatch(options.data):
        fields["datasets"] = [options.data]
    if result:
        fields["metrics"] = list(result["metrics"])
        fields["model-index"] = [{"name": facts.name, "results": [_evaluation(facts, result)]}]
    fields[OWN_FIELDS] = {HASH: model.hash, "recipe": model.recipe.name}
    if options.data:
        fields[OWN_FIELDS][DATA] = options.data
    if model.header.get("fingerprint"):
        fields[OWN_FIELDS]["data_fingerprint"] = str(model.header["fingerprint"])
    if type(model.header.get("seen")) is int:
        fields[OWN_FIELDS]["images_seen"] = model.header["seen"]
    return fields


def _license(text: str | None) -> dict[str, str]:
    if not text:
        return {"license": "unknown"}
    if text.lower() in LICENSES:
        return {"license": text.lower()}
    return {"license": "other", "license_name": text}


def _evaluation(facts: Facts, result: ModelEvaluation) -> dict[str, Any]:
    data = facts.options.data or "unknown"
    dataset_id = data if DATASET_ID.fullmatch(data) else OTHER_DATASET
    return {
        "task": {"type": TASK},
        "dataset": {"name": data, "type": dataset_id, "split": "test"},
        "metrics": [{"type": name, "name": name, "value": score["value"]} for name, score in result["metrics"].items()],
    }
