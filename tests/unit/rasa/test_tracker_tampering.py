"""What the tracker store notices: every change to what it stored, and every way of being away."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, delete, literal, select, update

from confide.rasa.record_chain import START, Damage, Position, digest, open_head, open_records, seal_head, seal_record
from confide.rasa.tracker_records import ConversationDamaged, StoreAway, quarantine
from confide.storage.envelope import DataKey
from confide.storage.keystore import data_keys
from tests.unit.rasa.store_kit import ALICE, BOB, DOMAIN, WINDOW, StoreKit, texts, turn

TURNS = 6


def _edit(kit: StoreKit) -> None:
    seq, sealed = kit.rows(ALICE)[-2]
    kit.write(ALICE, seq, sealed[:-1] + bytes([sealed[-1] ^ 1]))


def _swap(kit: StoreKit) -> None:
    (one, first), (two, second) = kit.rows(ALICE)[-3:-1]
    kit.write(ALICE, one, second)
    kit.write(ALICE, two, first)


def _cut_middle(kit: StoreKit) -> None:
    kit.remove(ALICE, TURNS - 1)


def _cut_before_the_window(kit: StoreKit) -> None:
    kit.remove(ALICE, TURNS - WINDOW)


def _cut_tail(kit: StoreKit) -> None:
    kit.remove(ALICE, TURNS)


def _cut_all(kit: StoreKit) -> None:
    kit.remove(ALICE, *range(1, TURNS + 1))


def _cut_beginning(kit: StoreKit) -> None:
    kit.remove(ALICE, *range(1, TURNS - 1))


def _replay_as_newest(kit: StoreKit) -> None:
    kit.write(ALICE, TURNS + 1, kit.rows(ALICE)[-1][1])


def _move_from_another_conversation(kit: StoreKit) -> None:
    kit.write(ALICE, TURNS, kit.rows(BOB)[-1][1])


def _forge_two_newer(kit: StoreKit) -> None:
    for seq in (TURNS + 1, TURNS + 2):
        kit.write(ALICE, seq, kit.rows(ALICE)[-1][1])


def _take_the_head_away(kit: StoreKit) -> None:
    kit.set_head(ALICE, None)


def _take_the_head_of_another(kit: StoreKit) -> None:
    kit.set_head(ALICE, kit.head(BOB))


def _take_the_key_away(kit: StoreKit) -> None:
    with kit.records.keys.engine.begin() as transaction:
        transaction.execute(delete(data_keys).where(data_keys.c.owner == f"conversation:{kit.records.pseudonym(ALICE)}"))


def _exchange_the_key(kit: StoreKit) -> None:
    owners = [f"conversation:{kit.records.pseudonym(conversation)}" for conversation in (ALICE, BOB)]
    with kit.records.keys.engine.begin() as transaction:
        other = transaction.execute(select(data_keys.c.wrapped).where(data_keys.c.owner == owners[1])).scalar_one()
        transaction.execute(update(data_keys).where(data_keys.c.owner == owners[0]).values(wrapped=other))


#: What is done, and what the quarantine says about it.
TAMPERINGS = {
    _edit: "seal", _swap: "seal", _cut_middle: "order", _cut_before_the_window: "order", _cut_tail: "tail", _cut_all: "tail",
    _cut_beginning: "order", _replay_as_newest: "seal", _move_from_another_conversation: "tail", _forge_two_newer: "tail",
    _take_the_head_away: "tail", _take_the_head_of_another: "head", _take_the_key_away: "key", _exchange_the_key: "key",
}


@pytest.mark.parametrize(("tamper", "reason"), TAMPERINGS.items(), ids=[tamper.__name__.strip("_") for tamper in TAMPERINGS])
async def test_tampering_is_found_quarantined_and_never_read_around(
    kit: StoreKit, tamper: Callable[[StoreKit], None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    await kit.talk(ALICE, TURNS)
    await kit.talk(BOB, TURNS)
    tamper(kit)

    with caplog.at_level(logging.ERROR), pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)

    name = kit.records.pseudonym(ALICE)
    with kit.records.data.begin() as transaction:
        assert transaction.execute(select(quarantine.c.conversation, quarantine.c.reason)).all() == [(name, reason)]
    assert name in caplog.text
    assert ALICE not in caplog.text
    for read in (kit.store.retrieve, kit.store.retrieve_full_tracker):  # and it stays refused
        with pytest.raises(ConversationDamaged):
            await read(ALICE)
    bob = await kit.store.retrieve(BOB)
    assert bob is not None  # the others go on


async def test_a_conversation_put_right_again_stays_in_quarantine_until_a_person_has_looked(kit: StoreKit) -> None:
    await kit.talk(ALICE, TURNS)
    seq, sealed = kit.rows(ALICE)[-2]
    _edit(kit)
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)
    kit.write(ALICE, seq, sealed)
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)


async def test_a_record_of_an_earlier_life_of_the_conversation_is_found(kit: StoreKit) -> None:
    """A true record of this conversation and this place, from before a restore: the record after it does not follow from it."""
    await kit.talk(ALICE, 1)
    head = kit.head(ALICE)
    await kit.say(ALICE, "of the earlier life")
    earlier = kit.rows(ALICE)[-1]
    kit.remove(ALICE, 2)
    kit.set_head(ALICE, head)
    await kit.talk(ALICE, 2)
    assert await kit.store.retrieve(ALICE) is not None

    kit.write(ALICE, *earlier)

    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)


def test_a_record_opens_only_in_its_conversation_and_place() -> None:
    key = DataKey.generate()
    position, sealed = seal_record("alice", key, START, b"payload")
    with create_engine("sqlite://").connect() as connection:
        rows = connection.execute(select(literal(1).label("seq"), literal(sealed).label("sealed"))).all()
    assert open_records("alice", key, rows, None).payloads == (b"payload",)
    with pytest.raises(Damage):
        open_records("bob", key, rows, None)
    assert open_head("alice", key, seal_head("alice", key, position)) == position
    with pytest.raises(Damage):
        open_head("bob", key, seal_head("alice", key, position))


async def test_a_change_before_the_window_is_found_by_a_full_read(kit: StoreKit) -> None:
    await kit.talk(ALICE, TURNS)
    seq, sealed = kit.rows(ALICE)[0]
    kit.write(ALICE, seq, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve_full_tracker(ALICE)


async def test_a_fork_of_the_newest_record_is_found(kit: StoreKit) -> None:
    """Two true records of one place: the one the head does not name is refused."""
    await kit.talk(ALICE, 2)
    before = kit.rows(ALICE)[-1]
    head = kit.head(ALICE)
    kit.remove(ALICE, 2)
    position = Position(1, digest(kit.rows(ALICE)[0][1]))
    kit.records.append(kit.records.pseudonym(ALICE), position, b'{"before": {}, "events": []}')
    kit.set_head(ALICE, head)
    assert kit.rows(ALICE)[-1] != before
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)


@pytest.mark.parametrize("turns", [1, 2, WINDOW + 2])
async def test_a_crash_between_the_two_commits_is_repaired(kit: StoreKit, turns: int) -> None:
    await kit.talk(ALICE, turns - 1)
    head = kit.head(ALICE)
    await kit.say(ALICE, "the last one")
    kit.set_head(ALICE, head)  # as if the process had died before it wrote the head

    tracker = await kit.store.retrieve(ALICE)

    assert tracker is not None
    assert texts(tracker)[-1] == "the last one"
    assert kit.head(ALICE) not in {None, head}
    kit.remove(ALICE, turns)  # repaired: the same cut is now a cut
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)


async def test_an_older_copy_of_the_database_is_found(sqlite_kit: StoreKit, tmp_path: Path) -> None:
    await sqlite_kit.talk(ALICE, 2)
    sqlite_kit.close()
    shutil.copy(tmp_path / "tracker.sqlite", tmp_path / "backup")
    await sqlite_kit.talk(ALICE, 2)
    sqlite_kit.close()
    shutil.copy(tmp_path / "backup", tmp_path / "tracker.sqlite")

    restored = sqlite_kit.restarted()
    with pytest.raises(ConversationDamaged):
        await restored.store.retrieve(ALICE)
    restored.close()


async def test_a_whole_restored_installation_is_read(sqlite_kit: StoreKit) -> None:
    """The counterpart: data and key store of the same moment are in order."""
    await sqlite_kit.talk(ALICE, 2)
    restored = sqlite_kit.restarted()
    assert await restored.store.retrieve(ALICE) is not None
    restored.close()


@pytest.mark.parametrize("file", ["tracker.sqlite", "keystore.sqlite"])
@pytest.mark.parametrize("loss", ["removed", "replaced", "a folder"])
@pytest.mark.parametrize("connected", [True, False])
async def test_a_lost_file_is_away_even_while_it_is_open(
    sqlite_kit: StoreKit, tmp_path: Path, file: str, loss: str, connected: bool
) -> None:
    tracker = await sqlite_kit.say(ALICE, "hello")
    database = tmp_path / file
    database.rename(tmp_path / "kept")
    if loss == "replaced":
        shutil.copy(tmp_path / "kept", database)
    elif loss == "a folder":
        database.mkdir()
    if not connected:
        sqlite_kit.close()
    tracker.update_with_events(turn("more"), DOMAIN)

    store = sqlite_kit.store
    for attempt in (store.probe(), store.retrieve(ALICE), store.retrieve(BOB), store.save(tracker)):
        with pytest.raises(StoreAway):
            await attempt
    assert database.exists() == (loss != "removed")  # nothing empty was put in its place


@pytest.mark.parametrize("file", ["tracker.sqlite", "keystore.sqlite"])
async def test_a_locked_database_is_away(sqlite_kit: StoreKit, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await sqlite_kit.say(ALICE, "hello")
    other = sqlite3.connect(tmp_path / file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("confide.storage.database.BUSY_TIMEOUT", 0)
    impatient = StoreKit.open(tmp_path, sqlite_kit.data_url, sqlite_kit.keys_url, create=False)
    try:
        with pytest.raises(StoreAway):
            await impatient.store.retrieve(ALICE)
        with pytest.raises(StoreAway):
            await impatient.store.probe()
    finally:
        other.close()
        impatient.close()


async def test_errors_name_nothing_of_the_customer(sqlite_kit: StoreKit, tmp_path: Path) -> None:
    tracker = await sqlite_kit.say(ALICE, "hello canary")
    (tmp_path / "tracker.sqlite").unlink()
    with pytest.raises(StoreAway) as caught:
        await sqlite_kit.store.retrieve(ALICE)
    assert caught.value.__cause__ is None
    for canary in ("canary", ALICE, sqlite_kit.records.pseudonym(ALICE), str(tmp_path)):
        assert canary not in str(caught.value)
    assert tracker.sender_id == ALICE
