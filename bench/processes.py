"""Start-up time and memory of both sides."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]  # psutil has no types

from bench.talk import HI, Side


async def first_answer(side: Side) -> float:
    """Start a stopped side and return the seconds from its first process to its first answered message."""
    started = time.perf_counter()
    side.start()
    talk = await side.open(signed_in=False)
    await talk.say(HI)
    seconds = time.perf_counter() - started
    await talk.close()
    return seconds


async def start_times(ours: Side, stock: Side, rounds: int) -> tuple[list[float], list[float]]:
    """Return `rounds` start-up times of each, one side at a time in turns. Both run at the end."""
    times: tuple[list[float], list[float]] = [], []
    for round_ in range(rounds):
        for side, seconds in zip((ours, stock), times, strict=True):
            seconds.append(await first_answer(side))
            if round_ < rounds - 1:
                side.stop()
    return times


@dataclass(frozen=True)
class Memory:
    """Bytes of a process and its children. `pss` shares out what several processes map; `uss` is what would come free without it."""

    rss: int
    pss: int
    uss: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        process = psutil.Process(pid)
        every = [each.memory_full_info() for each in (process, *process.children(recursive=True))]
        return cls(sum(each.rss for each in every), sum(each.pss for each in every), sum(each.uss for each in every))


def memory(processes: Mapping[str, int]) -> dict[str, Memory]:
    """Return the memory of each process."""
    return {name: Memory.of(pid) for name, pid in processes.items()}
