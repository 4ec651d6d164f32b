"""Create a temporary certificate authority, and keys with certificate chains that C2PA accepts."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM
KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


def write_chain(folder, kind="es256", *, self_signed=False):
    """Write a certificate chain and a key. Returns their paths and the authority's certificate in PEM."""
    authority, own = KEYS["es256"](), KEYS[kind]()
    ca = _signed("authority", "authority", authority, authority, is_authority=True)
    leaf = (
        _signed("signer", "signer", own, own, is_authority=False)
        if self_signed
        else _signed("signer", "authority", own, authority, is_authority=False)
    )
    chain, key = folder / f"{kind}-chain.pem", folder / f"{kind}-key.pem"
    chain.write_bytes(leaf.public_bytes(PEM) + (b"" if self_signed else ca.public_bytes(PEM)))
    key.write_bytes(own.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return chain, key, ca.public_bytes(PEM).decode()


def _signed(subject, issuer, key, issuers_key, *, is_authority):
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"], False,
    )  # fmt: skip
    usage |= {"digital_signature": True, "key_cert_sign": is_authority, "crl_sign": is_authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuers_key, hashes.SHA256() if isinstance(issuers_key, ec.EllipticCurvePrivateKey) else None)


def _name(common):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Facesmith's tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
