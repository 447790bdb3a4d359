"""Which quotas hold for whom: person over groups over role, rule by rule."""

from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.identity import Role, User
from mtor_kernel.protocol.quota import NO_LIMIT, Quotas, RuleOf
from mtor_kernel.realm.rules import Rules

ANN = User("ann", groups=frozenset({"physics", "maths"}))
ROLE = Quotas(queries_per_minute=60, tokens_per_day=1000, waiting=10)


def rules(
    *, users: Quotas = ROLE, groups: dict[str, Quotas] | None = None, **live: dict[str, Quotas]
) -> Rules:
    found = Rules({RuleOf.ROLE: {"user": users}, RuleOf.GROUP: groups or {}})
    found.set_live({RuleOf(kind): table for kind, table in live.items()})
    return found


def test_without_any_nothing_is_ruled() -> None:
    assert Rules({}).of(ANN) == Quotas()


def test_a_role_rules_for_its_own() -> None:
    assert rules().of(ANN) == ROLE
    assert rules().of(User("gus", Role.GUEST)) == Quotas()


def test_a_group_goes_before_the_role_where_it_says_something() -> None:
    found = rules(groups={"physics": Quotas(tokens_per_day=5)})
    assert found.of(ANN) == Quotas(queries_per_minute=60, tokens_per_day=5, waiting=10)
    assert found.of(User("bob")) == ROLE


def test_of_several_groups_the_most_generous_figure_holds_rule_by_rule() -> None:
    found = rules(
        groups={
            "physics": Quotas(tokens_per_day=5, waiting=7),
            "maths": Quotas(tokens_per_day=9, waiting=3),
            "others": Quotas(tokens_per_day=99, waiting=99),
        }
    )
    assert found.of(ANN) == Quotas(queries_per_minute=60, tokens_per_day=9, waiting=7)


def test_a_person_goes_before_all() -> None:
    found = rules(
        groups={"physics": Quotas(waiting=7)}, person={"ann": Quotas(waiting=0, running=1)}
    )
    assert found.of(ANN) == Quotas(queries_per_minute=60, tokens_per_day=1000, waiting=0, running=1)


def test_what_a_sysop_ruled_goes_before_the_configuration_of_the_same_kind_only() -> None:
    found = rules(
        groups={"physics": Quotas(waiting=7, running=2)},
        group={"physics": Quotas(waiting=5)},
        role={"user": Quotas(waiting=100, queries_per_minute=1)},
    )
    assert found.of(ANN) == Quotas(queries_per_minute=1, tokens_per_day=1000, waiting=5, running=2)


def test_no_limit_lifts_the_rule_of_whoever_comes_after() -> None:
    lifted = Quotas(tokens_per_day=NO_LIMIT)
    assert rules(person={"ann": lifted}).of(ANN).tokens_per_day is None
    assert rules(group={"maths": lifted}).of(ANN).tokens_per_day is None
    assert rules(role={"user": lifted}).of(ANN).tokens_per_day is None
    stricter = rules(groups={"maths": lifted}, person={"ann": Quotas(tokens_per_day=3)})
    assert stricter.of(ANN).tokens_per_day == 3


def test_each_figure_says_for_whom_it_is_set() -> None:
    found = rules(
        groups={"physics": Quotas(tokens_per_day=5), "maths": Quotas(tokens_per_day=9)},
        person={"ann": Quotas(waiting=1)},
    )
    told = {rule: found.source(ANN, rule) for rule in ("waiting", "tokens_per_day")}
    assert told == {"waiting": "person", "tokens_per_day": "group maths"}
    assert found.source(ANN, "queries_per_minute") == "role user"


def test_what_is_taken_back_does_not_hold_any_more() -> None:
    found = rules(person={"ann": Quotas(waiting=1)}, role={"user": Quotas(waiting=2)})
    found.set_live({})
    assert found.of(ANN) == ROLE


def test_everything_that_is_ruled_is_listed_with_where_it_comes_from() -> None:
    found = rules(group={"maths": Quotas(running=2)})
    assert [(info.kind, info.subject, info.live) for info in found.infos()] == [
        ("group", "maths", True),
        ("role", "user", False),
    ]


FIGURE = st.none() | st.integers(0, 5) | st.just(NO_LIMIT)
LAYER = st.builds(Quotas, waiting=FIGURE)


@given(person=LAYER, groups=st.lists(LAYER, min_size=2, max_size=2), role=LAYER)
def test_the_first_layer_that_says_something_holds(
    person: Quotas, groups: list[Quotas], role: Quotas
) -> None:
    found = rules(
        users=role, groups=dict(zip(("physics", "maths"), groups, strict=True)),
        person={"ann": person},
    )  # fmt: skip
    of_groups = [group.waiting for group in groups if group.waiting is not None]
    said = [person.waiting, max(of_groups, default=None), role.waiting]
    first = next((figure for figure in said if figure is not None), None)
    assert found.of(ANN).waiting == (None if first == NO_LIMIT else first)
