"""Each part away in turn: within five seconds the customer hears something true, nothing is half done, and the talk goes on afterwards.

These tests stop and start parts of an installation of their own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from confide.gateway import sentences as said
from tests.integration.chat import Chat, card_of, texts
from tests.integration.faults import locked, paused, signal_inside, wait_until_quiet, writer
from tests.integration.stack import Stack, running

pytestmark = pytest.mark.integration

#: Seconds within which a customer hears something, from when the message was acknowledged (issue: 5 s).
SOON = 5.0
#: Seconds a turn has (docs/protocol.md section 8).
DEADLINE = 10.0
#: How the customer is told that it happened, and that it did not: by Rasa, by the gateway, by the core after a restart.
HAPPENED = ("on its way", "it's done", "was done, once")
NOT_HAPPENED = ("nothing was sent", "did not go through", "has not been done yet", "nothing was done")


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, trained_model: Path) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("fragile"), trained_model) as stack:
        yield stack


@pytest.fixture
async def ada(fragile: Stack) -> AsyncIterator[Chat]:
    rest(fragile)
    async with fragile.chat() as chat:
        yield await chat.sign_in("1001", fragile.people()["1001"].password)


def balance(stack: Stack) -> int:
    with closing(sqlite3.connect(f"file:{stack.var}/core/confide.sqlite?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT balance_minor FROM bank_accounts WHERE id = '1001-1'").fetchone()[0])


def effects(stack: Stack) -> int:
    with closing(sqlite3.connect(f"file:{stack.var}/core/confide.sqlite?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM bank_transactions WHERE counterparty = 'Maria Huber'").fetchone()[0])


async def pay(chat: Chat) -> dict[str, Any]:
    await chat.say("send 250 to Maria Huber")
    return card_of(await chat.say("rent november"), "confirm")


async def soon(chat: Chat, text: str) -> str:
    """Say something; return what is first heard, which must be soon."""
    before = len(chat.heard)
    await chat.sio.call("user_uttered", {"message": text, "session_id": chat.session_id}, timeout=10)
    acknowledged = time.monotonic()
    while len(chat.heard) == before:
        assert time.monotonic() - acknowledged < SOON, "silence"
        await chat.sio.sleep(0.02)
    return str(chat.heard[before].get("text"))


def rest(stack: Stack) -> None:
    """Fill the account and rest the authenticator, so that the code of now can be used."""
    with closing(sqlite3.connect(stack.var / "core/confide.sqlite", timeout=10)) as connection, connection:
        connection.execute("UPDATE totp_factors SET last_step = 0, failures = 0, blocked_until = 0")
        connection.execute("UPDATE bank_accounts SET balance_minor = 120433 WHERE id = '1001-1'")


async def accept(stack: Stack, chat: Chat, card: dict[str, Any]) -> None:
    """Send the right code."""
    assert (await chat.card(card["ref"], stack.phone().now()))["outcome"] == "accepted"


def is_told(messages: list[dict[str, Any]]) -> tuple[bool, bool]:
    """Say whether the customer was told that it happened, and whether that it did not."""
    told = texts(messages).casefold()
    return any(words in told for words in HAPPENED), any(words in told for words in NOT_HAPPENED)


async def the_truth_is_told(stack: Stack, chat: Chat, before: int, count: int) -> bool:
    """Wait until the customer is told how it ended; it must be so, at most once, and never both. Returns whether it happened."""
    end = time.monotonic() + 60
    while not any(is_told(chat.heard[before:])):
        assert time.monotonic() < end, texts(chat.heard[before:])
        await chat.sio.sleep(0.05)
    await chat.answer(before)
    done = effects(stack) - count
    assert done in (0, 1)
    assert is_told(chat.heard[before:]) == (bool(done), not done), texts(chat.heard[before:])
    assert balance(stack) == 1_204_33 - 250_00 * done
    return bool(done)


async def it_is_done_once_in_the_end(stack: Stack, chat: Chat, count: int, done: bool) -> None:
    """"Try again" does what was not done, and does nothing twice."""
    answer = texts(await chat.say("try again", within=30))
    assert done or "on its way" in answer, answer
    assert effects(stack) == count + 1 and balance(stack) == 954_33


async def test_actions_down(fragile: Stack, ada: Chat) -> None:
    fragile.stop("actions", number=signal.SIGKILL)
    assert await soon(ada, "what's my balance") == said.UNKNOWN
    assert "computer program" in await soon(ada, "hi"), "harmless talk goes on"
    fragile.start("actions")
    assert "nothing was sent" in (await ada.until("can reach our system again"))["text"]
    assert "€1,204.33" in texts(await ada.say("what's my balance"))


async def test_rasa_down(fragile: Stack, ada: Chat) -> None:
    fragile.stop("rasa", number=signal.SIGKILL)
    assert await soon(ada, "what's my balance") == said.NOTHING_DONE
    fragile.start("rasa")
    assert "€1,204.33" in texts(await ada.say("what's my balance"))


async def test_rasa_down_between_the_code_and_the_effect(fragile: Stack, ada: Chat) -> None:
    card = await pay(ada)
    fragile.stop("rasa", number=signal.SIGKILL)
    before = len(ada.heard)
    assert (await ada.card(card["ref"], fragile.phone().now()))["outcome"] == "accepted"
    assert texts(await ada.answer(before)) == said.NOTHING_DONE
    assert balance(fragile) == 1_204_33
    fragile.start("rasa")
    assert "on its way" in texts(await ada.say("try again")), "the proof still stands, for exactly this payment"
    assert balance(fragile) == 954_33 and (await ada.card(card["ref"], "000000"))["outcome"] == "closed"


async def test_database_locked(fragile: Stack, ada: Chat) -> None:
    with locked(fragile.var / "core/confide.sqlite"):
        assert await soon(ada, "what's my balance") in (said.UNKNOWN, said.STILL_WORKING)
        await ada.until(said.UNKNOWN, within=15)
    await ada.until("can reach our system again")
    assert "€1,204.33" in texts(await ada.say("what's my balance"))


async def test_key_store_away(fragile: Stack, ada: Chat) -> None:
    card = await pay(ada)
    keystore = fragile.var / "core-keys/keystore.sqlite"
    fragile.stop("actions")
    keystore.rename(keystore.with_suffix(".away"))
    keystore.mkdir()
    try:
        fragile.start_unready("actions")
        status, answer = await ada.post("/chat/card", {"ref": card["ref"], "act": "submit", "value": fragile.phone().now()})
        assert status == 503 and "outcome" not in answer
        assert balance(fragile) == 1_204_33
        assert "computer program" in await soon(ada, "hi")
    finally:
        fragile.stop("actions")
        keystore.rmdir()
        keystore.with_suffix(".away").rename(keystore)
        fragile.start("actions")
    before = len(ada.heard)
    assert (await ada.card(card["ref"], fragile.phone().now()))["outcome"] == "accepted"
    assert "on its way" in texts(await ada.answer(before))


async def test_tracker_store_away_is_seen_and_not_hidden_in_memory(fragile: Stack, ada: Chat) -> None:
    await ada.say("hi")
    with locked(fragile.var / "rasa/tracker.sqlite"):
        first = await soon(ada, "what's my balance")
        assert first in (said.STILL_WORKING, said.NOTHING_DONE), first
        await ada.until(said.NOTHING_DONE, within=15)
        assert "€" not in texts(ada.heard[-2:])
    assert "€1,204.33" in texts(await ada.say("what's my balance", within=30))


async def test_a_commit_that_comes_too_late_is_not_made(fragile: Stack, ada: Chat) -> None:
    card = await pay(ada)
    before, count = len(ada.heard), effects(fragile)
    with paused(fragile, "rasa"):
        assert (await ada.card(card["ref"], fragile.phone().now()))["outcome"] == "accepted"
        await ada.until(said.STILL_WORKING, within=SOON)
        await ada.until(said.NOTHING_DONE, within=15)
    await ada.say("hi", within=30)  # behind the frozen turn, which thaws and tries to pay now
    assert balance(fragile) == 1_204_33 and effects(fragile) == count
    assert "on its way" not in texts(ada.heard[before:])
    assert "on its way" in texts(await ada.say("try again"))
    assert effects(fragile) == count + 1


async def hit_in_the_effect(stack: Stack, chat: Chat, victim: str, number: signal.Signals) -> tuple[int, int]:
    """Begin payments until `victim` gets the signal while the actions are in the transaction; return what was heard and paid before."""
    database, actions, hit = stack.var / "core/confide.sqlite", stack.processes["actions"].pid, stack.processes[victim].pid
    for _ in range(8):
        rest(stack)
        card, before, count = await pay(chat), len(chat.heard), effects(stack)
        with paused(stack, "rasa"):
            await accept(stack, chat, card)
            await asyncio.to_thread(wait_until_quiet, database)
        seen = await asyncio.to_thread(signal_inside, database, actions, hit, number)
        if seen and (number == signal.SIGKILL or writer(database) == actions):
            return before, count
        if seen:
            os.kill(hit, signal.SIGCONT)  # it was through before it froze
        assert "on its way" in texts(await chat.answer(before))
    pytest.fail("the actions were never caught in the effect")


async def test_actions_frozen_in_the_effect_and_thawed(fragile: Stack, ada: Chat) -> None:
    actions = fragile.processes["actions"].pid
    before, count = await hit_in_the_effect(fragile, ada, "actions", signal.SIGSTOP)
    frozen = time.monotonic()
    try:
        while len(ada.heard) == before:
            assert time.monotonic() - frozen < SOON, "silence"
            await ada.sio.sleep(0.02)
        while time.monotonic() - frozen < DEADLINE + 1:
            await ada.sio.sleep(0.1)
        assert effects(fragile) == count and is_told(ada.heard[before:]) == (False, False), "nobody can know yet"
    finally:
        os.kill(actions, signal.SIGCONT)
    done = await the_truth_is_told(fragile, ada, before, count)
    await it_is_done_once_in_the_end(fragile, ada, count, done)


@pytest.mark.parametrize("moment", ["asked", "inside", "done"])
@pytest.mark.parametrize("victim", ["actions", "rasa", "gateway"])
async def test_killed_at_any_moment_the_money_moves_once_or_not_at_all_and_the_customer_hears_which(
    fragile: Stack, ada: Chat, victim: str, moment: str
) -> None:
    """`asked`: Rasa has not begun. `inside`: the actions are in the effect's transaction. `done`: it is committed, and perhaps not told."""
    if moment == "inside":
        before, count = await hit_in_the_effect(fragile, ada, victim, signal.SIGKILL)
    else:
        card, before, count = await pay(ada), len(ada.heard), effects(fragile)
        with paused(fragile, "rasa"):
            await accept(fragile, ada, card)
            if moment == "asked":
                fragile.stop(victim, number=signal.SIGKILL)
        end = time.monotonic() + DEADLINE
        while moment == "done" and effects(fragile) == count:
            assert time.monotonic() < end, "nothing was paid"
            await ada.sio.sleep(0)
    fragile.stop(victim, number=signal.SIGKILL)
    await asyncio.to_thread(fragile.start, victim)
    if victim == "gateway":
        await ada.reconnect()
    done = await the_truth_is_told(fragile, ada, before, count)
    assert done or moment != "done"
    await it_is_done_once_in_the_end(fragile, ada, count, done)


async def test_the_gateway_restarts_and_the_talk_goes_on(fragile: Stack, ada: Chat) -> None:
    session = ada.session_id
    fragile.stop("gateway")
    fragile.start("gateway")
    ada.heard.clear()
    await ada.reconnect()
    assert ada.session_id == session
    assert "€" in texts(await ada.say("what's my balance"))
