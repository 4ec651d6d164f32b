"""A short description of a face, such as "a woman, smiling, with dark hair", for people who can't see it.

An attribute classifier looks at the picture. It only has the attributes of its training labels: "man" and "woman", for
example, are the two values of one label. Judgments such as "attractive" are left out. What the classifier is not sure
of follows after "perhaps", and what it recognizes badly is left out.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from facesmith.attributes import TrainedClassifier, predict_logits
from facesmith.errors import BadModel
from facesmith.io.commands import quoted
from facesmith.model import Model
from facesmith.modelfiles.classifier_file import KIND, load_classifier
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.pictures.images import Pixels

CERTAIN, PERHAPS = 0.9, 0.7  # probabilities
MIN_BALANCED_ACCURACY = 0.75  # on degraded faces; attributes below it are not mentioned
MALE = ("male", "gender_male", "sex_male")  # as CelebA and columns such as FairFace's `gender` call it
AGE = "young"
DARK_HAIR = ("black_hair", "brown_hair")
PHRASES = {  # in the order of the description
    "smiling": "smiling",
    "mouth_slightly_open": "with the mouth slightly open",
    "black_hair": "with black hair",
    "brown_hair": "with brown hair",
    "dark_hair": "with dark hair",
    "blond_hair": "with blond hair",
    "gray_hair": "with gray hair",
    "bald": "bald",
    "bangs": "with bangs",
    "wavy_hair": "with wavy hair",
    "straight_hair": "with straight hair",
    "receding_hairline": "with a receding hairline",
    "mustache": "with a mustache",
    "goatee": "with a goatee",
    "eyeglasses": "with glasses",
    "wearing_hat": "with a hat",
    "heavy_makeup": "with makeup",
    "wearing_earrings": "with earrings",
    "wearing_necktie": "with a tie",
}
OPPOSITES = {"no_beard": "with a beard", AGE: "older"}  # phrases for faces that lack the attribute


class _Cache:
    """The classifier of each open model."""

    def __init__(self) -> None:
        self._classifiers: WeakKeyDictionary[Model, TrainedClassifier] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, model: Model) -> TrainedClassifier:
        with self._lock:
            if model not in self._classifiers:
                self._classifiers[model] = load_classifier(sidecar_path(model.path, KIND), model.hash)
            return self._classifiers[model]


_cache = _Cache()


def can_describe(model: Model) -> bool:
    """Return whether the model has an attribute classifier that can be used."""
    try:
        _cache.get(model)
    except BadModel:
        return False
    return True


def describe_face(model: Model, face: Pixels) -> dict[str, Any]:
    """Return a `text`, and the `attributes` that it mentions with their probabilities.

    Args:
        face: `[H, W, C]`.

    Raises:
        BadModel: the classifier is damaged.
    """
    trained = _cache.get(model)
    logits = predict_logits(trained.classifier, face[None])[0]
    probabilities = dict(zip(trained.names, logits.sigmoid().tolist(), strict=True))
    usable = {
        name: probability
        for name, probability in probabilities.items()
        if trained.scores[name].balanced_accuracy_degraded >= MIN_BALANCED_ACCURACY
    }
    if "black_hair" in usable and not any(usable.get(name, 0.0) >= PERHAPS for name in DARK_HAIR):
        # Often it is only unclear whether dark hair is black or brown.
        usable["dark_hair"] = min(1.0, sum(probabilities.get(name, 0.0) for name in DARK_HAIR))
    if usable.get("smiling", 0.0) >= PERHAPS:
        usable.pop("mouth_slightly_open", None)  # a smile usually opens the mouth
    mentioned = _mentioned(usable)
    certain = [each["label"] for each in mentioned if each["certain"]]
    perhaps = [each["label"] for each in mentioned if not each["certain"]]
    text = ", ".join([_person(usable), *certain])
    return {"text": text + (f"; perhaps {', '.join(perhaps)}" if perhaps else ""), "attributes": mentioned}


def missing_description(model: Model) -> dict[str, Any]:
    """Return why a model can't describe faces, and the command that changes it."""
    reason = "This model has no attribute classifier"
    if sidecar_path(model.path, KIND).exists():
        reason = "The attribute classifier of this model can't be used"
    return {
        "missing": f"{reason}, so faces can't be described. Labeled faces make one:",
        "command": f"facesmith directions --model {quoted(model.path)} --data LABELED_FACES --force",
    }


def _person(probabilities: Mapping[str, float]) -> str:
    male = next((probabilities[name] for name in MALE if name in probabilities), 0.5)
    for probability, name in ((male, "man"), (1 - male, "woman")):
        if probability >= CERTAIN:
            return f"a {name}"
        if probability >= PERHAPS:
            return f"a person, perhaps a {name}"
    return "a person"


def _mentioned(probabilities: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the attributes to mention: name, label, probability, and whether it is certain."""
    found = [(name, PHRASES[name], probabilities[name]) for name in PHRASES if name in probabilities]
    found += [(name, phrase, 1 - probabilities[name]) for name, phrase in OPPOSITES.items() if name in probabilities]
    return [
        {"name": name, "label": phrase, "probability": round(probability, 3), "certain": probability >= CERTAIN}
        for name, phrase, probability in found
        if probability >= PERHAPS
    ]
