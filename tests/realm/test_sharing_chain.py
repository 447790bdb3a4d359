"""Chains whose lanes belong to two gateways: a failure is handed on, and comes to an end."""

from __future__ import annotations

import asyncio
from itertools import combinations
from pathlib import Path

import pytest

from mtor_kernel.client import RealmClient
from mtor_kernel.protocol.errors import BackendFailed
from mtor_kernel.realm.realm import Realm
from tests.gateways import gateway
from tests.postgres import Server
from tests.realm.test_sharing import books_add_up, both, cluster, until
from tests.realms import TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]

#: So many that each of two gateways has some, whatever the hash.
BAD, GOOD = [f"bad-{n}" for n in range(8)], [f"good-{n}" for n in range(8)]
MODEL = """
[[models]]
name = "{name}"
modality = "chat"
backend = "echo"
slots = 2
rates = {{ output_token_micro = 5 }}
settings = {{ {settings} }}
"""


def catalogue() -> str:
    pairs = [*combinations(BAD, 2), *((bad, good) for bad in BAD for good in GOOD)]
    aliases = [f'{alias(*pair)} = ["{pair[0]}", "{pair[1]}"]' for pair in pairs]
    models = [MODEL.format(name=name, settings="fail = true") for name in BAD]
    models += [MODEL.format(name=name, settings="") for name in GOOD]
    return "\n".join(["[aliases]", *aliases, *models])


def alias(first: str, second: str) -> str:
    return f"{first}-then-{second}"


def theirs(realm: Realm, names: list[str]) -> str:
    return next(name for name in names if realm.lanes.owns(name))


async def test_a_failure_is_handed_on_to_another_gateways_lane_and_ends_where_all_fail(
    tmp_path: Path, postgresql: Server
) -> None:
    async with cluster(tmp_path, postgresql) as on:
        (tmp_path / "catalogue.toml").write_text(catalogue())
        async with (
            gateway(tmp_path, on.database, on.scheduler.address) as (one, one_url),
            gateway(tmp_path, on.database, on.scheduler.address) as (two, two_url),
            RealmClient(one_url, TOKEN) as at_one,
            RealmClient(two_url, TOKEN) as at_two,
        ):
            await both(one, two)
            ours, other = theirs(one, BAD), theirs(two, BAD)
            good = theirs(two, GOOD)
            for client in (at_one, at_two):
                async with asyncio.timeout(60):
                    reply = await client.ask("Hello", alias(ours, good))
                assert (reply.text, reply.model) == ("Hello", good)
            chain = alias(*sorted((ours, other)))
            async with asyncio.timeout(60):
                with pytest.raises(BackendFailed):
                    await at_one.ask("Hello", chain)
            await until(lambda: not one.lanes.places and not two.lanes.places)
            await books_add_up(one)
