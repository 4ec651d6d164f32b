"""Attribute directions: what to add to a latent so that its face smiles, wears glasses or looks older.

direction_options.py  options of `facesmith directions`, and its result
supervised.py         directions from labeled faces: classifier -> linear fit -> refinement -> strength
linear_fit.py         directions from latents and logits, orthogonal to attributes that must not change
refine.py             directions improved by gradients through generator and classifier
skin_tone.py          how directions change the color of the skin, and how to take that out of them
strength.py           the length of a direction, so that strength 1 makes its attribute clearly visible
unsupervised.py       directions without labels: PCA (GANSpace), SeFa
find.py               the verb: chooses the method, writes the directions and their contact sheet
"""
