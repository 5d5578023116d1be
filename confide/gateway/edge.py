"""What every request passes before it reaches anything of ours: headers, origin, size, number of connections. Plain ASGI.

Threats: a foreign page that opens a socket with the customer's cookie (cross-site WebSocket hijacking), a body that is too long or never
ends, a crowd of idle connections that fills our memory, an exception whose text ends in a log. OWASP ASVS 5.0 3.4, 3.5, 4.4.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from confide.gateway.errors import Code, Refusal
from confide.gateway.limits import Kind, Limits, network_of
from confide.gateway.server import MAX_FRAME

SOCKET_PATH = "/socket.io/"
#: Bytes of a POST body to one of our own routes.
MAX_BODY = 16_384
#: Seconds in which a whole body has to be here.
BODY_WITHIN = 15.0
#: File names that carry a hash of their content may be kept by browsers; nothing else may.
_HASHED = re.compile(r"[.-][0-9a-f]{8,}\.[a-z0-9]+$")
_log = logging.getLogger("confide.gateway")


def security_headers(origins: Collection[str]) -> dict[str, str]:
    """Return the headers of every answer. `connect-src` names our own sockets, for browsers whose 'self' leaves wss out."""
    sockets = " ".join(sorted({origin.replace("http", "ws", 1) for origin in origins}))
    # A browser applies HSTS to every port of a host: on localhost it would break whatever else the person develops there.
    local = all(urlsplit(origin).hostname in {"localhost", "127.0.0.1", "::1"} for origin in origins)
    transport = {} if local else {"Strict-Transport-Security": "max-age=31536000"}
    return transport | {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {sockets}; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": (
            "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), "
            "payment=(), usb=()"
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


@dataclass(frozen=True)
class SecurityHeaders:
    """Sets the headers, and turns an exception into an answer without a word of it."""

    app: ASGIApp
    origins: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                started = True
                self._set(scope, message)
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text stays in here
            _log.error("a request failed: %s", type(error).__name__)
            if not started:
                await refuse(scope, with_headers, Refusal(Code.INTERNAL))

    def _set(self, scope: Scope, message: Message) -> None:
        message.setdefault("headers", [])
        headers = MutableHeaders(scope=message)
        for name, value in security_headers(self.origins).items():
            headers[name] = value
        kept = message.get("status") == 200 and _HASHED.search(scope["path"]) is not None and not _is_socket(scope)
        headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-store"


@dataclass(frozen=True)
class OriginFence:
    """Refuses what another site's page sends. A missing Origin is a client that is no browser: it may open sockets, but not POST to us."""

    app: ASGIApp
    origins: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_ours(scope):
            return await refuse(scope, send, Refusal(Code.ORIGIN))
        return await self.app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        sent = Headers(scope=scope).getlist("origin")
        to_socket = _is_socket(scope)
        if not to_socket and scope.get("method") in ("GET", "HEAD"):
            return True
        if not sent:
            return to_socket
        return len(sent) == 1 and sent[0] in self.origins


@dataclass(frozen=True)
class BodyFence:
    """Bounds a body before anybody reads it, in length, whether that is announced or not, and in time."""

    app: ASGIApp
    within: float = BODY_WITHIN

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        bound = MAX_FRAME if _is_socket(scope) else MAX_BODY
        try:
            async with asyncio.timeout(self.within):
                body = await _read(scope, receive, bound)
        except TimeoutError:
            return await refuse(scope, send, Refusal(Code.MALFORMED))
        if body is None:
            return await refuse(scope, send, Refusal(Code.TOO_LONG))
        given = False

        async def receive_body() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, receive_body, send)


async def _read(scope: Scope, receive: Receive, bound: int) -> bytes | None:
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:12]) > bound:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > bound:
            return None
        if not message.get("more_body", False):
            return bytes(body)


@dataclass(frozen=True)
class CrowdFence:
    """Bounds requests and new sockets in time, and open WebSockets by address and in all."""

    app: ASGIApp
    limits: Limits
    per_address: int = 1_000
    overall: int = 20_000
    _open: Counter[str] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        address = (scope.get("client") or ("",))[0]
        is_new_socket = _is_socket(scope) and b"sid" not in parse_qs(scope.get("query_string", b""))
        if not self.limits.allow(Kind.CONNECT if is_new_socket else Kind.REQUEST, address=address):
            return await refuse(scope, send, Refusal(Code.TOO_FAST))
        if scope["type"] == "http":
            return await self.app(scope, receive, send)
        return await self._websocket(network_of(address), scope, receive, send)

    async def _websocket(self, network: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open[network] >= self.per_address or self._open.total() >= self.overall:
            return await refuse(scope, send, Refusal(Code.BUSY))
        self._open[network] += 1
        try:
            await self.app(scope, _well_formed(receive), send)
        finally:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]


def _well_formed(receive: Receive) -> Receive:
    """Return a `receive` that ends the connection at a frame no Engine.IO client sends; engineio would let it end as an exception."""

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not _is_frame(message):
            return {"type": "websocket.disconnect", "code": 1007}
        return message

    return checked


def _is_frame(message: Message) -> bool:
    text = message.get("text")
    if text is None:
        return bool(message.get("bytes"))
    # "b" is base64 in a text frame, for polling alone; a payload that nests deeper than any of ours would exhaust the JSON parser.
    return text[:1] in {"1", "2", "3", "4", "5", "6"} and len(text) <= MAX_FRAME and text.count("[") + text.count("{") < 500


def _is_socket(scope: Scope) -> bool:
    # engineio answers without the last slash too.
    path: str = scope["path"]
    return f"{path}/".startswith(SOCKET_PATH)


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answer a request or a WebSocket handshake with a refusal."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close", "code": 1008})
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    body = json.dumps(refusal.for_http()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    return await send({"type": f"{kind}.body", "body": body})
