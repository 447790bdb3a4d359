"""A model lies in memory while it is of use, and is never taken from under whoever uses it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue
from typing import ClassVar

import msgspec
import pytest

from dask_workers.memory import Memory
from dask_workers.models import Model, Models
from dask_workers.room import Room
from mtor_kernel.protocol.backend import Context, Delta, Done, ModelSpec, Step
from mtor_kernel.protocol.errors import NoModel
from mtor_kernel.protocol.query import Modality, Query
from tests.dask_workers.samples import echo


class Weighing:
    """A backend that knows whether it is loaded."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({Modality.CHAT})

    def __init__(self, spec: ModelSpec) -> None:
        self.loads = 0
        self.in_memory = False
        self.broken = False

    def missing(self) -> str:
        return ""

    def load(self) -> None:
        if self.broken:
            raise RuntimeError("the secret token is 42")
        self.loads += 1
        self.in_memory = True

    def unload(self) -> None:
        self.in_memory = False

    def stream(self, query: Query, context: Context) -> Iterator[Delta | Step | Done]:
        raise NotImplementedError


class Told(Weighing):
    """One whose weights are known by what its test says, for each load in turn."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.asked: Queue[Queue[str]] = Queue()

    def weights(self) -> str:
        answer: Queue[str] = Queue()
        self.asked.put(answer)
        return answer.get(timeout=60)


@pytest.fixture
def backend() -> Weighing:
    return Weighing(echo())


@pytest.fixture
def model(backend: Weighing) -> Model:
    return Model(echo(), backend, lambda: None)


def test_it_is_loaded_once_and_stays(model: Model, backend: Weighing) -> None:
    for _ in range(2):
        with model.in_use():
            assert backend.in_memory
    assert backend.loads == 1
    assert model.loaded


def test_two_at_once_load_it_once(model: Model, backend: Weighing) -> None:
    together = threading.Barrier(2)

    def use() -> None:
        together.wait()
        with model.in_use():
            pass

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert backend.loads == 1


def test_it_leaves_when_its_last_user_is_gone(model: Model, backend: Weighing) -> None:
    with model.in_use():
        model.unload()
        assert backend.in_memory
    assert not backend.in_memory
    assert not model.loaded


def test_running_out_of_memory_frees_it(model: Model, backend: Weighing) -> None:
    with pytest.raises(MemoryError), model.in_use():
        raise MemoryError
    assert not backend.in_memory


def test_another_error_leaves_it_where_it_is(model: Model, backend: Weighing) -> None:
    with pytest.raises(RuntimeError), model.in_use():
        raise RuntimeError
    assert backend.in_memory


def test_a_failed_load_is_its_trouble_until_it_succeeds_and_tells_no_secret(
    model: Model, backend: Weighing
) -> None:
    backend.broken = True
    with pytest.raises(RuntimeError):
        model.load()
    assert "RuntimeError" in model.trouble
    assert "42" not in model.trouble
    backend.broken = False
    model.load()
    assert model.trouble == ""


def test_what_is_found_out_late_about_an_earlier_load_is_out_of_date() -> None:
    backend = Told(echo())
    known = threading.Event()
    model = Model(echo(), backend, lambda: known.set() if model.weights == "new" else None)
    model.load()
    earlier = backend.asked.get(timeout=60)
    model.unload()
    model.load()
    backend.asked.get(timeout=60).put("new")
    assert known.wait(60)
    earlier.put("old")
    for thread in threading.enumerate():
        if thread.name == "mtor-weights":
            thread.join(60)
    assert model.weights == "new"


def test_a_new_catalogue_keeps_what_has_not_changed_and_frees_the_rest() -> None:
    changes: list[bool] = []
    models = Models(lambda: changes.append(True))
    specs = [echo("stays"), echo("changes"), echo("goes")]
    backends = {spec.name: Weighing(spec) for spec in specs}
    models.serve([(spec, backends[spec.name]) for spec in specs], {})
    for model in models.all():
        model.load()
    changed = echo("changes", text="new")
    models.serve([(specs[0], Weighing(specs[0])), (changed, Weighing(changed))], {})
    assert backends["stays"].in_memory
    assert models.get("stays").backend is backends["stays"]
    assert not backends["changes"].in_memory
    assert not backends["goes"].in_memory
    assert not models.get("changes").loaded
    with pytest.raises(NoModel):
        models.get("goes")


def test_a_catalogue_that_two_bring_at_once_is_served_once() -> None:
    models = Models(lambda: None)
    first, second = Weighing(echo()), Weighing(echo())

    def at_once() -> None:
        models.serve([(echo(), second)], {})
        models.get("echo").load()

    other = threading.Thread(target=at_once)

    def slowly() -> Iterator[tuple[ModelSpec, Weighing]]:
        other.start()
        other.join(0.2)  # it would be through by now if it did not have to wait
        yield echo(), first

    models.serve(slowly(), {})
    other.join(60)
    assert models.get("echo").loaded
    models.serve((), {})
    assert (first.in_memory, second.in_memory) == (False, False)


def test_of_a_catalogue_that_is_on_its_way_nothing_is_seen() -> None:
    room = Room(memory_mb=10, vram_mb=0)
    models = Models(lambda: None, Memory(room))
    seen: list[list[tuple[str, int]]] = []

    def told() -> list[tuple[str, int]]:
        return [(one.model, one.slots) for one in models.served()]

    def found() -> Iterator[tuple[ModelSpec, Weighing]]:
        for spec in (msgspec.structs.replace(echo("large"), memory_mb=1000), echo("small")):
            yield spec, Weighing(spec)
            seen.append(told())

    models.serve(found(), {"absent": "Its weights are not here."})
    assert seen == [[], []]
    assert told() == [("small", 4), ("absent", 0), ("large", 0)]


def test_a_draining_worker_has_no_slots() -> None:
    models = Models(lambda: None)
    models.serve([(echo(slots=3), Weighing(echo()))], {})
    assert [one.slots for one in models.served()] == [3]
    assert [one.slots for one in models.served(draining=True)] == [0]


def test_what_the_machine_lacks_is_told_with_its_reason_and_has_no_slots() -> None:
    models = Models(lambda: None)
    models.serve([(echo(slots=1), Weighing(echo()))], {"absent": "Its weights are not here."})
    told = {one.model: (one.slots, one.trouble) for one in models.served()}
    assert told == {"echo": (1, ""), "absent": (0, "Its weights are not here.")}
