"""May this person ask this of that model?"""

from __future__ import annotations

from mtor_kernel.protocol.account import Usage
from mtor_kernel.protocol.backend import ModelSpec
from mtor_kernel.protocol.check import check_query
from mtor_kernel.protocol.errors import Forbidden
from mtor_kernel.protocol.identity import SCOPE_QUERY, SCOPE_SYSOP, User
from mtor_kernel.protocol.query import Query
from mtor_kernel.scheduling import pricing
from mtor_kernel.scheduling.routing import Catalogue, name_for


def check(catalogue: Catalogue, user: User, query: Query, spec: ModelSpec) -> Usage:
    """Return what `query` uses at worst of a model that `user` may ask it of, and that takes it.

    Raises
    ------
    Forbidden
        The scope of its modality, or the role that it is for, is not the person's.
    BadInput
        It does not take these parts or options, or so much of them.
    """
    user.require(f"{SCOPE_QUERY}:{spec.modality}")
    check_role(spec, user)
    check_query(query, spec, lambda modality: name_for(catalogue, modality))
    return pricing.worst_case(query, spec)


def check_role(spec: ModelSpec, user: User) -> None:
    """Raise :class:`Forbidden` where a model is not for a person's role."""
    if spec.roles and user.role not in spec.roles and not user.may(SCOPE_SYSOP):
        roles = " and ".join(spec.roles)
        raise Forbidden(
            f"The model {spec.name} is for {roles} here, and you are {user.role}: choose another "
            "model, or ask the sysop.",
            role=user.role,
            needed=roles,
        )
