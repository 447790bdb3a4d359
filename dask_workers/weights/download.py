"""One file over HTTPS: resumed where it broke off, checked, and only then at its place.

While it comes it is called ``.NAME.part``, and stays so when it is interrupted; the next call goes
on from there. `ETag` and `If-Range` see to it that the rest is of the same file, and the SHA-256
of the whole says so in the end.
"""

from __future__ import annotations

import email.message
import errno
import hashlib
import http.client
import ipaddress
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

from dask_workers.weights.bundle import File, WeightsError

#: Told how many bytes of a file are here.
Measure = Callable[[File, int], None]

_BLOCK_BYTES = 1 << 18
#: Longest silence of a server.
_TIMEOUT_SECONDS = 30.0
#: Seconds to wait after the first, second, … failure in a row that has brought nothing.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
#: The longest that a server's ``Retry-After`` is heeded.
_PAUSE_LIMIT = 60.0
#: Answers after which it is worth asking again.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_PARTIAL = 206
_OUT_OF_RANGE = 416
#: A strong ETag that may be sent back as it is.
_STRONG = re.compile(r'"[!#-~]*"')
_SPAN = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)


class _Again(Exception):
    """It broke off; asking again may bring the rest."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class _Safely(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only where the answer cannot be changed on the way."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: email.message.Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        _require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]  # typeshed wants the subclass that http.client always gives


_opener = urllib.request.build_opener(_Safely)


def download(
    file: File,
    url: str,
    target: Path,
    measure: Measure = lambda file, done: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Bring `file` from `url` to `target`.

    Raises
    ------
    WeightsError
        It cannot be had, or is another file than the published one, or there is no room for it.
    KeyboardInterrupt
        As it comes; what is here stays for the next call.
    """
    _require_safe(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    failures = 0
    while (before := _size(part)) < file.size_bytes:
        _require_room(file, part)
        try:
            _fetch(file, url, part, measure)
        except _Again as trouble:
            failures = 1 if _size(part) > before else failures + 1
            if failures > len(_PAUSES):
                raise WeightsError(
                    f"{file.name} could not be fetched from {_host(url)}: {trouble}. What is here "
                    "stays: ask again later, or name a mirror with --mirror."
                ) from None
            pause(max(_PAUSES[failures - 1], trouble.wait))
    _check(file, part)
    part.replace(target)
    _etag(part).unlink(missing_ok=True)


def _fetch(file: File, url: str, part: Path, measure: Measure) -> None:
    """Ask once, and write down what comes."""
    try:
        answer = _ask(url, part)
    except urllib.error.HTTPError as error:
        _refused(error, url, part)
    except (OSError, http.client.HTTPException, ValueError) as no:
        raise _unanswered(no, url) from None
    with answer:
        start = _start(file, answer)
        if start > _size(part):
            raise _Again("it sent another piece than it was asked for")
        if not start:
            part.unlink(missing_ok=True)  # before its ETag goes: a piece never has another's
        _etag(part).write_text(answer.headers.get("ETag") or "", "utf-8")
        _write(file, answer, part, start, measure)


def _unanswered(no: Exception, url: str) -> Exception:
    """Return what to raise for a request that was not answered."""
    reason = getattr(no, "reason", no)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return WeightsError(
            f"{_host(url)} cannot prove who it is ({reason.verify_message}), so nothing was "
            "fetched: look at the mirror, or at what inspects your connections."
        )
    if isinstance(no, ValueError):  # of a redirect, as a rule
        return WeightsError(f"{_host(url)} names an address that is none ({no}).")
    return _Again(" ".join(str(reason).split())[:200] or type(no).__name__)


def _ask(url: str, part: Path) -> Any:
    headers = {"User-Agent": "mtor", "Accept-Encoding": "identity"}
    here, etag = _size(part), _read(_etag(part))
    if here and _STRONG.fullmatch(etag):
        headers |= {"Range": f"bytes={here}-", "If-Range": etag}
    # `_require_safe` has looked at the scheme.
    return _opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)  # noqa: S310


def _start(file: File, answer: Any) -> int:
    """Return where in the file the answer begins; make sure that it is that file."""
    begin, total = 0, answer.headers.get("Content-Length") or "*"
    if answer.status == _PARTIAL:
        span = _SPAN.fullmatch(answer.headers.get("Content-Range") or "")
        if span is None:
            raise _Again("it does not say which piece it sends")
        begin, total = int(span[1]), span[2]
    whole = int(total) if total.isdecimal() else None
    if whole not in (None, file.size_bytes):
        raise WeightsError(
            f"{_host(answer.url)} has a {file.name} of {whole:,} bytes, and the published one has "
            f"{file.size_bytes:,}: it was not fetched. Look at the mirror, if you named one."
        )
    return begin


def _write(file: File, answer: Any, part: Path, start: int, measure: Measure) -> None:
    with part.open("r+b" if part.exists() else "w+b", buffering=0) as copy:
        copy.truncate(start)
        done = copy.seek(start)
        measure(file, done)
        while block := _receive(answer):
            if done + len(block) > file.size_bytes:
                raise WeightsError(f"{_host(answer.url)} sends more of {file.name} than there is.")
            _put(copy, block)
            done += len(block)
            measure(file, done)
    if done < file.size_bytes:
        raise _Again("the connection broke")


def _receive(answer: Any) -> bytes:
    """Return what comes next. What goes wrong here is the network's, never the disk's."""
    try:
        return bytes(answer.read1(_BLOCK_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as no:
        raise _Again(str(no) or type(no).__name__) from None


def _put(copy: Any, block: bytes) -> None:
    try:
        written = copy.write(block)
        while written < len(block):
            written += copy.write(block[written:])
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError(
                "The disk is full. What is here stays: make space and ask again, or set MTOR_DATA "
                "to another directory."
            ) from None
        raise


def _refused(error: urllib.error.HTTPError, url: str, part: Path) -> NoReturn:
    """Raise what a status means."""
    with error:
        after = error.headers.get("Retry-After") or ""
    if error.code == _OUT_OF_RANGE:
        part.unlink(missing_ok=True)  # it is no beginning of that file
        raise _Again("it had to begin anew") from None
    if error.code in _PASSING:
        wait = min(float(after), _PAUSE_LIMIT) if after.isdecimal() else 0.0
        raise _Again(f"it answers with status {error.code}", wait) from None
    raise WeightsError(
        f"{_host(url)} does not give {urllib.parse.urlsplit(url).path} away (status {error.code}): "
        "look whether it is still there, or name a mirror with --mirror."
    ) from None


def _check(file: File, part: Path) -> None:
    with part.open("rb") as whole:
        if hashlib.file_digest(whole, "sha256").hexdigest() == file.sha256:
            os.fsync(whole.fileno())
            return
    part.unlink()
    _etag(part).unlink(missing_ok=True)
    raise WeightsError(
        f"{file.name} does not have the SHA-256 of the published file, so it was thrown away: "
        "somebody has changed it, or it broke on the way. Ask again, or look at the mirror."
    )


def _require_room(file: File, part: Path) -> None:
    needed = file.size_bytes - _size(part)
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise WeightsError(
            f"{file.name} needs {needed / 1e6:.0f} MB more of the disk and {free / 1e6:.0f} MB are "
            "free: make space, or set MTOR_DATA to another directory."
        )


def _require_safe(url: str) -> None:
    """Raise unless nobody on the way can read or change what `url` brings."""
    try:
        where = urllib.parse.urlsplit(url)
        host = where.hostname or ""
    except ValueError:
        raise WeightsError("That is no address to fetch from: look at the mirror.") from None
    if "@" in where.netloc:
        raise WeightsError(
            f"The address of {_host(url)} holds a user or a password, which are not sent: name it "
            "without them."
        )
    if host and (where.scheme == "https" or (where.scheme == "http" and _is_loopback(host))):
        return
    raise WeightsError(
        f"{where.scheme}://{where.netloc} is not fetched from: only https is, or this machine."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc.rpartition("@")[2]


def _etag(part: Path) -> Path:
    return part.with_suffix(".etag")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
