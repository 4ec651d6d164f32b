"""Directions in the latent space: what to add to a latent so that its face smiles.

linear.py        latents and logits -> directions, orthogonal to those of what is to stay
refining.py      the same, made better through the generator and the classifier
strength.py      how long a direction is to be, so that 1 is clearly there and no more
supervised.py    the whole of it for attributes, from labelled faces
unsupervised.py  directions of models without labels: PCA, SeFa
means.py         the tutorials' way: differences of means of encoded faces
sheet.py         what each direction does, on a few faces
options.py         what is asked for, what is found
learn.py         the verb
"""
