"""What can be said of a face in a word: smiling, eyeglasses, young; learnt from labelled faces, told of any.

labels.py      a dataset's columns -> what a classifier learns
softening.py   what makes a real picture like a generated one, so that its labels can be believed of both
classifier.py  the network
learning.py    faces and labels -> a classifier, and how often it is right on faces held out
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
