"""Who is asking, by the token in the header and by nothing else."""

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from mtor_kernel.gateway.identity import PersonalToken, credential, refuse_token_in_address
from mtor_kernel.protocol.errors import BadInput, Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_LINK, SCOPE_QUERY, User

ANN = User("ann")
SEAM = PersonalToken("hers", ANN, "theirs")


class Asking:
    """A handler, as far as it matters here."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self.request = request


def request(authorization: str | None = None, uri: str = "/api/me") -> HTTPServerRequest:
    headers = HTTPHeaders({"Host": "localhost"})
    if authorization is not None:
        headers["Authorization"] = authorization
    return HTTPServerRequest(start_line=RequestStartLine("GET", uri, "HTTP/1.1"), headers=headers)


@pytest.mark.asyncio
@pytest.mark.parametrize("header", ["Bearer hers", "bearer hers", "token hers", "Token  hers"])
async def test_a_person_is_known_by_their_token(header: str) -> None:
    assert await SEAM.identify(Asking(request(header))) == ANN


@pytest.mark.asyncio
async def test_a_worker_is_known_by_its_own_and_may_nothing_else() -> None:
    worker = await SEAM.identify(Asking(request("Bearer theirs")))
    assert worker.may(SCOPE_LINK)
    assert not worker.may(SCOPE_QUERY)
    assert not ANN.may(SCOPE_LINK)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "header",
    [None, "", "hers", "Bearer", "Bearer ", "Basic hers", "Bearer her", "Bearer herss", "Bearer é"],
)
async def test_nobody_else_is(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await SEAM.identify(Asking(request(header)))


@pytest.mark.asyncio
async def test_an_empty_token_opens_nothing() -> None:
    with pytest.raises(Unauthenticated):
        await PersonalToken("hers", ANN).identify(Asking(request("Bearer ")))


def test_a_credential_is_taken_from_the_header() -> None:
    assert credential(request("Bearer a b")) == "a b"


@pytest.mark.parametrize("name", ["token", "TOKEN", "access_token", "api_key"])
def test_a_token_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="must not stand in an address"):
        refuse_token_in_address(request(uri=f"/api/me?{name}=hers"))


def test_other_arguments_are_not() -> None:
    refuse_token_in_address(request(uri="/api/queries?search=token"))
