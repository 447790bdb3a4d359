"""Seeing, drawing, speaking, hearing, embedding and calling from a cell of a real kernel."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from mtor_kernel.magics.bundle import ANSWER_MIME
from mtor_kernel.protocol.lifecycle import Stage
from tests.holds import until_nothing_is_held_by
from tests.kernel.driving import Kernel, Message, Ran, kernel
from tests.kernel.elsewhere import RealmElsewhere
from tests.led import LED, LedBackend, led
from tests.modalities import MODALITIES, picture, seconds_of, sound

#: Each starts kernels; `test_kernel.py` and `test_extension.py` are for a quick run.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    folder = tmp_path_factory.mktemp("realm")
    with led(folder):
        elsewhere = RealmElsewhere(folder, MODALITIES + LED)
        yield elsewhere
        elsewhere.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to be sent."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "photo.png").write_bytes(picture())
    (folder / "my photo.png").write_bytes(picture())
    (folder / "talk.wav").write_bytes(sound(3))
    (folder / "notes.txt").write_text("no picture")
    (folder / "huge.png").write_bytes(picture() + bytes(10_000_000))
    return folder


@pytest.fixture(scope="module")
def mtor(realm: RealmElsewhere, folder: Path) -> Iterator[Kernel]:
    with kernel("mtor", **realm.environment, MPLBACKEND="agg") as running:
        running.run(f"%cd -q {folder}")
        yield running


def stages(realm: RealmElsewhere) -> list[Stage]:
    async def look() -> list[Stage]:
        async with realm.small.client() as client:
            return [query.stage for query in await client.history(limit=100)]

    return realm.run(look())


def pictures(ran: Ran) -> list[bytes]:
    """Every picture that was shown, in order."""
    return [
        base64.b64decode(shown["data"]["image/png"])
        for shown in ran.displays
        if "image/png" in shown["data"]
    ]


def kept(ran: Ran) -> list[dict[str, Any]]:
    """What a notebook keeps of the displays: the last of each."""
    last: dict[str, dict[str, Any]] = {}
    for shown in ran.displays:
        last[shown["transient"]["display_id"]] = shown["data"]
    return list(last.values())


@pytest.mark.parametrize(
    "line",
    [
        "photo.png What is it?",
        'photo.png "What is it?"',
        "'my photo.png' What is it?",
        "{pathlib_path} What is it?",
        "{content} What is it?",
        "{pillow} What is it?",
        "{several[0]} What is it?",
    ],
)
def test_a_picture_is_seen_wherever_it_comes_from(mtor: Kernel, line: str) -> None:
    mtor.run(
        "import pathlib; from PIL import Image; pathlib_path = pathlib.Path('photo.png')\n"
        "content = pathlib_path.read_bytes(); pillow = Image.open('photo.png')\n"
        "several = [pillow, pillow]"
    )
    ran = mtor.run(f"%mtor see {line}")
    assert ran.status == "ok", ran.traceback
    assert ran.plain.startswith("I was sent 1 picture: 60×40 (image/png). You asked: What is it?")
    assert "seer · " in ran.plain


def test_several_pictures_are_seen_together_and_a_question_is_not_needed(mtor: Kernel) -> None:
    mtor.run("from PIL import Image; several = [Image.new('L', (9, 9))] * 2")
    ran = mtor.run("%mtor see {several}")
    assert ran.plain.startswith("I was sent 2 pictures: 9×9 (image/png), 9×9 (image/png).")
    ran = mtor.run("%%mtor see photo.png\nWhat is it?")
    assert "You asked: What is it?" in ran.plain


def test_a_figure_in_a_prompt_goes_as_a_picture_to_a_model_that_sees(mtor: Kernel) -> None:
    mtor.run("from matplotlib import pyplot")
    mtor.run("figure, axes = pyplot.subplots(figsize=(2, 1), dpi=50)")
    ran = mtor.run("%%mtor\nWhat does {figure} show?")
    assert ran.plain.startswith("I was sent 1 picture: 100×50 (image/png). ")
    assert "You asked: What does [picture 1] show?" in ran.plain
    ran = mtor.run("%mtor see {axes} What does it show?")
    assert ran.plain.startswith("I was sent 1 picture: 100×50 (image/png). ")


def test_an_array_in_a_prompt_stays_words_and_is_a_picture_to_see(mtor: Kernel) -> None:
    mtor.run("import numpy; table = numpy.ones((2, 2), int)")
    assert mtor.run("%mtor ask {table}").plain.startswith("[[1 1]\n [1 1]]")
    assert mtor.run("%mtor see {table}").plain.startswith("I was sent 1 picture: 2×2")


def test_a_picture_sharpens_in_one_display_and_one_picture_is_kept(mtor: Kernel) -> None:
    LedBackend.hush()
    line = "%mtor imagine -m led-painter --steps 12 --seed 3 --as heart a red heart"
    ran = mtor.run(line, seen=LedBackend.go_on)
    assert ran.status == "ok", ran.traceback
    drawn = pictures(ran)
    assert len(drawn) > 2
    final = drawn[-1]
    assert Image.open(io.BytesIO(final)).size == (64, 64)
    assert drawn[0] != final
    picture_data, answer = kept(ran)
    assert picture_data == {
        "image/png": base64.b64encode(final).decode(),
        "text/plain": "a picture: a red heart",
    }
    assert "led-painter · 1 picture · " in answer["text/plain"]
    assert "credits" in answer["text/plain"]
    assert answer[ANSWER_MIME]["usage"]["images"] == 1
    assert mtor.value("(type(heart).__module__, heart.size)") == "('PIL.PngImagePlugin', (64, 64))"
    shown = next(one for one in ran.displays if "image/png" in one["data"])
    assert shown["metadata"]["image/png"] == {"width": 320, "height": 320}


def test_a_picture_is_drawn_from_another(mtor: Kernel) -> None:
    plain = pictures(mtor.run("%mtor imagine a heart"))[-1]
    assert pictures(mtor.run("%mtor imagine --from photo.png a heart"))[-1] != plain
    ran = mtor.run("%mtor imagine --from {pillow} --size 32x16 a heart")
    assert Image.open(io.BytesIO(pictures(ran)[-1])).size == (32, 16)


def test_without_streaming_there_are_two_displays_and_no_previews(mtor: Kernel) -> None:
    ran = mtor.run("%mtor imagine --no-stream -m painting --steps 3 a heart")
    assert len(pictures(ran)) == 1
    assert [sent["msg_type"] for sent in ran.messages if "display" in sent["msg_type"]] == [
        "display_data"
    ] * 2


def test_an_interrupted_drawing_leaves_no_half_picture(mtor: Kernel, realm: RealmElsewhere) -> None:
    def drawn(message: Message) -> bool:
        return "image/png" in message["content"].get("data", {})

    ran = mtor.run("%mtor imagine -m painting a heart", seen=drawn)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert "image/png" not in kept(ran)[0]
    # On a machine that is busy its end may not be known in time.
    assert re.search("cancelled|cancelling", kept(ran)[1]["text/plain"])
    until_nothing_is_held_by(realm)
    assert stages(realm)[0] is Stage.CANCELLED


def test_a_text_is_spoken_as_one_sound(mtor: Kernel) -> None:
    ran = mtor.run("%mtor say --as spoken Good morning. How are you?")
    assert ran.status == "ok", ran.traceback
    player, answer = kept(ran)
    assert player["text/html"].startswith('<audio controls src="data:audio/wav;base64,')
    content = base64.b64decode(player["text/html"].partition("base64,")[2].partition('"')[0])
    assert "characters" in answer["text/plain"]
    assert f"{seconds_of(content):.1f} s of sound" in answer["text/plain"]
    assert mtor.value("len(spoken.content)") == str(len(content))
    assert mtor.value("spoken.save('again.wav').read_bytes() == spoken.content") == "True"


def test_a_recording_is_written_down(mtor: Kernel) -> None:
    ran = mtor.run("%mtor listen --as heard talk.wav")
    assert ran.plain.startswith("I heard 3.0 seconds.")
    assert "listener · 3.0 s of sound · " in ran.plain
    assert mtor.value("heard.data[0]['duration']") == "3.0"
    mtor.run("import numpy; tone = (numpy.sin(numpy.arange(16000)), 8000)")
    assert mtor.run("%mtor listen {tone}").plain.startswith("I heard 2.0 seconds.")
    mtor.run("%mtor say --as spoken Good morning.")
    assert mtor.run("%mtor listen {spoken}").plain.startswith("I heard ")


def test_texts_become_vectors(mtor: Kernel) -> None:
    ran = mtor.run("%mtor embed --as vector the sea")
    assert ran.plain.startswith("1 vector of 64 numbers: ")
    mtor.run("texts = ['the sea', 'the sky']")
    assert mtor.run("%mtor embed --as vectors {texts}").plain.startswith("2 vectors of 64 numbers")
    assert mtor.value("vectors[0] == vector") == "True"
    town = "town = 'the sea'"
    mtor.run(town)
    mtor.run("%mtor embed --as again {town}")
    assert mtor.value("again == vector") == "True"


def test_an_api_is_called(mtor: Kernel) -> None:
    mtor.run("town = 'New York'")
    ran = mtor.run('%mtor api --as found weather city={town} days=3 note="two words"')
    assert ran.plain.startswith("city = New York\ndays = 3\nnote = two words\n")
    assert mtor.value("found['parameters']['city']") == "'New York'"


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("see no-such.png", "BadInput", "no file no-such.png"),
        ("see .", "BadInput", "is a folder"),
        ("see notes.txt", "BadInput", "not a picture"),
        ("see huge.png", "TooLarge", "at most 10,000,000"),
        ("see talk.wav", "BadInput", "not a picture"),
        ("see pillow", "UsageError", "write {pillow}"),
        ("see {nothing}", "UsageError", "no variable 'nothing'"),
        ("see {number}", "BadInput", "int is not a picture"),
        ("listen photo.png", "BadInput", "not a sound"),
        ("listen no-such.wav", "BadInput", "no file"),
        ("imagine --from notes.txt a heart", "BadInput", "not a picture"),
        ("imagine a heart like {pillow}", "UsageError", "--from {name}"),
        ("imagine ' '", "UsageError", "no words"),
        ("imagine --steps 0 a heart", "UnknownOption", "steps"),
        ("imagine -m echo a heart", "BadInput", "does chat, and not image"),
        ("api echo city=Rome", "BadInput", "does chat, and not api"),
        ("api nowhere city=Rome", "UnknownModel", "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    mtor: Kernel, realm: RealmElsewhere, line: str, kind: str, says: str
) -> None:
    mtor.run("number = 5; from PIL import Image; pillow = Image.new('L', (9, 9))")
    before = len(stages(realm))
    ran = mtor.run(f"%mtor {line}")
    assert ran.reply["ename"] == kind, ran.traceback
    assert says in ran.reply["evalue"]
    assert len(stages(realm)) == before
    if kind != "UnknownModel":
        assert not ran.displays


def test_a_model_that_fails_fails_the_cell_and_leaves_no_picture(mtor: Kernel) -> None:
    ran = mtor.run("%mtor imagine -m broken-painter a heart")
    assert ran.reply["ename"] == "BackendFailed"
    assert "nothing charged" in kept(ran)[-1]["text/plain"]
    assert not pictures(ran)


def test_a_saved_notebook_holds_one_picture_and_one_line(
    realm: RealmElsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in realm.environment.items():
        monkeypatch.setitem(os.environ, name, value)
    notebook: Any = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("%mtor imagine -m painting --steps 12 a red heart")],
        metadata={"kernelspec": {"name": "mtor", "display_name": "MTOR"}},
    )
    NotebookClient(notebook, timeout=100).execute()
    nbformat.validate(notebook)
    (cell,) = notebook.cells
    assert [sorted(output.data) for output in cell.outputs] == [
        ["image/png", "text/plain"],
        [ANSWER_MIME, "text/html", "text/plain"],
    ]
