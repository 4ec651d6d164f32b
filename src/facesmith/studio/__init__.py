"""A web page for exploring a generator and watching a training run.

Start reading at app.py. A route checks its parameters with query.py, hands the work to a thread of render_queue.py or
job_queue.py and answers with the help of responses.py.

Server
serve.py            `facesmith studio`: opens models and runs, starts the server
app.py              the FastAPI application: routes, error messages, the files of the page
security.py         which requests are accepted; the security headers of all responses
access.py           who may use the studio: host names, and the token for other machines
refusal_page.py     the page that says why the studio can't be opened
services.py         what all routes share: the open models, the run folders and the worker threads
open_models.py      the open models, by id

Routes
routes_render.py    faces, sums of faces and walks
routes_photos.py    photos: find faces, invert one, paste a generated face
routes_runs.py      models, runs, evaluations and the queue
routes_osc.py       OSC messages for the page
responses.py        waiting for a worker thread; ETags and cache headers

Parameters
query.py            the parameters of each route, with types and bounds
face_text.py        faces, sums of faces and latents, written as text
limits.py           limits on requests

Work
render_queue.py     the render thread, and the order in which everything takes turns to compute
job_queue.py        threads for films, photos and files, with a queue that reports its progress
osc_input.py        a thread that receives OSC messages
fair_queue.py       a queue in which clients take turns
render.py           latents of faces and sums; walks as films; what is written into the metadata of pictures
several_faces.py    contact sheets and zips of several faces
variations.py       small changes of a face, and children of two
face_description.py a short description of a face
unlabeled.py        directions that are found without labels
opened_picture.py   which face a picture shows that Facesmith made
photo_inversion.py  faces in a photo, the latent of a face, a generated face in the photo
reproduce.py        the commands and the Python code that draw the same picture

What the page shows
run_view.py         run folders
evaluation_view.py  evaluations
page/               the page itself: plain HTML, CSS and JavaScript modules
"""
