"""Measure how often labeled attributes occur in the data and among samples.

Samples have no labels, so a probe recognizes the attributes: a logistic regression on image features and face
embeddings, trained on labeled training faces. Half of these are as soft as the samples, since a probe of sharp photos
takes softness for attributes. Its errors are measured on held-out faces that are as soft as the samples.

If the data has no labels, either, those that the bundled attribute classifier finds take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.attributes import DatasetLabels, learnable_labels, predict_logits
from facesmith.attributes.dataset_labels import JUDGMENTS
from facesmith.attributes.probe import Probe
from facesmith.attributes.spectrum_match import SpectrumMatch
from facesmith.errors import BadData
from facesmith.evaluation.attribute_shares import AttributeShare, class_shares, corrected_share
from facesmith.evaluation.model_result import ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.faces import Faces
from facesmith.io.files import sha256
from facesmith.metrics.comparison import Score, share_with_interval
from facesmith.metrics.face_embedding import embed_faces
from facesmith.metrics.features import extract_features
from facesmith.metrics.identity import People
from facesmith.modelfiles.classifier_file import KIND, load_classifier
from facesmith.modelfiles.locate import bundled_model
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.pictures.images import Pixels
from facesmith.training.discriminator_scores import auc

MAX_TRAINING, MAX_TEST = 4_000, 2_000  # faces of the probe
MIN_PER_CLASS = 10  # test faces with an attribute, and without it
COVERED_SHARE = 0.98  # of the faces that must have one of the classes of a column, so that these are counted together
MIN_CLASSIFIER_PX = 48  # of faces on which the bundled classifier is used
MIN_CLASSIFIER_ACCURACY = 0.8  # of an attribute: its balanced accuracy on degraded faces of its own data


@dataclass(frozen=True)
class Predictions:
    """What the probe says about faces.

    Attributes:
        logits: of each attribute, `[N, A]`.
        found: whether a face has it, `[N, A]`.
    """

    logits: NDArray[np.float32]
    found: NDArray[np.bool_]

    def choose(self, classes: Sequence[int]) -> NDArray[np.int64]:
        """The likeliest of these attributes for each face, `[N]`, as an index into `classes`; no other one is found."""
        chosen: NDArray[np.int64] = self.logits[:, classes].argmax(1)
        self.found[:, classes] = np.arange(len(classes)) == chosen[:, None]
        return chosen


def checked_labels(faces: Faces, console: Console) -> DatasetLabels:
    """The labels of the data; if it has none, those that the bundled attribute classifier finds.

    Raises:
        BadData: there are none that a probe can learn.
    """
    if faces.attributes:
        return learnable_labels(faces)
    if faces.left_out or faces.resolution < MIN_CLASSIFIER_PX:
        left_out = "; ".join(f"{name}: {reason}" for name, reason in faces.left_out.items())
        raise BadData(
            f"{faces.path} has no labels{f' that can be used ({left_out})' if left_out else ''}, and --attributes "
            "compares labels. Add a metadata.csv with file_name and columns such as smiling, or leave --attributes out."
        )
    console.print(
        f"notice: {faces.path} has no labels. The bundled attribute classifier takes their place. "
        "How often it is right on these faces is unknown."
    )
    return _recognized_labels(faces)


def _recognized_labels(faces: Faces) -> DatasetLabels:
    """What the bundled attribute classifier finds on the faces that the probe needs."""
    file = bundled_model()
    trained = load_classifier(sidecar_path(file, KIND), sha256(file))
    columns = [
        i
        for i, name in enumerate(trained.names)
        if trained.scores[name].balanced_accuracy_degraded >= MIN_CLASSIFIER_ACCURACY and name not in JUDGMENTS
    ]
    parts = (faces.part("train"), MAX_TRAINING), (faces.part("test"), MAX_TEST)
    rows = np.concatenate([_evenly_spaced(part, count) for part, count in parts])
    targets = np.full((len(faces.names), len(columns)), np.nan, np.float32)
    if len(rows):
        logits = predict_logits(trained.classifier, np.asarray(faces.pixels[rows])).numpy()
        targets[rows] = logits[:, columns] > 0
    return DatasetLabels(tuple(trained.names[i] for i in columns), targets, {}, {}, recognized=True)


def attribute_shares(
    result: ModelResult, reference: Reference, labels: DatasetLabels, console: Console
) -> tuple[AttributeShare, ...]:
    """The shares of all attributes that enough test faces have, in the order of the data.

    Empty if there are too few faces for features.
    """
    if reference.too_few:
        console.print(f"notice: the attributes are not compared: {reference.too_few}.")
        return ()
    faces = reference.faces
    training, test = _evenly_spaced(reference.training, MAX_TRAINING), _evenly_spaced(reference.test, MAX_TEST)
    binary = np.where(np.isnan(labels.targets), np.nan, labels.targets > 0.5).astype(np.float32)
    compared = _comparable(binary[training], binary[test])
    if not compared:
        console.print(
            f"notice: no attribute is compared: that needs {MIN_PER_CLASS} test faces with it, and as many without it, "
            f"and both kinds among {len(training)} training faces."
        )
        return ()
    names, binary = [labels.names[i] for i in compared], binary[:, compared]
    sharp = np.asarray(faces.pixels[training])
    soften = SpectrumMatch(sharp, result.pictures)
    mixed = sharp.copy()
    mixed[::2] = soften(mixed[::2], seed=1)
    soft_test = soften(np.asarray(faces.pixels[test]), seed=2)
    probe = Probe(_features(mixed, "training faces, half softened", reference, console), binary[training])
    test_features = _features(soft_test, "softened test faces", reference, console)
    sample_features = result.features
    if result.people is not None:
        sample_features = np.concatenate([sample_features, result.people.embeddings], axis=1)
    on_test, on_samples = (Predictions(probe.logits(x), probe.predict(x)) for x in (test_features, sample_features))
    targets, all_training = binary[test], binary[reference.training]
    columns = _covered_columns([labels.columns.get(name, "") for name in names], all_training)
    of_classes = _shares_of_classes(columns, targets, on_test, on_samples)
    counted = on_samples.found.mean(0)
    shares = []
    for i, name in enumerate(names):
        has, lacks = (targets[:, i] == value for value in (1, 0))
        known = all_training[:, i][~np.isnan(all_training[:, i])]
        sensitivity, specificity = float(on_test.found[has, i].mean()), float((~on_test.found[lacks, i]).mean())
        share = AttributeShare(
            name=_written(name, labels),
            data=share_with_interval(known > 0.5),
            samples=of_classes.get(i)
            or corrected_share(
                float(counted[i]), len(result.pictures), sensitivity, int(has.sum()), specificity, int(lacks.sum())
            ),
            counted=float(counted[i]),
            sensitivity=sensitivity,
            specificity=specificity,
            auc=auc(on_test.logits[has, i], on_test.logits[lacks, i]),
            recognized=labels.recognized,
            column=labels.columns.get(name, ""),
        )
        shares.append(share)
    return tuple(shares)


def _comparable(training: NDArray[np.float32], test: NDArray[np.float32]) -> list[int]:
    """The attributes that the probe can learn, and of which enough test faces show its errors.

    Args:
        training, test: labels of the probe's faces, `[N, A]` and `[M, A]`: 1 for yes, 0 for no, NaN if unknown.
    """
    n_training, n_test = (np.minimum((known == 1).sum(0), (known == 0).sum(0)) for known in (training, test))
    return [int(i) for i in np.flatnonzero((n_training > 0) & (n_test >= MIN_PER_CLASS))]


def _covered_columns(columns: Sequence[str], labels: NDArray[np.float32]) -> list[list[int]]:
    """The classes of each column, if nearly every face has one of them; a face without one can't get its true class.

    Args:
        columns: of each attribute; empty if it is no class.
        labels: `[N, A]`, of all training faces.
    """
    by_column: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        if column:
            by_column.setdefault(column, []).append(i)
    covered = []
    for classes in by_column.values():
        known = labels[:, classes][~np.isnan(labels[:, classes]).any(1)]
        if len(classes) > 1 and len(known) and (known.sum(1) == 1).mean() > COVERED_SHARE:
            covered.append(classes)
    return covered


def _shares_of_classes(
    columns: Sequence[Sequence[int]],
    targets: NDArray[np.float32],
    on_test: Predictions,
    on_samples: Predictions,
) -> dict[int, Score]:
    """The shares of attributes, by their numbers, that are classes of one column, such as `age_group=30-39`.

    In both predictions, each face then has only the likeliest class.

    Args:
        columns: the classes of each column.
    """
    shares: dict[int, Score] = {}
    for classes in columns:
        predicted, predicted_test = on_samples.choose(classes), on_test.choose(classes)
        labeled = np.nansum(targets[:, classes], axis=1) == 1
        true = np.nan_to_num(targets[labeled][:, classes]).argmax(1)
        found = class_shares(predicted, predicted_test[labeled], true, len(classes))
        shares |= dict(zip(classes, found, strict=True))
    return shares


def _features(pictures: Pixels, description: str, reference: Reference, console: Console) -> NDArray[np.float32]:
    """Features of pictures, and embeddings if people are compared: these show sex and age better."""
    features = extract_features(reference.extractor, pictures, description, console)
    if not isinstance(reference.people, People):
        return features
    rows = np.arange(len(pictures))
    return np.concatenate(
        [features, embed_faces(reference.people.network, pictures, rows, description, console)], axis=1
    )


def _written(name: str, labels: DatasetLabels) -> str:
    """The name of an attribute; for numbers, with the value from which on it counts."""
    return f"{name} ≥ {labels.ranked[name]:g}" if name in labels.ranked else name


def _evenly_spaced(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly spaced, since a dataset may list its sources one after the other."""
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    return chosen
