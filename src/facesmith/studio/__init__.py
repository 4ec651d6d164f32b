"""A web page for exploring a generator and watching a training run.

A request passes through these modules, from top to bottom:

serve.py            the `studio` verb: opens models and runs, starts the server
app.py              the application: security, routes, error messages, the files of the page
security.py         who may send requests, and how much
routes_render.py    addresses of faces, sums of faces and walks
routes_photos.py    addresses that take a photo
routes_runs.py      addresses of models, runs and evaluations
query.py            the parameters of each address, with their types and bounds
face_text.py        faces, sums of faces and latents, written as text
services.py         what all routes share: open models, run folders, workers
open_models.py      the open models, by id
render.py           a face, a sum or a walk -> latents, films
render_queue.py     latents -> pixels, in batches; other slow work in the background
reproduce.py        the command line and the Python code that draw the same picture
photo_inversion.py  a photo -> its faces, a latent, and the edited face back in the photo
run_view.py         what the page shows of a run folder
evaluation_view.py  what the page shows of an evaluation
responses.py        waiting for a worker, ETags and cache headers
page/               what the browser shows: plain HTML, CSS and JavaScript modules
"""
