"""Long runs: full counts of races and kills. `make soak`; the outcome of the committed run is in bench/results/soak.md."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from confide.storage.database import DatabaseAway
from tests.integration.chat import Chat, card_of, texts
from tests.integration.stack import Stack, running
from tests.unit.kit import Customer, Kit

pytestmark = pytest.mark.soak

KILLS, RACERS = 40, 64


def test_of_64_that_type_one_code_at_once_one_is_accepted(kit: Kit) -> None:
    racers: list[tuple[Customer, str]] = []
    for _ in range(RACERS):
        customer = kit.customer().sign_in()
        card = customer.pay("1").card
        assert card is not None
        racers.append((customer, card.ref))
    code, barrier = racers[0][0].code(), threading.Barrier(RACERS)
    outcomes: list[str] = []

    def run(customer: Customer, ref: str) -> None:
        barrier.wait()
        for _ in range(20):  # a full database is told as such, and tried again
            try:
                outcomes.append(customer.type(ref, code).outcome)
                return
            except DatabaseAway:
                time.sleep(random.random() / 5)

    threads = [threading.Thread(target=run, args=racer) for racer in racers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == RACERS and outcomes.count("accepted") == 1
    assert set(outcomes) <= {"accepted", "refused", "wait"}


async def test_killed_at_random_the_money_moves_once_or_not_at_all(tmp_path: Path, trained_model: Path) -> None:
    rng, moved, told_done = random.Random(20261123), 0, 0
    with running(tmp_path, trained_model) as stack:
        async with stack.chat() as chat:
            await chat.sign_in("1001", stack.people()["1001"].password)
            for round_ in range(KILLS):
                refresh(stack)
                done, told = await one_payment(stack, chat, rng.uniform(0, 0.15), rng.choice(["actions", "rasa"]))
                moved, told_done = moved + done, told_done + told
                assert moved == told_done, f"round {round_}: {moved} moved, {told_done} told"
    assert 0 < moved <= KILLS


async def one_payment(stack: Stack, chat: Chat, delay: float, victim: str) -> tuple[int, int]:
    """Prove a payment, kill a process `delay` seconds later; return how often it moved and how often that was told."""
    await chat.say("cancel")
    await chat.say("send 1 to Maria Huber")
    card, count, before = card_of(await chat.say("soak"), "confirm"), payments(stack), len(chat.heard)
    assert (await chat.card(card["ref"], stack.phone().now()))["outcome"] == "accepted"
    await chat.sio.sleep(delay)
    stack.stop(victim, number=signal.SIGKILL)
    stack.start(victim)
    end = time.monotonic() + 60
    while not any(word in (told := texts(chat.heard[before:])) for word in ("on its way", "it's done", "did not go through", "Nothing was sent")):
        assert time.monotonic() < end, told
        await chat.sio.sleep(0.05)
    return payments(stack) - count, int("on its way" in told or "it's done" in told)


def refresh(stack: Stack) -> None:
    with closing(sqlite3.connect(stack.var / "core/confide.sqlite", timeout=10)) as connection, connection:
        connection.execute("UPDATE totp_factors SET last_step = 0, failures = 0, blocked_until = 0")
        connection.execute("UPDATE sessions SET seen_at = ? WHERE ended_at IS NULL", (time.time(),))


def payments(stack: Stack) -> int:
    with closing(sqlite3.connect(f"file:{stack.var}/core/confide.sqlite?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM bank_transactions WHERE counterparty = 'Maria Huber'").fetchone()[0])

