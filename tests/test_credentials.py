"""Signed content credentials, checked with the reader of c2pa-python."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import c2pa
import numpy as np
import pytest
from certificates import KEYS, PEM, write_chain
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa
from small import QUIET, saved_model

from facesmith.errors import BadOption
from facesmith.explore.sample import sample, sample_like
from facesmith.model import load
from facesmith.pictures.credentials import ASSERTION_LABEL, open_signer
from facesmith.pictures.images import read_picture, read_provenance, write_picture
from facesmith.pictures.provenance import seed_metadata, synthetic_metadata
from facesmith.watermark.marking import Marking

PIXELS = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
METADATA = synthetic_metadata("dcgan64", "f" * 64, seed_metadata([1], 1.0))
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}


def read(content, suffix, authority=None):
    """The reader's report. It trusts the authority, if one is given."""
    trust = {"trust": {"trust_anchors": authority}, "verify": {"verify_trust": True}} if authority else {}
    with (
        c2pa.Settings.from_dict(trust) as settings,
        c2pa.Context(settings) as context,
        c2pa.Reader(MEDIA_TYPES[suffix], io.BytesIO(content), context=context) as reader,
    ):
        return json.loads(reader.json())


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kind", list(KEYS))
def test_signed_images_are_verified_by_c2pas_reader(tmp_path, suffix, kind):
    chain, key, authority = write_chain(tmp_path, kind)
    path = write_picture(tmp_path / f"a.{suffix}", PIXELS, METADATA, open_signer(chain, key))
    report = read(path.read_bytes(), suffix, authority)
    assert report["validation_state"] == "Trusted"
    manifest = report["manifests"][report["active_manifest"]]
    assertions = {assertion["label"]: assertion["data"] for assertion in manifest["assertions"]}
    (action,) = next(data for label, data in assertions.items() if label.startswith("c2pa.actions"))["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert assertions[ASSERTION_LABEL] == METADATA
    assert manifest["signature_info"]["common_name"] == "signer"
    assert read_provenance(path) == METADATA
    plain = write_picture(tmp_path / f"b.{suffix}", PIXELS, METADATA)
    assert np.array_equal(read_picture(path), read_picture(plain)), "signing changes no pixel"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_the_documented_openssl_commands_make_a_chain_that_signs(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "share-a-model.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"^```bash\n(openssl .*?)^```", page, re.DOTALL | re.MULTILINE)
    subprocess.run(["bash", "-euc", commands], cwd=tmp_path, capture_output=True, check=True)
    signer = open_signer(tmp_path / "chain.pem", tmp_path / "key.pem")
    path = write_picture(tmp_path / "face.jpg", PIXELS, METADATA, signer)
    report = read(path.read_bytes(), "jpg", (tmp_path / "authority.pem").read_text())
    assert report["validation_state"] == "Trusted"
    assert read(path.read_bytes(), "jpg")["validation_state"] == "Valid", "for readers that trust nobody"


def test_an_unknown_authority_is_reported(tmp_path):
    chain, key, _ = write_chain(tmp_path)
    path = write_picture(tmp_path / "a.png", PIXELS, METADATA, open_signer(chain, key))
    report = read(path.read_bytes(), "png")
    assert report["validation_state"] == "Valid"
    assert [status["code"] for status in report["validation_status"]] == ["signingCredential.untrusted"]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_altered_image_is_detected(tmp_path, suffix):
    chain, key, authority = write_chain(tmp_path)
    path = write_picture(tmp_path / f"a.{suffix}", PIXELS, METADATA, open_signer(chain, key))
    altered = bytearray(path.read_bytes())
    altered[-60] ^= 1
    report = read(bytes(altered), suffix, authority)
    assert report["validation_state"] == "Invalid"
    assert "assertion.dataHash.mismatch" in [status["code"] for status in report["validation_status"]]


def test_signed_faces_can_be_redrawn_and_signed_again(tmp_path):
    chain, key, authority = write_chain(tmp_path)
    run, signer = saved_model(tmp_path / "run"), open_signer(chain, key)
    (path,) = sample(lambda: load(run), [4], tmp_path / "a.jpg", marking=Marking(sign=signer), console=QUIET)
    (folder,) = sample_like(lambda: load(run), path, tmp_path / "again", marking=Marking(sign=signer), console=QUIET)
    (single,) = folder.iterdir()
    assert read(single.read_bytes(), "png", authority)["validation_state"] == "Trusted"


def test_certificates_and_keys_that_cant_sign_are_refused(tmp_path):
    chain, key, _ = write_chain(tmp_path)
    _, other_key, _ = write_chain(tmp_path, "ed25519")
    self_signed, self_signed_key, _ = write_chain(tmp_path, "es384", self_signed=True)
    encrypted, dsa_key = tmp_path / "encrypted.pem", tmp_path / "dsa.pem"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    )
    dsa_key.write_bytes(
        dsa.generate_private_key(1024).private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert open_signer(None, None) is None
    for certificates, private_key, message in (
        (chain, None, "go together"),
        (None, key, "go together"),
        (tmp_path / "none.pem", key, "can't be read"),
        (key, key, "no certificates"),
        (chain, chain, "no private key"),
        (chain, other_key, "not the key of"),
        (chain, encrypted, "password"),
        (chain, dsa_key, "unsupported kind"),
        (self_signed, self_signed_key, "self-signed"),
    ):
        with pytest.raises(BadOption, match=message):
            open_signer(certificates, private_key)
