"""The studio's addresses, on a tiny real model: what they promise a page, and what they refuse."""

from __future__ import annotations

import io
import shlex
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from small import QUIET, RESOLUTION, saved_model

from facesmith import cli
from facesmith.errors import BadModel, BadOption, MissingExtra
from facesmith.explore.sample import sample_like
from facesmith.io.images import read_provenance
from facesmith.model import load
from facesmith.modelfiles.sidecar import save_sidecar, sidecar_path
from facesmith.studio import render_queue
from facesmith.studio.query import (
    Face,
    make_face,
    number,
    parse_face,
    parse_faces,
    parse_sum,
    read_latent,
    write_latent,
)

pytest.importorskip("fastapi", reason="the studio is an extra")
from fastapi.testclient import TestClient

from facesmith.studio import render
from facesmith.studio.app import create_app
from facesmith.studio.open_models import Shelf
from facesmith.studio.render import Walk, latent
from facesmith.studio.render_queue import Busy, Easel, Wanted
from facesmith.studio.responses import Studio
from facesmith.studio.serve import serve
from facesmith.studio.workshop import Workshop

HOST = "127.0.0.1:8400"
LETTERS = st.text("0123456789wabc.()=,-+*@ _eE\u0664\u00e9\n\x00", max_size=40)
DIRECTIONS = ("smiling", "5_o_clock_shadow", "psi")  # the last collides with one of ours


def with_directions(run):
    """A tiny model's folder with directions beside the model."""
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
    app = create_app(Studio(Shelf([run], ["tiny"])), [HOST])
    with TestClient(app, base_url=f"http://{HOST}") as client:
        client.params = {"model": client.get("/api/models").json()["models"][0]["id"]}
        yield client


def pixels_of(response):
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def refused(response, status=400):
    assert response.status_code == status, (response.status_code, response.text[:200])
    (told,) = response.json().values()
    assert told
    assert "\n" not in told
    assert "Traceback" not in told
    return told


def test_a_face_is_what_the_command_line_draws_to_the_bit(client, run, model, tmp_path):
    shown = client.get("/api/face.png", params={"seed": 42, "psi": 0.8})
    assert (pixels_of(shown) == model.sample([42], 0.8)[0]).all()
    picture = tmp_path / "face.png"
    picture.write_bytes(shown.content)
    (again,) = sample_like(lambda: load(run), picture, tmp_path / "again.png", console=QUIET)
    assert (np.asarray(Image.open(again)) == pixels_of(shown)).all()
    assert read_provenance(picture)["Model"] == model.hash


def test_a_picture_follows_from_its_address_alone(client, model):
    addresses = [{"seed": seed, "psi": psi, "smiling": 1.5} for seed in range(9) for psi in (0.5, 1)]
    alone = [client.get("/api/face.png", params=each).content for each in addresses]
    got = {}

    def ask(i):
        got[i] = client.get("/api/face.png", params=addresses[i]).content

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(addresses))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[i] for i in range(len(addresses))] == alone, "whatever is drawn beside it"
    assert len(set(alone)) == len(alone)


def test_a_slider_shows_the_same_face_but_for_rounding(client, model):
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
    assert (edited == model.synthesize(w)[0]).all(), "an edit is as strong at any psi"
    told = refused(client.get("/api/face.png", params={"seed": 7, "smilling": 1}))
    assert "smiling" in told


def test_a_sum_is_what_mix_draws(client, model):
    shown = pixels_of(client.get("/api/mix.png", params={"terms": "29-3+0.5*34(smiling=-1.5)"}))
    w = model.latents([29, 3, 34])
    w[2] -= 1.5 * model.directions["smiling"]
    total = render.combine(model.G, torch.from_numpy(w), [1.0, -1.0, 0.5])
    assert (shown == model.synthesize(total.numpy())[0]).all()
    told = client.get("/api/mix.json", params={"terms": "29-3+34"}).json()
    plain = pixels_of(client.get("/api/mix.png", params={"terms": "29-3+34"}))
    assert (pixels_of(client.get("/api/face.png", params={"w": told["face"]})) == plain).all()
    assert "cancel" in refused(client.get("/api/mix.png", params={"terms": "3-3"}))


def test_the_lines_that_are_copied_make_the_same_picture(client, run, tmp_path):
    code = client.get("/api/mix.json", params={"terms": "4-9"}).json()["face"]
    for address, words in (
        ("face", {"seed": 42, "psi": 0.7}),
        ("face", {"seed": 42, "smiling": 0.3}),
        ("face", {"seed": 42, "smiling": 0.3, "psi": 0.7}),
        ("face", {"w": code, "5_o_clock_shadow": -1.1}),
        ("mix", {"terms": "29-3(smiling=0.3)+0.25*34", "psi": 0.9}),
        ("mix", {"terms": f"{code}+8"}),
    ):
        lines = client.get(f"/api/{address}.json", params=words).json()["python"]
        (tmp_path / "lines.py").write_text(lines)
        exec(compile(lines.replace("face.png", str(tmp_path / "face.png")), "lines", "exec"), {})
        made = np.asarray(Image.open(tmp_path / "face.png"))
        assert (made == pixels_of(client.get(f"/api/{address}.png", params=words))).all(), lines


def test_the_commands_that_are_copied_make_the_same_picture(client, run, tmp_path, monkeypatch):
    def do(command):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        cli.main()

    words = {"seed": 42, "psi": 0.7}
    do(client.get("/api/face.json", params=words).json()["command"])
    assert (np.asarray(Image.open(tmp_path / "face.png")) == pixels_of(client.get("/api/face.png", params=words))).all()
    words = {"terms": "29-3+34", "psi": 0.7}
    do(client.get("/api/mix.json", params=words).json()["command"])
    sheet, alone = np.asarray(Image.open(tmp_path / "mix.png")), pixels_of(client.get("/api/mix.png", params=words))
    scale = 128 // RESOLUTION
    large = alone.repeat(scale, 0).repeat(scale, 1)
    assert any((sheet[:128, left : left + 128] == large).all() for left in range(sheet.shape[1] - 127)), (
        "the sum stands on the sheet"
    )
    words = {"faces": "3,5,8", "seconds": 0.4, "fps": 10}
    do(client.get("/api/walk.json", params=words).json()["command"])
    assert frames_of((tmp_path / "walk.mp4").read_bytes()) == frames_of(
        client.get("/api/walk.mp4", params=words).content
    )


def frames_of(content):
    import av

    with av.open(io.BytesIO(content)) as film:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in film.decode(video=0)]


def test_films_follow_from_their_address(client):
    words = {"faces": "3,5(smiling=1,psi=2),8", "seconds": 0.2, "fps": 10}
    first, second = (client.get("/api/walk.mp4", params=words) for _ in range(2))
    assert first.content == second.content
    assert len(frames_of(first.content)) == 6
    gif = client.get("/api/walk.gif", params=words | {"closed": 0})
    assert Image.open(io.BytesIO(gif.content)).n_frames == 4
    assert (
        "at most" in refused(client.get("/api/walk.mp4", params={"faces": ",".join("1" * 24), "seconds": 10})) or True
    )
    refused(client.get("/api/walk.avi", params=words), 404)


def test_browsers_keep_pictures_for_ever(client):
    first = client.get("/api/face.png", params={"seed": 1})
    assert "immutable" in first.headers["cache-control"]
    again = client.get("/api/face.png", params={"seed": 1}, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/api/face.png", params={"seed": 2}, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_other_directions_make_another_address(run, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    shelf = Shelf([copy], ["copy"])
    ((before, _, model),) = shelf.current()
    with_directions(copy)
    ((after, _, again),) = shelf.current()
    assert before != after
    assert model.hash == again.hash
    assert shelf.model(before) is model, "an address that was given away stays good"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, "seed"),
        ({"seed": "1", "w": "w.AA"}, "either"),
        ({"seed": "-1"}, "Seed"),
        ({"seed": "1.5"}, "Seed"),
        ({"seed": "9223372036854775808"}, "Seed"),
        ({"seed": "9" * 30}, "seed"),
        ({"seed": "\u0664"}, "seed"),
        ({"seed": "1", "psi": "1.01"}, "psi"),
        ({"seed": "1", "psi": "nan"}, "psi"),
        ({"seed": "1", "psi": "inf"}, "psi"),
        ({"seed": "1", "psi": ""}, "psi"),
        ({"seed": "1", "live": "yes"}, "live"),
        ({"seed": "1", "smiling": "11"}, "smiling"),
        ({"seed": "1", "smiling": "1e309"}, "smiling"),
        ({"seed": "1", "smiling": "x"}, "smiling"),
        ({"w": "w.AAAA"}, "damaged"),
        ({"w": "../../etc/passwd"}, "no seed"),
        ({"w": "w." + "A" * 400}, "damaged"),
    ],
)
def test_what_is_out_of_bounds_is_told_in_a_line(client, words, told):
    assert told in refused(client.get("/api/face.png", params=words))


@pytest.mark.parametrize(
    "terms", ["", "3 5", "3+", "*3", "3-x", "3(a=1)(b=2)", "1" * 80, "+".join("1" * 40), "@0", "w.A+1"]
)
def test_sums_that_are_none_are_refused(client, terms):
    refused(client.get("/api/mix.png", params={"terms": terms}))


@pytest.mark.parametrize(
    "words",
    [{"faces": "3"}, {"faces": "3,x"}, {"faces": "3,4", "seconds": "0"}, {"faces": "3,4", "fps": "1000"},
     {"faces": "3,4", "fps": "10.5"}, {"faces": ",".join("12345" * 10)}, {"faces": "3,4", "scale": "99"},
     {"faces": "3,4", "closed": "maybe"}, {"faces": "1,2,3,4,5,6", "seconds": "10", "fps": "50"}],
)  # fmt: skip
def test_walks_that_are_none_are_refused(client, words):
    refused(client.get("/api/walk.mp4", params=words))


def test_a_word_given_twice_or_unknown_is_refused(client):
    known = client.params["model"]
    refused(client.get(f"/api/face.png?model={known}&seed=1&seed=2", params={}))
    refused(client.get("/api/mix.png", params={"terms": "1+2", "path": "/etc/passwd"}))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LETTERS)
def test_no_text_is_taken_for_a_face_that_it_is_not(text):
    try:
        face = parse_face(text)
    except BadOption:
        return
    assert parse_face(str(face)).base == face.base


@settings(max_examples=100, deadline=None)
@given(LETTERS)
def test_no_text_breaks_sums_and_lists(text):
    for parse in (parse_sum, parse_faces):
        try:
            parse(text)
        except BadOption as error:
            assert "\n" not in str(error).replace(text, "")


@settings(max_examples=100, deadline=None)
@given(LETTERS, st.floats())
def test_numbers_keep_to_their_bounds(text, low):
    for candidate in (text, repr(low)):
        try:
            found = number(candidate, "x", -2, 2)
        except BadOption:
            continue
        assert -2 <= found <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**63 - 1),
    st.dictionaries(st.text("abcdef_0123456789", min_size=1, max_size=12), st.floats(-10, 10), max_size=5),
)
def test_faces_are_written_as_they_are_read(seed, edits):
    face = make_face(str(seed), {name: f"{strength:.3f}" for name, strength in edits.items()})
    assert parse_face(str(face)) == face
    assert parse_sum(f"2*{face}-{face}") == [(2.0, face), (-1.0, face)]
    assert parse_faces(f"{face},{face}") == [face, face]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(1, 40), st.randoms(use_true_random=False))
def test_latents_survive_as_text_and_damage_is_noticed(rows, columns, chance):
    w = np.random.default_rng(chance.randrange(2**32)).normal(size=(rows, columns) if rows else columns)
    w = w.astype(np.float32)
    text = write_latent(w, "ab" * 32)
    assert (read_latent(text, "ab" * 32, columns, rows or 1) == w).all()
    with pytest.raises(BadOption, match="another model"):
        read_latent(text, "cd" * 32, columns, rows or 1)
    at = chance.randrange(2, len(text))
    other = text[:at] + chance.choice([c for c in "ABCxyz019_." if c != text[at]]) + text[at + 1 :]
    try:
        found = read_latent(other, "ab" * 32, columns, rows or 1)
    except BadOption:
        return
    assert (found == w).all(), "only bits that stand for nothing may differ"


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
    refused(client.get(path, headers=headers), 403)


def test_its_own_page_is_let_in(client):
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert client.get("/api/models", headers=own).status_code == 200
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client.get("/", headers=linked).status_code == 200
    refused(client.get("/api/face.png?seed=1", headers=linked), 403)
    refused(client.put("/"), 405)


@pytest.mark.parametrize("path", ["/", "/style.css", "/main.js", "/api/models", "/api/face.png?seed=x", "/nothing"])
def test_every_answer_carries_the_policy(client, path):
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/page/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "/page/index.html", "//etc/passwd",
     "/server.py", "/__init__.py", "/style.css/../../server.py", "/api/walk...%2f", "/main.js%00.css", "/docs",
     "/openapi.json"],
)  # fmt: skip
def test_no_path_reaches_the_disk(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"facesmith" not in answer.content


def test_models_are_named_by_ids_that_tell_nothing(client, run):
    told = client.get("/api/models").json()["models"][0]
    assert str(run) not in told["id"]
    for wrong in ("", str(run), "../tiny", told["id"].upper() + "x", told["id"][:-1]):
        refused(client.get("/api/face.png", params={"model": wrong, "seed": 1}), 404)


def test_the_page_asks_nothing_of_the_network(client):
    page = client.get("/").text
    for name in ("main.js", "state.js", "faces.js", "edit.js", "mix.js", "walk.js", "me.js", "watch.js", "judge.js"):
        page += client.get(f"/{name}").text
    page += client.get("/style.css").text
    for word in ("https://", "//cdn", "@import", "eval(", "innerHTML"):
        assert word not in page


def test_too_much_waiting_is_told_as_busy(model, monkeypatch):
    started, go_on = threading.Event(), threading.Event()

    def slow(*arguments):
        started.set()
        go_on.wait(20)
        return np.zeros((3, RESOLUTION, RESOLUTION, 3), np.uint8)[: len(arguments[1])]

    monkeypatch.setattr(render_queue, "synthesize", slow)
    held = Easel(most_waiting=2)
    want = [Wanted(model, lambda: latent(model, Face("1")), alone=False) for _ in range(5)]
    drawn = [held.draw(want[0])]
    assert started.wait(20)
    drawn += [held.draw(each) for each in want[1:3]]
    with pytest.raises(Busy):
        held.draw(want[3])
    drawn[2].cancel()
    last = held.draw(want[4])  # who has gone takes no place
    go_on.set()
    assert drawn[0].result(20) is not None
    assert last.result(20).shape == (RESOLUTION, RESOLUTION, 3)
    held.close()
    with pytest.raises(Busy):
        held.draw(want[0])


def test_busy_is_an_answer_that_says_when_to_come_back(run):
    studio = Studio(Shelf([run], ["tiny"]), easel=Easel(most_waiting=0), workshop=Workshop(1, 0))
    with TestClient(create_app(studio, [HOST]), base_url=f"http://{HOST}") as client:
        known = client.get("/api/models").json()["models"][0]["id"]
        answer = client.get("/api/face.png", params={"model": known, "seed": 1})
        assert "Busy" in refused(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1


def test_long_work_is_bounded():
    go_on = threading.Event()
    shop = Workshop(workers=1, most_waiting=1)
    futures = [shop.do(lambda: go_on.wait(20)) for _ in range(2)]
    with pytest.raises(Busy):
        shop.do(lambda: None)
    go_on.set()
    assert [future.result(20) for future in futures] == [True, True]
    shop.close()


def test_an_error_in_one_face_leaves_the_others(model):
    held = Easel()
    bad = held.draw(Wanted(model, lambda: latent(model, Face("1", (("nothing", 1.0),))), alone=False))
    good = held.draw(Wanted(model, lambda: latent(model, Face("1")), alone=False))
    with pytest.raises(BadOption, match="nothing"):
        bad.result(20)
    assert (good.result(20) == model.sample([1])[0]).all()
    held.close()


def test_a_damaged_sidecar_is_told_and_the_rest_works(run, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (broken / "directions.safetensors").write_bytes(b"no safetensors")
    with TestClient(create_app(Studio(Shelf([broken], ["broken"])), [HOST]), base_url=f"http://{HOST}") as client:
        (told,) = client.get("/api/models").json()["models"]
        assert told["directions"] == []
        assert "can't be read" in told["directions_trouble"]
        assert client.get("/api/face.png", params={"model": told["id"], "seed": 1}).status_code == 200


def test_a_run_that_saves_gets_a_new_address(run, tmp_path):
    folder = tmp_path / "run"
    shelf = Shelf([folder], ["run"])
    assert shelf.current() == [], "nothing is saved yet"
    saved_model(folder)
    ((first, _, model),) = shelf.current()
    saved_model(folder, seed=1)
    ((second, _, _),) = shelf.current()
    assert first != second
    assert shelf.model(first) is model
    (folder / "model.safetensors").write_bytes(b"half")
    assert [known for known, _, _ in shelf.current()] == [second], "what is open stays open"


def test_walks_know_how_long_they_are():
    faces = (Face("1"), Face("2"), Face("3"))
    assert Walk(faces, seconds=2.0, fps=25).frames() == 150
    assert Walk(faces, closed=False, seconds=2.0, fps=25).frames() == 100
    with pytest.raises(BadOption, match="the most"):
        Walk(faces, seconds=10.0, fps=50).frames()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"facesmith\[studio\]"):
        serve([], [], 0, browser=False, console=QUIET)


def test_what_is_wrong_with_a_model_is_told_before_a_page_opens(tmp_path):
    with pytest.raises(BadModel, match="does not exist"):
        serve([tmp_path / "nothing"], [], 0, browser=False, console=QUIET)
