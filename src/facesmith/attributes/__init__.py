"""What can be said of a face in a word: smiling, eyeglasses, young; learnt from labelled faces, told of any.

labels.py      a dataset's columns -> what a classifier learns
softening.py   what makes a real picture like a generated one, so that its labels can be believed of both
classifier.py  the network
learning.py    faces and labels -> a classifier, and how often it is right on faces held out
"""

from facesmith.attributes.classifier import Classifier, tell
from facesmith.attributes.labels import Labels, labels_of
from facesmith.attributes.learning import Known, Trained, learned, teaching_rows
from facesmith.io.attribute_options import direction_name

__all__ = [
    "Classifier",
    "Known",
    "Labels",
    "Trained",
    "direction_name",
    "labels_of",
    "learned",
    "teaching_rows",
    "tell",
]
