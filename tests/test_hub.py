"""Models on the Hub: upload, use by address, and clear messages if that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_stand_in import commit_id, serving
from hypothesis import given
from hypothesis import strategies as st
from small import saved_model

from facesmith.errors import BadData, BadOption
from facesmith.io.files import sha256
from facesmith.modelfiles.frontmatter import front_matter, read_front_matter, stated_hash
from facesmith.modelfiles.hub import Address, is_address, parse_address
from facesmith.modelfiles.locate import model_names
from facesmith.modelfiles.sidecar import HEADER_KEY

# Runs one command per line of input. It is a process of its own, because huggingface_hub reads its settings on import.
PROGRAM = """
import contextlib, io, json, os, sys
from facesmith import cli
for line in sys.stdin:
    os.environ["HF_TOKEN"], *arguments = json.loads(line)
    sys.argv, code = ["facesmith", *arguments], 0
    out, err = io.StringIO(), io.StringIO()
    cli.shared.console.file = err
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as exit:
            code = exit.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


@contextmanager
def program(home, endpoint, variables=None):
    """A function that runs a command with the Hub at this address. It returns exit code, stdout and stderr."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hub"), "HF_HUB_DISABLE_XET": "1", **(variables or {})}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **settings}, cwd=home,
    ) as process:  # fmt: skip

        def run(*arguments, token="hf_allowed"):
            process.stdin.write(json.dumps([token, *map(str, arguments)]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The working directory of the programs. It contains a run with a model, and the Hub's cache."""
    folder = tmp_path_factory.mktemp("home")
    saved_model(folder / "run")
    return folder


@pytest.fixture(scope="module")
def hub():
    with serving() as hub:
        yield hub


@pytest.fixture(scope="module")
def facesmith(home, hub):
    with program(home, hub.url) as run:
        yield run


def sidecar(model_hash):
    from safetensors.numpy import save

    return save({}, {HEADER_KEY: json.dumps({"format": 1, "kind": "directions", "model": model_hash})})


def test_a_model_is_uploaded_and_used_by_its_address(home, hub, facesmith):
    run = home / "run"
    model_hash = sha256(run / "model.safetensors")
    (run / "state.pt").write_bytes(b"not to be shared")
    (run / "directions.safetensors").write_bytes(sidecar(model_hash))
    (run / "inversion.safetensors").write_bytes(sidecar("0" * 64))
    code, out, err = facesmith("push", "hf://ada/faces", "--model", run, "--private")
    assert code == 0, err
    assert f"sha256 {model_hash}" in out
    assert "without a license" in err
    code, out, err = facesmith("push", "hf://ada/faces@main", "--model", run)
    assert code == 0, err
    assert "facesmith sample --model hf://ada/faces@main\n" in out
    files = hub.repos["ada/faces"][-1]
    assert hub.private["ada/faces"]
    assert set(files) == {"model.safetensors", "README.md", "directions.safetensors"}
    assert files["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert model_hash in files["README.md"].decode()

    code, _, err = facesmith("sample", "--model", "hf://ada/faces", "--seeds", "1", "--out", "a.png")
    assert code == 0, err
    assert f"sha256 {model_hash}" in err
    assert facesmith("sample", "--model", run, "--seeds", "1", "--out", "b.png")[0] == 0
    assert (home / "a.png").read_bytes() == (home / "b.png").read_bytes()
    first_commit = f"hf://ada/faces@{commit_id('ada/faces', 1)}"
    assert facesmith("mix", "1 + 2", "--model", first_commit, "--out", "m.png")[0] == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"license": "proprietary"}, '"license" must be one of'),
        ({"datasets": ["my photos"]}, '"datasets[0]" with value "my photos" is not valid. Correct these fields'),
    ],
)
def test_a_card_that_the_hub_refuses_is_explained_and_leaves_no_repository(home, hub, facesmith, fields, message):
    run = saved_model(home / "refused")
    own = {"facesmith": {"model_sha256": sha256(run / "model.safetensors")}}
    (run / "README.md").write_text(front_matter({**fields, **own}))
    code, out, err = facesmith("push", "hf://ada/refused", "--model", run)
    assert (code, out) == (1, "")
    assert message in err.splitlines()[-1]
    assert "facesmith card" in err.splitlines()[-1]
    assert "ada/refused" not in hub.repos


def test_a_card_with_texts_of_ones_own_is_accepted_by_the_hub(home, hub, facesmith):
    run = saved_model(home / "texts")
    code, _, err = facesmith("card", run, "--data", "my photos", "--license", "proprietary")
    assert code == 0, err
    code, _, err = facesmith("push", "hf://ada/texts", "--model", run)
    assert code == 0, err
    card = hub.repos["ada/texts"][-1]["README.md"].decode()
    assert "license_name: proprietary\n" in card
    assert "data: my photos\n" in card


def test_a_card_that_is_not_utf8_leaves_no_repository(home, hub, facesmith):
    run = saved_model(home / "latin")
    own = front_matter({"facesmith": {"model_sha256": sha256(run / "model.safetensors")}})
    (run / "README.md").write_bytes(own.encode() + b"caf\xe9")
    code, _, err = facesmith("push", "hf://ada/latin", "--model", run)
    assert code == 1
    assert err.splitlines()[-1].endswith("README.md is not UTF-8 text. Save it as UTF-8.")
    assert "ada/latin" not in hub.repos


def test_a_model_of_another_name_is_uploaded_with_its_own_files(home, hub, facesmith):
    run = saved_model(home / "named")
    best = (run / "model.safetensors").rename(run / "best.safetensors")
    (run / "directions.safetensors").write_bytes(sidecar("0" * 64))
    (run / "best.directions.safetensors").write_bytes(sidecar(sha256(best)))
    assert facesmith("push", "hf://ada/best", "--model", best)[0] == 0
    files = hub.repos["ada/best"][-1]
    assert set(files) == {"model.safetensors", "README.md", "directions.safetensors"}
    assert files["directions.safetensors"] == sidecar(sha256(best))
    # It is named after its place on the Hub, not after its file in the cache.
    code, _, err = facesmith("sample", "--model", "hf://ada/best", "--seeds", "1", "--out", "best.png")
    assert code == 0, err
    (cached,) = (home / "hub").rglob("models--ada--best/snapshots/*/model.safetensors")
    assert model_names([cached, home / "run"]) == ["ada/best", "run"]


def test_missing_models_and_revisions_are_reported(hub, facesmith):
    hub.repos["bob/faces"] = [{}]
    code, _, err = facesmith("sample", "--model", "hf://bob/none", "--out", "c.png")
    assert code == 1
    assert "no such model, or it is private" in err
    code, _, err = facesmith("sample", "--model", "hf://bob/faces@v9", "--out", "c.png")
    assert code == 1
    assert "no revision 'v9'" in err


def test_without_network_a_downloaded_model_still_works(home, hub, facesmith):
    hub.repos["cat/faces"] = [{"model.safetensors": (home / "run" / "model.safetensors").read_bytes()}]
    sample = ("sample", "--seeds", "1", "--model")
    assert facesmith(*sample, "hf://cat/faces", "--out", "online.png")[0] == 0
    with program(home, "http://127.0.0.1:9") as offline:
        code, _, err = offline(*sample, "hf://cat/faces", "--out", "offline.png")
        assert code == 0, err
        assert (home / "offline.png").read_bytes() == (home / "online.png").read_bytes()
        code, _, err = offline(*sample, "hf://cat/other", "--out", "other.png")
        assert code == 1
        assert "Check the network." in err
        assert err.count("\n") == 1


def test_the_offline_mode_is_never_called_a_missing_network(home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with program(home, "http://127.0.0.1:9") as offline:
        for command, what in (
            (
                ["sample", "--model", "hf://cat/other", "--out", "other.png"],
                "offline mode of the Hub is switched on, and",
            ),
            (["push", "hf://cat/faces", "--model", home / "run"], "offline mode of the Hub is switched on. To"),
        ):
            code, _, err = offline(*command)
            assert code == 1
            assert what in err.splitlines()[-1]
            assert "Check the network" not in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "contains no model.safetensors"),
        ("pickle", "is a PyTorch file, which may contain code"),
        ("changed", "one of them was changed"),
    ],
)
def test_repositories_without_a_valid_model_are_refused(home, hub, facesmith, name, message):
    model = (home / "run" / "model.safetensors").read_bytes()
    card = f"---\nfacesmith:\n  model_sha256: {'a' * 64}\n---\n".encode()
    hub.repos["eve/empty"] = [{"README.md": b"---\nlicense: mit\n---\n"}]
    hub.repos["eve/pickle"] = [{"model.safetensors": b"\x80\x04cposix\nsystem\n"}]
    hub.repos["eve/changed"] = [{"model.safetensors": model, "README.md": card}]
    code, _, err = facesmith("sample", "--model", f"hf://eve/{name}", "--out", "eve.png")
    assert code == 1
    assert message in err


def test_uploading_without_permission_is_reported(home, facesmith):
    code, _, err = facesmith("push", "hf://eve/new", "--model", home / "run", token="hf_other")
    assert code == 1
    assert "hf auth login" in err


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"HTTPS_PROXY": "http://127.0.0.1:9", "HF_ENDPOINT": "https://hub.invalid"}, "and the proxy in HTTPS_PROXY."),
        ({"HF_ENDPOINT": "hub.invalid"}, "it must start with https://"),
        ({"HF_ENDPOINT": "https://localhost:9", "SSL_CERT_FILE": "no-certificate"}, "set SSL_CERT_FILE to a file"),
    ],
)
def test_an_unreachable_hub_is_explained_by_the_environment(home, variables, advice):
    (home / "no-certificate").write_text("no certificate")
    with program(home, "http://127.0.0.1:9", variables) as facesmith:
        code, _, err = facesmith("sample", "--model", "hf://cat/other", "--out", "other.png")
    assert (code, err.count("\n")) == (1, 1)
    assert advice in err


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "no right"),
        (404, "no such model"),
        (407, "proxy of this network requires a login"),
        (413, "too large"),
        pytest.param(429, "too many requests", marks=pytest.mark.slow),  # the client waits and tries again
        (507, "status 507"),
    ],
)
def test_an_answer_of_the_hub_is_never_called_a_missing_network(home, hub, facesmith, status, message):
    hub.statuses["dan/faces"] = status
    for command in (
        ["sample", "--model", "hf://dan/faces", "--out", "dan.png"],
        ["push", "hf://dan/faces", "--model", home / "run"],
    ):
        code, out, err = facesmith(*command)
        assert (code, out) == (1, "")
        assert message in err.splitlines()[-1], err
        assert "Check the network" not in err


def test_a_login_page_in_place_of_the_hub_is_named(facesmith, hub):
    hub.statuses["dan/faces"], hub.body = 200, b"<html>Log in to the network</html>"
    code, out, err = facesmith("sample", "--model", "hf://dan/faces", "--out", "dan.png")
    assert (code, out) == (1, "")
    assert err.endswith("answered with something else than the Hub's data, such as a login page.\n")


NAMES = st.text("abzAZ09_-", min_size=1, max_size=20)


@given(NAMES, NAMES)
def test_an_address_survives_conversion_to_a_path(user, name):
    repo = f"{user}/{name}"
    for text, revision in (
        (f"hf://{repo}", None),
        (f"hf://{repo}@v1.0", "v1.0"),
        (f"hf://{repo}@refs/pr/1", "refs/pr/1"),
    ):
        assert is_address(Path(text))
        assert parse_address(Path(text)) == parse_address(text) == Address(repo, revision)
        assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text", ["hf://", "hf://faces", "hf://a/b/c", "hf://a/b@", "hf://../b", "hf://a/..", "hf://a/b@../c", "hf://a b/c"]
)
def test_invalid_addresses_are_refused(text):
    assert is_address(Path(text))
    with pytest.raises(BadOption, match="hf://user/name"):
        parse_address(text)


def test_front_matter_is_read_whoever_wrote_it(tmp_path):
    card = tmp_path / "README.md"
    assert read_front_matter(card) == {}
    for text, expected in (
        ("no front matter", {}),
        ("---\nlicense: mit\n", {}),
        ("---\n- a list\n---\n", {}),
        ("---\r\nlicense: no\r\nfacesmith:\r\n  model_sha256: 'ab'\r\n---\r\n",
         {"license": "no", "facesmith": {"model_sha256": "ab"}}),
        ('---\nlicense_name: "a \\"b\\""\n---\nlicense: no', {"license_name": 'a "b"'}),
        ("---\nlicense: \xff---\n---\n", {"license": "\xff---"}),
        ("\ufeff---\nlicense: mit\n---\n", {"license": "mit"}),
        ("---\nwhen: !!timestamp never\nrun: !!python/object/apply:os.abort []\n---\n", {"when": "never", "run": []}),
        ('---\nname: "a\\uD800"\n---\n', {"name": "a\\ud800"}),
    ):  # fmt: skip
        card.write_text(text, encoding="utf-8", newline="")
        assert read_front_matter(card) == expected
    for text, expected in (("facesmith: {model_sha256: ab}", "ab"), ("facesmith: ab", None), ("license: mit", None)):
        card.write_text(f"---\n{text}\n---\n")
        assert stated_hash(card) == expected


@pytest.mark.parametrize("text", ['broken: "x', "a: b: c", "\tx: 1", "? [a]: b\n? {c: d}: e", "[" * 5000, "a: &a [*b]"])
def test_hostile_front_matter_ends_in_one_line(tmp_path, text):
    card = tmp_path / "README.md"
    card.write_text(f"---\n{text}\n---\n")
    with pytest.raises(BadData, match="the front matter is not valid YAML") as error:
        read_front_matter(card)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
