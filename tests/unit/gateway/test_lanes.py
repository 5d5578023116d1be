"""Lanes: one after the other, bounded, and on their feet after a failure."""

from __future__ import annotations

import asyncio

import pytest

from confide.gateway.errors import Code, Refusal
from confide.gateway.lanes import Lanes


async def drain() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_jobs_of_a_conversation_run_in_order_and_one_at_a_time() -> None:
    lanes, log, gate = Lanes(), list[str](), asyncio.Event()

    def job(name: str) -> None:
        async def run() -> None:
            log.append(f"{name} begins")
            await gate.wait()
            log.append(f"{name} ends")

        lanes.submit("a", run)

    job("1")
    job("2")
    await drain()
    assert log == ["1 begins"]
    gate.set()
    await drain()
    assert log == ["1 begins", "1 ends", "2 begins", "2 ends"]


async def test_the_ninth_that_waits_is_refused_and_other_conversations_go_on() -> None:
    lanes, gate, done = Lanes(), asyncio.Event(), list[int]()

    async def block() -> None:
        await gate.wait()

    lanes.submit("a", block)
    for _ in range(8):
        lanes.submit("a", block)
    with pytest.raises(Refusal) as refused:
        lanes.submit("a", block)
    assert refused.value.code is Code.BUSY

    async def other() -> None:
        done.append(1)

    lanes.submit("b", other)
    await drain()
    assert done == [1]
    await lanes.close()


async def test_a_failing_job_does_not_stop_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    lanes, done = Lanes(), list[int]()

    async def fail() -> None:
        raise ValueError("my secret message")

    async def good() -> None:
        done.append(1)

    lanes.submit("a", fail)
    lanes.submit("a", good)
    await drain()
    assert done == [1]
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_an_idle_lane_is_forgotten() -> None:
    lanes = Lanes()

    async def nothing() -> None:
        return None

    for _ in range(3):
        lanes.submit("a", nothing)
        await drain()
    assert not lanes._lanes


async def test_close_stops_what_runs() -> None:
    lanes, stopped = Lanes(), list[int]()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(1)

    lanes.submit("a", forever)
    await drain()
    await lanes.close()
    assert stopped == [1]
