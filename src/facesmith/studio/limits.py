"""Limits on requests, so that the studio stays responsive and needs little memory."""

from __future__ import annotations

MAX_URL_BYTES = 60_000  # of path and query together

# Photos
MAX_UPLOAD_BYTES = 64 * 2**20
MAX_UPLOAD_SECONDS = 60.0
MAX_PHOTO_PIXELS = 100_000_000  # checked before a photo is decoded
HALVED_PHOTO_PIXELS = 40_000_000  # photos with more pixels are reduced to half their width and height
MAX_FACES_IN_PHOTO = 32

# Faces, sums and walks
MAX_STRENGTH = 10.0  # of an edit; at 1 the attribute is clearly visible
MAX_EDITS = 64
MIN_PSI, MAX_PSI = -1.0, 1.5  # of models that allow psi outside 0-1
MIN_WALK_FACES, MAX_WALK_FACES = 2, 24
MAX_DOWNLOADED_FACES = 256
MAX_VARIATIONS = 64
MAX_CHECKED_SEEDS = 64  # for distortions, in one request
MAX_FILM_FRAMES = 1200

# Waiting work
MAX_QUEUED_FACES = 4000
MAX_QUEUED_FACES_PER_CLIENT = 256
MAX_QUEUED_JOBS = 256  # films, photos and files
MAX_JOBS_PER_CLIENT = 64
MAX_WAITING_UPLOAD_BYTES = 512 * 2**20  # of all photos in memory
MAX_CONNECTIONS = 1024
