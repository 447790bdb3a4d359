"""A map in a kernel: a widget while it runs, a line of text when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mtor_kernel.client.mapping import Estimate, Report
from mtor_kernel.client.mapping.report import Found
from mtor_kernel.widgets import MapProgress
from tests.kernel.driving import Kernel, Message, kernel, offer_kernels
from tests.kernel.elsewhere import RealmElsewhere
from tests.led import LedBackend
from tests.widgets.browser_double import Browser

pytestmark = pytest.mark.slow

MAP = "realm.map('Say {text}', ['a', 'b', 'c'], model='slow', window=1)"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with offer_kernels(tmp_path_factory.mktemp("jupyter")):
        yield


@pytest.fixture(scope="module")
def mtor(elsewhere: RealmElsewhere, kernels: None) -> Iterator[Kernel]:
    with kernel("mtor", **elsewhere.environment) as running:
        yield running


def told(messages: list[Message], kind: str) -> list[dict[str, Any]]:
    """What a widget was told, of a kind."""
    spoken = (one["content"] for one in messages if one["msg_type"] == "comm_msg")
    said = (content["data"].get("content", {}) for content in spoken)
    return [content for content in said if content.get("kind") == kind]


def report(total: int, done: int, failed: int = 0, earlier: int = 0) -> Report:
    made = Report([total], lambda found: found)
    made.part(Found(total))
    made.done, made.failed, made.earlier = done, failed, earlier
    return made


def two_rows_are_answered() -> None:
    """Have two rows of three words answered, and no more."""
    LedBackend.hush()
    LedBackend.let(2 * 3)


def test_rows_failures_credits_and_the_time_left_are_told() -> None:
    progress = MapProgress(10, Estimate(10, "echo", 5_000_000, 3.0))
    browser = Browser(progress)
    progress.show(report(10, 4, failed=1, earlier=2))
    last = browser.latest("map")
    assert last is not None
    assert (last["ended"], last["total"], last["counts"]) == (5, 10, "5 of 10 rows")
    assert (last["failed"], last["earlier"]) == ("1 failed", "2 from before")
    assert last["estimate"] == "10 rows of echo: at most 5.00 credits, about 3 s."
    assert last["left"].endswith(" left")
    assert not progress.stopped
    browser.say(kind="stop")
    assert progress.stopped


def test_a_map_is_a_widget_and_then_a_line_that_the_notebook_keeps(mtor: Kernel) -> None:
    ran = mtor.run(MAP)
    assert ran.status == "ok"
    assert told(ran.messages, "map")[-1]["counts"] == "3 of 3 rows"
    first, last = ran.displays[0], ran.displays[-1]
    assert "application/vnd.jupyter.widget-view+json" in first["data"]
    assert list(last["data"]) == ["text/plain"]
    assert last["data"]["text/plain"].startswith("slow: 3 of 3 rows answered; ")
    assert not ran.printed


def test_a_tool_that_wants_no_updates_gets_text(elsewhere: RealmElsewhere, kernels: None) -> None:
    with kernel("mtor", **elsewhere.environment, MTOR_STREAM="0") as plain:
        ran = plain.run(MAP)
    assert ran.status == "ok"
    assert not told(ran.messages, "map")


def test_nbclient_keeps_the_line(elsewhere: RealmElsewhere, kernels: None) -> None:
    notebook = nbformat.v4.new_notebook()
    head = "import os\nos.environ |= " + repr(elsewhere.environment)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (head, MAP)]
    NotebookClient(notebook, kernel_name="mtor", timeout=100).execute()
    shown = notebook.cells[1].outputs
    assert "3 of 3 rows answered" in shown[0]["data"]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" not in shown[0]["data"]


def test_stop_ends_an_awaited_map_and_keeps_what_there_is(mtor: Kernel) -> None:
    comm = ""

    def stop(message: Message) -> bool:
        nonlocal comm
        content = message["content"]
        if message["msg_type"] == "comm_open" and "label" in content["data"]["state"]:
            comm = content["comm_id"]
        elif comm and told([message], "map") and told([message], "map")[0]["ended"] == 2:
            data = {"method": "custom", "content": {"kind": "stop"}}
            sent = mtor.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
            mtor.client.session.send(mtor.client.shell_channel.socket, sent)
        return False

    two_rows_are_answered()
    rows = [f"row {number}" for number in range(60)]
    ran = mtor.run(f"await realm.amap('Say {{text}}', {rows!r}, model='led', window=1)", seen=stop)
    assert "You stopped the map" in ran.traceback
    assert mtor.value("realm.last_map.done") == "2"
    assert "2 of 60" in ran.plain


def test_an_interrupted_map_leaves_its_line_too(mtor: Kernel) -> None:
    def stop(message: Message) -> bool:
        said = told([message], "map")
        return bool(said) and said[0]["ended"] == 2

    two_rows_are_answered()
    rows = [f"word {number}" for number in range(60)]
    ran = mtor.run(f"realm.map('Say {{text}}', {rows!r}, model='led', window=1)", seen=stop)
    assert "KeyboardInterrupt" in ran.traceback
    assert "2 of 60 rows answered" in ran.plain
