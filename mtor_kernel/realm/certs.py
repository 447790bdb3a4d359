"""Certificates for the realm's own Dask cluster: a private authority and one member's key pair.

Whoever reaches a Dask scheduler runs code on every member, so even a cluster on loopback takes
members by certificate only: otherwise any other account of the same machine could run code as you.
One pair serves scheduler, workers and realm alike, since Dask checks membership and not roles.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtor_kernel.protocol.errors import BadInput

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: Made anew when less than this is left.
_MARGIN = datetime.timedelta(days=30)
_LIFETIME = datetime.timedelta(days=825)
_AUTHORITY = "MTOR realm authority"
#: How long somebody may take to show a certificate, in seconds.
_GREETING = 5.0


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

    def check(self) -> Certs:
        """Return these, or raise :class:`BadInput` where they make nobody a member."""
        for path in (self.authority, self.certificate, self.key):
            if not path.is_file():
                raise BadInput(f"There is no {path}: `mtor certs` makes a cluster's certificates.")
        check_files(self.authority, self.certificate, self.key)
        return self

    def arguments(self) -> list[str]:
        """Return them as arguments of ``dask scheduler`` and ``dask worker``."""
        return [
            f"--tls-ca-file={self.authority}",
            f"--tls-cert={self.certificate}",
            f"--tls-key={self.key}",
        ]


def check_files(authority: Path, certificate: Path, key: Path) -> None:
    """Raise :class:`BadInput` where these cannot be read, do not fit, or have ended."""
    from cryptography import x509

    folder = certificate.parent
    try:
        context = ssl.create_default_context(cafile=authority)
        # Of a key that is locked nobody is asked for the password.
        context.load_cert_chain(certificate, key, password="")
        until = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The certificates in {folder} cannot be used ({error}): `mtor certs` makes others."
        ) from None
    if until <= datetime.datetime.now(datetime.UTC):
        raise BadInput(
            f"{certificate} ended on {until:%Y-%m-%d}: delete it and sign it anew by `mtor certs`."
        )


def recognise(address: str, authority: Path, certificate: Path, key: Path) -> None:
    """Raise :class:`BadInput` where who listens at ``tls://HOST:PORT`` is of another cluster.

    Dask goes on trying for ever there, and does not say why. Of one who does not answer nothing is
    known: it may be there later.
    """
    host, _, port = address.removeprefix("tls://").rpartition(":")
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False  # a member is known by who has signed it
    context.load_cert_chain(certificate, key, password="")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=_GREETING) as raw,
            context.wrap_socket(raw),
        ):
            return
    except ssl.SSLCertVerificationError as error:
        raise BadInput(
            f"Who listens at {address} is no member of this cluster ({error.verify_message}): take "
            f"the certificates of the one authority for all of them; {authority} is another's."
        ) from None
    except (OSError, ValueError):
        return


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


def sign_member(folder: Path, member: str, names: tuple[str, ...]) -> Certs:
    """Return the certificates of a new member, signed by the authority in `folder`.

    They are in a folder of its name. The authority is made at once where there is none. Whoever has
    its key, ``authority-key.pem``, can make members: it belongs on no machine of the cluster.

    Parameters
    ----------
    names
        Names and addresses under which the member is reached.

    Raises
    ------
    BadInput
        The member has certificates already, or the authority's key is not there.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    if not member or "/" in member or member.startswith("."):
        raise BadInput(f"{member!r} cannot be a member's name: it is the name of its folder.")
    certs = Certs(folder / member)
    if certs.certificate.exists():
        raise BadInput(f"{certs.certificate} is there already: delete it to sign {member} anew.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept, secret = folder / "authority.pem", folder / "authority-key.pem"
    if not kept.exists():
        made, made_key = _authority()
        _write(secret, _private(made_key))
        _write(kept, made.public_bytes(serialization.Encoding.PEM))
    if not secret.exists():
        raise BadInput(f"The authority's key {secret} is needed to sign {member}.")
    authority = x509.load_pem_x509_certificate(kept.read_bytes())
    key = serialization.load_pem_private_key(secret.read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    certs.certificate.parent.mkdir(mode=0o700, exist_ok=True)
    _sign(certs, authority, key, names)
    return certs


def _make(certs: Certs, names: tuple[str, ...]) -> None:
    """Sign one member by an authority whose key is then forgotten: nobody can join later."""
    _sign(certs, *_authority(), names)


def _authority() -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_AUTHORITY, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _sign(
    certs: Certs,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    names: tuple[str, ...],
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    member = (
        _builder("MTOR realm member", key)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(certs.key, _private(key))
    _write(certs.authority, authority.public_bytes(serialization.Encoding.PEM))
    # Last: it is the one that `_lasting` looks at.
    _write(certs.certificate, member.public_bytes(serialization.Encoding.PEM))


def _private(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _builder(subject: str, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(_AUTHORITY))
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
