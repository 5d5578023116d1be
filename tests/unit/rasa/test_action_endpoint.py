"""Calls to the action server over a real socket: signed, bounded, kept alive, and silent about failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from rasa.utils.endpoints import ClientResponseError

from confide.internal.signing import Signer, Unauthenticated, Verifier
from confide.rasa import action_endpoint
from confide.rasa.action_endpoint import ActionCallFailed, SignedActionEndpoint
from confide.rasa.turn import CURRENT, Turn

KEY = b"k" * 32
SCHEMA = {"type": "object", "properties": {"events": {"type": "array"}, "responses": {"type": "array"}}}
CALL = {"next_action": "action_x", "sender_id": "a" * 32, "tracker": {"slots": {"note": "canary"}, "events": [], "latest_message": None}}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """An action server that does as it is told."""

    port: int = 0
    respond: Handler | None = None
    peers: list[Any] = field(default_factory=list)
    verified: list[str] = field(default_factory=list)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    told, verifier = Server(), Verifier({"rasa": KEY})

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        told.peers.append(request.transport.get_extra_info("peername") if request.transport else None)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            told.verified.append(verifier.verify("POST", request.path, body, headers))
        except Unauthenticated:
            return web.json_response({"error": "unauthenticated"}, status=401)
        assert told.respond is not None
        return await told.respond(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield told
    await runner.cleanup()


@pytest.fixture
async def endpoint(server: Server) -> AsyncIterator[SignedActionEndpoint]:
    made = SignedActionEndpoint(f"http://127.0.0.1:{server.port}/webhook", Signer("rasa", KEY), Draft202012Validator(SCHEMA))
    yield made
    await made.close()


@pytest.fixture
def turn() -> Turn:
    turn = Turn()
    CURRENT.set(turn)
    return turn


def _json(content: object, status: int = 200) -> Handler:
    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.json_response(content, status=status)

    return respond


async def _ask(endpoint: SignedActionEndpoint, turn: Turn) -> Any:
    CURRENT.set(turn)  # fixtures run in a context of their own
    return await endpoint.request(json=CALL, method="post", timeout=300, compress=True)


async def test_a_signed_call_gets_its_answer_on_a_kept_connection(server: Server, endpoint: SignedActionEndpoint, turn: Turn) -> None:
    server.respond = _json({"events": [], "responses": [{"text": "hi"}]})
    for _ in range(3):
        assert (await _ask(endpoint, turn))["responses"] == [{"text": "hi"}]
    assert server.verified == ["rasa"] * 3
    assert len(set(server.peers)) == 1
    assert (turn.called, turn.failed) == (True, False)


async def test_a_rejection_is_no_failure_and_carries_no_text(server: Server, endpoint: SignedActionEndpoint, turn: Turn) -> None:
    server.respond = _json({"action_name": "action_x", "error": "canary"}, status=400)
    with pytest.raises(ClientResponseError) as caught:
        await _ask(endpoint, turn)
    assert json.loads(caught.value.text) == {"action_name": "action_x"}
    assert "canary" not in str(caught.value)
    assert not turn.failed


@pytest.mark.parametrize(("content", "status"), [
    ({"error": "canary", "request_body": CALL}, 500), ({"error": "canary"}, 400), ({"action_name": "action_other"}, 400),
    ({"error": "canary"}, 404), ({"error": "canary"}, 401), ({"events": "canary"}, 200), (["canary"], 200), ({}, 302), ({}, 201),
])
async def test_every_other_answer_fails_the_turn_without_its_text(
    server: Server, endpoint: SignedActionEndpoint, turn: Turn, content: object, status: int
) -> None:
    server.respond = _json(content, status)
    with pytest.raises(ActionCallFailed) as caught:
        await _ask(endpoint, turn)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert turn.failed


async def test_an_answer_that_is_no_json_or_too_large_fails(
    server: Server, endpoint: SignedActionEndpoint, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def html(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<p>canary</p>")

    server.respond = html
    with pytest.raises(ActionCallFailed, match="without JSON"):
        await _ask(endpoint, turn)
    monkeypatch.setattr(action_endpoint, "MAX_ANSWER", 1_000)
    server.respond = _json({"responses": ["x" * 2_000]})
    with pytest.raises(ActionCallFailed, match="too large"):
        await _ask(endpoint, turn)
    assert turn.failed


async def test_a_call_that_is_too_large_is_not_sent(
    server: Server, endpoint: SignedActionEndpoint, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_endpoint, "MAX_CALL", 50)
    with pytest.raises(ActionCallFailed, match="too large"):
        await _ask(endpoint, turn)
    assert server.peers == []
    assert turn.failed


async def test_a_redirect_is_not_followed(server: Server, endpoint: SignedActionEndpoint, turn: Turn) -> None:
    async def redirect(_request: web.Request) -> web.StreamResponse:
        return web.HTTPTemporaryRedirect("/elsewhere")

    server.respond = redirect
    with pytest.raises(ActionCallFailed):
        await _ask(endpoint, turn)
    assert len(server.peers) == 1


async def test_a_slow_answer_fails_in_time(
    server: Server, endpoint: SignedActionEndpoint, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response({})

    server.respond = hang
    monkeypatch.setattr(action_endpoint, "TOTAL_TIMEOUT", 0.05)
    with pytest.raises(ActionCallFailed, match="TimeoutError"):
        await _ask(endpoint, turn)
    release.set()
    assert turn.failed


async def test_a_server_that_is_down_fails_the_turn_without_an_address(turn: Turn) -> None:
    endpoint = SignedActionEndpoint("http://127.0.0.1:9/webhook", Signer("rasa", KEY), Draft202012Validator(SCHEMA))
    with pytest.raises(ActionCallFailed) as caught:
        await _ask(endpoint, turn)
    await endpoint.close()
    assert "127.0.0.1" not in str(caught.value)
    assert turn.failed
