"""What the realm shows of itself: models, workers, lanes, its own description, its health."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from mtor_kernel.gateway.base import Gate
from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import RealmStopping
from mtor_kernel.protocol.identity import SCOPE_PUBLIC, SCOPE_QUERY, SCOPE_SYSOP, User
from mtor_kernel.protocol.schema import json_schema
from mtor_kernel.protocol.views import Page


class Models(Gate):
    """``api/models``: every name that one may ask for."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """List them."""
        self.reply(Page(tuple(self.gateway.realm.models())))


class WorkerList(Gate):
    """``api/workers``: who serves what."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """List them."""
        self.reply(Page(self.gateway.realm.state().workers))


class Lanes(Gate):
    """``api/lanes``: how the realm stands, as watchers are told it."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """Return depth of every lane, workers, and whether admission is open."""
        self.reply(self.gateway.realm.state())


class Schema(Gate):
    """``api/schema``: the protocol as a JSON schema."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """Return it."""
        self.set_header("Content-Type", "application/schema+json")
        self.finish(_schema())


class OpenApi(Gate):
    """``api/openapi.yml``: this gateway, described."""

    scope = SCOPE_QUERY

    def get(self) -> None:
        """Return it."""
        self.set_header("Content-Type", "application/yaml")
        self.finish(_document())


class Metrics(Gate):
    """``metrics``, for Prometheus: the sysop, or whoever holds the token made for it."""

    scope = SCOPE_SYSOP

    async def recognise(self) -> User:
        """Let in the token for metrics, which opens nothing else, as nobody in particular."""
        if self.gateway.is_metrics_token(self.request):
            return User("metrics", scopes=frozenset())
        return await super().recognise()

    def get(self) -> None:
        """Return the figures in Prometheus' text form."""
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.gateway.counters.text())


class Health(Gate):
    """``health``, for probes: open to everybody, and it says next to nothing."""

    scope = SCOPE_PUBLIC

    def get(self) -> None:
        """Return that it is well, or that it is going."""
        if self.gateway.stopping:
            raise RealmStopping("The realm is closing: it will be back after its restart.")
        realm = self.gateway.realm
        bus = {"bus": realm.bus} if realm.bus else {}
        self.reply({"status": "ok", "version": realm.version, **bus})


@cache
def _schema() -> bytes:
    return encode(json_schema())


@cache
def _document() -> bytes:
    return files("mtor_kernel.gateway").joinpath("openapi.yml").read_bytes()
