"""Who is asking, and what they may do."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from mtor_kernel.protocol.errors import Forbidden

#: The name of a person, as the Hub or the operating system gives it.
UserName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

#: The name of a group of people, as the Hub gives it.
GroupName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

#: May submit queries of every modality and see their own.
SCOPE_QUERY = "custom:mtor:query"
#: May run the place. Includes every other scope but the workers' own.
SCOPE_SYSOP = "custom:mtor:sysop"
#: May serve: the link of the operator's workers, never a person's.
SCOPE_LINK = "mtor:link"
#: Declared by a route that needs no credential at all.
SCOPE_PUBLIC = "public"


class Role(enum.StrEnum):
    """What kind of person; quotas and weights go by it."""

    GUEST = "guest"
    USER = "user"
    CONTRIBUTOR = "contributor"
    SYSOP = "sysop"


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """One person, as the gateway has recognised them for one request."""

    name: UserName
    role: Role = Role.USER
    scopes: frozenset[str] = frozenset({SCOPE_QUERY})
    #: The Hub's groups; quotas may go by them. Empty where there is no Hub.
    groups: frozenset[GroupName] = frozenset()

    def may(self, scope: str) -> bool:
        """Tell whether `scope` is held, directly or through a wider one.

        ``custom:mtor:query`` includes ``custom:mtor:query:image``; the sysop's scope includes
        every ``custom:mtor:`` scope.
        """
        if scope == SCOPE_PUBLIC or scope in self.scopes:
            return True
        if scope.startswith("custom:mtor:") and SCOPE_SYSOP in self.scopes:
            return True
        wider, _, narrower = scope.rpartition(":")
        return bool(narrower) and wider in self.scopes

    def require_entry(self, scope: str) -> None:
        """Raise :class:`Forbidden` where neither `scope` nor a part of it is held.

        Whoever may ask for images only comes in by the same door as everybody who asks.
        """
        if not any(held.startswith(f"{scope}:") for held in self.scopes):
            self.require(scope)

    def require(self, scope: str) -> None:
        """Raise :class:`Forbidden` where :meth:`may` says no."""
        if not self.may(scope):
            raise Forbidden(
                f"This needs the scope {scope}: ask the sysop of the realm for it.", scope=scope
            )
