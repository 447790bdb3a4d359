"""``v1/images``: pictures from words, and from words and a picture."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from typing import Any

import msgspec

from mtor_kernel.gateway.openai_asking import Answered, Asked, Asking, parts_in
from mtor_kernel.gateway.openai_forms import options_of
from mtor_kernel.gateway.openai_uploads import FilledForm, Upload
from mtor_kernel.protocol.codec import decode, encode
from mtor_kernel.protocol.errors import BackendFailed, BadInput, UnknownOption
from mtor_kernel.protocol.media import mime_of
from mtor_kernel.protocol.ngram import Chunk, Progress, Requeued
from mtor_kernel.protocol.query import Image, Message, Modality, Part, Query, Text

#: Most pictures of one request, and most previews of one that is streamed.
MAX_PICTURES = 4
MAX_PARTIAL = 3
_INDEX = "partial_image_index"
_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})", re.ASCII)


class ImageRequest(msgspec.Struct, frozen=True):
    """The body of ``images/generations``, as far as it means something here."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    # Not of OpenAI's dialect, and understood as N-GRAM's options of the same names.
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    strength: float | None = None


class ImageGenerations(Asking):
    """``v1/images/generations``: each picture is a query of its own."""

    async def post(self) -> None:
        """Have them drawn, and answer with all."""
        await draw(self, self.said(ImageRequest))


class ImageEdits(Upload):
    """``v1/images/edits``: the same, from a picture."""

    async def post(self) -> None:
        """Have it drawn anew."""
        form = await self.form()
        if "mask" in form.files or "mask" in form.fields:
            raise UnknownOption("No masks here yet: leave mask out.", param="mask")
        content = form.file("image", "image[]")
        if not mime_of(content).startswith("image/"):
            raise BadInput("That is no picture: send a PNG, JPEG, GIF or WebP.", param="image")
        await draw(self, _request(form), content)


async def draw(asking: Asking, request: ImageRequest, picture: bytes = b"") -> None:
    """Ask for the pictures of a request and answer with them."""
    model, count = request.model or "image", _count(request)
    options = _options(request)
    asking.check_model(model, Modality.IMAGE)
    parts: list[Part] = [Text(request.prompt)]
    if picture:
        mime = mime_of(picture)
        parts.append(Image(await asking.take_in(picture, mime), mime))
    turn = Message("user", tuple(parts))
    queries = [
        decode(encode(Query((turn,), model, options_of(_nth(options, at)))), Query)
        for at in range(count)
    ]
    async with asking.ask(queries) as asked:
        if request.stream:
            kind = "image_edit" if picture else "image_generation"
            await asking.stream(_sharpen(asking, asked, kind, request.partial_images or 0))
            return
        answers = await asking.answers(asked)
        data = [{"b64_json": await _written(asking, answer)} for answer in answers]
        body: dict[str, Any] = {"created": int(time.time()), "data": data, "output_format": "png"}
        if request.size and request.size != "auto":
            body["size"] = request.size
        asking.reply(body)


async def _sharpen(asking: Asking, asked: Asked, kind: str, partial: int) -> None:
    """Send so many previews, evenly over the drawing, and then the picture."""
    parts: list[Part] = []
    sent = 0
    while not asking.left:
        ngrams = await asking.hear(asked.follower, asking.gateway.limits.heartbeat_seconds)
        if not ngrams and asking.begun and not asking.left:
            await asking.beat()
        for ngram in ngrams:
            if isinstance(ngram, Progress):
                if (
                    ngram.preview
                    and sent < partial
                    and ngram.fraction >= (sent + 1) / (partial + 1)
                ):
                    preview = base64.b64encode(ngram.preview).decode()
                    await asking.tell(_event(f"{kind}.partial_image", preview) | {_INDEX: sent})
                    sent += 1
            elif isinstance(ngram, Chunk):
                parts += parts_in(ngram)
            elif isinstance(ngram, Requeued):
                parts.clear()
            elif end := asking.ended(ngram):
                whole = await _written(asking, Answered(tuple(parts), end))
                await asking.tell(_event(f"{kind}.completed", whole))
                return


def _event(kind: str, picture: str) -> dict[str, Any]:
    created = int(time.time())
    return {"type": kind, "b64_json": picture, "created_at": created, "output_format": "png"}


async def _written(asking: Asking, answer: Answered) -> str:
    for part in answer.parts:
        if isinstance(part, Image):
            content = await asking.content(part.blob)
            return (await asyncio.to_thread(base64.b64encode, content)).decode()
    raise BackendFailed("The model answered without a picture: ask again.")


def _count(request: ImageRequest) -> int:
    """Return how many pictures are asked for; raise what else is, and is not there."""
    if request.response_format not in (None, "b64_json"):
        raise UnknownOption(
            "Pictures come inside the answer: set response_format to b64_json. The realm puts none "
            "at an address that everybody could open.",
            param="response_format",
        )
    if request.output_format not in (None, "png"):
        raise UnknownOption("Pictures come as png: leave output_format out.", param="output_format")
    if not 0 <= (request.partial_images or 0) <= MAX_PARTIAL:
        raise UnknownOption(f"partial_images is 0 to {MAX_PARTIAL}.", param="partial_images")
    count = 1 if request.n is None else request.n
    if request.stream and count != 1:
        raise UnknownOption("A stream has one picture: leave n out.", param="n")
    if not 1 <= count <= MAX_PICTURES:
        raise UnknownOption(f"n is 1 to {MAX_PICTURES}.", param="n")
    return count


def _options(request: ImageRequest) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: value
        for name in ("seed", "steps", "guidance", "negative_prompt", "strength")
        if (value := getattr(request, name)) is not None
    }
    if request.size and request.size != "auto":
        found = _SIZE.fullmatch(request.size)
        if found is None:
            raise UnknownOption("size is WIDTHxHEIGHT, such as 512x512.", param="size")
        given |= {"width": int(found[1]), "height": int(found[2])}
    return given


def _nth(options: dict[str, Any], at: int) -> dict[str, Any]:
    """Return the options of one of several pictures: the same seed would draw the same again."""
    if at and "seed" in options:
        return options | {"seed": (options["seed"] + at) % 2**32}
    return options


def _request(form: FilledForm) -> ImageRequest:
    def whole(name: str) -> int | None:
        number = form.number(name)
        if number is not None and not number.is_integer():
            raise UnknownOption(f"{name} must be a whole number.", param=name)
        return None if number is None else int(number)

    return ImageRequest(
        prompt=form.text("prompt"),
        model=form.text("model") or None,
        n=whole("n"),
        size=form.text("size") or None,
        response_format=form.text("response_format") or None,
        output_format=form.text("output_format") or None,
        stream=form.text("stream").lower() == "true",
        partial_images=whole("partial_images"),
        seed=whole("seed"),
        steps=whole("steps"),
        guidance=form.number("guidance"),
        negative_prompt=form.text("negative_prompt") or None,
        strength=form.number("strength"),
    )
