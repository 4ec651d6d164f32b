"""The endpoints of the studio, on a tiny real model: what they return, and what they refuse."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from certificates import write_chain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from small import QUIET, RESOLUTION, saved_model, small_recipe
from typer.testing import CliRunner

from facesmith import cli
from facesmith.directions.unsupervised import unsupervised_directions
from facesmith.errors import BadData, BadModel, BadOption, MissingExtra
from facesmith.explore.sample import sample_like
from facesmith.io.stopping import handling_stop_signals, interrupt
from facesmith.model import load
from facesmith.modelfiles.run_folder import LOG, PLAN
from facesmith.modelfiles.sidecar import save_sidecar, sidecar_path
from facesmith.pictures.credentials import read_credentials
from facesmith.pictures.images import png_bytes, read_provenance, resize
from facesmith.studio import render_queue
from facesmith.studio.face_text import (
    Face,
    make_face,
    parse_face,
    parse_faces,
    parse_sum,
    read_latent,
    write_latent,
)
from facesmith.studio.limits import MAX_STRENGTH

pytest.importorskip("fastapi", reason="the studio is an extra")
import uvicorn
from fastapi.testclient import TestClient

from facesmith.studio import evaluation_view, render, run_view, several_faces
from facesmith.studio.access import Access
from facesmith.studio.app import create_app
from facesmith.studio.fair_queue import FairQueue
from facesmith.studio.job_queue import JobQueue
from facesmith.studio.open_models import OpenModels
from facesmith.studio.render import Walk, face_latent
from facesmith.studio.render_queue import Busy, RenderCancelled, RenderJob, RenderQueue
from facesmith.studio.serve import StudioOptions, serve
from facesmith.studio.services import Studio
from facesmith.training.diagnosis import DISTANCE, VARIETY
from facesmith.watermark.find_mark import find

HOST = "127.0.0.1:8400"
ACCESS = Access(frozenset([HOST]))
LETTERS = st.text("0123456789wabc.()=,-+*@ _eE\u0664\u00e9\n\x00", max_size=40)
DIRECTIONS = ("smiling", "5_o_clock_shadow", "psi")  # the last has the name of a parameter


def with_directions(run):
    """Adds directions to the tiny model in a folder."""
    model = load(run)
    generator = torch.Generator().manual_seed(3)
    tensors = {name: torch.randn(model.G.w_dim, generator=generator) for name in DIRECTIONS}
    save_sidecar(sidecar_path(model.path, "directions"), "directions", tensors, {"names": list(tensors)}, model.hash)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return with_directions(saved_model(tmp_path_factory.mktemp("studio") / "tiny"))


@pytest.fixture(scope="module")
def model(run):
    return load(run)


@pytest.fixture(scope="module")
def client(run):
    with client_of(Studio(OpenModels([run], ["tiny"]))) as client:
        client.params = {"model": first_model(client)["id"]}
        yield client


def client_of(studio):
    return TestClient(create_app(studio, ACCESS), base_url=f"http://{HOST}")


def first_model(client):
    return client.get("/api/models").json()["models"][0]


def opened_picture(client, content):
    """The response to a picture that is dropped onto the page. This route takes no model."""
    dropping = client_of(client.app.state.studio)  # without starting it again
    return dropping.post("/api/open", content=content)


def pixels_of(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def error_of(response, status=400):
    """The one line of a refused request."""
    assert response.status_code == status, (response.status_code, response.text[:200])
    (message,) = response.json().values()
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def test_seeds_of_distorted_faces_are_left_out(client, model):
    answer = client.get("/api/seeds.json", params={"start": 7, "count": 40}).json()
    distorted = model.distorted(range(7, 47))
    assert answer == {"seeds": [seed for seed in range(7, 47) if not distorted[seed - 7]], "next": 47}
    last = client.get("/api/seeds.json", params={"start": 2**32 - 2}).json()
    assert last["next"] == 2**32
    assert "start" in error_of(client.get("/api/seeds.json", params={"start": 2**32}))


def test_face_has_the_pixels_of_the_command_line(client, run, model, tmp_path):
    response = client.get("/api/face.png", params={"seed": 42, "psi": 0.8})
    assert (pixels_of(response) == model.sample([42], 0.8)[0]).all()
    picture = tmp_path / "face.png"
    picture.write_bytes(response.content)
    (redrawn,) = sample_like(lambda: load(run), picture, tmp_path / "redrawn.png", console=QUIET)
    assert (np.asarray(Image.open(redrawn)) == pixels_of(response)).all()
    assert read_provenance(picture)["Model"] == model.hash


def test_faces_sheets_zips_and_films_have_the_watermark():
    """With the bundled generator, because faces of the tiny model are too small for a watermark."""
    with client_of(Studio(OpenModels([None], ["bundled"]))) as client:
        query = {"model": first_model(client)["id"]}
        face = client.get("/api/face.png", params={**query, "seed": 5, "scale": 2})
        assert find(pixels_of(face)).significant
        assert find(pixels_of(client.get("/api/mix.png", params={**query, "terms": "1-2+3"}))).significant
        sheet = client.get("/api/contact-sheet.png", params={**query, "faces": "1,2"})
        assert find(pixels_of(sheet)).significant
        for response in (face, sheet):
            assert read_provenance(io.BytesIO(response.content))["Watermark"] == "yes"


def test_all_pictures_and_films_have_the_own_watermark_and_are_signed(tmp_path, monkeypatch):
    chain, key, _ = write_chain(tmp_path)
    secret = tmp_path / "secret.txt"
    secret.write_text("correct horse battery staple")
    served = []
    monkeypatch.setattr("facesmith.studio.serve.serve", lambda options, console: served.append(options))
    options = ["--watermark-key", secret, "--sign", chain, "--key", key]
    assert CliRunner().invoke(cli.app, ["studio", *map(str, options)]).exit_code == 0
    marking = served[0].marking
    with (
        client_of(Studio(OpenModels([None], ["bundled"], "marks"), marking=marking)) as client,
        client_of(Studio(OpenModels([None], ["bundled"]))) as usual,
    ):
        query = {"model": first_model(client)["id"]}
        assert query["model"] != first_model(usual)["id"], "browsers must not show pictures without the mark"
        walk = {"faces": "1,2", "seconds": 0.2}
        zipped = client.get("/api/faces.zip", params={**query, "faces": "1,2"}).content
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            contents = [archive.read(name) for name in archive.namelist() if name.endswith(".png")]
        for path, words in {
            "face.png": {"seed": 5, "scale": 2},
            "mix.png": {"terms": "1-2+3"},
            "contact-sheet.png": {"faces": "1,2"},
            "walk.gif": walk,
            "walk.mp4": walk,
        }.items():
            contents.append(client.get(f"/api/{path}", params={**query, **words}).content)
        assert len(contents) == 8
        for content in contents:
            assert "signed by signer, intact" in read_credentials(io.BytesIO(content)).summary()
        for content in contents[:-1]:
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
            assert find(pixels).significant
            assert find(pixels, key=marking.own_key).significant
        statements = client_of(client.app.state.studio).post("/api/marks", content=contents[0]).json()["statements"]
        assert statements[0].startswith("watermark: yes")
        assert statements[1].startswith("own watermark: yes")


def test_picture_depends_only_on_its_url(client):
    queries = [{"seed": seed, "psi": psi, "smiling": 1.5} for seed in range(9) for psi in (0.5, 1)]
    one_by_one = [client.get("/api/face.png", params=each).content for each in queries]
    in_parallel = {}

    def fetch(i):
        in_parallel[i] = client.get("/api/face.png", params=queries[i]).content

    threads = [threading.Thread(target=fetch, args=(i,)) for i in range(len(queries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [in_parallel[i] for i in range(len(queries))] == one_by_one, "the rest of the batch must not matter"
    assert len(set(one_by_one)) == len(one_by_one)


def test_live_face_differs_by_rounding_only(client):
    exact = pixels_of(client.get("/api/face.png", params={"seed": 5})).astype(int)
    live = pixels_of(client.get("/api/face.png", params={"seed": 5, "live": 1})).astype(int)
    assert abs(exact - live).max() <= 1
    assert (exact != live).mean() < 0.01


def test_edits_add_directions(client, model):
    edited = pixels_of(client.get("/api/face.png", params={"seed": 7, "smiling": 1.5, "5_o_clock_shadow": -0.5}))
    w = model.latents([7]) + 1.5 * model.directions["smiling"] - 0.5 * model.directions["5_o_clock_shadow"]
    assert (edited == model.synthesize(w)[0]).all()
    edited = pixels_of(client.get("/api/face.png", params={"seed": 7, "smiling": 1.5, "psi": 0}))
    w = model.G.w_avg[None].numpy() + 1.5 * model.directions["smiling"]
    assert (edited == model.synthesize(w)[0]).all(), "an edit is equally strong at every psi"
    assert "smiling" in error_of(client.get("/api/face.png", params={"seed": 7, "smilling": 1}))


def test_sum_has_the_pixels_of_mix(client, model):
    edited_sum = pixels_of(client.get("/api/mix.png", params={"terms": "29-3+0.5*34(smiling=-1.5)"}))
    w = model.latents([29, 3, 34])
    w[2] -= 1.5 * model.directions["smiling"]
    total = render.combine(model.G, torch.from_numpy(w), [1.0, -1.0, 0.5])
    assert (edited_sum == model.synthesize(total.numpy())[0]).all()
    latent_text = client.get("/api/mix.json", params={"terms": "29-3+34"}).json()["face"]
    plain = pixels_of(client.get("/api/mix.png", params={"terms": "29-3+34"}))
    assert (pixels_of(client.get("/api/face.png", params={"w": latent_text})) == plain).all()
    assert "cancel" in error_of(client.get("/api/mix.png", params={"terms": "3-3"}))


def test_latent_of_a_truncated_sum_draws_the_same_picture(client):
    query = {"terms": "29-3+34", "psi": 0.6}
    latent_text = client.get("/api/mix.json", params=query).json()["face"]
    shown = pixels_of(client.get("/api/mix.png", params=query))
    assert (pixels_of(client.get("/api/face.png", params={"w": latent_text})) == shown).all()


def test_copied_python_draws_the_same_picture(client, tmp_path):
    latent_text = client.get("/api/mix.json", params={"terms": "4-9"}).json()["face"]
    for endpoint, query in (
        ("face", {"seed": 42, "psi": 0.7}),
        ("face", {"seed": 42, "smiling": 0.3}),
        ("face", {"seed": 42, "smiling": 0.3, "psi": 0.7}),
        ("face", {"w": latent_text, "5_o_clock_shadow": -1.1}),
        ("mix", {"terms": "29-3(smiling=0.3)+0.25*34", "psi": 0.9}),
        ("mix", {"terms": f"{latent_text}+8"}),
        ("face", {"seed": 42, "psi": 1.3}),
        ("face", {"seed": 42, "psi": -0.5, "smiling": 1}),
        ("face", {"seed": 42, "pca_1": 1.5, "sefa_2": -1, "smiling": 0.5}),
        ("mix", {"terms": "4-9(pca_3=1)", "psi": -1}),
    ):
        code = client.get(f"/api/{endpoint}.json", params=query).json()["python"]
        exec(compile(code.replace("face.png", str(tmp_path / "face.png")), "copied", "exec"), {})
        redrawn = np.asarray(Image.open(tmp_path / "face.png"))
        assert (redrawn == pixels_of(client.get(f"/api/{endpoint}.png", params=query))).all(), code


def test_copied_commands_draw_the_same_picture(client, tmp_path, monkeypatch):
    def run_command(endpoint, query):
        command = client.get(f"/api/{endpoint}.json", params=query).json()["command"]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        cli.main()

    query = {"seed": 42, "psi": 0.7}
    run_command("face", query)
    assert (np.asarray(Image.open(tmp_path / "face.png")) == pixels_of(client.get("/api/face.png", params=query))).all()
    query = {"terms": "29-3+34", "psi": 0.7}
    run_command("mix", query)
    sheet, alone = np.asarray(Image.open(tmp_path / "mix.png")), pixels_of(client.get("/api/mix.png", params=query))
    scale = 128 // RESOLUTION
    enlarged = alone.repeat(scale, 0).repeat(scale, 1)
    assert any((sheet[:128, left : left + 128] == enlarged).all() for left in range(sheet.shape[1] - 127)), (
        "the contact sheet shows the sum"
    )
    (tmp_path / "mix.png").unlink()
    run_command("mix", {"terms": "-3+29"})  # a minus at the start must not be read as an option
    assert read_provenance(tmp_path / "mix.png")["Terms"].strip() == "- 3 + 29"
    query = {"faces": "3,5,8", "seconds": 0.4, "fps": 10}
    run_command("walk", query)
    film = client.get("/api/walk.mp4", params=query).content
    assert frames_of((tmp_path / "walk.mp4").read_bytes()) == frames_of(film)


def frames_of(content):
    import av

    with av.open(io.BytesIO(content)) as film:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in film.decode(video=0)]


def test_film_depends_only_on_its_url(client):
    query = {"faces": "3,5(smiling=1,psi=2),8", "seconds": 0.2, "fps": 10}
    first, second = (client.get("/api/walk.mp4", params=query) for _ in range(2))
    assert first.content == second.content
    assert len(frames_of(first.content)) == 6
    gif = client.get("/api/walk.gif", params=query | {"closed": 0})
    assert Image.open(io.BytesIO(gif.content)).n_frames == 4
    error_of(client.get("/api/walk.avi", params=query), 404)


def test_browsers_may_keep_pictures_forever(client):
    first = client.get("/api/face.png", params={"seed": 1})
    assert {"private", "immutable"} < set(first.headers["cache-control"].split(", "))
    again = client.get("/api/face.png", params={"seed": 1}, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/face.png", params={"seed": 2}, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_other_directions_give_a_model_another_id(run, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    models = OpenModels([copy], ["copy"])
    ((before, _, model),) = models.refresh()
    with_directions(copy)
    ((after, _, with_new_directions),) = models.refresh()
    assert before != after
    assert model.hash == with_new_directions.hash
    assert models.get(before) is model, "earlier URLs stay valid"


def test_psi_beyond_the_training_distribution_moves_away_from_the_average(client, model):
    average, w = model.G.w_avg.numpy(), model.latents([5])
    for psi in (-1, -0.3, 1.5):
        picture = pixels_of(client.get("/api/face.png", params={"seed": 5, "psi": psi}))
        expected = model.synthesize(torch.from_numpy(average)[None].lerp(torch.from_numpy(w), psi).numpy())[0]
        assert (picture == expected).all()
    assert (first_model(client)["psi_min"], first_model(client)["psi_max"]) == (-1, 1.5)
    assert client.get("/api/face.json", params={"seed": 5, "psi": 1.5}).json().keys() == {"face", "python"}
    limited = small_recipe("gray-dcgan64", prior="uniform").networks()["G"]
    assert render.psi_range(limited) == (0, 1), "its latents would leave their range"
    with pytest.raises(BadOption, match="this model allows 0"):
        render.change_variety(limited, limited.w_avg[None], 1.2)


def test_enlarged_picture_is_smooth_and_says_so(client, model, tmp_path):
    small = pixels_of(client.get("/api/face.png", params={"seed": 5}))
    response = client.get("/api/face.png", params={"seed": 5, "scale": 4})
    assert (pixels_of(response) == resize(small, 4 * RESOLUTION)).all()
    (tmp_path / "large.png").write_bytes(response.content)
    metadata = read_provenance(tmp_path / "large.png")
    assert metadata["Enlarged"] == "4x with a Lanczos filter"
    assert metadata["Seeds"] == "[5]"
    assert "Enlarged" not in client.get("/api/face.png", params={"seed": 5}).content.decode("latin-1")
    double = pixels_of(client.get("/api/mix.png", params={"terms": "1-2+3", "scale": 2}))
    assert double.shape[0] == 2 * RESOLUTION


def test_directions_without_labels_are_sliders(client, model):
    for method in ("pca", "sefa"):
        names = client.get("/api/directions", params={"method": method}).json()["directions"]
        assert names[0] == f"{method}_1"
        assert len(names) == min(10, model.G.w_dim)
        step = unsupervised_directions(model.G, method)[names[0]].numpy()
        edited = pixels_of(client.get("/api/face.png", params={"seed": 3, names[0]: 1.5}))
        assert (edited == model.synthesize(model.latents([3]) + 1.5 * step)[0]).all()
    error_of(client.get("/api/directions", params={"method": "ica"}))


def test_variations_are_small_reproducible_and_different(client, model):
    query = {"seed": 42, "smiling": 1, "count": 4, "amount": 0.3}
    answer = client.get("/api/variations.json", params=query).json()["faces"]
    assert client.get("/api/variations.json", params=query).json()["faces"] == answer
    assert client.get("/api/variations.json", params=query | {"start": 3}).json()["faces"][0] == answer[3]
    assert len({each["face"] for each in answer}) == 4
    original = face_latent(model, parse_face("42(smiling=1)"))
    for each in answer:
        w = face_latent(model, parse_face(each["face"]))
        assert 0 < (w - original).norm() < 0.5 * original.norm()
        assert each["terms"].startswith("42(smiling=1)+0.3*")
        as_sum = pixels_of(client.get("/api/mix.png", params={"terms": each["terms"]}))
        assert (pixels_of(client.get("/api/face.png", params={"w": each["face"]})) == as_sum).all()
    (same,) = client.get("/api/variations.json", params={"seed": 42, "count": 1, "amount": 0}).json()["faces"]
    assert torch.allclose(face_latent(model, parse_face(same["face"])), face_latent(model, Face("42")), atol=1e-5)
    of_variation = client.get("/api/variations.json", params={"w": answer[0]["face"], "count": 2})
    assert len(of_variation.json()["faces"]) == 2, "a variation has variations"


def test_children_resemble_both_parents(client, model):
    query = {"parents": "3(smiling=1),17", "count": 6, "mutation": 0.1}
    answer = client.get("/api/breed.json", params=query).json()["faces"]
    parents = torch.cat([face_latent(model, parse_face(text)) for text in ("3(smiling=1)", "17")])
    distance = (parents[0] - parents[1]).norm()
    for each in answer:
        w = face_latent(model, parse_face(each["face"]))
        assert ((w - parents).norm(dim=1) < distance).all()
    assert len({each["face"] for each in answer}) == 6
    for parents_text in ("3", "3,4,5", "3,x"):
        error_of(client.get("/api/breed.json", params={"parents": parents_text}))


def test_zip_has_each_face_with_its_metadata_a_sheet_and_a_table(client, model, tmp_path):
    query = {"faces": "5,17(smiling=1.5),5", "psi": 0.8, "scale": 2}
    response = client.get("/api/faces.zip", params=query)
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    assert names == ["001-seed5.png", "002-seed17-smiling+1.5.png", "003-seed5.png", "contact-sheet.png", "faces.csv"]
    alone = pixels_of(client.get("/api/face.png", params={"seed": 17, "smiling": 1.5, "psi": 0.8, "scale": 2}))
    assert (np.asarray(Image.open(tmp_path / names[1])) == alone).all()
    metadata = read_provenance(tmp_path / names[1])
    assert (metadata["Face"], metadata["Psi"]) == ("17(smiling=1.5)", "0.8")
    assert metadata["Enlarged"].startswith("2x")
    rows = list(csv.DictReader((tmp_path / "faces.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == names[:3]
    assert rows[1] | {"file": ""} == {"file": "", "face": "17(smiling=1.5)", "psi": "0.8", "model": model.hash}
    sheet = client.get("/api/contact-sheet.png", params={"faces": "5,17", "columns": 1})
    assert pixels_of(sheet).shape[0] > 2 * 128
    opened = opened_picture(client, (tmp_path / "contact-sheet.png").read_bytes()).json()
    assert opened["faces"] == ["5", "17(smiling=1.5)", "5"]


def test_psi_changes_no_custom_face_in_a_zip(client):
    latent_text = client.get("/api/mix.json", params={"terms": "4-9"}).json()["face"]
    response = client.get("/api/faces.zip", params={"faces": f"5,{latent_text}", "psi": 0.5})
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        seed, custom = (np.asarray(Image.open(archive.open(name))) for name in archive.namelist()[:2])
        table = archive.read("faces.csv").decode()
    assert (seed == pixels_of(client.get("/api/face.png", params={"seed": 5, "psi": 0.5}))).all()
    assert (custom == pixels_of(client.get("/api/face.png", params={"w": latent_text}))).all()
    assert [row["psi"] for row in csv.DictReader(table.splitlines())] == ["0.5", "1.0"]


def test_sheet_that_would_fill_the_memory_is_refused(client, monkeypatch):
    query = {"faces": "1,2,3,4", "scale": 4}
    monkeypatch.setattr(several_faces, "MAX_SHEET_PIXELS", 4 * 512**2 - 1)
    assert "fewer faces" in error_of(client.get("/api/contact-sheet.png", params=query))
    assert client.get("/api/faces.zip", params=query).status_code == 200


@pytest.mark.parametrize("faces", ["", "x", "5,", ",".join(["5"] * 257), "5(smilling=1)"])
def test_faces_that_cannot_be_downloaded_are_refused(client, faces):
    for path in ("faces.zip", "contact-sheet.png"):
        response = client.get(f"/api/{path}", params={"faces": faces})
        if faces == "5,":
            assert response.status_code == 200
        else:
            error_of(response)


def test_dropped_picture_opens_as_the_face_that_it_shows(client, run, model, tmp_path, monkeypatch):
    latent_text = client.get("/api/mix.json", params={"terms": "4-9"}).json()["face"]
    for path, query, expected in (
        ("face.png", {"seed": 42, "psi": 0.7}, {"kind": "faces", "faces": ["42"], "psi": 0.7}),
        ("face.png", {"seed": 42, "psi": 1.3}, {"kind": "faces", "faces": ["42"], "psi": 1.3}),
        ("face.png", {"seed": 42, "smiling": -1.5, "pca_1": 2}, {"faces": ["42(pca_1=2,smiling=-1.5)"]}),
        ("face.png", {"w": latent_text}, {"faces": [latent_text]}),
        (
            "mix.png",
            {"terms": "3-4", "scale": 2},
            {"kind": "sum", "terms": "1.000000000*3-1.000000000*4", "layers": None},
        ),
        ("mix.png", {"terms": ".5*3 \u2013 4(smiling=1)"}, {"terms": "0.500000000*3-1.000000000*4(smiling=1)"}),
    ):
        picture = client.get(f"/api/{path}", params=query).content
        opened = opened_picture(client, picture).json()
        assert expected.items() <= opened.items()
        assert (opened["model"], opened["model_id"]) == (model.hash, first_model(client)["id"])
        assert opened["notice"] is None
    monkeypatch.chdir(tmp_path)
    for command, expected in (
        (["sample", "--seeds", "3,5", "--psi", "0.5", "--out", "a.png"], {"faces": ["3", "5"], "psi": 0.5}),
        (["sample", "--seeds", "3", "--out", "a.jpg"], {"faces": ["3"], "psi": 1}),
        (["edit", "--seeds", "3,5", "--edit", "smiling=1", "--out", "b.png"],
         {"faces": ["3(smiling=1)", "5(smiling=1)"]}),
        (["mix", " - 3 + 2*5", "--out", "c.png"], {"terms": "-1.000000000*3+2.000000000*5"}),
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["facesmith", *command, "--model", str(run)])
        cli.main()
        opened = opened_picture(client, (tmp_path / command[-1]).read_bytes()).json()
        assert expected.items() <= opened.items()


def test_picture_of_another_model_says_so(client, tmp_path):
    other = load(saved_model(tmp_path / "other", seed=5))
    picture = png_bytes(other.sample([7])[0], other.provenance({"Seeds": "[7]", "Psi": "1.0"}))
    opened = opened_picture(client, picture).json()
    assert (opened["model_id"], opened["faces"]) == (None, ["7"])
    assert other.hash[:12] in opened["notice"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not made by Facesmith"),
        ({"Software": "other"}, "not made by Facesmith"),
        ({"Seeds": "x"}, "doesn't say which face"),
        ({"Face": "1(a=99)"}, "from -10 to 10"),
        ({"Face": "<script>"}, "not a face"),
        ({"Faces": '["1"'}, "damaged"),
        ({"Faces": "[1]"}, "damaged"),
        ({"Faces": "[]"}, "shows 0 faces"),
        ({"Faces": "{}"}, "damaged"),
        ({"Faces": '["me.latent"]'}, "not a face"),
        ({"Faces": '["1"]', "Edits": '{"a": "x"}'}, "damaged"),
        ({"Faces": "[" * 100_000}, "damaged"),
        ({"Seeds": str(list(range(300))), "Psi": "1"}, "300 faces"),
        ({"Seeds": "[1]", "Psi": "nan"}, "doesn't say which face"),
        ({"Face": "1", "Psi": "nan"}, "psi is nan"),
        ({"Face": "1", "Psi": "9"}, "psi is 9"),
        ({"Seeds": "[1]", "Psi": "1", "Condition": '{"smiling": 1}'}, "condition"),
        ({"Terms": "1 +"}, "can't be"),
        ({"Terms": "3-4", "Sum": "plain"}, "plain sum"),
        ({"Terms": "3+4", "Sum": "layers 0,3"}, "layers '0,3'"),
        ({"Terms": "+".join("123456789")}, "sum of 9 faces"),
    ],
)  # fmt: skip
def test_picture_whose_metadata_name_no_face_is_refused(client, model, metadata, message):
    ours = model.provenance(metadata) if metadata and "Software" not in metadata else metadata
    picture = png_bytes(np.zeros((8, 8, 3), np.uint8), ours)
    status = 400 if "not made" in message else 422  # the page takes the first ones for photos
    assert message in error_of(opened_picture(client, picture), status)


def test_opened_walk_is_as_long_as_the_page_allows(client, model):
    for faces, kind, notice in ((range(30), "open, spherical, 1x1", "the first 24"), (range(3), "closed", None)):
        metadata = {"Faces": json.dumps([str(face) for face in faces]), "Walk": kind, "Psi": "1"}
        picture = png_bytes(np.zeros((8, 8, 3), np.uint8), model.provenance(metadata))
        opened = opened_picture(client, picture).json()
        assert (opened["kind"], opened["closed"]) == ("walk", kind == "closed")
        assert opened["faces"] == [str(face) for face in faces][:24]
        assert opened["notice"] is notice is None or notice in opened["notice"]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\0" * 64])
def test_file_that_is_not_a_picture_is_not_opened(client, content):
    assert "Facesmith made" in error_of(opened_picture(client, content))


@pytest.mark.parametrize(
    ("query", "mentioned"),
    [
        ({}, "seed"),
        ({"seed": "1", "w": "w.AA"}, "exactly one"),
        ({"seed": "-1"}, "seed"),
        ({"seed": "1.5"}, "seed"),
        ({"seed": "9223372036854775808"}, "seed"),
        ({"seed": "9" * 30}, "seed"),
        ({"seed": "\u0664"}, "seed"),
        ({"seed": "1", "psi": "1.51"}, "psi"),
        ({"seed": "1", "psi": "-1.01"}, "psi"),
        ({"seed": "1", "scale": "3"}, "scale"),
        ({"seed": "1", "pca_11": "1"}, "pca_11"),
        ({"seed": "1", "psi": "nan"}, "psi"),
        ({"seed": "1", "psi": "inf"}, "psi"),
        ({"seed": "1", "psi": ""}, "psi"),
        ({"seed": "1", "live": "yes"}, "live"),
        ({"seed": "1", "smiling": "11"}, "smiling"),
        ({"seed": "1", "smiling": "1e309"}, "smiling"),
        ({"seed": "1", "smiling": "x"}, "smiling"),
        ({"seed": "1", "a\nb": "x"}, r"a\nb"),
        ({"w": "w.AAAA"}, "damaged"),
        ({"w": "../../etc/passwd"}, "a latent as text"),
        ({"w": "w." + "A" * 400}, "damaged"),
    ],
)
def test_bad_parameter_is_refused_in_one_line(client, query, mentioned):
    assert mentioned in error_of(client.get("/api/face.png", params=query))


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("face.png", {"seed": "1", "psi": "1.6"}, "Parameter 'psi' is '1.6'; it should be less than or equal to 1.5."),
        ("face.png", {"seed": "x"}, "Parameter 'seed' is 'x'; it should be a valid integer."),
        ("face.png", {"seed": "1", "live": "yes"}, "Parameter 'live' is 'yes'; it should be '0' or '1'."),
        ("mix.png", {}, "Parameter 'terms' is missing."),
        ("mix.png", {"terms": "1+2", "path": "/etc"},
         "Unknown parameter 'path'. Allowed here: model, terms, psi, plain, live, scale, layers."),
        ("walk.mp4", {"faces": "3"}, "Expected 2 to 24 faces, found 1."),
    ],
)  # fmt: skip
def test_message_says_what_was_given_and_what_is_allowed(client, path, query, message):
    assert error_of(client.get(f"/api/{path}", params=query)) == message


@pytest.mark.parametrize(
    "terms", ["", "3 5", "3+", "*3", "3-x", "3(a=1)(b=2)", "1" * 80, "+".join("1" * 40), "@0", "w.A+1"]
)
def test_text_that_is_not_a_sum_is_refused(client, terms):
    error_of(client.get("/api/mix.png", params={"terms": terms}))


@pytest.mark.parametrize(
    "query",
    [{"faces": "3"}, {"faces": "3,x"}, {"faces": "3,4", "seconds": "0"}, {"faces": "3,4", "fps": "1000"},
     {"faces": "3,4", "fps": "10.5"}, {"faces": ",".join("12345" * 10)}, {"faces": "3,4", "scale": "99"},
     {"faces": "3,4", "closed": "maybe"}, {"faces": "1,2,3,4,5,6", "seconds": "10", "fps": "50"}],
)  # fmt: skip
def test_walk_out_of_bounds_is_refused(client, query):
    error_of(client.get("/api/walk.mp4", params=query))


def test_repeated_or_unknown_parameter_is_refused(client):
    assert "2 times" in error_of(client.get("/api/face.png", params={"seed": ["1", "2"]}))
    assert "2 times" in error_of(client.get("/api/face.png", params={"seed": "1", "smiling": ["1", "2"]}))
    error_of(client.get("/api/mix.png", params={"terms": "1+2", "path": "/etc/passwd"}))
    error_of(client.get("/api/runs", params={"path": "/etc/passwd"}))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LETTERS)
def test_parsed_face_keeps_its_base_when_written_again(text):
    try:
        face = parse_face(text)
    except BadOption:
        return
    assert parse_face(str(face)).base == face.base


@settings(max_examples=100, deadline=None)
@given(LETTERS)
def test_any_text_is_parsed_or_refused_in_one_line(text):
    for parse in (parse_sum, partial(parse_faces, at_least=1, at_most=24)):
        try:
            parse(text)
        except BadOption as error:
            assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(LETTERS, st.floats())
def test_parsed_strength_is_within_its_bounds(text, number):
    for strength in (text, repr(number)):
        try:
            face = parse_face(f"1(x={strength})")
        except BadOption:
            continue
        assert all(-MAX_STRENGTH <= each <= MAX_STRENGTH for _, each in face.edits)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.dictionaries(st.text("abcdef_0123456789", min_size=1, max_size=12), st.floats(-10, 10), max_size=5),
)
def test_written_face_is_parsed_as_the_same_face(seed, edits):
    face = make_face(str(seed), edits)
    assert parse_face(str(face)) == face
    assert parse_sum(f"2*{face}-{face}") == [(2.0, face), (-1.0, face)]
    assert parse_faces(f"{face},{face}", 2, 2) == [face, face]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(1, 40), st.randoms(use_true_random=False))
def test_latent_survives_as_text_and_damage_is_noticed(rows, columns, rng):
    w = np.random.default_rng(rng.randrange(2**32)).normal(size=(rows, columns) if rows else columns)
    w = w.astype(np.float32)
    text = write_latent(w, "ab" * 32)
    assert (read_latent(text, "ab" * 32, columns, rows or 1) == w).all()
    with pytest.raises(BadOption, match="another model"):
        read_latent(text, "cd" * 32, columns, rows or 1)
    at = rng.randrange(2, len(text))
    damaged = text[:at] + rng.choice([c for c in "ABCxyz019_." if c != text[at]]) + text[at + 1 :]
    try:
        read = read_latent(damaged, "ab" * 32, columns, rows or 1)
    except BadOption:
        return
    assert (read == w).all(), "only unused bits of the last letter may differ"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1:9999"},
        {"host": "localhost"},
        {"host": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/models", "/api/face.png?seed=1", "/nothing"])
def test_foreign_hosts_and_origins_are_refused(client, headers, path):
    error_of(client.get(path, headers=headers), 403)


def test_requests_of_its_own_page_are_accepted(client):
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert client.get("/api/models", headers=own).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    error_of(client.get("/api/face.png?seed=1", headers=link | {"sec-fetch-dest": "image"}), 403)
    assert client.get("/api/face.png?seed=1", headers=link).status_code == 403
    error_of(client.put("/"), 405)


@pytest.mark.parametrize("path", ["/", "/style.css", "/main.js", "/api/models", "/api/face.png?seed=x", "/nothing"])
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/page/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/page/index.html", "//etc/passwd",
     "/app.py", "/__init__.py", "/style.css/../../app.py", "/api/walk...%2f", "/main.js%00.css", "/docs",
     "/openapi.json"],
)  # fmt: skip
def test_no_path_reaches_the_disk(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert b"facesmith" not in response.content


def test_model_ids_reveal_no_path(client, run):
    model_id = first_model(client)["id"]
    assert str(run) not in model_id
    for wrong in ("", str(run), "../tiny", model_id.upper() + "x", model_id[:-1]):
        error_of(client.get("/api/face.png", params={"model": wrong, "seed": 1}), 404)


def test_page_loads_nothing_from_elsewhere(client):
    content = client.get("/").text + client.get("/style.css").text
    scripts = sorted((Path(render.__file__).parent / "page").glob("*.js"))
    assert len(scripts) > 9
    for script in scripts:
        content += client.get(f"/{script.name}").text
    for forbidden in ("https://", "//cdn", "@import", "eval(", "innerHTML"):
        assert forbidden not in content


def test_full_render_queue_is_busy(model, monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def slow_synthesize(_, w):
        started.set()
        go_on.wait(20)
        return np.zeros((3, RESOLUTION, RESOLUTION, 3), np.uint8)[: len(w)]

    monkeypatch.setattr(render_queue, "synthesize", slow_synthesize)
    queue = RenderQueue(limit=2)
    jobs = [RenderJob(model, lambda: face_latent(model, Face("1"))) for _ in range(5)]
    results = [queue.submit(jobs[0])]
    assert started.wait(20)
    results += [queue.submit(job) for job in jobs[1:3]]
    with pytest.raises(Busy):
        queue.submit(jobs[3])
    results[2].cancel()
    last = queue.submit(jobs[4])  # in the place of the cancelled job
    go_on.set()
    assert results[0].result(20) is not None
    assert last.result(20).shape == (RESOLUTION, RESOLUTION, 3)
    queue.close()
    with pytest.raises(Busy):
        queue.submit(jobs[0])


def test_busy_response_says_when_to_retry(run):
    studio = Studio(OpenModels([run], ["tiny"]), render_queue=RenderQueue(limit=0))
    with client_of(studio) as client:
        response = client.get("/api/face.png", params={"model": first_model(client)["id"], "seed": 1})
        assert "busy" in error_of(response, 503)
        assert int(response.headers["retry-after"]) >= 1


def test_jobs_are_limited_and_take_turns_between_clients():
    started, go_on = threading.Event(), threading.Event()
    finished = []

    def block(_):
        started.set()
        return go_on.wait(20)

    queue = JobQueue(threads=1, limit=4, client_limit=3)
    first = queue.submit(block, "a")
    assert started.wait(20)
    jobs = [queue.submit(lambda job: finished.append(job.client), client) for client in ("a", "a", "a", "b")]
    for client in ("a", "b"):  # one has too many jobs, then the queue has
        with pytest.raises(Busy):
            queue.submit(lambda _: None, client)
    jobs[1].cancel()
    jobs.append(queue.submit(lambda job: finished.append(job.client), "b"))
    go_on.set()
    assert first.future.result(20) is True
    for job in (jobs[0], *jobs[2:]):
        job.future.result(20)
    assert finished == ["a", "b", "a", "b"]
    queue.close()


def test_queue_says_how_many_jobs_are_ahead_and_estimates_the_time_left(monkeypatch):
    started, go_on = threading.Event(), threading.Event()
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("facesmith.studio.job_queue.time", clock)

    def half(job):
        job.progress = 0.5
        started.set()
        go_on.wait(20)

    queue = JobQueue(threads=1)
    queue.submit(half, "a", "film")
    assert started.wait(20)
    clock.now += 1  # so the first film takes 2 seconds
    later = [queue.submit(lambda _: None, client, "film") for client in ("b", "a")]
    (running, waiting), ahead_of_b = queue.status("a")["jobs"], queue.job_status(later[0])
    assert (running["progress"], running["ahead"], running["seconds_left"]) == (0.5, 0, 1)
    assert (waiting["progress"], waiting["ahead"], ahead_of_b["ahead"]) == (None, 2, 1)
    assert waiting["seconds_left"] == 5, "the rest of the first film, and two more films"
    assert ahead_of_b["seconds_left"] == 3
    go_on.set()
    queue.close()


def test_error_in_a_job_is_raised_where_its_result_is_read():
    queue = JobQueue(threads=1)
    with pytest.raises(ZeroDivisionError):
        queue.submit(lambda _: 1 / 0).future.result(20)
    assert queue.submit(lambda _: 2).future.result(20) == 2, "the thread goes on"
    queue.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))))
def test_fair_queue_keeps_the_order_of_each_client_and_lets_no_client_wait_twice(items):
    queue = FairQueue()
    for item in items:
        queue.append(item[0], item)
    expected = list(queue)
    popped = [queue.pop() for _ in items]
    assert popped == expected
    assert queue.pop() is None
    for client in "abc":
        assert [each for each in popped if each[0] == client] == [each for each in items if each[0] == client]
    for place in range(len(popped) - 1):
        others = {client for client, _ in popped[place + 1 :]} - {popped[place][0]}
        assert not others or popped[place + 1][0] != popped[place][0], "another client was waiting"


def test_slider_waits_for_one_turn_at_most_and_nothing_starves(model, monkeypatch):
    """Walls, a film and a slider that always wants more: the order of their turns."""
    turns, enough = [], threading.Event()
    synthesize, unpadded = render_queue.synthesize, render_queue._render_unpadded

    def record(kind, draw):
        def recorded(*args):
            turns.append(kind)
            time.sleep(0.02)
            return draw(*args)

        return recorded

    monkeypatch.setattr(render_queue, "synthesize", record("batch", synthesize))
    monkeypatch.setattr(render_queue, "_render_unpadded", record("live", unpadded))
    queue = RenderQueue()

    def draw_film():
        while not enough.is_set():
            with queue.background_turn():
                turns.append("film")
                time.sleep(0.02)

    def submit(live, client):
        return queue.submit(RenderJob(model, lambda: face_latent(model, Face("1")), live, client))

    film = threading.Thread(target=draw_film)
    wall = [submit(False, str(i % 3)) for i in range(20 * 16)]
    film.start()
    for _ in range(12):  # one slider waits for its picture before it asks for the next
        picture = submit(True, "slider")
        turns.append("submitted")
        picture.result(20)
        after = turns[len(turns) - turns[::-1].index("submitted") :]
        assert "live" not in after[3:], "the current turn, one that began meanwhile, and its own"
    sliders = [submit(True, str(i)) for i in range(60)]  # too many sliders for all work to wait for them
    for each in sliders:
        each.result(20)
    during = turns[-60:]
    assert {"batch", "film"} <= set(during)
    enough.set()
    film.join()
    for each in wall:
        each.cancel()
    queue.close()


def test_faces_of_all_clients_share_a_batch(model):
    queue, go_on, order = RenderQueue(), threading.Event(), []

    def submit(client):
        def latent():
            go_on.wait(20)
            order.append(client)
            return face_latent(model, Face("1"))

        return queue.submit(RenderJob(model, latent, client=client))

    futures = [submit("wall") for _ in range(200)] + [submit("other")]
    go_on.set()
    for each in futures:
        each.result(20)
    assert order.index("other") < 32, "the other client is in the first batch that begins after its request"
    queue.close()


def test_background_turn_ends_when_the_studio_stops(model):
    queue = RenderQueue()
    with queue.background_turn():
        waiting = queue.submit(RenderJob(model, lambda: face_latent(model, Face("1"))))
        closing = threading.Thread(target=queue.close)
        closing.start()
    closing.join(20)
    assert waiting.cancelled()
    with pytest.raises(RenderCancelled), queue.background_turn():
        pass


def test_pictures_load_after_a_restart_before_anything_else_was_requested(run):
    with client_of(Studio(OpenModels([run], ["tiny"]))) as client:
        model_id = first_model(client)["id"]
    for path in ("face.png?seed=1", "face.json?seed=1", "mix.png?terms=1-2%2B3", "walk.json?faces=1,2", "evaluation?"):
        with client_of(Studio(OpenModels([run], ["tiny"]))) as restarted:
            response = restarted.get(f"/api/{path}&model={model_id}")
            assert response.status_code == 200, (path, response.text)
    with client_of(Studio(OpenModels([run], ["tiny"]))) as restarted:
        error_of(restarted.get("/api/face.png?seed=1&model=0123456789abcdef"), 404)


def test_queue_of_a_client_lists_its_own_films_only(run, monkeypatch):
    from facesmith.studio import routes_render

    started, go_on = threading.Event(), threading.Event()

    def slow_film(*_):
        started.set()
        go_on.wait(20)
        return b"film"

    monkeypatch.setattr(routes_render, "render_walk", slow_film)
    with client_of(Studio(OpenModels([run], ["tiny"]))) as client:
        model_id = first_model(client)["id"]
        query = {"model": model_id, "faces": "1,2", "seconds": 1}
        owner, stranger = {"x-client": "a" * 32}, {"x-client": "b" * 32}
        film = threading.Thread(target=client.get, args=("/api/walk.mp4",), kwargs={"params": query, "headers": owner})
        film.start()
        assert started.wait(20)
        (job,) = client.get("/api/queue", headers=owner).json()["jobs"]
        assert (job["kind"], job["ahead"], job["progress"]) == ("film", 0, 0)
        assert client.get("/api/queue", headers=stranger).json() == {"jobs": [], "waiting": 0}
        assert client.get("/api/queue", headers={"x-client": "a	b"}).json()["jobs"] == []
        go_on.set()
        film.join()


def test_error_in_one_face_does_not_affect_the_others(model):
    queue = RenderQueue()
    bad = queue.submit(RenderJob(model, lambda: face_latent(model, Face("1", (("nothing", 1.0),)))))
    good = queue.submit(RenderJob(model, lambda: face_latent(model, Face("1"))))
    with pytest.raises(BadOption, match="nothing"):
        bad.result(20)
    assert (good.result(20) == model.sample([1])[0]).all()
    queue.close()


def test_damaged_directions_are_reported_and_faces_still_drawn(run, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (folder / "directions.safetensors").write_bytes(b"not safetensors")
    with client_of(Studio(OpenModels([folder], ["damaged"]))) as client:
        facts = first_model(client)
        assert facts["directions"] == []
        assert "is not a safetensors file" in facts["directions_error"]
        assert client.get("/api/face.png", params={"model": facts["id"], "seed": 1}).status_code == 200


def test_run_that_saves_gets_a_new_id(tmp_path):
    folder = tmp_path / "run"
    models = OpenModels([folder], ["run"])
    assert models.refresh() == [], "nothing is saved yet"
    saved_model(folder)
    ((first, _, model),) = models.refresh()
    saved_model(folder, seed=1)
    ((second, _, _),) = models.refresh()
    assert first != second
    assert models.get(first) is model
    (folder / "model.safetensors").write_bytes(b"half")
    assert [opened.id for opened in models.refresh()] == [second], "the last readable version stays open"


def test_walk_knows_its_number_of_frames():
    faces = (Face("1"), Face("2"), Face("3"))
    assert Walk(faces, seconds=2.0, fps=25).frame_count() == 150
    assert Walk(faces, closed=False, seconds=2.0, fps=25).frame_count() == 100
    with pytest.raises(BadOption, match="the limit is 1200"):
        Walk(faces, seconds=10.0, fps=50).frame_count()


def test_diagnosis_and_balance_of_a_run_are_not_folded(tmp_path):
    terms = {"D/loss": 0.7, "G/loss": 0.7, "D/accuracy_real": 0.8, "D/accuracy_fake": 0.8, "G/fooling_rate": 0.2}
    terms |= {DISTANCE: 0.2, VARIETY: 0.5}
    log = [{"seen": seen, "seconds": seen / 100} | terms for seen in (1000, 2000, 3000)]
    (tmp_path / PLAN).write_text("{}")
    (tmp_path / LOG).write_text("\n".join(map(json.dumps, log)))
    sections = run_view.details(tmp_path)["sections"]
    assert {section["title"] for section in sections if section["open"]} >= set(run_view.OPEN_SECTIONS)
    assert any(not section["open"] for section in sections)


def test_speed_of_a_very_short_last_interval_is_not_drawn(tmp_path):
    log = [
        {"seen": seen, "seconds": seen / 100, "images_per_second": 100 + seen / 1000}
        for seen in range(1000, 9000, 1000)
    ]
    last = {"seen": 8032, "seconds": 85, "images_per_second": 6.4, "G/loss": 1.0}

    def charts(lines):
        (tmp_path / PLAN).write_text("{}")
        (tmp_path / LOG).write_text("\n".join(map(json.dumps, lines)))
        return {chart["title"]: chart["svg"] for chart in run_view.comparison_charts([("run", tmp_path)])}

    with_last = charts([*log, last])
    assert with_last["images per second"] == charts(log)["images per second"]
    assert with_last.keys() >= {"generator loss"}, "its other values are drawn"
    real = log[-1] | {"seen": 8900, "images_per_second": 6.4}
    assert charts([*log, real])["images per second"] != charts(log)["images per second"], "a real drop is drawn"


def test_waiting_requests_end_when_the_studio_stops(run, monkeypatch):
    from facesmith.studio import routes_render

    started = threading.Event()

    def endless_film(_model, _walk, _suffix, job, queue, _marking):
        started.set()
        assert job.cancelled.wait(20)
        with queue.background_turn():
            raise AssertionError("the studio stops")

    monkeypatch.setattr(routes_render, "render_walk", endless_film)
    studio = Studio(OpenModels([run], ["tiny"]), long_jobs=JobQueue(threads=1))
    with client_of(studio) as client, ThreadPoolExecutor(2) as pool:
        query = {"model": first_model(client)["id"], "faces": "1,2"}
        films = [pool.submit(client.get, "/api/walk.mp4", params=query | {"seconds": i + 1}) for i in range(2)]
        assert started.wait(20)
        while not studio.long_jobs.status("testclient")["waiting"]:
            time.sleep(0.01)
        studio.stop()
        for film in films:
            assert "stopped" in error_of(film.result(20), 503)


def test_bundled_evaluation_is_shown():
    evaluation = evaluation_view.evaluation_of(load())
    assert len(evaluation["verdicts"]) == 5
    assert all(metric["meaning"] and metric["value"] is not None for metric in evaluation["metrics"])
    assert all(pair["ratio"] > 0 for pair in evaluation["nearest_pairs"])
    assert evaluation["about"].startswith("5000 samples (seeds 0-4999, psi 1)")
    assert evaluation["psi"] == 1, "the page draws the samples with it"


def test_damaged_evaluation_is_reported(run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    model = load(tmp_path)
    report = {"models": [{"sha256": model.hash}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(BadData, match=r"metrics is missing\. Run facesmith evaluate again"):
        evaluation_view.evaluation_of(model)


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"facesmith\[studio\]"):
        serve(StudioOptions(), QUIET)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_stop_signal_ends_the_studio_in_an_orderly_way(tmp_path, monkeypatch, name):
    number = getattr(signal, name)
    startup, closed = uvicorn.Server.startup, []

    async def start_and_stop(server, sockets=None):
        await startup(server, sockets)
        asyncio.get_running_loop().call_later(0.1, signal.raise_signal, number)

    monkeypatch.setattr(uvicorn.Server, "startup", start_and_stop)
    monkeypatch.setattr(Studio, "close", lambda studio: closed.append(studio))
    earlier = signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with handling_stop_signals(interrupt) as stop, pytest.raises(KeyboardInterrupt):
            serve(StudioOptions(models=[saved_model(tmp_path)]), QUIET)
        assert stop.received == number
    finally:
        signal.signal(number, earlier)
    assert len(closed) == 1


def test_missing_model_is_reported_before_the_page_opens(tmp_path):
    with pytest.raises(BadModel, match="does not exist"):
        serve(StudioOptions(models=[tmp_path / "nothing"]), QUIET)


def test_a_deleted_run_leaves_the_others_on_the_page(tmp_path):
    folders = {name: saved_model(tmp_path / name) for name in ("kept", "gone")}
    with client_of(
        Studio(OpenModels([folders["kept"]], ["tiny"]), folders, {name: name for name in folders})
    ) as client:
        for folder in folders.values():
            (folder / PLAN).write_text("{}")
            (folder / LOG).write_text('{"seen": 8, "seconds": 1}')
        shutil.rmtree(folders["gone"])
        assert [run["name"] for run in client.get("/api/runs").json()] == ["kept"]


def test_disk_errors_hide_no_other_run_and_reveal_no_path(tmp_path, monkeypatch, caplog):
    folders = {name * 12: saved_model(tmp_path / name) for name in "ab"}
    for folder in folders.values():
        (folder / PLAN).write_text("{}")
        (folder / LOG).write_text('{"seen": 8, "seconds": 1}')
    summary = run_view.summary

    def failing_summary(run_id, name, folder):
        if name == "second":
            raise OSError(5, "Input/output error", str(folder))
        return summary(run_id, name, folder)

    def failing_details(folder):
        raise OSError(5, "Input/output error", str(folder))

    monkeypatch.setattr(run_view, "summary", failing_summary)
    monkeypatch.setattr(run_view, "details", failing_details)
    names = dict(zip(folders, ("first", "second"), strict=True))
    with client_of(Studio(OpenModels([folders["a" * 12]], ["tiny"]), folders, names)) as client:
        assert [run["name"] for run in client.get("/api/runs").json()] == ["first"]
        message = error_of(client.get("/api/run", params={"run": "b" * 12}), 507)
    assert "Input/output error" in message
    assert str(tmp_path) not in message
    assert str(tmp_path) in caplog.text


def test_unknown_address_or_method_is_refused_in_one_line(client):
    assert "nothing at this address" in error_of(client.get("/api/nothing"), 404)
    response = client.post("/api/models")
    assert "method POST" in error_of(response, 405)
    assert response.headers["allow"] == "GET"


def test_commands_to_copy_name_paths_with_blanks(tmp_path):
    folder = saved_model(tmp_path / "my run")
    damaged = folder / "directions.safetensors"
    damaged.write_bytes(b"damaged")
    with client_of(Studio(OpenModels([folder], ["first"]))) as client:
        facts = first_model(client)
        assert facts["directions_error"]
        query = {"model": facts["id"]}
        commands = [
            facts["directions_command"],
            client.get("/api/evaluation", params=query).json()["command"],
            client.get("/api/describe.json", params=query | {"seed": 1}).json()["command"],
        ]
        for command in commands:
            words = shlex.split(command)
            assert words[words.index("--model") + 1] == str(folder / "model.safetensors"), command
        assert shlex.split(commands[0])[-1] == "--force", "without it, directions would refuse to replace the file"
        damaged.unlink()
        assert not first_model(client)["directions_command"].endswith("--force")


def test_a_checkpoint_is_never_in_the_future(tmp_path):
    """As on a network drive whose clock is ahead."""
    (tmp_path / PLAN).write_text("{}")
    (tmp_path / LOG).write_text('{"seen": 1000, "seconds": 10}\n')
    os.utime(tmp_path / LOG, (time.time() + 600,) * 2)
    assert run_view.summary("id", "first", tmp_path)["seconds_since_checkpoint"] == 0
