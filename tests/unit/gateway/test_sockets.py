"""What the socket layer leaves behind in memory: nothing of a conversation that is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from socketio.exceptions import ConnectionRefusedError as Refused

from confide.gateway.access import Access
from confide.gateway.background import Background
from confide.gateway.capabilities import Turn
from confide.gateway.completion import Completion
from confide.gateway.delivery import Deliveries, room_of
from confide.gateway.errors import Code, Refusal
from confide.gateway.lanes import Lanes
from confide.gateway.limits import Limits
from confide.gateway.sessions import Session, Sessions
from confide.gateway.sockets import Sockets

ENVIRON = {"asgi.scope": {"type": "websocket", "headers": [], "client": ("192.0.2.1", 1)}}


class Rooms:
    """Stands in for the Socket.IO server: takes note of who is where."""

    def __init__(self) -> None:
        self.members: set[tuple[str, str]] = set()

    async def enter_room(self, name: str, room: str) -> None:
        self.members.add((name, room))

    async def leave_room(self, name: str, room: str) -> None:
        self.members.discard((name, room))

    async def emit(self, _event: str, _payload: Any, to: str) -> None:
        return None


class RefusingAccess:
    """The core takes nobody."""

    def of_cookie(self, _secret: str | None) -> Session | None:
        return None

    async def introduce(self, _session: Session) -> None:
        return None

    async def sign_in(self, _session: Session, _token: str) -> None:
        raise Refusal(Code.LOGIN_REFUSED)


def make() -> tuple[Sockets, Rooms, Deliveries]:
    rooms, sessions = Rooms(), Sessions()

    async def emit(_event: str, _payload: Any, _room: str) -> None:
        return None

    deliveries = Deliveries(emit)
    sockets = Sockets(rooms, sessions, deliveries, Lanes(), Limits(), Background())  # type: ignore[arg-type]
    access: Access = RefusingAccess()  # type: ignore[assignment]
    sockets.access, sockets.turns = access, SimpleNamespace()  # type: ignore[assignment]
    return sockets, rooms, deliveries


async def test_a_socket_leaves_the_old_conversation_and_what_was_said_in_it_is_dropped() -> None:
    sockets, rooms, deliveries = make()
    await sockets._connect("tab", ENVIRON, None)
    socket = sockets._sockets["tab"]
    before = socket.session.where
    await sockets._join(socket)
    await deliveries.say(before, {"text": "Your balance is …"})
    socket.session.move("another")
    await sockets.moved(socket.session, before)
    assert rooms.members == {("tab", room_of("another"))}
    assert before not in deliveries._streams
    assert deliveries._total == 0


async def test_a_refused_sign_in_leaves_no_session_behind() -> None:
    sockets, _, _ = make()
    with pytest.raises(Refused):
        await sockets._connect("tab", ENVIRON, {"token": "bad"})
    assert not sockets.sessions._all
    assert not sockets._sockets


async def test_a_session_without_a_cookie_ends_with_its_socket() -> None:
    sockets, _, _ = make()
    await sockets._connect("tab", ENVIRON, None)
    await sockets._disconnect("tab")
    assert not sockets.sessions._all
    assert not sockets._sockets


async def test_what_is_answered_after_a_socket_without_a_cookie_has_left_is_not_kept() -> None:
    sockets, _, deliveries = make()
    sockets.sessions.on_gone = lambda gone: deliveries.forget(gone.where)
    await sockets._connect("tab", ENVIRON, None)
    session = sockets._sockets["tab"].session
    turn = Turn(session.where, 1, 0.0, 10.0)
    completion = Completion(SimpleNamespace(), SimpleNamespace(), deliveries)  # type: ignore[arg-type]
    await completion.deliver(session, turn, [{"text": "You have €5."}])
    assert deliveries._total
    await sockets._disconnect("tab")
    await completion.deliver(session, turn, [{"text": "You have €5."}])
    assert not deliveries._streams
    assert not deliveries._total


async def test_what_is_answered_while_no_tab_of_a_browser_is_open_is_kept() -> None:
    sockets, _, deliveries = make()
    session = sockets.sessions.begin(has_cookie=True)
    completion = Completion(SimpleNamespace(), SimpleNamespace(), deliveries)  # type: ignore[arg-type]
    await completion.deliver(session, Turn(session.where, 1, 0.0, 10.0), [{"text": "hello"}])
    assert deliveries._total
