"""What tests of the workers share: a gateway, a worker without Dask around it, real weights."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dask_workers.discovery import discover
from dask_workers.runtime import Runtime
from dask_workers.weights import find_file, pull
from mtor_kernel.protocol.backend import ModelSpec
from tests.dask_workers.gateway_double import GatewayDouble


@pytest.fixture
def gateway() -> Iterator[GatewayDouble]:
    with GatewayDouble() as double:
        yield double


@pytest.fixture
def make_worker() -> Iterator[Callable[..., Runtime]]:
    """Makes workers that serve some models, with no Dask around them."""
    made: list[Runtime] = []

    def make(*specs: ModelSpec, **how: Any) -> Runtime:
        runtime = Runtime("w1", threads=8, **how)
        runtime.serve(discover(specs))
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.close("the test is over")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real weights, kept where `make` keeps them: a second run fetches nothing."""
    pull("smollm2")
    found = find_file("smollm2")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "gateway.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    return pull("minilm")


@pytest.fixture(scope="session")
def whisper_tiny_en() -> Path:
    return pull("whisper-tiny-en")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Have torch compute in one thread: on a busy machine two spin and wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
