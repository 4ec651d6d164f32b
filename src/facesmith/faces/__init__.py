"""Datasets of faces -> batches. Training, evaluation and all other readers open faces with `open_faces`.

layouts.py          the supported dataset layouts -> a list of pictures with attributes and persons
shards.py           faces in the shards of `extract --shards`; the part of each training process
packed.py           pictures -> a memory-mapped uint8 cache, keyed by their contents
dataset.py          pixels, attributes, groups and split in one object
few_pictures.py     a few pictures, and their sizes
alignment_check.py  recognizes faces that are not aligned
stream.py           seeded batches that resume exactly
describe.py         a text summary and a contact sheet of a dataset
"""

from facesmith.faces.dataset import Faces, open_faces
from facesmith.faces.stream import Stream

__all__ = ["Faces", "Stream", "open_faces"]
