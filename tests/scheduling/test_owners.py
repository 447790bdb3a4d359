"""Who owns a lane: one of those who live, fairly, and with few moves."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mtor_kernel.scheduling.owners import owner

GATEWAYS = st.sets(st.integers(1, 10_000), min_size=2, max_size=6)
LANES = [f"model-{n}" for n in range(200)]


@given(GATEWAYS)
def test_when_one_goes_only_its_lanes_move(gateways: set[int]) -> None:
    gone = min(gateways)
    for lane in LANES:
        before = owner(lane, gateways)
        if before != gone:
            assert owner(lane, gateways - {gone}) == before


@given(GATEWAYS)
def test_everybody_finds_the_same_owner(gateways: set[int]) -> None:
    for lane in LANES[:20]:
        found = owner(lane, sorted(gateways))
        assert found in gateways
        assert found == owner(lane, sorted(gateways, reverse=True))


def test_lanes_are_divided_about_equally() -> None:
    shares = Counter(owner(lane, (3, 4, 9)) for lane in LANES)
    assert min(shares.values()) > len(LANES) / 6
