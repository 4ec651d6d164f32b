"""Pictures -> latents: where the face is, what a trained encoder makes of it, and what optimising makes of that.

template.py    how the model's faces are framed, and a photo's face framed alike
prior.py       which latents are plausible
encoder.py     the network that starts, and its training on the model's own samples and on real faces
likeness.py    how near two faces look, by early layers of a network that learnt to tell things apart
refine.py      the latent whose face comes nearest
inverter.py    all of it for one model, from the files beside it
paste.py       a face back into its photo
"""
