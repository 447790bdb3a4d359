"""Values that these tests speak of."""

from typing import Any

from mtor_kernel.protocol.account import RateCard
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.query import Modality, Priority
from mtor_kernel.scheduling.fairqueue import FairQueue, Ticket

RATES = RateCard(query_micro=5, input_token_micro=1, output_token_micro=3)


def make_spec(name: str = "small", **fields: Any) -> ModelSpec:
    usual: dict[str, Any] = {"modality": Modality.CHAT, "backend": "echo", "rates": RATES}
    return ModelSpec(name=name, **{**usual, **fields})


def make_ticket(
    query: str,
    *,
    cost: float = 10,
    weight: float = 1,
    priority: Priority = Priority.INTERACTIVE,
) -> Ticket:
    """A ticket of the user whom the letters of the query's name say: ``ann3`` is Ann's."""
    return Ticket(query, query.rstrip("0123456789"), cost, priority, weight)


def push(queue: FairQueue, *queries: str, **fields: Any) -> None:
    for query in queries:
        queue.push(make_ticket(query, **fields))


def pop_all(queue: FairQueue) -> list[str]:
    return [ticket.query for ticket in iter(queue.pop, None)]
