"""A picture on its way."""

from __future__ import annotations

from typing import Any

from mtor_kernel.client import Picture, Realm, Reply
from mtor_kernel.client.received import SHOWN, picture_of
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.protocol.media import mime_of
from mtor_kernel.telling.markdown import readable
from mtor_kernel.telling.story import Story
from mtor_kernel.widgets.asking import Asking
from mtor_kernel.widgets.script import script


class Drawing(Asking):
    """Draws what one says; the picture sharpens as it is drawn.

    Parameters
    ----------
    model
        A model, an alias or a fallback chain.
    realm
        Whom to ask; by default the notebook's ``realm``.
    how
        Options of :meth:`Realm.imagine`: ``width``, ``steps``, ``seed``…
    """

    _esm = script("common", "drawing")

    def __init__(
        self,
        model: str = "image",
        *,
        realm: Realm | None = None,
        label: str = "Draw",
        **how: Any,
    ) -> None:
        super().__init__(model, realm=realm, label=label, how=how)
        #: The latest picture; ``None`` while there is none.
        self.picture: Picture | None = None
        self._preview = b""

    def draw(self, prompt: str) -> None:
        """Begin a picture as the button does, and return at once. Raises as :meth:`ask` does."""
        self.ask(prompt)

    def _begin(self, prompt: str) -> None:
        self.picture, self._preview = None, b""
        self._untell("preview", "picture")
        self._post({"kind": "clear"})

    def _show(self, prompt: str, story: Story, busy: bool = True) -> None:
        if busy and story.preview != self._preview:
            self._preview = story.preview
            self._tell("preview", buffers=[story.preview], mime=mime_of(story.preview))
        self._tell(
            "drawing",
            prompt=prompt,
            note=readable(story.note),
            fraction=story.fraction if busy else None,
            busy=busy,
        )

    def _made(self, prompt: str, reply: Reply) -> None:
        picture = picture_of(reply, self.realm.download)
        content, mime = picture.content, mime_of(picture.content)
        if mime not in SHOWN:
            raise BackendFailed(f"{reply.model} made something that no browser shows as a picture.")
        self.picture = picture
        self._untell("preview")
        self._tell("picture", buffers=[content], mime=mime)
