"""The sealed tracker store as Rasa uses it, on both databases."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from rasa.core.tracker_store import TrackerStore, check_if_tracker_store_async
from rasa.shared.core.events import ActionExecuted, SessionStarted, SlotSet, UserUttered
from rasa.shared.exceptions import RasaException
from sqlalchemy import event as engine_event

from confide.rasa.record_chain import Position, digest
from confide.rasa.tracker_records import ConversationDamaged, StoreAway
from confide.rasa.tracker_store import ConfideTrackerStore
from tests.unit.rasa.store_kit import ALICE, BOB, DOMAIN, WINDOW, StoreKit, dicts, texts, turn


async def test_a_new_conversation_is_none_and_stays_unwritten_until_something_happens(kit: StoreKit) -> None:
    assert await kit.store.retrieve(ALICE) is None
    tracker = await kit.store.get_or_create_tracker(ALICE, append_action_listen=False)
    assert list(tracker.events) == []
    assert kit.rows(ALICE) == []


async def test_what_was_saved_is_read_back_after_a_restart(kit: StoreKit) -> None:
    saved = await kit.say(ALICE, "hello", SlotSet("payee", "maria"))

    again = kit.restarted()
    found = await again.store.retrieve(ALICE)
    again.close()

    assert found is not None
    assert dicts(found.events) == dicts(saved.events)
    assert found.get_slot("payee") == "maria"


async def test_only_the_newest_turns_are_read_and_the_state_is_whole(kit: StoreKit) -> None:
    await kit.say(ALICE, "first", SlotSet("payee", "maria"))
    await kit.talk(ALICE, 9)

    windowed, full = await kit.store.retrieve(ALICE), await kit.store.retrieve_full_tracker(ALICE)

    assert windowed is not None
    assert full is not None
    assert texts(windowed) == ["message 7", "message 8", "message 9"]
    assert len(texts(full)) == 10
    assert windowed.current_slot_values() == full.current_slot_values()
    assert windowed.latest_action_name == full.latest_action_name == "action_listen"


async def test_events_before_the_newest_session_are_left_to_the_full_tracker(kit: StoreKit) -> None:
    await kit.say(ALICE, "last week")
    await kit.say(ALICE, "today", ActionExecuted("action_session_start"), SessionStarted(), *turn("again"))

    windowed, full = await kit.store.retrieve(ALICE), await kit.store.retrieve_full_tracker(ALICE)

    assert windowed is not None
    assert full is not None
    assert isinstance(windowed.events[0], SessionStarted)
    assert texts(windowed) == ["again"]
    assert texts(full) == ["last week", "today", "again"]


async def test_the_same_object_saved_twice_is_stored_once(kit: StoreKit) -> None:
    tracker = await kit.say(ALICE, "hello")
    await kit.store.save(tracker)
    tracker.update_with_events(turn("more"), DOMAIN)
    await kit.store.save(tracker)
    await kit.store.save(tracker)

    full = await kit.store.retrieve_full_tracker(ALICE)

    assert len(kit.rows(ALICE)) == 2
    assert full is not None
    assert dicts(full.events) == dicts(tracker.events)


async def test_a_read_object_goes_on_where_it_was_read(kit: StoreKit) -> None:
    await kit.talk(ALICE, WINDOW + 3)
    tracker = await kit.store.retrieve(ALICE)
    assert tracker is not None
    tracker.update_with_events(turn("one more"), DOMAIN)
    await kit.store.save(tracker)

    full = await kit.store.retrieve_full_tracker(ALICE)

    assert full is not None
    assert texts(full) == [*(f"message {number}" for number in range(1, WINDOW + 4)), "one more"]


async def test_two_writers_of_one_conversation_cannot_both_win(kit: StoreKit) -> None:
    await kit.say(ALICE, "hello")
    mine, theirs = await kit.store.retrieve(ALICE), await kit.store.retrieve(ALICE)
    assert mine is not None
    assert theirs is not None
    for tracker in (mine, theirs):
        tracker.update_with_events(turn("racing"), DOMAIN)
    await kit.store.save(theirs)

    with pytest.raises(StoreAway):
        await kit.store.save(mine)

    full = await kit.store.retrieve_full_tracker(ALICE)
    assert full is not None
    assert texts(full) == ["hello", "racing"]


async def test_a_tracker_that_was_not_read_from_here_cannot_overwrite_a_conversation(kit: StoreKit) -> None:
    await kit.say(ALICE, "hello")
    stranger = kit.store.init_tracker(ALICE)
    stranger.update_with_events(turn("overwrite"), DOMAIN)
    with pytest.raises(StoreAway):
        await kit.store.save(stranger)


async def test_events_changed_on_the_object_are_not_taken_for_new_ones(kit: StoreKit) -> None:
    tracker = await kit.say(ALICE, "hello")
    tracker.events.pop()
    tracker.update(UserUttered("swapped in"))
    with pytest.raises(StoreAway):
        await kit.store.save(tracker)


async def test_conversations_do_not_mix(kit: StoreKit) -> None:
    await asyncio.gather(kit.talk(ALICE, 4), kit.talk(BOB, 2))
    alice, bob = await kit.store.retrieve_full_tracker(ALICE), await kit.store.retrieve_full_tracker(BOB)
    assert alice is not None
    assert bob is not None
    assert (len(texts(alice)), len(texts(bob))) == (4, 2)


async def test_the_listing_has_pseudonyms_and_no_ids(kit: StoreKit) -> None:
    await kit.say(ALICE, "hello")
    await kit.say(BOB, "hello")
    names = set(await kit.store.keys())
    assert names == {kit.records.pseudonym(ALICE), kit.records.pseudonym(BOB)}
    assert names.isdisjoint({ALICE, BOB})


async def test_a_deleted_conversation_is_gone_and_its_old_rows_stay_closed(kit: StoreKit) -> None:
    await kit.talk(ALICE, 2)
    await kit.say(BOB, "hello")
    backup = kit.rows(ALICE)

    await kit.store.delete(ALICE)
    await kit.store.delete(ALICE)  # an erasure that is repeated after a crash

    assert await kit.store.retrieve(ALICE) is None
    assert await kit.store.retrieve(BOB) is not None
    for seq, sealed in backup:  # a restored backup of the data
        kit.write(ALICE, seq, sealed)
    with pytest.raises(ConversationDamaged):
        await kit.store.retrieve(ALICE)


async def test_an_erasure_from_another_process_is_seen_at_once(kit: StoreKit) -> None:
    tracker = await kit.say(ALICE, "hello")
    worker = StoreKit.open(kit.folder, kit.data_url, kit.keys_url)
    await worker.store.delete(ALICE)
    worker.close()

    tracker.update_with_events(turn("a turn that was under way"), DOMAIN)
    with pytest.raises(StoreAway):
        await kit.store.save(tracker)

    assert kit.rows(ALICE) == []
    assert kit.head(ALICE) is None
    assert await kit.store.retrieve(ALICE) is None
    again = await kit.say(ALICE, "anew")
    restarted = kit.restarted()
    found = await restarted.store.retrieve(ALICE)
    restarted.close()
    assert found is not None
    assert dicts(found.events) == dicts(again.events)  # under a key that is stored, not under the destroyed one


async def test_a_head_is_not_brought_back_after_an_erasure(kit: StoreKit) -> None:
    await kit.talk(ALICE, 2)
    kit.set_head(ALICE, None)
    with pytest.raises(StoreAway):
        await _append(kit, seq=2)
    assert kit.head(ALICE) is None


async def _append(kit: StoreKit, seq: int) -> None:
    kit.records.append(kit.records.pseudonym(ALICE), Position(seq, digest(kit.rows(ALICE)[-1][1])), b"{}")


async def test_a_turn_costs_the_same_however_long_the_talk_is(kit: StoreKit) -> None:
    """Counted, not timed: statements, rows read and bytes written in a turn."""
    await kit.talk(ALICE, WINDOW + 2)
    early = await _cost(kit)
    await kit.talk(ALICE, 60)
    assert await _cost(kit) == early


async def _cost(kit: StoreKit) -> tuple[int, int, int]:
    statements = 0

    def count(*_arguments: object) -> None:
        nonlocal statements
        statements += 1

    engines = (kit.records.data, kit.records.keys.engine)
    for engine in engines:
        engine_event.listen(engine, "before_cursor_execute", count)
    tracker = await kit.say(ALICE, "measured")
    for engine in engines:
        engine_event.remove(engine, "before_cursor_execute", count)
    return statements, len(tracker.events), len(kit.rows(ALICE)[-1][1])


async def test_the_databases_hold_nothing_that_can_be_read(sqlite_kit: StoreKit, tmp_path: Path) -> None:
    await sqlite_kit.say(ALICE, "my secret canary", SlotSet("payee", "slot canary"))
    await sqlite_kit.talk(ALICE, WINDOW + 1)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("*.sqlite*"))

    assert sqlite_kit.records.pseudonym(ALICE).encode() in stored  # the right files were read
    for canary in (ALICE, "canary", "greet", "action_paid", "action_listen", "payee", "user", "answer to", "capability-of-the-turn"):
        assert canary.encode() not in stored, canary
        assert canary.encode("utf-16-le") not in stored, canary


async def test_sealed_sizes_say_little(kit: StoreKit) -> None:
    await kit.say(ALICE, "ok")
    await kit.say(ALICE, "no thank you very much")
    sizes = {len(sealed) for _, sealed in kit.rows(ALICE)}
    assert len(sizes) == 1


def test_rasa_sees_a_store_it_need_not_wrap() -> None:
    assert check_if_tracker_store_async(ConfideTrackerStore.__new__(ConfideTrackerStore))
    assert issubclass(ConfideTrackerStore, TrackerStore)


def test_plain_rasa_run_is_turned_away_instead_of_falling_back_to_memory() -> None:
    with pytest.raises(RasaException, match="confide.rasa"):
        ConfideTrackerStore(host=None, domain=DOMAIN, event_broker=None)


async def test_a_broker_gets_the_new_events_after_they_are_stored(kit: StoreKit) -> None:
    published: list[tuple[str, int]] = []

    class Broker:
        def publish(self, body: dict[str, object]) -> None:
            published.append((str(body["event"]), len(kit.rows(ALICE))))

    kit.store.event_broker = Broker()
    await kit.say(ALICE, "hello")
    assert [name for name, _ in published] == ["user", "action", "bot", "action"]
    assert {stored for _, stored in published} == {1}
    json.dumps(published)
