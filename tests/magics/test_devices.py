from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mtor_kernel.magics.arguments import parse
from mtor_kernel.magics.devices import await_devices, check_no_device, device_of
from mtor_kernel.magics.make import Make
from mtor_kernel.protocol.errors import BadInput


def seen(cell: str) -> str:
    """What IPython runs of a cell."""
    source = TransformerManager().transform_cell(cell)
    return "".join(await_devices(source.splitlines(keepends=True)))


@pytest.mark.parametrize(
    "cell",
    [
        "%mtor see camera",
        "%mtor see camera What is it",
        "%mtor see --as found camera What is it",
        "%mtor listen microphone",
        "%%mtor see camera\nWhat is it?\nSay it.",
        "if True:\n    %mtor see camera",
        "found = %mtor see camera",
        "é = 'ä'; x = get_ipython().run_line_magic('mtor', 'see camera')",
    ],
)
def test_a_call_that_names_a_device_is_awaited(cell: str) -> None:
    made = seen(cell)
    assert made.count("await get_ipython().run_") == 1
    assert "'amtor'" in made
    assert "'mtor'" not in made


@pytest.mark.parametrize(
    "cell",
    [
        "%mtor see photo.png the camera",
        "%mtor ask What is a camera",
        "%mtor say camera",
        "%mtor listen camera",
        "def look():\n    %mtor see camera",
        "camera = 'mtor'",
        "%mtor see --no-such-option camera",
        "this is no 'mtor' camera",
    ],
)
def test_any_other_cell_stays_as_it_is(cell: str) -> None:
    assert seen(cell) == TransformerManager().transform_cell(cell)


def test_several_calls_on_several_lines_are_awaited_each() -> None:
    made = seen("%mtor see camera\nx = 1\n%mtor listen microphone\n")
    assert made.count("await ") == 2
    assert "x = 1" in made


def test_a_file_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert device_of(parse("see camera")) == "camera"
    (tmp_path / "camera").touch()
    assert device_of(parse("see camera")) == ""


def test_a_plain_call_says_what_to_write_instead() -> None:
    command = parse("listen microphone")
    assert isinstance(command, Make)
    with pytest.raises(BadInput, match=r"await Microphone\(\)\.recording\(\).*%mtor listen {rec"):
        check_no_device(command)
