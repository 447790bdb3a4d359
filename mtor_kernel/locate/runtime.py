"""The file that says where the personal realm is, and what that is worth."""

from __future__ import annotations

import http.client
import os
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mtor_kernel._version import __version__
from mtor_kernel.protocol.errors import RealmUnreachable

#: How long a realm on this machine may take to say that it is well, in seconds.
HEALTH_SECONDS = 3.0
#: What two looks at when a process began may differ by, in seconds: the system rounds.
BIRTH_SECONDS = 2.0


class Runtime(msgspec.Struct, frozen=True):
    """What a personal realm says of itself."""

    #: The realm's root; ends with a slash.
    url: str
    token: str
    pid: int
    version: str
    #: When its process began, in seconds after the machine's start: a clock that is set moves
    #: the time of day of every start, but not this.
    born: float

    def __repr__(self) -> str:
        return f"Runtime({self.url!r}, pid={self.pid}, version={self.version!r})"

    def check_version(self) -> None:
        """Raise :class:`RealmUnreachable` where this program and that realm do not go together."""
        if _series(self.version) != _series(__version__):
            raise RealmUnreachable(
                f"Your realm runs MTOR {self.version}, and this is {__version__}. Stop it with "
                "`mtor realm stop`: the next query starts it anew."
            )


class RuntimeFile:
    """``mtor-realm.json`` in Jupyter's runtime directory, readable by its owner only.

    The realm process writes it when it can be reached, removes it when it ends, and holds
    :attr:`realm_lock` for its whole life.
    """

    def __init__(self, directory: Path | None = None) -> None:
        if directory is None:
            from jupyter_core.paths import jupyter_runtime_dir

            directory = Path(jupyter_runtime_dir())
        _make(directory, "Jupyter's runtime directory", "JUPYTER_RUNTIME_DIR")
        self.path = directory / "mtor-realm.json"
        #: Held by the personal realm as long as it lives: there is one a person.
        self.realm_lock = directory / "mtor-realm.lock"
        #: Held by whoever is starting one.
        self.starting_lock = directory / "mtor-starting.lock"
        self._written: Runtime | None = None

    def write(self, url: str, token: str, *, pid: int | None = None) -> Runtime:
        """Say where the realm is, in one step: a reader sees all of it or none."""
        mine = os.getpid() if pid is None else pid
        runtime = Runtime(url.rstrip("/") + "/", token, mine, __version__, _born(mine))
        draft = self.path.with_suffix(f".{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(runtime))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self._written = runtime
        return runtime

    def read(self) -> Runtime | None:
        """Return what the file says; ``None`` where there is none that can be read.

        Raises
        ------
        RealmUnreachable
            Another account owns it, or could read or change it: what it says is not to be trusted.
        """
        try:
            file = os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._distrusted(f"cannot be opened ({error.strerror})") from None
        with file:
            mark = os.fstat(file.fileno())
            if not stat.S_ISREG(mark.st_mode) or mark.st_uid != os.getuid():
                raise self._distrusted("belongs to another account")
            if stat.S_IMODE(mark.st_mode) & 0o077:
                raise self._distrusted("is open to other accounts")
            with suppress(msgspec.MsgspecError):
                return msgspec.json.decode(file.read(), type=Runtime)
        return None

    def keep(self) -> None:
        """Say again what this object has written, where that is gone or does not say it any more.

        A file that others could read, or that names another process, is left as it is.
        """
        mine = self._written
        if mine is None:
            return
        with suppress(RealmUnreachable, OSError):
            found = self.read()
            if found is None or (found.pid == mine.pid and found != mine):
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.write(mine.url, mine.token, pid=mine.pid)

    def remove(self) -> None:
        """Take back what this object has written, if it still stands there."""
        with suppress(RealmUnreachable):
            if self._written is not None and self.read() == self._written:
                self.path.unlink(missing_ok=True)
        self._written = None

    def clear_stale(self) -> bool:
        """Remove what a dead realm has left; ``False``: a realm lives, and nothing was touched."""
        import filelock

        try:
            with filelock.FileLock(self.realm_lock, timeout=0):
                self.path.unlink(missing_ok=True)
        except filelock.Timeout:
            return False
        return True

    def _distrusted(self, why: str) -> RealmUnreachable:
        return RealmUnreachable(
            f"{self.path} {why}, so it may not name your realm, and its token is not safe. "
            "Delete that file, end your realm's process if one runs, and try again."
        )


def is_well(runtime: Runtime) -> bool:
    """Tell whether the process that wrote `runtime` lives, is one's own, and answers."""
    return lives(runtime) and _answers(runtime.url)


def lives(runtime: Runtime) -> bool:
    """Tell whether the pid is still that process, and one's own: numbers are used again."""
    import psutil

    try:
        process = psutil.Process(runtime.pid)
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.uids().real == os.getuid()
            and abs(_born(runtime.pid) - runtime.born) < BIRTH_SECONDS
        )
    except psutil.Error:
        return False


def data_dir() -> Path:
    """Return where MTOR keeps what is one's own (``MTOR_DATA``, or the platform's place for it).

    Raises
    ------
    RealmUnreachable
        It is not there, and cannot be made.
    """
    import platformdirs

    path = Path(os.environ.get("MTOR_DATA") or platformdirs.user_data_dir("mtor", appauthor=False))
    _make(path, "MTOR's data directory", "MTOR_DATA")
    return path


def _make(path: Path, what: str, variable: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unusable(path, error, what, variable) from None


def unusable(path: Path, error: OSError, what: str, variable: str) -> RealmUnreachable:
    """Return what to say of a directory in which something cannot be written."""
    return RealmUnreachable(
        f"{what}, {path}, cannot be used ({error.strerror}): make it writable, or name another in "
        f"{variable}."
    )


def _born(pid: int) -> float:
    """Return when a process began, in seconds after the machine's start; -1 where there is none."""
    import psutil

    # In this order: older versions of psutil remember what they were told of the start.
    booted = psutil.boot_time()
    try:
        return psutil.Process(pid).create_time() - booted
    except psutil.NoSuchProcess:
        return -1.0


def _answers(url: str) -> bool:
    """Ask the realm's ``health``: without a credential, and past the environment's proxies."""
    place = urlsplit(url)
    if place.scheme != "http" or place.hostname is None:
        return False
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", place.path + "health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _series(version: str) -> list[str]:
    """Return the part of a version within which the protocol does not change."""
    return version.split(".")[:2]
