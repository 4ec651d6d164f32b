"""Inversion: from an image of a face to the latent that reproduces it, and back into the photo.

face_template.py        find a photo's face and align it like the model's faces
prior.py                which latents are plausible
encoder.py              a network that predicts latents, and its training
perceptual_distance.py  how similar two images look
optimize.py             gradient descent on the latent, starting at the encoder's prediction
inverter.py             all of this for one model, from the files next to it
paste.py                a face back into its photo
"""
