"""The live agent with a real model: what the self-check sees, and how failures of actions are told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.tracker_store import FailSafeTrackerStore, InMemoryTrackerStore
from rasa.shared.core.events import Event, SlotSet
from rasa.utils.endpoints import EndpointConfig
from sanic import Sanic

from confide.internal.signing import Signer
from confide.rasa.lock import FifoLockStore
from confide.rasa.model_archive import newest
from confide.rasa.turn import CURRENT, Turn
from tests.unit.rasa.store_kit import ALICE, DOMAIN, StoreKit

pytestmark = pytest.mark.rasa


@pytest.fixture
def parts(project: Path, sqlite_kit: StoreKit) -> Any:
    from confide.rasa import server

    return server.assemble(sqlite_kit.records, newest(project / "models"), "http://127.0.0.1:9", Signer("rasa", b"k" * 32), b"g" * 32)


def _wrap_the_store(parts: Any) -> None:
    parts.agent.tracker_store = FailSafeTrackerStore(parts.store)


def _wrap_the_processors_store(parts: Any) -> None:
    parts.agent.processor.tracker_store = FailSafeTrackerStore(parts.store)


def _memory(parts: Any) -> None:
    parts.agent.processor.tracker_store = InMemoryTrackerStore(DOMAIN)


def _other_lock(parts: Any) -> None:
    parts.agent.processor.lock_store = FifoLockStore()


def _stock_endpoint(parts: Any) -> None:
    parts.agent.processor.action_endpoint = EndpointConfig(url="http://127.0.0.1:9/webhook")


def _other_endpoint_on_the_agent(parts: Any) -> None:
    parts.agent.action_endpoint = None


def _responses_from_elsewhere(parts: Any) -> None:
    parts.agent.nlg = object()


def _model_server(parts: Any) -> None:
    parts.agent.model_server = EndpointConfig(url="http://elsewhere")


def _nlu_server(parts: Any) -> None:
    parts.agent.processor.http_interpreter = object()


def _endless_memory(parts: Any) -> None:
    _memoization(parts).config["max_history"] = None


def _long_memory(parts: Any) -> None:
    _memoization(parts).config["max_history"] = 1_000


def _stock_processor(parts: Any) -> None:
    from rasa.core.processor import MessageProcessor

    parts.agent.processor.__class__ = MessageProcessor


def _memoization(parts: Any) -> Any:
    nodes = parts.agent.processor.model_metadata.predict_schema.nodes
    return next(node for node in nodes.values() if node.uses.__name__ == "MemoizationPolicy")


def test_the_live_agent_uses_our_parts_bare(parts: Any) -> None:
    from confide.rasa import server

    server.check(parts)
    assert parts.agent.processor.tracker_store is parts.store
    assert parts.store.domain.slots  # the model's domain has arrived


@pytest.mark.parametrize("spoil", [
    _wrap_the_store, _wrap_the_processors_store, _memory, _other_lock, _stock_endpoint, _other_endpoint_on_the_agent,
    _responses_from_elsewhere, _model_server, _nlu_server, _endless_memory, _long_memory, _stock_processor,
])
def test_the_self_check_sees_each_part_that_is_not_ours(parts: Any, spoil: Callable[[Any], None]) -> None:
    from confide.rasa import server

    spoil(parts)
    with pytest.raises(server.SelfCheckFailed):
        server.check(parts)


def test_an_agent_without_a_store_is_not_made() -> None:
    from confide.rasa.agent import SafeAgent

    with pytest.raises(ValueError, match="in memory"):
        SafeAgent()


def test_the_app_has_the_protocols_routes_and_no_other(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from confide.rasa import server

    monkeypatch.setenv("SANIC_REQUEST_MAX_SIZE", "100000000")
    monkeypatch.setenv("SANIC_ACCESS_LOG", "true")
    app = server.build_app(parts)
    try:
        assert {route.path for route in app.router.routes} == server.ROUTES
        assert app.config.REQUEST_MAX_SIZE == server.MAX_BODY
        assert app.config.ACCESS_LOG is False
        with pytest.raises(server.SelfCheckFailed):
            server.serve(app, "0.0.0.0", 1, 0.0)
    finally:
        Sanic.unregister_app(app)


class Failing(EndpointConfig):  # type: ignore[misc]
    """An action server whose calls fail in a way that quotes the customer."""

    async def request(self, method: str = "post", subpath: str | None = None, **_kwargs: Any) -> Any:
        raise ValueError("canary in the tracker")


async def test_an_action_that_fails_is_noted_and_its_text_is_not_logged(parts: Any, caplog: pytest.LogCaptureFixture) -> None:
    parts.agent.processor.action_endpoint = Failing(url="http://stub")
    turn = Turn()
    CURRENT.set(turn)
    with caplog.at_level(logging.ERROR):
        await parts.agent.handle_message(UserMessage("boom", CollectingOutputChannel(), ALICE))
    assert turn.failed
    assert "action_broken" in caplog.text
    assert "canary" not in caplog.text


async def test_the_first_messages_metadata_does_not_become_a_slot(parts: Any) -> None:
    await parts.agent.handle_message(
        UserMessage("hello", CollectingOutputChannel(), ALICE, input_channel="confide", metadata={"capability": "canary"})
    )
    tracker = await parts.store.retrieve_full_tracker(ALICE)
    set_slots: list[Event] = [event for event in tracker.events if isinstance(event, SlotSet)]
    assert "canary" not in str([event.as_dict() for event in set_slots])
    assert "canary" in str([event.as_dict() for event in tracker.events])  # it does reach the turn's own message


async def test_a_turn_that_stops_at_the_limit_of_actions_is_noted(parts: Any) -> None:
    parts.agent.processor.max_number_of_predictions = 0
    turn = Turn()
    CURRENT.set(turn)
    await parts.agent.handle_message(UserMessage("hello", CollectingOutputChannel(), ALICE))
    assert turn.failed


def test_answers_are_checked_against_rasas_own_schema(parts: Any) -> None:
    validator = parts.endpoint._validator
    assert validator.is_valid({"events": [{"event": "slot", "name": "amount", "value": "5", "timestamp": None}], "responses": []})
    assert not validator.is_valid({"events": [{"event": "slot"}], "responses": []})
    assert not validator.is_valid({"events": [], "responses": "text"})
