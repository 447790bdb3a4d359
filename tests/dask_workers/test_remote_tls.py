"""Over TLS: backends answer, trust only whom the machine trusts, and can be cancelled."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dask_workers.discovery import discover
from mtor_kernel.protocol.backend import Backend, Done
from mtor_kernel.protocol.errors import BackendFailed
from tests.dask_workers.contract import STORY, Case, ContextDouble, every_case
from tests.dask_workers.services.service import WAIT_SECONDS, Fault, Service

CASES = {case.spec.backend: case for case in every_case() if case.service is not None}


class Stand:
    """A case whose service speaks TLS."""

    def __init__(self, case: Case, service: Service) -> None:
        self.case, self.service = case, service

    def backend(self) -> Backend:
        (found,) = discover([self.case.at(self.service.url)])
        assert found.backend is not None, found.missing
        found.backend.load()
        return found.backend


@pytest.fixture(params=CASES)
def stand(
    request: pytest.FixtureRequest, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    monkeypatch.setenv("MTOR_TEST_KEY", "sk-some-key")
    case = CASES[request.param]
    assert case.service is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    service = case.service()
    service.secure(context)
    with ExitStack() as stack:
        stack.enter_context(service)
        if request.param == "huggingface":
            # The package keeps one client for good, and with it whom it trusts.
            import huggingface_hub

            huggingface_hub.close_session()
            stack.callback(huggingface_hub.close_session)
        yield Stand(case, service)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
def test_a_service_that_the_machine_trusts_answers(stand: Stand) -> None:
    context = ContextDouble()
    said = list(stand.backend().stream(stand.case.query(STORY, context), context))
    assert isinstance(said[-1], Done)


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(stand: Stand) -> None:
    context = ContextDouble()
    with pytest.raises(BackendFailed, match="cannot reach"):
        list(stand.backend().stream(stand.case.query(STORY, context), context))
    assert stand.service.asked.empty()


@pytest.mark.usefixtures("trusted")
def test_a_cancel_reaches_a_service_that_is_silent(stand: Stand) -> None:
    stand.service.fault = Fault(silent_after=0)
    context = ContextDouble()
    backend = stand.backend()

    def ask() -> None:
        with pytest.raises(BackendFailed):
            list(backend.stream(stand.case.query(STORY, context), context))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    stand.service.next_asked()
    context.cancel()
    asking.join(WAIT_SECONDS)
    assert not asking.is_alive()
    stand.service.hung_up.get(timeout=WAIT_SECONDS)
