"""Numbers, the ring of kept messages, replay."""

from __future__ import annotations

from typing import Any

from confide.gateway import delivery
from confide.gateway.delivery import Deliveries, room_of


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
