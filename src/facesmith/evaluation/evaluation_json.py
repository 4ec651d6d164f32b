"""report.json: every number, with all that is needed to get it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import PIL
import torch

from facesmith import __version__
from facesmith.evaluation.model_result import ConditionResult, ModelResult
from facesmith.evaluation.reference import FLOOR_SEED, Reference
from facesmith.evaluation.verdicts import metric_name, verdicts, warnings
from facesmith.metrics.comparison import SETS, SUBSETS_OF_A_SET, K
from facesmith.metrics.copies import DEVIATIONS, THUMBNAIL_PX, CopyAudit
from facesmith.metrics.kid import SUBSET_SIZE, SUBSETS
from facesmith.photos import split
from facesmith.photos.detect import FACE_CHECK_MIN_FACE_PX, FACE_CHECK_SIZE_PX, FACE_CHECK_THRESHOLD

FORMAT = 1


def receipt(
    judgements: Sequence[ModelResult], reference: Reference, samples: int, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Plain values. All but what stands under `seconds` is the same at every run with the same threads."""
    return {
        "format": FORMAT,
        "protocol": _protocol(reference, samples, judgements[0].psi),
        "data": _data(reference),
        "real": _real(reference, samples),
        "models": [_model(judged, reference, samples) for judged in judgements],
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
        "intervals": f"95 %, over {SETS} disjoint generated sets (Student's t); of shares of faces: Wilson's",
        "kid_subsets_of_a_set": SUBSETS_OF_A_SET,
        "faces": {
            "detector": "MTCNN",
            "size_px": FACE_CHECK_SIZE_PX,
            "smallest_face_px": FACE_CHECK_MIN_FACE_PX,
            "threshold": FACE_CHECK_THRESHOLD,
        },
        "copies": {"thumbnail_px": THUMBNAIL_PX, "deviations": DEVIATIONS},
    }


def _data(reference: Reference) -> dict[str, Any]:
    faces = reference.faces
    return {
        "path": str(faces.path),
        "fingerprint": faces.fingerprint,
        "faces": len(faces.names),
        "size": [faces.resolution, faces.resolution, faces.channels],
        "split": split.describe(faces.parts),
        "judged_against": {"part": "test", "count": len(reference.test)},
        "in_place_of_samples": {"part": "train", "count": reference.floor_count, "seed": FLOOR_SEED},
        "notices": list(faces.notices),
    }


def _real(reference: Reference, samples: int) -> dict[str, Any]:
    floor = {metric_name(name, samples, reference): asdict(score) for name, score in reference.floor.items()}
    return {"metrics": floor, "face_rate": reference.face_rate}


def _model(judged: ModelResult, reference: Reference, samples: int) -> dict[str, Any]:
    model, audit = judged.model, judged.audit
    return {
        "path": str(model.path),
        "sha256": model.hash,
        "recipe": model.recipe.name,
        "hyperparameters": model.recipe.hyperparameters(),
        "seen": model.header.get("seen"),
        "trained_on": model.header.get("fingerprint"),
        "notice": judged.notice,
        "metrics": {
            metric_name(name, samples, reference): {**asdict(score), "real": reference.floor[name].value}
            for name, score in judged.scores.items()
        },
        "face_rate": {**asdict(judged.face_rate), "real": reference.face_rate},
        "distinct": judged.distinct,
        "copies": {
            "ratio": asdict(judged.ratio),
            "judged": audit is not None and judged.notice is None,
            **({} if audit is None else _audit(judged, audit, reference)),
            "closest": [_pair(judged, reference, int(i)) for i in judged.closest],
        },
        **({"conditions": [_answer(answer) for answer in judged.answers]} if judged.answers else {}),
        "verdicts": {verdict.question: verdict.answer for verdict in verdicts(judged, reference)},
    }


def _answer(answer: ConditionResult) -> dict[str, Any]:
    real = answer.real_agreement if answer.faces else None
    return {
        "told": answer.told,
        "samples": answer.samples,
        "faces": answer.faces,
        "metrics": {name: {"value": held, "real": answer.floor.get(name)} for name, held in answer.distances.items()},
        "agreement": {**asdict(answer.agreement), "real": real} if answer.samples else None,
    }


def _audit(judged: ModelResult, audit: CopyAudit, reference: Reference) -> dict[str, Any]:
    return {
        "found": audit.found,
        "samples": int(audit.copies.sum()),
        "allowed": audit.allowed,
        "photos": [_name(reference, int(i)) for i in judged.copied],
        "threshold": audit.threshold,
        "real_ratio": audit.real_median,
        "real_share": audit.real_share,
    }


def _pair(judged: ModelResult, reference: Reference, i: int) -> dict[str, Any]:
    near = judged.nearest
    return {
        "seed": i,
        "ratio": float(near.ratio[i]),
        "to_training": float(near.to_training[i]),
        "training": _name(reference, int(near.training[i])),
        "to_held_out": float(near.to_held_out[i]),
        "held_out": reference.faces.names[int(reference.test[near.held_out[i]])],
    }


def _name(reference: Reference, training: int) -> str:
    return reference.faces.names[int(reference.training[training])]
