"""Numbers, the ring of kept messages, replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from confide.gateway import delivery
from confide.gateway.delivery import Deliveries, Private, room_of
from confide.identity.levels import Level


class Wire:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.sent: list[tuple[str, Any, str]] = []

    def clock(self) -> float:
        return self.now

    async def emit(self, event: str, payload: Any, room: str) -> None:
        self.sent.append((event, payload, room))

    def to(self, room: str) -> list[str]:
        return [payload["text"] for event, payload, where in self.sent if where == room and event == "bot_uttered"]


async def join() -> None:
    return None


async def say(deliveries: Deliveries, *texts: str, conversation: str = "c") -> None:
    for text in texts:
        await deliveries.say(conversation, {"text": text})


async def test_numbers_rise_by_one_and_a_payload_cannot_choose_its_own() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await deliveries.say("c", {"text": "a", "seq": 1})
    await deliveries.say("c", {"text": "b"})
    first, second = (payload["seq"] for _, payload, _ in wire.sent)
    assert (first, second) == (1_700_000_000_001, 1_700_000_000_002)


async def test_numbers_go_on_rising_after_a_restart() -> None:
    wire = Wire()
    await say(Deliveries(wire.emit, wire.clock), *"abcdef")
    wire.now += 1
    await say(Deliveries(wire.emit, wire.clock), "g")
    numbers = [payload["seq"] for _, payload, _ in wire.sent]
    assert numbers == sorted(set(numbers))


async def test_a_socket_that_comes_back_gets_what_it_missed() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await say(deliveries, "a", "b", "c")
    seen = wire.sent[0][1]["seq"]
    await deliveries.replay("c", seen, "socket", join)
    assert wire.to("socket") == ["b", "c"]
    await deliveries.replay("c", None, "stock widget", join)
    assert wire.to("stock widget") == []
    assert wire.to(room_of("c")) == ["a", "b", "c"]


async def test_what_is_kept_is_bounded_in_number_bytes_and_time() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await say(deliveries, *(str(n) for n in range(150)))
    await deliveries.replay("c", 0, "s1", join)
    assert wire.to("s1") == [str(n) for n in range(50, 150)]
    await say(deliveries, *(["x" * 150_000] * 3))
    await deliveries.replay("c", 0, "s2", join)
    assert len(wire.to("s2")) == 2
    wire.now += delivery.KEPT_FOR
    await deliveries.replay("c", 0, "s3", join)
    assert wire.to("s3") == []
    assert deliveries._total == 0


async def test_all_conversations_together_are_bounded() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock, max_total=10_000)
    for n in range(20):
        await say(deliveries, "x" * 1_000, conversation=f"c{n}")
    assert deliveries._total <= 10_000
    await deliveries.replay("c0", 0, "old", join)
    await deliveries.replay("c19", 0, "new", join)
    assert (len(wire.to("old")), len(wire.to("new"))) == (0, 1)


async def test_a_closed_or_expired_card_is_not_kept() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    for ref in ("one", "two"):
        await deliveries.say("c", {"text": ref, "type": "qr", "ref": ref, "key": "secret", "expires_at": wire.now + 300})
    await deliveries.close_card("c", "one", "accepted")
    assert wire.sent[-1] == ("card_update", {"ref": "one", "state": "accepted"}, room_of("c"))
    await deliveries.replay("c", 0, "s1", join)
    assert wire.to("s1") == ["two"]
    wire.now += 300
    await deliveries.replay("c", 0, "s2", join)
    assert wire.to("s2") == []


async def test_ids_are_remembered_per_conversation_and_bounded() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    deliveries.remember("c", "first")
    assert deliveries.is_known("c", "first")
    assert not deliveries.is_known("d", "first")
    for n in range(delivery.MAX_IDS):
        deliveries.remember("c", str(n))
    assert not deliveries.is_known("c", "first")
    deliveries.forget("c")
    assert not deliveries.is_known("c", "1")


IDENTIFIED, VERIFIED, ANONYMOUS = Level.IDENTIFIED, Level.VERIFIED, Level.ANONYMOUS


@pytest.mark.parametrize(("said_at", "now", "shown"), [
    (IDENTIFIED, IDENTIFIED, ["You have €5.", "card"]), (IDENTIFIED, VERIFIED, ["You have €5.", "card"]),
    (IDENTIFIED, ANONYMOUS, ["You have •••."]), (VERIFIED, IDENTIFIED, ["You have •••."]), (IDENTIFIED, None, ["You have •••."]),
    (None, VERIFIED, ["You have •••."]), (ANONYMOUS, ANONYMOUS, ["You have €5.", "card"]), (ANONYMOUS, None, ["You have •••."]),
])
async def test_what_is_private_is_shown_again_to_a_session_that_is_sure_enough(
    said_at: Level | None, now: Level | None, shown: list[str]
) -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await say(deliveries, "hello")
    await deliveries.say("c", Private({"text": "You have €5."}, said_at, {"text": "You have •••."}))
    await deliveries.say("c", Private({"text": "card", "type": "confirm", "ref": "one"}, said_at))
    assert wire.to(room_of("c")) == ["hello", "You have €5.", "card"]
    await deliveries.replay("c", 0, "socket", join, now)
    assert wire.to("socket") == ["hello", *shown]
    numbers = [payload["seq"] for _, payload, room in wire.sent if room == "socket"]
    assert numbers == [wire.sent[0][1]["seq"] + n for n in range(len(numbers))]


async def test_a_private_card_that_is_closed_is_not_kept() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await deliveries.say("c", Private({"text": "card", "ref": "one", "expires_at": wire.now + 9_000}, IDENTIFIED))
    await deliveries.close_card("c", "one", "accepted")
    await deliveries.replay("c", 0, "socket", join, VERIFIED)
    assert wire.to("socket") == []
    assert deliveries._total == 0


async def test_a_private_card_that_has_expired_is_not_shown_again() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await deliveries.say("c", Private({"text": "card", "ref": "one", "expires_at": wire.now + 300}, IDENTIFIED))
    wire.now += 300
    await deliveries.replay("c", 0, "socket", join, VERIFIED)
    assert wire.to("socket") == []


def test_nothing_private_is_in_a_repr() -> None:
    private = Private({"text": "You have €5."}, IDENTIFIED, {"text": "•••"})
    assert "€5" not in repr(private) + repr(delivery._Kept(1, private, 1, 0.0))


async def test_what_is_over_goes_by_itself_and_a_conversation_in_use_stays() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await say(deliveries, "You have €5.")
    deliveries.remember("c", "m1")
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError
        wire.now += delivery.KEPT_FOR
        await say(deliveries, "now", conversation="in use")

    with pytest.raises(asyncio.CancelledError):
        await deliveries.keep_sweeping(sleep)
    assert slept == [delivery.SWEEP_EVERY] * 3
    assert list(deliveries._streams) == ["in use"]


async def test_an_expired_message_goes_before_its_conversation_does() -> None:
    wire = Wire()
    deliveries = Deliveries(wire.emit, wire.clock)
    await say(deliveries, "You have €5.")
    deliveries.remember("c", "m1")
    wire.now += delivery.KEPT_FOR
    deliveries.sweep()
    assert deliveries._total == 0
    assert not deliveries._streams["c"].kept
    assert deliveries.is_known("c", "m1"), "a resent message must not be run again"


async def test_what_waited_while_its_conversation_was_forgotten_leaves_nothing_behind() -> None:
    wire, gate = Wire(), asyncio.Event()

    async def emit(_event: str, _payload: Any, _room: str) -> None:
        await gate.wait()

    deliveries = Deliveries(emit, wire.clock)
    waiting = [asyncio.create_task(say(deliveries, text)) for text in ("a", "b")]
    await asyncio.sleep(0)
    deliveries.forget("c")
    gate.set()
    await asyncio.gather(*waiting)
    assert deliveries._total == 0
    assert not deliveries._streams
