"""Signed content credentials (C2PA): tamper-evident metadata that says who declares an image synthetic.

A signature needs a certificate chain in PEM, with the signer's certificate first. That certificate must have the key
usage digitalSignature and an extended key usage such as emailProtection, and must not be self-signed. Signing works
offline; the signature has no time stamp.

Source: C2PA Technical Specification 2.1, sections 13 (signatures), 14.5 (certificate profile) and 18.14 (actions).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from msgspec import Struct, field

from facesmith import __version__
from facesmith.errors import BadOption, MissingExtra
from facesmith.io.file_kinds import HEAD_BYTES, kind_of_content
from facesmith.io.files import read_regular_file
from facesmith.io.json_files import parse_as
from facesmith.io.messages import one_line
from facesmith.pictures.provenance import SOURCE_TYPES, source_type

ASSERTION_LABEL = "org.facesmith.drawing"  # the assertion that contains the image's metadata entries
MAX_PEM_BYTES = 2**20
MEDIA_TYPES = {  # of the kinds of files whose credentials are read
    **{name: f"image/{name.lower()}" for name in ("PNG", "JPEG", "GIF", "TIFF", "WebP", "AVIF", "HEIC")},
    **{"JPEG XL": "image/jxl", "MP4 or QuickTime": "video/mp4", "QuickTime": "video/quicktime", "AVI": "video/avi"},
}
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}  # a thumbnail would be larger than a 64x64 face


@dataclass(frozen=True)
class Signer:
    """Adds signed content credentials to a picture or film; a `provenance.Sign`."""

    chain: bytes
    key: bytes
    algorithm: str

    def __call__(self, content: bytes, media_type: str, metadata: Mapping[str, str]) -> bytes:
        """Add credentials to an encoded picture or film.

        Raises:
            BadOption: C2PA does not accept the certificates or the key.
        """
        c2pa = _import_c2pa()
        kind = source_type(metadata)
        created = {"action": "c2pa.created", "softwareAgent": {"name": "facesmith", "version": __version__}}
        actions = [created | ({"digitalSourceType": kind} if kind else {})]
        manifest = {
            "claim_generator_info": [{"name": "facesmith", "version": __version__}],
            "title": metadata.get("Description", "A picture"),
            "format": media_type,
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": actions}},
                {"label": ASSERTION_LABEL, "data": dict(metadata)},
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
            reason = " ".join(str(error).split())[:200]
            raise BadOption(f"C2PA can't sign with these --sign and --key: {reason}") from None
        return signed.getvalue()


@dataclass(frozen=True)
class Credentials:
    """The content credentials of a picture.

    Attributes:
        signer: the name in the signer's certificate.
        intact: whether the picture is as it was when it was signed. Whether the signer can be trusted is another
            question: Facesmith knows no list of authorities.
        synthetic: whether they say that the picture was made by a trained algorithm, at least in part.
    """

    signer: str
    intact: bool
    synthetic: bool

    def summary(self) -> str:
        """Return them as text."""
        kind = "generated" if self.synthetic else "not said to be generated"
        return f"{kind}, signed by {one_line(self.signer, 60)}, {'intact' if self.intact else 'ALTERED since'}"


def read_credentials(stream: IO[bytes]) -> Credentials | None:
    """Read the signed content credentials of a picture or film. None without any, or without c2pa-python."""
    media_type = MEDIA_TYPES.get(kind_of_content(stream.read(HEAD_BYTES)).name)
    stream.seek(0)
    try:
        c2pa = _import_c2pa()
    except MissingExtra:
        return None
    if media_type is None:
        return None
    try:
        with c2pa.Reader(media_type, stream) as reader:
            report = parse_as(reader.json(), _Report)
    except (c2pa.C2paError, ValueError):  # no credentials, or damaged ones
        return None
    manifest = report.manifests.get(report.active_manifest or "")
    if manifest is None:
        return None
    synthetic = any(name in json.dumps(manifest.assertions) for name in SOURCE_TYPES.values())
    return Credentials(
        manifest.signature_info.common_name or "unknown", report.validation_state != "Invalid", synthetic
    )


class _Signature(Struct):
    common_name: str | None = None


class _Manifest(Struct):
    signature_info: _Signature = field(default_factory=_Signature)
    assertions: list[Any] = field(default_factory=list)


class _Report(Struct):
    """The part of a report of c2pa's reader that is used."""

    active_manifest: str | None = None
    manifests: dict[str, _Manifest] = field(default_factory=dict)
    validation_state: str = ""


def open_signer(chain: Path | None, key: Path | None) -> Signer | None:
    """Read a certificate chain and its private key. None if neither is given.

    Raises:
        BadOption: only one is given, a file can't be read, they don't match, or C2PA does not accept their kind.
        MissingExtra: c2pa-python is not installed.
    """
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise BadOption("--sign CERTIFICATES and --key KEY go together; only one was given.")
    _import_c2pa()
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificates, secret = _read_pem(chain), _read_pem(key)
    try:
        first = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, IndexError):
        raise BadOption(f"--sign {chain} contains no certificates in PEM format.") from None
    try:
        private = load_pem_private_key(secret, None)
    except TypeError:
        raise BadOption(f"--key {key} is protected by a password. Use an unencrypted copy.") from None
    except ValueError:
        raise BadOption(f"--key {key} contains no private key in PEM format.") from None
    algorithm = _algorithm(private)
    if algorithm is None:
        raise BadOption(f"--key {key} is of an unsupported kind. Use ECDSA (P-256, P-384, P-521), Ed25519 or RSA.")
    if private.public_key() != first.public_key():
        raise BadOption(f"--key {key} is not the key of the first certificate in {chain}.")
    if first.issuer == first.subject:
        raise BadOption(f"--sign {chain}: its first certificate is self-signed. C2PA needs one issued by an authority.")
    return Signer(certificates, secret, algorithm)


def _algorithm(private: Any) -> str | None:
    """C2PA's name for the signature algorithm of a private key. None if unsupported."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match private:
        case ec.EllipticCurvePrivateKey():
            return {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}.get(private.curve.name)
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
    return None


def _read_pem(path: Path) -> bytes:
    try:
        return read_regular_file(path, MAX_PEM_BYTES)
    except OSError as error:
        raise BadOption(f"{path} can't be read: {error.strerror or error}.") from None


def _import_c2pa() -> Any:
    try:
        import c2pa  # type: ignore[import-untyped]
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtra("Signing needs an extra: pip install 'facesmith[c2pa]'") from None
    return c2pa
