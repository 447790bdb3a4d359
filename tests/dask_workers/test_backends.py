"""What every backend promises, asked of each case of ``tests/dask_workers/cases``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec
import pytest

from dask_workers.discovery import discover
from dask_workers.rows import Sink, take_turns
from mtor_kernel.protocol.backend import Backend, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import (
    BackendFailed,
    BadInput,
    Denied,
    NotFound,
    RealmError,
    Refused,
)
from mtor_kernel.protocol.query import (
    Data,
    Message,
    Modality,
    Part,
    Query,
    TableRow,
    Text,
    answered,
    row_answers,
)
from tests.dask_workers.contract import (
    FIGURES,
    STORY,
    Case,
    ContextDouble,
    Said,
    every_case,
    is_shaped,
    shape_of,
    text_of,
)
from tests.dask_workers.services.service import WAIT_SECONDS, Fault, Service

#: What no message may hold: the credential of every remote case, and the password of its URL.
SECRET = "sk-verysecret-0123456789"
KEY_VARIABLE = "MTOR_TEST_KEY"
#: The promise: a cancel is heeded within a second. On a busy machine one try of three shows it.
HEED_SECONDS, TRIES = 1.0, 3
#: Pieces of a stream after which every service has said some words, and not all.
MIDDLE = 5
LASTING = (BadInput, Denied, Refused, NotFound)


def params(which: Callable[[Case], bool]) -> list[object]:
    return [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else [])
        for case in every_case()
        if which(case)
    ]


class Stand:
    """A case made ready: its backend loaded, its service up."""

    def __init__(self, case: Case, backend: Backend, service: Service | None) -> None:
        self.case, self.backend, self._service = case, backend, service

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    def recover(self) -> None:
        if self._service is not None:
            self._service.forget()

    def ask(
        self, prompt: str = STORY, context: ContextDouble | None = None, **options: object
    ) -> Said:
        return said_by(self.case, self.backend, prompt, context, **options)

    def another(self, url: str = "", **settings: object) -> Backend:
        """Return the case's backend anew, with a service elsewhere or other settings."""
        return loaded(self.case.at(url or self.service.url, **settings))


def said_by(
    case: Case,
    backend: Backend,
    prompt: str = STORY,
    context: ContextDouble | None = None,
    **options: object,
) -> Said:
    context = context or ContextDouble()
    if case.is_language_model:
        options = {"max_tokens": 40, **options}
    return list(backend.stream(case.query(prompt, context, **options), context))


def loaded(spec: ModelSpec) -> Backend:
    (found,) = discover([spec])
    assert found.missing == ""
    assert found.backend is not None
    found.backend.load()
    return found.backend


@pytest.fixture(scope="module", autouse=True)
def _credential() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(KEY_VARIABLE, SECRET)
        yield


@pytest.fixture(scope="module")
def _stands(request: pytest.FixtureRequest) -> Iterator[Stand]:
    case: Case = request.param
    if case.needs:
        request.getfixturevalue(case.needs)
    with ExitStack() as stack:
        service = stack.enter_context(case.service()) if case.service else None
        backend = loaded(case.at(service.url if service else ""))
        stack.callback(backend.unload)
        yield Stand(case, backend, service)


@pytest.fixture
def stand(_stands: Stand) -> Iterator[Stand]:
    yield _stands
    _stands.recover()


def every(which: Callable[[Case], bool] = lambda case: True) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("_stands", params(which), indirect=True, scope="module")


# Of all of them.


@every()
def test_an_answer_has_the_shape_of_its_modality_and_its_figures(stand: Stand) -> None:
    modality = stand.case.spec.modality
    said = stand.ask()
    done = said[-1]
    assert isinstance(done, Done)
    assert is_shaped(said, modality), shape_of(said)
    lacking = [name for name in FIGURES[modality] if not getattr(done.usage, name)]
    assert lacking == []


@every()
def test_what_it_says_names_blobs_that_it_wrote(stand: Stand) -> None:
    context = ContextDouble()
    said = stand.ask(context=context)
    parts = [one.part for one in said if isinstance(one, Delta) and one.part is not None]
    named = {part.blob for part in parts if hasattr(part, "blob")}
    assert named <= set(context.blobs)


@every()
def test_loading_and_unloading_again_is_harmless(stand: Stand) -> None:
    backend = stand.backend
    backend.load()
    backend.unload()
    backend.unload()
    backend.load()
    backend.load()
    assert isinstance(stand.ask("Hello")[-1], Done)


@every()
def test_several_are_answered_at_once(stand: Stand) -> None:
    answers: list[Said] = []
    threads = [threading.Thread(target=lambda: answers.append(stand.ask())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 3
    assert all(isinstance(answer[-1], Done) for answer in answers)


class Told:
    """Takes what a backend says to the rows of a query."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def publish(self, delta: Delta) -> None:
        if delta.part is not None:
            self.parts.append(delta.part)

    def progress(self, step: Step) -> None:
        """It is on its way."""


@every(lambda case: case.spec.modality in (Modality.CHAT, Modality.EMBEDDING))
def test_rows_of_a_table_are_answered_one_after_the_other_on_one_attempt(stand: Stand) -> None:
    context, told = ContextDouble(), Told()
    limits = {"max_tokens": 8} if stand.case.is_language_model else {}
    how = stand.case.query("What is a bee?", context, **limits)
    rows = tuple(TableRow(f"What is a {what}?", what) for what in ("bee", "hive", "bee's knee"))
    first = Message("user", (Text(rows[0].text),))

    def ask(query: Query, sink: Sink) -> Done | None:
        for said in stand.backend.stream(query, context):
            if isinstance(said, Done):
                return said
            (sink.publish if isinstance(said, Delta) else sink.progress)(said)
        return None

    done = take_turns(msgspec.structs.replace(how, messages=(first,), rows=rows), ask, told, 3600)
    assert done is not None
    assert (done.usage.rows, done.finish_reason) == (3, "stop")
    assert answered(told.parts) == {0, 1, 2}
    assert all(one.parts for one in row_answers(told.parts))
    lacking = [name for name in FIGURES[stand.case.spec.modality] if not getattr(done.usage, name)]
    assert lacking == []


@every()
def test_closing_the_stream_leaves_it_ready_for_the_next(stand: Stand) -> None:
    context = ContextDouble()
    stream = stand.backend.stream(stand.case.query(STORY, context), context)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]  # a generator, by the protocol's promise
    assert isinstance(stand.ask("Hello")[-1], Done)


@every()
def test_a_cancelled_query_is_not_begun(stand: Stand) -> None:
    context = ContextDouble()
    context.cancel()
    said: Said = []
    try:
        said = stand.ask(context=context)
    except Exception as error:  # noqa: BLE001 - a backend may say so by raising anything
        print(f"stopped by {error!r}")
    assert len(said) < 20


# Of language models.

LANGUAGE_MODELS = every(lambda case: case.is_language_model)


@LANGUAGE_MODELS
def test_it_answers_in_pieces_and_tells_their_tokens(stand: Stand) -> None:
    said = stand.ask("What do bees make?", max_tokens=8)
    *pieces, done = said
    assert text_of(said).strip()
    assert isinstance(done, Done)
    assert done.usage.input_tokens >= 4
    assert 1 <= done.usage.output_tokens <= 8
    told = sum(piece.tokens for piece in pieces if isinstance(piece, Delta))
    # A service tells the figures at the end; until then the backend guesses.
    near = done.usage.output_tokens if stand.case.service else 1
    assert told == pytest.approx(done.usage.output_tokens, abs=near)


@LANGUAGE_MODELS
def test_it_stops_at_the_limit_of_tokens_and_says_so(stand: Stand) -> None:
    done = stand.ask(max_tokens=3)[-1]
    assert isinstance(done, Done)
    assert done.usage.output_tokens == 3
    assert done.finish_reason == "length"


@LANGUAGE_MODELS
def test_the_same_seed_gives_the_same_answer(stand: Stand) -> None:
    options = {"seed": 7, "temperature": 0.9, "max_tokens": 12}
    assert text_of(stand.ask(**options)) == text_of(stand.ask(**options))


@LANGUAGE_MODELS
def test_it_ends_before_a_stop_word(stand: Stand) -> None:
    whole = text_of(stand.ask(max_tokens=12, temperature=0.0))
    word = whole.split()[2]
    cut = text_of(stand.ask(max_tokens=12, temperature=0.0, stop=[word]))
    assert word not in cut
    assert whole.startswith(cut)


@every(lambda case: case.spec.modality is Modality.CHAT)
def test_it_reads_a_whole_conversation(stand: Stand) -> None:
    query = Query.ask("And what is my name?", system="Be brief.", max_tokens=8)
    assert isinstance(list(stand.backend.stream(query, ContextDouble()))[-1], Done)


# Of embeddings.


@every(lambda case: case.spec.modality is Modality.EMBEDDING)
def test_each_text_has_its_vector_in_order(stand: Stand) -> None:
    vectors = [one.part for one in stand.ask() if isinstance(one, Delta)]
    assert len(vectors) == 3
    widths = set()
    for vector in vectors:
        assert isinstance(vector, Data)
        assert list(vector.value) == ["embedding"]
        widths.add(len(vector.value["embedding"]))
        assert all(isinstance(number, float) for number in vector.value["embedding"])
    assert len(widths) == 1


# Of backends that talk to a service.

REMOTE = every(lambda case: case.service is not None)


@REMOTE
def test_the_credential_goes_to_the_service_and_to_nobody_else(stand: Stand) -> None:
    stand.ask()
    asked = stand.service.next_asked()
    assert SECRET in str(asked.headers)
    assert SECRET not in asked.path


@REMOTE
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(status=401), id="401"),
        pytest.param(Fault(status=403), id="403"),
        pytest.param(Fault(429, {"Retry-After": "7"}), id="429"),
        pytest.param(Fault(status=500), id="500"),
        pytest.param(Fault(503, {"Retry-After": "7"}), id="503"),
        pytest.param(Fault(status=529), id="529"),
        pytest.param(Fault(307, {"Location": "http://127.0.0.1:9/elsewhere"}), id="redirected"),
        pytest.param(Fault(broken_after=0), id="broken before the first word"),
        pytest.param(Fault(broken_after=MIDDLE), id="broken in the middle"),
        pytest.param(Fault(malformed=True), id="malformed"),
    ],
)
def test_what_goes_wrong_at_the_service_is_told_without_a_secret_and_tried_again(
    stand: Stand, fault: Fault
) -> None:
    stand.service.fault = fault
    with pytest.raises(BackendFailed) as failed:
        stand.ask()
    assert not isinstance(failed.value, LASTING)
    waits = 7 if "Retry-After" in fault.headers else None
    assert failed.value.retry_after_seconds == waits
    assert_no_secret(failed.value)
    asked = stand.service.next_asked()
    assert asked.path
    assert stand.service.asked.empty(), "a backend does not try again: the realm does"


@every(lambda case: case.service is not None and case.spec.modality is not Modality.API)
def test_a_service_that_lacks_the_model_is_told_and_tried_again(stand: Stand) -> None:
    stand.service.fault = Fault(status=404)
    with pytest.raises(BackendFailed, match="does not have it") as failed:
        stand.ask()
    assert_no_secret(failed.value)


@REMOTE
def test_a_service_that_is_not_there_is_told_and_tried_again(stand: Stand) -> None:
    user = "mtor:hunter2@" if stand.case.userinfo else ""
    with pytest.raises(BackendFailed, match="reach") as failed:
        said_by(stand.case, stand.another(f"http://{user}127.0.0.1:9"))
    assert_no_secret(failed.value)


@REMOTE
@pytest.mark.parametrize("after", [0, MIDDLE])
def test_a_silence_ends_in_an_error_after_its_time(stand: Stand, after: int) -> None:
    stand.service.fault = Fault(silent_after=after)
    with pytest.raises(BackendFailed, match=r"0\.2 s") as failed:
        said_by(stand.case, stand.another(timeout_seconds=0.2))
    assert_no_secret(failed.value)


@REMOTE
def test_what_the_service_calls_a_bad_request_is_the_users_to_change(stand: Stand) -> None:
    stand.service.fault = Fault(status=400)
    with pytest.raises(BadInput, match="not well") as failed:
        stand.ask()
    assert_no_secret(failed.value)


@REMOTE
@pytest.mark.parametrize("after", [0, MIDDLE], ids=["before the first word", "in the middle"])
def test_a_cancel_reaches_a_service_that_is_silent(stand: Stand, after: int) -> None:
    stand.service.fault = Fault(silent_after=after)
    assert min(_seconds_to_heed_a_cancel(stand) for _ in range(TRIES)) < HEED_SECONDS


def _seconds_to_heed_a_cancel(stand: Stand) -> float:
    """Ask, cancel while the service is silent, and see it hang up."""
    context = ContextDouble()
    begun = threading.Event()

    def ask() -> None:
        try:
            for _ in stand.backend.stream(stand.case.query(STORY, context), context):
                begun.set()
        except Exception as error:  # noqa: BLE001 - a backend may say so by raising anything
            print(f"stopped by {error!r}")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    stand.service.next_asked()
    if stand.service.fault.silent_after and stand.case.streams:
        assert begun.wait(WAIT_SECONDS)
    start = time.monotonic()
    context.cancel()
    asking.join(WAIT_SECONDS)
    stand.service.hung_up.get(timeout=WAIT_SECONDS)
    assert not asking.is_alive()
    return time.monotonic() - start


def assert_no_secret(error: RealmError) -> None:
    told = f"{error.info()!r}"
    for secret in (SECRET, "hunter2", "127.0.0.1"):
        assert secret not in told
