"""Limits: by session, address and overall, with a clock of the test's own."""

from __future__ import annotations

import pytest

from confide.gateway.limits import DEFAULT_RATES, Kind, Limits, MemoryCounters, Rates, network_of


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_may_do_so_much_and_again_after_the_window() -> None:
    clock = Clock()
    limits = Limits(clock, {Kind.MESSAGE: Rates("2/10 seconds;3/minute")})
    assert [limits.allow(Kind.MESSAGE, session="a") for _ in range(3)] == [True, True, False]
    assert limits.allow(Kind.MESSAGE, session="b")
    clock.now += 10
    assert [limits.allow(Kind.MESSAGE, session="a") for _ in range(2)] == [True, False]
    clock.now += 60
    assert limits.allow(Kind.MESSAGE, session="a")


def test_many_sessions_of_one_address_share_its_bound() -> None:
    limits = Limits(Clock(), {Kind.CARD: Rates("9/minute", "3/minute")})
    assert [limits.allow(Kind.CARD, session=str(n), address="192.0.2.1") for n in range(4)] == [True, True, True, False]
    assert limits.allow(Kind.CARD, session="x", address="192.0.2.2")


def test_everybody_together_is_bounded() -> None:
    limits = Limits(Clock(), {Kind.CONNECT: Rates(overall="2/minute")})
    assert [limits.allow(Kind.CONNECT, address=f"192.0.2.{n}") for n in range(3)] == [True, True, False]


def test_a_flood_of_one_session_does_not_use_up_what_is_for_all() -> None:
    limits = Limits(Clock(), {Kind.MESSAGE: Rates("1/minute", "", "2/minute")})
    for _ in range(50):
        limits.allow(Kind.MESSAGE, session="flood")
    assert limits.allow(Kind.MESSAGE, session="customer")


def test_kinds_are_counted_apart() -> None:
    limits = Limits(Clock(), {Kind.MESSAGE: Rates("1/minute"), Kind.CARD: Rates("1/minute")})
    assert limits.allow(Kind.MESSAGE, session="a")
    assert limits.allow(Kind.CARD, session="a")
    assert not limits.allow(Kind.CARD, session="a")


def test_every_kind_has_a_bound_for_all() -> None:
    assert all(DEFAULT_RATES[kind].overall for kind in Kind)


def test_memory_is_bounded_and_what_is_in_use_stays() -> None:
    counters = MemoryCounters(Clock(), capacity=10)
    counters.incr("everybody", 60)
    for n in range(100):
        counters.incr(f"address {n}", 60)
        counters.incr("everybody", 60)
    assert counters.get("everybody") == 101
    assert counters.reset() == 10


def test_the_store_keeps_its_contract() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    assert counters.incr("a", 5, amount=3) == 3
    assert counters.get_expiry("a") == 1_005.0
    clock.now += 5
    assert counters.get("a") == 0
    counters.incr("a", 5)
    counters.clear("a")
    assert counters.get("a") == 0
    assert counters.check()


@pytest.mark.parametrize(("address", "network"), [
    ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
    ("::ffff:192.0.2.7", "192.0.2.7"), ("", "unknown"), ("not an address", "unknown"),
])
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
