"""A sysop's orders, in words: the same after ``mtor sysop`` and after ``%mtor sysop``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from mtor_kernel.client import Realm
from mtor_kernel.magics import sysop_reports as reports
from mtor_kernel.magics.table import Table
from mtor_kernel.protocol.account import MICRO, show_credits
from mtor_kernel.protocol.errors import BadInput
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas, RuleOf
from mtor_kernel.protocol.views import RuleInfo

#: What an order answers: a table, or a sentence.
Answer: TypeAlias = Table | str

#: Rules as they are written in an order, and what they are called in the protocol. Credits are
#: written in credits, everything else as it is counted.
RULES = {rule.removesuffix("_micro"): rule for rule in Quotas.__struct_fields__}


def describe(parser: argparse.ArgumentParser) -> None:
    """Describe all orders to a parser."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="ORDER")

    def verb(name: str, purpose: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=purpose, description=purpose)

    verb("people", "everybody who was ever here, and what they have")
    one = verb("queries", "everybody's queries that are under way, or one person's latest")
    one.add_argument("user", nargs="?", default="")
    one = verb("ban", "close the realm to a person and stop their queries")
    one.add_argument("user")
    one.add_argument("--let-run", action="store_true", help="let what is under way end")
    _reason(one)
    for name, purpose in (
        ("unban", "open the realm to a person again"),
        ("stop", "cancel everything of a person's that is under way"),
    ):
        one = verb(name, purpose)
        one.add_argument("user")
        _reason(one)
    one = verb("grant", "give a person credits, or take them with a negative amount")
    one.add_argument("user")
    one.add_argument("credits", type=float)
    _reason(one)
    one = verb("quota", "see what is ruled, or set rules for a person, a group or a role")
    of = one.add_mutually_exclusive_group()
    of.add_argument("--group", metavar="NAME", help="for this group")
    of.add_argument("--role", metavar="NAME", help="for this role")
    one.add_argument("--clear", action="store_true", help="take back what was set")
    one.add_argument(
        "words",
        nargs="*",
        metavar="USER, RULE=FIGURE",
        help=f"of these rules: {', '.join(RULES)}; none: no limit. Without any: see what is ruled",
    )
    one.add_argument("--reason", default="", help="why, for the audit log")
    for name, purpose in (
        ("drain", "have a worker take nothing new"),
        ("resume", "have a worker that was drained or removed take work again"),
        ("remove", "send a worker away once it has finished, and keep it out"),
    ):
        one = verb(name, purpose)
        one.add_argument("worker")
        _reason(one)
    one = verb("notice", "say something to everybody who is connected")
    one.add_argument("text", nargs="+")
    _reason(verb("pause", "take no new queries; what is under way goes on"))
    _reason(verb("unpause", "take queries again"))
    one = verb("audit", "what sysops did, newest first")
    one.add_argument("-n", "--number", type=int, default=20, help="how many (default: 20)")
    verb("check", "whether ledger, audit log and seals are whole; reads all of them")


def order_of(words: str) -> argparse.Namespace:
    """Return the order that a line of a notebook gives.

    Raises
    ------
    UsageError
        It is none; says what to write instead.
    """
    from IPython.core.error import UsageError
    from IPython.core.magic_arguments import MagicArgumentParser

    parser = MagicArgumentParser("%mtor sysop")
    describe(parser)
    try:
        said = shlex.split(words)
    except ValueError:
        said = words.split()  # an apostrophe in a reason or a notice
    if not said:
        raise UsageError(f"Which order? %mtor sysop takes: {', '.join(_ORDERS)}.")
    return parser.parse_args(said)


def _reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reason", nargs="*", help="why, for the audit log")


def carry_out(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    """Do what was ordered, and return what there is to show."""
    if isinstance(getattr(given, "reason", ""), list):
        given.reason = " ".join(given.reason)
    return _ORDERS[given.verb](realm, given, now)


def _people(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    return reports.people_table(realm.sysop.people(), now)


def _queries(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    return reports.queries_table(realm.sysop.queries(given.user), given.user, now)


def _ban(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.ban(given.user, given.reason, stop=not given.let_run)
    rest = "what they have under way goes on" if given.let_run else "their queries are stopped"
    return f"The realm is closed to {given.user}; {rest}."


def _unban(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.unban(given.user, given.reason)
    return f"The realm is open to {given.user} again."


def _stop(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    stopped = realm.sysop.stop_queries(given.user, given.reason)
    return f"Stopped of {given.user}: {stopped} {'query' if stopped == 1 else 'queries'}."


def _grant(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.grant(given.user, given.credits, given.reason)
    amount = show_credits(round(abs(given.credits) * MICRO))
    if given.credits < 0:
        return f"Took {amount} credits from {given.user}."
    return f"Gave {amount} credits to {given.user}."


def _quota(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    kind, name, words = _whom(given)
    if kind is None:
        return reports.rules_table(realm.sysop.rules())
    if given.clear:
        realm.sysop.quota(name, None, given.reason, kind=kind)
        return f"What was set for the {kind} {name} does not hold any more."

    def mine(one: RuleInfo) -> bool:
        return (one.kind, one.subject) == (kind, name)

    ruled = realm.sysop.rules()
    if words:
        # What is not named stays as it was set.
        so_far = next((one.quotas for one in ruled if one.live and mine(one)), Quotas())
        new = msgspec.structs.replace(so_far, **dict(map(_rule, words)))
        realm.sysop.quota(name, new, given.reason, kind=kind)
        ruled = realm.sysop.rules()
    return reports.rules_table(filter(mine, ruled))


def _whom(given: argparse.Namespace) -> tuple[RuleOf | None, str, list[str]]:
    """Return for whom an order about quotas is, and its rules."""
    words = list(given.words)
    if given.group or given.role:
        kind = RuleOf.GROUP if given.group else RuleOf.ROLE
        return kind, given.group or given.role, words
    if words and "=" not in words[0]:
        return RuleOf.PERSON, words[0], words[1:]
    if words or given.clear:
        raise BadInput("For whom? Write the person's name first, or --group NAME or --role NAME.")
    return None, "", []


def _rule(word: str) -> tuple[str, int]:
    """Return the rule and the figure of ``RULE=FIGURE``.

    >>> _rule("waiting=5"), _rule("credits_per_day=2.5")
    (('waiting', 5), ('credits_per_day_micro', 2500000))
    """
    name, _, figure = word.partition("=")
    if name not in RULES:
        raise BadInput(f"There is no rule {name!r}; the rules are {', '.join(RULES)}.")
    rule = RULES[name]
    if figure == "none":
        return rule, NO_LIMIT
    try:
        count = round(float(figure) * MICRO) if rule.endswith("_micro") else int(figure)
    except (ValueError, OverflowError):
        count = -1
    if not 0 <= count <= NO_LIMIT:
        raise BadInput(f"{word!r} says no figure: write {name}=100, or {name}=none for no limit.")
    return rule, count


def _drain(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.drain(given.worker, True, given.reason)
    return f"{given.worker} takes nothing new; what it runs goes on."


def _resume(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.drain(given.worker, False, given.reason)
    return f"{given.worker} takes work again."


def _remove(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.remove(given.worker, given.reason)
    return f"{given.worker} finishes what it runs and is kept out then, until it may resume."


def _notice(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.notice(" ".join(given.text))
    return "Everybody who is connected was told."


def _pause(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.pause(True, given.reason)
    return "Admission is paused: nothing new is taken, what is under way goes on."


def _unpause(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    realm.sysop.pause(False, given.reason)
    return "Admission is open."


def _audit(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    return reports.audit_table(realm.sysop.audit(given.number), now)


def _check(realm: Realm, given: argparse.Namespace, now: float) -> Answer:
    return reports.check_table(realm.sysop.check())


_ORDERS: dict[str, Callable[[Realm, argparse.Namespace, float], Answer]] = {
    "people": _people,
    "queries": _queries,
    "ban": _ban,
    "unban": _unban,
    "stop": _stop,
    "grant": _grant,
    "quota": _quota,
    "drain": _drain,
    "resume": _resume,
    "remove": _remove,
    "notice": _notice,
    "pause": _pause,
    "unpause": _unpause,
    "audit": _audit,
    "check": _check,
}
