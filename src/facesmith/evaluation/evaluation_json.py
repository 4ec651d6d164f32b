"""report.json: every number, with everything needed to measure it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import PIL
import torch

from facesmith import __version__
from facesmith.detection.detect import FACE_CHECK_MIN_FACE_PX, FACE_CHECK_SIZE_PX, FACE_CHECK_THRESHOLD
from facesmith.evaluation.attribute_shares import AttributeShare, lost_attributes
from facesmith.evaluation.model_result import PAIRS, ConditionResult, ModelResult
from facesmith.evaluation.reference import REAL_SEED, Reference
from facesmith.evaluation.verdicts import metric_name, verdicts, warnings
from facesmith.metrics.comparison import SETS, SUBSETS_PER_SET, K
from facesmith.metrics.copies import COPY_DISTANCE, DEVIATIONS, THUMBNAIL_PX, CopyCheck, NearestFaces
from facesmith.metrics.face_embedding import SHA256
from facesmith.metrics.identity import CLOSE_SHARE
from facesmith.metrics.kid import SUBSET_SIZE, SUBSETS
from facesmith.photos import split
from facesmith.storage.addresses import address_of

FORMAT = 2


def evaluation_json(
    results: Sequence[ModelResult],
    reference: Reference,
    samples: int,
    seconds: Mapping[str, float],
    *,
    limit: int | None = None,
) -> dict[str, Any]:
    """The content of report.json. Everything but `seconds` is reproducible with the same number of threads.

    Args:
        limit: how many of the real faces were used; None for all.
    """
    return {
        "format": FORMAT,
        "protocol": _protocol(reference, samples, results[0].psi),
        "data": _data(reference, limit),
        "real": _real(reference),
        "models": [_model(result, reference, samples) for result in results],
        "warnings": warnings(samples, reference),
        "versions": {
            "facesmith": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        },
        "machine": {
            "threads": torch.get_num_threads(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "system": platform.system(),
        },
        "seconds": dict(seconds),
    }


def _protocol(reference: Reference, samples: int, psi: float) -> dict[str, Any]:
    extractor = reference.extractor
    return {
        "samples": samples,
        "seeds": f"0-{samples - 1}",
        "psi": psi,
        "features": extractor.name,
        "dimensions": extractor.dims,
        "weights": extractor.source,
        "weights_sha256": extractor.sha256,
        "resize": extractor.resize,
        "precision": "float32 features, float64 metrics",
        "kid": {"subsets": SUBSETS, "subset_size": SUBSET_SIZE, "seed": 0, "kernel": "(x·y / dimensions + 1)³"},
        "prdc": {"k": K},
        "intervals": f"95 %: Student's t over {SETS} disjoint sets of samples; Wilson's for the share of faces",
        "kid_subsets_per_set": SUBSETS_PER_SET,
        "face_detector": {
            "name": "MTCNN",
            "size_px": FACE_CHECK_SIZE_PX,
            "smallest_face_px": FACE_CHECK_MIN_FACE_PX,
            "threshold": FACE_CHECK_THRESHOLD,
        },
        "people": {"embedding": "dlib face recognition", "weights_sha256": SHA256, "close_share": CLOSE_SHARE},
        "copies": {"thumbnail_px": THUMBNAIL_PX, "deviations": DEVIATIONS, "distance": COPY_DISTANCE},
    }


def _data(reference: Reference, limit: int | None) -> dict[str, Any]:
    faces = reference.faces
    return {
        # Absolute, so that the studio finds the faces from any folder.
        "path": str(faces.path if address_of(faces.path) else faces.path.absolute()),
        "fingerprint": faces.fingerprint,
        **({} if limit is None else {"limit": limit}),
        "faces": len(faces.names),
        "size": [faces.resolution, faces.resolution, faces.channels],
        "split": split.describe(faces.parts),
        "reference": {"part": "test", "count": len(reference.test)},
        "real_vs_real": {"part": "train", "count": len(reference.real), "seed": REAL_SEED},
        "notices": list(faces.notices),
    }


def _real(reference: Reference) -> dict[str, Any]:
    count = len(reference.real)
    scores = {metric_name(name, count, reference): asdict(score) for name, score in reference.real_scores.items()}
    return {"metrics": scores, "face_rate": reference.face_rate}


def _metrics(result: ModelResult, reference: Reference, samples: int) -> dict[str, Any]:
    """The metrics of all samples and, if there are fewer real faces in place of samples, of as many samples."""
    count = len(reference.real)
    metrics = {metric_name(name, samples, reference): asdict(score) for name, score in result.scores.items()}
    comparable = {
        metric_name(name, count, reference): {**asdict(score), "real": reference.real_scores[name].value}
        for name, score in result.comparable_scores.items()
    }
    return metrics | comparable


def _model(result: ModelResult, reference: Reference, samples: int) -> dict[str, Any]:
    model, check = result.model, result.copy_check
    return {
        "path": str(model.path),
        "sha256": model.hash,
        "recipe": model.recipe.name,
        "hyperparameters": model.recipe.hyperparameters(),
        "seen": model.header.get("seen"),
        "trained_on": model.header.get("fingerprint"),
        "notice": result.notice,
        "metrics": _metrics(result, reference, samples),
        "face_rate": {**asdict(result.face_rate), "real": reference.face_rate},
        "distinct": result.distinct,
        "copies": {
            "ratio": asdict(result.ratio) if result.ratio else None,
            "checked": check is not None and result.notice is None,
            "identical": int((result.nearest.to_training < COPY_DISTANCE).sum()),
            **({} if check is None else _copy_check(result, check, reference)),
            "nearest_pairs": [_pair(result.nearest, reference, seed) for seed in result.nearest_pairs.tolist()],
        },
        "people": _people(result, reference),
        **(_attributes(result) if result.attributes else {}),
        **({"conditions": [_condition(each) for each in result.conditions]} if result.conditions else {}),
        "verdicts": {verdict.question: verdict.answer for verdict in verdicts(result, reference)},
    }


def _condition(condition: ConditionResult) -> dict[str, Any]:
    real_agreement = condition.real_agreement if condition.faces else None
    return {
        "condition": condition.condition,
        "samples": condition.samples,
        "faces": condition.faces,
        "metrics": {
            name: {"value": value, "real": condition.real_distances.get(name)}
            for name, value in condition.distances.items()
        },
        "agreement": {**asdict(condition.agreement), "real": real_agreement} if condition.samples else None,
    }


def _copy_check(result: ModelResult, check: CopyCheck, reference: Reference) -> dict[str, Any]:
    return {
        "found": check.has_copies,
        "unclear": check.unclear,
        "samples": int(check.copies.sum()),
        "allowed": check.allowed,
        "photos": [_training_name(reference, int(index)) for index in result.copied],
        "threshold": check.threshold,
        "real_ratio": check.real_median,
        "real_share": check.real_share,
    }


def _people(result: ModelResult, reference: Reference) -> dict[str, Any]:
    """How many samples are close to a training person, by face recognition."""
    check = result.people
    if check is None:
        return {"checked": False, "reason": reference.people}
    return {
        "checked": result.notice is None,
        "found": check.draws_training_people,
        "unclear": check.unclear,
        "share": {**asdict(check.share), "real": check.real_share},
        "allowed": check.allowed,
        "threshold": check.threshold,
        "nearest_pairs": [
            _pair(check.nearest, reference, seed) for seed in check.nearest.smallest_ratios(PAIRS).tolist()
        ],
    }


def _attributes(result: ModelResult) -> dict[str, Any]:
    return {
        "attributes": {each.name: _attribute(each) for each in result.attributes},
        "lost_attributes": lost_attributes(result.attributes),
    }


def _attribute(share: AttributeShare) -> dict[str, Any]:
    return {
        "data": asdict(share.data),
        "samples": asdict(share.samples),
        "counted": share.counted,
        "difference": share.difference,
        "accuracy": share.accuracy,
        "sensitivity": share.sensitivity,
        "specificity": share.specificity,
        "auc": share.auc,
        "labels": "bundled classifier" if share.recognized else "data",
    }


def _pair(nearest: NearestFaces, reference: Reference, seed: int) -> dict[str, Any]:
    has_tests = len(reference.test) > 0
    return {
        "seed": seed,
        "ratio": float(nearest.ratio[seed]) if has_tests else None,
        "to_training": float(nearest.to_training[seed]),
        "training": _training_name(reference, int(nearest.training[seed])),
        "to_held_out": float(nearest.to_held_out[seed]) if has_tests else None,
        "held_out": reference.faces.names[int(reference.test[nearest.held_out[seed]])] if has_tests else None,
    }


def _training_name(reference: Reference, index: int) -> str:
    return reference.faces.names[int(reference.training[index])]
