"""Attributes of faces, such as smiling or eyeglasses: labels, a classifier for them, and labels as a condition.

dataset_labels.py    a dataset's columns -> targets for the classifier
degrade.py           random changes that make real pictures resemble generated ones
classifier.py        the network
train_classifier.py  faces and labels -> a trained classifier and its accuracy on held-out faces
spectrum_match.py    real faces that are as soft as samples
probe.py             a linear classifier of image features
conditioning.py      a dataset's columns -> the labels of a conditional generator
"""

from facesmith.attributes.classifier import Classifier, predict_logits
from facesmith.attributes.dataset_labels import DatasetLabels, learnable_labels
from facesmith.attributes.train_classifier import (
    AttributeScores,
    TrainedClassifier,
    classifier_training_rows,
    trained_classifier,
)
from facesmith.io.attribute_options import direction_name

__all__ = [
    "AttributeScores",
    "Classifier",
    "DatasetLabels",
    "TrainedClassifier",
    "classifier_training_rows",
    "direction_name",
    "learnable_labels",
    "predict_logits",
    "trained_classifier",
]
