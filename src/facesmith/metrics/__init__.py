"""How alike two sets of pictures are: pure functions of their features, float arrays `[N, D]`.

arrays.py      what all of them ask of their input
frechet.py     Fréchet distance: one number for quality and variety together
kid.py         kernel distance: the same question, unbiased in small sets
prdc.py        precision, recall, density, coverage: quality and variety apart
copies.py      are samples copies of training pictures?
features.py    pictures -> features, kept in the cache
extractors/    the networks that give them; one file adds one
"""

from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import kid
from facesmith.metrics.prdc import prdc

__all__ = ["frechet_distance", "kid", "prdc"]
