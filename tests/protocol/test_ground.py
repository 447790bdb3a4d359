"""The values that everything else stands on: errors, stages, identities, rate cards, queries."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from mtor_kernel.protocol import errors
from mtor_kernel.protocol.account import RateCard, show_credits
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import (
    ErrorInfo,
    Forbidden,
    QuotaExceeded,
    RealmError,
    UnknownOption,
    from_info,
)
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, User
from mtor_kernel.protocol.lifecycle import ENDS, STEPS, IllegalStep, Stage, step
from mtor_kernel.protocol.query import (
    Audio,
    Image,
    Message,
    Query,
    Text,
)


def kinds() -> list[type[RealmError]]:
    """Return every class of the tree."""
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, RealmError)
    ]


def test_every_error_has_a_code_of_its_own_and_stands_in_the_drawn_tree() -> None:
    assert len({kind.code for kind in kinds()}) == len(kinds())
    for kind in kinds():
        assert f" {kind.__name__} " in (errors.__doc__ or "").replace("\n", " ")


@pytest.mark.parametrize("kind", kinds())
def test_an_error_travels_whole(kind: type[RealmError]) -> None:
    error = kind("Do this instead.", rule="waiting", retry_after_seconds=2.5, limit=3)
    again = from_info(decode(encode(error.info()), ErrorInfo))
    assert type(again) is kind
    assert again.info() == error.info()
    assert pickle.loads(pickle.dumps(error)).info() == error.info()


def test_an_error_of_a_later_version_is_still_an_error() -> None:
    assert type(from_info(ErrorInfo("brand_new", "Something."))) is RealmError


def test_the_ends_are_final_and_every_stage_can_end() -> None:
    assert {Stage.SETTLED, Stage.FAILED, Stage.CANCELLED} == ENDS
    for start, finish in ((s, f) for s in Stage for f in Stage):
        if finish in STEPS[start]:
            assert step(start, finish) is finish
        else:
            with pytest.raises(IllegalStep):
                step(start, finish)


@pytest.mark.parametrize(
    ("scopes", "scope", "may"),
    [
        ({SCOPE_QUERY}, SCOPE_QUERY, True),
        ({SCOPE_QUERY}, f"{SCOPE_QUERY}:image", True),
        ({f"{SCOPE_QUERY}:image"}, f"{SCOPE_QUERY}:image", True),
        ({f"{SCOPE_QUERY}:image"}, f"{SCOPE_QUERY}:chat", False),
        ({f"{SCOPE_QUERY}:image"}, SCOPE_QUERY, False),
        ({SCOPE_QUERY}, SCOPE_SYSOP, False),
        ({SCOPE_SYSOP}, f"{SCOPE_QUERY}:chat", True),
        ({SCOPE_SYSOP}, "mtor:link", False),
        (set(), "public", True),
    ],
)
def test_a_scope_includes_the_narrower_ones(scopes: set[str], scope: str, may: bool) -> None:
    user = User("ann", scopes=frozenset(scopes))
    assert user.may(scope) is may
    if not may:
        with pytest.raises(Forbidden) as refused:
            user.require(scope)
        assert refused.value.details["scope"] == scope


def test_a_price_is_never_zero_by_accident() -> None:
    assert RateCard(query_micro=1)
    assert RateCard(free=True)
    for accident in ({}, {"free": False, "query_micro": 0}, {"free": True, "query_micro": 1}):
        with pytest.raises(ValueError, match="free"):
            RateCard(**accident)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(accident, RateCard)


@pytest.mark.parametrize(
    ("micro", "shown"),
    [
        (0, "0"),
        (1, "0.000001"),
        (10, "0.00001"),
        (1_234, "0.00123"),
        (999_999, "1"),
        (1_500_000, "1.50"),
        (-2_000_000, "-2.00"),
        (1_234_567_890_000, "1,234,567.89"),
    ],
)
def test_credits_are_shown_for_people(micro: int, shown: str) -> None:
    assert show_credits(micro) == shown


def test_options_that_are_none_are_named() -> None:
    with pytest.raises(UnknownOption, match="tempreature"):
        Query.ask("hello", tempreature=1)
    with pytest.raises(UnknownOption, match="cannot have"):
        Query.ask("hello", temperature="hot")


def test_a_query_knows_its_blobs() -> None:
    parts = (Text("what is this?"), Image("a" * 64), Audio("b" * 64))
    assert Query((Message("user", parts),)).blobs == {"a" * 64, "b" * 64}


def test_a_quota_says_when_to_come_back() -> None:
    info = QuotaExceeded("Later.", rule="waiting", retry_after_seconds=3.0, limit=1, used=1).info()
    assert (info.code, info.rule, info.retry_after_seconds) == ("quota_exceeded", "waiting", 3.0)
