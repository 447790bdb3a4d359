"""Answers in a form: a JSON schema, a dataclass, a msgspec struct or a pydantic model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from mtor_kernel.protocol.errors import BadInput

#: How much of a complaint a model is told, in bytes.
COMPLAINT_BYTES = 1000
#: How many brackets of an answer may begin no JSON before the rest is not looked at.
MOST_TRIES = 500


class Misfit(Exception):
    """An answer does not have its form; says what is wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """What an answer must look like.

    Attributes
    ----------
    schema
        As a JSON schema.
    read
        Makes the value of what the JSON says; raises whatever it likes where that does not fit.
    """

    schema: dict[str, Any]
    read: Callable[[Any], Any]

    @property
    def instruction(self) -> str:
        """What the model is told; one that can be held to a schema is held to it besides."""
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with JSON only, and no words around it, that fits this schema: {schema}"

    def value(self, text: str) -> Any:
        """Return the value of an answer; raise :class:`Misfit` where it has none that fits."""
        complaint = "there is no JSON in it"
        for found in _candidates(text):
            try:
                return self.read(found)
            except Exception as error:  # noqa: BLE001 - each library has its own
                complaint = str(error)[:COMPLAINT_BYTES]
        raise Misfit(complaint)


def form_of(given: Any) -> Form | None:
    """Return the form that was asked for; ``None`` for none.

    Raises
    ------
    BadInput
        It is nothing that describes an answer.
    """
    if given is None:
        return None
    if isinstance(given, dict):
        return _of_schema(given)
    if isinstance(given, type):
        if callable(getattr(given, "model_json_schema", None)):
            return _of_pydantic(given)
        if dataclasses.is_dataclass(given) or issubclass(given, msgspec.Struct):
            return _of_struct(given)
    raise BadInput(
        "schema is a JSON schema (a dict), a dataclass, a msgspec Struct or a pydantic model: "
        f"give one of these classes, not {given!r:.80}."
    )


def _of_schema(schema: dict[str, Any]) -> Form:
    from jsonschema import validators
    from jsonschema.exceptions import SchemaError, best_match
    from referencing import Registry

    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise BadInput(f"This is no JSON schema: {error.message}.") from None
    # A registry of its own: jsonschema would fetch what a schema refers to.
    validator = kind(schema, registry=Registry())

    def read(value: Any) -> Any:
        wrong = best_match(validator.iter_errors(value))
        if wrong is not None:
            raise Misfit(f"{wrong.message} (at {wrong.json_path})")
        return value

    return Form(schema, read)


def _of_struct(kind: type) -> Form:
    try:
        schema = _opened(msgspec.json.schema(kind))
    except TypeError as error:
        raise BadInput(f"{kind.__name__} cannot be written as a JSON schema: {error}.") from None
    return Form(schema, lambda value: msgspec.convert(value, kind))


def _of_pydantic(kind: Any) -> Form:
    return Form(_opened(kind.model_json_schema()), kind.model_validate)


def _opened(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that says at its top what it is: some services take no bare reference."""
    definitions = dict(schema.get("$defs", {}))
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name not in definitions or f"#/$defs/{name}" in json.dumps(definitions):
        return schema
    top = {**definitions.pop(name)}
    return {**top, "$defs": definitions} if definitions else top


def _candidates(text: str) -> Iterator[Any]:
    """Yield what of an answer may be the JSON: all of it, then what stands between words."""
    decoder = json.JSONDecoder()
    at, whole = 0, text.strip()
    try:
        yield json.loads(whole)
        return
    except (ValueError, RecursionError):
        pass
    tries = MOST_TRIES  # each may read to the end, or as deep as Python goes
    while at < len(whole) and tries:
        if whole[at] in "{[":
            try:
                value, at = decoder.raw_decode(whole, at)
            except (ValueError, RecursionError):
                at += 1
                tries -= 1
                continue
            yield value
        else:
            at += 1
