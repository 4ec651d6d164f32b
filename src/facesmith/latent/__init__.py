"""The latent space: seeds to latents, latents to images, and paths and sums in between.

from_seeds.py     seeds -> latents; truncation
label_shares.py   labels of a conditional generator, drawn as often as they occur in the training set
synthesis.py      latents -> images; images -> latents with a recipe's own encoder
interpolation.py  from latent to latent, along a sphere or a straight line
arithmetic.py     sums of latents such as 29 - 3 + me.latent
edits.py          attribute directions added to latents, such as smiling=1
latent_file.py    .latent files: a single latent, saved
whitening.py      latents as coordinates with zero mean and unit covariance

`w` is the intermediate latent, or `z` itself where a generator has no mapping network. `Generator.spherical` says
whether latents lie near a sphere around 0 (normal latents do); interpolation and sums then keep their length.
"""

from facesmith.latent.from_seeds import latents, truncate

__all__ = ["latents", "truncate"]
