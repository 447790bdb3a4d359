"""{variable} in a prompt."""

import datetime
import types

import pytest
from IPython.core.error import UsageError

from mtor_kernel.magics.filling import fill, named

VARIABLES = {
    "name": "Ada",
    "price": 3.14159,
    "items": ["first", "second"],
    "table": {"key": "value"},
    "point": types.SimpleNamespace(x=4, tags=["t0"]),
    "day": datetime.date(2026, 11, 22),
    "braces": "{name}",
    "color": "blue",
}


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("Hello {name}!", "Hello Ada!"),
        ("{name}{name}", "AdaAda"),
        ("{point.x}", "4"),
        ("{point.tags[0]}", "t0"),
        ("{items[1]}", "second"),
        ("{table[key]}", "value"),
        ("{price:.2f}", "3.14"),
        ("{name!r:>7}", "  'Ada'"),
        ("{day:%Y-%m-%d}", "2026-11-22"),
        ("{day}", "2026-11-22"),
        ("It costs ${price:.2f}", "It costs $3.14"),
        ("{{name}} stays", "{name} stays"),
        ("{{price:.2f}}", "{price:.2f}"),
        ("{braces}", "{name}"),
        ('{"to": {name}}', '{"to": Ada}'),
    ],
)
def test_a_field_is_filled_from_the_variables(prompt: str, filled: str) -> None:
    assert fill(prompt, VARIABLES) == filled


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "no braces",
        "{}",
        "{0}",
        "{ name }",
        "{name()}",
        "{name + 1}",
        '{"a": {"b": [1, 2]}}',
        "{'name': 1}",
        "def f(): return {x: 1 for x in y}",
        "int main() { return 0; }",
        "if (a) {return}",
        "for i in range(3): s |= {i, 2}",
        "a{color:red}b{display:none}".replace("color", "colour"),
        "echo ${HOME} ${PATH:-x}",
        r"\frac{name}{price}",
        r"\sqrt[3]{name}",
        r"\begin{align} a \end{align}",
        "x^{name}",
        "{{ name }}",
        "{% if name %}",
        "{",
        "}}",
        "{{",
        "{lambda}",
    ],
)
def test_braces_that_are_no_field_stay_as_they_are(prompt: str) -> None:
    assert fill(prompt, VARIABLES) == prompt


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("{nmae}", "no variable 'nmae'"),
        ("{nmae.x}", "no variable 'nmae'"),
        ("{missing:.2f}", "no variable 'missing'"),
        ("{point.y}", "has no attribute 'y'"),
        ("{items[9]}", "IndexError"),
        ("{table[nokey]}", "KeyError"),
        ("a{color:red}", "{{color:red}}"),
    ],
)
def test_a_field_without_a_value_is_refused_by_name(prompt: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        fill(prompt, VARIABLES)
    assert says in str(refused.value)


def test_the_refusal_tells_how_to_keep_the_braces() -> None:
    with pytest.raises(UsageError, match=r"write \{\{nmae\}\} to keep the braces"):
        fill("Hello {nmae}", VARIABLES)


class Nameless:
    """An object without words of its own."""


@pytest.mark.parametrize(
    "value",
    [object(), Nameless(), [1, Nameless()], {"a": (Nameless(),)}, lambda: 1, (n for n in "ab")],
)
def test_what_has_no_words_of_its_own_is_not_asked_about(value: object) -> None:
    with pytest.raises(UsageError, match="has no words of its own"):
        fill("What is {it}?", {"it": value})


def test_a_text_that_tells_of_such_an_object_is_asked_about() -> None:
    words = str(object())
    error = TypeError(f"unhashable: {words}")
    assert fill("{it}", {"it": words}) == words
    assert fill("{it}", {"it": error}) == str(error)
    assert fill("{it}", {"it": [words, len, Nameless]}) == str([words, len, Nameless])


def test_nothing_is_called_by_a_field() -> None:
    called = []
    fill("{run()} {point.x}", {**VARIABLES, "run": lambda: called.append(1)})
    assert not called


def test_the_values_that_a_prompt_takes_are_known() -> None:
    assert named("{name} and {point.x}, {{day}}, {other}", VARIABLES) == {"name", "point"}
