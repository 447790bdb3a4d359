"""Which scopes, groups and roles there are at a Hub, and what a realm makes of them.

Pure: the Hub's model of a person in, a :class:`User` out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtor_kernel.protocol.errors import BadInput, Unauthenticated
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, Role, User
from mtor_kernel.protocol.query import Modality

#: Everything that its owner may do at the realm. Notebook servers and browsers have it. A Hub admin
#: who makes a narrower token for a script does not thereby give the script the sysop's part.
SCOPE_ALL = "custom:mtor:all"

#: The groups of a Hub that make a role, where the operator names no others.
GROUPS = {
    "mtor-guests": "guest",
    "mtor-users": "user",
    "mtor-contributors": "contributor",
    "mtor-sysops": "sysop",
}

#: From the least to the most; of several the most counts.
_RANKS = {role: rank for rank, role in enumerate(Role)}
#: What sets a Hub's services apart from its people.
_SERVICE = "service:"


def custom_scopes() -> dict[str, dict[str, Any]]:
    """Return the scopes as ``JupyterHub.custom_scopes`` takes them."""
    parts = {f"{SCOPE_QUERY}:{each}": f"MTOR: ask models that do {each}" for each in Modality}
    return {
        SCOPE_SYSOP: {"description": "MTOR: run the realm", "subscopes": [SCOPE_ALL]},
        SCOPE_ALL: {
            "description": "MTOR: everything that its owner may do",
            "subscopes": [SCOPE_QUERY],
        },
        SCOPE_QUERY: {
            "description": "MTOR: ask every model, see one's own queries",
            "subscopes": list(parts),
        },
        **{scope: {"description": description} for scope, description in parts.items()},
    }


def check_roles(setting: str, role_of_group: Mapping[str, str]) -> None:
    """Raise :class:`BadInput` where a group is given a role that there is not."""
    for group, role in role_of_group.items():
        if role not in set(Role):
            raise BadInput(
                f"{setting} gives {group!r} the role {role!r}; the roles are {', '.join(Role)}."
            )


def user_of(model: Mapping[str, Any], role_of_group: Mapping[str, str]) -> User:
    """Return the person (or service) of the Hub's answer to a token.

    The role is the person's, whatever the token may; the scopes are the token's. A Hub admin is a
    sysop, and a token of theirs may do a sysop's acts if it may do all that its owner may.

    Raises
    ------
    Unauthenticated
        The name could be taken for another's.
    """
    name: str = model["name"]
    admin = bool(model.get("admin"))
    if model.get("kind") == "service":
        name = _SERVICE + name
    elif name.startswith(_SERVICE):
        raise Unauthenticated(f"Ask for another name at the Hub: {_SERVICE!r} marks services.")
    groups = frozenset(model.get("groups", ()))
    held = frozenset(_held(model.get("scopes", ()), name))
    if admin and SCOPE_ALL in held:
        held |= {SCOPE_SYSOP}
    return User(name, _role(admin, groups, role_of_group), held, groups)


def _held(scopes: object, name: str) -> set[str]:
    """Return our own scopes among a token's. One that is narrowed to another's is worth nothing."""
    assert isinstance(scopes, list | tuple | set | frozenset)
    ours = [scope.partition("!") for scope in scopes if scope.startswith("custom:mtor:")]
    return {scope for scope, _, narrowed in ours if narrowed in ("", f"user={name}")}


def _role(admin: bool, groups: frozenset[str], role_of_group: Mapping[str, str]) -> Role:
    if admin:
        return Role.SYSOP
    roles = [Role(role_of_group[group]) for group in groups if group in role_of_group]
    return max(roles, key=_RANKS.__getitem__, default=Role.USER)
