"""Ending the personal realms that tests have had started."""

import contextlib

import psutil

from mtor_kernel.locate import RuntimeFile
from mtor_kernel.protocol.errors import RealmUnreachable

#: How long a realm and its children may take to end, in seconds.
END_SECONDS = 60


def end_realms(file: RuntimeFile) -> None:
    """End the realm that `file` names and those that this process has started, with their own."""
    started = started_realms()
    with contextlib.suppress(RealmUnreachable):
        runtime = file.read()
        if runtime is not None and psutil.pid_exists(runtime.pid):
            named = psutil.Process(runtime.pid)
            started += [named] if is_realm(named) and named not in started else []
    family = [*started, *(one for realm in started for one in realm.children(recursive=True))]
    for realm in started:
        realm.terminate()
    for one in psutil.wait_procs(family, timeout=END_SECONDS)[1]:
        one.kill()


def started_realms() -> list[psutil.Process]:
    """The realms that are children of this process."""
    return [child for child in psutil.Process().children() if is_realm(child)]


def is_realm(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[1:5] == ["-m", "mtor_kernel.cli", "realm", "run"]
    except psutil.Error:
        return False
