"""See, draw, speak, hear, embed and call from a cell: one query each, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from mtor_kernel.client import Media, Picture, Realm, Reply, as_media
from mtor_kernel.client.media import Kind
from mtor_kernel.client.modalities import WHAT_IS_IT, api_query, value_of
from mtor_kernel.client.received import Sound, picture_of, sound_of
from mtor_kernel.magics import filling
from mtor_kernel.magics.asking import ask, prepare
from mtor_kernel.magics.bundle import (
    ANSWER_MIME,
    answer_of,
    bundle,
    picture_bundle,
    player_bundle,
    reply_bundle,
)
from mtor_kernel.magics.devices import check_no_device
from mtor_kernel.magics.display import Display
from mtor_kernel.magics.filling import fill
from mtor_kernel.magics.make import MAKING, Make
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.query import Modality, Query
from mtor_kernel.protocol.vectors import check_one_model, embedding_query, groups, vectors_of
from mtor_kernel.telling.figures import show_count, show_seconds
from mtor_kernel.telling.story import cost_line

#: Numbers of a vector that are shown.
SHOWN_NUMBERS = 4

_MODALITY = {
    "see": Modality.VISION,
    "imagine": Modality.IMAGE,
    "say": Modality.SPEECH,
    "listen": Modality.TRANSCRIPTION,
    "embed": Modality.EMBEDDING,
    "api": Modality.API,
}

#: Gives the display for one answer.
MakeDisplay = Callable[[], Display]


class Maker:
    """Does what one command asks for, and returns what ``--as`` binds."""

    def __init__(self, realm: Realm, variables: Mapping[str, Any], display: MakeDisplay) -> None:
        self._realm = realm
        self._variables = variables
        self._display = display
        self._taken: Media | None = None

    def make(self, asked: Make, taken: Media | None = None) -> Any:
        """Have it made and shown; `taken` is what a device took that the command names.

        Raises
        ------
        RealmError, UsageError
            Nothing comes of it; says why and what to do.
        """
        commands: dict[str, Callable[[Make], Any]] = {
            "see": self._see,
            "imagine": self._imagine,
            "say": self._say,
            "listen": self._listen,
            "embed": self._embed,
            "api": self._api,
        }
        self.check_model(asked)
        self._taken = taken
        if taken is None:
            check_no_device(asked)
        return commands[asked.command](asked)

    def check_model(self, asked: Make) -> None:
        """Raise where a model was named that does something else; nothing is asked of it then."""
        if asked.model == MAKING[asked.command]:
            return
        does = {model.name: model.modality for model in self._realm.models()}.get(asked.model)
        wanted = _MODALITY[asked.command]
        if does not in (None, wanted):
            raise BadInput(
                f"The model {asked.model} does {does}, and not {wanted}: %mtor models shows what "
                "there is."
            )

    def _see(self, asked: Make) -> Reply:
        pictures = self._subject(asked.subject, "image")
        prompt = fill(asked.prompt, self._variables, pictures) or WHAT_IS_IT
        return ask(self._realm, self._query(asked, prompt, pictures, "image"), self._display())

    def _imagine(self, asked: Make) -> Any:
        given = self._subject(asked.subject, "image") if asked.subject else []
        named: list[Any] = []
        prompt = fill(asked.prompt, self._variables, named)
        if named:
            raise UsageError("To draw from a picture, write --from {name} before the prompt.")
        query, display = self._query(asked, prompt, given, "image"), self._display()
        made: list[Picture] = []

        def show(reply: Reply) -> dict[str, Any]:
            picture = picture_of(reply, self._realm.download)
            display.reveal(*picture_bundle(picture.content, f"a picture: {prompt}"))
            made.append(picture)
            return reply_bundle(reply)

        ask(self._realm, query, display, show)
        try:
            return made[0].pil
        except (BadInput, OSError):  # no Pillow here, or it cannot open that
            return made[0].content

    def _say(self, asked: Make) -> Sound:
        text = fill(asked.prompt, self._variables)
        query, display = self._query(asked, text, [], None), self._display()
        made: list[Sound] = []

        def show(reply: Reply) -> dict[str, Any]:
            sound = sound_of(reply, self._realm.download)
            length = "" if sound.seconds is None else f", {show_seconds(sound.seconds)}"
            display.reveal(*player_bundle(sound.content, f"a sound{length}: {text}"))
            made.append(sound)
            return reply_bundle(reply)

        ask(self._realm, query, display, show)
        return made[0]

    def _listen(self, asked: Make) -> Reply:
        sounds = self._subject(asked.subject, "audio")
        return ask(self._realm, self._query(asked, "", sounds, "audio"), self._display())

    def _embed(self, asked: Make) -> list[Any]:
        texts, single = self._texts(asked.prompt)
        found: list[list[float]] = []
        models: list[str] = []
        for group in groups(texts):

            def show(reply: Reply, size: int = len(group)) -> dict[str, Any]:
                found.extend(vectors_of(reply.parts, size))
                return _vectors_bundle(reply, found[-size:])

            query = embedding_query(group, asked.model)
            models.append(ask(self._realm, query, self._display(), show).model)
        check_one_model(models)
        return found[0] if single else found

    def _api(self, asked: Make) -> Any:
        given = {name: fill(value, self._variables) for name, value in asked.parameters.items()}
        query = api_query(asked.model, given)
        return value_of(ask(self._realm, query, self._display(), _api_bundle))

    def _query(self, asked: Make, prompt: str, attach: list[Any], kind: Kind | None) -> Query:
        return prepare(self._realm, prompt, asked.model, attach, kind, **asked.options)

    def _subject(self, subject: str, kind: Kind) -> list[Any]:
        """Return what a file or a variable holds: one, or several where that is a list."""
        if self._taken is not None:
            return [self._taken]
        if subject.startswith("{"):
            value = filling.value_of(subject, self._variables)
            return list(value) if isinstance(value, list) else [value]
        if subject in self._variables and not Path(subject).expanduser().exists():
            raise UsageError(
                f"There is no file {subject!r}. To send the variable, write {{{subject}}}."
            )
        return [as_media(subject, kind)]

    def _texts(self, prompt: str) -> tuple[list[str], bool]:
        """Return the texts to embed, and whether that is a single one."""
        if prompt.startswith("{") and prompt.endswith("}") and prompt.count("{") == 1:
            value = filling.value_of(prompt, self._variables)
            if not isinstance(value, str) and hasattr(value, "__iter__"):
                return list(value), False
        return [fill(prompt, self._variables)], True


def _vectors_bundle(reply: Reply, vectors: list[list[float]]) -> dict[str, Any]:
    first = ", ".join(f"{number:.3f}" for number in vectors[0][:SHOWN_NUMBERS])
    what = f"{show_count(len(vectors), 'vector')} of {show_count(len(vectors[0]), 'number')}"
    shown = bundle(f"{what}: {first}, …", cost_line(reply))
    return {**shown, ANSWER_MIME: answer_of(reply)}


def _api_bundle(reply: Reply) -> dict[str, Any]:
    if reply.text or not reply.data:
        return reply_bundle(reply)
    words = json.dumps(reply.data[-1], indent=2, ensure_ascii=False, default=str)
    return {**bundle(f"```\n{words}\n```", cost_line(reply)), ANSWER_MIME: answer_of(reply)}
