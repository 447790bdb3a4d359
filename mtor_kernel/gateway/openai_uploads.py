"""Forms with files (``multipart/form-data``), as OpenAI's clients send pictures and sounds."""

from __future__ import annotations

import asyncio

import msgspec
from tornado.httputil import HTTPFile, HTTPInputError, parse_multipart_form_data

from mtor_kernel.gateway.openai_asking import Asking
from mtor_kernel.protocol.codec import MAX_FRAME_BYTES
from mtor_kernel.protocol.errors import BadInput, Malformed, UnknownOption


class FilledForm(msgspec.Struct, frozen=True):
    """The fields and files of a form."""

    fields: dict[str, list[bytes]]
    files: dict[str, list[HTTPFile]]

    def text(self, name: str, default: str = "") -> str:
        """Return a field; the last one where it comes more than once."""
        values = self.fields.get(name)
        if not values:
            return default
        try:
            return values[-1].decode()
        except UnicodeDecodeError:
            raise BadInput(f"{name} must be text in UTF-8.", param=name) from None

    def number(self, name: str) -> float | None:
        """Return a field as a number; ``None`` where it is not there."""
        text = self.text(name).strip()
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            raise UnknownOption(f"{name} must be a number.", param=name) from None

    def file(self, *names: str) -> bytes:
        """Return the one file that comes under one of `names`."""
        found = [file for name in names for file in self.files.get(name, ())]
        if len(found) != 1:
            raise BadInput(f"Send one file as {names[0]!r}; {len(found)} came.", param=names[0])
        content: bytes = found[0].body
        if not content:
            raise BadInput("The file is empty: send one with something in it.", param=names[0])
        return content


class Upload(Asking):
    """Takes a form. Its size is limited before it is taken apart."""

    @property
    def max_body_bytes(self) -> int:
        """The largest form, file and fields together."""
        return self.gateway.limits.max_openai_upload_bytes

    async def form(self) -> FilledForm:
        """Return the form that was sent.

        Raises
        ------
        TooLarge, Malformed
            It is too large, or none.
        """
        self.check_size()
        body = bytes(self._body)
        self._body.clear()
        kind = self.request.headers.get("Content-Type", "")
        if len(body) <= MAX_FRAME_BYTES:
            return _parsed(kind, body)
        return await asyncio.to_thread(_parsed, kind, body)


def _parsed(kind: str, body: bytes) -> FilledForm:
    name, _, rest = kind.partition(";")
    marks = {
        key.strip().lower(): value.strip()
        for key, _, value in (field.partition("=") for field in rest.split(";"))
    }
    boundary = marks.get("boundary", "")
    if name.strip().lower() != "multipart/form-data" or not boundary.strip('"'):
        raise Malformed("Send a form (multipart/form-data) with the file in it.")
    fields: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_multipart_form_data(boundary.encode(), body, fields, files)
    except (HTTPInputError, ValueError, KeyError) as error:
        raise Malformed(f"The form cannot be read: {str(error)[:200]}.") from None
    return FilledForm(fields, files)
