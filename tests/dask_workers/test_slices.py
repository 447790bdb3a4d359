"""Attempts that take turns in one task of a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dask_workers.runtime import Runtime
from dask_workers.slices import Turns
from dask_workers.tasks import parse_key, run_slice, slice_key
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import Malformed
from mtor_kernel.protocol.link import WorkerChunk, WorkerHello, WorkerOutcome, WorkerSeveral
from mtor_kernel.protocol.ngram import Submit
from mtor_kernel.protocol.query import Query, Text
from mtor_kernel.protocol.task import Outcome, Row, Slice
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo, new_query_id, slice_of

MakeWorker = Callable[..., Runtime]


def linked(worker: Runtime, gateway: GatewayDouble) -> Runtime:
    """Return the worker when it has dialled in."""
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    return worker


def test_each_of_a_slice_is_answered_in_turn(make_worker: MakeWorker) -> None:
    spec = echo()
    outcomes = Turns(told := slice_of(spec, "a", "b", "c"), make_worker(spec)).run()
    assert [outcome.attempt for outcome in outcomes] == [row.attempt for row in told.rows]
    assert [outcome.parts for outcome in outcomes] == [(Text("a"),), (Text("b"),), (Text("c"),)]
    assert all(outcome.begun and outcome.error is None for outcome in outcomes)


def test_what_a_slice_says_goes_in_common_frames(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo()
    worker = linked(make_worker(spec), gateway)
    Turns(told := slice_of(spec, *(f"row {n}" for n in range(40))), worker).run()
    gateway.wait_for(WorkerOutcome, 40)
    for number, row in enumerate(told.rows):
        assert gateway.text_of(row.attempt.query) == f"row {number}"
    assert 1 <= len(gateway.frames(WorkerSeveral)) < 40


def test_the_words_of_a_short_row_go_along_with_its_outcome_and_those_of_a_slow_one_do_not_wait(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo()
    worker = linked(make_worker(spec), gateway)
    Turns(slice_of(spec, "a", "b", "c"), worker).run()
    told = gateway.wait_for(WorkerOutcome, 3)
    assert [one.text for one in told] == ["a", "b", "c"]
    slow = echo(hang=True, chunks=2, fail_after=1)
    worker = make_worker(slow)
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello, 2)
    turns = Turns(slice_of(slow, "said hanging"), worker)
    thread = threading.Thread(target=turns.run)
    thread.start()
    (said,) = gateway.wait_for(WorkerChunk)  # though neither more nor an end comes
    assert said.text == "said "
    worker.attempts.cancel_all("enough")
    thread.join(60)


def test_what_has_not_begun_when_its_time_is_over_is_handed_back(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    """Also while the one whose turn it is goes on: nobody waits for that one. The first begins."""
    spec = echo(hang=True)
    worker = linked(make_worker(spec), gateway)
    turns = Turns(told := slice_of(spec, "a", "b", "c", seconds=0.0), worker)
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(turns.run()))
    thread.start()
    back = gateway.wait_for(WorkerOutcome, 2)
    assert {one.query for one in back} == {row.attempt.query for row in told.rows[1:]}
    assert all(not one.begun and one.cancelled for one in back)
    assert worker.attempts.refs() == (told.rows[0].attempt,)
    worker.attempts.cancel(told.rows[0].attempt.query, 1)
    thread.join(60)
    assert [outcome.begun for outcome in outcomes] == [True, False, False]


def test_one_that_is_cancelled_before_its_turn_ends_at_once(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = echo(hang=True)
    worker = linked(make_worker(spec), gateway)
    turns = Turns(told := slice_of(spec, "a", "b"), worker)
    thread = threading.Thread(target=turns.run)
    thread.start()
    worker.attempts.cancel(told.rows[1].attempt.query, 1)
    (ended,) = gateway.wait_for(WorkerOutcome)
    assert (ended.query, ended.cancelled) == (told.rows[1].attempt.query, True)
    worker.attempts.cancel(told.rows[0].attempt.query, 1)
    thread.join(60)


def test_a_slice_whose_task_is_released_stops(make_worker: MakeWorker) -> None:
    spec = echo(hang=True)
    worker = make_worker(spec)
    told = slice_of(spec, "a", "b")
    turns = Turns(told, worker)
    ended: list[Outcome] = []
    thread = threading.Thread(target=lambda: ended.extend(turns.run()))
    thread.start()
    key = slice_key(told.rows[0].attempt.query, 1)
    while key not in worker.slices:
        pass
    worker.slices[key]()
    thread.join(60)
    assert [outcome.cancelled for outcome in ended] == [True, True]
    assert worker.slices == {}


def test_a_payload_that_is_no_slice_but_names_attempts_gets_outcomes() -> None:
    told = slice_of(echo(), "a", "b")
    payload = encode({"rows": [{"attempt": row.attempt} for row in told.rows], "model": 5})
    outcomes = decode(run_slice(payload), list[Outcome])
    assert [outcome.attempt for outcome in outcomes] == [row.attempt for row in told.rows]
    assert {outcome.error.code for outcome in outcomes if outcome.error} == {"malformed"}


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"rows":[{"attempt":{"query":"x"}}]}'])
def test_a_payload_that_names_nothing_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        run_slice(payload)


def test_the_key_of_a_slice_is_no_attempts_key() -> None:
    assert parse_key(slice_key(new_query_id(), 1)) is None


def test_one_that_cannot_be_read_fails_alone(make_worker: MakeWorker) -> None:
    spec = echo()
    told = slice_of(spec, "a", "b", "c")
    rows = list(told.rows)
    rows[1] = Row(rows[1].attempt, msgspec.Raw(b'{"messages":5}'))
    outcomes = Turns(Slice(spec, tuple(rows), 60.0), make_worker(spec)).run()
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [
        None,
        "malformed",
        None,
    ]


def test_what_nests_as_deep_as_it_may_fits_into_a_slice() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(14):
        schema = {"type": "object", "properties": {"a": schema}}
    body = encode(Query.ask("deep", "echo", json_schema=schema))
    assert decode(encode(Submit("k", decode(body, Query))), Submit)
    told = slice_of(echo(), "a")
    deep = Slice(told.model, (Row(told.rows[0].attempt, msgspec.Raw(body)),), 60.0)
    with pytest.raises(ValueError, match="worker"):  # it was read, and there is none here
        run_slice(encode(deep))
