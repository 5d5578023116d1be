"""Lanes: in order, one at a time, bounded, and gone when empty."""

from __future__ import annotations

import asyncio

import pytest

from confide.rasa.lock import MAX_WAITING, FifoLockStore, LaneFull


async def _turns(store: FifoLockStore, order: list[int], release: asyncio.Event, count: int) -> list[asyncio.Task[None]]:
    async def turn(number: int) -> None:
        async with store.lock("talk"):
            order.append(number)
            if number == 0:
                await release.wait()

    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(turn(number)))
        await asyncio.sleep(0)  # each has asked for the lane before the next
    return tasks


async def test_turns_of_a_conversation_run_one_at_a_time_in_order() -> None:
    store, release = FifoLockStore(), asyncio.Event()
    order: list[int] = []
    tasks = await _turns(store, order, release, 5)
    assert order == [0]
    release.set()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_the_queue_is_bounded_and_others_are_not_held_up() -> None:
    store, release = FifoLockStore(), asyncio.Event()
    order: list[int] = []
    tasks = await _turns(store, order, release, 1 + MAX_WAITING)
    with pytest.raises(LaneFull):
        async with asyncio.timeout(5), store.lock("talk"):
            raise AssertionError("must not be let in")
    async with store.lock("another talk"):
        assert order == [0]
    release.set()
    await asyncio.gather(*tasks)
    async with store.lock("talk"):
        assert len(order) == 1 + MAX_WAITING


async def test_a_turn_that_fails_or_is_cancelled_leaves_the_lane_free() -> None:
    store, release = FifoLockStore(), asyncio.Event()
    order: list[int] = []
    with pytest.raises(ValueError, match="turn"):
        async with store.lock("talk"):
            raise ValueError("turn")
    first, second = await _turns(store, order, release, 2)
    second.cancel()
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with asyncio.timeout(5), store.lock("talk"):
        assert order == [0]


async def test_an_empty_lane_is_forgotten() -> None:
    store = FifoLockStore()
    async with store.lock("talk"):
        assert store._lanes
    assert store._lanes == {}
