"""An API of somebody else's that the operator has registered: a query fills its parameters in."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Meta

from dask_workers.failures import broken, garbled, hide, silent, unreachable
from dask_workers.remote import Call, Seconds, ServiceSettings, calling, options
from dask_workers.template import Parameter, Template, is_path, pick, say, show
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput
from mtor_kernel.protocol.query import Data, Modality, Query

Said = Iterator[Delta | Step | Done]

_READ_BYTES = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_FOUND = 404
_SEE_OTHER = 303
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\xa0-\xff]*")
#: A header's value that is shorter is not taken out of answers: it would be found by chance.
_SECRET_CHARACTERS = 6


class Settings(ServiceSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One call of the API. `url` has ``{name}`` where a parameter goes."""

    method: Literal["GET", "POST"] = "GET"
    #: What a user may fill in. With POST, those that have no place in the URL go as JSON.
    parameters: dict[str, Parameter] = msgspec.field(default_factory=dict)
    #: Headers as they are, and headers whose value is in a variable of the worker's environment.
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    headers_env: dict[str, str] = msgspec.field(default_factory=dict)
    #: Where in the JSON the answer is, such as ``results[0].name``; empty: all of it.
    answer: str = ""
    #: How the answer is said, with ``{path}`` for what stands there in the JSON; empty: as it is.
    say: str = ""
    #: The longest that all of it may take, and the most that may come back.
    total_seconds: Seconds = 30.0
    max_bytes: Annotated[int, Meta(ge=1)] = 1_000_000
    #: How many redirects to follow, within the same scheme, host and port.
    redirects: Annotated[int, Meta(ge=0, le=10)] = 0

    def secrets(self) -> tuple[str, ...]:
        return tuple(os.environ.get(name, "").strip() for name in self.headers_env.values())


class HttpApiBackend:
    """One API. Nothing of its URL is the user's but the values of its parameters."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.API})

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._settings = msgspec.convert(spec.settings, Settings)
        self._template = Template(self._settings.url)

    def missing(self) -> str:
        settings, template = self._settings, self._template
        if fault := template.fault():
            return f"settings.url {fault}."
        known = settings.parameters
        for name in sorted(template.places - set(known)):
            return f"settings.parameters has no {name}, for which the URL has a place."
        for name in sorted(set(known) - template.places):
            if settings.method == "GET":
                return f"settings.url has no place for the parameter {name}: write {{{name}}}."
        for name in sorted(template.path_places):
            if not known[name].required and known[name].default is None:
                return f"The parameter {name} stands in the path: make it required."
        for name, parameter in known.items():
            if not _is_pattern(parameter.pattern):
                return f"The pattern of the parameter {name} is no regular expression."
        if not is_path(settings.answer):
            return f"settings.answer is no path: {settings.answer}."
        for variable in settings.headers_env.values():
            if not os.environ.get(variable, "").strip():
                return f"The variable {variable} is not set in the worker's environment."
        return self._headers_fault()

    def _headers_fault(self) -> str:
        """Return what no request can carry, as a sentence without a value."""
        settings = self._settings
        for name in (*settings.headers, *settings.headers_env):
            if not _HEADER_NAME.fullmatch(name):
                return f"{name!r} is no name for a header."
        for name, value in settings.headers.items():
            if not _HEADER_VALUE.fullmatch(value):
                return f"The header {name} holds a character that no header may."
        for variable, value in zip(settings.headers_env.values(), settings.secrets(), strict=True):
            if not _HEADER_VALUE.fullmatch(value):
                return f"The variable {variable} holds a character that no header may."
        return ""

    def load(self) -> None:
        """Nothing lies in memory."""

    def unload(self) -> None:
        """Nothing lies in memory."""

    def stream(self, query: Query, context: Context) -> Said:
        values = self._values(query)
        target = self._template.fill(values)
        with calling(self._spec, context, self._settings) as call:
            content, is_json = self._ask(call, target, self._body(values))
        yield from self._said(content, is_json)
        yield Done(Usage())

    def _values(self, query: Query) -> dict[str, str]:
        """Return what is filled in: the query's values and, behind them, the operator's."""
        given = options(query, self._spec).parameters or {}
        known = self._settings.parameters
        strange = sorted(set(given) - set(known))
        if strange:
            takes = ", ".join(sorted(known)) or "none"
            raise BadInput(
                f"{self._spec.name} takes no parameter {strange[0][:50]!r}. It takes: {takes}."
            )
        taken = {name: parameter.take(name, given.get(name)) for name, parameter in known.items()}
        return {name: value for name, value in taken.items() if value is not None}

    def _body(self, values: dict[str, str]) -> bytes | None:
        if self._settings.method == "GET":
            return None
        rest = {name: v for name, v in values.items() if name not in self._template.places}
        return msgspec.json.encode(rest)

    def _ask(self, call: Call, target: str, body: bytes | None) -> tuple[bytes, bool]:
        """Return what comes back, and whether it says that it is JSON."""
        late = threading.Event()
        alarm = threading.Timer(self._settings.total_seconds, _ring, (late, call))
        alarm.daemon = True
        alarm.start()
        try:
            return self._follow(call, target, body)
        except Exception:
            if late.is_set():
                raise silent(self._spec.name, self._settings.total_seconds) from None
            raise
        finally:
            alarm.cancel()

    def _follow(self, call: Call, target: str, body: bytes | None) -> tuple[bytes, bool]:
        method = self._settings.method
        for _ in range(self._settings.redirects + 1):
            connection = self._connect(call)
            try:
                connection.request(method, target, body, self._headers(body))
                response = connection.getresponse()
                content = self._read(response)
            finally:
                connection.close()
            following = self._redirected(response, target)
            if following is None:
                break
            target = following
            if response.status == _SEE_OTHER:
                method, body = "GET", None
        self._check(call, response, content)
        return content, "json" in (response.getheader("Content-Type") or "")

    def _connect(self, call: Call) -> http.client.HTTPConnection:
        template, settings = self._template, self._settings
        try:
            raw = socket.create_connection((template.host, template.port), settings.connect_seconds)
        except OSError:
            raise unreachable(self._spec.name) from None
        call.opened(raw)
        raw.settimeout(settings.timeout_seconds)
        connection = http.client.HTTPConnection(template.host, template.port)
        if template.secure:
            connection = http.client.HTTPSConnection(template.host, template.port)
            try:
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=template.host)
            except OSError:
                raw.close()
                raise unreachable(self._spec.name) from None
        connection.sock = raw
        return connection

    def _headers(self, body: bytes | None) -> dict[str, str]:
        settings = self._settings
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "mtor",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        secret = dict(zip(settings.headers_env, settings.secrets(), strict=True))
        return headers | settings.headers | secret

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        content = bytearray()
        while piece := response.read1(_READ_BYTES):
            content += piece
            if len(content) > self._settings.max_bytes:
                raise BackendFailed(
                    f"{self._spec.name} answered more than {self._settings.max_bytes:,} bytes: "
                    "ask for less."
                )
        if response.length:  # what it had promised and did not send
            raise broken(self._spec.name)
        return bytes(content)

    def _redirected(self, response: http.client.HTTPResponse, target: str) -> str | None:
        """Return where to ask instead; ``None``: nowhere, or nowhere that is allowed."""
        there = response.getheader("Location")
        if response.status not in _REDIRECTS or not there or not self._settings.redirects:
            return None
        template = self._template
        scheme = "https" if template.secure else "http"
        host = f"[{template.host}]" if ":" in template.host else template.host
        base = f"{scheme}://{host}:{template.port}{target}"
        try:
            parts = urlsplit(urljoin(base, there))
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:  # that is no address
            return None
        if (parts.scheme, parts.hostname, port) != (scheme, template.host, template.port):
            return None
        return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"

    def _check(self, call: Call, response: http.client.HTTPResponse, content: bytes) -> None:
        if response.status == _NOT_FOUND:
            raise BadInput(f"{self._spec.name} has nothing for these parameters: try others.")
        refused = response.status >= 300
        call.answered(response.status, response.headers, content if refused else None)

    def _said(self, content: bytes, is_json: bool) -> Said:
        settings, name = self._settings, self._spec.name
        if not (is_json or settings.answer or settings.say):
            yield Delta(self._hidden(content.decode("utf-8", "replace")), tokens=0)
            return
        try:
            # Written anew first: a key that has a slash in it is often told as one with ``\\/``.
            written = msgspec.json.encode(msgspec.json.decode(content)).decode()
            whole = msgspec.json.decode(self._hidden(written))
        except (ValueError, RecursionError):
            raise garbled(name, "no JSON") from None
        try:
            value = pick(whole, settings.answer)
            words = say(settings.say, whole) if settings.say else show(value)
        except LookupError:
            raise BadInput(f"{name} has no answer for these parameters: try others.") from None
        yield Delta(words or "–", tokens=0)
        yield Delta(part=Data(value), tokens=0)

    def _hidden(self, said: str) -> str:
        """Return what the API says without the realm's keys, if it tells them."""
        return hide(
            said, *(one for one in self._settings.secrets() if len(one) >= _SECRET_CHARACTERS)
        )


def _ring(late: threading.Event, call: Call) -> None:
    late.set()
    call.hang_up()


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
