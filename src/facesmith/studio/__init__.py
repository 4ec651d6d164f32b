"""A page in the browser on which a person explores a generator, and watches one learn.

address.py   a request's words -> what to draw, checked; latents as text
shelf.py     the models that are open, by opaque ids
pictures.py  what to draw -> pixels and films: pure functions
commands.py  the command line and the Python lines that make the same picture
easel.py     draws faces as they are asked for, many in one batch, with a bound on how many wait
workshop.py  longer work on few threads, with a bound on how much waits
photos.py    a person's photo -> faces found, latents, and back into the photo
runs.py      a run folder, while it trains
judge.py     the evaluation's numbers
guard.py     who may ask, and how much they may send
answers.py   what all addresses share
drawing.py, looking.py, uploading.py    the addresses
server.py    all of them as one application
serve.py     the verb
page/        what the browser shows: plain HTML, CSS and ES modules
"""
