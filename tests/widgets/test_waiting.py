"""A cell that waits for a widget, in a real kernel: what a browser says is heard meanwhile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from tests.kernel.driving import Kernel, Message, kernel, offer_kernels
from tests.kernel.elsewhere import RealmElsewhere

pytestmark = pytest.mark.slow

MAKE = "from mtor_kernel.widgets import Camera\ncamera = Camera()"
WAIT = "frame = await camera.frame()\nprint(frame.mime, frame.pil.size)"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with offer_kernels(tmp_path_factory.mktemp("jupyter")):
        yield


@pytest.fixture(params=["mtor", "python3"])
def running(request: pytest.FixtureRequest, kernels: None) -> Iterator[Kernel]:
    with kernel(request.param) as one:
        yield one


class Page:
    """The browser that shows the widgets of a kernel."""

    def __init__(self, running: Kernel) -> None:
        self._client = running.client
        self.comm = ""
        self.wanted: list[bool] = []
        self.heard: list[str] = []

    def see(self, message: Message) -> None:
        """Look at what a cell shows."""
        content = message["content"]
        if message["msg_type"] == "comm_open" and "_esm" in content["data"]["state"]:
            self.comm = content["comm_id"]
            self.say(kind="here")
        elif message["msg_type"] == "comm_msg" and content["comm_id"] == self.comm:
            data = content["data"]
            if "wanted" in data.get("state", {}):
                self.wanted.append(data["state"]["wanted"])
            self.heard.append(str(data.get("content", {}).get("kind", "")))

    def say(self, *buffers: bytes, **content: Any) -> None:
        """Say something to the widget."""
        data = {"method": "custom", "content": content}
        message = self._client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        self._client.session.send(self._client.shell_channel.socket, message, buffers=list(buffers))


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG")
    return file.getvalue()


def test_a_cell_gets_the_frame_and_the_next_cell_runs(running: Kernel) -> None:
    page, sent = Page(running), picture()
    running.run(MAKE, seen=page.see)

    def take(message: Message) -> bool:
        page.see(message)
        if page.wanted == [True]:
            page.wanted.append(True)
            page.say(sent, kind="taken", name="a", at=0, size=len(sent))
        return False

    ran = running.run(WAIT, seen=take)
    assert ran.printed == "image/jpeg (64, 48)\n"
    assert page.wanted[-1] is False
    assert running.run("print(1)").printed == "1\n"


def test_an_interrupt_ends_the_wait_and_switches_the_camera_off(running: Kernel) -> None:
    page = Page(running)
    running.run(MAKE, seen=page.see)

    def stop(message: Message) -> bool:
        page.see(message)
        return page.wanted == [True]

    ran = running.run(WAIT, seconds=100, seen=stop)
    assert ran.status == "error"
    for message in ran.messages:
        page.see(message)
    assert page.wanted[-1] is False
    assert page.heard[-1] == "stop"
    assert running.run("print(camera._waiting)").printed == "[]\n"


def test_in_a_run_without_a_browser_the_cell_says_what_to_do(kernels: None, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    cell = "from mtor_kernel.widgets import Camera\nawait Camera(patience_seconds=1).frame()"
    notebook.cells = [nbformat.v4.new_code_cell(cell)]
    with pytest.raises(CellExecutionError, match="No browser shows this camera"):
        NotebookClient(notebook, kernel_name="mtor", timeout=100).execute(cwd=str(tmp_path))


@pytest.fixture(scope="module")
def asking(elsewhere: RealmElsewhere, kernels: None) -> Iterator[Kernel]:
    with kernel("mtor", **elsewhere.environment) as one:
        yield one


def test_a_magic_waits_for_the_camera_and_asks(asking: Kernel) -> None:
    page, sent = Page(asking), picture()

    def take(message: Message) -> bool:
        page.see(message)
        if page.wanted == [True]:
            page.wanted.append(True)
            page.say(sent, kind="taken", name="a", at=0, size=len(sent))
        return False

    ran = asking.run("%mtor see --as found camera What is it?", seen=take)
    assert ran.status == "ok", ran.traceback
    assert "a picture from the camera, 1 KB, which the notebook does not keep" in [
        shown["data"]["text/plain"] for shown in ran.displays
    ]
    assert "credits" in ran.plain
    assert asking.value("type(found).__name__") == "'Reply'"


def test_an_interrupted_magic_asked_nothing(asking: Kernel) -> None:
    page = Page(asking)

    def stop(message: Message) -> bool:
        page.see(message)
        return page.wanted == [True]

    before = asking.value("len(realm.queries(limit=100))")
    ran = asking.run("%mtor listen microphone", seconds=100, seen=stop)
    assert ran.status == "error"
    assert "not asked · nothing charged" in ran.traceback
    assert ran.plain == "nothing was taken"
    assert asking.value("len(realm.queries(limit=100))") == before


def test_a_model_that_cannot_see_is_told_before_anybody_takes_a_picture(asking: Kernel) -> None:
    ran = asking.run("%mtor see -m echo camera")
    assert "The model echo does chat, and not vision" in ran.traceback
    assert not ran.displays


def test_in_a_function_the_magic_says_what_to_write_instead(asking: Kernel) -> None:
    ran = asking.run("def look():\n    %mtor see camera\nlook()")
    assert "at the top level of a cell" in ran.traceback


def test_what_the_camera_took_is_replayed_with_no_realm_and_nobody_to_press_its_button(
    elsewhere: RealmElsewhere, kernels: None, tmp_path: Path
) -> None:
    on = f"import os; os.chdir({str(tmp_path)!r})\n%mtor replay on demo.ipynb"
    see, wait = "%mtor see camera What is it?", MAKE + "\n" + WAIT

    def taking(running: Kernel, content: bytes) -> Any:
        page = Page(running)

        def take(message: Message) -> bool:
            page.see(message)
            if page.wanted[-1:] == [True]:
                page.wanted.append(False)
                page.say(content, kind="taken", name="a", at=0, size=len(content))
            return False

        return take

    with kernel("mtor", **elsewhere.environment) as one:
        one.run(on)
        seen = one.run(see, seen=taking(one, picture()))
        assert seen.status == "ok", seen.traceback
        framed = one.run(wait, seen=taking(one, picture()))
    lines = [shown["data"]["text/plain"] for shown in seen.displays]
    line = "a picture from the camera, 1 KB, kept in demo.mtor for replay"
    assert line in lines
    nowhere = {"MTOR_URL": "http://127.0.0.1:9/", "MTOR_TOKEN": "none", "MTOR_REPLAY": "only"}
    with kernel("mtor", **nowhere) as other:
        other.run(on)
        again = other.run(see)
        assert again.status == "ok", again.traceback
        shown = [shown["data"]["text/plain"] for shown in again.displays]
        assert shown == [line, lines[-1]]
        assert other.run(wait).printed == framed.printed == "image/jpeg (64, 48)\n"
        stale = other.run(see)
        assert "In [4] (%mtor see camera What is it?) waits for the camera" in stale.traceback
        assert "NotRecorded" in stale.traceback
