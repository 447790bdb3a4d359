"""Certificates for the realm's own Dask cluster: a private authority and one member's key pair.

Whoever reaches a Dask scheduler runs code on every member, so even a cluster on loopback takes
members by certificate only: otherwise any other account of the same machine could run code as you.
One pair serves scheduler, workers and realm alike, since Dask checks membership and not roles.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: Made anew when less than this is left.
_MARGIN = datetime.timedelta(days=30)
_LIFETIME = datetime.timedelta(days=825)


class Certs:
    """The three files of a cluster's members, in a folder that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority.pem"
        self.certificate = folder / "member.pem"
        self.key = folder / "member-key.pem"

    def security(self) -> Any:
        """Return them as the :class:`distributed.Security` that takes nobody without one."""
        from distributed import Security

        return Security(
            tls_ca_file=str(self.authority),
            tls_client_cert=str(self.certificate),
            tls_client_key=str(self.key),
            require_encryption=True,
        )

    def arguments(self) -> list[str]:
        """Return them as arguments of ``dask scheduler`` and ``dask worker``."""
        return [
            f"--tls-ca-file={self.authority}",
            f"--tls-cert={self.certificate}",
            f"--tls-key={self.key}",
        ]


def ensure_certs(folder: Path, names: tuple[str, ...] = ("localhost", "127.0.0.1")) -> Certs:
    """Return the certificates in `folder`, made now if there are none or they end soon."""
    certs = Certs(folder)
    if not _lasting(certs.certificate):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        _make(certs, names)
    return certs


def _lasting(certificate: Path) -> bool:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    return found.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > _MARGIN


def _make(certs: Certs, names: tuple[str, ...]) -> None:
    """Sign one member by an authority whose key is then forgotten: nobody can join later."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        _builder("MTOR realm authority", "MTOR realm authority", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    member = (
        _builder("MTOR realm member", "MTOR realm authority", key)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(certs.key, secret)
    _write(certs.authority, authority.public_bytes(pem))
    # Last: it is the one that `_lasting` looks at.
    _write(certs.certificate, member.public_bytes(pem))


def _builder(subject: str, issuer: str, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _name(text: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else could ever read, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
