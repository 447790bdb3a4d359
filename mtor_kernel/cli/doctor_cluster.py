"""What ``mtor doctor`` finds of the Dask cluster: its certificates, its addresses, who gets in.

Whoever gets into a Dask cluster runs code on every member. So each address is tried as a stranger
would, without a certificate, and not believed by its name.
"""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mtor_kernel.cli.findings import Finding, Mark
from mtor_kernel.realm.certs import Certs

#: How long a member of the cluster may take to answer, on a machine that is busy, in seconds.
ANSWER_SECONDS = 20.0


def check_cluster(certs: Certs, scheduler: str) -> Iterator[Finding]:
    """Look at the members' certificate and, where there is a `scheduler`, at every address."""
    if not certs.certificate.is_file():
        yield Finding(Mark.NOTE, f"no certificates in {certs.certificate.parent} yet")
        return
    yield from _certificate(certs)
    if not scheduler:
        yield Finding(Mark.NOTE, "no scheduler runs")
        return
    try:
        workers = asyncio.run(_workers(scheduler, certs))
    except Exception as error:  # noqa: BLE001 - Dask raises OSError, and what is no address ValueError
        yield Finding(Mark.BAD, f"scheduler {scheduler} does not answer ({type(error).__name__})")
        workers = []
    yield _member("scheduler", scheduler)
    for worker in workers:
        yield _member("worker", worker)


def scheduler_of(folder: Path) -> str:
    """Return the address of the scheduler that writes into `folder`; empty where none did."""
    try:
        return str(msgspec.json.decode((folder / "scheduler.json").read_bytes())["address"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return ""


def _certificate(certs: Certs) -> Iterator[Finding]:
    from cryptography import x509

    mode = stat.S_IMODE(certs.key.stat().st_mode)
    safe = not mode & 0o077
    yield Finding(Mark.WELL if safe else Mark.BAD, f"{certs.key} has mode {mode:o}")
    try:
        found = x509.load_pem_x509_certificate(certs.certificate.read_bytes())
    except ValueError:
        yield Finding(Mark.BAD, f"{certs.certificate} is no certificate: delete it")
        return
    until = found.not_valid_after_utc
    valid = until > datetime.datetime.now(datetime.UTC)
    yield Finding(
        Mark.WELL if valid else Mark.BAD,
        f"the members' certificate is valid until {until:%Y-%m-%d}",
    )


async def _workers(scheduler: str, certs: Certs) -> list[str]:
    """Ask a scheduler, as a member, for the addresses of its workers."""
    from distributed.core import rpc

    secured = certs.security().get_connection_args("client")
    ask: Any = rpc  # which has no types
    async with ask(scheduler, connection_args=secured, timeout=ANSWER_SECONDS) as asked:
        told = await asyncio.wait_for(asked.identity(), ANSWER_SECONDS)
    return list(told["workers"])


def _member(kind: str, address: str) -> Finding:
    if not address.startswith("tls://"):
        return Finding(
            Mark.BAD,
            f"{kind} {address} is without TLS: whoever reaches it runs code on every member",
        )
    try:
        open_ = _lets_strangers_in(address)
    except (OSError, ValueError) as error:
        return Finding(Mark.BAD, f"{kind} {address} cannot be reached ({error})")
    if open_:
        return Finding(Mark.BAD, f"{kind} {address} takes members without a certificate")
    return Finding(Mark.WELL, f"{kind} {address} takes members by certificate only")


def _lets_strangers_in(address: str) -> bool:
    """Tell whether a member says anything to who comes without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), ANSWER_SECONDS) as raw:
        try:
            with context.wrap_socket(raw) as spoken:
                # In TLS 1.3 a refusal comes after the handshake; a member speaks first.
                return bool(spoken.recv(1))
        except (ssl.SSLError, ConnectionError):
            return False
