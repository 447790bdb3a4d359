"""What a map shall do, checked as far as it can be without a realm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from mtor_kernel.client.mapping.form import COMPLAINT_BYTES, Form, form_of
from mtor_kernel.client.mapping.rows import ERROR_SUFFIX, Rows, source_of
from mtor_kernel.client.mapping.template import Template, is_missing
from mtor_kernel.client.media import Kind
from mtor_kernel.client.question import checked, question
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES, encode
from mtor_kernel.protocol.errors import BadInput, Malformed
from mtor_kernel.protocol.query import Message, Part, Priority, Query, TableRow, Text

#: What a map may cost at most, in credits, before it asks whether to go on.
ASK_ABOVE_CREDITS = 1.0
#: How long a row may take from its submission to its end, in seconds.
TTL_SECONDS = 3600
#: How often a model is told what is wrong with the form of its answer.
RETRIES = 2
#: A prompt of more characters is looked at more closely.
CERTAIN_CHARACTERS = 40_000
#: More than what a frame has around its query.
ENVELOPE_BYTES = 512
#: More than what a row has around its prompt, as characters of six bytes.
ROW_CHARACTERS = 20
#: Of an answer that misses its form, the model is shown so many bytes.
SHOWN_BYTES = 4_000


class Job:
    """One map.

    Parameters
    ----------
    prompt
        Asked once a row; ``{name}`` stands for the row's cell in the column `name`. Where rows are
        plain values, any name stands for the value.
    data
        A DataFrame or Series (pandas, Polars), a list of values, mappings or files, a Dask
        DataFrame, Series or bag.
    model
        A model, an alias or a fallback chain.
    into
        The column of the answers. Beside it, `into` with ``_error`` says why a row has none. It may
        replace a column that an earlier map has made, and no other.
    schema
        The form of the answers: a JSON schema, a dataclass, a msgspec struct, a pydantic model.
        The answers are values of it.
    retries
        How often a model may mend an answer that misses the form.
    attach
        Columns with pictures or sounds (paths, bytes, images…) that go along with each prompt.
    kind
        ``"image"`` or ``"audio"``: what files are. With it, texts in a list are paths.
    system
        How the model shall behave.
    ask_above
        A map that may cost more credits asks first; ``None``: none does.
    on_error
        ``"keep"`` keeps a row's failure beside the answers; ``"raise"`` ends the map with it.
    progress
        Whether to show a bar.
    window
        How many rows are under way at once; by default so many queries as four times the model's
        slots, 16 to 256, and 2,048 rows that go together.
    run
        A name. The same map with the same name never asks a row twice; another name asks anew.
    ttl_seconds
        How long a row may take, waiting included.
    options
        Fields of :class:`~mtor_kernel.protocol.query.Options`.

    Raises
    ------
    BadInput
        Something in it cannot be; says what. Nothing was asked.
    """

    def __init__(
        self,
        prompt: str,
        data: Any,
        model: str = "chat",
        *,
        into: str = "answer",
        schema: Any = None,
        retries: int = RETRIES,
        attach: str | Sequence[str] = (),
        kind: Kind | None = None,
        system: str = "",
        ask_above: float | None = ASK_ABOVE_CREDITS,
        on_error: Literal["keep", "raise"] = "keep",
        progress: bool = True,
        window: int | None = None,
        run: str = "",
        ttl_seconds: int = TTL_SECONDS,
        **options: Any,
    ) -> None:
        if on_error not in ("keep", "raise"):
            raise BadInput(f"on_error is 'keep' or 'raise', not {on_error!r}.")
        if kind not in (None, "image", "audio"):
            raise BadInput(f"kind is 'image' or 'audio', not {kind!r}.")
        _check_name(into)
        if window is not None and not _is_count(window, 1):
            raise BadInput(f"window is how many rows are under way at once, not {window!r}.")
        if not _is_count(retries, 0):
            raise BadInput(f"retries is how often an answer may be mended, not {retries!r}.")
        if ask_above is not None and not isinstance(ask_above, int | float):
            raise BadInput(f"ask_above is an amount of credits, or None, not {ask_above!r}.")
        run = _encodable(str(run))
        self.source = source_of(data, kind)
        self.template = Template(prompt, self.source.names)
        self.form: Form | None = form_of(schema)
        self.model, self.into, self.retries = model, into, retries
        self.ask_above, self.on_error, self.progress = ask_above, on_error, progress
        self.window, self.run = window, run
        self._kind = kind
        self._attach = self._attached([attach] if isinstance(attach, str) else list(attach))
        self._how = {
            **options,
            "system": self._system(system),
            "ttl_seconds": ttl_seconds,
            "priority": Priority.BATCH,
        }
        if self.form is not None:
            self._how["json_schema"] = self.form.schema
        self._check_fields(prompt)
        # Options are looked at before the first row is, and once for all of them.
        self._sample = question("A row.", model, **self._how)
        room = MAX_FRAME_BYTES - len(encode(self._sample)) - ENVELOPE_BYTES
        #: A prompt of fewer characters always fits into a frame, however it is escaped.
        self._certain = min(CERTAIN_CHARACTERS, room // 6)

    @property
    def sample(self) -> Query:
        """The query of a row that is none of them."""
        return self._sample

    @property
    def most_together(self) -> int:
        """The :meth:`size` of all rows that always fit into a frame together."""
        return self._certain * 3 // 4  # the first prompt stands in the messages too

    def size(self, prompt: str) -> int:
        """Return how much room a row takes beside others, in characters."""
        return len(prompt) + ROW_CHARACTERS

    def goes_together(self, prompt: str) -> bool:
        """Tell whether a row is so small that it may go with others."""
        return 4 * self.size(prompt) < self._certain

    def together(self, rows: Sequence[tuple[str, str]]) -> Query:
        """Return the query of several rows, each with its key."""
        first = self.query(rows[0][0])
        return structs.replace(first, rows=tuple(TableRow(*row) for row in rows))

    @property
    def kind(self) -> Kind | None:
        """What files must be, if that was said."""
        return self._kind

    def words(self, rows: Rows, at: int) -> str:
        """Return the prompt of a row.

        Raises
        ------
        BadInput
            The row cannot be asked about.
        """
        prompt = self.template.fill(lambda name: rows.cell(at, name))
        if not prompt.strip() and not self.has_media:
            raise BadInput("The prompt of this row is empty.")
        if "\0" in prompt:
            raise BadInput("The prompt of this row holds a NUL character: remove it.")
        if len(prompt) >= self._certain or not prompt.isascii():
            try:
                prompt.encode()
            except UnicodeEncodeError:
                raise Malformed("The prompt of this row holds half of a surrogate pair.") from None
            if len(prompt) >= self._certain:
                self.query(prompt)
        return prompt

    @property
    def has_media(self) -> bool:
        """Whether pictures or sounds go along."""
        return bool(self._attach) or self.source.is_media

    def media(self, rows: Rows, at: int) -> list[Any]:
        """Return what goes along with a row's prompt; raise :class:`BadInput` where it is missing.

        Files are not opened here.
        """
        found = [rows.cell(at, "")] if self.source.is_media else []
        found += [rows.cell(at, name) for name in self._attach]
        for value in found:
            if is_missing(value):
                raise BadInput("The row has no file.")
            if isinstance(value, str | os.PathLike) and not Path(value).expanduser().is_file():
                raise BadInput(f"There is no file {value}: the folder here is {Path.cwd()}.")
        return found

    def query(self, prompt: str, parts: Sequence[Part] = ()) -> Query:
        """Return the query of a row; raise :class:`BadInput` where it cannot be sent.

        `prompt` is one of :meth:`words`.
        """
        if not parts and len(prompt) < self._certain:
            turns = (*self._sample.messages[:-1], Message("user", (Text(prompt),)))
            return structs.replace(self._sample, messages=turns)
        return question(prompt, self.model, parts=parts, **self._how)

    def mended(self, query: Query, answer: str, complaint: str) -> Query:
        """Return the query of a row that tells a model what is wrong with its last answer."""
        words = (
            f"That does not fit the schema: {_cut(complaint, COMPLAINT_BYTES)}. Answer again, with "
            "JSON only."
        )
        turns = (
            *query.messages,
            Message("assistant", (Text(_cut(answer, SHOWN_BYTES) or "(nothing)"),)),
            Message("user", (Text(words),)),
        )
        return checked(Query(turns, query.model, query.options, query.priority, query.ttl_seconds))

    def mended_at_worst(self, query: Query) -> Query:
        """Return a query that is as long as any :meth:`mended` one of the same row."""
        return self.mended(query, "x" * SHOWN_BYTES, "x" * COMPLAINT_BYTES)

    def _system(self, system: str) -> str:
        told = [system, self.form.instruction if self.form is not None else ""]
        return "\n\n".join(part for part in told if part)

    def _attached(self, names: list[str]) -> list[str]:
        known = self.source.names
        if names and known is None:
            raise BadInput("attach names columns, and these rows have none: give the files alone.")
        for name in names:
            if name not in (known or ()):
                raise BadInput(f"attach: there is no column {name!r}.")
        return names

    def _check_fields(self, prompt: str) -> None:
        taken = self.source.names or ()
        if self.into + ERROR_SUFFIX in self.template.fields or self.into in self._attach:
            raise BadInput(f"into: {self.into!r} is a column that the prompt needs: name another.")
        if self.source.is_media and self.template.fields:
            raise BadInput(
                "The rows are files, which go along with the prompt: leave "
                f"{{{self.template.fields[0]}}} out of it."
            )
        beside = self.into + ERROR_SUFFIX
        there = [name for name in (self.into, beside) if name in taken]
        # Both of them are an earlier map's: it is run again.
        if len(there) == 1 or self.into in self.template.fields:
            raise BadInput(
                f"into: there is a column {(there or [self.into])[0]!r} already, which the answers "
                "would replace. Name another, or drop that one first."
            )
        if not self.template.fields and not self.has_media:
            example = f"{{{taken[0]}}}" if taken else "{text}"
            raise BadInput(
                f"{prompt[:60]!r} asks the same of every row: name a column in it, such as "
                f"{example}."
            )


def _cut(text: str, most_bytes: int) -> str:
    """Return the beginning of a text, of so many bytes at most."""
    return text.encode(errors="replace")[:most_bytes].decode(errors="ignore")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _encodable(run: str) -> str:
    try:
        run.encode()
    except UnicodeEncodeError:
        raise BadInput("run: this name holds half of a surrogate pair.") from None
    return run


def _check_name(into: Any) -> None:
    if not isinstance(into, str) or not into:
        raise BadInput("into is the name of the column of the answers: give a text.")
