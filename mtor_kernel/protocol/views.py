"""What the realm shows of itself and of one's own queries: the REST resources, as values.

Times are seconds since the epoch (UTC), amounts micro-credits.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mtor_kernel.protocol.account import Charge, RateCard
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.query import Answer, Modality, Query
from mtor_kernel.protocol.quota import Quotas, RuleOf


class _View(msgspec.Struct, frozen=True, omit_defaults=True):
    """Read by clients: fields may be added in later versions."""


class ModelInfo(_View):
    """A name that one may ask for."""

    name: str
    modality: Modality
    description: str = ""
    rates: RateCard | None = None
    context_tokens: int | None = None
    #: Attempts of it that may run at once on all well workers together; 0: nobody serves it now.
    slots: int = 0
    waiting: int = 0
    #: What the name stands for, best first, where it is an alias or a fallback chain.
    stands_for: tuple[str, ...] = ()
    #: Who may ask it; empty: everybody.
    roles: tuple[Role, ...] = ()
    #: What the weights are known by that its workers have now; where they differ, several.
    weights: tuple[str, ...] = ()


class LaneInfo(_View):
    """The queue and the free slots of one model."""

    model: str
    waiting: int = 0
    running: int = 0
    slots: int = 0
    #: ``closed``, ``open`` or ``half_open``: the lane's circuit breaker.
    breaker: str = "closed"
    #: About how long a query submitted now would wait; ``None`` where unknown.
    eta_seconds: float | None = None
    #: Why nothing starts, where that is not for lack of room: its model fails, or nobody serves it.
    trouble: str = ""


class ServedInfo(_View):
    """A model as one worker serves it."""

    model: str
    slots: int = 1
    running: int = 0
    loaded: bool = False
    trouble: str = ""
    #: What its weights are known by: ``sha256:…``, or what a service calls them.
    weights: str = ""


class WorkerInfo(_View):
    """A worker as the realm sees it."""

    name: str
    #: ``well``, ``sick`` (silent, or its backends fail), ``draining``, ``lost``, or ``removed`` by
    #: the sysop.
    state: str
    served: tuple[ServedInfo, ...] = ()
    #: Since its last heartbeat.
    silent_seconds: float = 0.0
    memory_bytes: int = 0
    cpu_percent: float = 0.0


class QueryInfo(_View):
    """One query, as its owner sees it."""

    id: str
    #: As it was asked for, and the model whose lane it is in.
    asked: str
    model: str
    modality: Modality
    stage: Stage
    created_at: float
    attempt: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    hold_micro: int = 0
    charge: Charge | None = None
    error: ErrorInfo | None = None
    #: While it is queued.
    position: int | None = None
    eta_seconds: float | None = None
    #: The first words of the question.
    prompt: str = ""
    #: Only where one query is asked for, not in lists.
    query: Query | None = None
    answer: Answer | None = None


class ConversationInfo(_View):
    """Answered queries that belong together, under their owner's name for them."""

    id: str
    name: str
    started_at: float
    last_at: float
    #: How many queries.
    turns: int = 0
    #: In order; only where one conversation is asked for, not in lists.
    queries: tuple[QueryInfo, ...] = ()


class QuotaInfo(_View):
    """One rule, how much of it is used, and when it starts afresh."""

    rule: str
    limit: int
    used: int = 0
    resets_at: float | None = None
    #: For whom it is set: ``person``, ``group physics`` or ``role user``.
    set_for: str = ""


class Me(_View):
    """Who one is here, and what one has."""

    user: str
    role: Role
    scopes: tuple[str, ...] = ()
    #: The sum of the account's transfers, and what of it is held for queries under way.
    balance_micro: int = 0
    held_micro: int = 0
    #: Whether the account may go below zero: costs are shown, never refused.
    unlimited: bool = False
    quotas: tuple[QuotaInfo, ...] = ()
    #: One's groups at the Hub; rules may go by them.
    groups: tuple[str, ...] = ()
    #: Whether sysops of this realm see the first words of what one asks.
    prompts_shown: bool = False


class UsageRow(_View):
    """What one person spent on one model in one day."""

    day: str
    model: str
    queries: int = 0
    charge_micro: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    #: Pictures drawn.
    images: int = 0
    #: Sound heard or spoken, in milliseconds.
    audio_ms: int = 0
    #: Characters read or spoken, as far as their models count them.
    characters: int = 0


class PersonInfo(_View):
    """Somebody who has been here, as the sysop sees them."""

    name: str
    role: Role
    created_at: float
    #: ``None``: not banned.
    banned_at: float | None = None
    ban_reason: str = ""
    groups: tuple[str, ...] = ()
    balance_micro: int = 0
    held_micro: int = 0
    unlimited: bool = False


class SysopQueryInfo(_View):
    """One query of anybody's, as the sysop sees it: what it is about only where that is set."""

    id: str
    user: str
    asked: str
    model: str
    modality: Modality
    stage: Stage
    created_at: float
    attempt: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    hold_micro: int = 0
    charge_micro: int | None = None
    #: The code of its error, where it failed.
    error: str = ""
    #: The first words of the question, where the realm shows them to sysops.
    prompt: str = ""


class RuleInfo(_View):
    """What is ruled for one person, group or role, and by whom."""

    #: ``person``, ``group`` or ``role``.
    kind: RuleOf
    subject: str
    quotas: Quotas
    #: Whether a sysop has set it while the realm ran; else the configuration says it.
    live: bool = False


class AuditInfo(_View):
    """One thing that a sysop did."""

    id: int
    at: float
    actor: str
    action: str
    #: The person, worker, model… that it was done to.
    subject: str
    reason: str
    #: Figures, as JSON.
    details: str
    hash: str


class CheckInfo(_View):
    """What is wrong with the books, a sentence each; empty where nothing is."""

    ledger: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()
    seals: tuple[str, ...] = ()


class CatalogueInfo(_View):
    """The catalogue that is in force, and whether the file says the same."""

    #: Its file; empty for the one that MTOR brings.
    path: str = ""
    #: When it was read.
    read_at: float = 0.0
    #: Why what the file says now is not in force; empty where it is.
    fault: str = ""
    models: tuple[str, ...] = ()
    #: Models that were taken out and still serve what they have.
    ending: tuple[str, ...] = ()


class PullInfo(_View):
    """A pull of a model's weights that the sysop asked for."""

    model: str
    #: ``running``, ``done``, ``failed`` or ``stopped``.
    state: str = "running"
    #: How much of it is here, 0 to 1.
    fraction: float = 0.0
    #: What happens, in a sentence.
    note: str = ""
    #: Why it failed.
    error: str = ""


class Page(_View):
    """A part of a list; ``next`` is the cursor of the following part, empty at the end."""

    items: tuple[Any, ...] = ()
    next: str = ""
