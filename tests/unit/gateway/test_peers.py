"""Calls to Rasa and the core: signed, bounded, and with errors that say nothing of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from confide.gateway.peers import MAX_ANSWER, CorePeer, Outcome, Peer, PeerAway, PeerRefused, RasaPeer, Resumed
from confide.internal.signing import Signer, Unauthenticated, Verifier
from tests.unit.gateway.stand import CORE_KEY, Served, _peer_config


@dataclass
class Other:
    """A peer that answers what a test wants, to signed calls."""

    response: Response = field(default_factory=lambda: JSONResponse({}))
    bodies: list[Any] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        await self.gate.wait()
        try:
            self._verifier.verify(request.method, request.url.path, body, dict(request.headers))
        except Unauthenticated:
            return JSONResponse({"error": "unauthenticated"}, 401)
        self.bodies.append(body)
        return self.response

    _verifier: Verifier = field(default_factory=lambda: Verifier({"gateway": CORE_KEY}))


@dataclass
class Line:
    """A peer and a client of it."""

    other: Other
    peer: Peer
    server: Served


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    other = Other()
    server = Served(_peer_config(Starlette(routes=[Route("/{path:path}", other.handle, methods=["GET", "POST"])])))
    await server.start()
    peer = Peer(f"http://127.0.0.1:{server.port}", Signer("gateway", CORE_KEY))
    peer.open()
    yield Line(other, peer, server)
    await peer.close()
    await server.stop()


async def test_a_call_is_signed_over_its_body(line: Line) -> None:
    line.other.response = JSONResponse({"ok": 1})
    assert await line.peer.post("/core/x", {"a": "ü"}, 5) == {"ok": 1}
    line.peer.signer = Signer("gateway", b"x" * 32)
    with pytest.raises(PeerRefused) as refused:
        await line.peer.post("/core/x", {}, 5)
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")


@pytest.mark.parametrize("response", [
    JSONResponse({}, 500), JSONResponse({"error": "away"}, 503), Response(b"<html>"), Response(b"[]"), Response(b"\xff"),
    Response(b"[" * 100_000), Response(b"{}" + b" " * MAX_ANSWER), Response(b"", 302, {"Location": "/elsewhere"}), JSONResponse({}, 204),
])
async def test_what_cannot_be_read_is_away(line: Line, response: Response) -> None:
    line.other.response = response
    with pytest.raises(PeerAway):
        await line.peer.post("/core/x", {}, 5)
    assert len(line.other.bodies) == 1


async def test_a_peer_that_does_not_answer_or_is_not_there_is_away(line: Line) -> None:
    line.other.gate.clear()
    with pytest.raises(PeerAway):
        await line.peer.post("/core/x", {}, 0.1)
    line.other.gate.set()
    await line.server.stop()
    with pytest.raises(PeerAway) as away:
        await line.peer.post("/core/x", {}, 5)
    assert away.value.__suppress_context__  # the library's own error would be printed with it


async def test_errors_say_nothing_of_what_was_sent_or_came_back(line: Line) -> None:
    line.other.response = JSONResponse({"error": "canary" * 50, "text": "canary"}, 400)
    with pytest.raises(PeerRefused) as refused:
        await line.peer.post("/core/x", {"value": "canary"}, 5)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(("answer", "failed"), [
    ({"messages": [], "failed": None}, False), ({"messages": [], "failed": "action"}, True), ({"messages": [], "failed": "new"}, True),
    ({"messages": []}, False),
])
async def test_rasas_answer(line: Line, answer: dict[str, Any], failed: bool) -> None:
    line.other.response = JSONResponse(answer)
    assert (await RasaPeer(line.peer).answer("c", "hi", "cap", 5)).failed is failed


@pytest.mark.parametrize("answer", [{}, {"messages": {}}, {"messages": None}])
async def test_rasas_unreadable_answer_is_away(line: Line, answer: dict[str, Any]) -> None:
    line.other.response = JSONResponse(answer)
    with pytest.raises(PeerAway):
        await RasaPeer(line.peer).answer("c", "hi", "cap", 5)


@pytest.mark.parametrize(("answer", "outcome"), [
    ({"outcome": "done", "text": "Paid."}, Outcome(True, "Paid.")), ({"outcome": "nothing"}, Outcome(False, "")),
])
async def test_an_outcome_is_done_or_nothing(line: Line, answer: dict[str, Any], outcome: Outcome) -> None:
    line.other.response = JSONResponse(answer)
    assert await CorePeer(line.peer).outcome("cap") == outcome


@pytest.mark.parametrize("answer", [{}, {"outcome": ""}, {"outcome": "maybe"}, {"outcome": True}, {"outcome": "Nothing"}])
async def test_any_other_outcome_is_not_taken_for_nothing(line: Line, answer: dict[str, Any]) -> None:
    line.other.response = JSONResponse(answer)
    with pytest.raises(PeerAway):
        await CorePeer(line.peer).outcome("cap")


async def test_the_cores_answers_are_checked(line: Line) -> None:
    core = CorePeer(line.peer)
    line.other.response = JSONResponse({"values": {"A": "1", "B": 2}, "level": 5, "turn": 1, "news": [], "conversation": "c", "mails": {}})
    assert await core.reveal("cap", ["A", "B"]) == {"A": "1"}
    for call in (core.resume("sid"), core.sign_in("cap", "t", "s", "c"), core.act("cap", "r", "submit", "v", "s"), core.bank_outbox("cap")):
        with pytest.raises(PeerAway):
            await call
    line.other.response = JSONResponse({"error": "not_found"}, 404)
    assert await core.resume("sid") is None
    assert await core.show_card("cap", "r") is None
    assert await core.act("cap", "r", "cancel", None, "s") is None


async def test_where_a_session_goes_on(line: Line) -> None:
    line.other.response = JSONResponse({"conversation": "c", "level": "identified", "turn": 7, "news": ["Done."]})
    assert await CorePeer(line.peer).resume("sid") == Resumed("c", "identified", 7, ["Done."])


@pytest.mark.parametrize("wrong", [
    {"level": None}, {"turn": None}, {"turn": "7"}, {"turn": True}, {"news": None}, {"news": "Done."}, {"news": ["Done.", 5]},
])
async def test_where_a_session_goes_on_is_said_in_full_or_it_is_away(line: Line, wrong: dict[str, Any]) -> None:
    line.other.response = JSONResponse({"conversation": "c", "level": "identified", "turn": 7, "news": [], **wrong})
    with pytest.raises(PeerAway):
        await CorePeer(line.peer).resume("sid")


async def test_whether_the_core_is_there(line: Line) -> None:
    core = CorePeer(line.peer)
    line.other.response = JSONResponse({"database": "ok"})
    assert await core.is_there()
    line.other.response = JSONResponse({"error": "method"}, 405)
    assert await core.is_there()
    for away in (JSONResponse({"error": "away"}, 503), JSONResponse({"database": "ok", "keystore": "away"})):
        line.other.response = away
        assert not await core.is_there()
    await line.server.stop()
    assert not await core.is_there()
