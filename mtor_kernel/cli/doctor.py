"""``mtor doctor``: what this machine can serve, and whether it is set up safely.

A list of checks, each a function that yields findings; the worst of them decides the exit status.
Secrets are looked for by name and never shown.
"""

from __future__ import annotations

import argparse
import enum
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mtor_kernel.protocol.errors import RealmError
from mtor_kernel.protocol.identity import Role

#: SQLite versions in which two connections that write and checkpoint could corrupt the file. MTOR
#: writes and checkpoints on one connection, which is not touched by it.
_WAL_RESET_FIXED = (3, 51, 3)
#: Environment variables that hold keys of remote APIs.
_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN")


class Mark(enum.StrEnum):
    """How bad it is."""

    WELL = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    mark: Mark
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--catalogue", type=Path, help="a catalogue other than the built-in one")
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
    checks = _checks(given.catalogue) if given.hub is None else [("Hub", lambda: _hub(given.hub))]
    for title, check in checks:
        print(title)
        for finding in _guarded(check):
            print(f"  {finding.mark:<5} {finding.text}")
            worst |= finding.mark is Mark.BAD
    return worst


def _checks(catalogue: Path | None) -> list[tuple[str, Callable[[], Iterator[Finding]]]]:
    return [
        ("Models", lambda: _models(catalogue)),
        ("Store", _store),
        ("Realm", _realm),
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


def _store() -> Iterator[Finding]:
    from mtor_kernel.locate import data_dir

    folder = data_dir()
    mode = stat.S_IMODE(folder.stat().st_mode)
    safe = not mode & 0o077
    yield Finding(Mark.WELL if safe else Mark.BAD, f"{folder} has mode {mode:o}")
    version = sqlite3.sqlite_version
    fixed = sqlite3.sqlite_version_info >= _WAL_RESET_FIXED
    yield Finding(
        Mark.WELL if fixed else Mark.NOTE,
        f"SQLite {version}"
        + ("" if fixed else ": has the WAL-reset bug, which one writing connection never meets"),
    )
    database = folder / "realm.sqlite"
    if not database.exists():
        yield Finding(Mark.NOTE, "no realm has run here yet")
        return
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        intact = connection.execute("PRAGMA quick_check").fetchone()[0]
    yield Finding(Mark.WELL if journal == "wal" else Mark.BAD, f"journal mode {journal}")
    yield Finding(Mark.WELL if intact == "ok" else Mark.BAD, f"quick check: {intact}")
    yield from _books(database)


def _books(database: Path) -> Iterator[Finding]:
    """Add up the ledger and follow the chain of the audit log, without writing anything."""
    import sqlalchemy as sa

    from mtor_kernel.storage import audit, ledger, seals

    engine = sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    )
    try:
        with engine.connect() as connection:
            for what, check in (
                ("ledger", ledger.check),
                ("audit log", audit.verify),
                ("seals", seals.verify),
            ):
                yield from _verdict(what, check(connection))
    except sa.exc.SQLAlchemyError as error:
        yield Finding(Mark.BAD, f"the books cannot be read: {getattr(error, 'orig', error)}")
    finally:
        engine.dispose()


def _verdict(what: str, problems: Iterable[str]) -> Iterator[Finding]:
    found = [Finding(Mark.BAD, f"{what}: {problem}") for problem in problems]
    yield from found or [Finding(Mark.WELL, f"nothing is wrong with the {what}")]


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
            yield from _verdict(f"running realm's {what}", getattr(books, what))
    for worker in state.workers:
        mark = Mark.WELL if worker.state == "well" else Mark.BAD
        yield Finding(mark, f"worker {worker.name} is {worker.state}")
    if not state.workers:
        yield Finding(Mark.BAD, "no worker is linked: see dask/worker.log in the data folder")


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
