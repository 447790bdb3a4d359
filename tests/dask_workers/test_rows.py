"""Rows of a table on a worker: each has its own answer or error, whatever becomes of the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import msgspec
import pytest

from dask_workers.discovery import Found
from dask_workers.rows import GATHER_BYTES, take_turns
from dask_workers.runtime import Runtime
from dask_workers.slices import Turns
from dask_workers.tasks import carry
from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, encode
from mtor_kernel.protocol.errors import BadInput, NotFound, Refused
from mtor_kernel.protocol.link import Stop, WorkerChunk, WorkerHello, WorkerOutcome
from mtor_kernel.protocol.query import (
    Data,
    Message,
    Modality,
    Query,
    RowAnswer,
    Rows,
    TableRow,
    Text,
    answered,
)
from mtor_kernel.protocol.task import OUT_OF_TIME, Outcome, Row, Slice, Task
from tests.dask_workers.gateway_double import TOKEN, GatewayDouble
from tests.dask_workers.samples import echo, new_query_id, slice_of, task

MakeWorker = Callable[..., Runtime]
#: Longest wait for anything that must happen, in seconds.
SOON = 60.0


class Oracle:
    """Does as each row says; whatever else is asked is said back, at two tokens in and one out."""

    modalities: ClassVar = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.asked: list[Query] = []
        #: Set when a row hangs.
        self.hangs = threading.Event()
        #: The rows of which a cancel was heard.
        self.stopped: list[str] = []

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        """There is nothing to load."""

    def unload(self) -> None:
        """There is nothing to unload."""

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        self.asked.append(query)
        told = query.messages[-1].text
        cancelled = threading.Event()

        def stop() -> None:
            self.stopped.append(told)
            cancelled.set()

        context.on_cancel(stop)
        verb, _, size = told.partition(" ")
        match verb:
            case "bad":
                raise BadInput("Nobody can answer that: ask another.")
            case "gone":
                raise NotFound("There is no such thing.")
            case "refused":
                raise Refused("Not now.")
            case "broken":
                raise RuntimeError("told to fail")
            case "torn":
                yield Delta("half of it: \ud83d")
            case "deep":
                yield Delta(part=Data(nested(24)))
            case "data":
                yield Delta("see ")
                yield Delta(part=Data([1, 2]))
            case "long":
                yield Delta("x" * int(size), tokens=1)
            case "hang" | "burst":
                yield Delta("hm")
                self.hangs.set()
                cancelled.wait()
                if verb == "burst":
                    raise OSError("the socket was closed")
                return
            case "silent":
                return
            case _:
                yield Delta(told[:2])
                yield Delta(told[2:], tokens=1)
        yield Done(Usage(2, 1), "stop", f"sha256:{self.spec.name}")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(echo("oracle"))


@pytest.fixture
def worker(make_worker: MakeWorker, oracle: Oracle) -> Runtime:
    made = make_worker(rows_seconds=SOON)
    made.serve([Found(oracle.spec, oracle, "")])
    return made


def table(spec: ModelSpec, *texts: str, query: str = "") -> Task:
    """One attempt at these rows."""
    alone = task(spec, texts[0], query=query)
    rows = tuple(TableRow(text, f"k{n}") for n, text in enumerate(texts))
    return msgspec.structs.replace(alone, query=msgspec.structs.replace(alone.query, rows=rows))


def answers(outcome: Outcome) -> dict[int, RowAnswer]:
    """The answers by their rows, each of which is there once."""
    parts = [part for part in outcome.parts if isinstance(part, Rows)]
    assert len(parts) == len(outcome.parts)
    told = [one for part in parts for one in part.answers]
    found = {one.row: one for one in told}
    assert len(found) == len(told)
    assert list(found) == sorted(found)
    return found


def words(outcome: Outcome) -> dict[int, str]:
    """The words of the rows that were answered."""
    return {
        row: "".join(part.text for part in one.parts if isinstance(part, Text))
        for row, one in answers(outcome).items()
        if one.error is None
    }


def codes(outcome: Outcome) -> dict[int, str]:
    """The errors of the rows that have one."""
    return {row: one.error.code for row, one in answers(outcome).items() if one.error}


def test_each_row_is_answered_in_turn_as_if_it_were_alone(worker: Runtime, oracle: Oracle) -> None:
    told = table(oracle.spec, "one", "two", "two")
    before = Message("system", (Text("Be brief."),)), Message("user", (Text("An example"),))
    turns = (*before, Message("assistant", (Text("An answer"),)), *told.query.messages)
    told = msgspec.structs.replace(told, query=msgspec.structs.replace(told.query, messages=turns))
    outcome = carry(told, worker)
    assert (outcome.error, outcome.cancelled, outcome.finish_reason) == (None, False, "stop")
    assert words(outcome) == {0: "one", 1: "two", 2: "two"}
    assert [one.messages[:3] for one in oracle.asked] == [turns[:3]] * 3
    assert [one.messages[3].text for one in oracle.asked] == ["one", "two", "two"]
    assert {one.rows for one in oracle.asked} == {()}


def test_what_they_took_is_summed_and_said_once(worker: Runtime, oracle: Oracle) -> None:
    outcome = carry(table(oracle.spec, "one", "bad", "two", "gone"), worker)
    usage = msgspec.structs.replace(outcome.usage, compute_ms=0)
    assert usage == Usage(input_tokens=4, output_tokens=2, rows=2)
    assert outcome.weights == "sha256:oracle"


def test_a_row_at_fault_has_its_error_and_the_others_their_answers(
    worker: Runtime, oracle: Oracle
) -> None:
    outcome = carry(table(oracle.spec, "bad", "one", "gone", "refused", "two"), worker)
    assert outcome.error is None
    assert codes(outcome) == {0: "bad_input", 2: "not_found", 3: "refused"}
    assert words(outcome) == {1: "one", 4: "two"}
    assert answered(outcome.parts) == {1, 4}


def test_where_every_row_is_at_fault_nothing_was_used(worker: Runtime, oracle: Oracle) -> None:
    outcome = carry(table(oracle.spec, "bad", "gone"), worker)
    assert (outcome.error, outcome.finish_reason, outcome.weights) == (None, "stop", "")
    assert codes(outcome) == {0: "bad_input", 1: "not_found"}
    assert msgspec.structs.replace(outcome.usage, compute_ms=0) == Usage(rows=0)


@pytest.mark.parametrize("fault", ["broken", "torn", "deep", "silent"])
def test_a_model_that_fails_at_the_first_row_fails_the_attempt(
    worker: Runtime, oracle: Oracle, fault: str
) -> None:
    outcome = carry(table(oracle.spec, fault, "two"), worker)
    assert outcome.error is not None
    assert outcome.retryable
    assert outcome.parts == ()
    assert "told to fail" not in outcome.error.message


@pytest.mark.parametrize("fault", ["broken", "torn", "deep", "silent"])
def test_one_that_fails_in_the_middle_leaves_the_rest_and_keeps_what_was_answered(
    worker: Runtime, oracle: Oracle, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcome = carry(table(oracle.spec, "one", "bad", fault, "two"), worker)
    assert (outcome.error, outcome.finish_reason) == (None, OUT_OF_TIME)
    assert words(outcome) == {0: "one"}
    assert codes(outcome) == {1: "bad_input"}
    assert outcome.usage.rows == 1
    assert "row 2 failed" in caplog.text


def test_data_comes_with_the_words_of_its_row(worker: Runtime, oracle: Oracle) -> None:
    outcome = carry(table(oracle.spec, "one", "data"), worker)
    assert answers(outcome)[1].parts == (Text("see "), Data([1, 2]))


def test_the_first_is_seen_through_and_nothing_begins_when_the_time_is_over(
    make_worker: MakeWorker,
) -> None:
    spec = echo(delay=0.3)
    outcome = carry(table(spec, "one", "two", "three"), make_worker(spec))
    assert (outcome.error, outcome.finish_reason) == (None, OUT_OF_TIME)
    assert answered(outcome.parts) == {0}
    assert outcome.usage.rows == 1
    assert outcome.usage.compute_ms >= 300


class Tape:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.parts: list[Rows] = []
        self.tokens = 0
        self.alive = threading.Event()
        self.steps: list[Step] = []

    def publish(self, delta: Delta) -> None:
        assert isinstance(delta.part, Rows)
        self.parts.append(delta.part)
        self.tokens += delta.tokens

    def progress(self, step: Step) -> None:
        self.steps.append(step)
        self.alive.set()


def test_without_time_one_row_is_answered_of_however_many() -> None:
    query, tape = table(echo(), *(f"row {n}" for n in range(50))).query, Tape()
    done = take_turns(query, lambda asked, sink: Done(Usage(1)), tape, seconds=-1)
    assert done == Done(Usage(1, rows=1), OUT_OF_TIME)
    assert answered(tape.parts) == {0}


def test_a_sum_is_an_estimate_if_any_row_is() -> None:
    query, tape = table(echo(), "a", "b").query, Tape()
    for last, expected in ((query.of_row("b"), True), (query, False)):
        done = take_turns(
            query, lambda asked, _, on=last: Done(Usage(1, estimated=asked == on)), tape, SOON
        )
        assert done == Done(Usage(2, rows=2, estimated=expected))


def test_a_row_that_takes_its_time_shows_that_it_is_alive_and_how_far_they_are() -> None:
    """Else the realm would take it for hung: its words are not heard before the last of them."""
    query, tape = table(echo(), "quick", "slow").query, Tape()

    def ask(asked: Query, sink: Any) -> Done:
        while asked.messages[-1].text == "slow" and not tape.alive.wait(0.01):
            sink.publish(Delta("still at it"))
        return Done(Usage())

    take_turns(query, ask, tape, seconds=SOON)
    assert tape.steps[0] == Step(0.5)


def test_what_was_answered_waits_for_no_row_that_takes_its_time() -> None:
    query, tape = table(echo(), "quick", "quick too", "slow").query, Tape()

    def ask(asked: Query, sink: Any) -> Done:
        sink.publish(Delta("so"))
        while asked.messages[-1].text == "slow" and not tape.parts:
            sink.publish(Delta("so"))
        return Done(Usage())

    take_turns(query, ask, tape, seconds=SOON)
    assert 0 in answered(tape.parts[:-1])
    assert answered(tape.parts) == {0, 1, 2}


def hung(worker: Runtime, oracle: Oracle, told: Task, how: Callable[[], None]) -> Outcome:
    """What becomes of an attempt to which something is done while a row of it hangs."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(carry, told, worker)
        assert oracle.hangs.wait(SOON)
        how()
        return running.result(SOON)


@pytest.mark.parametrize("how", ["hang", "burst"])
def test_a_cancel_in_the_middle_keeps_what_was_answered(
    worker: Runtime, oracle: Oracle, how: str
) -> None:
    told = table(oracle.spec, "one", "bad", "two", how, "three")
    stop = lambda: worker.attempts.cancel(told.attempt.query, 1)  # noqa: E731
    outcome = hung(worker, oracle, told, stop)
    assert (outcome.cancelled, outcome.error) == (True, None)
    assert words(outcome) == {0: "one", 2: "two"}
    assert (outcome.usage.output_tokens, outcome.usage.estimated) == (4, True)
    assert "three" not in [one.messages[-1].text for one in oracle.asked]


def test_a_cancel_stops_the_row_whose_turn_it_is_and_no_earlier_one(
    worker: Runtime, oracle: Oracle
) -> None:
    told = table(oracle.spec, *(f"row {n}" for n in range(100)), "hang")
    hung(worker, oracle, told, lambda: worker.attempts.cancel(told.attempt.query, 1))
    assert oracle.stopped == ["hang"]


def test_a_worker_that_gives_up_hands_all_of_them_back(worker: Runtime, oracle: Oracle) -> None:
    told = table(oracle.spec, "one", "burst")
    outcome = hung(worker, oracle, told, lambda: worker.attempts.cancel_all("it closes"))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.retryable) == ("worker_lost", True)


def linked(worker: Runtime, gateway: GatewayDouble) -> Runtime:
    worker.connect(gateway.url, TOKEN)
    gateway.wait_for(WorkerHello)
    return worker


def test_what_was_answered_before_a_cancel_goes_out_as_well(
    worker: Runtime, oracle: Oracle, gateway: GatewayDouble
) -> None:
    linked(worker, gateway)
    told = table(oracle.spec, "one", "hang")
    hung(worker, oracle, told, lambda: gateway.say(Stop(told.attempt.query, 1)))
    (ended,) = gateway.wait_for(WorkerOutcome)
    (chunk,) = gateway.wait_for(WorkerChunk)
    assert (ended.cancelled, ended.next, chunk.seq) == (True, 1, 0)
    assert answered([chunk.part]) == {0}


def test_quick_rows_go_out_together(
    worker: Runtime, oracle: Oracle, gateway: GatewayDouble
) -> None:
    linked(worker, gateway)
    outcome = carry(table(oracle.spec, *(f"row {n}" for n in range(100))), worker)
    chunks = gateway.wait_for(WorkerOutcome) and gateway.wait_for(WorkerChunk)
    assert len(chunks) < 100
    assert tuple(chunk.part for chunk in chunks) == outcome.parts
    assert answered(outcome.parts) == set(range(100))


def test_no_part_is_longer_than_a_frame(
    worker: Runtime, oracle: Oracle, gateway: GatewayDouble
) -> None:
    linked(worker, gateway)
    sizes = [20_000, 60_000, 1, 250_000, 65_000, 30_000, 30_000, 30_000]
    carry(table(oracle.spec, *(f"long {size}" for size in sizes)), worker)
    (ended,) = gateway.wait_for(WorkerOutcome)
    chunks = gateway.wait_for(WorkerChunk)
    assert ended.next == len(chunks)
    for chunk in chunks:
        assert len(encode(chunk)) <= MAX_FRAME_BYTES
        assert len(chunk.part.answers) == 1 or len(encode(chunk.part)) <= GATHER_BYTES
    assert answered([chunk.part for chunk in chunks]) == set(range(len(sizes)))


def test_an_answer_that_no_frame_holds_comes_with_the_outcome(
    worker: Runtime, oracle: Oracle, gateway: GatewayDouble
) -> None:
    linked(worker, gateway)
    outcome = carry(table(oracle.spec, "one", f"long {MAX_FRAME_BYTES}", "two"), worker)
    assert {row: len(text) for row, text in words(outcome).items()} == {
        0: 3, 1: MAX_FRAME_BYTES, 2: 3,
    }  # fmt: skip
    assert gateway.frames(WorkerOutcome) == []


def test_rows_have_their_turn_in_a_slice_with_others(
    worker: Runtime, oracle: Oracle, gateway: GatewayDouble
) -> None:
    linked(worker, gateway)
    told = slice_of(oracle.spec, "alone", "also alone")
    together = table(oracle.spec, "one", "bad", "two")
    row = Row(together.attempt, msgspec.Raw(encode(together.query)))
    turns = Turns(Slice(oracle.spec, (told.rows[0], row, told.rows[1]), SOON), worker)
    first, outcome, last = turns.run()
    assert (first.parts, last.parts) == ((Text("alone"),), (Text("also alone"),))
    assert words(outcome) == {0: "one", 2: "two"}
    ended = gateway.wait_for(WorkerOutcome, 3)
    assert [one.next for one in ended] == [len("alone"), 1, len("also alone")]


def test_two_queries_of_rows_are_answered_side_by_side(worker: Runtime, oracle: Oracle) -> None:
    with ThreadPoolExecutor(3) as pool:
        jobs = [table(oracle.spec, *(f"{n} {row}" for row in range(30))) for n in range(3)]
        for number, outcome in enumerate(pool.map(lambda job: carry(job, worker), jobs)):
            assert words(outcome) == {row: f"{number} {row}" for row in range(30)}


def test_texts_have_their_vectors(make_worker: MakeWorker) -> None:
    spec = msgspec.structs.replace(echo(), modality=Modality.EMBEDDING)
    worker = make_worker(spec, rows_seconds=SOON)
    texts = ("bees", "honey", "bees")
    outcome = carry(table(spec, *texts), worker)
    found = answers(outcome)
    alone = [carry(task(spec, text), worker) for text in texts]
    assert [found[row].parts for row in range(3)] == [one.parts for one in alone]
    assert outcome.usage.input_tokens == sum(one.usage.input_tokens for one in alone)
    assert outcome.usage.rows == 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backend_in_a_process_of_its_own_answers_rows_too(make_worker: MakeWorker) -> None:
    spec = msgspec.structs.replace(echo(), isolate=True)
    outcome = carry(
        table(spec, *(f"row {n}" for n in range(50))), make_worker(spec, rows_seconds=60)
    )
    assert words(outcome) == {n: f"row {n}" for n in range(50)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rows_of_a_process_of_its_own_can_be_cancelled(
    make_worker: MakeWorker, gateway: GatewayDouble
) -> None:
    spec = msgspec.structs.replace(echo(hang=True, chunks=2, fail_after=1), isolate=True)
    worker = linked(make_worker(spec), gateway)
    told = table(spec, "one", "two", query=new_query_id())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(carry, told, worker)
        assert gateway.wait(lambda heard: worker.attempts.refs(), SOON)
        gateway.say(Stop(told.attempt.query, 1))
        outcome = running.result(60)
    assert (outcome.cancelled, outcome.error, outcome.parts) == (True, None, ())
