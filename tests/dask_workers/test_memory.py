"""Models share a worker's memory: who waits, who comes in, who leaves, and who is told no."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
import pytest

from dask_workers.attempts import Attempt
from dask_workers.memory import Memory
from dask_workers.models import Model, Models
from dask_workers.room import Room
from mtor_kernel.protocol.backend import ModelSpec, Step
from mtor_kernel.protocol.errors import ResourceExhausted
from mtor_kernel.protocol.link import AttemptRef
from tests.dask_workers.samples import echo
from tests.dask_workers.test_models import Weighing

LIMIT = 60


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Crowd:
    """Models of 60 MB each in a memory of 100, and threads that use them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = Memory(Room(100), self.clock)
        self.backends: dict[str, Weighing] = {}
        self.pool = ThreadPoolExecutor(8)

    def model(self, name: str, memory_mb: int = 60) -> Model:
        spec = sized(name, memory_mb)
        self.backends[name] = Weighing(spec)
        return Model(spec, self.backends[name], lambda: None, self.memory)

    def use(self, model: Model, until: threading.Event, attempt: Attempt | None = None) -> Use:
        return Use(self.pool, model, until, attempt or an_attempt())

    def inside(self) -> set[str]:
        return {name for name, backend in self.backends.items() if backend.in_memory}


class Use:
    """One attempt that holds a model until an event."""

    def __init__(
        self, pool: ThreadPoolExecutor, model: Model, until: threading.Event, attempt: Attempt
    ) -> None:
        self.attempt = attempt
        self.notes: list[str] = []
        self.began = threading.Event()
        self.waits = threading.Event()
        self._model, self._until = model, until
        self.ended: Future[None] = pool.submit(self._run)

    def _run(self) -> None:
        with self._model.in_use(self.attempt, self._tell):
            self.began.set()
            assert self._until.wait(LIMIT)

    def _tell(self, step: Step) -> None:
        self.notes.append(step.note)
        if "waiting" in step.note:
            self.waits.set()


def sized(name: str, memory_mb: int, vram_mb: int = 0) -> ModelSpec:
    return msgspec.structs.replace(echo(name), memory_mb=memory_mb, vram_mb=vram_mb)


def an_attempt() -> Attempt:
    return Attempt(AttemptRef("0" * 32, 1, 1))


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.pool.shutdown()


@pytest.fixture
def over() -> Iterator[Callable[[], threading.Event]]:
    """Makes events that are set in the end, so that no thread stays."""
    made: list[threading.Event] = []

    def make() -> threading.Event:
        made.append(threading.Event())
        return made[-1]

    yield make
    for event in made:
        event.set()


def test_an_idle_model_leaves_for_another(crowd: Crowd) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    with one.in_use():
        pass
    crowd.clock.now += 60
    with two.in_use():
        assert crowd.inside() == {"two"}
    assert not one.loaded


def test_a_busy_model_stays_and_the_other_waits_until_it_is_idle(
    crowd: Crowd, over: Callable[[], threading.Event]
) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    first_done, second_done = over(), over()
    first = crowd.use(one, first_done)
    assert first.began.wait(LIMIT)
    crowd.clock.now += 60
    second = crowd.use(two, second_done)
    assert second.waits.wait(LIMIT)
    assert crowd.inside() == {"one"}
    first_done.set()
    assert second.began.wait(LIMIT)
    assert crowd.inside() == {"two"}
    assert second.notes == ["waiting for room in memory for two", "loading two…"]


def test_a_model_that_has_just_come_is_not_sent_away_at_once(
    crowd: Crowd, over: Callable[[], threading.Event]
) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    with one.in_use():
        pass
    with pytest.raises(ResourceExhausted, match="no room"):
        two.load()
    assert crowd.inside() == {"one"}
    crowd.clock.now += 60
    two.load()
    assert crowd.inside() == {"two"}


def test_who_waits_can_be_cancelled(crowd: Crowd, over: Callable[[], threading.Event]) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    done = over()
    first = crowd.use(one, done)
    assert first.began.wait(LIMIT)
    second = crowd.use(two, done)
    assert second.waits.wait(LIMIT)
    second.attempt.cancel()
    with pytest.raises(ResourceExhausted):
        second.ended.result(LIMIT)
    assert crowd.inside() == {"one"}


def test_who_has_waited_long_is_not_kept_out_by_a_stream_of_others(
    crowd: Crowd, over: Callable[[], threading.Event]
) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    done, later = over(), over()
    first = crowd.use(one, done)
    assert first.began.wait(LIMIT)
    crowd.clock.now += 60
    patient = crowd.use(two, later)
    assert patient.waits.wait(LIMIT)
    crowd.clock.now += 60
    # Time has passed: whoever comes now for the busy model waits behind.
    crowd.memory.look_again()
    deadline = time.monotonic() + LIMIT
    while not one._seat.draining:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    newcomer = crowd.use(one, later)
    assert newcomer.waits.wait(LIMIT)
    assert not newcomer.began.is_set()
    done.set()
    assert patient.began.wait(LIMIT)
    assert not newcomer.began.is_set()
    later.set()
    crowd.clock.now += 60
    crowd.memory.look_again()
    assert newcomer.began.wait(LIMIT)
    assert crowd.inside() == {"one"}


def test_where_there_is_room_nobody_waits_behind_one_that_waits(
    crowd: Crowd, over: Callable[[], threading.Event]
) -> None:
    one, two, small = crowd.model("one"), crowd.model("two"), crowd.model("small", 30)
    done = over()
    assert crowd.use(one, done).began.wait(LIMIT)
    waiting = crowd.use(two, done)
    assert waiting.waits.wait(LIMIT)
    with small.in_use():
        assert crowd.inside() == {"one", "small"}
    assert not waiting.began.is_set()
    crowd.clock.now += 60
    done.set()
    assert waiting.began.wait(LIMIT)


def test_both_fit_where_there_is_room(crowd: Crowd) -> None:
    small, large = crowd.model("small", 40), crowd.model("large", 60)
    with small.in_use(), large.in_use():
        assert crowd.inside() == {"small", "large"}


def test_a_failed_load_gives_its_room_back(crowd: Crowd) -> None:
    one, two = crowd.model("one"), crowd.model("two")
    crowd.backends["one"].broken = True
    with pytest.raises(RuntimeError):
        one.load()
    two.load()
    assert crowd.inside() == {"two"}


def test_a_model_that_never_fits_is_said_to_with_its_figures() -> None:
    models = Models(lambda: None, Memory(Room(3000)))
    spec = sized("giant", 5600)
    models.serve([(spec, Weighing(spec))], {})
    (told,) = models.served()
    assert told.slots == 0
    assert "5,600 MB" in told.trouble
    assert "3,000 MB" in told.trouble


def test_without_a_gpu_the_memory_of_one_is_not_asked_for() -> None:
    assert Memory(Room(3000)).refusal(sized("picture", 1000, 4000)) == ""
    assert "GPU" in Memory(Room(3000, 2000)).refusal(sized("picture", 1000, 4000))


def test_a_model_that_is_not_served_any_more_leaves_its_room(crowd: Crowd) -> None:
    models = Models(lambda: None, crowd.memory)
    gone, new = sized("gone", 60), sized("new", 60)
    models.serve([(gone, Weighing(gone))], {})
    models.get("gone").load()
    models.serve([(new, Weighing(new))], {})
    models.get("new").load()
    assert models.get("new").loaded


def test_a_model_that_is_taken_out_while_its_query_waits_for_room_answers_and_leaves(
    crowd: Crowd, over: Callable[[], threading.Event]
) -> None:
    busy, gone, new = crowd.model("busy"), crowd.model("gone"), crowd.model("new")
    done, answered = over(), over()
    first = crowd.use(busy, done)
    assert first.began.wait(LIMIT)
    waiting = crowd.use(gone, answered)
    assert waiting.waits.wait(LIMIT)
    gone.forget()
    crowd.clock.now += 60
    done.set()
    assert waiting.began.wait(LIMIT), "what was asked before is answered"
    with pytest.raises(ResourceExhausted):
        new.load()  # the one that answers still has its room
    answered.set()
    waiting.ended.result(LIMIT)
    assert crowd.inside() == set(), "nobody will ask for it again"
    new.load()
    assert crowd.inside() == {"new"}


def test_a_model_that_is_taken_out_between_being_found_and_used_answers_and_leaves(
    crowd: Crowd,
) -> None:
    gone, new = crowd.model("gone"), crowd.model("new")
    gone.forget()
    with gone.in_use(), pytest.raises(ResourceExhausted):
        new.load()
    assert crowd.inside() == set()
    new.load()


def test_many_threads_and_models_never_hold_more_than_the_budget() -> None:
    memory = Memory(Room(100))
    held, most, guard = [0], [0], threading.Lock()

    class Counting(Weighing):
        def load(self) -> None:
            with guard:
                held[0] += 40
                most[0] = max(most[0], held[0])

        def unload(self) -> None:
            with guard:
                held[0] -= 40 * self.in_memory_now()

        def in_memory_now(self) -> int:
            return 1

    specs = [sized(f"m{number}", 40) for number in range(5)]
    # No residency here: they come and go as fast as they can.
    models = [Model(spec, Counting(spec), lambda: None, memory) for spec in specs]
    memory.residency = memory.patience = 0.0

    def work(number: int) -> None:
        for turn in range(20):
            with models[(number + turn * 3) % 5].in_use(an_attempt()):
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert 0 < most[0] <= 100
