"""A dataset of faces: one door through which training, evaluation and every other reader goes.

store.py    a folder or a zip, as names and bytes
layouts.py  what people have -> which pictures, with which attributes and persons
packed.py   pictures -> a memory-mapped uint8 cache, keyed by their contents
dataset.py  all of it together: pixels, attributes, groups, split
stream.py   seeded batches that resume exactly
describe.py a dataset in words and a contact sheet
"""

from facesmith.faces.dataset import Faces, open_faces
from facesmith.faces.stream import Stream

__all__ = ["Faces", "Stream", "open_faces"]
