"""The thread that draws for many: what it draws together, how it is left, how it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Queue

import pytest
from PIL import Image as Picture

from dask_workers.drawing.orders import Manner, Order
from dask_workers.drawing.previews import png_of, small_png
from dask_workers.drawing.studio import Drawing, Studio, Watch
from mtor_kernel.protocol.backend import Step
from mtor_kernel.protocol.errors import BackendFailed, BadInput, Unavailable
from tests.dask_workers.contract import ContextDouble

SMALL, LARGE = Manner(64, 64, 4, 3.0), Manner(128, 128, 4, 3.0)
WAIT_SECONDS = 60


def painted(name: str) -> Picture.Image:
    """Return the picture of an order: a dot whose grey is its prompt's first letter."""
    return Picture.new("L", (1, 1), ord(name[0]))


SMALL_ONE = painted("small")


class Painter:
    """An artist whose pictures tell their orders' prompts, and which some orders hold up."""

    def __init__(self, fits: int = 100, held: Sequence[str] = ()) -> None:
        self.fits = fits
        self.drawn: list[list[str]] = []
        self.rests = 0
        self.left = False
        self.began: Queue[list[str]] = Queue()
        self._held = {name: threading.Event() for name in held}

    def let(self, name: str) -> None:
        """Go on with a drawing whose first order is held."""
        self._held[name].set()

    def draw(self, orders: Sequence[Order], watch: Watch) -> list[Picture.Image | None]:
        names = [order.prompt for order in orders]
        self.began.put(names)
        if len(orders) > self.fits:
            raise MemoryError
        if "nonsense" in names:
            raise BadInput("Nobody can draw that.")
        if "broken" in names:
            raise ValueError("sk-secret")
        for step in range(1, 5):
            if names[0] in self._held:
                assert self._held[names[0]].wait(WAIT_SECONDS)
            watch(step, 4, [SMALL_ONE] * len(orders) if step == 2 else [])
        self.drawn.append(names)
        return [painted(name) for name in names]

    def rest(self) -> None:
        self.rests += 1

    def leave(self) -> None:
        self.left = True


class Restless(Painter):
    """One that cannot give memory back, the first time."""

    def rest(self) -> None:
        super().rest()
        if self.rests == 1:
            raise RuntimeError("device-side assert")


@pytest.fixture
def open_studio() -> Iterator[Callable[..., Studio]]:
    opened: list[Studio] = []

    def open_(painter: Painter, most: int = 4, begin: Callable[[], None] | None = None) -> Studio:
        opened.append(Studio(painter, most=most, begin=begin))
        return opened[-1]

    yield open_
    for studio in opened:
        studio.close()


class Visitor(threading.Thread):
    """Somebody in a thread of their own, who waits for a picture."""

    def __init__(self, studio: Studio, name: str, manner: Manner = SMALL) -> None:
        super().__init__(daemon=True)
        self.context = ContextDouble()
        self.told: list[Step | Drawing] = []
        self.error: Exception | None = None
        self.entered = threading.Event()
        self._order = Order(name, manner, seed=7)
        self._studio = studio
        self.start()

    def run(self) -> None:
        try:
            for event in self._studio.visit(self._order, self.context):
                self.told.append(event)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def wait(self) -> list[Step | Drawing]:
        self.join(WAIT_SECONDS)
        assert not self.is_alive()
        return self.told


def _fail() -> None:
    raise RuntimeError("no such device")


def queued(studio: Studio, count: int) -> None:
    """Wait until so many wait."""
    with studio._changed:
        assert studio._changed.wait_for(lambda: len(studio._waiting) == count, WAIT_SECONDS)


def test_progress_comes_in_order_and_the_picture_last(open_studio: Callable[..., Studio]) -> None:
    *steps, picture = Visitor(open_studio(Painter()), "a heart").wait()
    assert picture == Drawing(png_of(painted("a heart")))
    fractions = [step.fraction for step in steps if isinstance(step, Step)]
    assert fractions == sorted(fractions)
    assert len(fractions) == 4
    assert all(0 < fraction < 1 for fraction in fractions)
    assert [step.preview for step in steps if isinstance(step, Step)] == [
        b"",
        small_png(SMALL_ONE),
        b"",
        b"",
    ]
    assert isinstance(steps[0], Step)
    assert "seed 7" in steps[0].note


def test_what_waits_while_one_is_drawn_is_drawn_together_next(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(held=["first"])
    studio = open_studio(painter)
    first = Visitor(studio, "first")
    assert painter.began.get(timeout=WAIT_SECONDS) == ["first"]
    others = []
    for number, (name, manner) in enumerate(
        [("a", SMALL), ("b", LARGE), ("c", SMALL), ("d", SMALL)], start=1
    ):
        others.append(Visitor(studio, name, manner))
        queued(studio, number)
    painter.let("first")
    for visitor in (first, *others):
        visitor.wait()
    assert painter.drawn == [["first"], ["a", "c", "d"], ["b"]]
    assert [visitor.told[-1] for visitor in others] == [
        Drawing(png_of(painted(name))) for name in "abcd"
    ]


def test_no_more_are_drawn_together_than_may_be(open_studio: Callable[..., Studio]) -> None:
    painter = Painter(held=["first"])
    studio = open_studio(painter, most=2)
    everybody = [Visitor(studio, "first")]
    painter.began.get(timeout=WAIT_SECONDS)
    for number, name in enumerate("abc", start=1):
        everybody.append(Visitor(studio, name))
        queued(studio, number)
    painter.let("first")
    for visitor in everybody:
        visitor.wait()
    assert painter.drawn == [["first"], ["a", "b"], ["c"]]


def test_one_that_is_cancelled_leaves_at_once_and_the_other_gets_its_picture(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(held=["first", "a"])
    studio = open_studio(painter)
    first = Visitor(studio, "first")
    painter.began.get(timeout=WAIT_SECONDS)
    pair = []
    for number, name in enumerate("ab", start=1):
        pair.append(Visitor(studio, name))
        queued(studio, number)
    leaver, stayer = pair
    painter.let("first")
    first.wait()
    assert painter.began.get(timeout=WAIT_SECONDS) == ["a", "b"]
    leaver.context.cancel()
    leaver.wait()  # while nothing is drawn
    assert leaver.error is None
    assert not any(isinstance(event, Drawing) for event in leaver.told)
    painter.let("a")
    assert stayer.wait()[-1] == Drawing(png_of(painted("b")))


def test_a_drawing_that_nobody_waits_for_is_broken_off(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(held=["a"])
    studio = open_studio(painter)
    visitor = Visitor(studio, "a")
    painter.began.get(timeout=WAIT_SECONDS)
    visitor.context.cancel()
    visitor.wait()
    painter.let("a")
    assert Visitor(studio, "b").wait()[-1] == Drawing(png_of(painted("b")))
    assert painter.drawn == [["b"]]


def test_one_cancelled_while_it_waits_is_never_drawn(open_studio: Callable[..., Studio]) -> None:
    painter = Painter(held=["first"])
    studio = open_studio(painter)
    first = Visitor(studio, "first")
    painter.began.get(timeout=WAIT_SECONDS)
    waiting = Visitor(studio, "a")
    queued(studio, 1)
    waiting.context.cancel()
    waiting.wait()
    painter.let("first")
    first.wait()
    Visitor(studio, "b").wait()
    assert painter.drawn == [["first"], ["b"]]


@pytest.mark.slow
def test_what_does_not_fit_together_is_halved_until_it_does(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(fits=1, held=["first"])
    studio = open_studio(painter)
    everybody = [Visitor(studio, "first")]
    painter.began.get(timeout=WAIT_SECONDS)
    for number, name in enumerate("abcd", start=1):
        everybody.append(Visitor(studio, name))
        queued(studio, number)
    painter.let("first")
    for visitor in everybody:
        assert isinstance(visitor.wait()[-1], Drawing)
    assert painter.drawn == [["first"], ["a"], ["b"], ["c"], ["d"]]
    assert painter.rests
    tried = [painter.began.get_nowait() for _ in range(painter.began.qsize())]
    assert tried[:3] == [["a", "b", "c", "d"], ["a", "b"], ["a"]]


def test_one_that_does_not_fit_alone_is_refused_and_the_next_is_drawn(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(fits=0)
    studio = open_studio(painter)
    refused = Visitor(studio, "a")
    refused.wait()
    assert isinstance(refused.error, MemoryError)
    painter.fits = 1
    assert Visitor(studio, "b").wait()[-1] == Drawing(png_of(painted("b")))


@pytest.mark.parametrize(("name", "kind"), [("nonsense", BadInput), ("broken", BackendFailed)])
def test_a_failure_is_told_as_an_error_of_the_realm_and_the_next_is_drawn(
    open_studio: Callable[..., Studio], name: str, kind: type[Exception]
) -> None:
    studio = open_studio(Painter())
    failed = Visitor(studio, name)
    failed.wait()
    assert isinstance(failed.error, kind)
    assert "sk-secret" not in str(failed.error)
    assert Visitor(studio, "b").wait()[-1] == Drawing(png_of(painted("b")))


def test_after_a_device_that_could_not_be_tidied_up_the_next_is_drawn(
    open_studio: Callable[..., Studio],
) -> None:
    studio = open_studio(Restless())
    failed = Visitor(studio, "broken")
    failed.wait()
    assert isinstance(failed.error, BackendFailed)
    assert Visitor(studio, "b").wait()[-1] == Drawing(png_of(painted("b")))


def test_those_that_could_not_be_drawn_together_are_told_where_no_memory_comes_back(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Restless(fits=1, held=["a"])
    studio = open_studio(painter)
    first = Visitor(studio, "a")
    painter.began.get(timeout=WAIT_SECONDS)
    together = [Visitor(studio, name) for name in "bc"]
    queued(studio, 2)
    painter.let("a")
    first.wait()
    for visitor in together:
        visitor.wait()
        assert isinstance(visitor.error, BackendFailed)


def test_a_thread_that_could_not_be_prepared_draws_all_the_same(
    open_studio: Callable[..., Studio],
) -> None:
    studio = open_studio(Painter(), begin=_fail)
    assert Visitor(studio, "b").wait()[-1] == Drawing(png_of(painted("b")))


def test_closing_sends_everybody_away_and_ends_the_thread(
    open_studio: Callable[..., Studio],
) -> None:
    painter = Painter(held=["a"])
    studio = open_studio(painter)
    drawn = Visitor(studio, "a")
    painter.began.get(timeout=WAIT_SECONDS)
    waiting = Visitor(studio, "b")
    queued(studio, 1)
    closing = threading.Thread(target=studio.close)
    closing.start()
    waiting.wait()
    painter.let("a")
    closing.join(WAIT_SECONDS)
    assert not closing.is_alive()
    for visitor in (drawn, waiting):
        visitor.wait()
        assert isinstance(visitor.error, Unavailable)
    assert painter.left
    with pytest.raises(Unavailable):
        list(studio.visit(Order("c", SMALL, 1), ContextDouble()))
