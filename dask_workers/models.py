"""The models that one worker serves: who uses them, which lie in memory, how they are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from dask_workers.memory import Forever, Memory, NoWait, Waiter
from mtor_kernel.protocol.backend import Backend, ModelSpec, Step
from mtor_kernel.protocol.errors import NoModel, RealmError
from mtor_kernel.protocol.link import Served

log = logging.getLogger(__name__)

#: Told how far a model is on its way into memory.
Tell = Callable[[Step], None]
_FOREVER = Forever()


class Model:
    """One model and its backend. Loads before it is used, unloads only when nobody uses it."""

    def __init__(
        self,
        spec: ModelSpec,
        backend: Backend,
        changed: Callable[[], None],
        memory: Memory | None = None,
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.loaded = False
        #: Why it is not well; empty when it is.
        self.trouble = ""
        #: What its weights are known by; empty until that is known, and where nobody can tell.
        self.weights = ""
        self._changed = changed
        self._loading = threading.Lock()
        #: Counts the loads: what is found out about an earlier one is out of date.
        self._loads = 0
        self._memory = memory or Memory()
        self._seat = self._memory.seat(spec, self._unload)

    @contextmanager
    def in_use(
        self, waiter: Waiter = _FOREVER, tell: Tell = lambda step: None
    ) -> Iterator[Backend]:
        """Lend the loaded backend, once there is room. A :class:`MemoryError` inside frees it.

        Raises
        ------
        ResourceExhausted
            The waiter did not wait until there was room.
        """
        self._memory.enter(self._seat, waiter, lambda note: tell(Step(0.0, note)))
        try:
            self._load(tell)
            yield self.backend
        except MemoryError:
            self._memory.expel(self._seat)
            raise
        finally:
            self._memory.leave(self._seat)

    def load(self) -> None:
        """Bring it into memory, if there is room. A failure is its `trouble` until a success."""
        with self.in_use(NoWait()):
            pass

    def unload(self) -> None:
        """Take it out of memory now, or when its last user is gone."""
        self._memory.expel(self._seat)

    def forget(self) -> None:
        """It is not served any more: take it out for good, when its last user is gone."""
        self._memory.forget(self._seat)

    def _load(self, tell: Tell) -> None:
        there = self.loaded
        if not there:
            tell(Step(0.0, f"loading {self.spec.name}…"))
        with self._loading:
            if self.loaded:
                return
            try:
                self.backend.load()
            except Exception as error:
                self.trouble = _trouble(error)
                self._memory.expel(self._seat)
                raise
            else:
                self.loaded, self.trouble = True, ""
                self._identify()
            finally:
                self._changed()

    def _identify(self) -> None:
        """Find out what its weights are known by: now where that is kept, else while it works."""
        from dask_workers.weights.fingerprint import fingerprint

        self._loads += 1
        files = getattr(self.backend, "files", None)
        try:
            self.weights = fingerprint(files(), read=False) if files else ""
        except Exception:
            log.exception("%s cannot say which files it has", self.spec.name)
            return
        if not self.weights and (files or hasattr(self.backend, "weights")):
            threading.Thread(
                target=self._look, args=(self._loads,), name="mtor-weights", daemon=True
            ).start()

    def _look(self, load: int) -> None:
        from dask_workers.weights.fingerprint import fingerprint

        try:
            files = getattr(self.backend, "files", None)
            weights = fingerprint(files()) if files else str(self.backend.weights())[:200]  # type: ignore[attr-defined]  # looked for before
        except Exception as error:  # noqa: BLE001 - a backend of anybody's; nothing hangs on it
            log.info("the weights of %s are not known: %r", self.spec.name, error)
            return
        with self._loading:
            if load != self._loads:
                return
            self.weights = weights
        if weights:
            self._changed()

    def fetch(self) -> None:
        """Have its backend bring what the model lacks, where it can; `trouble` says how far it is.

        Only ever asked for by a sysop, who asks for the model to be loaded.
        """
        fetch = getattr(self.backend, "fetch", None)
        if fetch is None:
            return
        try:
            fetch(self._tell)
        except Exception as error:
            self._tell(_trouble(error))
            raise
        self._tell("")

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble[:500]
        self._changed()

    def _unload(self) -> None:
        try:
            self.backend.unload()
        except Exception:
            log.exception("%s could not be unloaded", self.spec.name)
        if self.loaded:
            self.loaded = False
            self._changed()


class Models:
    """All models of one worker, by name."""

    def __init__(self, changed: Callable[[], None], memory: Memory | None = None) -> None:
        self._changed = changed
        self._memory = memory or Memory()
        self._models: dict[str, Model] = {}
        #: Never changed in place: it is looked at while another catalogue comes.
        self._lacking: dict[str, str] = {}
        self._serving = threading.Lock()

    def serve(self, found: Iterable[tuple[ModelSpec, Backend]], lacking: Mapping[str, str]) -> None:
        """Serve exactly these. An unchanged one stays as it is, in memory; others leave.

        `lacking` says of the others why this machine cannot serve them. One that is larger than
        all the room there is joins these.
        """
        with self._serving:  # plugins of several gateways come at once, with the same catalogue
            self._replace(found, dict(lacking))

    def _replace(self, found: Iterable[tuple[ModelSpec, Backend]], lacking: dict[str, str]) -> None:
        before, after = self._models, {}
        for spec, backend in found:
            refusal = self._memory.refusal(spec)
            if refusal:
                lacking[spec.name] = refusal
                continue
            model = before.get(spec.name)
            if model is None or model.spec != spec:
                model = Model(spec, backend, self._changed, self._memory)
            after[spec.name] = model
        self._models, self._lacking = after, lacking
        for name, model in before.items():
            if after.get(name) is not model:
                model.forget()

    def get(self, name: str) -> Model:
        """Return a model; :class:`NoModel` where this worker has none of that name."""
        try:
            return self._models[name]
        except KeyError:
            raise NoModel(f"This worker does not serve {name}: ask for it again.") from None

    def all(self) -> list[Model]:
        """Return every model."""
        return list(self._models.values())

    def served(self, *, draining: bool = False) -> tuple[Served, ...]:
        """Return them as the realm sees them; a draining worker has no slots.

        What this machine cannot serve is among them, without slots and with the reason.
        """
        able = [
            Served(m.spec.name, 0 if draining else m.spec.slots, m.loaded, m.trouble, m.weights)
            for m in self.all()
        ]
        lacking = [Served(name, 0, trouble=why[:500]) for name, why in self._lacking.items()]
        return (*able, *lacking)


def _trouble(error: Exception) -> str:
    """Return a sentence that holds no secret: only the realm's own errors speak for themselves."""
    if isinstance(error, RealmError):
        return error.message[:500]
    if isinstance(error, MemoryError):
        return "It does not fit into memory."
    return f"It could not be loaded ({type(error).__name__}); the worker's log says more."
