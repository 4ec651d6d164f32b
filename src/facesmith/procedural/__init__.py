"""Procedural (synthetic) faces with known attributes: the ground truth of the tests.

face.py      seed -> the attributes of a face
painting.py  a face -> pixels and landmarks
generate.py  many faces -> an array, or a dataset on disk
"""

from facesmith.procedural.face import HAIR_COLORS, HAIR_STYLES, ProceduralFace, face_labels, random_face
from facesmith.procedural.generate import SEEDS_PER_FOLDER, draw_many, write_faces
from facesmith.procedural.painting import draw, landmarks

__all__ = [
    "HAIR_COLORS",
    "HAIR_STYLES",
    "SEEDS_PER_FOLDER",
    "ProceduralFace",
    "draw",
    "draw_many",
    "face_labels",
    "landmarks",
    "random_face",
    "write_faces",
]
