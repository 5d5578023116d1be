"""A customer's browser without a screen: the official python-socketio client and an HTTP client that share one cookie jar."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import socketio

QUIET = 0.25


@dataclass
class Chat:
    """One browser tab. Use as an async context manager."""

    address: str
    authority: Path
    auth: dict[str, str] | None = None
    cookies: bool = True
    #: Another tab of the same browser.
    beside: Chat | None = None
    session_id: str = ""
    level: str = "anonymous"
    #: Every message the bot sent, in order, and every error and card update.
    heard: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    http: aiohttp.ClientSession = field(init=False, repr=False)
    sio: socketio.AsyncClient = field(init=False, repr=False)
    _busy: bool = False
    _heard_at: float = 0.0

    async def __aenter__(self) -> Self:
        jar = self.beside.http.cookie_jar if self.beside else aiohttp.CookieJar(unsafe=True)
        context = ssl.create_default_context(cafile=str(self.authority))
        self.http = aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(ssl=context))
        self.sio = self._client()
        if self.cookies and not self.beside:
            async with self.http.get(self.address + "/") as answer:
                assert answer.status == 200
        await self.connect()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.sio.disconnect()
        await self.http.close()

    def _client(self) -> socketio.AsyncClient:
        sio = socketio.AsyncClient(http_session=self.http, reconnection=False)
        sio.on("bot_uttered", self._on_uttered)
        sio.on("bot_typing", self._on_typing)
        sio.on("chat_error", self.errors.append)
        sio.on("card_update", self.updates.append)
        sio.on("session_confirm", self._on_confirm)
        return sio

    async def connect(self) -> None:
        self._confirmed = asyncio.Event()
        self._busy = False  # whoever said so may be gone
        await self.sio.connect(self.address, headers={"Origin": self.address}, auth=self.auth, transports=["websocket"])
        await self.sio.emit("session_request", {"last_seq": self.heard[-1]["seq"]} if self.heard else {})
        await asyncio.wait_for(self._confirmed.wait(), 10)

    async def reconnect(self) -> None:
        await self.sio.disconnect()
        self.sio = self._client()
        await self.connect()

    def _on_confirm(self, session_id: str) -> None:
        self.session_id = session_id
        self._confirmed.set()

    def _on_uttered(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        self._heard_at = time.monotonic()

    def _on_typing(self, message: dict[str, Any]) -> None:
        self._busy = message["on"]

    async def say(self, text: str, within: float = 20.0, **extra: Any) -> list[dict[str, Any]]:
        """Say something and return what the bot answers, cards included."""
        before = len(self.heard)
        ack = await self.sio.call("user_uttered", {"message": text, "session_id": self.session_id, **extra}, timeout=10)
        assert ack["ok"], ack
        return await self.answer(before, within)

    async def answer(self, before: int, within: float = 20.0) -> list[dict[str, Any]]:
        """Return the messages after the first `before`, once the bot has said something and gone quiet."""
        end = time.monotonic() + within
        while len(self.heard) == before or self._busy or time.monotonic() - self._heard_at < QUIET:
            assert time.monotonic() < end, f"no answer within {within} s: {self.heard[before:]} {self.errors}"
            await asyncio.sleep(0.02)
        return self.heard[before:]

    async def until(self, said: str, within: float = 30.0) -> dict[str, Any]:
        """Return the first message that contains `said`, waiting for it."""
        end = time.monotonic() + within
        while True:
            for message in self.heard:
                if said in message.get("text", ""):
                    return message
            assert time.monotonic() < end, f"{said!r} was not said within {within} s: {[m.get('text') for m in self.heard]}"
            await asyncio.sleep(0.02)

    async def post(self, path: str, body: dict[str, Any], origin: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {"Origin": origin or self.address}
        async with self.http.post(self.address + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def sign_in(self, number: str, password: str) -> Chat:
        status, login = await self.post("/bank/sign-in", {"customer_number": number, "password": password})
        assert status == 200, login
        status, answer = await self.post("/chat/sign-in", {"login_token": login["login_token"]})
        assert status == 200, answer
        self.level = answer["level"]
        await self.reconnect()
        return self

    async def card(self, ref: str, value: str | None = None) -> dict[str, Any]:
        """Submit a card's field, or cancel the card without a value."""
        body = {"ref": ref, "act": "cancel"} if value is None else {"ref": ref, "act": "submit", "value": value}
        status, answer = await self.post("/chat/card", body)
        assert status == 200, (status, answer)
        return answer


def texts(messages: list[dict[str, Any]]) -> str:
    """Return all that was said, one message a line."""
    return "\n".join(str(message.get("text", "")) for message in messages)


def card_of(messages: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one card of that kind."""
    cards = [message for message in messages if message.get("type") == kind]
    assert len(cards) == 1, messages
    return cards[0]
