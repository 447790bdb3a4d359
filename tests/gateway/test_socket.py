"""The clients' WebSocket: commands in order, events without gap, nobody in anybody's way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError
from websocket import ABNF

from mtor_kernel.gateway.shared import Limits
from mtor_kernel.gateway.upgrade import MAX_READ_BYTES, _frame
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES
from mtor_kernel.protocol.ngram import (
    SUBPROTOCOL,
    Admitted,
    Cancel,
    Cancelled,
    Chunk,
    Error,
    Hello,
    Notice,
    Queued,
    RealmState,
    Refused,
    Requeued,
    Resume,
    Settled,
    Several,
    Started,
    Submit,
    SubmitAll,
    Unwatch,
    Watch,
    Welcome,
)
from mtor_kernel.protocol.query import Query
from tests.gateway.helpers import ANN, BAD, BOB, FUNDS, SOON, Door, dial, open_door
from tests.realms import LINK_TOKEN, OWNER, TOKEN, small_realm

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0" * 32
PROMPT = "".join(f"word{at} " for at in range(20))


def text_of(story: list[object]) -> str:
    return "".join(ngram.text for ngram in story if isinstance(ngram, Chunk))


async def test_hello_is_answered_by_who_one_is(door: Door) -> None:
    talk = await door.socket(hello=False)
    await talk.say(Hello("7", "a test"))
    welcome = await talk.hear()
    assert isinstance(welcome, Welcome)
    assert (welcome.user, welcome.role, welcome.id) == ("ann", "user", "7")
    assert welcome.epoch == door.small.realm.epoch
    assert welcome.max_frame_bytes == MAX_FRAME_BYTES
    assert talk.connection.selected_subprotocol == SUBPROTOCOL
    talk.close()


async def test_nothing_goes_before_hello(door: Door) -> None:
    talk = await door.socket(hello=False)
    await talk.say(Watch("1"))
    assert (await talk.until(Error)).id == "1"
    await talk.say(Submit("k", Query.ask("hello", "echo"), "2"))
    assert (await talk.until(Refused)).id == "2"
    await talk.say(Hello())
    await talk.until(Welcome)
    talk.close()


async def test_a_query_goes_from_submit_to_its_end(door: Door) -> None:
    talk = await door.socket()
    await talk.say(Submit("a-key", Query.ask(PROMPT, "slow"), "3"))
    admitted = await talk.hear()
    assert isinstance(admitted, Admitted)
    assert (admitted.id, admitted.model, admitted.repeated) == ("3", "slow", False)
    story = await talk.story(admitted.query)
    kinds = [type(ngram) for ngram in story]
    assert kinds.index(Started) < kinds.index(Chunk)
    assert kinds[-1] is Settled
    assert text_of(story) == PROMPT
    at = 0
    for chunk in (ngram for ngram in story if isinstance(ngram, Chunk)):
        assert chunk.seq == at
        at = chunk.next
    await talk.say(Submit("a-key", Query.ask(PROMPT, "slow"), "4"))
    again = await talk.until(Admitted)
    assert (again.query, again.repeated) == (admitted.query, True)
    assert text_of(await talk.story(again.query)) == PROMPT
    talk.close()


async def test_of_several_in_one_frame_each_is_answered_and_followed(door: Door) -> None:
    talk = await door.socket()
    asked = [
        Submit(f"several-{number}", Query.ask(f"number {number}", model), f"i{number}")
        for number, model in enumerate(["echo", "nothing", "echo"])
    ]
    await talk.say(SubmitAll(tuple(asked)))
    answers = {}
    while len(answers) < 3:
        answer = await talk.until(Admitted, Refused)
        answers[answer.id] = answer
    assert isinstance(answers["i1"], Refused)
    assert answers["i1"].error.code == "unknown_model"
    ids = {answers["i0"].query, answers["i2"].query}
    ended = [await talk.until(Settled) for _ in ids]
    assert {end.query for end in ended} == ids
    # Said again, they are those that there are.
    await talk.say(SubmitAll((asked[0], asked[2])))
    again = [await talk.until(Admitted) for _ in ids]
    assert {one.query for one in again} == ids
    assert all(one.repeated for one in again)
    talk.close()


async def test_a_client_that_reads_common_frames_is_told_of_many_in_few_and_no_other_is(
    door: Door,
) -> None:
    first = await door.socket()
    await first.ask("hello")  # or those below would be told that the model is being loaded
    await first.until(Settled)
    first.close()
    for several in (True, False):
        talk = await door.socket()
        asked = [
            Submit(f"common-{several}-{n}", Query.ask(f"row {n}", "echo"), f"i{n}")
            for n in range(30)
        ]
        await talk.say(SubmitAll(tuple(asked), several=several))
        frames, told = 0, []
        while sum(isinstance(one, Settled) for one in told) < len(asked):
            ngram = await talk.hear()
            frames += 1
            assert several or not isinstance(ngram, Several)
            told += ngram.told if isinstance(ngram, Several) else [ngram]
        ids = {one.query: one.id for one in told if isinstance(one, Admitted)}
        assert list(ids.values()) == [one.id for one in asked]
        for query, number in ids.items():
            story = [one for one in told if getattr(one, "query", "") == query]
            events = [type(one) for one in story if not isinstance(one, Queued)]
            assert events == [Admitted, Started, Chunk, Settled]
            assert text_of(story) == f"row {number[1:]}"
        assert not several or frames < len(told)
        talk.close()


async def test_of_several_in_one_frame_no_more_are_taken_than_a_socket_may_follow(
    door: Door,
) -> None:
    async with open_door(door.small, limits=Limits(max_followed=2)) as narrow:
        talk = await narrow.socket()
        asked = [Submit(f"narrow-{n}", Query.ask("hello", "slow"), f"i{n}") for n in range(4)]
        await talk.say(SubmitAll(tuple(asked)))
        first = [await talk.until(Admitted) for _ in range(2)]
        assert [one.id for one in first] == ["i0", "i1"]
        refused = [await talk.until(Refused) for _ in range(2)]
        assert {one.error.rule for one in refused} == {"queries_per_socket"}
        for one in first:
            await talk.say(Cancel(one.query))
        talk.close()


async def test_a_refusal_says_which_submission_and_why(door: Door) -> None:
    talk = await door.socket()
    await talk.say(Submit("k1", Query.ask("hello", "warp-drive"), "5"))
    refused = await talk.until(Refused)
    assert (refused.id, refused.error.code) == ("5", "unknown_model")
    talk.close()


async def test_many_submissions_at_once_are_all_answered(door: Door) -> None:
    talk = await door.socket()
    for at in range(100):
        await talk.say(Submit(f"many-{at}", Query.ask(f"number {at}", "echo"), str(at)))
    admitted, ended = {}, set()
    async with asyncio.timeout(SOON):
        while len(ended) < 100:
            ngram = await talk.until(Admitted, Settled)
            if isinstance(ngram, Admitted):
                admitted[ngram.id] = ngram.query
            else:
                assert ngram.query in admitted.values()  # admitted before it ends
                ended.add(ngram.query)
    assert set(admitted) == {str(at) for at in range(100)}
    talk.close()


async def test_a_cancel_waits_for_the_submissions_before_it(door: Door) -> None:
    talk = await door.socket()
    await talk.ask("hello", "stuck")
    query = (await talk.until(Admitted)).query
    await talk.ask("hello", "echo")
    await talk.say(Cancel(query, "6"))
    async with asyncio.timeout(SOON):
        story = await talk.story(query)
    assert isinstance(story[-1], Cancelled)
    talk.close()


@pytest.mark.parametrize("command", [Cancel(ID, "8"), Resume(ID, 1, 5, "8")])
async def test_what_is_not_ones_own_is_not_there(door: Door, command: Cancel | Resume) -> None:
    talk = await door.socket()
    await talk.say(command)
    error = await talk.until(Error)
    assert (error.id, error.query, error.error.code) == ("8", ID, "not_found")
    talk.close()


async def test_another_socket_resumes_where_the_first_one_broke(door: Door) -> None:
    first = await door.socket()
    await first.ask(PROMPT, "slow")
    query = (await first.until(Admitted)).query
    seen = [await first.until(Chunk) for _ in range(5)]
    first.close()
    second = await door.socket()
    await second.say(Resume(query, seen[-1].attempt, seen[-1].next))
    rest = await second.story(query)
    assert text_of([*seen, *rest]) == PROMPT
    assert not [ngram for ngram in rest if isinstance(ngram, Requeued)]
    second.close()


@pytest.mark.parametrize("at", [0, 1, 100, len(PROMPT)])
async def test_an_ended_query_is_told_from_any_point(door: Door, at: int) -> None:
    talk = await door.socket()
    await talk.ask(PROMPT)
    query = (await talk.until(Admitted)).query
    await talk.story(query)
    await talk.say(Resume(query, 1, at))
    story = await talk.story(query)
    assert text_of(story) == PROMPT[at:]
    assert isinstance(story[-1], Settled)
    talk.close()


@pytest.mark.parametrize(("attempt", "seq"), [(1, 12), (1, 10_000), (1, 2**53 - 1)])
async def test_a_cursor_ahead_of_the_truth_starts_afresh(
    door: Door, attempt: int, seq: int
) -> None:
    talk = await door.socket()
    await talk.ask("hello there")
    query = (await talk.until(Admitted)).query
    await talk.story(query)
    await talk.say(Resume(query, attempt, seq))
    story = await talk.story(query)
    assert text_of(story) == "hello there"
    talk.close()


async def test_two_sockets_follow_one_query(door: Door) -> None:
    one, two = await door.socket(), await door.socket()
    await one.ask(PROMPT, "slow")
    query = (await one.until(Admitted)).query
    await two.say(Resume(query))
    stories = await asyncio.gather(one.story(query), two.story(query))
    assert [text_of(story) for story in stories] == [PROMPT, PROMPT]
    one.close()
    two.close()


async def test_who_watches_hears_how_the_realm_stands(door: Door) -> None:
    talk, other = await door.socket(), await door.socket(BOB)
    await talk.say(Watch())
    async with asyncio.timeout(SOON):
        state = await talk.until(RealmState)
        assert {lane.model for lane in state.lanes} >= {"echo", "slow"}
        await door.small.realm.sysop.notice(OWNER, "Down at noon.")
        assert (await talk.until(Notice)).text == "Down at noon."
    await talk.say(Unwatch())
    talk.close()
    other.close()


async def test_one_follows_so_many_and_no_more(door: Door) -> None:
    limits = Limits(max_followed=2, max_commands=1)
    async with open_door(door.small, limits=limits) as tight:
        talk = await tight.socket()
        for _ in range(2):
            await talk.ask("hello", "stuck")
            await talk.until(Admitted)
        await talk.ask("hello", "echo")
        refused = await talk.until(Refused)
        assert (refused.error.code, refused.error.rule) == ("quota_exceeded", "queries_per_socket")
        await door.small.realm.sysop.stop_queries(OWNER, "ann")
        await talk.until(Cancelled)
        await talk.until(Cancelled)
        await talk.ask("hello", "echo")
        await talk.until(Settled)
        talk.close()


RESUME = '{"op": "resume", "query": "' + ID + '", '
FRAMES = {
    "empty": "",
    "not JSON": "hello",
    "half": '{"op": "watch"',
    "null": "null",
    "a list": '["watch"]',
    "no op": "{}",
    "an unknown op": '{"op": "warp"}',
    "an op that is a list": '{"op": ["watch"]}',
    "a realm's op": '{"op": "settled", "query": "' + ID + '"}',
    "a worker's op": '{"op": "beat"}',
    "an unknown field": '{"op": "watch", "user": "bob"}',
    "a wrong type": '{"op": "cancel", "query": 5}',
    "no id": '{"op": "cancel", "query": "../x"}',
    "a great number": RESUME + '"seq": 9007199254740993}',
    "below zero": RESUME + '"attempt": -1}',
    "infinity": RESUME + '"seq": 1e999}',
    "deep": "[" * 100_000,
    "a surrogate": '{"op": "hello", "client": "\\ud800"}',
}


@pytest.mark.parametrize("name", FRAMES)
async def test_a_frame_that_makes_no_sense_is_an_error_and_no_more(door: Door, name: str) -> None:
    talk = await door.socket()
    await talk.shout(FRAMES[name])
    assert (await talk.until(Error)).error.code == "malformed"
    await talk.ask("hello")
    await talk.until(Settled)
    talk.close()


async def test_what_cannot_be_read_of_a_later_client_is_refused_by_its_id(door: Door) -> None:
    talk = await door.socket()
    await talk.shout('{"op": "submit", "key": "k", "query": {"colour": "red"}, "id": "17"}')
    refusal = await talk.until(Error)
    assert (refusal.error.code, refusal.id) == ("malformed", "17")
    talk.close()


async def test_a_binary_frame_is_no_ngram(door: Door) -> None:
    talk = await door.socket()
    await talk.shout(b'{"op": "watch"}', binary=True)
    assert "binary" in (await talk.until(Error)).error.message
    talk.close()


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, MAX_READ_BYTES - 10])
async def test_a_frame_that_is_too_large_closes_the_socket_and_says_why(
    door: Door, size: int
) -> None:
    talk = await door.socket()
    await talk.shout('{"op": "hello"}' + " " * (size - 15))
    assert (await talk.until(Error)).error.code == "too_large"
    while await talk.hear() is not None:
        pass
    assert talk.connection.close_code == 1009
    assert "bytes" in (talk.connection.close_reason or "")


async def test_an_enormous_frame_is_cut_off(door: Door) -> None:
    talk = await door.socket()
    await talk.shout("x" * (MAX_READ_BYTES + 1))
    async with asyncio.timeout(SOON):
        while await talk.hear() is not None:
            pass


@pytest.mark.parametrize(
    ("token", "status"), [("", 401), (BAD, 401), (LINK_TOKEN, 403), (ANN, 101), (TOKEN, 101)]
)
async def test_only_people_may_open_it(door: Door, token: str, status: int) -> None:
    await _opens(door, status, token)


@pytest.mark.parametrize("offered", [[], ["mtor.ngram.v2"], ["chat", "mtor"]])
async def test_only_under_its_subprotocol(door: Door, offered: list[str]) -> None:
    await _opens(door, 400, ANN, subprotocols=offered)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 101),
        ("https://{host}", 101),
        ("https://lab.example", 101),
        ("null", 403),
        ("http://evil.example", 403),
        ("http://{host}.evil.example", 403),
        ("http://evil{host}", 403),
        ("http://{host}@evil.example", 403),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:1", 403),
        ("http://localhost", 403),
    ],
)
async def test_only_from_ones_own_pages(door: Door, origin: str, status: int) -> None:
    friends = frozenset({"https://lab.example"})
    async with open_door(door.small, allowed_origins=friends) as careful:
        host = careful.url.removeprefix("http://").rstrip("/")
        await _opens(careful, status, ANN, origin=origin.format(host=host))


async def test_a_token_in_its_address_is_refused(door: Door) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await dial(f"{door.ws}ngram?token={ANN}")
    assert refused.value.code == 400


async def test_who_is_banned_is_put_out_and_stays_out(door: Door) -> None:
    realm = door.small.realm
    talk, idle = await door.socket(BOB), await door.socket(BOB)
    await talk.ask("hello", "stuck")
    query = (await talk.until(Admitted)).query
    try:
        await realm.sysop.ban(OWNER, "bob", "a test")
        for socket in (talk, idle):
            async with asyncio.timeout(SOON):
                error = await socket.until(Error)
                assert error.error.code == "banned"
                while await socket.hear() is not None:
                    pass
            assert socket.connection.close_code == 1008
        await _opens(door, 403, BOB)
        async with door.http(BOB) as http:
            answer = await http.get("api/me")
            assert answer.json()["error"]["code"] == "banned"
    finally:
        await realm.sysop.unban(OWNER, "bob")
    async with door.http(BOB) as http:
        assert "cancelled" in (await http.get(f"api/queries/{query}/events")).text


async def test_a_closed_socket_leaves_nobody_behind(door: Door) -> None:
    talks = [await door.socket() for _ in range(5)]
    for talk in talks:
        await talk.ask(PROMPT, "slow")
        talk.close()
    async with asyncio.timeout(SOON):
        while door.small.realm.readers.followers:
            await asyncio.sleep(0.01)
    assert b'mtor_sockets{kind="client"} 0.0' in door.gateway.counters.text()


async def _opens(
    door: Door,
    status: int,
    token: str,
    *,
    origin: str = "",
    subprotocols: list[str] | None = None,
) -> None:
    """Fails unless a socket is opened, or refused, with a status."""
    headers = {"Origin": origin} if origin else {}
    opening = dial(door.ws + "ngram", token, subprotocols=subprotocols, **headers)
    if status == 101:
        (await opening).close()
        return
    with pytest.raises(HTTPClientError) as refused:
        await opening
    assert refused.value.code == status


@pytest.mark.asyncio
async def test_a_realm_that_closes_says_so_and_asks_to_come_back(tmp_path: Path) -> None:
    async with small_realm(tmp_path, config=FUNDS) as small, open_door(small) as closing:
        talk = await closing.socket()
        await talk.ask("hello", "stuck")
        await talk.until(Admitted)
        await small.realm.close()
        async with asyncio.timeout(SOON):
            assert (await talk.until(Error)).error.code == "realm_stopping"
            while await talk.hear() is not None:
                pass
        assert talk.connection.close_code == 1012
        async with closing.http() as http:
            for path in ("api/me", "api/queries"):
                answer = await http.get(path)
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "realm_stopping"


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536, 200_000])
async def test_a_frame_says_its_length_as_the_standard_wants_it(length: int) -> None:
    frame = ABNF.create_frame("x" * length, ABNF.OPCODE_TEXT)
    frame.mask_value = 0
    assert _frame(b"x" * length) == frame.format()
