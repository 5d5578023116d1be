"""Seconds a turn, ours and stock in turns: one message here, the same message there, so that whatever else the machine does hits both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.talk import BALANCE, HI, PAY, REFERENCE, Line, Side, Talk

OURS, STOCK = "ours", "stock"
#: Turns of one kind in one talk: as long as a chat with a bank is, and within what the gateway lets one session say.
TURNS_A_TALK = 10


@dataclass(frozen=True)
class Pair:
    """The same conversation on both sides."""

    ours: Talk
    stock: Talk

    @classmethod
    async def open(cls, ours: Side, stock: Side, *, signed_in: bool) -> Pair:
        return cls(await ours.open(signed_in=signed_in), await stock.open(signed_in=signed_in))

    async def fill(self, turns: int) -> None:
        await self.ours.fill(turns)
        await self.stock.fill(turns)

    async def close(self) -> None:
        await self.ours.close()
        await self.stock.close()


@dataclass
class Samples:
    """What was measured of one kind of turn, in seconds."""

    kind: str
    ours: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)

    async def add(self, pair: Pair, line: Line) -> None:
        """Measure one turn on each side; who begins changes each time."""
        if len(self.ours) % 2:
            self.stock.append(await pair.stock.say(line))
            self.ours.append(await pair.ours.say(line))
        else:
            self.ours.append(await pair.ours.say(line))
            self.stock.append(await pair.stock.say(line))


@dataclass(frozen=True)
class Scenario:
    """Turns that belong together, each a kind of its own."""

    lines: dict[str, Line]
    signed_in: bool = True


SCENARIOS = (
    Scenario({"utter (\"hi\", not signed in)": HI}, signed_in=False),
    Scenario({"action (balance)": BALANCE}),
    Scenario({"form asks (payment: payee, amount)": PAY, "form ends (reference, then the confirmation)": REFERENCE}),
)


async def measure(ours: Side, stock: Side, rounds: int) -> list[Samples]:
    """Return `rounds` samples of each kind; a form of two turns is filled half as often. Raises WrongAnswer."""
    talks = -(-rounds // TURNS_A_TALK)
    pairs = {signed_in: [await _warm(await Pair.open(ours, stock, signed_in=signed_in)) for _ in range(talks)] for signed_in in (False, True)}
    measured = [
        samples for scenario in SCENARIOS
        for samples in await _scenario(scenario, pairs[scenario.signed_in], rounds // len(scenario.lines))
    ]
    for pair in (*pairs[False], *pairs[True]):
        await pair.close()
    return measured


async def _scenario(scenario: Scenario, pairs: Sequence[Pair], times: int) -> list[Samples]:
    measured = {kind: Samples(kind) for kind in scenario.lines}
    for time in range(times):
        for kind, line in scenario.lines.items():
            await measured[kind].add(pairs[time % len(pairs)], line)  # round robin: no session says more than it may
    return list(measured.values())


async def _warm(pair: Pair) -> Pair:
    """Let caches, connections and the session's first turn happen before anything is measured."""
    await pair.ours.say(HI)
    await pair.stock.say(HI)
    return pair


async def measure_growth(ours: Side, stock: Side, positions: Sequence[int], talks: int) -> list[Samples]:
    """Return samples of small talk and of an action around each position of the same conversation; the first turn is number 1."""
    measured = {(line, at): Samples(f"{line.text} ({_turns(at)})") for line in (HI, BALANCE) for at in positions}
    for _talk in range(talks):
        pair, done = await Pair.open(ours, stock, signed_in=True), 0
        for at in positions:
            await pair.fill(at - 1 - done)
            for turn in range(TURNS_A_TALK):
                line = HI if turn % 2 == 0 else BALANCE
                await measured[line, at].add(pair, line)
            done = at - 1 + TURNS_A_TALK
        await pair.close()
    return list(measured.values())


def _turns(at: int) -> str:
    return f"turns {at} to {at + TURNS_A_TALK - 1}"
