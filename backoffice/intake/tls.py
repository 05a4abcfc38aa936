"""The server's own certificate. Devices are provisioned with the SHA-256 of its public key, not with a chain.

P-256: the curve that every small TLS stack has.
"""

import datetime
import hashlib
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

VALID_DAYS = 3650  # what devices check is the pin, and a pin has no date


def key_path(db: Path) -> Path:
    return db.with_name(db.name + ".tls-key.pem")


def certificate_path(db: Path) -> Path:
    return db.with_name(db.name + ".tls-cert.pem")


def make_certificate(db: Path, audience: str, now_s: int) -> str:
    """Write key (0600) and certificate beside the database; returns the pin, 64 hex digits."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, audience)])
    since = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since - datetime.timedelta(days=1))  # devices' clocks may be slow
        .not_valid_after(since + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(audience)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_private(key_path(db), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate_path(db).write_bytes(certificate.public_bytes(Encoding.PEM))
    return hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _general_name(audience: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(audience))
    except ValueError:
        return x509.DNSName(audience)


def _write_private(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
