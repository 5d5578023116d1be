"""A stand-in for the gateway: the browser's side of docs/protocol.md over http on loopback, for the widget's tests only.

It has no model and no core. A message asks for what the test wants to see (`confirm`, `qr`, `links`, …); the connection can be
cut, refused and healed at will. Everything that arrives is kept for the test to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import segno
import socketio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DIST = Path(__file__).parents[2] / "webchat" / "dist"
COOKIE = "__Host-confide"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' wss:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
CUSTOMER = ("10001", "a-long-demo-password")
GOOD_CODE, WAIT_CODE, DEAD_CODE = "314159", "222222", "333333"
CARD_LIFE = 300
QR = segno.make_qr("otpauth://totp/Stand-in", error="m")
KEY = "MZXW 6YTB OI5G C3TD"

T = TypeVar("T")


@dataclass
class Talk:
    """One conversation as the gateway would hold it."""

    conversation: str = field(default_factory=lambda: secrets.token_hex(16))
    level: str = "anonymous"
    sent: list[dict[str, Any]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


def qr_path(code: segno.QRCode, border: int = 4) -> dict[str, Any]:
    """The card's `qr`: one 1x1 square a dark module, the quiet zone inside the grid."""
    rows = enumerate(code.matrix)
    squares = [f"M{x + border} {y + border}h1v1h-1z" for y, row in rows for x, dark in enumerate(row) if dark]
    return {"size": len(code.matrix) + 2 * border, "path": "".join(squares)}


def card(kind: str, life: int = CARD_LIFE) -> dict[str, Any]:
    """A card of section 6 with an input that lives for `life` seconds."""
    label = "Code your app shows" if kind == "qr" else "Code from your authenticator app"
    made: dict[str, Any] = {
        "type": kind,
        "ref": secrets.token_hex(13),
        "text": f"A {kind} card. Open this chat on our site.",
        "input": {"kind": "totp", "label": label, "length": 6},
        "expires_at": int(time.time()) + life,
        "cancel": True,
    }
    if kind == "confirm":
        made["title"] = "Pay €520.00 to Maria Huber"
        made["lines"] = [
            {"label": "To", "value": "Maria Huber"},
            {"label": "Account", "value": "DE89 3704 0044 0532 0130 00"},
            {"label": "Reference", "value": "rent november"},
        ]
    elif kind == "qr":
        made |= {"title": "Add this to your authenticator app", "qr": qr_path(QR), "key": KEY}
    else:
        made["title"] = "Type the code from your app"
    return made


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "hello": [
        {
            "text": "Hi, I'm the assistant of Harbour Bank. What can I do for you?",
            "quick_replies": [
                {"content_type": "text", "title": "My balance", "payload": "/check_balance"},
                {"content_type": "text", "title": "Sign in", "payload": "#sign-in"},
            ],
        }
    ],
    "receipt": [{"type": "receipt", "ref": "r" * 26, "text": "Your receipt is R-7Q2F-11."}],
    "consent": [{"type": "consent", "ref": "c" * 26, "text": "May we keep this talk? Answer on our site.", "title": "Consent"}],
    "links": [{"text": "See https://bank.example/help. Not javascript:alert(1), not http://plain.example, but mailto:help@bank.example"}],
    "markup": [
        {"text": "<img src=x onerror=alert(1)><b>bold</b>", "attachment": {"type": "image", "payload": {"src": "data:text/html,x"}}}
    ],
    "empty": [{"type": "mystery"}],
    "two": [
        {"text": "First part.", "quick_replies": [{"content_type": "text", "title": "Go on", "payload": "/affirm"}]},
        {"text": "Second part."},
    ],
}


class StandIn:
    """The server and what it saw; the methods are called from the test's thread."""

    def __init__(self) -> None:
        self.origin = ""
        # Rare pings: a test that turns the clock forward must not look like a dead connection.
        self._sio = socketio.AsyncServer(async_mode="asgi", ping_interval=3600)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        for event in (self._connect, self._session_request, self._user_uttered):
            self._sio.on(event.__name__.removeprefix("_"), event)
        self.reset()

    def reset(self) -> None:
        """Forget every visit so far."""
        self.talks: dict[str, Talk] = {}
        self.cards: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.away = False
        self.lose_acks = 0
        self.lose_card_answers = False
        self.card_life = CARD_LIFE

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop and wait for it."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @property
    def talk(self) -> Talk:
        """The newest conversation."""
        return list(self.talks.values())[-1]

    def utter(self, *messages: dict[str, Any]) -> None:
        """Say something in the newest conversation; who is away gets it later."""
        self.call(self._say(self.talk, *messages))

    def emit(self, event: str, data: object) -> None:
        """Send any event to the newest conversation."""
        self.call(self._sio.emit(event, data, room=self.talk.conversation))

    def cut(self, away: bool = False) -> None:
        """Break every connection without a goodbye; `away`: and accept none until `heal`."""
        self.away = away
        self.call(self._cut())

    def dismiss(self) -> None:
        """Say goodbye to every client, as a server does that stops."""
        self.call(self._dismiss())

    def heal(self) -> None:
        """Accept connections again."""
        self.away = False

    async def _cut(self) -> None:
        assert self._server is not None
        for connection in list(self._server.server_state.connections):
            if "WebSocket" in type(connection).__name__:
                connection.transport.abort()

    async def _dismiss(self) -> None:
        for sid, _ in list(self._sio.manager.get_participants("/", None)):
            await self._sio.disconnect(sid)

    async def _say(self, talk: Talk, *messages: dict[str, Any]) -> None:
        for message in messages:
            numbered = {"seq": len(talk.sent) + 1, **message}
            talk.sent.append(numbered)
            await self._sio.emit("bot_uttered", numbered, room=talk.conversation)

    # -- socket.io ---------------------------------------------------------------------------------------------------

    async def _connect(self, sid: str, environ: dict[str, Any]) -> None:
        cookies = dict(part.strip().split("=", 1) for part in environ.get("HTTP_COOKIE", "").split(";") if "=" in part)
        talk = self.talks.get(cookies.get(COOKIE, ""))
        if talk is None:
            raise socketio.exceptions.ConnectionRefusedError("no session")
        await self._sio.save_session(sid, {"talk": talk})
        await self._sio.enter_room(sid, talk.conversation)

    async def _session_request(self, sid: str, data: dict[str, Any]) -> None:
        self.requests.append(data)
        talk: Talk = (await self._sio.get_session(sid))["talk"]
        if data.get("session_id") not in (None, talk.conversation):
            await self._sio.emit("chat_error", {"code": "foreign_session", "text": "That is another talk."}, to=sid)
            return
        await self._sio.emit("session_confirm", talk.conversation, to=sid)
        for message in talk.sent[data.get("last_seq", 0) :]:
            await self._sio.emit("bot_uttered", message, to=sid)

    async def _user_uttered(self, sid: str, data: dict[str, Any]) -> dict[str, Any]:
        talk: Talk = (await self._sio.get_session(sid))["talk"]
        self.deliveries.append(data)
        if data["message"] == "too fast":
            refusal = {"code": "too_fast", "text": "That was a bit fast. Wait a moment."}
            await self._sio.emit("chat_error", refusal, to=sid)
            return {"ok": False, "id": data["id"], **refusal}
        if data["id"] not in talk.seen:
            talk.seen.append(data["id"])
            await self._answer(talk, data["message"])
        if self.lose_acks:
            self.lose_acks -= 1
            await self._cut()
        return {"ok": True, "id": data["id"]}

    async def _answer(self, talk: Talk, text: str) -> None:
        if text == "think":
            await self._sio.emit("bot_typing", {"on": True}, room=talk.conversation)
        elif text in ("confirm", "secure_input", "qr"):
            await self._say(talk, card(text, self.card_life))
        else:
            await self._say(talk, *ANSWERS.get(text, [{"text": f"You said: {text[:40]}"}]))

    # -- http --------------------------------------------------------------------------------------------------------

    def _renew(self, response: Response, talk: Talk, old: str = "") -> Response:
        self.talks.pop(old, None)
        secret = secrets.token_urlsafe(32)
        self.talks[secret] = talk
        response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict")
        return response

    async def _index(self, request: Request) -> Response:
        response = FileResponse(DIST / "index.html")
        return response if request.cookies.get(COOKIE) in self.talks else self._renew(response, Talk())

    async def _outbox_page(self, _request: Request) -> Response:
        return FileResponse(DIST / "outbox.html")

    async def _asset(self, request: Request) -> Response:
        path = DIST / request.path_params["name"]
        return FileResponse(path) if path.is_file() else Response(status_code=404)

    async def _bank_sign_in(self, request: Request) -> Response:
        body = await request.json()
        if (body["customer_number"], body["password"]) != CUSTOMER:
            return JSONResponse({"error": "login_refused", "text": "That did not match."}, 401)
        return JSONResponse({"login_token": "token-of-the-stand-in", "name": "Ada Winter"})

    async def _chat_sign_in(self, request: Request) -> Response:
        secret = request.cookies[COOKIE]
        talk = self.talks[secret]
        talk.level = "identified"
        return self._renew(JSONResponse({"level": talk.level, "kept": True}), talk, secret)

    async def _chat_sign_out(self, request: Request) -> Response:
        return self._renew(JSONResponse({}), Talk(), request.cookies[COOKIE])

    async def _session(self, request: Request) -> Response:
        return JSONResponse({"level": self.talks[request.cookies[COOKIE]].level})

    async def _card(self, request: Request) -> Response:
        body = await request.json()
        self.cards.append(body)
        talk = self.talks[request.cookies[COOKIE]]
        if self.lose_card_answers:
            return Response("not json", 502)
        if body["act"] == "cancel":
            return await self._close(talk, body["ref"], "cancelled", "All right, nothing was sent.")
        if body["value"] == GOOD_CODE:
            return await self._close(talk, body["ref"], "accepted", "Done. €520.00 is on its way.")
        if body["value"] == DEAD_CODE:
            return JSONResponse({"outcome": "closed", "text": "No tries are left for this one."})
        if body["value"] == WAIT_CODE:
            return JSONResponse({"outcome": "wait", "text": "Wait 30 seconds before the next try."})
        sentence = "That code didn't work. Use the next one your app shows. Four tries left."
        return JSONResponse({"outcome": "refused", "text": sentence, "tries_left": 4})

    async def _close(self, talk: Talk, ref: str, state: str, sentence: str) -> Response:
        await self._sio.emit("card_update", {"ref": ref, "state": state}, room=talk.conversation)
        await self._say(talk, {"text": sentence})
        return JSONResponse({"outcome": state, "text": sentence})

    async def _outbox(self, request: Request) -> Response:
        if self.talks[request.cookies[COOKIE]].level == "anonymous":
            return JSONResponse({"error": "login_refused", "text": "Sign in first."}, 401)
        return JSONResponse({"mails": [{"at": 1_790_000_000, "subject": "Two-factor is on", "body": "If this wasn't you, call us."}]})

    def app(self) -> ASGIApp:
        """The whole ASGI application."""
        routes = [
            Route("/", self._index),
            Route("/demo/outbox", self._outbox_page),
            Route("/demo/outbox", self._outbox, methods=["POST"]),
            Route("/bank/sign-in", self._bank_sign_in, methods=["POST"]),
            Route("/chat/sign-in", self._chat_sign_in, methods=["POST"]),
            Route("/chat/sign-out", self._chat_sign_out, methods=["POST"]),
            Route("/chat/session", self._session),
            Route("/chat/card", self._card, methods=["POST"]),
            Route("/{name}", self._asset),
        ]
        return self._guarded(socketio.ASGIApp(self._sio, Starlette(routes=routes)))

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        async def with_policy(scope: Scope, receive: Receive, send: Send) -> None:
            if self.away and scope.get("path", "").startswith("/socket.io"):
                await _refuse(scope, receive, send)
                return

            async def send_with_policy(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message.setdefault("headers", [])
                    message["headers"] = [*message["headers"], (b"content-security-policy", CSP.encode())]
                await send(message)

            await app(scope, receive, send_with_policy)

        return with_policy

    @contextlib.contextmanager
    def running(self) -> Iterator[StandIn]:
        """Serve on a free port of loopback until the block ends; `origin` says where."""
        ready = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(self.app(), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
            server = self._server = _Server(config, self, ready)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            assert ready.wait(10), "the stand-in did not start"
            # "localhost" is a secure context, so Secure cookies and crypto.randomUUID work without TLS.
            self.origin = f"http://localhost:{listener.getsockname()[1]}"
            try:
                yield self
            finally:
                server.should_exit = server.force_exit = True
                thread.join(10)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stand_in: StandIn, ready: threading.Event) -> None:
        super().__init__(config)
        self._stand_in, self._ready = stand_in, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._stand_in._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._ready.set()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
        return
    await Response(status_code=503)(scope, receive, send)
