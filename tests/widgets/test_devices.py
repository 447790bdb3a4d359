import asyncio
import io
import json

import pytest
from PIL import Image

from mtor_kernel.client import as_media
from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.protocol.media import Wav
from mtor_kernel.widgets import Camera, Microphone, Taken
from tests.widgets.browser_double import Browser


def picture(size: tuple[int, int] = (640, 480)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 80).save(file, "JPEG")
    return file.getvalue()


def recording() -> bytes:
    sound = Wav(1, 2, 16_000, b"\0\0" * 16_000)
    return sound.head(32_000) + b"\0\0" * 16_000


@pytest.mark.asyncio
async def test_who_waits_gets_the_picture_that_was_taken() -> None:
    camera = Camera()
    browser = Browser(camera)
    waiting = asyncio.create_task(camera.frame())
    await asyncio.sleep(0)
    assert browser.state["wanted"]
    sent = picture()
    browser.send_file(sent)
    frame = await waiting
    assert (frame.content, frame.mime, frame.pil.size) == (sent, "image/jpeg", (640, 480))
    assert not browser.state["wanted"]
    assert browser.latest("stop")


@pytest.mark.asyncio
async def test_who_stops_waiting_switches_the_device_off() -> None:
    camera = Camera()
    browser = Browser(camera)
    waiting = asyncio.create_task(camera.frame())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not browser.state["wanted"]
    assert browser.latest("stop")


@pytest.mark.asyncio
async def test_where_no_browser_is_the_wait_ends_with_a_sentence() -> None:
    with pytest.raises(Unavailable, match="No browser shows this camera"):
        await Camera(patience_seconds=0.1).frame()


@pytest.mark.asyncio
async def test_a_wait_may_have_a_limit() -> None:
    microphone = Microphone()
    Browser(microphone)
    with pytest.raises(TimeoutError, match=r"No recording was taken within 0\.1 s"):
        await microphone.recording(seconds=0.1)


@pytest.mark.asyncio
async def test_a_recording_is_heard() -> None:
    microphone = Microphone()
    browser = Browser(microphone)
    waiting = asyncio.create_task(microphone.recording())
    await asyncio.sleep(0)
    browser.send_file(recording())
    said = await waiting
    assert Wav.of(said.content).seconds == 1
    assert as_media(said, "audio").mime == "audio/wav"


def test_nothing_of_what_was_taken_is_in_the_state_that_a_notebook_saves() -> None:
    camera = Camera()
    browser = Browser(camera)
    before = json.dumps(camera.get_state())
    browser.send_file(picture())
    assert json.dumps(camera.get_state()) == before
    assert json.dumps(browser.state) == before


def test_a_cell_that_ends_in_what_was_taken_keeps_its_size_and_not_itself() -> None:
    taken = Taken(picture(), "image/jpeg")
    assert repr(taken) == f"<picture, image/jpeg, {len(taken.content):,} bytes>"
    assert not hasattr(taken, "_repr_mimebundle_")
    assert not hasattr(taken, "_repr_png_")


def test_a_follower_is_called_and_its_error_is_shown() -> None:
    camera = Camera()
    browser = Browser(camera)
    taken: list[Taken] = []
    camera.on_taken(taken.append)
    camera.on_taken(lambda one: 1 / 0)
    browser.send_file(picture())
    assert camera.last is taken[0]
    assert browser.await_("trouble")["words"] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no picture", "not a picture"), (b"", "empty"), (recording(), "audio/wav")],
)
def test_what_is_no_picture_is_told_in_a_sentence(content: bytes, words: str) -> None:
    camera = Camera()
    browser = Browser(camera)
    browser.send_file(content)
    assert words in browser.await_("trouble")["words"]
    assert camera.last is None


def test_a_file_over_the_limit_is_refused_before_it_is_kept() -> None:
    camera = Camera(most_bytes=5)
    browser = Browser(camera)
    browser.say(b"12345", kind="taken", name="a", at=0, size=10**9)
    assert "1,000,000,000 bytes" in browser.await_("trouble")["words"]


@pytest.mark.parametrize("piece", [{}, {"name": 3, "at": 0, "size": 1}, {"name": "a", "at": "x"}])
def test_a_malformed_piece_is_told_and_ends_nothing(piece: dict[str, object]) -> None:
    camera = Camera()
    browser = Browser(camera)
    browser.say(b"x", kind="taken", **piece)
    assert "no piece of a file" in browser.await_("trouble")["words"]
    browser.send_file(picture())
    assert camera.last is not None


def test_a_file_that_another_one_replaced_is_dropped() -> None:
    camera = Camera()
    browser = Browser(camera)
    sent = picture()
    browser.say(b"old", kind="taken", name="old", at=0, size=100)
    browser.send_file(sent)
    browser.say(b"old", kind="taken", name="old", at=3, size=100)
    assert camera.last is not None
    assert camera.last.content == sent


def test_every_message_that_wants_it_is_confirmed() -> None:
    browser = Browser(Camera())
    browser.say(kind="unknown", number=7)
    assert browser.latest("heard") == {"kind": "heard", "number": 7}
