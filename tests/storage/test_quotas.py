"""How much of each rule is used, and the rules that a sysop sets for one person."""

from datetime import UTC, datetime

import pytest

from mtor_kernel.protocol.account import Charge, Usage
from mtor_kernel.protocol.errors import ErrorInfo
from mtor_kernel.protocol.query import Answer
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas, RuleOf, Standing, Use
from mtor_kernel.storage import Store, endings, quotas
from tests.storage.helpers import NOON, accept, dispatch, new_query, person

EVERY = Quotas(*(10**9 for _ in Quotas.__struct_fields__))
MIDNIGHT = datetime(2025, 6, 17, tzinfo=UTC).timestamp()
JULY = datetime(2025, 7, 1, tzinfo=UTC).timestamp()
DAY = 86_400.0


def standing(store: Store, rules: Quotas = EVERY, at: float = NOON) -> Standing:
    return store.read_sync(lambda db: quotas.standing(db, "ann", rules, at))


def used(store: Store, at: float = NOON) -> dict[str, int]:
    return {rule: use.used for rule, use in standing(store, at=at).uses.items() if use.used}


def settled(store: Store, micro: int, tokens: int, at: float, user: str = "ann") -> None:
    new = new_query(user, at=at, tokens=tokens * 10)
    accept(store, new)
    ran = dispatch(store, new.id, at)
    charge = Charge(micro, Usage(tokens, tokens))
    store.write_sync(
        lambda db: endings.settle(db, new.id, ran.attempt, store.epoch, Answer(), charge, at)
    )


def test_somebody_new_has_used_nothing_of_any_rule(store: Store, ann: str) -> None:
    assert set(standing(store).uses) == set(Quotas.__struct_fields__)
    assert used(store) == {}


@pytest.mark.parametrize("rule", Quotas.__struct_fields__)
def test_only_rules_that_are_set_are_computed(store: Store, ann: str, rule: str) -> None:
    assert set(standing(store, Quotas(**{rule: 0})).uses) == {rule}
    assert standing(store, Quotas()) == Standing()


def test_what_has_not_ended_counts_at_its_worst(store: Store, ann: str) -> None:
    new = [new_query(hold=100, tokens=50) for _ in range(3)]
    for one in new:
        accept(store, one)
    dispatch(store, new[0].id)
    assert used(store) == {
        "queries_per_minute": 3,
        "tokens_per_day": 150,
        "credits_per_day_micro": 300,
        "credits_per_month_micro": 300,
        "running": 1,
        "waiting": 2,
    }


def test_what_has_ended_counts_as_it_was_charged(store: Store, ann: str) -> None:
    settled(store, 60, 7, NOON)
    new = new_query()
    accept(store, new)
    store.write_sync(lambda db: endings.fail(db, new.id, ErrorInfo("expired", "Late."), NOON))
    assert used(store) == {
        "queries_per_minute": 2,
        "tokens_per_day": 14,
        "credits_per_day_micro": 60,
        "credits_per_month_micro": 60,
    }


def test_a_minute_a_day_and_a_month_pass(store: Store, ann: str) -> None:
    settled(store, 1, 1, NOON - 20 * DAY)  # May
    settled(store, 2, 2, NOON - DAY)
    settled(store, 4, 4, NOON - 61)
    settled(store, 8, 8, NOON - 30)
    assert used(store) == {
        "queries_per_minute": 1,
        "tokens_per_day": 24,
        "credits_per_day_micro": 12,
        "credits_per_month_micro": 14,
    }
    assert used(store, JULY + 1) == {}


def test_a_clock_that_was_set_back_makes_nobody_wait_for_it(store: Store, ann: str) -> None:
    settled(store, 1, 1, NOON + 3600)
    settled(store, 1, 1, NOON + 1)  # by the clock of another process
    assert used(store)["queries_per_minute"] == 1


def test_each_window_says_when_it_starts_to_fall(store: Store, ann: str) -> None:
    settled(store, 1, 1, NOON - 30)
    settled(store, 1, 1, NOON - 10)
    resets = {rule: use.resets_at for rule, use in standing(store).uses.items()}
    assert resets == {
        "queries_per_minute": NOON + 30,
        "tokens_per_day": MIDNIGHT,
        "credits_per_day_micro": MIDNIGHT,
        "credits_per_month_micro": JULY,
        "running": None,
        "waiting": None,
        "blob_bytes": None,
    }


def test_december_is_followed_by_january(store: Store, ann: str) -> None:
    christmas = datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()
    uses = standing(store, at=christmas).uses
    january = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert uses["credits_per_month_micro"] == uses["tokens_per_day"] == Use(0, january)


def test_other_peoples_use_is_theirs(store: Store, ann: str) -> None:
    person(store, "bob", 1000)
    settled(store, 60, 7, NOON, "bob")
    accept(store, new_query("bob"))
    assert used(store) == {}


@pytest.mark.parametrize("kind", RuleOf)
def test_rules_of_each_kind_are_kept_changed_and_dropped(
    store: Store, ann: str, kind: RuleOf
) -> None:
    assert not any(store.read_sync(quotas.overrides).values())
    for rules in (Quotas(running=1), Quotas(tokens_per_day=0, blob_bytes=NO_LIMIT), None):
        store.write_sync(lambda db, r=rules: quotas.set_override(db, "ann", r, kind))
        found = store.read_sync(quotas.overrides)
        assert found.pop(kind) == ({} if rules is None else {"ann": rules})
        assert not any(found.values())


def test_a_persons_own_rules_hold_at_once_and_a_groups_of_that_name_do_not(
    store: Store, ann: str
) -> None:
    told: list[Quotas] = []

    def note(standing: Standing, rules: Quotas, *_: object) -> None:
        told.append(rules)

    for kind, rules in ((RuleOf.GROUP, Quotas(waiting=1)), (RuleOf.PERSON, Quotas(waiting=2))):
        store.write_sync(lambda db, r=rules, k=kind: quotas.set_override(db, "ann", r, k))
        accept(store, new_query(), Quotas(waiting=3), note)
    assert told == [Quotas(waiting=3), Quotas(waiting=2)]
