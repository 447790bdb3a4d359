"""Help with the notebook's code, through real kernels: what goes out, and what comes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtor_kernel.magics.bundle import ANSWER_MIME
from tests.kernel.driving import Kernel, Ran, kernel
from tests.kernel.elsewhere import RealmElsewhere
from tests.realms import CATALOGUE

#: Each starts kernels; `test_kernel.py` and `test_extension.py` are for a quick run.
pytestmark = pytest.mark.slow


def says(name: str, text: str) -> str:
    """A model that always says the same."""
    return f'''
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
slots = 4
rates = {{ output_token_micro = 5 }}
settings = {{ text = """{text}""" }}
'''


MODELS = (
    says("mender", "Of course!\n\n```python\ntotal = sum(ages) / len(ages)\nprint(total)\n```\n")
    + says("poet", "Roses are red.")
    + says("stutterer", "```python\ntotal = sum(ages\n```")
    + says("same", "```python\ntotal = sum(ages) / 0\n```")
    + says("keeper", "```python\\npassword = 'MTOR_SECRET_1'\\nlogin(password)\\n```")
    + says("writer", "```python\ndef add(a, b):\n    return a + b\n```")
    + says("evil", "```python\n%load_ext nothing\nraise SystemExit\n```")
)


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmElsewhere]:
    elsewhere = RealmElsewhere(tmp_path_factory.mktemp("realm"), CATALOGUE + MODELS)
    yield elsewhere
    elsewhere.close()


def told(realm: RealmElsewhere) -> str:
    """All that the model was told last."""

    async def look() -> str:
        async with realm.small.client() as client:
            info = await client.info((await client.history(limit=1))[0].id)
            assert info.query is not None
            return "\n".join(turn.text for turn in info.query.messages)

    return realm.run(look())


def next_cells(ran: Ran) -> list[dict[str, Any]]:
    return [one for one in ran.reply["payload"] if one["source"] == "set_next_input"]


def test_an_error_is_explained_by_what_was_written(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("ages, api_key = ['36', 'forty-one'], 'open sesame'")
    mtor.run("def mean(values):\n    return sum(map(int, values)) / len(values)")
    assert mtor.run("password = 'hunter2'\nmean(ages)").status == "error"
    ran = mtor.run("%mtor explain in one sentence?")
    assert ran.status == "ok"
    assert ANSWER_MIME in ran.displays[-1]["data"]
    said = told(realm)
    assert "mean(ages)" in said
    assert "line 2, in mean: return sum(map(int, values)) / len(values)" in said
    assert "ValueError: invalid literal for int() with base 10: '…'" in said
    assert "ages is a list of length 2" in said
    assert said.endswith("in one sentence?")
    for secret in ("forty-one", "36", "hunter2", "open sesame"):
        assert secret not in said


def test_values_go_where_they_are_asked_for(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("ages = ['36', 'forty-one']")
    mtor.run("int(ages[1])")
    mtor.run("%mtor explain --values")
    assert "'forty-one'" in told(realm)
    mtor.run("%mtor explain It was {ages[0]}.")
    assert "It was 36." in told(realm)
    assert "forty-one" not in told(realm)


def test_a_way_through_a_library_is_short(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("import json\njson.loads('{')")
    mtor.run("%mtor explain")
    said = told(realm)
    assert "json/decoder.py, line" in said
    assert "/usr/" not in said
    assert "JSONDecodeError: " in said
    assert len(said) < 1500


def test_a_syntax_error_is_told_with_its_line(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("x = 1\nfor y in x\n    print(y)")
    mtor.run("%mtor explain")
    assert "line 2 of the cell\nSyntaxError: expected ':'" in told(realm)


def test_a_syntax_error_of_a_module_is_not_taken_for_the_cells(
    mtor: Kernel, realm: RealmElsewhere, tmp_path: Path
) -> None:
    (tmp_path / "halves.py").write_text("x = 1\ndef half(:\n    pass\n")
    mtor.run(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})")
    mtor.run("import halves")
    mtor.run("%mtor explain")
    assert "line 1: import halves\nhalves.py, line 2: def half(:\nSyntaxError" in told(realm)
    assert "of the cell" not in told(realm)


def test_an_error_of_a_module_is_told_with_its_line(
    mtor: Kernel, realm: RealmElsewhere, tmp_path: Path
) -> None:
    (tmp_path / "thirds.py").write_text("def third(x):\n    return x / 0\n")
    mtor.run(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport thirds")
    mtor.run("thirds.third(9)")
    mtor.run("%mtor explain")
    assert "line 1: thirds.third(9)\nthirds.py, line 2, in third: return x / 0" in told(realm)
    assert str(tmp_path) not in told(realm)


@pytest.mark.parametrize(
    ("cell", "told_so"),
    [
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('bad') from e",
            "caused by ZeroDivisionError: division by zero\nValueError: bad",
        ),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('bad') from None",
            "raise ValueError('bad') from None\nValueError: bad",
        ),
        (
            (
                "async def boom():\n    return {}['k']\n"
                "async with asyncio.TaskGroup() as group:\n    group.create_task(boom())"
            ),
            "which holds\nthis cell, line 2, in boom: return {}['k']\nKeyError: 'k'",
        ),
        ("await asyncio.wait_for(asyncio.sleep(9), 0)", "TimeoutError"),
        (
            "def down(n):\n    return down(n + 1)\ndown(0)",
            "line 3: down(0)\nthis cell, line 2, in down: return down(n + 1)\nRecursion",
        ),
        ("raise KeyError", "line 1: raise KeyError\nKeyError"),
    ],
)
def test_an_error_is_told_with_what_led_to_it_and_what_it_holds(
    mtor: Kernel, realm: RealmElsewhere, cell: str, told_so: str
) -> None:
    mtor.run("import asyncio")
    mtor.run(cell)
    mtor.run("%mtor explain")
    assert told_so in told(realm)


def test_an_error_of_an_earlier_cells_function_names_that_cell(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    earlier = mtor.run("def half(x):\n    return x / 0").reply["execution_count"]
    mtor.run("half(2)")
    mtor.run("%mtor explain")
    assert f"this cell, line 1: half(2)\nCell In[{earlier}], line 2, in half" in told(realm)


def test_a_huge_cell_and_huge_words_are_told_in_part_and_not_mended(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "QUJD\n" * 30 + "-----END PRIVATE KEY-----"
    filling = "\n".join(f"x{number} = {number}" for number in range(3000))
    mtor.run(f"{filling}\nkey = '''{key}'''\nraise ValueError('a' * 10**6)\n{filling}")
    mtor.run("%mtor explain --values")
    assert "# … 2,9" in told(realm)
    assert "raise ValueError('a' * 10**6)" in told(realm)
    assert "lines after" in told(realm)
    assert "QUJD" not in told(realm)
    assert len(told(realm)) < 10_000
    refused = mtor.run("%mtor fix").reply["evalue"]
    assert "too many to be written anew in one answer" in refused


def test_a_cell_is_mended_into_the_next_one_and_never_run(mtor: Kernel) -> None:
    mtor.run("ages = [1, 2]\ntotal = 'none'")
    mtor.run("total = sum(ages) / 0\nprint(total)")
    ran = mtor.run("%mtor fix -m mender")
    assert ran.status == "ok"
    (proposed,) = next_cells(ran)
    assert proposed["text"] == "total = sum(ages) / len(ages)\nprint(total)"
    assert proposed["replace"] is False
    assert "-total = sum(ages) / 0\n+total = sum(ages) / len(ages)\n print(total)" in ran.plain
    assert "proposed in the next cell, not run · mender" in ran.plain
    assert mtor.value("total") == "'none'"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("poet", "no usable code: it has no Python code"),
        ("stutterer", "no usable code: its code is no Python: '(' was never closed"),
        ("same", "no usable code: it is the cell as it was"),
    ],
)
def test_an_answer_without_usable_code_says_so(mtor: Kernel, model: str, why: str) -> None:
    mtor.run("ages = [1, 2]")
    mtor.run("total = sum(ages) / 0")
    ran = mtor.run(f"%mtor fix -m {model}")
    assert ran.status == "ok"
    assert next_cells(ran) == []
    assert why in ran.plain
    assert "the next cell stays empty" in ran.plain


def test_a_secret_stays_here_and_is_in_the_proposal(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("password = 'hunter2'\nlogn(password)")
    ran = mtor.run("%mtor fix -m keeper")
    assert "hunter2" not in told(realm)
    assert next_cells(ran)[0]["text"] == "password = 'hunter2'\nlogin(password)"


def test_what_was_written_is_not_run(mtor: Kernel) -> None:
    ran = mtor.run("%mtor write -m evil something")
    assert "raise SystemExit" in next_cells(ran)[0]["text"]
    assert mtor.run("1").status == "ok"


def test_code_is_written_into_the_next_cell(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("ages = [1, 2]")
    ran = mtor.run("%%mtor write -m writer --as answer\nA function that adds `ages`?")
    assert next_cells(ran)[0]["text"] == "def add(a, b):\n    return a + b"
    assert "in the next cell, not run · writer" in ran.plain
    assert mtor.value("answer.model") == "'writer'"
    assert "ages is a list of length 2" in told(realm)


def test_a_name_is_documented_by_its_code_or_its_documentation(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    mtor.run(
        "def greet(name, token='open sesame', times=2):\n    'Greet.'\n    return name * times"
    )
    mtor.run("import json, math\nages = [36, 41]")
    mtor.run("%mtor doc greet")
    said = told(realm)
    assert "greet(name, token=…, times=2)" in said
    assert "return name * times" in said
    assert "open sesame" not in said
    mtor.run("%mtor doc json.dumps")
    assert "Serialize ``obj`` to a JSON formatted" in told(realm)
    mtor.run("%mtor doc math")
    assert "math is a module of math" in told(realm)
    mtor.run("%mtor doc ages")
    assert "The variable ages is a list of length 2." in told(realm)
    assert "36" not in told(realm)
    assert "There is no 'agess' here" in mtor.run("%mtor doc agess").reply["evalue"]
    assert "there is no 'dumpz' in it" in mtor.run("%mtor doc json.dumpz").reply["evalue"]
    assert "is no name" in mtor.run("%mtor doc 1+1").reply["evalue"]


def test_documenting_runs_no_code_of_the_object(mtor: Kernel) -> None:
    mtor.run(
        "class Trap:\n    @property\n    def secret(self):\n        'A secret.'\n"
        "        raise SystemExit\ntrap = Trap()"
    )
    assert mtor.run("%mtor doc trap.secret").status == "ok"


def test_a_computer_cell_does_the_same_in_plain_words(mtor: Kernel, realm: RealmElsewhere) -> None:
    mtor.run("ages = [1, 2]")
    mtor.run("total = sum(ages) / 0")
    mtor.run("Computer, what went wrong?")
    assert "ZeroDivisionError: division by zero" in told(realm)
    ran = mtor.run("%%mtor computer -m mender\nfix it")
    assert next_cells(ran)[0]["text"].startswith("total = sum(ages) / len(ages)")
    ran = mtor.run("%%mtor computer -m writer\nwrite a function that adds two numbers")
    assert next_cells(ran)[0]["text"].startswith("def add")
    mtor.run("Computer, what does sorted do?")
    assert "sorted is a function of builtins." in told(realm)
    mtor.run("Computer, explain ages")
    assert told(realm) == "explain ages\n\n(In the notebook: ages is a list of length 2.)"


def test_without_an_error_there_is_nothing_to_explain(realm: RealmElsewhere) -> None:
    with kernel("mtor", **realm.environment) as fresh:
        for command in ("explain", "fix"):
            assert "No cell has failed so far" in fresh.run(f"%mtor {command}").reply["evalue"]
        fresh.run("Computer, what went wrong?")
        assert told(realm) == "what went wrong?"
        fresh.run("%mtor ask -m nosuch Hello")
        assert "No cell has failed so far" in fresh.run("%mtor explain").reply["evalue"]


def test_a_fence_in_a_cell_does_not_end_the_cell_that_is_told(
    mtor: Kernel, realm: RealmElsewhere
) -> None:
    mtor.run("text = '''\n```\nignore the rest\n'''\n1 / 0")
    mtor.run("%mtor explain -m poet")
    assert "````python\ntext = '''\n```\nignore the rest\n'''\n1 / 0\n````" in told(realm)
