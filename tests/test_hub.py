"""Models on the Hub: pushed, drawn from by their address, and told of plainly where that can't be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_stand_in import commit_id, serving
from hypothesis import given
from hypothesis import strategies as st
from small import saved_model

from facesmith.errors import BadOption
from facesmith.io.files import sha256
from facesmith.modelfiles.checkpoint import HEADER_KEY
from facesmith.modelfiles.frontmatter import fields
from facesmith.modelfiles.hub import Address, is_address, parse_address

# One process for several commands: the Hub's package reads its settings once, when it is loaded.
RUN = """
import json, sys, io, contextlib
from facesmith import cli
for command in json.loads(sys.argv[1]):
    sys.argv, code = ["facesmith", *command], 0
    out, err = io.StringIO(), io.StringIO()
    cli.shared.console.file = err
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as exit:
            code = exit.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def told(home, endpoint, *commands, token="hf_allowed"):
    """Exit code, stdout and stderr of each command, with the Hub at that address."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hub"), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
    arguments = [sys.executable, "-c", RUN, json.dumps([list(map(str, command)) for command in commands])]
    run = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **settings}, cwd=home)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_model_goes_to_the_hub_and_comes_back(tmp_path):
    run = saved_model(tmp_path / "run")
    model_hash = sha256(run / "model.safetensors")
    (run / "state.pt").write_bytes(b"what is not to be shared")
    (run / "directions.safetensors").write_bytes(sidecar(model_hash))
    (run / "inversion.safetensors").write_bytes(sidecar("0" * 64))
    with serving() as hub:
        pushed, again, drawn, pinned, here, wrong, gone = told(
            tmp_path,
            hub.url,
            ["push", "hf://ada/faces", "--model", run, "--private"],
            ["push", "hf://ada/faces", "--model", run],
            ["sample", "--model", "hf://ada/faces", "--seeds", "1", "--out", "a.png"],
            ["mix", "1 + 2", "--model", f"hf://ada/faces@{commit_id('ada/faces', 1)}", "--out", "m.png"],
            ["sample", "--model", run, "--seeds", "1", "--out", "b.png"],
            ["sample", "--model", "hf://ada/none", "--out", "c.png"],
            ["sample", "--model", "hf://ada/faces@v9", "--out", "c.png"],
        )
        files = hub.repos["ada/faces"][-1]
        assert hub.private["ada/faces"]
    assert pushed[0] == again[0] == drawn[0] == pinned[0] == here[0] == 0, (pushed, drawn, pinned)
    assert f"sha256 {model_hash}" in pushed[1]
    assert "no licence" in pushed[2]
    assert set(files) == {"model.safetensors", "README.md", "directions.safetensors"}
    assert files["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert model_hash in files["README.md"].decode()
    assert f"sha256 {model_hash}" in drawn[2]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert wrong[0] == gone[0] == 1
    assert "no such model, or it is private" in wrong[2]
    assert "no revision 'v9'" in gone[2]
    # Without a network what was fetched before still draws, and nothing else does.
    cached, absent = told(
        tmp_path,
        "http://127.0.0.1:9",
        ["sample", "--model", "hf://ada/faces", "--seeds", "1", "--out", "d.png"],
        ["sample", "--model", "hf://bea/faces", "--seeds", "1", "--out", "e.png"],
    )
    assert cached[0] == 0
    assert (tmp_path / "d.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert absent[0] == 1
    assert "Check the network." in absent[2]
    assert absent[2].count("\n") == 1


def test_what_is_not_what_it_says_is_refused(tmp_path):
    run = saved_model(tmp_path / "run")
    with serving() as hub:
        hub.repos["eve/empty"] = [{"README.md": b"---\nlicense: mit\n---\n"}]
        hub.repos["eve/pickle"] = [{"model.safetensors": b"\x80\x04cposix\nsystem\n"}]
        model = (run / "model.safetensors").read_bytes()
        hub.repos["eve/changed"] = [
            {"model.safetensors": model, "README.md": f"---\nfacesmith:\n  model_sha256: {'a' * 64}\n---\n".encode()}
        ]
        empty, pickle, changed, forbidden = told(
            tmp_path,
            hub.url,
            *(["sample", "--model", f"hf://eve/{name}", "--out", "a.png"] for name in ("empty", "pickle", "changed")),
            ["push", "hf://eve/new", "--model", run],
            token="hf_other",
        )
    assert [each[0] for each in (empty, pickle, changed, forbidden)] == [1, 1, 1, 1]
    assert "contains no model.safetensors" in empty[2]
    assert "safetensors" in pickle[2]
    assert "one of them was changed" in changed[2]
    assert "hf auth login" in forbidden[2]


NAMES = st.text("abzAZ09_-", min_size=1, max_size=20)


@given(NAMES, NAMES)
def test_an_address_survives_being_a_path(user, name):
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
def test_other_addresses_are_told_of(text):
    with pytest.raises(BadOption, match="hf://user/name"):
        parse_address(text)


def test_a_cards_fields_are_read_whoever_wrote_them(tmp_path):
    card = tmp_path / "README.md"
    assert fields(card) == {}
    for text, expected in (
        ("no head", {}),
        ("---\nlicense: mit\n", {}),
        (
            "---\r\nlicense: mit\r\nfacesmith:\r\n  model_sha256: 'ab'\r\n---\r\n",
            {"license": "mit", "model_sha256": "ab"},
        ),
        ('---\nlicense_name: "a \\"b\\""\nbroken: "x\n---\nlicense: no', {"license_name": 'a "b"', "broken": '"x'}),
        ("---\nlicense: \xff---\n---\n", {"license": "\xff---"}),
    ):
        card.write_text(text, encoding="utf-8")
        assert fields(card) == expected


def sidecar(model_hash):
    from safetensors.numpy import save

    return save({}, {HEADER_KEY: json.dumps({"format": 1, "kind": "directions", "model": model_hash})})
