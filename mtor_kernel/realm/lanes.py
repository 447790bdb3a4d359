"""The lanes: what waits and what runs for each model, and which lane a name leads to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.errors import BadInput, NoModel
from mtor_kernel.protocol.ngram import Queued
from mtor_kernel.protocol.views import LaneInfo, ModelInfo, QueryInfo
from mtor_kernel.realm.attempts import Attempt
from mtor_kernel.realm.slices import Slice
from mtor_kernel.realm.streams import Stream
from mtor_kernel.realm.workers import Workers
from mtor_kernel.scheduling.discovered import with_discovered
from mtor_kernel.scheduling.estimate import Estimator
from mtor_kernel.scheduling.fairqueue import FairQueue, Ticket
from mtor_kernel.scheduling.health import Breaker, Score
from mtor_kernel.scheduling.routing import Catalogue, candidates, expand, resolve

#: The least score with which a model of a chain is chosen before the next one.
WELL = 0.5
#: How long a lane is kept at least whose model was taken out of the catalogue.
RETIRE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A query under way, waiting or running: what the realm keeps of it in memory."""

    ticket: Ticket
    lane: Lane
    stream: Stream
    #: Wall time of its submission, in seconds since the epoch.
    created_at: float
    #: Monotonic time at which it expires.
    deadline: float
    hold_micro: int
    #: The name that was asked for: the lane's model, or an alias.
    asked: str = ""
    #: Models of its chain that it was tried on, or waited for, before this lane's.
    tried: frozenset[str] = frozenset()


class Lane:
    """The queue and the slots of one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.queue = FairQueue()
        self.breaker = Breaker()
        self.score = Score()
        self.estimator = Estimator(spec)
        self.attempts: set[Attempt] = set()
        #: The slots that are taken, also by queries that are being written down.
        self.slices: set[Slice] = set()
        #: Attempts that other gateways run here, and queries that wait on no line of this one.
        self.elsewhere = 0
        self.waiting_elsewhere = 0
        #: How many were examined for it and are being admitted: no places yet.
        self.coming = 0
        #: How many of those found no slot and are about to wait: nobody later is started first.
        self.joining = 0
        #: Since when its model is not in the catalogue any more, in monotonic seconds.
        self.retired_at: float | None = None
        #: Whether no entry names its model: workers found it behind one that stands for several.
        self.discovered = False
        #: Since when it could have started something and has not; ``None``: it cannot, or has.
        self.behind_since: float | None = None
        #: Since when no worker has slots for it; ``None`` while one has.
        self.unserved_since: float | None = None

    @property
    def model(self) -> str:
        """The model's name, which is the lane's."""
        return self.spec.name

    @property
    def waiting(self) -> int:
        """How many wait, with whichever gateway."""
        return len(self.queue) + self.waiting_elsewhere

    @property
    def running(self) -> int:
        """How many run, with whichever gateway."""
        return sum(bool(slot.running) for slot in self.slices) + self.elsewhere

    def is_well(self, now: float) -> bool:
        """Tell whether a chain should choose it: its breaker lets queries pass, most end well."""
        return self.breaker.allows(now) and self.score.value(now) >= WELL

    def record(self, ok: bool | None) -> None:
        """Take in how an attempt ended; ``None``: that says nothing of the model."""
        now = time.monotonic()
        self.breaker.record(ok, now)
        self.score.record(ok, now)

    def rest(self, seconds: float) -> None:
        """Start nothing for a while: the model's service has asked for that."""
        self.breaker.rest(seconds, time.monotonic())

    def free(self, slots: int) -> int:
        """Return how many more slots may be taken now, of `slots` in all."""
        return slots - len(self.slices) - self.elsewhere

    def eta(self, position: int, slots: int) -> float | None:
        """Return about how many seconds the query at `position` waits."""
        now = time.monotonic()
        ages = [now - slot.attempts[0].started for slot in self.slices if slot.running]
        # Of what others run it is not known since when.
        ages += [0.0] * self.elsewhere
        eta = self.estimator.eta(position, ages, slots)
        return None if eta is None else round(eta + self.breaker.retry_after(now), 1)

    def trouble(self, slots: int) -> str:
        """Return why nothing starts here but for lack of room; empty where all is well."""
        now = time.monotonic()
        if not self.breaker.allows(now):
            # In steps, so that it is not told anew twice a second.
            rest = 5 * math.ceil(self.breaker.retry_after(now) / 5)
            return f"{self.model} fails just now; it is tried again within {max(rest, 5)} s"
        return "" if slots else f"no worker serves {self.model} just now"


class Lanes:
    """All lanes of a catalogue, and every query under way."""

    def __init__(self, catalogue: Catalogue, workers: Workers) -> None:
        self._workers = workers
        self._blocked: set[str] = set()
        self._lanes: dict[str, Lane] = {}
        #: Every query that is waiting or running, by its id.
        self.places: dict[str, Place] = {}
        #: How many are under way with other gateways.
        self.elsewhere = 0
        #: Whether the lane of a model is this gateway's; of several, each has some.
        self.owns: Callable[[str], bool] = lambda model: True
        self.take(catalogue)

    def take(self, catalogue: Catalogue) -> None:
        """Take over a catalogue. A lane that is not in it any more serves what it has, and ends.

        Raises
        ------
        BadInput
            A model has another modality than before, and queries are under way for it.
        """
        self._check_modalities(catalogue)
        self._written = catalogue
        self._discovers = any(spec.discover for spec in catalogue.models)
        busy = {place.lane.model for place in self.places.values()}
        catalogue = with_discovered(catalogue, self._workers.models() | busy)
        self.catalogue = catalogue
        for spec in catalogue.models:
            self._open(spec)
        for lane in self:
            if lane.model not in catalogue.by_name and lane.retired_at is None:
                lane.retired_at = time.monotonic()

    def learn(self, names: Iterable[str] | None = None) -> None:
        """Open lanes for models that an entry stands for: those that workers have found, or these.

        Cheap where no entry stands for others.
        """
        if not self._discovers:
            return
        known = len(self.catalogue.models)
        found = self._workers.models() if names is None else names
        self.catalogue = with_discovered(self.catalogue, found)
        for spec in self.catalogue.models[known:]:
            self._open(spec)

    def end_retired(self, now: float) -> bool:
        """End the lanes whose model was taken out and that are empty; tell whether there were any.

        Not at once: a query that was examined before may be on its way to its lane.
        """
        gone = {
            lane
            for lane in self
            if lane.retired_at is not None and now - lane.retired_at > RETIRE_SECONDS
            if not lane.coming
        }
        if gone:
            gone -= {place.lane for place in self.places.values()}
        for lane in gone:
            del self._lanes[lane.model]
        return bool(gone)

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The models that workers shall serve: the catalogue's, and those of lanes that end."""
        ending = (lane.spec for lane in self if lane.retired_at is not None and not lane.discovered)
        return (*self._written.models, *ending)

    def _check_modalities(self, catalogue: Catalogue) -> None:
        busy = {place.lane.model: place.lane.spec for place in self.places.values()}
        for name, spec in busy.items():
            new = catalogue.by_name.get(name, spec)
            if new.modality is not spec.modality:
                raise BadInput(
                    f"In the catalogue {name!r} is for {new.modality} now, and queries for "
                    f"{spec.modality} are under way: give the new model another name."
                )

    def _open(self, spec: ModelSpec) -> None:
        lane = self._lanes.get(spec.name)
        if lane is None:
            lane = self._lanes[spec.name] = Lane(spec)
            for user in self._blocked:
                lane.queue.block(user)
        lane.spec, lane.retired_at = spec, None
        lane.discovered = spec.name not in self._written.by_name

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __getitem__(self, model: str) -> Lane:
        return self._lanes[model]

    def __contains__(self, model: object) -> bool:
        return model in self._lanes

    @property
    def under_way(self) -> int:
        """How many queries wait, run, or are being admitted."""
        return len(self.places) + self.elsewhere + sum(lane.coming for lane in self)

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self.places)

    def route(self, name: str) -> Lane:
        """Return the lane that a query for `name` joins now; raises as :meth:`routes` does."""
        return self.routes(name, lambda spec: None)[0]

    def routes(
        self, name: str, check: Callable[[ModelSpec], object]
    ) -> tuple[Lane, tuple[ModelSpec, ...]]:
        """Return the lane that a query for `name` joins now, and the models that take it.

        Parameters
        ----------
        check
            Raises a :class:`RealmError` for a model that does not take the query.

        Raises
        ------
        UnknownModel
            No model, alias or chain has this name.
        NoModel
            It has, and workers are linked, but none of them could ever serve it.
        RealmError
            None of its models takes the query.
        """
        if name not in self.catalogue.by_name:
            self.learn()
        chain = candidates(self.catalogue, name, check)
        spec = next((spec for spec in chain if self.is_well(spec.name)), None)
        # None is well: rather one that may be so again than one that nobody can ever serve.
        spec = spec or next((s for s in chain if self._workers.serves(s.name)), chain[0])
        lane = self._lanes[spec.name]
        if not self._workers.serves(lane.model):
            raise self.unserved(lane)
        return lane, chain

    def unserved(self, lane: Lane) -> NoModel:
        """Return the error for a model that no worker can serve, with what a worker says of it."""
        why = self._workers.trouble(lane.model) or "No worker serves it: tell the sysop."
        return NoModel(f"The model {lane.model} cannot answer. {why}")

    def hopeless(self) -> list[tuple[Place, NoModel]]:
        """Return the waiting queries whose model every worker lacks, with the reason."""
        return [
            (place, self.unserved(lane))
            for lane in self
            if len(lane.queue) and self.is_hopeless(lane)
            for place in list(self.places.values())
            if place.ticket.query in lane.queue
        ]

    def forget(self, place: Place) -> None:
        """Have a query no place any more, unless it has a newer one."""
        if self.places.get(place.ticket.query) is place:
            del self.places[place.ticket.query]

    def is_hopeless(self, lane: Lane) -> bool:
        """Tell whether every worker lacks a lane's model."""
        model = lane.model
        return not self._workers.serves(model) and bool(self._workers.trouble(model))

    def is_well(self, model: str) -> bool:
        """Tell whether a chain should choose a model now."""
        return self._workers.slots(model) > 0 and self._lanes[model].is_well(time.monotonic())

    def unserved_seconds(self, lane: Lane, now: float) -> float:
        """Return for how long no worker has had slots for a lane, as far as this was asked."""
        if self._workers.slots(lane.model):
            lane.unserved_since = None
        elif lane.unserved_since is None:
            lane.unserved_since = now
        return 0.0 if lane.unserved_since is None else now - lane.unserved_since

    @property
    def blocked(self) -> frozenset[str]:
        """The users who are passed over."""
        return frozenset(self._blocked)

    def block(self, user: str, on: bool) -> None:
        """Pass a user over in every lane, or let them have turns again."""
        if on == (user in self._blocked):
            return
        (self._blocked.add if on else self._blocked.discard)(user)
        for lane in self:
            (lane.queue.block if on else lane.queue.unblock)(user)

    def eta(self, lane: Lane, position: int) -> float | None:
        """Return about how many seconds the query at `position` of a lane waits, if known."""
        return lane.eta(position, self._workers.slots(lane.model))

    def refresh(self, query: str) -> None:
        """Work out anew where a waiting query stands, for whoever follows it."""
        place = self.places.get(query)
        position = place.lane.queue.position(query) if place is not None else None
        if place is not None and position is not None:
            lane = place.lane
            why = lane.trouble(self._workers.slots(lane.model)) or place.stream.note
            place.stream.show(Queued(query, position, self.eta(lane, position), lane.model, why))

    def placed(self, info: QueryInfo, place: Place) -> QueryInfo:
        """Return what is known of a query, with where it stands now."""
        position = place.lane.queue.position(info.id)
        if position is None:
            return info
        eta = self.eta(place.lane, position)
        return msgspec.structs.replace(info, position=position, eta_seconds=eta)

    def infos(self) -> list[LaneInfo]:
        """Return every lane as people see it."""
        now = time.monotonic()
        return [self._info(lane, now) for lane in self]

    def _info(self, lane: Lane, now: float) -> LaneInfo:
        slots = self._workers.slots(lane.model)
        return LaneInfo(
            lane.model,
            lane.waiting,
            lane.running,
            slots,
            str(lane.breaker.state(now)),
            lane.eta(lane.waiting, slots),
            lane.trouble(slots),
        )

    def models(self) -> list[ModelInfo]:
        """Return every name one may ask for: the models, then the aliases and chains."""
        self.learn()
        models = [
            ModelInfo(
                spec.name,
                spec.modality,
                spec.description,
                spec.rates,
                spec.context_tokens,
                self._workers.slots(spec.name),
                self._lanes[spec.name].waiting,
                roles=spec.roles,
                weights=self._workers.weights(spec.name),
            )
            for spec in self.catalogue.models
        ]
        by_name = {model.name: model for model in models}
        for alias, chain in self.catalogue.aliases.items():
            if not expand(self.catalogue, alias):
                continue  # nothing stands behind it yet
            first = resolve(self.catalogue, alias, lambda model: by_name[model].slots > 0)
            models.append(
                ModelInfo(
                    alias,
                    first.modality,
                    by_name[first.name].description,
                    first.rates,
                    first.context_tokens,
                    by_name[first.name].slots,
                    by_name[first.name].waiting,
                    stands_for=chain,
                )
            )
        return models
