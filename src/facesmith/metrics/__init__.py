"""How similar two sets of pictures are: pure functions of their features, float arrays `[N, D]`.

arrays.py      checks of the input, and distances
frechet.py     Fréchet distance: quality and variety in one number
kid.py         kernel distance: the same question, unbiased for small sets
prdc.py        precision, recall, density, coverage: quality and variety apart
comparison.py  all of these with intervals
copies.py      are samples copies of training faces?
identity.py    do samples show training people?
face_embedding.py  faces -> embeddings that tell people apart
features.py    pictures -> features, with a cache
extractors/    the networks that compute features; one file adds one
"""

from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import kid
from facesmith.metrics.prdc import prdc

__all__ = ["frechet_distance", "kid", "prdc"]
