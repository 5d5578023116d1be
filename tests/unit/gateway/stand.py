"""A stand for the gateway: the real application on a real socket, between a fake Rasa and a fake core that check every signature."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import socketio
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from confide.gateway.aftermath import Patience
from confide.gateway.app import Tuning, build
from confide.gateway.main import configure
from confide.gateway.peers import CorePeer, Peer, RasaPeer
from confide.gateway.sessions import derive_sid
from confide.gateway.sockets import COOKIE
from confide.gateway.turns import Timing
from confide.identity.capability import Capability, CapabilityIssuer, CapabilityRefused, CapabilityVerifier
from confide.internal.signing import Signer, Unauthenticated, Verifier

RASA_KEY, CORE_KEY = b"r" * 32, b"c" * 32
#: Seconds after which a test that waits has failed.
PATIENCE = 15.0
QUICK = Tuning(timing=Timing(progress=60.0, progress_at_least=60.0), patience=Patience(pauses=(0.05,), give_up=600.0))
CARD = "A" * 26


class _Server(uvicorn.Server):
    """A server that leaves the test runner's signal handlers alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Served:
    """An application on a loopback port that can be stopped and started again on the same port."""

    config: Callable[[], uvicorn.Config]
    port: int = 0
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listener = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio turns Nagle off for sockets that name TCP
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = _Server(self.config())
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
            self._server = self._task = None


def _peer_config(app: Any) -> Callable[[], uvicorn.Config]:
    return lambda: uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)


@dataclass
class Turn:
    """What reached Rasa."""

    conversation: str
    text: str
    capability: Capability
    metadata: dict[str, Any]


Script = Callable[[Turn], Awaitable[Any]]


async def echo(turn: Turn) -> dict[str, Any]:
    """Rasa's answer unless a test says otherwise."""
    return {"messages": [{"recipient_id": turn.conversation, "text": f"You said: {turn.text}"}], "failed": None}


def says(*messages: dict[str, Any], failed: str | None = None) -> Script:
    """Return a script that answers with these messages."""

    async def script(_turn: Turn) -> dict[str, Any]:
        return {"messages": list(messages), "failed": failed}

    return script


@dataclass
class FakeRasa:
    """Rasa's channel, scripted."""

    verifier: Verifier
    capabilities: CapabilityVerifier
    script: Script = echo
    turns: list[Turn] = field(default_factory=list)

    async def webhook(self, request: Request) -> Response:
        body = await request.body()
        try:
            assert self.verifier.verify("POST", request.url.path, body, dict(request.headers)) == "gateway"
        except Unauthenticated:
            return JSONResponse({"error": "unauthenticated"}, 401)
        content = await request.json()
        capability = self.capabilities.verify(content["metadata"]["capability"])
        turn = Turn(content["conversation"], content["text"], capability, content["metadata"])
        self.turns.append(turn)
        answer = await self.script(turn)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @property
    def texts(self) -> list[str]:
        return [turn.text for turn in self.turns]

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/webhooks/confide/webhook", self.webhook, methods=["POST"])])


@dataclass
class CoreSession:
    """A session as the core keeps it."""

    conversation: str
    level: str = "anonymous"
    ended: bool = False


@dataclass
class FakeCore:
    """The private API of the actions, with the rules about sessions and turns that the gateway must live with."""

    verifier: Verifier
    capabilities: CapabilityVerifier
    sessions: dict[str, CoreSession] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    acts: list[dict[str, Any]] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)
    outcomes: list[int] = field(default_factory=list)
    #: Paths that were called.
    calls: list[str] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=lambda: {"outcome": "nothing"})
    #: What a card's act answers; `rotate` moves the session to the new id.
    answer: dict[str, Any] = field(default_factory=lambda: {"outcome": "accepted", "text": "Thank you.", "resume": True})
    rotate: bool = True
    kept: bool = True
    #: What a session that is taken up again is to hear.
    news: list[str] = field(default_factory=list)
    #: The session that an id from before a proof stands for, until the new id is first seen.
    previous: dict[str, str] = field(default_factory=dict)
    #: Paths that do what they should, but whose answer is lost.
    lost: set[str] = field(default_factory=set)
    #: Paths that answer with this status instead.
    broken: dict[str, int] = field(default_factory=dict)
    #: Paths that do not answer until the event is set.
    hanging: dict[str, asyncio.Event] = field(default_factory=dict)

    async def handle(self, request: Request) -> Response:
        body, path = await request.body(), request.url.path
        self.calls.append(path)
        if path in self.hanging:
            await self.hanging[path].wait()
        try:
            assert self.verifier.verify(request.method, path, body, dict(request.headers)) == "gateway"
        except Unauthenticated:
            return JSONResponse({"error": "unauthenticated"}, 401)
        if path in self.broken:
            return JSONResponse({"error": "away"}, self.broken[path])
        if path == "/health/ready":
            return JSONResponse({"database": "ok", "keystore": "ok", "policy": "ok"})
        content = await request.json()
        try:
            answer = self._answer(path.removeprefix("/core/"), content)
            return JSONResponse({"error": "away"}, 503) if path in self.lost else answer
        except CapabilityRefused:
            return JSONResponse({"error": "capability_refused"}, 403)

    def _answer(self, path: str, body: dict[str, Any]) -> Response:
        if path == "session/resume":
            found = self.sessions.get(self.previous.get(body["session"], body["session"]))
            if found is None or found.ended:
                return JSONResponse({"error": "not_found"}, 404)
            turn = self.newest[found.conversation] = self.newest.get(found.conversation, 0) + 1
            return JSONResponse({"conversation": found.conversation, "level": found.level, "turn": turn, "news": self.news})
        if path == "bank/sign-in":
            if body["password"] != "sesame":
                return JSONResponse({"error": "login_refused"}, 401)
            return JSONResponse({"login_token": "good-token", "name": "Ada Example"})
        capability = self._speaker(body["capability"], any_turn=path == "turn/outcome")
        handlers = {
            "session/sign-in": self._sign_in, "session/sign-out": self._sign_out, "cards/show": self._show, "cards/act": self._act,
            "reveal": self._reveal, "turn/outcome": self._outcome, "session/state": self._state, "report": self._report, "bank/outbox": self._outbox,
        }
        return handlers[path](capability, body)

    def _speaker(self, token: object, any_turn: bool) -> Capability:
        capability = self.capabilities.verify(token)
        if capability.session in self.previous:
            capability = dataclasses.replace(capability, session=self.previous[capability.session])
        else:
            self.previous = {old: new for old, new in self.previous.items() if new != capability.session}
        session = self.sessions.get(capability.session)
        if session is None:
            if any(known.conversation == capability.conversation for known in self.sessions.values()):
                raise CapabilityRefused
            session = self.sessions[capability.session] = CoreSession(capability.conversation)
        if session.ended or session.conversation != capability.conversation:
            raise CapabilityRefused
        if not any_turn:
            if self.newest.get(capability.conversation, 0) > capability.turn:
                raise CapabilityRefused
            self.newest[capability.conversation] = capability.turn
        return capability

    def _sign_in(self, capability: Capability, body: dict[str, Any]) -> Response:
        if body["login_token"] != "good-token":
            return JSONResponse({"error": "login_refused"}, 401)
        self.sessions[capability.session].ended = True
        conversation = capability.conversation if self.kept else body["new_conversation"]
        self.sessions[body["new_session"]] = CoreSession(conversation, "identified")
        return JSONResponse({"conversation": conversation, "level": "identified", "kept": self.kept})

    def _sign_out(self, capability: Capability, body: dict[str, Any]) -> Response:
        self.sessions[capability.session].ended = True
        self.sessions[body["new_session"]] = CoreSession(body["new_conversation"])
        return JSONResponse({"conversation": body["new_conversation"]})

    def _show(self, _capability: Capability, body: dict[str, Any]) -> Response:
        card = self.cards.get(body["ref"])
        return JSONResponse(card) if card else JSONResponse({"error": "not_found"}, 404)

    def _act(self, capability: Capability, body: dict[str, Any]) -> Response:
        self.acts.append(body)
        if body["ref"] not in self.cards:
            return JSONResponse({"error": "not_found"}, 404)
        session = capability.session
        if self.rotate:
            self.sessions[body["new_session"]], self.previous[session] = self.sessions.pop(session), body["new_session"]
            session = body["new_session"]
        return JSONResponse({"resume": False, **self.answer, "session": session})

    def _reveal(self, _capability: Capability, body: dict[str, Any]) -> Response:
        assert len(body["tokens"]) <= 50
        return JSONResponse({"values": {token: self.values[token] for token in body["tokens"] if token in self.values}})

    def _outcome(self, capability: Capability, _body: dict[str, Any]) -> Response:
        self.outcomes.append(capability.turn)
        return JSONResponse(self.outcome)

    def _state(self, capability: Capability, _body: dict[str, Any]) -> Response:
        return JSONResponse({"level": self.sessions[capability.session].level})

    def _report(self, _capability: Capability, body: dict[str, Any]) -> Response:
        self.reports.append((body["event"], body["detail"]))
        return JSONResponse({})

    def _outbox(self, capability: Capability, _body: dict[str, Any]) -> Response:
        if self.sessions[capability.session].level == "anonymous":
            return JSONResponse({"error": "login_refused"}, 401)
        return JSONResponse({"mails": [{"at": 1, "subject": "Hello", "body": "You signed in."}]})

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.handle, methods=["GET", "POST"])])


@dataclass
class Chat:
    """One tab: the official client, its events kept as they come."""

    client: socketio.AsyncClient
    url: str
    headers: dict[str, str]
    got: dict[str, list[Any]] = field(default_factory=dict)
    _read: dict[str, int] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def connect(self, auth: dict[str, Any] | None = None, transport: str = "websocket") -> None:
        self.client.on("*", self._keep)
        await self.client.connect(self.url, headers=self.headers, auth=auth, transports=[transport], wait_timeout=PATIENCE)

    async def _keep(self, event: str, data: Any = None) -> None:
        async with self._changed:
            self.got.setdefault(event, []).append(data)
            self._changed.notify_all()

    async def next(self, event: str) -> Any:
        """Return the next unread event of that name."""
        index = self._read.get(event, 0)
        async with self._changed, asyncio.timeout(PATIENCE):
            await self._changed.wait_for(lambda: len(self.got.get(event, ())) > index)
        self._read[event] = index + 1
        return self.got[event][index]

    async def texts(self, count: int) -> list[str]:
        """Return the texts of the next `count` bot messages."""
        return [(await self.next("bot_uttered")).get("text", "") for _ in range(count)]

    async def open(self, **request: Any) -> str:
        """Ask for the session; return its name."""
        await self.client.emit("session_request", request)
        name: str = await self.next("session_confirm")
        return name

    async def say(self, message: Any, **more: Any) -> dict[str, Any]:
        """Send a message; return the acknowledgement."""
        return await self.call("user_uttered", {"message": message, **more})

    async def call(self, event: str, *data: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.client.call(event, data if len(data) != 1 else data[0], timeout=PATIENCE)
        return answer

    async def close(self) -> None:
        await self.client.disconnect()


@dataclass
class Stand:
    """Everything together."""

    rasa: FakeRasa
    core: FakeCore
    key: Ed25519PrivateKey
    assets: Path
    tuning: Tuning
    gateway: Served
    rasa_server: Served
    core_server: Served
    chats: list[Chat] = field(default_factory=list)
    #: Paths of the requests that have reached the gateway.
    paths: list[str] = field(default_factory=list)
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=PATIENCE))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def received(self, path: str) -> bool:
        """Say whether a request for `path` has reached the gateway."""
        return path in self.paths

    async def chat(self, secret: str | None = None, *, auth: dict[str, Any] | None = None, **options: Any) -> Chat:
        """Return a connected tab with this cookie."""
        headers = {"Origin": self.url} | ({"Cookie": f"{COOKIE}={secret}"} if secret else {})
        chat = Chat(socketio.AsyncClient(reconnection=False), self.url, headers)
        self.chats.append(chat)
        await chat.connect(auth, **options)
        return chat

    async def visit(self) -> str:
        """Open the page as a new browser; return the cookie's secret."""
        return self.secret_in(await self.http.get(self.url + "/"))

    async def post(self, path: str, body: Any, secret: str | None = None, **headers: str) -> httpx.Response:
        own = {"Origin": self.url, "Content-Type": "application/json"} | ({"Cookie": f"{COOKIE}={secret}"} if secret else {})
        return await self.http.post(self.url + path, content=json.dumps(body), headers=own | headers)

    async def get(self, path: str, secret: str | None = None, **headers: str) -> httpx.Response:
        sent = ({"Cookie": f"{COOKIE}={secret}"} if secret else {}) | headers
        return await self.http.get(self.url + path, headers=sent)

    def secret_in(self, response: httpx.Response) -> str:
        """Return the secret of a response's cookie."""
        name, _, rest = response.headers["set-cookie"].partition("=")
        assert name == COOKIE
        return str(rest.partition(";")[0])

    def session(self, secret: str) -> CoreSession:
        """Return what the core knows of the session of a secret."""
        return self.core.sessions[derive_sid(secret)]


def _gateway_config(stand: Stand) -> uvicorn.Config:
    app = _gateway_app(stand)

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        stand.paths.append(scope.get("path", ""))
        await app(scope, receive, send)

    config = configure(noted, "127.0.0.1", 0, None, None)
    config.timeout_graceful_shutdown = 1
    return config


def _gateway_app(stand: Stand) -> Any:
    rasa = Peer(f"http://127.0.0.1:{stand.rasa_server.port}", Signer("gateway", RASA_KEY))
    core = Peer(f"http://127.0.0.1:{stand.core_server.port}", Signer("gateway", CORE_KEY))
    return build(
        rasa=RasaPeer(rasa), core=CorePeer(core, outcome_patience=1.0, probe_patience=0.5), issuer=CapabilityIssuer(stand.key),
        origins=[f"http://127.0.0.1:{stand.gateway.port}"], assets=stand.assets, tuning=stand.tuning,
    )


@contextlib.asynccontextmanager
async def open_stand(assets: Path, tuning: Tuning = QUICK) -> AsyncIterator[Stand]:
    """Start the three processes' applications; stop them at the end."""
    key = Ed25519PrivateKey.generate()
    verifier = CapabilityVerifier(key.public_key())
    rasa, core = FakeRasa(Verifier({"gateway": RASA_KEY}), verifier), FakeCore(Verifier({"gateway": CORE_KEY}), verifier)
    (assets / "index.html").write_text("<!doctype html><title>Harbour Bank</title>")
    (assets / "outbox.html").write_text("<!doctype html><title>Outbox</title>")
    (assets / "page.js").write_text("// page")
    (assets / "chat-0123abcd.js").write_text("// hashed")
    stand = Stand(
        rasa, core, key, assets, tuning, Served(lambda: _gateway_config(stand)),
        Served(_peer_config(rasa.app())), Served(_peer_config(core.app())),
    )
    servers = (stand.rasa_server, stand.core_server, stand.gateway)
    try:
        for server in servers:
            await server.start()
        yield stand
    finally:
        await asyncio.gather(*(chat.close() for chat in stand.chats))
        await stand.http.aclose()
        await asyncio.gather(*(server.stop() for server in servers))
