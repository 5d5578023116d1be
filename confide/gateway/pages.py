"""The HTTP routes: the demo bank's page, signing in and out, and the cards' way past the chat."""

from __future__ import annotations

import json
import mimetypes
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from confide.gateway import sentences
from confide.gateway.access import Access
from confide.gateway.capabilities import Capabilities
from confide.gateway.cards import CardDesk, parse_submission
from confide.gateway.errors import Code, Refusal
from confide.gateway.limits import Kind, Limits
from confide.gateway.peers import CorePeer, PeerAway, PeerRefused
from confide.gateway.sessions import ANONYMOUS, GRACE, Session, Sessions, is_secret
from confide.gateway.sockets import COOKIE, MAX_TOKEN, Sockets

_MAX_FIELD = 128
Handler = Callable[[Request, dict[str, object]], Awaitable[Response]]


@dataclass(frozen=True)
class Pages:
    """Every route."""

    sessions: Sessions
    access: Access
    sockets: Sockets
    desk: CardDesk
    capabilities: Capabilities
    core: CorePeer
    limits: Limits
    #: The page's files by name.
    assets: Mapping[str, bytes] = field(repr=False)
    clock: Callable[[], float] = time.time

    def routes(self) -> list[Route]:
        """Return the routes for Starlette."""
        posts: dict[str, Handler] = {
            "/bank/sign-in": self._bank_sign_in, "/chat/sign-in": self._sign_in, "/chat/sign-out": self._sign_out,
            "/chat/card": self._card, "/demo/outbox": self._outbox,
        }
        return [
            Route("/health/live", self._live), Route("/", self._told(self._home)), Route("/chat/session", self._told(self._session)),
            Route("/demo/outbox", self._told(self._outbox_page), methods=["GET"]),
            *(Route(path, self._told(_post(handler)), methods=["POST"]) for path, handler in posts.items()),
            Route("/{name:path}", self._told(self._asset), methods=["GET"]),
        ]

    # Pages

    async def _live(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _home(self, request: Request) -> Response:
        response = self._file("index.html")
        secret = _secret(request)
        if secret is None and not _from_elsewhere(request):
            return _handed_out(self.sessions.begin(has_cookie=True), response)
        session = self._of(request)
        return _handed_out(session, response) if session else response

    async def _outbox_page(self, _request: Request) -> Response:
        return self._file("outbox.html")

    async def _asset(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        return self._file(name.removeprefix("demo/").removeprefix("assets/") if name not in self.assets else name)

    def _file(self, name: str) -> Response:
        content = self.assets.get(name)
        if content is None:
            raise Refusal(Code.NOT_FOUND)
        return Response(content, media_type=mimetypes.guess_type(name)[0] or "application/octet-stream")

    # Sessions

    async def _session(self, request: Request) -> Response:
        session = self._of(request)
        if session is None and _secret(request) is None and not _from_elsewhere(request):
            session = self.sessions.begin(has_cookie=True)
        if session is None:
            return JSONResponse({"level": ANONYMOUS})
        level = await self.access.level(session)
        return _handed_out(session, JSONResponse({"level": level}))

    async def _bank_sign_in(self, request: Request, body: dict[str, object]) -> Response:
        number, password = _field(body, "customer_number"), _field(body, "password")
        self._count(Kind.SIGN_IN, request, None)
        try:
            return JSONResponse(await self.core.bank_sign_in(number, password))
        except PeerRefused:
            raise Refusal(Code.LOGIN_REFUSED) from None

    async def _sign_in(self, request: Request, body: dict[str, object]) -> Response:
        token = _field(body, "login_token", MAX_TOKEN)
        session = self._of(request)
        self._count(Kind.SIGN_IN, request, session)
        session = session or self.sessions.begin(has_cookie=True)
        signed_in = await self.access.sign_in(session, token)
        return self._changed(session, JSONResponse({"level": signed_in.level, "kept": signed_in.kept}))

    async def _sign_out(self, request: Request, _body: dict[str, object]) -> Response:
        session = self._of(request)
        self._count(Kind.SIGN_IN, request, session)
        if session is None:
            return JSONResponse({})
        await self.access.sign_out(session)
        return self._changed(session, JSONResponse({}))

    # Cards and the demo's mails

    async def _card(self, request: Request, body: dict[str, object]) -> Response:
        submission, session = parse_submission(body), self._of(request)
        if session is None:
            raise Refusal(Code.NOT_FOUND, sentences.CARD_GONE)
        self._count(Kind.CARD, request, session)
        await self.access.resolve(session)
        answer = await self.desk.submit(session, submission)
        content: dict[str, Any] = {"outcome": answer.outcome, "text": answer.text}
        if answer.tries_left is not None:
            content["tries_left"] = answer.tries_left
        return JSONResponse(content)

    async def _outbox(self, request: Request, _body: dict[str, object]) -> Response:
        session = self._of(request)
        if session is None:
            raise Refusal(Code.LOGIN_REFUSED, sentences.SIGN_IN_FIRST)
        await self.access.resolve(session)
        try:
            mails = await self.core.bank_outbox(self.capabilities.sign(session))
        except PeerRefused as refused:
            await self.access.renew_ended(session, refused)
            raise Refusal(Code.LOGIN_REFUSED, sentences.SIGN_IN_FIRST) from None
        return JSONResponse({"mails": mails})

    # Helpers

    def _of(self, request: Request) -> Session | None:
        """Return the session of the request's cookie; a new one when its secret has been dead for long; None without one.

        A secret that died just now is a tab that has not heard of the new cookie: giving it another would overwrite the good one.
        """
        secret = _secret(request)
        session = self.access.of_cookie(secret)
        if session is None and secret is not None:
            died = self.sessions.died(secret)
            if died is not None and self.clock() - died > GRACE:
                return self.sessions.begin(has_cookie=True)
        return session

    def _count(self, kind: Kind, request: Request, session: Session | None) -> None:
        address = request.client.host if request.client else ""
        if not self.limits.allow(kind, session=session.sid if session else "", address=address):
            raise Refusal(Code.TOO_FAST)

    def _told(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return a route that tells a browser its newest secret with every answer, refusals too, until it shows that it knows it.

        After a proof the old secret still leads to the session; the answer that carried the new one may have been lost.
        """

        async def route(request: Request) -> Response:
            try:
                response = await handler(request)
            except Refusal as refusal:
                response = JSONResponse(refusal.for_http(), refusal.status)
            secret = _secret(request)
            session = self.sessions.find(secret) if secret is not None else None
            return _handed_out(session, response) if session else response

        return route

    def _changed(self, session: Session, response: Response) -> Response:
        return _ThenTell(_handed_out(session, response), lambda: self.sockets.tell_changed(session))


class _ThenTell(Response):
    """Tells the other tabs after the answer has left: they come back with the cookie that is in it."""

    def __init__(self, response: Response, tell: Callable[[], Awaitable[None]]) -> None:
        self._response, self._tell = response, tell
        self.raw_headers = response.raw_headers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            await self._tell()


def _post(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return a route that wants JSON: a form of another site cannot send that without asking first (CORS)."""

    async def route(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(Code.MALFORMED)
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise Refusal(Code.MALFORMED) from None
        if not isinstance(body, dict):
            raise Refusal(Code.MALFORMED)
        try:
            return await handler(request, body)
        except PeerAway:
            raise Refusal(Code.AWAY) from None

    return route


def _handed_out(session: Session, response: Response) -> Response:
    """Give the browser the secret that it has not shown yet, once in this answer."""
    if session.handout is not None and "set-cookie" not in response.headers:
        response.set_cookie(COOKIE, session.handout, path="/", secure=True, httponly=True, samesite="strict")
    return response


def _from_elsewhere(request: Request) -> bool:
    """Say whether another site led here: then our SameSite cookie stays behind, and the one the browser may hold must not be overwritten."""
    return request.headers.get("sec-fetch-site", "none") in {"cross-site", "same-site"}


def _secret(request: Request) -> str | None:
    value = request.cookies.get(COOKIE)
    return value if is_secret(value) else None


def _field(body: Mapping[str, object], name: str, longest: int = _MAX_FIELD) -> str:
    value = body.get(name)
    # No control characters and no half characters (lone surrogates): a database or an encoder further on would stumble.
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Refusal(Code.MALFORMED)
    if len(value) > longest:
        raise Refusal(Code.TOO_LONG)
    return value
