"""What a Hub's configuration says of the realm, for ``mtor doctor --hub``."""

from __future__ import annotations

import copy
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from traitlets.config.loader import PyFileConfigLoader

from mtor_kernel.hub.configure import TOKEN_VARIABLE, HubSetup
from mtor_kernel.protocol.errors import BadInput, RealmError

#: How long a realm may take to say that it is well, in seconds.
HEALTH_SECONDS = 3.0


def examine(path: Path) -> Iterator[tuple[bool, str]]:
    """Read a Hub's configuration; yield what it says of the realm and whether that is well.

    The file is executed, as the Hub itself does. No secret is shown.

    Raises
    ------
    BadInput
        There is no such file, or the token is missing that it needs.
    """
    if not path.is_file():
        raise BadInput(f"There is no {path}: name the Hub's configuration file.")
    try:
        c = PyFileConfigLoader(path.name, path=str(path.resolve().parent)).load_config()
    except RealmError:
        raise
    except Exception as error:  # whatever the operator's own Python raises
        raise BadInput(f"{path} cannot be read: {type(error).__name__}: {error}.") from error
    as_written = copy.deepcopy(c)
    setup = HubSetup(config=c)
    lines = setup.apply(c)
    if c == as_written:
        yield True, f"{path} sets up the realm"
    else:
        yield False, f"{path} lacks some of this: call mtor_kernel.hub.configure(c) at its end"
    yield from ((True, line) for line in lines)
    prefix = setup.prefix(c)
    if not setup.managed:
        yield True, f"the realm's own JUPYTERHUB_API_TOKEN is the Hub's {TOKEN_VARIABLE}"
        for name, value in environment(setup, prefix).items():
            yield True, f"and it needs {name}={value}"
    if _is_well(setup.url, prefix):
        yield True, f"a realm answers at {setup.url}{prefix}"
    else:
        yield setup.managed, f"no realm answers at {setup.url}{prefix}"


def environment(setup: HubSetup, prefix: str) -> dict[str, str]:
    """Return what a realm must be told that the Hub does not start, but for secrets and the Hub."""
    return {
        "JUPYTERHUB_SERVICE_NAME": setup.name,
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_SERVICE_URL": setup.url,
        "JUPYTERHUB_CLIENT_ID": f"service-{setup.name}",
        "JUPYTERHUB_API_URL": "the Hub's hub_bind_url, such as http://127.0.0.1:8081/hub/api",
    }


def _is_well(url: str, prefix: str) -> bool:
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", prefix + "health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
