"""What Prometheus and probes look at.

Counters are kept as things happen; how the realm stands is read from it at the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mtor_kernel.protocol.ngram import RealmState


class Counters:
    """What one gateway has counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mtor_requests",
            "HTTP requests answered",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.sockets = Gauge("mtor_sockets", "WebSockets open", ["kind"], registry=self.registry)
        self.malformed = Counter(
            "mtor_malformed_frames",
            "WebSocket frames that could not be read",
            ["kind"],
            registry=self.registry,
        )
        self.cut_off = Counter(
            "mtor_slow_clients",
            "Clients cut off because they did not read",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def watch(self, state: Callable[[], RealmState]) -> None:
        """Show how the realm stands, too."""
        self.registry.register(RealmCollector(state))

    def text(self) -> bytes:
        """Return everything in Prometheus' text form."""
        return generate_latest(self.registry)


class RealmCollector(Collector):
    """The realm's lanes and workers as figures."""

    def __init__(self, state: Callable[[], RealmState]) -> None:
        self._state = state

    def describe(self) -> list[GaugeMetricFamily]:
        """Say nothing: a registry would otherwise collect once to find out."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures of this moment."""
        state = self._state()
        yield GaugeMetricFamily(
            "mtor_admission_open", "Whether queries are admitted", float(state.admission_open)
        )
        yield from _of_lanes(state)
        yield from _of_workers(state)


def _of_lanes(state: RealmState) -> Iterator[GaugeMetricFamily]:
    for name, says in (
        ("waiting", "Queries that wait"),
        ("running", "Queries that run"),
        ("slots", "Queries that may run at once on all well workers"),
    ):
        family = GaugeMetricFamily(f"mtor_lane_{name}", says, labels=["model"])
        for lane in state.lanes:
            family.add_metric([lane.model], getattr(lane, name))
        yield family
    closed = GaugeMetricFamily(
        "mtor_lane_breaker_closed", "Whether the lane's circuit breaker is closed", labels=["model"]
    )
    for lane in state.lanes:
        closed.add_metric([lane.model], float(lane.breaker == "closed"))
    yield closed


def _of_workers(state: RealmState) -> Iterator[GaugeMetricFamily]:
    counts = dict.fromkeys(("well", "sick", "draining", "lost", "removed"), 0)
    memory = GaugeMetricFamily(
        "mtor_worker_memory_bytes", "Memory that the worker's process uses", labels=["worker"]
    )
    for worker in state.workers:
        counts[worker.state] = counts.get(worker.state, 0) + 1
        memory.add_metric([worker.name], worker.memory_bytes)
    workers = GaugeMetricFamily("mtor_workers", "Workers", labels=["state"])
    for is_, count in counts.items():
        workers.add_metric([is_], count)
    yield workers
    yield memory
