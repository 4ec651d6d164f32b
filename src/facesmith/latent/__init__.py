"""The space that faces are drawn from: what a seed stands for, and ways about it.

labels.py      what a conditional generator is told, drawn as the training faces have it
seeds.py       seeds -> latents, truncation
walks.py       from latent to latent: on the sphere that normal latents lie near, or straight
arithmetic.py  29 - 3 + me.latent: what names stand for, and sums of it
files.py       latents as small files
edits.py       smiling=1: directions added to latents

All of it happens in `w`, which is `z` itself where a generator has no mapping of its own. `Generator.spherical` tells
whether what lies between two latents is found on a sphere around 0 (normal ones) or on the straight line.
"""

from facesmith.io.seeds import BATCH_SIZE, MAX_SEED, MAX_SEED_COUNT, parse_seeds, random_seeds
from facesmith.latent.seeds import around, filled, latents, truncate

__all__ = [
    "BATCH_SIZE",
    "MAX_SEED",
    "MAX_SEED_COUNT",
    "around",
    "filled",
    "latents",
    "parse_seeds",
    "random_seeds",
    "truncate",
]
