"""The verbs that work on a model's latent space; each writes images, films or small files.

sample.py                one face per seed, on a contact sheet or in single files
leave_out_distorted.py   seeds without those whose faces look most distorted
walk.py                  films of interpolations
mix.py                   sums of faces, as a figure
edit.py                  attribute edits, as a contact sheet or film
invert.py                photos -> latents, reconstructions and edited photos
train_inverter.py        train the encoder for inversion
compare.py               several models side by side
detect_marks.py          watermark, metadata and credentials of pictures
reconstruction_error.py  how close reconstructions are to their pictures
"""
