"""Signed calls to Rasa and to the actions (docs/protocol.md sections 1, 3 and 4): keep-alive, bounded in time and size.

Exceptions carry the peer's name and a status at most: a body or a request could hold what a customer wrote.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from confide.internal.signing import Signer

#: Bytes of an answer at most.
MAX_ANSWER = 1_000_000
#: Seconds an idle connection is kept; below what the servers keep, so that a call never meets one that is closing.
_KEEP_ALIVE = 4.0
_CONNECTIONS = 200


class PeerError(Exception):
    """A call did not give what was asked."""


class PeerAway(PeerError):
    """No connection, no answer in time, a 5xx, or an answer that cannot be read. Whether the call had an effect is not known."""


class PeerRefused(PeerError):
    """The peer understood and said no: a 4xx."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"refused: {status}")
        self.status = status
        self.code = code


@dataclass
class Peer:
    """One process we call. `open` before the first call, `close` at the end."""

    url: str
    signer: Signer = field(repr=False)
    _http: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)

    def open(self) -> None:
        """Make the connection pool; needs a running event loop."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, headers={"Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._http is not None:
            await self._http.close()

    async def post(self, path: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Return the JSON object that the peer answers within `seconds`. Raises PeerAway, PeerRefused."""
        return await self._call("POST", path, json.dumps(body).encode(), seconds)

    async def get(self, path: str, seconds: float) -> dict[str, Any]:
        """Like `post`, without a body."""
        return await self._call("GET", path, b"", seconds)

    async def _call(self, method: str, path: str, body: bytes, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                status, content = await self._exchange(method, path, body)
        except (TimeoutError, aiohttp.ClientError, OSError):
            raise PeerAway("no answer") from None
        answer = _object(content)
        if 400 <= status < 500:
            raise PeerRefused(status, str((answer or {}).get("error", ""))[:64])
        if status != 200 or answer is None:
            raise PeerAway(f"status {status}")
        return answer

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._http is None:
            raise PeerAway("not open")
        headers = self.signer.headers(method, path, body) | ({"Content-Type": "application/json"} if body else {})
        async with self._http.request(method, self.url + path, data=body, headers=headers, allow_redirects=False) as response:
            content = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                content += chunk
                if len(content) > MAX_ANSWER:
                    raise PeerAway("answer too large")
            return response.status, bytes(content)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


@dataclass(frozen=True)
class RasaAnswer:
    """What Rasa made of a message; `failed` says that a call to the actions failed in this turn."""

    messages: list[object]
    failed: bool


@dataclass(frozen=True)
class RasaPeer:
    """Rasa's private channel."""

    peer: Peer

    async def answer(self, conversation: str, text: str, capability: str, seconds: float) -> RasaAnswer:
        """Run one turn. Raises PeerAway, PeerRefused."""
        body = {"conversation": conversation, "text": text, "metadata": {"capability": capability}}
        answer = await self.peer.post("/webhooks/confide/webhook", body, seconds)
        messages = answer.get("messages")
        if not isinstance(messages, list):
            raise PeerAway("unreadable")
        return RasaAnswer(messages, failed=answer.get("failed") is not None)


@dataclass(frozen=True)
class Outcome:
    """How a turn ended, as the core made sure of it."""

    done: bool
    text: str


@dataclass(frozen=True)
class Resumed:
    """Where a session goes on after a restart of the gateway."""

    conversation: str
    level: str
    #: No older turn can commit anything any more.
    turn: int
    #: Sentences about what was done lately, and about an act that is proved and waits.
    news: list[str] = field(repr=False)


@dataclass(frozen=True)
class SignedIn:
    """Where the session goes on after a sign-in."""

    conversation: str
    level: str
    kept: bool


@dataclass(frozen=True)
class CardAnswer:
    """What became of a card; `session` is the session's id from then on."""

    outcome: str
    text: str
    session: str
    resume: bool
    tries_left: int | None


@dataclass(frozen=True)
class CorePeer:
    """The private API of the actions. Every method raises PeerAway and PeerRefused; times are seconds."""

    peer: Peer
    #: For calls a customer waits for.
    patience: float = 4.0
    #: For the question how a turn ended, and whether the core is there at all.
    outcome_patience: float = 3.0
    probe_patience: float = 0.7

    async def is_there(self) -> bool:
        """Say whether the core answers and can use its database and keys."""
        try:
            return "away" not in (await self.peer.get("/health/ready", self.probe_patience)).values()
        except PeerRefused:
            return True  # it answered
        except PeerAway:
            return False

    async def resume(self, session: str) -> Resumed | None:
        """Return where a session that the core knows goes on, or None. It makes every turn that is running old: after a restart only."""
        answer = await _or_none(self.peer.post("/core/session/resume", {"session": session}, self.patience))
        if answer is None:
            return None
        turn, news = answer.get("turn"), answer.get("news")
        if type(turn) is not int or not isinstance(news, list) or not all(isinstance(text, str) for text in news):
            raise PeerAway("unreadable")
        return Resumed(_text(answer, "conversation"), _text(answer, "level"), turn, news)

    async def level(self, capability: str) -> str:
        """Return the session's level now."""
        return _text(await self._post("/core/session/state", capability, {}), "level")

    async def sign_in(self, capability: str, login_token: str, new_session: str, new_conversation: str) -> SignedIn:
        """Bind a new session to the person of the login token; PeerRefused with code `login_refused` when it is not good."""
        body = {"login_token": login_token, "new_session": new_session, "new_conversation": new_conversation}
        answer = await self._post("/core/session/sign-in", capability, body)
        return SignedIn(_text(answer, "conversation"), _text(answer, "level"), kept=answer.get("kept") is True)

    async def sign_out(self, capability: str, new_session: str, new_conversation: str) -> str:
        """End the session; return the conversation of the new one."""
        answer = await self._post(
            "/core/session/sign-out", capability, {"new_session": new_session, "new_conversation": new_conversation}
        )
        return _text(answer, "conversation")

    async def show_card(self, capability: str, ref: str) -> dict[str, Any] | None:
        """Return the card's content, or None when this session has no such open card."""
        return await _or_none(self._post("/core/cards/show", capability, {"ref": ref}))

    async def act(self, capability: str, ref: str, act: str, value: str | None, new_session: str) -> CardAnswer | None:
        """Hand in or cancel a card. None: no such card for this session."""
        body = {"ref": ref, "act": act, "new_session": new_session} | ({"value": value} if value is not None else {})
        answer = await _or_none(self._post("/core/cards/act", capability, body))
        if answer is None:
            return None
        tries = answer.get("tries_left")
        return CardAnswer(
            outcome=_text(answer, "outcome"), text=_text(answer, "text"), session=_text(answer, "session"),
            resume=answer.get("resume") is True, tries_left=tries if type(tries) is int else None,
        )

    async def reveal(self, capability: str, tokens: list[str]) -> dict[str, str]:
        """Return the values of those tokens that this session was granted."""
        values = (await self._post("/core/reveal", capability, {"tokens": tokens})).get("values")
        if not isinstance(values, dict):
            raise PeerAway("unreadable")
        return {token: value for token, value in values.items() if isinstance(value, str)}

    async def outcome(self, capability: str) -> Outcome:
        """Return how the capability's turn ended; after `nothing` it can no longer do anything."""
        answer = await self._post("/core/turn/outcome", capability, {}, self.outcome_patience)
        outcome, text = _text(answer, "outcome"), answer.get("text")
        if outcome not in ("done", "nothing"):
            raise PeerAway("unreadable")
        return Outcome(done=outcome == "done", text=text if isinstance(text, str) else "")

    async def report(self, capability: str, event: str, detail: str) -> None:
        """Append one of the gateway's own audit entries."""
        await self._post("/core/report", capability, {"event": event, "detail": detail})

    async def bank_sign_in(self, customer_number: str, password: str) -> dict[str, str]:
        """Return `{login_token, name}` of the demo host site's own login."""
        body = {"customer_number": customer_number, "password": password}
        answer = await self.peer.post("/core/bank/sign-in", body, self.patience)
        return {"login_token": _text(answer, "login_token"), "name": _text(answer, "name")}

    async def bank_outbox(self, capability: str) -> list[Any]:
        """Return the mails of the signed-in demo customer."""
        mails = (await self._post("/core/bank/outbox", capability, {})).get("mails")
        if not isinstance(mails, list):
            raise PeerAway("unreadable")
        return mails

    async def _post(self, path: str, capability: str, body: Mapping[str, Any], seconds: float | None = None) -> dict[str, Any]:
        return await self.peer.post(path, {"capability": capability, **body}, seconds or self.patience)


async def _or_none(call: Any) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = await call
    except PeerRefused as refused:
        if refused.status == 404:
            return None
        raise
    return answer


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise PeerAway("unreadable")
    return value
