"""A windowed conversation and one with its full history: the same replies, the same slots, the same form, turn by turn."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig

from confide.rasa import logs, snapshot
from confide.rasa.model_archive import newest
from confide.rasa.tracker_store import ConfideTrackerStore
from tests.unit.rasa.store_kit import ALICE, BOB, StoreKit

pytestmark = pytest.mark.rasa

#: Longer than any policy's memory (3), far shorter than the talks below.
WINDOW = 5
WORDS = ["hello", "pay", "maria", "fifty", "boom", "leave", "mood", "again", "nonsense"]


class StubActions(EndpointConfig):  # type: ignore[misc]
    """An action server in the same process; one of its actions always fails."""

    async def request(self, method: str = "post", subpath: str | None = None, **kwargs: Any) -> Any:
        call = kwargs["json"]
        if call["next_action"] == "action_broken":
            raise ValueError("boom")
        text = f"paid {call['tracker']['slots']['amount']} to {call['tracker']['slots']['payee']}"
        emptied = [{"event": "slot", "name": name, "value": None} for name in ("amount", "payee")]
        return {"events": [*emptied, {"event": "slot", "name": "paid", "value": True}], "responses": [{"text": text}]}


@pytest.fixture(scope="module")
def archive(project: Path) -> Path:
    return newest(project / "models")


@pytest.fixture
def closed_logs() -> Iterator[None]:
    """Rasa logs as in the real process, and pytest gets its logging back."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure()
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)


async def _turn(agent: Any, conversation: str, text: str) -> list[dict[str, Any]]:
    from rasa.core.channels.channel import UserMessage

    from confide.rasa.channel import Collector

    collector = Collector()
    await agent.handle_message(UserMessage(text, collector, conversation, input_channel="confide"))
    return [{name: value for name, value in said.items() if name != "recipient_id"} for said in collector.messages]


def _agent(kit: StoreKit, archive: Path, window: int) -> Any:
    from confide.rasa.agent import SafeAgent
    from confide.rasa.lock import FifoLockStore

    store = ConfideTrackerStore(records=kit.records, window=window)
    agent = SafeAgent(tracker_store=store, lock_store=FifoLockStore(), action_endpoint=StubActions(url="http://stub"))
    agent.load_model(archive)
    return agent


def _state(tracker: DialogueStateTracker) -> dict[str, Any]:
    return {**snapshot.take(tracker), "at": None}


@pytest.mark.usefixtures("closed_logs")
async def test_windowed_and_full_history_answer_the_same(archive: Path, sqlite_kit: StoreKit) -> None:
    windowed, full = _agent(sqlite_kit, archive, WINDOW), _agent(sqlite_kit, archive, 1_000_000)
    random_words = random.Random(20261123)
    start = ["again", "mood", "again", "again", "hello", "pay", *["hello"] * (WINDOW + 3), "maria", *["boom"] * (WINDOW + 2)]
    walk = start + ["fifty", "mood", "pay", "leave"] + [random_words.choice(WORDS) for _ in range(120)]
    heard: set[str] = set()
    for number, text in enumerate(walk):
        one, other = await _turn(windowed, ALICE, text), await _turn(full, BOB, text)
        assert one == other, (number, text)
        a, b = await windowed.tracker_store.retrieve(ALICE), await full.tracker_store.retrieve(BOB)
        assert _state(a) == _state(b), (number, text)
        assert len([event for event in a.events if event.type_name == "user"]) <= WINDOW + 1
        heard |= {said["text"] for said in one}
    # the walk went everywhere: otherwise its agreement would mean little
    assert {"welcome, this is the first turn", "again then", "left it", "richer before", "paid fifty to maria", "and you"} <= heard


@pytest.mark.usefixtures("closed_logs")
async def test_without_the_snapshot_the_answers_would_differ(archive: Path, sqlite_kit: StoreKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: what lies before the window comes from the snapshot alone."""
    windowed, full = _agent(sqlite_kit, archive, WINDOW), _agent(sqlite_kit, archive, 1_000_000)
    monkeypatch.setattr(snapshot, "restore", lambda *_arguments: [])
    for text in ("pay", "maria", "fifty", *["hello"] * (WINDOW + 1)):
        assert await _turn(windowed, ALICE, text) == await _turn(full, BOB, text)
    assert await _turn(full, BOB, "mood") == [{"text": "richer before"}]
    assert await _turn(windowed, ALICE, "mood") != [{"text": "richer before"}]
