"""``v1/embeddings``: texts in, vectors out."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec

from mtor_kernel.gateway.openai_asking import Asking
from mtor_kernel.protocol.errors import BadInput, UnknownOption
from mtor_kernel.protocol.query import Modality
from mtor_kernel.protocol.vectors import check_one_model, embedding_query, groups, vectors_of

#: Most texts of one request, as at OpenAI.
MAX_TEXTS = 2048
#: Most queries of one request: many long texts are several requests.
MAX_QUERIES = 16


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """The body of ``embeddings``, as far as it means something here."""

    model: str
    input: str | list[Any]
    encoding_format: str | None = None
    dimensions: int | None = None

    def texts(self) -> list[str]:
        """Return the texts, or raise what is wrong with them."""
        texts: list[Any] = [self.input] if isinstance(self.input, str) else self.input
        if any(isinstance(text, int | list) for text in texts):
            raise BadInput(
                "Send texts, not tokens: only the model's own tokenizer would know what they mean.",
                param="input",
            )
        if len(texts) > MAX_TEXTS:
            raise BadInput(f"At most {MAX_TEXTS} texts a request: send several.", param="input")
        return texts


class Embeddings(Asking):
    """One vector a text, in as many queries as the texts take."""

    async def post(self) -> None:
        """Ask for all, and answer with all."""
        request = self.said(EmbeddingRequest)
        form = _form(request)
        cut = list(groups(request.texts()))
        if len(cut) > MAX_QUERIES:
            raise BadInput("That is too much text for one request: send several.", param="input")
        self.check_model(request.model, Modality.EMBEDDING)
        queries = [embedding_query(group, request.model) for group in cut]
        async with self.ask(queries) as asked:
            answers = await self.answers(asked)
            check_one_model(answer.end.model for answer in answers)
            found = [
                vector
                for answer, group in zip(answers, cut, strict=True)
                for vector in vectors_of(answer.parts, len(group))
            ]
            tokens = sum(answer.end.charge.usage.input_tokens for answer in answers)
            data = [
                {"object": "embedding", "index": at, "embedding": _written(vector, form)}
                for at, vector in enumerate(found)
            ]
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            self.reply(
                {"object": "list", "data": data, "model": answers[0].end.model, "usage": usage}
            )


def _form(request: EmbeddingRequest) -> str:
    form = request.encoding_format or "float"
    if form not in ("float", "base64"):
        raise UnknownOption("encoding_format is float or base64.", param="encoding_format")
    if request.dimensions is not None:
        raise UnknownOption(
            "A model's vectors are as long as they are: leave dimensions out.", param="dimensions"
        )
    return form


def _written(vector: list[float], form: str) -> list[float] | str:
    """Return a vector as numbers, or as base64 of little-endian 32-bit floats."""
    if form == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
