"""``mtor doctor``: what this machine can serve, and whether it is set up safely.

A list of checks, each a function that yields findings; the worst of them decides the exit status.
Secrets are looked for by name and never shown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from mtor_kernel.cli.findings import Finding, Mark, verdict
from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.identity import Role

#: Environment variables that hold keys of remote APIs.
_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--catalogue", type=Path, help="a catalogue other than the built-in one")
    parser.add_argument("--config", type=Path, help="the realm's configuration file")
    parser.add_argument("--database", help="URL of the realm's store; no password")
    parser.add_argument(
        "--hub",
        type=Path,
        nargs="?",
        const=Path("jupyterhub_config.py"),
        metavar="FILE",
        help="what this configuration of a JupyterHub says of the realm, and nothing else "
        "(default: jupyterhub_config.py)",
    )


def run(given: argparse.Namespace) -> int:
    """Print all findings; 1 if one of them is bad."""
    worst = 0
    checks = _checks(given) if given.hub is None else [("Hub", lambda: _hub(given.hub))]
    for title, check in checks:
        print(title)
        for finding in _guarded(check):
            print(f"  {finding.mark:<5} {finding.text}")
            worst |= finding.mark is Mark.BAD
    return worst


def _checks(given: argparse.Namespace) -> list[tuple[str, Callable[[], Iterator[Finding]]]]:
    return [
        ("Models", lambda: _models(given.catalogue)),
        ("Store", lambda: _store(given)),
        ("Realm", _realm),
        ("Dask", lambda: _cluster(given)),
        ("Ports", _ports),
        ("Keys", _keys),
    ]


def _hub(path: Path) -> Iterator[Finding]:
    from mtor_kernel.hub.report import examine

    for well, text in examine(path):
        yield Finding(Mark.WELL if well else Mark.BAD, text)


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except (OSError, RealmError, sqlite3.Error) as error:
        yield Finding(Mark.BAD, str(error))


def _models(path: Path | None) -> Iterator[Finding]:
    from dask_workers.discovery import discover
    from dask_workers.memory import Memory, detect
    from mtor_kernel.locate import data_dir
    from mtor_kernel.realm.catalogue import load_catalogue

    memory = Memory(detect())
    for found in discover(load_catalogue(path, data_dir()).models):
        spec = found.spec
        why = found.missing or memory.refusal(spec)
        if why:
            yield Finding(Mark.NOTE, f"{spec.name} ({spec.modality}): {why}")
        else:
            yield Finding(Mark.WELL, f"{spec.name} ({spec.modality}) by {spec.backend}")


def _store(given: argparse.Namespace) -> Iterator[Finding]:
    from mtor_kernel.cli.configured import configured
    from mtor_kernel.cli.doctor_store import check_store
    from mtor_kernel.locate import data_dir

    config = configured(given.config, given.database)
    yield from check_store(data_dir(), config.Realm.get("database_url", ""))
    bus = config.Realm.get("bus_url", "")
    if bus:
        yield from _bus(bus)


def _bus(url: str) -> Iterator[Finding]:
    from mtor_kernel.realm.bus import answers

    why = asyncio.run(answers(url))
    if why:
        yield Finding(Mark.BAD, f"the bus is away ({why}): answers from other gateways come whole")
    else:
        yield Finding(Mark.WELL, "the bus answers")


def _realm() -> Iterator[Finding]:
    from mtor_kernel.client import Realm
    from mtor_kernel.locate import find

    address = find()
    if address is None:
        yield Finding(Mark.NOTE, "none runs: the next query starts yours")
        return
    with Realm(address.url, address.token) as realm:
        me, state = realm.me(), realm.queue()
        books = realm.sysop.check() if me.role is Role.SYSOP else None
    yield Finding(Mark.WELL, f"{address.url} answers; you are {me.user} ({me.role})")
    if books is not None:
        # Also those of a database that this machine cannot read.
        for what in books.__struct_fields__:
            yield from verdict(f"running realm's {what}", getattr(books, what))
    for worker in state.workers:
        mark = Mark.WELL if worker.state == "well" else Mark.BAD
        yield Finding(mark, f"worker {worker.name} is {worker.state}")
    if not state.workers:
        yield Finding(Mark.BAD, "no worker is linked: see dask/worker.log in the data folder")


def _cluster(given: argparse.Namespace) -> Iterator[Finding]:
    from mtor_kernel.cli.configured import configured
    from mtor_kernel.cli.doctor_cluster import check_cluster, scheduler_of
    from mtor_kernel.locate import RuntimeFile, data_dir, is_well
    from mtor_kernel.realm.certs import Certs

    config = configured(given.config, given.database)
    folder = data_dir()
    certs = config.HubRealm.get("certs", "") or folder / "tls"
    scheduler = config.HubRealm.get("scheduler", "")
    if not scheduler:
        runtime = RuntimeFile().read()
        # What a realm that is gone has left there names nobody, or somebody else by now.
        lives = runtime is not None and is_well(runtime)
        scheduler = scheduler_of(folder / "dask") if lives else ""
    yield from check_cluster(Certs(Path(certs)), scheduler)


def _ports() -> Iterator[Finding]:
    """Tell which ports of the realm, its scheduler and its workers are reachable from outside."""
    import psutil

    from mtor_kernel.locate import RuntimeFile

    runtime = RuntimeFile().read()
    if runtime is None or not psutil.pid_exists(runtime.pid):
        yield Finding(Mark.NOTE, "no realm of yours runs")
        return
    family = psutil.Process(runtime.pid)
    for process in [family, *family.children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status != psutil.CONN_LISTEN:
                continue
            host, port = connection.laddr
            loopback = host in ("127.0.0.1", "::1")
            yield Finding(
                Mark.WELL if loopback else Mark.BAD,
                f"{host}:{port} (process {process.pid})"
                + ("" if loopback else ": reachable from other machines"),
            )


def _keys() -> Iterator[Finding]:
    named = [name for name in _KEYS if os.environ.get(name)]
    yield Finding(Mark.NOTE, f"in the environment, by name: {', '.join(named) or 'none'}")
    if os.environ.get("MTOR_TOKEN"):
        yield Finding(Mark.NOTE, "MTOR_TOKEN is set: it goes before your personal realm")
