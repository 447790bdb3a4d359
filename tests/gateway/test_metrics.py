"""What Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.helpers import Door, asking
from tests.realms import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def figures(door: Door) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    async with door.http(TOKEN) as http:
        answer = await http.get("metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


async def test_lanes_and_workers_are_figures(door: Door) -> None:
    found = await figures(door)
    assert found["mtor_lane_slots", of(model="echo")] == 8
    assert found["mtor_lane_waiting", of(model="echo")] == 0
    assert found["mtor_lane_breaker_closed", of(model="echo")] == 1
    assert found["mtor_workers", of(state="well")] == 1
    assert found["mtor_admission_open", of()] == 1
    assert found["process_resident_memory_bytes", of()] > 0


async def test_requests_and_sockets_are_counted(door: Door) -> None:
    labels = of(route="Queries", method="POST", status="202")
    before = (await figures(door)).get(("mtor_requests_total", labels), 0)
    async with door.http() as http:
        await http.post("api/queries", json=asking())
    talk = await door.socket()
    await talk.shout("nonsense")
    await talk.hear()
    found = await figures(door)
    assert found["mtor_requests_total", labels] == before + 1
    assert found["mtor_sockets", of(kind="client")] == 1
    assert found["mtor_malformed_frames_total", of(kind="client")] == 1
    talk.close()


async def test_no_name_and_no_prompt_is_a_figure(door: Door) -> None:
    async with door.http() as http:
        await http.post("api/queries", json=asking("a secret prompt"))
    async with door.http(TOKEN) as http:
        text = (await http.get("metrics")).text
    assert "secret" not in text
    assert "ann" not in text.split()
