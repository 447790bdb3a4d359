"""``mtor realm``: run one, see how it is, stop it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtor_kernel.locate import Runtime, RuntimeFile

#: How long a realm that was told to stop may take.
STOP_SECONDS = 20.0
#: How long one that does not answer may take to heed a signal.
SILENT_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    running = verbs.add_parser("run", help="run your personal realm in this terminal")
    running.add_argument(
        "--personal", action="store_true", help="a realm of one person (the default)"
    )
    running.add_argument("--idle-seconds", type=float, help="end when unused for so long; 0: never")
    running.add_argument("--port", type=int, help="port on loopback (default: any free one)")
    running.add_argument("--config", type=Path, help="a traitlets configuration file")
    running.add_argument(
        "--database", help="URL of the store, such as postgresql://mtor@host/mtor; no password"
    )
    verbs.add_parser("status", help="where it is and what it does")
    verbs.add_parser("stop", help="end it; what waits is kept for its next start")


def run(given: argparse.Namespace) -> int:
    """Do what the verb says."""
    return {"run": _run, "status": _status, "stop": _stop}[given.verb](given)


def _run(given: argparse.Namespace) -> int:
    from traitlets import TraitError

    from mtor_kernel.cli.configured import configured
    from mtor_kernel.gateway.personal import PersonalRealm
    from mtor_kernel.locate import data_dir
    from mtor_kernel.protocol.errors import BadInput

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    config = configured(given.config, given.database)
    for name in ("idle_seconds", "port"):
        if (value := getattr(given, name)) is not None:
            setattr(config.PersonalRealm, name, value)

    async def serve() -> None:
        personal = PersonalRealm(data_dir(), config=config)
        await personal.run(lambda url: print(f"The realm is at {url}", flush=True))

    try:
        asyncio.run(serve())
    except TraitError as error:
        raise BadInput(f"The configuration says what cannot be: {error}") from None
    return 0


def _status(given: argparse.Namespace) -> int:
    from mtor_kernel.client import Realm
    from mtor_kernel.locate import find

    address = find()
    if address is None:
        print("No realm runs. The next query starts yours, or `mtor realm run` does.")
        return 1
    with Realm(address.url, address.token) as realm:
        me, state = realm.me(), realm.queue()
    print(f"{address.url}  you are {me.user} ({me.role})")
    for worker in state.workers:
        served = ", ".join(f"{model.model}×{model.slots}" for model in worker.served)
        print(f"  worker {worker.name}: {worker.state}, serves {served or 'nothing'}")
    for lane in state.lanes:
        print(f"  {lane.model}: {lane.running} running, {lane.waiting} waiting")
    return 0


def _stop(given: argparse.Namespace) -> int:
    from mtor_kernel.client import Realm
    from mtor_kernel.locate import RuntimeFile, is_well, lives

    file = RuntimeFile()
    runtime = file.read()
    if runtime is None or not lives(runtime):
        if file.clear_stale():
            print("No realm of yours runs.")
            return 0
        print(
            f"A realm of yours is starting or ending: it holds {file.realm_lock}. Try again.",
            file=sys.stderr,
        )
        return 1
    if not is_well(runtime):
        return _end(file, runtime)
    with Realm(runtime.url, runtime.token) as realm:
        realm.sysop("stop")
    if _gone(file, STOP_SECONDS):
        print("The realm has ended.")
        return 0
    print(f"The realm (process {runtime.pid}) is still ending.", file=sys.stderr)
    return 1


def _end(file: RuntimeFile, runtime: Runtime) -> int:
    """End the process of a realm that does not answer. What it had admitted, its successor ends."""
    import psutil

    process = psutil.Process(runtime.pid)
    process.terminate()
    if not _gone(file, SILENT_SECONDS):
        process.kill()
        if not _gone(file, SILENT_SECONDS):
            print(f"The realm (process {runtime.pid}) cannot be ended.", file=sys.stderr)
            return 1
    print("The realm did not answer. Its process has been ended.")
    return 0


def _gone(file: RuntimeFile, seconds: float) -> bool:
    """Wait until no realm holds the lock any more; tell whether that came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.clear_stale():
            return True
        time.sleep(0.1)
    return False
