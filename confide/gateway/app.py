"""The gateway as one ASGI application: routes, sockets, and the fences around them (docs/protocol.md section 5)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import socketio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from confide.gateway.access import Access
from confide.gateway.aftermath import Aftermath, Patience
from confide.gateway.background import Background
from confide.gateway.capabilities import DEADLINE, Capabilities
from confide.gateway.cards import CardDesk
from confide.gateway.completion import Completion
from confide.gateway.delivery import Deliveries
from confide.gateway.edge import BodyFence, CrowdFence, OriginFence, SecurityHeaders
from confide.gateway.errors import Code, Refusal
from confide.gateway.lanes import Lanes
from confide.gateway.limits import DEFAULT_RATES, Kind, Limits, Rates
from confide.gateway.pages import Pages
from confide.gateway.peers import CorePeer, RasaPeer
from confide.gateway.server import make_server
from confide.gateway.sessions import Session, Sessions
from confide.gateway.sockets import Sockets
from confide.gateway.turns import Timing, Turns
from confide.identity.capability import CapabilityIssuer


@dataclass(frozen=True)
class Tuning:
    """What a test or a larger machine may want otherwise."""

    timing: Timing = field(default_factory=Timing)
    patience: Patience = field(default_factory=Patience)
    deadline: float = DEADLINE
    rates: dict[Kind, Rates] = field(default_factory=lambda: dict(DEFAULT_RATES))


def build(
    *, rasa: RasaPeer, core: CorePeer, issuer: CapabilityIssuer, origins: Collection[str], assets: Path,
    clock: Callable[[], float] = time.time, random_bytes: Callable[[int], bytes] = os.urandom, tuning: Tuning | None = None,
) -> ASGIApp:
    """Return the application. Its connections to the peers open with its lifespan."""
    tuning = tuning or Tuning()
    server = make_server(list(origins))

    async def emit(event: str, payload: Any, room: str) -> None:
        await server.emit(event, payload, to=room)

    limits, lanes, background, deliveries = Limits(clock, tuning.rates), Lanes(), Background(), Deliveries(emit, clock)
    sessions = Sessions(clock, random_bytes, on_gone=lambda session: _forget(deliveries, session))
    capabilities = Capabilities(issuer, clock, tuning.deadline)
    completion = Completion(core, capabilities, deliveries)
    sockets = Sockets(server, sessions, deliveries, lanes, limits, background, clock)
    access = Access(sessions, core, capabilities, sockets.moved, sockets.tell_changed)
    aftermath = Aftermath(core, capabilities, completion, background, access, tuning.patience, clock)
    turns = Turns(rasa, core, capabilities, deliveries, completion, aftermath, background, limits, access, tuning.timing, clock)
    sockets.attach(access, turns)
    desk = CardDesk(core, sessions, capabilities, lanes, deliveries, turns, clock)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        peers = (rasa.peer, core.peer)
        for peer in peers:
            peer.open()
        background.start(deliveries.keep_sweeping())
        try:
            yield
        finally:
            await server.shutdown()
            for part in (lanes, background, *peers):
                await part.close()

    pages = Pages(sessions, access, sockets, desk, capabilities, core, limits, _read_assets(assets), clock)
    app = Starlette(routes=pages.routes(), lifespan=lifespan, exception_handlers={HTTPException: _http_error, Refusal: _refused})
    return _fenced(socketio.ASGIApp(server, app), limits, origins)


def _fenced(app: ASGIApp, limits: Limits, origins: Collection[str]) -> ASGIApp:
    # From the outside in: headers on everything; the cheap refusals before a body is read.
    return SecurityHeaders(CrowdFence(OriginFence(BodyFence(app), origins), limits), origins)


def _forget(deliveries: Deliveries, session: Session) -> None:
    if session.conversation is not None:
        deliveries.forget(session.conversation)


def _read_assets(folder: Path) -> dict[str, bytes]:
    """Return the page's files by name; a request is looked up here and never reaches the file system."""
    if not folder.is_dir():
        return {}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    refusal = Refusal(Code.NOT_FOUND if status == 404 else Code.MALFORMED)
    return JSONResponse(refusal.for_http(), status)


async def _refused(_request: Request, error: Exception) -> Response:
    refusal = error if isinstance(error, Refusal) else Refusal(Code.INTERNAL)
    return JSONResponse(refusal.for_http(), refusal.status)
