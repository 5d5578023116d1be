"""The channel's own decisions: what a message may be, and what an outcome is called."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rasa.core.channels.channel import UserMessage
from rasa.shared.exceptions import RasaException
from sanic import HTTPResponse

from confide.internal.signing import Signer, Verifier
from confide.rasa.channel import MAX_TEXT, ConfideInput, Malformed, Message
from confide.rasa.lock import LaneFull
from confide.rasa.tracker_records import ConversationDamaged, StoreAway
from confide.rasa.turn import note_call, note_failure

KEY = b"g" * 32
GOOD: dict[str, Any] = {"conversation": "0123456789abcdef" * 2, "text": "hello canary", "metadata": {"capability": "jws"}}
Handler = Callable[[UserMessage], Awaitable[Any]]


async def _fine() -> None:
    pass


def _channel(probe: Callable[[], Awaitable[None]] = _fine) -> ConfideInput:
    return ConfideInput(Verifier({"gateway": KEY}), probe)


class Call:
    """A request as far as the channel looks at it."""

    def __init__(self, body: bytes, path: str, method: str = "POST", *, signed: bool = True) -> None:
        self.body, self.path, self.method = body, path, method
        self.headers: dict[str, str] = Signer("gateway", KEY).headers(method, path, body) if signed else {}


async def _call(channel: ConfideInput, handler: Handler, call: Call) -> tuple[int, Any]:
    routes: dict[str, Any] = {str(route.uri): route.handler for route in channel.blueprint(handler)._future_routes}
    response: HTTPResponse = await routes[call.path.removeprefix("/webhooks/confide")](call)
    assert response.body is not None
    return response.status, json.loads(response.body)


async def _say(handler: Handler, fields: object = GOOD, channel: ConfideInput | None = None) -> tuple[int, Any]:
    return await _call(channel or _channel(), handler, Call(json.dumps(fields).encode(), "/webhooks/confide/webhook"))


async def test_a_message_reaches_rasa_and_the_answers_come_back() -> None:
    seen: list[UserMessage] = []

    async def handler(message: UserMessage) -> None:
        seen.append(message)
        await message.output_channel.send_text_message(message.sender_id, "one\n\ntwo")
        await message.output_channel.send_custom_json(message.sender_id, {"type": "qr", "ref": "R"})
        note_call()

    status, answer = await _say(handler)
    assert (status, answer["failed"]) == (200, None)
    assert answer["messages"] == [{"text": "one"}, {"text": "two"}, {"custom": {"type": "qr", "ref": "R"}}]
    (message,) = seen
    assert (message.sender_id, message.text, message.input_channel) == (GOOD["conversation"], "hello canary", "confide")
    assert message.metadata == {"capability": "jws"}
    assert message.output_channel.name() == "confide"


async def test_a_failed_action_is_reported_even_from_another_task() -> None:
    async def handler(_message: UserMessage) -> None:
        async def action() -> None:
            note_failure()

        await asyncio.create_task(action())

    assert await _say(handler) == (200, {"messages": [], "failed": "action"})


async def test_one_turns_failure_is_not_the_others() -> None:
    started = asyncio.Event()

    async def fails(_message: UserMessage) -> None:
        note_failure()
        started.set()

    async def fine(_message: UserMessage) -> None:
        await started.wait()

    channel = _channel()
    (_, one), (_, other) = await asyncio.gather(_say(fails, channel=channel), _say(fine, channel=channel))
    assert (one["failed"], other["failed"]) == ("action", None)


@pytest.mark.parametrize(("error", "called", "expected"), [
    (LaneFull("full"), False, (429, {"error": "busy"})),
    (StoreAway("away"), False, (503, {"error": "store"})),
    (ConversationDamaged("damaged"), False, (503, {"error": "store"})),
    (StoreAway("away"), True, (500, {"error": "internal"})),
    (ValueError("canary"), False, (500, {"error": "internal"})),
])
async def test_what_fails_is_called_by_its_name_and_nothing_else(
    error: Exception, called: bool, expected: tuple[int, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(_message: UserMessage) -> None:
        if called:
            note_call()
        raise error

    with caplog.at_level(logging.DEBUG):
        assert await _say(handler) == expected
    assert "canary" not in caplog.text
    assert GOOD["conversation"] not in caplog.text


@pytest.mark.parametrize("fields", [
    [], "text", None, 1, {}, {**GOOD, "conversation": "ABCDEF0123456789" * 2}, {**GOOD, "conversation": "a" * 31},
    {**GOOD, "conversation": None}, {**GOOD, "text": None}, {**GOOD, "text": ["x"]}, {**GOOD, "text": "x" * (MAX_TEXT + 1)},
    {**GOOD, "metadata": None}, {**GOOD, "metadata": {}}, {**GOOD, "metadata": {"capability": {"nested": 1}}},
    {"text": "x", "metadata": {"capability": "x"}},
])
async def test_a_body_that_is_not_the_protocols_is_malformed(fields: object) -> None:
    async def handler(_message: UserMessage) -> None:
        raise AssertionError("must not be run")

    assert await _say(handler, fields) == (400, {"error": "malformed"})


def test_a_body_that_is_no_json_is_malformed() -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises(Malformed):
            Message.parse(body)


def test_metadata_beside_the_capability_does_not_get_in() -> None:
    message = Message.parse(json.dumps({**GOOD, "metadata": {"capability": "jws", "more": "x"}}).encode())
    assert message.metadata == {"capability": "jws"}


@pytest.mark.parametrize(("path", "method"), [("/webhooks/confide/webhook", "POST"), ("/webhooks/confide/health", "GET")])
async def test_unsigned_and_replayed_calls_are_refused(path: str, method: str) -> None:
    ran = 0

    async def handler(_message: UserMessage) -> None:
        nonlocal ran
        ran += 1

    channel, body = _channel(), json.dumps(GOOD).encode() if method == "POST" else b""
    assert await _call(channel, handler, Call(body, path, method, signed=False)) == (401, {"error": "unauthenticated"})
    call = Call(body, path, method)
    assert (await _call(channel, handler, call))[0] == 200
    assert (await _call(channel, handler, call))[0] == 401
    changed = Call(body, path, method)
    changed.body = body + b" "
    assert (await _call(channel, handler, changed))[0] == 401
    assert ran == (1 if method == "POST" else 0)


async def test_health_says_whether_the_store_is_there() -> None:
    async def away() -> None:
        raise StoreAway("away")

    path = "/webhooks/confide/health"
    assert await _call(_channel(), _ignore, Call(b"", path, "GET")) == (200, {"store": "ok"})
    assert await _call(_channel(away), _ignore, Call(b"", path, "GET")) == (503, {"store": "away"})


async def test_a_turn_is_finished_when_the_gateway_hangs_up() -> None:
    started, release, saved = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(_message: UserMessage) -> None:
        started.set()
        await release.wait()
        saved.set()

    channel = _channel()
    call = asyncio.create_task(_say(handler, channel=channel))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()
    await channel.drain()
    assert saved.is_set()


def test_plain_rasa_run_is_turned_away() -> None:
    with pytest.raises(RasaException, match="confide.rasa"):
        ConfideInput.from_credentials(None)


async def _ignore(_message: UserMessage) -> None:
    pass
