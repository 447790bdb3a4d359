"""``%mtor conversations``: what the realm keeps of them, and this kernel."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from IPython.core.error import UsageError

from mtor_kernel.client import Realm
from mtor_kernel.client.export import system_of, turn_of
from mtor_kernel.magics.conversations import Conversations
from mtor_kernel.magics.reports import ID_CHARACTERS, shorten
from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.account import show_credits
from mtor_kernel.protocol.errors import NotFound
from mtor_kernel.protocol.views import ConversationInfo
from mtor_kernel.telling.figures import show_count, show_time

#: Conversations that are listed, and looked through for a name.
LISTED = 200
_USE = (
    "%mtor conversations, or after it: show NAME, rename NAME NEW, resume NAME, export NAME FILE, "
    "forget NAME"
)
_FORMS = {".md": "markdown", ".json": "json"}
_ID = re.compile("[0-9a-f]{4,32}")


class Threads:
    """Carries out one command. A name is this kernel's, or else the realm's latest of that name."""

    def __init__(self, realm: Realm, here: Conversations) -> None:
        self._realm = realm
        self._here = here

    def command(self, rest: str) -> str | Table:
        """Do what ``%mtor conversations REST`` says, and return what to tell.

        Raises
        ------
        UsageError
            It means nothing.
        RealmError
            It cannot be done; says why.
        """
        try:
            words = shlex.split(rest)
        except ValueError:
            raise UsageError("A quotation mark of a name is not closed.") from None
        if not words:
            return self._list()
        verbs: dict[tuple[str, int], Callable[..., str | Table]] = {
            ("show", 1): self._show,
            ("rename", 2): self._rename,
            ("resume", 1): self._resume,
            ("export", 2): self._export,
            ("forget", 1): self._forget,
        }
        verb = verbs.get((words[0], len(words) - 1))
        if verb is None:
            raise UsageError(f"That means nothing. Write {_USE}; quote a name with blanks.")
        return verb(*words[1:])

    def _list(self) -> Table:
        now = time.time()
        return Table(
            "Conversations",
            ("id", "name", "turns", "begun", "last", ""),
            tuple(
                (
                    one.id[:ID_CHARACTERS],
                    one.name,
                    str(one.turns),
                    show_time(one.started_at, now),
                    show_time(one.last_at, now),
                    "here" if self._here.known_id(one.name) == one.id else "",
                )
                for one in self._realm.conversations(LISTED)
            ),
            empty="none yet; %mtor chat begins one",
            figures=frozenset({"turns"}),
        )

    def _show(self, name: str) -> Table:
        found, now = self._realm.conversation(self._id(name)), time.time()
        return Table(
            found.name,
            ("asked at", "model", "credits", "question", "answer"),
            tuple(
                (
                    show_time(one.created_at, now),
                    one.model,
                    show_credits(one.charge.amount_micro if one.charge else 0),
                    shorten(turn_of(one)[0].text),
                    shorten(turn_of(one)[1].text),
                )
                for one in found.queries
            ),
            figures=frozenset({"credits"}),
        )

    def _rename(self, name: str, new: str) -> str:
        found, here = self._id(name), self._here.known_id(name)
        if len(new) > 100 or not new.isprintable():
            raise UsageError("A name has at most 100 characters, on one line.")
        self._realm.rename_conversation(found, new)
        if here == found:
            self._here.rename(name, new)
        return f"{name} is called {new} from now on."

    def _resume(self, name: str) -> str:
        found = self._realm.conversation(self._id(name))
        turns = self._here.resume(
            found.name, found.id, [turn_of(one) for one in found.queries], system_of(found)
        )
        quoted = shlex.quote(found.name)
        return f"{show_count(turns, 'turn')} of {found.name}: go on with %mtor chat -c {quoted}."

    def _export(self, name: str, file: str) -> str:
        path = Path(file).expanduser()
        form = _FORMS.get(path.suffix)
        if form is None:
            raise UsageError("Name a file that ends in .md (for people) or .json (for programs).")
        text = self._realm.export_conversation(self._id(name), form)
        try:
            with path.open("x", encoding="utf-8") as new:
                new.write(text)
        except FileExistsError:
            raise UsageError(f"There is a file {file} already: name another.") from None
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}.") from None
        return f"Written to {file}."

    def _forget(self, name: str) -> str:
        found, here = self._id(name), self._here.known_id(name)
        self._realm.forget_conversation(found)
        if here == found:
            self._here.forget(name)
        return f"Forgot {name}. Its queries stay in your history."

    def _id(self, name: str) -> str:
        """Return the id of the conversation that a name, or the beginning of an id, means."""
        known = self._realm.conversations(LISTED)
        here = self._here.known_id(name)
        if any(one.id == here for one in known):
            return here
        named = [one for one in known if one.name == name] or _begins(known, name)
        if not named:
            raise NotFound(f"There is no conversation {name}: %mtor conversations lists yours.")
        return named[0].id


def _begins(known: list[ConversationInfo], id: str) -> list[ConversationInfo]:
    if not _ID.fullmatch(id):
        return []
    found = [one for one in known if one.id.startswith(id)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} conversations begin with {id}: write more of it.")
    return found
