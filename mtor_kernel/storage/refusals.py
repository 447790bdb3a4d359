"""Why a database cannot be had when a realm opens it, and what its operator can do about it."""

from __future__ import annotations

import re

import sqlalchemy as sa

from mtor_kernel.protocol.errors import Unavailable

#: What libpq says where no connection comes about, and what helps. The first that fits counts.
_ADVICE = {
    "certificate verify failed|signature failure": (
        "its certificate was not signed by the authority that `sslrootcert` names. It may be "
        "another server, and was told nothing; if it is the right one, name its authority"
    ),
    "does not match host name": (
        "name the server in the URL as its certificate does, or sign it a certificate for this "
        "name (`mtor certs`)"
    ),
    "root certificate file": (
        "name the authority's file by `sslrootcert=/etc/mtor/authority.pem` in the URL, or the "
        "system's authorities by `sslrootcert=system`"
    ),
    "does not support SSL": (
        "set `ssl = on` and a certificate at the server, or leave `sslmode` out for a server on "
        "this machine"
    ),
    "no password supplied|password authentication failed": (
        "the password is looked for in ~/.pgpass (mode 600), the file that PGPASSFILE names, "
        "and PGPASSWORD"
    ),
    "invalid (sslmode|connection option|URI)": "mend the URL",
    "connection (to server|is bad|refused)|could not translate|timeout expired": (
        "see that the server runs there and lets this machine and this role in"
    ),
}


def refusal(name: str, error: sa.exc.SQLAlchemyError) -> Unavailable:
    """Return what is told of the database `name` that cannot be used for `error`."""
    whole = str(getattr(error, "orig", error))
    # Further lines are libpq's advice, such as not to look at certificates.
    said = (whole.splitlines() or [""])[0].rstrip(".")
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, whole):
            return Unavailable(f"The database {name} cannot be used ({said}): {advice}.")
    return Unavailable(
        f"The database {name} cannot be used ({said}): bring back a copy of it, or name another "
        "database."
    )
