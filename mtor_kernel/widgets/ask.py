"""A box to ask in."""

from __future__ import annotations

from typing import Any

from mtor_kernel.client import Realm
from mtor_kernel.telling.markdown import readable, render_untrusted
from mtor_kernel.telling.story import Story
from mtor_kernel.widgets.asking import Asking
from mtor_kernel.widgets.script import script


class Ask(Asking):
    """A box to ask in, whose answer streams below it.

    What a model says is made safe HTML here, in the kernel, as for every cell.

    Parameters
    ----------
    model
        A model, an alias or a fallback chain.
    realm
        Whom to ask; by default the notebook's ``realm``.
    how
        Options of :meth:`Realm.ask`: ``system``, ``max_tokens``, ``attach``…
    """

    _esm = script("common", "ask")

    def __init__(
        self,
        model: str = "chat",
        *,
        realm: Realm | None = None,
        label: str = "Ask the realm",
        **how: Any,
    ) -> None:
        super().__init__(model, realm=realm, label=label, how=how)

    def _show(self, prompt: str, story: Story, busy: bool = True) -> None:
        html = render_untrusted(story.text)
        self._tell("answer", prompt=prompt, html=html, note=readable(story.note), busy=busy)
