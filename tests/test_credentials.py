"""Signed content credentials, as c2pa's own reader sees them."""

from __future__ import annotations

import io
import json

import c2pa
import numpy as np
import pytest
from certificates import KEYS, PEM, write_chain
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa
from small import QUIET, saved_model

from facesmith.errors import BadOption
from facesmith.explore.sample import sample, sample_like
from facesmith.io.credentials import ASSERTION_LABEL, open_signer
from facesmith.io.images import read_picture, read_provenance, write_picture
from facesmith.io.provenance import seed_metadata, synthetic_metadata
from facesmith.model import load

PIXELS = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
TOLD = synthetic_metadata("dcgan64", "f" * 64, seed_metadata([1], 1.0))
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}


def read(content, suffix, authority=None):
    """What the reader makes of it; it trusts the authority, if one is given."""
    trust = {"trust": {"trust_anchors": authority}, "verify": {"verify_trust": True}} if authority else {}
    with (
        c2pa.Settings.from_dict(trust) as settings,
        c2pa.Context(settings) as context,
        c2pa.Reader(MEDIA_TYPES[suffix], io.BytesIO(content), context=context) as reader,
    ):
        return json.loads(reader.json())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kind", list(KEYS))
def test_its_own_reader_verifies_what_is_signed(tmp_path, suffix, kind):
    chain, key, authority = write_chain(tmp_path, kind)
    path = write_picture(tmp_path / f"a.{suffix}", PIXELS, TOLD, open_signer(chain, key))
    told = read(path.read_bytes(), suffix, authority)
    assert told["validation_state"] == "Trusted"
    manifest = told["manifests"][told["active_manifest"]]
    said = {each["label"]: each["data"] for each in manifest["assertions"]}
    (action,) = next(data for label, data in said.items() if label.startswith("c2pa.actions"))["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert said[ASSERTION_LABEL] == TOLD
    assert manifest["signature_info"]["common_name"] == "signer"
    assert read_provenance(path) == TOLD
    plain = write_picture(tmp_path / f"b.{suffix}", PIXELS, TOLD)
    assert np.array_equal(read_picture(path), read_picture(plain)), "no pixel is altered"


def test_who_does_not_know_the_authority_is_told_so(tmp_path):
    chain, key, _ = write_chain(tmp_path)
    path = write_picture(tmp_path / "a.png", PIXELS, TOLD, open_signer(chain, key))
    told = read(path.read_bytes(), "png")
    assert told["validation_state"] == "Valid"
    assert [each["code"] for each in told["validation_status"]] == ["signingCredential.untrusted"]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_altered_picture_is_found_out(tmp_path, suffix):
    chain, key, authority = write_chain(tmp_path)
    path = write_picture(tmp_path / f"a.{suffix}", PIXELS, TOLD, open_signer(chain, key))
    altered = bytearray(path.read_bytes())
    altered[-60] ^= 1
    told = read(bytes(altered), suffix, authority)
    assert told["validation_state"] == "Invalid"
    assert "assertion.dataHash.mismatch" in [each["code"] for each in told["validation_status"]]


def test_signed_faces_are_drawn_again_and_signed_again(tmp_path):
    chain, key, authority = write_chain(tmp_path)
    run, signer = saved_model(tmp_path / "run"), open_signer(chain, key)
    (path,) = sample(lambda: load(run), [4], tmp_path / "a.jpg", sign=signer, console=QUIET)
    (folder,) = sample_like(lambda: load(run), path, tmp_path / "again", sign=signer, console=QUIET)
    (single,) = folder.iterdir()
    assert read(single.read_bytes(), "png", authority)["validation_state"] == "Trusted"


def test_what_cannot_sign_is_told_of_before_anything_is_drawn(tmp_path):
    chain, key, _ = write_chain(tmp_path)
    _, other, _ = write_chain(tmp_path, "ed25519")
    alone, alones, _ = write_chain(tmp_path, "es384", self_signed=True)
    locked, odd = tmp_path / "locked.pem", tmp_path / "odd.pem"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    )
    odd.write_bytes(
        dsa.generate_private_key(1024).private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert open_signer(None, None) is None
    for certificates, secret, expected in (
        (chain, None, "go together"),
        (None, key, "go together"),
        (tmp_path / "none.pem", key, "can't be read"),
        (key, key, "no certificates"),
        (chain, chain, "no private key"),
        (chain, other, "not the key of"),
        (chain, locked, "password"),
        (chain, odd, "unsupported kind"),
        (alone, alones, "self-signed"),
    ):
        with pytest.raises(BadOption, match=expected):
            open_signer(certificates, secret)
