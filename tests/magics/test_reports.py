"""What the realm shows of itself."""

import pytest

from mtor_kernel.magics import reports
from mtor_kernel.protocol.account import Charge, RateCard
from mtor_kernel.protocol.identity import Role
from mtor_kernel.protocol.lifecycle import Stage
from mtor_kernel.protocol.ngram import RealmState
from mtor_kernel.protocol.query import Modality
from mtor_kernel.protocol.views import (
    LaneInfo,
    Me,
    ModelInfo,
    QueryInfo,
    QuotaInfo,
    ServedInfo,
    UsageRow,
    WorkerInfo,
)
from mtor_kernel.telling.figures import show_seconds

NOW = 1_800_000_000.0


def query(stage: Stage, micro: int = 0, prompt: str = "What do bees make?") -> QueryInfo:
    return QueryInfo(
        "ab" * 16,
        "chat",
        "smollm2",
        Modality.CHAT,
        stage,
        NOW - 5,
        charge=Charge(micro) if micro else None,
        prompt=prompt,
    )


@pytest.mark.parametrize(
    ("rates", "price"),
    [
        (None, ""),
        (RateCard(free=True), "free"),
        (RateCard(query_micro=100), "0.0001 a query"),
        (
            RateCard(query_micro=100, input_token_micro=1, output_token_micro=10),
            "0.0001 a query, 0.001 in + 0.01 out per 1,000 tokens",
        ),
        (RateCard(image_micro=20_000), "0.02 a picture"),
    ],
)
def test_a_price_is_one_line(rates: RateCard | None, price: str) -> None:
    assert reports.price_of(rates) == price


def test_a_model_that_nobody_serves_says_so() -> None:
    table = reports.models_table(
        [ModelInfo("big", Modality.CHAT), ModelInfo("chat", Modality.CHAT, stands_for=("big",))]
    )
    assert table.rows[0][2] == "none now"
    assert "none now: no worker serves it yet" in table.plain()
    assert not reports.models_table([ModelInfo("big", Modality.CHAT, slots=1)]).note
    assert table.rows[1][-1] == "→ big"
    assert "mtor pull smollm2" in reports.models_table([]).plain()


def test_a_worker_shows_its_load_and_its_trouble() -> None:
    served = (ServedInfo("a", 2, 1), ServedInfo("b", 1, 0, trouble="no memory"))
    row = reports.workers_table([WorkerInfo("w", "sick", served, 3.2, 2**30)]).rows[0]
    assert row == ("w", "sick", "a, b (no memory)", "1 of 3", "1,024 MiB", "3.2 s ago")


def test_the_queue_tells_how_long_a_new_query_waits() -> None:
    lanes = (
        LaneInfo("a", 3, 1, 1, eta_seconds=42.0),
        LaneInfo("b"),
        LaneInfo("c", eta_seconds=0.0),
        LaneInfo("d", eta_seconds=9.0, trouble="d fails just now"),
    )
    table = reports.lanes_table(RealmState(lanes, (), admission_open=False))
    assert [row[-1] for row in table.rows] == [
        "42 s",
        "unknown",
        "not at all",
        "9.0 s · d fails just now",
    ]
    assert "paused" in table.note


def test_only_what_has_not_ended_waits() -> None:
    queries = [query(stage) for stage in Stage]
    assert [row[2] for row in reports.waiting_table(queries, NOW).rows] == ["queued", "running"]


def test_the_history_adds_up_what_was_spent() -> None:
    table = reports.history_table([query(Stage.SETTLED, 1200), query(Stage.FAILED)], NOW)
    assert [row[4] for row in table.rows] == ["0.0012", "0"]
    assert table.note == "2 queries · 0.0012 credits"
    assert table.rows[0][0] == "abababab"


def test_a_long_question_is_cut_to_one_line() -> None:
    assert reports.shorten("many\nwords " * 20).endswith("…")
    assert len(reports.shorten("x" * 1000)) == 48


def test_one_sees_what_one_has_and_what_is_used() -> None:
    me = Me(
        "ada",
        Role.USER,
        balance_micro=2_500_000,
        held_micro=1000,
        quotas=(QuotaInfo("queries_per_minute", 20, 3, NOW + 60),),
    )
    plain = reports.me_table(me, [UsageRow("2027-01-15", "smollm2", 2, 900, 10, 20)], NOW).plain()
    assert "2.50 credits\n" in plain
    assert "2 queries · 30 tokens · 0.0009 credits" in plain
    assert "3 of 20 used, afresh at" in plain


def test_one_sees_for_whom_a_rule_is_set_and_who_sees_ones_questions() -> None:
    rule = QuotaInfo("credits_per_day_micro", 5_000_000, 1_250_000, None, "group physics")
    me = Me("ada", Role.USER, quotas=(rule,), groups=("physics",), prompts_shown=True)
    plain = reports.me_table(me, [], NOW).plain()
    assert "credits per day  " in plain
    assert "1.25 of 5.00 used (set for group physics)" in plain
    assert "Sysops of this realm see the first words of what you ask." in plain


def test_pictures_sound_and_characters_are_counted_too() -> None:
    day = [UsageRow("2027-01-15", "painter", 1, 900, 0, 0, 2, 61_000, 40)]
    plain = reports.me_table(Me("ada", Role.USER), day, NOW).plain()
    assert "1 query · 2 pictures · 40 characters · 61 s of sound · 0.0009 credits" in plain


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "under 0.1 s"),
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_a_duration_reads_as_one_says_it(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown
