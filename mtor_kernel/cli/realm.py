"""``mtor realm``: run one, see how it is, stop it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path

#: How long a realm that was told to stop may take.
STOP_SECONDS = 20.0


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
    from mtor_kernel.cli.configured import configured
    from mtor_kernel.gateway.personal import PersonalRealm
    from mtor_kernel.locate import data_dir

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    config = configured(given.config, given.database)
    if given.idle_seconds is not None:
        config.PersonalRealm.idle_seconds = given.idle_seconds
    if given.port is not None:
        config.PersonalRealm.port = given.port

    async def serve() -> None:
        personal = PersonalRealm(data_dir(), config=config)
        await personal.run(lambda url: print(f"The realm is at {url}", flush=True))

    asyncio.run(serve())
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
    from mtor_kernel.locate import RuntimeFile, is_well

    file = RuntimeFile()
    runtime = file.read()
    if runtime is None or not is_well(runtime):
        print("No realm of yours runs.")
        return 0
    with Realm(runtime.url, runtime.token) as realm:
        realm.sysop("stop")
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if file.clear_stale():
            print("The realm has ended.")
            return 0
        time.sleep(0.1)
    print(f"The realm (process {runtime.pid}) is still ending.", file=sys.stderr)
    return 1
