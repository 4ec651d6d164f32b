"""A person's photo in the studio: found, inverted, put back; and what is sent that is none."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small import RESOLUTION, small_state

from facesmith.inversion import inverter
from facesmith.io.images import read_provenance
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.photos.align import Alignment
from facesmith.studio import security
from facesmith.training.trainer import inference_networks

pytest.importorskip("fastapi", reason="the studio is an extra")
from fastapi.testclient import TestClient

from facesmith.studio.app import create_app
from facesmith.studio.open_models import Shelf
from facesmith.studio.responses import Studio

data = pytest.importorskip("skimage.data", reason="its public-domain photo of an astronaut")
HOST = "127.0.0.1:8400"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny autoencoder whose faces are framed as extract does it."""
    path, state = tmp_path_factory.mktemp("photos") / "tiny", small_state("vae64")
    path.mkdir()
    kept = {each: net for each, net in inference_networks(state).items() if each in state.recipe.averaged}
    header = {
        "recipe": "vae64",
        "hyperparameters": state.recipe.hyperparameters(),
        "alignment": Alignment(RESOLUTION).to_values(),
    }
    save_model(path / MODEL, kept, header)
    return path


@pytest.fixture(scope="module")
def client(run):
    with TestClient(create_app(Studio(Shelf([run], ["tiny"])), [HOST]), base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture(scope="module")
def known(client):
    return client.get("/api/models").json()["models"][0]["id"]


@pytest.fixture(scope="module")
def photo():
    stream = io.BytesIO()
    Image.fromarray(data.astronaut()[:300, 80:380]).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def refused(answer, status=400):
    assert answer.status_code == status, answer.text[:200]
    return answer.json()["error"]


def test_the_face_of_a_photo_is_found(client, photo):
    answer = client.post("/api/detect", content=photo)
    told = answer.json()
    assert (told["width"], told["height"]) == (300, 300)
    (face,) = told["faces"]
    left, top, width, height = face["box"]
    assert 80 < left + width / 2 < 200
    assert 60 < top + height / 2 < 180
    assert len(face["landmarks"]) == 5
    assert answer.headers["cache-control"] == "no-store"


def test_a_photo_becomes_an_address_and_goes_back(client, known, run, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(inverter, "STEPS", 3)
    answer = client.post("/api/invert", content=photo, params={"model": known})
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert not any("error" in each for each in told), told
    stages = [each["stage"] for each in told if "stage" in each]
    assert stages == ["Looking for the face", "A first guess", "Coming nearer"]
    steps = [(each["done"], each["of"]) for each in told if "of" in each]
    assert steps == [(i, 3) for i in range(3)]
    last = told[-1]
    assert last["psnr_db"] > 0
    drawn = client.get("/api/face.png", params={"model": known, "w": last["face"]})
    assert np.asarray(Image.open(io.BytesIO(drawn.content))).shape == (RESOLUTION, RESOLUTION, 3)
    again = [
        json.loads(line)
        for line in client.post("/api/invert", content=photo, params={"model": known}).text.splitlines()
    ]
    assert again[-1] == last, "the same photo, the same face"
    pasted = client.post("/api/paste.png", content=photo, params={"model": known, "w": last["face"]})
    assert pasted.status_code == 200, pasted.text
    assert pasted.headers["cache-control"] == "no-store"
    (tmp_path / "pasted.png").write_bytes(pasted.content)
    told = read_provenance(tmp_path / "pasted.png")
    assert (told["Synthetic"], told["Model"]) == ("in part", load(run).hash)
    new = np.asarray(Image.open(tmp_path / "pasted.png")).astype(int)
    old = np.asarray(Image.open(io.BytesIO(photo))).astype(int)
    changed = (new != old).any(-1)
    assert changed[60:180, 80:200].mean() > 0.3
    assert not changed[220:].any(), "beyond the face not a pixel changes"


def test_a_photo_without_a_face_says_so(client, known):
    stream = io.BytesIO()
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(stream, "PNG")
    (*_, last) = client.post("/api/invert", content=stream.getvalue(), params={"model": known}).text.splitlines()
    assert "no face" in json.loads(last)["error"]


def bomb(width, height):
    """A PNG of few bytes that claims so many pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture at all",
        b"\xff\xd8\xff\xe0" + b"\0" * 64,
        b"GIF89a",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"PK\x03\x04" + b"\0" * 100,
        bomb(60_000, 60_000),
        bomb(7000, 7000),
        bomb(40, 40),
    ],
    ids=["empty", "text", "half a JPEG", "half a GIF", "EPS", "SVG", "zip", "bomb", "too many pixels", "damaged"],
)
def test_what_is_no_photo_is_refused_in_a_line(client, content):
    told = refused(client.post("/api/detect", content=content))
    assert told.startswith("This photo can't be used")
    assert "\n" not in told


def test_too_many_bytes_are_refused_before_and_while_they_come(client, monkeypatch):
    monkeypatch.setattr(security, "MOST_BYTES", 1000)
    assert "too large" in refused(client.post("/api/detect", content=b"x" * 2000), 413)

    def parts():
        yield from [b"x" * 300] * 5

    assert "too large" in refused(client.post("/api/detect", content=parts()), 413)
    wrong = client.post("/api/detect", content=b"x", headers={"content-length": "-5"})
    assert wrong.status_code == 413


def test_which_face_has_bounds(client, known, photo):
    for which in ("0", "33", "x", "1.5e9"):
        refused(client.post("/api/invert", content=photo, params={"model": known, "face": which}))
    (*_, last) = client.post("/api/invert", content=photo, params={"model": known, "face": "9"}).text.splitlines()
    assert "error" in json.loads(last)


def test_photos_from_other_sites_are_refused(client, photo):
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        refused(client.post("/api/invert", content=photo, headers=headers), 403)
