"""One's queries under way, and the lanes."""

from __future__ import annotations

import threading
import time
from typing import Any

from mtor_kernel.client import Realm
from mtor_kernel.protocol.lifecycle import ENDS
from mtor_kernel.protocol.ngram import Queued
from mtor_kernel.protocol.views import LaneInfo, QueryInfo
from mtor_kernel.telling.figures import show_cost, show_seconds
from mtor_kernel.telling.markdown import readable
from mtor_kernel.telling.story import waiting_line
from mtor_kernel.widgets.looking import Looking
from mtor_kernel.widgets.script import script
from mtor_kernel.widgets.widget import Buffers, Content

#: How many of one's latest queries are looked through for those that have not ended.
SEARCHED = 100
_PROMPT_CHARACTERS = 120


class Queue(Looking):
    """One's own queries under way, each with a button to cancel it, and how deep the lanes are.

    Parameters
    ----------
    realm
        Whose; by default the notebook's ``realm``.
    """

    _esm = script("common", "table", "queue")

    def __init__(self, realm: Realm | None = None, *, label: str = "Queue") -> None:
        super().__init__(realm, label=label)

    def _take(self, content: Content, buffers: Buffers) -> None:
        match content:
            case {"kind": "cancel", "id": str(id)}:
                threading.Thread(target=self._cancel, args=(id,), daemon=True).start()

    def _cancel(self, id: str) -> None:
        try:
            self.realm.cancel(id)
        except Exception as error:  # noqa: BLE001 - shown in the widget: nobody else would hear it
            self._trouble(error)
        self.look()

    def _found(self) -> tuple[str, dict[str, Any]]:
        state, now = self.realm.queue(), time.time()
        mine = [one for one in self.realm.queries(limit=SEARCHED) if one.stage not in ENDS]
        return "queue", {
            "open": state.admission_open,
            "mine": [_query(one, now) for one in mine],
            "lanes": [_lane(lane) for lane in state.lanes],
        }


def _query(query: QueryInfo, now: float) -> dict[str, str]:
    words = readable(query.prompt)[:_PROMPT_CHARACTERS] or query.id
    if query.stage == "queued":
        how = waiting_line(Queued(query.id, query.position or 0, query.eta_seconds))
    else:
        how = f"running for {show_seconds(max(0.0, now - (query.started_at or now)))}"
    hold = f"at most {show_cost(query.hold_micro)}"
    return {"id": query.id, "words": words, "line": f"{query.model} · {how} · {hold}"}


def _lane(lane: LaneInfo) -> dict[str, Any]:
    resting = "" if lane.breaker == "closed" else "resting after failures"
    return {
        "trouble": readable(lane.trouble or resting),
        "cells": [
            lane.model,
            f"{lane.running} / {lane.slots}",
            str(lane.waiting),
            show_seconds(lane.eta_seconds) if lane.eta_seconds else "–",
        ],
    }
