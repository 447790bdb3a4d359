"""The document says what the gateway does, and the gateway does what the document says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from functools import cache
from importlib.resources import files
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mtor_kernel.gateway.app import ROUTES
from mtor_kernel.protocol.schema import json_schema
from tests.gateway.helpers import ANN, BAD, FUNDS, Door, asking, open_door
from tests.gateway.test_routes import methods_of
from tests.modalities import MODALITIES, picture, sound
from tests.realms import LINK_TOKEN, TOKEN, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Where the document and the schema that it refers to stand to each other.
BASE = "https://realm.example/api/"


@cache
def document() -> Any:
    return yaml.safe_load(files("mtor_kernel.gateway").joinpath("openapi.yml").read_text())


@cache
def registry() -> Registry[Any]:
    resources = {"openapi.yml": document(), "schema": json_schema()}
    return Registry().with_resources(
        (BASE + name, Resource(contents, DRAFT202012)) for name, contents in resources.items()
    )


def inlined() -> Any:
    """The document with the protocol's schema inside, for tools that fetch nothing."""
    text = json.dumps(document()).replace("schema#/$defs/", "#/components/schemas/")
    whole = json.loads(text)
    defs = json.dumps(json_schema()["$defs"]).replace("#/$defs/", "#/components/schemas/")
    # The document's own schemas come last: Error is an n-gram, too.
    whole["components"]["schemas"] = json.loads(defs) | whole["components"]["schemas"]
    return whole


def operations() -> list[tuple[str, str]]:
    """Every (METHOD, path) that the document describes."""
    return [
        (method.upper(), path.removeprefix("/"))
        for path, item in document()["paths"].items()
        for method in item
        if method in ("get", "post", "delete", "put", "patch")
    ]


async def test_it_is_a_valid_document() -> None:
    OpenAPIV31SpecValidator(inlined()).validate()


async def test_every_route_is_described_and_every_description_is_a_route() -> None:
    served = [(method, path) for path, handler in ROUTES for method in methods_of(handler)]
    assert sorted(operations()) == sorted(served)


async def test_every_operation_has_a_name_of_its_own() -> None:
    names = [
        item[method.lower()]["operationId"]
        for method, path in operations()
        for item in [document()["paths"]["/" + path]]
    ]
    assert len(set(names)) == len(names)


async def test_every_reference_leads_somewhere() -> None:
    resolver = registry().resolver(BASE + "openapi.yml")
    found = re.findall(r"'\$ref': '([^']+)'", str(document()))
    assert found
    for reference in set(found):
        resolver.lookup(reference)


async def test_it_is_served_beside_the_schema(door: Door) -> None:
    async with door.http() as http:
        assert yaml.safe_load((await http.get("api/openapi.yml")).text) == document()
        schema = await http.get("api/schema")
        assert schema.json() == json.loads(json.dumps(json_schema()))
        assert schema.headers["Content-Type"] == "application/schema+json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """A gateway to models of every modality."""
    folder = tmp_path_factory.mktemp("realm")
    async with (
        small_realm(folder, catalogue=MODALITIES, config=FUNDS) as small,
        open_door(small) as door,
    ):
        yield door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def known(door: Door) -> AsyncIterator[dict[str, str]]:
    """What there is to be looked at: a settled query, a blob, a worker."""
    async with door.http() as http:
        query = (await http.post("api/queries", json=asking())).json()["query"]
        await http.get(f"api/queries/{query}/events")
        turn = {"query": query, "name": "bees"}
        await http.post(f"api/conversations/{CONVERSATION}", json=turn)
        png = {"Content-Type": "image/png"}
        blob = (await http.post("api/blobs", content=b"picture", headers=png)).json()["id"]
    worker = door.small.realm.workers.infos()[0].name
    yield {"query": query, "blob": blob, "worker": worker}


CONVERSATION = "c" * 32
NO_ATTEMPT = {"query": "0" * 32, "attempt": 1, "epoch": 1}
NAMED = {"json": {"name": "honey"}}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
PICTURE = {"image": ("a.png", picture())}
LISTEN = {
    "data": {"model": "whisper-1", "response_format": "verbose_json"},
    "files": {"file": ("a.wav", sound(0.1))},
}
#: Calls that the document must describe: method, path of the document, address, how, status.
CALLS: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("GET", "api/queries", "", {}, 200),
    ("GET", "api/queries", "", {"params": {"limit": 1}}, 200),
    ("GET", "api/queries", "", {"params": {"limit": "x"}}, 400),
    ("POST", "api/queries", "", {"json": asking()}, 202),
    ("POST", "api/queries", "", {"json": {}}, 400),
    ("POST", "api/queries", "", {"json": asking(model="warp")}, 400),
    ("GET", "api/queries/{id}", "api/queries/{query}", {}, 200),
    ("GET", "api/queries/{id}", "api/queries/nothing", {}, 404),
    ("DELETE", "api/queries/{id}", "api/queries/{query}", {}, 202),
    ("GET", "api/queries/{id}/events", "api/queries/{query}/events", {}, 200),
    ("GET", "api/queries/{id}/events", "api/queries/{query}/events?after=end", {}, 204),
    ("GET", "api/queries/{id}/events", "api/queries/{query}/events?after=x", {}, 400),
    ("POST", "api/quote", "", {"json": asking()["query"]}, 200),
    ("GET", "api/conversations", "", {}, 200),
    ("GET", "api/conversations/{id}", f"api/conversations/{CONVERSATION}", {}, 200),
    ("GET", "api/conversations/{id}", f"api/conversations/{'0' * 32}", {}, 404),
    ("POST", "api/conversations/{id}", f"api/conversations/{CONVERSATION}", {"json": {}}, 400),
    ("PATCH", "api/conversations/{id}", f"api/conversations/{CONVERSATION}", NAMED, 200),
    ("DELETE", "api/conversations/{id}", f"api/conversations/{CONVERSATION}", {}, 204),
    ("POST", "api/blobs", "", {"content": b"x", "headers": {"Content-Type": "a/b"}}, 201),
    ("POST", "api/blobs", "", {"content": b"x"}, 400),
    ("GET", "api/blobs/{id}", "api/blobs/{blob}", {}, 200),
    ("GET", "api/blobs/{id}", "api/blobs/none", {}, 404),
    ("GET", "api/models", "", {}, 200),
    ("GET", "api/workers", "", {}, 200),
    ("GET", "api/lanes", "", {}, 200),
    ("GET", "api/schema", "", {}, 200),
    ("GET", "api/openapi.yml", "", {}, 200),
    ("GET", "api/me", "", {}, 200),
    ("GET", "api/usage", "", {}, 200),
    ("GET", "v1/models", "", {}, 200),
    ("GET", "v1/models/{model}", "v1/models/echo", {}, 200),
    ("GET", "v1/models/{model}", "v1/models/warp", {}, 404),
    ("POST", "v1/chat/completions", "", {"json": CHAT}, 200),
    ("POST", "v1/chat/completions", "", {"json": CHAT | {"stream": True}}, 200),
    ("POST", "v1/chat/completions", "", {"json": CHAT | {"model": "warp"}}, 404),
    ("POST", "v1/embeddings", "", {"json": {"model": "embedding", "input": ["a"]}}, 200),
    ("POST", "v1/embeddings", "", {"json": {"model": "embedding", "input": [5]}}, 400),
    ("POST", "v1/images/generations", "", {"json": {"prompt": "a", "size": "32x32"}}, 200),
    ("POST", "v1/images/generations", "", {"json": {"prompt": "a", "n": 9}}, 400),
    ("POST", "v1/images/edits", "", {"data": {"prompt": "a"}, "files": PICTURE}, 200),
    ("POST", "v1/images/edits", "", {"data": {"prompt": "a"}}, 400),
    ("POST", "v1/audio/transcriptions", "", LISTEN, 200),
    ("POST", "v1/audio/transcriptions", "", {"json": {}}, 400),
    ("POST", "v1/audio/speech", "", {"json": {"model": "speech", "input": "a"}}, 200),
    ("POST", "v1/audio/speech", "", {"json": {"model": "chat", "input": "a"}}, 400),
    ("POST", "api/sysop/pause", "", {"json": {"on": False}}, 204),
    ("POST", "api/sysop/reload", "", {}, 204),
    ("GET", "api/sysop/queries", "", {}, 200),
    ("GET", "api/sysop/queries", "", {"params": {"user": "ann"}}, 200),
    ("GET", "api/sysop/check", "", {}, 200),
    ("POST", "api/sysop/quota", "", {"json": {"role": "guest", "quotas": {"running": 5}}}, 204),
    ("POST", "api/sysop/quota", "", {"json": {"role": "guest", "group": "a"}}, 400),
    ("GET", "api/sysop/quota", "", {}, 200),
    ("GET", "api/sysop/catalogue", "", {}, 200),
    ("GET", "api/sysop/people", "", {}, 200),
    ("POST", "api/sysop/ban", "", {"json": {"user": "ann", "reason": "x"}}, 204),
    ("POST", "api/sysop/unban", "", {"json": {"user": "ann"}}, 204),
    ("POST", "api/sysop/stop-queries", "", {"json": {"user": "ann"}}, 200),
    ("POST", "api/sysop/grant", "", {"json": {"user": "ann", "micro": 5}}, 204),
    ("POST", "api/sysop/quota", "", {"json": {"user": "ann", "quotas": {"running": 5}}}, 204),
    ("POST", "api/sysop/workers/{name}/{order}", "api/sysop/workers/{worker}/drain", {}, 204),
    ("POST", "api/sysop/workers/{name}/{order}", "api/sysop/workers/{worker}/resume", {}, 204),
    ("POST", "api/sysop/pull", "", {"json": {"model": "gpt9"}}, 204),
    ("GET", "api/sysop/pulls", "", {}, 200),
    ("POST", "api/sysop/notice", "", {"json": {"text": "x"}}, 204),
    ("GET", "api/sysop/audit", "", {}, 200),
    ("POST", "api/sysop/stop", "", {}, 404),
    ("GET", "health", "", {}, 200),
    ("GET", "metrics", "", {}, 200),
    ("GET", "ngram", "", {}, 400),
    ("GET", "link", "", {}, 403),
    ("GET", "link/blobs/{id}", "link/blobs/{blob}", {"params": NO_ATTEMPT}, 404),
    ("GET", "link/blobs/{id}", "link/blobs/{blob}", {}, 400),
    ("POST", "link/blobs", "", {"params": NO_ATTEMPT, "headers": {"Content-Type": "a/b"}}, 404),
    ("POST", "link/blobs", "", {"params": NO_ATTEMPT}, 400),
]


async def test_there_is_a_call_of_every_operation() -> None:
    called = {(method, path) for method, path, *_ in CALLS}
    assert called == set(operations())


@pytest.mark.parametrize(
    ("method", "path", "address", "how", "status"),
    CALLS,
    ids=[f"{method}-{address or path}-{status}" for method, path, address, _, status in CALLS],
)
async def test_what_is_answered_is_what_was_described(
    door: Door,
    known: dict[str, str],
    method: str,
    path: str,
    address: str,
    how: dict[str, Any],
    status: int,
) -> None:
    mine = path.startswith(("api/queries", "api/conversations", "api/blobs"))
    token = ANN if mine else LINK_TOKEN if path.startswith("link/") else TOKEN
    async with door.http(token) as http:
        answer = await http.request(method, (address or path).format(**known), **how)
    assert answer.status_code == status, answer.text
    check(method, path, answer)


@pytest.mark.parametrize("token", ["", BAD, LINK_TOKEN], ids=["none", "bad", "worker's"])
@pytest.mark.parametrize(("method", "path"), operations())
async def test_a_refusal_is_described_too(door: Door, method: str, path: str, token: str) -> None:
    if path in ("health", "link") or (path.startswith("link/") and token == LINK_TOKEN):
        return
    async with door.http(token) as http:
        answer = await http.request(method, path)
    assert answer.status_code in (401, 403)
    check(method, path, answer)


def check(method: str, path: str, answer: httpx.Response) -> None:
    """Fails unless the document describes this answer."""
    resolver = registry().resolver(BASE + "openapi.yml")
    responses = document()["paths"]["/" + path][method.lower()]["responses"]
    status = str(answer.status_code)
    response = responses.get(status) or responses[status[0] + "XX"]
    if "$ref" in response:
        response = resolver.lookup(response["$ref"]).contents
    content = response.get("content", {})
    if not content:
        assert not answer.content
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    schema = content.get(kind) or content["*/*"]
    if kind == "application/json":
        absolute = _absolute(schema["schema"])
        Draft202012Validator(absolute, registry=registry()).validate(answer.json())


def _absolute(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its references made absolute."""
    if "$ref" not in schema:
        return schema
    reference = schema["$ref"]
    base = BASE + "openapi.yml" if reference.startswith("#") else BASE
    return {"$ref": base + reference}
