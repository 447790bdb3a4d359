"""What a query may cost and what it did cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.protocol.account import RateCard, Usage
from mtor_kernel.protocol.errors import BadInput, TooLarge, UnknownOption
from mtor_kernel.protocol.query import (
    Audio,
    Image,
    Message,
    Modality,
    Options,
    Query,
    TableRow,
    Text,
)
from mtor_kernel.scheduling import pricing
from tests.scheduling.examples import RATES, make_spec

FREE = RateCard(free=True)
BLOB = "0" * 64
RATE_NAMES = [name for name in RateCard.__struct_fields__ if name != "free"]
FIGURES = [name for name in Usage.__struct_fields__ if name != "estimated"]


def rate_cards() -> st.SearchStrategy[RateCard]:
    rates = st.fixed_dictionaries({name: st.integers(0, 10_000) for name in RATE_NAMES})
    return rates.map(lambda given: RateCard(**given) if any(given.values()) else FREE)


@st.composite
def queries(draw: st.DrawFn) -> tuple[Query, Modality]:
    modality = draw(st.sampled_from(Modality))
    parts = [Text(draw(st.text(max_size=200)))]
    if modality is Modality.VISION:
        parts += [Image(BLOB)] * draw(st.integers(0, 3))  # type: ignore[list-item]
    if modality is Modality.TRANSCRIPTION:
        parts += [Audio(BLOB)]  # type: ignore[list-item]
    options = Options()
    if modality is Modality.CHAT:
        options = Options(max_tokens=draw(st.none() | st.integers(1, 4096)))
    if modality is Modality.IMAGE:
        options = Options(width=draw(st.integers(16, 4096)), steps=draw(st.integers(1, 50)))
    if modality is Modality.SPEECH:
        options = Options(speed=draw(st.none() | st.floats(0.25, 4)))
    return Query((Message("user", tuple(parts)),), options=options), modality


@given(queries(), rate_cards(), st.sampled_from([None, 512, 8192]), st.data())
def test_no_usage_within_the_worst_case_costs_more_than_the_hold(
    asked: tuple[Query, Modality], rates: RateCard, context: int | None, data: st.DataObject
) -> None:
    query, modality = asked
    spec = make_spec(modality=modality, rates=rates, context_tokens=context)
    most = pricing.worst_case(query, spec)
    used = Usage(**{name: data.draw(st.integers(0, getattr(most, name))) for name in FIGURES})
    hold = pricing.hold_for(query, spec)
    assert pricing.price(used, rates) <= hold
    assert pricing.price(used, rates, answered=False) <= hold
    assert (hold == 0) == rates.free


@given(st.builds(Usage, **{name: st.integers(0, 10**9) for name in FIGURES}), rate_cards())
def test_an_answer_is_never_without_a_price_unless_its_card_is_free(
    usage: Usage, rates: RateCard
) -> None:
    price = pricing.price(usage, rates)
    assert isinstance(price, int)
    assert (price == 0) == rates.free


@given(
    st.builds(Usage, **{name: st.integers(0, 10**9) for name in FIGURES}),
    rate_cards(),
    st.integers(0, 10**6),
)
def test_a_charge_is_never_above_its_hold(usage: Usage, rates: RateCard, hold: int) -> None:
    charge = pricing.charge_for(usage, rates, hold)
    assert charge.amount_micro == min(hold, pricing.price(usage, rates))
    assert charge.usage == usage


def test_the_price_is_the_sum_of_figures_times_rates() -> None:
    usage = Usage(input_tokens=10, output_tokens=20, compute_ms=999)
    assert pricing.price(usage, RATES) == 5 + 10 + 60


@pytest.mark.parametrize(
    ("usage", "rates", "price"),
    [
        (Usage(images=2), RateCard(image_micro=7), 14),
        (Usage(characters=12), RateCard(character_micro=3), 36),
        (Usage(pixel_steps=512 * 512 * 20), RateCard(megapixel_step_micro=1000), 5243),
        (Usage(audio_ms=1500), RateCard(audio_second_micro=3), 5),
        (Usage(compute_ms=1), RateCard(compute_second_micro=1), 1),
        (Usage(), RateCard(output_token_micro=1), 1),
        (Usage(), RateCard(query_micro=9), 9),
        (Usage(output_tokens=10**12), FREE, 0),
    ],
)
def test_every_figure_has_its_rate_and_parts_are_rounded_up(
    usage: Usage, rates: RateCard, price: int
) -> None:
    assert pricing.price(usage, rates) == price


def test_an_absurd_price_stays_a_number_that_everybody_can_hold() -> None:
    rates = RateCard(output_token_micro=2**53 - 1)
    assert pricing.price(Usage(output_tokens=1000), rates) == 2**53 - 1


def test_a_cancelled_query_pays_for_what_was_published_and_no_more() -> None:
    assert pricing.charge_for(Usage(), RATES, 100, answered=False).amount_micro == 0
    published = Usage(output_tokens=4)
    assert pricing.charge_for(published, RATES, 100, answered=False).amount_micro == 12


def test_the_worst_case_of_a_chat_is_its_bytes_and_its_limit_of_tokens() -> None:
    query = Query.ask("héllo", max_tokens=100)
    most = pricing.worst_case(query, make_spec())
    assert most.input_tokens == 6 + 2 * pricing.MESSAGE_TOKENS
    assert most.output_tokens == 100
    assert most.compute_ms == 600_000
    assert pricing.tokens_of(most) == most.input_tokens + 100


def test_the_limit_of_an_answer_is_the_querys_or_the_entrys_or_the_models() -> None:
    spec = make_spec(default_max_tokens=64, max_output_tokens=128)
    assert pricing.output_limit(Query.ask("hi", max_tokens=128), spec) == 128
    assert pricing.output_limit(Query.ask("hi"), spec) == 64
    preset = make_spec(defaults=Options(max_tokens=32))
    assert pricing.output_limit(Query.ask("hi"), preset) == 32
    low = make_spec(default_max_tokens=512, max_output_tokens=128)
    assert pricing.output_limit(Query.ask("hi"), low) == 128
    assert pricing.output_limit(Query.ask("hi"), make_spec(context_tokens=100)) == 100


def test_asking_for_more_tokens_than_the_model_gives_is_refused_with_the_limit() -> None:
    with pytest.raises(UnknownOption, match=r"at most 128: ask for fewer") as refused:
        pricing.hold_for(Query.ask("hi", max_tokens=129), make_spec(max_output_tokens=128))
    assert refused.value.details == {"limit": 128, "used": 129}


def test_a_prompt_that_cannot_fit_is_refused_and_one_that_might_is_not() -> None:
    spec = make_spec(context_tokens=100)
    fits = 99 * pricing.MAX_BYTES_PER_TOKEN
    assert pricing.worst_case(Query.ask("x" * fits), spec).input_tokens == 100
    with pytest.raises(TooLarge, match="shorten it"):
        pricing.worst_case(Query.ask("x" * (fits + 1)), spec)


def test_pictures_recordings_and_speech_have_a_worst_case() -> None:
    ask = Query.ask("a cat")
    drawn = pricing.worst_case(ask, make_spec(modality=Modality.IMAGE))
    assert (drawn.images, drawn.pixel_steps, drawn.output_tokens) == (1, 1024 * 1024 * 50, 0)
    small = Options(width=16, height=16, steps=1)
    preset = make_spec(modality=Modality.IMAGE, defaults=small)
    assert pricing.worst_case(ask, preset).pixel_steps == 256
    said = pricing.worst_case(ask, make_spec(modality=Modality.SPEECH))
    assert (said.characters, said.audio_ms) == (5, 5 * pricing.SPOKEN_CHARACTER_MS)
    heard = Query((Message("user", (Audio(BLOB),)),))
    listens = make_spec(modality=Modality.TRANSCRIPTION, max_audio_seconds=90)
    assert pricing.worst_case(heard, listens).audio_ms == 90_000


@pytest.mark.parametrize("modality", Modality)
def test_the_worst_case_has_the_figures_of_its_modality_and_no_others(modality: Modality) -> None:
    query = Query((Message("user", (Text("a"), Audio(BLOB))),))
    most = pricing.worst_case(query, make_spec(modality=modality))
    filled = {name for name in FIGURES if getattr(most, name)}
    assert filled == {*pricing.FIGURES[modality], "compute_ms", "rows"}


@pytest.mark.parametrize(
    ("modality", "query", "bounds", "told", "limit", "used"),
    [
        (
            Modality.IMAGE, Query.ask("a cat", width=512, height=513), {"max_pixels": 512 * 512},
            "512 × 513 are 262,656 pixels, and small draws 262,144 at most", 512 * 512, 512 * 513,
        ),
        (
            Modality.IMAGE, Query.ask("a cat", steps=31), {"max_steps": 30},
            "steps is 31, and small takes 30 at most", 30, 31,
        ),
        (
            Modality.SPEECH, Query.ask("eleven char"), {"max_characters": 10},
            "11 characters, and small speaks 10 at a time", 10, 11,
        ),
    ],
)  # fmt: skip
def test_what_is_beyond_a_bound_is_refused_with_the_figures(
    modality: Modality, query: Query, bounds: dict[str, int], told: str, limit: int, used: int
) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        pricing.hold_for(query, make_spec(modality=modality, **bounds))
    assert refused.value.details == {"limit": limit, "used": used}


def test_a_size_that_is_half_said_may_be_as_large_as_the_model_draws() -> None:
    spec = make_spec(modality=Modality.IMAGE, max_pixels=640 * 640, max_steps=10)
    assert pricing.worst_case(Query.ask("a cat", width=64), spec).pixel_steps == 640 * 640 * 10


@pytest.mark.parametrize("modality", Modality)
def test_a_card_must_price_something_that_its_modality_uses(modality: Modality) -> None:
    useful = set(pricing.rates_of(modality))
    for rate in RATE_NAMES:
        spec = make_spec(modality=modality, rates=RateCard(**{rate: 1}))
        if rate in useful:
            pricing.check_rates(spec)
        else:
            with pytest.raises(BadInput, match=f"prices nothing that {modality} uses"):
                pricing.check_rates(spec)
    pricing.check_rates(make_spec(modality=modality, rates=FREE))


@pytest.mark.parametrize("modality", Modality)
def test_every_rate_that_a_modality_uses_makes_its_hold_dearer(modality: Modality) -> None:
    query = Query((Message("user", (Text("words to price"), Audio(BLOB))),))
    for rate in pricing.rates_of(modality):
        low, high = (
            pricing.hold_for(query, make_spec(modality=modality, rates=RateCard(**{rate: micro})))
            for micro in (1000, 2000)
        )
        assert high > low


@given(queries(), st.floats(0, 10_000))
def test_the_estimate_for_the_fair_queue_is_a_cost_that_it_takes(
    asked: tuple[Query, Modality], learned: float
) -> None:
    query, modality = asked
    cost = pricing.cost_estimate(pricing.worst_case(query, make_spec(modality=modality)), learned)
    assert 1 <= cost < float("inf")


def test_the_estimate_follows_what_answers_have_been() -> None:
    most = pricing.worst_case(Query.ask("hello", max_tokens=100), make_spec())
    short, long = (pricing.cost_estimate(most, tokens) for tokens in (10, 50))
    assert long - short == 80
    assert pricing.cost_estimate(most, 5000) == pricing.cost_estimate(most, 100)


def test_service_counts_an_output_token_for_two() -> None:
    assert pricing.service(Usage(input_tokens=10, output_tokens=5)) == 20
    assert pricing.service(Usage()) == 1
    assert pricing.service(Usage(compute_ms=250)) == 250


@st.composite
def tables(draw: st.DrawFn) -> tuple[Query, Modality]:
    modality = draw(st.sampled_from([Modality.CHAT, Modality.EMBEDDING]))
    chats = modality is Modality.CHAT
    texts = draw(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=20))
    tokens = draw(st.none() | st.integers(1, 4096)) if chats else None
    before = draw(st.lists(st.text(max_size=60), max_size=3)) if chats else []
    turns = (*(Message("system", (Text(said),)) for said in before),)
    rows = tuple(TableRow(text, f"k{n}") for n, text in enumerate(texts))
    first = Message("user", (Text(texts[0]),))
    return Query((*turns, first), options=Options(max_tokens=tokens), rows=rows), modality


@given(tables(), rate_cards(), st.sampled_from([None, 32, 512]))
def test_the_worst_case_of_rows_is_that_of_each_alone_together(
    asked: tuple[Query, Modality], rates: RateCard, context: int | None
) -> None:
    query, modality = asked
    spec = make_spec(modality=modality, rates=rates, context_tokens=context)
    alone = [pricing.worst_case(query.of_row(row.text), spec) for row in query.rows]
    most = pricing.worst_case(query, spec)
    for name in (*pricing.FIGURES[modality], "rows"):
        assert getattr(most, name) == sum(getattr(one, name) for one in alone), name
    # They take turns: no more time than the query has.
    assert most.compute_ms == query.ttl_seconds * 1000
    hold = pricing.hold_for(query, spec)
    assert hold <= sum(pricing.hold_for(query.of_row(row.text), spec) for row in query.rows)
    assert (hold == 0) == rates.free


def test_each_answered_row_is_a_query_on_the_bill() -> None:
    rates = RateCard(query_micro=10, output_token_micro=1)
    assert pricing.price(Usage(output_tokens=3, rows=4), rates) == 43
    assert pricing.price(Usage(output_tokens=3), rates) == 13
    assert pricing.charge_for(Usage(output_tokens=3, rows=400), rates, 99).amount_micro == 99


def test_where_no_row_was_answered_nothing_is_charged() -> None:
    for rates in (RateCard(query_micro=10), RateCard(output_token_micro=2)):
        assert pricing.price(Usage(rows=0), rates) == 0
        assert pricing.price(Usage(), rates) > 0


def test_one_row_that_cannot_fit_is_told_for_all_of_them() -> None:
    spec = make_spec(context_tokens=100)
    words = ("hi", "x" * (99 * pricing.MAX_BYTES_PER_TOKEN + 1), "ho")
    rows = tuple(TableRow(text, f"k{n}") for n, text in enumerate(words))
    with pytest.raises(TooLarge, match="shorten it"):
        pricing.worst_case(Query((Message("user", (Text("hi"),)),), rows=rows), spec)


def test_as_many_and_as_long_rows_as_may_be_have_a_price_that_everybody_can_hold() -> None:
    rates = RateCard(query_micro=2**53 - 1, output_token_micro=2**53 - 1)
    rows = tuple(TableRow("x" * 900, f"k{n}") for n in range(256))
    spec = make_spec(rates=rates, max_output_tokens=10**9)
    asked = Query((Message("user", (Text("x" * 900),)),), options=Options(max_tokens=10**9))
    hold = pricing.hold_for(Query(asked.messages, options=asked.options, rows=rows), spec)
    assert hold == 2**53 - 1


def test_the_estimate_of_rows_is_that_of_each_together() -> None:
    one = Query.ask("word " * 20, max_tokens=100)
    rows = tuple(TableRow("word " * 20, f"k{n}") for n in range(8))
    many = Query(one.messages, options=one.options, rows=rows)
    single, together = (
        pricing.cost_estimate(pricing.worst_case(query, make_spec()), 10) for query in (one, many)
    )
    assert together == 8 * single
