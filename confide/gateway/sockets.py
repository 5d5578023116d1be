"""The socket events (docs/protocol.md section 5): who may say what, and to which conversation it goes.

A socket belongs to the session of its cookie (or of its login token, or to one of its own). Nothing that a client sends inside an
event changes that.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from confide.audit.events import Event
from confide.gateway import inbox
from confide.gateway.access import Access
from confide.gateway.background import Background
from confide.gateway.delivery import Deliveries, room_of
from confide.gateway.errors import Code, Refusal
from confide.gateway.lanes import Lanes
from confide.gateway.limits import Kind, Limits
from confide.gateway.server import HardenedServer
from confide.gateway.sessions import Session, Sessions, is_secret
from confide.gateway.turns import Turns
from confide.identity.levels import Level

COOKIE = "__Host-confide"
MAX_TOKEN = 4_096
#: Events refused as too many after which a socket is closed.
MAX_STRIKES = 200

Ack = dict[str, Any]
_log = logging.getLogger("confide.gateway")


@dataclass(eq=False)
class _Socket:
    id: str
    session: Session
    address: str
    joined: bool = False
    #: A task is finding out whose the socket is.
    confirming: bool = False
    #: Events refused as too many.
    strikes: int = 0


@dataclass
class Sockets:
    """Every connected socket."""

    server: HardenedServer
    sessions: Sessions
    deliveries: Deliveries
    lanes: Lanes
    limits: Limits
    background: Background
    clock: Callable[[], float] = time.time
    #: Seconds between attempts to find out whose a socket is, while the core is away.
    retry: float = 2.0
    access: Access = field(init=False)
    turns: Turns = field(init=False)
    _sockets: dict[str, _Socket] = field(default_factory=dict, repr=False)

    def attach(self, access: Access, turns: Turns) -> None:
        """Register the events."""
        self.access, self.turns = access, turns
        self.server.on_broken = self._broken
        self.server.on("connect", self._connect)
        self.server.on("disconnect", self._disconnect)
        for name, handler in (("session_request", self._session_request), ("user_uttered", self._user_uttered)):
            self.server.on(name, functools.partial(self._handle, handler))
        self.server.on("*", self._unknown)

    async def moved(self, session: Session, before: str | None) -> None:
        """Take the session's sockets from one conversation to the one it is in now."""
        if before == session.conversation:
            return
        for name in list(session.sockets):
            if before is not None:
                await self.server.leave_room(name, room_of(before))
            if self._sockets[name].joined and session.conversation is not None:
                await self.server.enter_room(name, room_of(session.conversation))
        if before is not None:
            self.deliveries.forget(before)

    async def tell_changed(self, session: Session) -> None:
        """Tell the session's sockets that somebody signed in or out."""
        for name in list(session.sockets):
            await self.server.emit("session_changed", {"level": session.level}, to=name)

    # Coming and going

    async def _connect(self, name: str, environ: Mapping[str, Any], auth: object) -> None:
        scope = environ["asgi.scope"]
        address = (scope.get("client") or ("",))[0]
        secret = cookie_parser(Headers(scope=scope).get("cookie", "")).get(COOKIE)
        try:
            session = await self._identify(secret if is_secret(secret) else None, auth, address)
        except Refusal as refusal:
            raise Refused(refusal.text, refusal.for_socket()) from None
        session.sockets.add(name)
        self._sockets[name] = _Socket(name, session, address)

    async def _identify(self, secret: str | None, auth: object, address: str) -> Session:
        session = self.access.of_cookie(secret)
        if session is not None:
            return session
        session = self.sessions.begin(has_cookie=False)
        token = auth.get("token") if isinstance(auth, dict) else None
        if token is None:
            return session
        try:
            await self._sign_in(session, token, address)
        except Refusal:
            self.sessions.drop(session)
            raise
        return session

    async def _sign_in(self, session: Session, token: object, address: str) -> None:
        if not isinstance(token, str) or len(token) > MAX_TOKEN:
            raise Refusal(Code.MALFORMED)
        if not self.limits.allow(Kind.SIGN_IN, address=address):
            raise Refusal(Code.TOO_FAST)
        await self.access.sign_in(session, token)

    async def _disconnect(self, name: str, _reason: object = None) -> None:
        socket = self._sockets.pop(name, None)
        if socket is None:
            return
        socket.session.sockets.discard(name)
        self.sessions.file(socket.session)
        if not socket.session.has_cookie and not socket.session.sockets:
            self.sessions.drop(socket.session)

    # Events

    async def _handle(self, handler: Callable[[_Socket, object], Awaitable[Ack | None]], name: str, *data: object) -> Ack | None:
        """Run one event's handler; whatever goes wrong becomes `chat_error` and a refusing acknowledgement."""
        socket = self._sockets.get(name)
        if socket is None:
            return None
        try:
            self._count(socket, Kind.EVENT)
            if len(data) > 1:
                raise Refusal(Code.BINARY if inbox.contains_binary(data) else Code.MALFORMED)
            return await handler(socket, data[0] if data else None)
        except Refusal as refusal:
            return await self._refuse(socket, refusal)
        except Exception as error:  # noqa: BLE001 - no traceback: it could hold what was sent
            _log.error("an event failed: %s", type(error).__name__)
            return await self._refuse(socket, Refusal(Code.INTERNAL))

    async def _session_request(self, socket: _Socket, data: object) -> None:
        requested = inbox.parse_requested(data)
        try:
            await self.access.resolve(socket.session)
        except Refusal:
            socket.confirming = socket.confirming or self.background.start(self._confirm_later(socket, requested))
            raise
        await self._confirm(socket, requested)

    async def _confirm(self, socket: _Socket, requested: inbox.Requested) -> None:
        self._check_own(socket, requested.session_id)
        level = None if requested.last_seq is None else await self._level(socket.session)
        conversation = socket.session.where

        async def join() -> None:
            await self._join(socket)
            await self.server.emit("session_confirm", conversation, to=socket.id)

        await self.deliveries.replay(conversation, requested.last_seq, socket.id, join, level)

    async def _level(self, session: Session) -> Level | None:
        """Return the session's level now, which falls by itself as time goes by; None: the core does not say."""
        try:
            return Level.of(await self.access.level(session))
        except (Refusal, KeyError):
            return None

    async def _confirm_later(self, socket: _Socket, requested: inbox.Requested) -> None:
        while self._sockets.get(socket.id) is socket:
            await asyncio.sleep(self.retry)
            with contextlib.suppress(Refusal):
                await self.access.resolve(socket.session)
                break
        socket.confirming = False
        try:
            await self._confirm(socket, requested)
        except Refusal as refusal:
            await self._refuse(socket, refusal)

    async def _user_uttered(self, socket: _Socket, data: object) -> Ack:
        self._count(socket, Kind.MESSAGE)
        uttered, session = inbox.parse_uttered(data), socket.session
        await self.access.resolve(session)
        self._check_own(socket, uttered.session_id)
        await self._join(socket)
        if uttered.id is not None and self.deliveries.is_known(session.where, uttered.id):
            return {"ok": True, "id": uttered.id}
        cleaned = inbox.clean(uttered.message, session.offered)
        if cleaned.reserved:
            self.turns.report(session, Event.GATEWAY_RESERVED_INTENT)
        job = functools.partial(self.turns.talk, session, session.where, cleaned.text, self.clock())
        self.lanes.submit(session.where, job)
        if uttered.id is not None:
            self.deliveries.remember(session.where, uttered.id)
        return {"ok": True, "id": uttered.id}

    async def _unknown(self, _event: str, name: str, *data: object) -> Ack | None:
        return await self._handle(_malformed, name, *data[:1])

    async def _broken(self, name: str) -> None:
        await self._handle(_malformed, name)

    # Helpers

    async def _join(self, socket: _Socket) -> None:
        if not socket.joined:
            socket.joined = True
            await self.server.enter_room(socket.id, room_of(socket.session.where))
            self.background.start(self.access.introduce(socket.session))
            if socket.session.news:
                self.background.start(self.turns.tell_news(socket.session))

    def _check_own(self, socket: _Socket, session_id: str | None) -> None:
        if session_id is not None and session_id != socket.session.conversation:
            self.turns.report(socket.session, Event.GATEWAY_FOREIGN_SESSION)
            raise Refusal(Code.FOREIGN_SESSION)

    def _count(self, socket: _Socket, kind: Kind) -> None:
        # A socket without a cookie is a session of its own, so its bound holds for it alone; the address's bound holds for all.
        if not self.limits.allow(kind, session=socket.session.sid, address=socket.address):
            socket.strikes += 1
            self.turns.report(socket.session, Event.GATEWAY_FLOOD, kind.value)
            raise Refusal(Code.TOO_FAST)

    async def _refuse(self, socket: _Socket, refusal: Refusal) -> Ack:
        if socket.strikes >= MAX_STRIKES:
            await self.server.disconnect(socket.id)
        await self.server.emit("chat_error", refusal.for_socket(), to=socket.id)
        return {"ok": False, **refusal.for_socket()}


async def _malformed(_socket: _Socket, data: object) -> Ack:
    raise Refusal(Code.BINARY if inbox.contains_binary(data) else Code.MALFORMED)
