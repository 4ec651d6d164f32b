"""Signed content credentials (C2PA): who says that a picture is synthetic, in a form that can't be altered unnoticed.

A signature needs a certificate chain (PEM, the signer's first) whose first certificate may sign (key usage
digitalSignature) and has an extended key usage such as emailProtection, and was issued by another: C2PA takes no
self-signed ones. Nothing is sent anywhere; no time stamp is asked for.

Source: C2PA Technical Specification 2.1, sections 13 (signatures), 14.5 (certificate profile) and 18.14 (actions).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesmith import __version__
from facesmith.errors import BadOption, MissingExtra
from facesmith.io.provenance import source_type

LABEL = "org.facesmith.drawing"  # of the assertion that holds our own words
MOST_BYTES = 2**20
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}  # a thumbnail of a face of 64 pixels is larger than the face


@dataclass(frozen=True)
class Signer:
    """Signs pictures; called as `provenance.Sign`."""

    chain: bytes
    key: bytes
    algorithm: str

    def __call__(self, content: bytes, media_type: str, told: Mapping[str, str]) -> bytes:
        """The same PNG or JPEG with credentials.

        Raises:
            BadOption: certificate and key don't do for it.
        """
        c2pa = _c2pa()
        kind = source_type(told)
        created = {"action": "c2pa.created", "softwareAgent": {"name": "facesmith", "version": __version__}}
        actions = [created | ({"digitalSourceType": kind} if kind else {})]
        manifest = {
            "claim_generator_info": [{"name": "facesmith", "version": __version__}],
            "title": told.get("Description", "A picture"),
            "format": media_type,
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": actions}},
                {"label": LABEL, "data": dict(told)},
            ],
        }
        signed = io.BytesIO()
        try:
            info = c2pa.C2paSignerInfo(self.algorithm.encode(), self.chain, self.key, None)
            with (
                c2pa.Settings.from_dict(SETTINGS) as settings,
                c2pa.Context(settings) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(manifest, context) as builder,
            ):
                builder.sign(signer, media_type, io.BytesIO(content), signed)
        except c2pa.C2paError as error:
            raise BadOption(f"--sign and --key can't sign: {' '.join(str(error).split())[:200]}") from None
        return signed.getvalue()


def open_signer(chain: Path | None, key: Path | None) -> Signer | None:
    """What signs with a certificate chain and its private key; None where neither is given.

    Raises:
        BadOption: only one is given, or they can't be read, don't belong together, or are of no kind that C2PA takes.
        MissingExtra: c2pa-python is not installed.
    """
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise BadOption("--sign CERTIFICATES and --key KEY go together; only one was given.")
    _c2pa()
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificates, secret = _read(chain), _read(key)
    try:
        first = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, IndexError):
        raise BadOption(f"--sign {chain} holds no certificates in PEM.") from None
    try:
        private = load_pem_private_key(secret, None)
    except TypeError:
        raise BadOption(f"--key {key} is locked with a password; give an unlocked copy.") from None
    except ValueError:
        raise BadOption(f"--key {key} holds no private key in PEM.") from None
    algorithm = _algorithm(private)
    if algorithm is None:
        raise BadOption(
            f"--key {key}: C2PA takes keys of ECDSA (P-256, P-384, P-521), Ed25519 or RSA, not of this kind."
        )
    if private.public_key() != first.public_key():
        raise BadOption(f"--key {key} is not the key of the first certificate in {chain}.")
    if first.issuer == first.subject:
        raise BadOption(
            f"--sign {chain}: its first certificate is self-signed; C2PA wants one that another has issued."
        )
    return Signer(certificates, secret, algorithm)


def _algorithm(private: Any) -> str | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match private:
        case ec.EllipticCurvePrivateKey():
            return {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}.get(private.curve.name)
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
    return None


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(MOST_BYTES)
    except OSError as error:
        raise BadOption(f"{path} can't be read: {error.strerror or error}.") from None


def _c2pa() -> Any:
    try:
        import c2pa  # type: ignore[import-untyped]
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtra("Signing needs an extra: pip install 'facesmith[c2pa]'") from None
    return c2pa
