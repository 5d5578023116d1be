"""A tracker store on real databases, and hands that change what it stored behind its back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, Event, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sqlalchemy import delete, insert, select, update

from confide.rasa.file_guard import guard_file
from confide.rasa.tracker_records import ConversationKeys, Records, heads, records
from confide.rasa.tracker_store import ConfideTrackerStore
from confide.storage.database import open_database
from confide.storage.keyring import FileKeyProvider, write_new_key_file

ALICE, BOB = "a" * 32, "b" * 32
WINDOW = 3

DOMAIN = Domain.from_yaml("""
version: "3.1"
intents: [greet, pay]
slots:
  payee: {type: text, influence_conversation: true, mappings: [{type: custom}]}
  amount: {type: text, influence_conversation: true, mappings: [{type: custom}]}
forms:
  pay_form: {required_slots: [amount]}
actions: [action_paid]
responses:
  utter_hello: [{text: hello}]
""")


@dataclass
class StoreKit:
    """One installation: two databases, a key file, and the store over them."""

    folder: Path
    data_url: str
    keys_url: str
    store: ConfideTrackerStore
    records: Records

    @classmethod
    def open(cls, folder: Path, data_url: str, keys_url: str, *, create: bool = True) -> StoreKit:
        """Open the store, making what is missing; called again on the same folder it is the store after a restart."""
        if not (folder / "kek.json").exists():
            write_new_key_file(folder / "kek.json")
        records = Records(
            data=guard_file(open_database(data_url)),
            keys=ConversationKeys(guard_file(open_database(keys_url, "TRUNCATE")), FileKeyProvider(folder / "kek.json")),
            pseudonym_key=b"p" * 32,
        )
        if create:
            records.create_tables()
        return cls(folder, data_url, keys_url, ConfideTrackerStore(DOMAIN, records=records, window=WINDOW), records)

    def restarted(self) -> StoreKit:
        self.close()
        return StoreKit.open(self.folder, self.data_url, self.keys_url)

    def close(self) -> None:
        self.records.data.dispose()
        self.records.keys.engine.dispose()

    async def say(self, conversation: str, text: str, *more: Event) -> DialogueStateTracker:
        """One turn as Rasa's processor does it: read or create, add events, save."""
        tracker = await self.store.get_or_create_tracker(conversation, append_action_listen=False)
        tracker.update_with_events([*turn(text), *more, ActionExecuted("action_listen")], DOMAIN)
        await self.store.save(tracker)
        return tracker

    async def talk(self, conversation: str, turns: int) -> None:
        for number in range(1, turns + 1):
            await self.say(conversation, f"message {number}")

    def rows(self, conversation: str) -> list[tuple[int, bytes]]:
        name = self.records.pseudonym(conversation)
        with self.records.data.begin() as transaction:
            found = transaction.execute(
                select(records.c.seq, records.c.sealed).where(records.c.conversation == name).order_by(records.c.seq)
            )
            return [(row.seq, row.sealed) for row in found]

    def write(self, conversation: str, seq: int, sealed: bytes) -> None:
        """Put `sealed` in the place of a record."""
        self.remove(conversation, seq)
        with self.records.data.begin() as transaction:
            transaction.execute(insert(records).values(conversation=self.records.pseudonym(conversation), seq=seq, sealed=sealed))

    def remove(self, conversation: str, *seqs: int) -> None:
        with self.records.data.begin() as transaction:
            chosen = (records.c.conversation == self.records.pseudonym(conversation)) & records.c.seq.in_(seqs)
            transaction.execute(delete(records).where(chosen))

    def head(self, conversation: str) -> bytes | None:
        with self.records.keys.engine.begin() as transaction:
            name = self.records.pseudonym(conversation)
            return transaction.execute(select(heads.c.sealed).where(heads.c.conversation == name)).scalar()

    def set_head(self, conversation: str, sealed: bytes | None) -> None:
        chosen = heads.c.conversation == self.records.pseudonym(conversation)
        with self.records.keys.engine.begin() as transaction:
            if sealed is None:
                transaction.execute(delete(heads).where(chosen))
            else:
                transaction.execute(update(heads).where(chosen).values(sealed=sealed))


def turn(text: str, intent: str = "greet", slot: tuple[str, str] | None = None) -> list[Event]:
    """What a turn adds before the bot listens again."""
    parsed = {"text": text, "intent": {"name": intent, "confidence": 1.0}, "entities": []}
    said = UserUttered(text, parsed["intent"], [], parsed, input_channel="confide", metadata={"capability": "capability-of-the-turn"})
    events: list[Event] = [said, ActionExecuted("action_paid"), BotUttered(f"answer to {text}")]
    return [*events, SlotSet(*slot)] if slot else events


def texts(tracker: DialogueStateTracker) -> list[str]:
    return [event.text for event in tracker.events if isinstance(event, UserUttered)]


def dicts(events: Sequence[Event]) -> list[dict[str, object]]:
    return [event.as_dict() for event in events]
