"""Photos in the studio: faces are found, inverted and put back, and unusable photos are refused."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from small import RESOLUTION, small_state

from facesmith.detection.align import Alignment
from facesmith.inversion import inverter
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.pictures.images import read_provenance
from facesmith.studio import photo_inversion, routes_photos, security
from facesmith.training.averages import inference_networks

pytest.importorskip("fastapi", reason="the studio is an extra")
from fastapi import Request
from fastapi.testclient import TestClient

from facesmith.studio.access import Access
from facesmith.studio.app import create_app
from facesmith.studio.job_queue import JobQueue
from facesmith.studio.limits import MAX_WAITING_UPLOAD_BYTES
from facesmith.studio.open_models import OpenModels
from facesmith.studio.services import Studio, UploadMemory
from facesmith.watermark.marking import Marking

data = pytest.importorskip("skimage.data", reason="its public-domain photo of an astronaut")
HOST = "127.0.0.1:8400"
ACCESS = Access(frozenset([HOST]))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny autoencoder for faces that are framed as extract frames them."""
    path, state = tmp_path_factory.mktemp("photos") / "tiny", small_state("vae64")
    path.mkdir()
    networks = {name: net for name, net in inference_networks(state).items() if name in state.recipe.averaged}
    header = {
        "recipe": "vae64",
        "hyperparameters": state.recipe.hyperparameters(),
        "alignment": Alignment(RESOLUTION).to_values(),
    }
    save_model(path / MODEL, networks, header)
    return path


@pytest.fixture(scope="module")
def client(run):
    with TestClient(create_app(Studio(OpenModels([run], ["tiny"])), ACCESS), base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture(scope="module")
def model_id(client):
    return client.get("/api/models").json()["models"][0]["id"]


@pytest.fixture(scope="module")
def photo():
    stream = io.BytesIO()
    Image.fromarray(data.astronaut()[:300, 80:380]).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def error_of(response, status=400):
    assert response.status_code == status, response.text[:200]
    return response.json()["error"]


def inversion_messages(client, photo, **query):
    """All messages that the inversion of a photo sends."""
    response = client.post("/api/invert", content=photo, params=query)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_face_in_a_photo_is_detected(client, photo):
    response = client.post("/api/detect", content=photo)
    found = response.json()
    assert (found["width"], found["height"]) == (300, 300)
    (face,) = found["faces"]
    left, top, width, height = face["box"]
    assert 80 < left + width / 2 < 200
    assert 60 < top + height / 2 < 180
    assert len(face["landmarks"]) == 5
    assert response.headers["cache-control"] == "no-store"


def test_a_generated_picture_is_recognized_and_a_photo_is_not(client, photo):
    face = io.BytesIO()
    Image.fromarray(load(None).sample([3], watermark=True)[0]).save(face, "PNG")
    found = client.post("/api/marks", content=face.getvalue()).json()
    assert found["found"]
    assert found["statements"][0].startswith("watermark: yes (p <")
    assert found["statements"][1] == "metadata: none"
    assert not client.post("/api/marks", content=photo).json()["found"]
    for content in (b"no picture", photo[:-2000], b""):
        assert error_of(client.post("/api/marks", content=content))


def test_photo_is_inverted_and_the_face_put_back(client, model_id, run, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(inverter, "STEPS", 3)
    messages = inversion_messages(client, photo, model=model_id)
    assert not any("error" in each for each in messages), messages
    assert [each["stage"] for each in messages if "stage" in each] == [
        "Looking for the face",
        "First guess",
        "Improving",
    ]
    assert [(each["step"], each["steps"]) for each in messages if "steps" in each] == [(i, 3) for i in range(3)]
    result = messages[-1]
    assert result["psnr_db"] > 0
    face = client.get("/api/face.png", params={"model": model_id, "w": result["face"]})
    assert np.asarray(Image.open(io.BytesIO(face.content))).shape == (RESOLUTION, RESOLUTION, 3)
    assert inversion_messages(client, photo, model=model_id)[-1] == result, "the same photo gives the same face"
    pasted = client.post("/api/paste.png", content=photo, params={"model": model_id, "w": result["face"]})
    assert pasted.status_code == 200, pasted.text
    assert pasted.headers["cache-control"] == "no-store"
    (tmp_path / "pasted.png").write_bytes(pasted.content)
    provenance = read_provenance(tmp_path / "pasted.png")
    assert (provenance["Synthetic"], provenance["Model"]) == ("in part", load(run).hash)
    assert provenance["Description"].startswith("A photo in which one face was replaced")
    assert provenance["Face"] == result["face"]
    after = np.asarray(Image.open(tmp_path / "pasted.png")).astype(int)
    before = np.asarray(Image.open(io.BytesIO(photo))).astype(int)
    changed = (after != before).any(-1)
    assert changed[60:180, 80:200].mean() > 0.3
    assert not changed[220:].any(), "no pixel outside the face changes"


def test_a_pasted_face_has_the_own_watermark(photo):
    studio = Studio(OpenModels([None], ["bundled"]), marking=Marking(own_key="a secret"))
    with TestClient(create_app(studio, ACCESS), base_url=f"http://{HOST}") as client:
        model_id = client.get("/api/models").json()["models"][0]["id"]
        pasted = client.post("/api/paste.png", content=photo, params={"model": model_id, "seed": 3})
        statements = client.post("/api/marks", content=pasted.content).json()["statements"]
    assert [each.split(" (p")[0] for each in statements[:2]] == ["watermark: yes", "own watermark: yes"]
    assert statements[2].startswith("metadata: generated in part")


def test_many_photos_wait_in_a_queue_and_all_finish(run, photo, monkeypatch):
    monkeypatch.setattr(inverter, "STEPS", 2)
    monkeypatch.setattr(routes_photos, "STATUS_SECONDS", 0.05)
    studio = Studio(OpenModels([run], ["tiny"]), long_jobs=JobQueue(threads=1))
    with TestClient(create_app(studio, ACCESS), base_url=f"http://{HOST}") as client:
        model_id = client.get("/api/models").json()["models"][0]["id"]
        with ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(inversion_messages, client, photo, model=model_id) for _ in range(6)]
        conversations = [future.result() for future in futures]
    assert all("psnr_db" in messages[-1] for messages in conversations)
    places = [[each["ahead"] for each in messages if "ahead" in each] for messages in conversations]
    assert max(max(each, default=0) for each in places) >= 3
    assert all(each == sorted(each, reverse=True) for each in places), "nobody is overtaken"
    assert studio.uploads._free == MAX_WAITING_UPLOAD_BYTES, "no photo is in memory any more"


def test_client_that_disconnects_leaves_no_task_behind():
    async def disconnect():
        endless, queue = threading.Event(), JobQueue(threads=1)
        queue.submit(lambda job: endless.wait(20))
        waiting = queue.submit(lambda job: None)
        receive = asyncio.Event().wait  # never returns
        lines = routes_photos.MessageStream().lines(Request({"type": "http"}, receive), queue, waiting)
        assert json.loads(await anext(lines))["ahead"] == 1
        following = asyncio.create_task(anext(lines))
        await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.sleep(0.05)
        endless.set()
        queue.close()
        assert waiting.future.cancelled()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(disconnect()) == set()


def test_photos_beyond_the_memory_limit_are_busy(run, photo):
    studio = Studio(OpenModels([run], ["tiny"]), uploads=UploadMemory(len(photo) - 1))
    with TestClient(create_app(studio, ACCESS), base_url=f"http://{HOST}") as client:
        assert "busy" in error_of(client.post("/api/detect", content=photo), 503)
        assert "can't be used" in error_of(client.post("/api/detect", content=photo[:-2000])), "which is truncated"


def test_studio_without_photos_refuses_them(run, photo):
    studio = Studio(OpenModels([run], ["tiny"]), photos=False)
    with TestClient(create_app(studio, ACCESS), base_url=f"http://{HOST}") as client:
        for path in ("detect", "invert?model=x", "paste.png?model=x&seed=1"):
            assert "--no-photos" in error_of(client.post(f"/api/{path}", content=photo), 403)


def test_very_large_photo_is_halved_and_its_face_found(client, photo, monkeypatch):
    """A 50-megapixel photo takes seconds, so the limit is lowered instead."""
    monkeypatch.setattr(photo_inversion, "HALVED_PHOTO_PIXELS", 300 * 300 - 1)
    found = client.post("/api/detect", content=photo).json()
    assert (found["width"], found["height"]) == (150, 150)
    ((left, top, width, height),) = [face["box"] for face in found["faces"]]
    assert 40 < left + width / 2 < 100
    assert 30 < top + height / 2 < 90


def test_photo_without_a_face_says_so(client, model_id):
    stream = io.BytesIO()
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(stream, "PNG")
    assert "no face" in inversion_messages(client, stream.getvalue(), model=model_id)[-1]["error"]
    assert client.post("/api/detect", content=stream.getvalue()).json()["reason"] == "no face found"


def test_unexpected_error_in_an_inversion_is_logged_with_its_traceback(client, model_id, photo, monkeypatch, caplog):
    def fail(*_, **__):
        raise ZeroDivisionError("a planted bug")

    monkeypatch.setattr(photo_inversion, "locate_face", fail)
    with caplog.at_level(logging.ERROR):
        message = inversion_messages(client, photo, model=model_id)[-1]
    assert "terminal" in message["error"]
    assert "planted" not in message["error"]
    assert "Traceback" in caplog.text
    assert "ZeroDivisionError: a planted bug" in caplog.text


def png_that_claims(width, height):
    """A PNG of few bytes whose header claims this size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


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
        png_that_claims(60_000, 60_000),
        png_that_claims(10_100, 10_000),
        png_that_claims(40, 40),
    ],
    ids=["empty", "text", "half a JPEG", "half a GIF", "EPS", "SVG", "zip", "bomb", "too many pixels", "damaged"],
)
def test_file_that_is_not_a_photo_is_refused_in_one_line(client, content):
    message = error_of(client.post("/api/detect", content=content))
    assert message.startswith("This photo can't be used")
    assert "\n" not in message


def test_photo_is_the_body_and_not_part_of_a_form(client, photo):
    assert "--data-binary" in error_of(client.post("/api/detect", files={"file": ("me.jpg", photo)}), 415)
    as_curl_sends_it = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/api/detect", content=photo, headers=as_curl_sends_it).status_code == 200


def test_too_large_upload_is_refused_by_its_header_or_while_it_arrives(client, monkeypatch):
    monkeypatch.setattr(security, "MAX_UPLOAD_BYTES", 1000)
    assert "too large" in error_of(client.post("/api/detect", content=b"x" * 2000), 413)

    def chunks():
        yield from [b"x" * 300] * 5

    assert "too large" in error_of(client.post("/api/detect", content=chunks()), 413)
    negative = client.post("/api/detect", content=b"x", headers={"content-length": "-5"})
    assert negative.status_code == 413


def test_upload_that_takes_too_long_is_refused(monkeypatch):
    async def upload():
        chunks = [{"type": "http.request", "body": b"x", "more_body": True}]

        async def receive():
            if not chunks:
                await asyncio.sleep(60)
            return chunks.pop()

        limited = security.LimitedReceive(receive)
        assert (await limited())["body"] == b"x"
        with pytest.raises(security.UploadTooSlow):
            await limited()

    monkeypatch.setattr(security, "MAX_UPLOAD_SECONDS", 0.05)
    asyncio.run(upload())


def test_disconnection_after_the_upload_may_take_any_time(monkeypatch):
    async def upload_and_wait():
        messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"x", "more_body": False}]

        async def receive():
            if len(messages) == 1:
                await asyncio.sleep(0.1)  # longer than an upload may take
            return messages.pop()

        limited = security.LimitedReceive(receive)
        assert [(await limited())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]

    monkeypatch.setattr(security, "MAX_UPLOAD_SECONDS", 0.05)
    asyncio.run(upload_and_wait())


def test_face_number_is_within_its_bounds(client, model_id, photo):
    for number in ("0", "33", "x", "1.5e9"):
        assert "face" in error_of(client.post("/api/invert", content=photo, params={"model": model_id, "face": number}))
    assert "error" in inversion_messages(client, photo, model=model_id, face="9")[-1]


def test_photos_from_other_sites_are_refused(client, photo):
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        error_of(client.post("/api/invert", content=photo, headers=headers), 403)


@pytest.mark.parametrize("name", ["zip", "7z", "Matroska"])
def test_an_archive_or_film_is_not_advised_to_be_renamed(client, name):
    content = {"zip": b"PK\x03\x04", "7z": b"7z\xbc\xaf'\x1c", "Matroska": b"\x1aE\xdf\xa3"}[name] + bytes(90)
    message = error_of(client.post("/api/detect", content=content))
    assert f"not a picture but: {name}" in message
    assert "rename" not in message
    assert message.endswith("Use a JPEG or PNG of at most 100 million pixels.")
