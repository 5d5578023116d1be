"""The fences: origin, sizes, headers, crowds, frames."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import socketio
from starlette.types import Receive, Scope, Send

from confide.gateway.edge import MAX_BODY, CrowdFence, SecurityHeaders, security_headers
from confide.gateway.limits import DEFAULT_RATES, Kind, Limits, Rates
from confide.gateway.server import MAX_FRAME
from tests.unit.gateway.stand import PATIENCE, QUICK, Stand, open_stand

POSTS = ["/bank/sign-in", "/chat/sign-in", "/chat/sign-out", "/chat/card", "/demo/outbox"]
EVIL = "https://evil.example"


async def test_a_post_of_another_site_is_refused(stand: Stand) -> None:
    for path, origin in itertools.product(POSTS, [EVIL, "null", "", None, stand.url + ".evil.example", stand.url.upper()]):
        headers = {"Content-Type": "application/json"} | ({} if origin is None else {"Origin": origin})
        response = await stand.http.post(stand.url + path, content=b"{}", headers=headers)
        assert (response.status_code, response.json()["error"]) == (403, "origin")


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_page_of_another_site_opens_no_socket(stand: Stand, path: str, transport: str) -> None:
    address = f"{stand.url}{path}?EIO=4&transport={transport}"
    async with aiohttp.ClientSession(headers={"Origin": EVIL}) as client:
        if transport == "polling":
            async with client.get(address) as response:
                assert response.status == 403
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(address)
            assert refused.value.status == 403


async def test_a_client_that_is_no_browser_opens_a_socket_without_an_origin(stand: Stand) -> None:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(stand.url, transports=["websocket"])
    assert client.connected
    await client.disconnect()


NO_OBJECTS = [
    (b"{}", "text/plain", 400), (b"{}", "application/x-www-form-urlencoded", 400), (b"{", "application/json", 400),
    (b"[]", "application/json", 400), (b"\xff", "application/json", 400), (b"[" * 10_000, "application/json", 400),
    (b" " * (MAX_BODY + 1), "application/json", 413),
]


async def test_what_is_no_json_object_is_refused(stand: Stand) -> None:
    for path, (content, kind, status) in itertools.product(POSTS, NO_OBJECTS):
        response = await stand.http.post(stand.url + path, content=content, headers={"Origin": stand.url, "Content-Type": kind})
        assert response.status_code == status
        assert set(response.json()) == {"error", "text"}


async def _drip(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 1_000


async def test_a_body_of_unknown_length_is_bounded_too(stand: Stand) -> None:
    headers = {"Origin": stand.url, "Content-Type": "application/json"}
    response = await stand.http.post(stand.url + "/chat/card", content=_drip(20), headers=headers)
    assert response.status_code == 413


async def test_a_body_is_refused_before_it_is_sent(stand: Stand) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.gateway.port)
    head = f"POST /chat/card HTTP/1.1\r\nHost: x\r\nOrigin: {stand.url}\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_every_answer_has_the_headers(stand: Stand) -> None:
    for path in ["/", "/page.js", "/chat/session", "/health/live", "/nothing", "/socket.io/?EIO=3", "/chat/card", "/demo/outbox"]:
        _has_the_headers((await stand.get(path)).headers, stand.url.replace("http", "ws"))
    _has_the_headers((await stand.post("/chat/card", {}, Origin=EVIL)).headers, stand.url.replace("http", "ws"))


def _has_the_headers(headers: httpx.Headers, own: str) -> None:
    assert headers["content-security-policy"] == (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {own}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in headers, "on localhost it would break what else runs there"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_a_real_site_is_https_from_then_on() -> None:
    real = security_headers(["https://bank.example", "https://127.0.0.1:8443"])
    assert real["Strict-Transport-Security"] == "max-age=31536000"


async def test_only_hashed_files_may_be_kept(stand: Stand) -> None:
    assert "immutable" in (await stand.get("/chat-0123abcd.js")).headers["cache-control"]
    assert (await stand.get("/gone-0123abcd.js")).headers["cache-control"] == "no-store"


async def test_the_pages_files_are_served(stand: Stand) -> None:
    for path, kind in [("/", "text/html"), ("/page.js", "javascript"), ("/demo/page.js", "javascript"), ("/demo/outbox", "html")]:
        response = await stand.get(path)
        assert response.status_code == 200
        assert kind in response.headers["content-type"]


async def test_nothing_else_is_served(stand: Stand) -> None:
    for path in ["/../stand.py", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/demo/../../x", "/index.html%00"]:
        response = await stand.get(path)
        assert (response.status_code, response.json()["error"]) == (404, "not_found")


async def test_health_is_open_and_other_methods_are_not(stand: Stand) -> None:
    assert (await stand.get("/health/live")).json() == {"status": "ok"}
    response = await stand.http.put(stand.url + "/", headers={"Origin": stand.url})
    assert (response.status_code, response.json()["error"]) == (405, "malformed")
    assert (await stand.http.delete(stand.url + "/chat/session")).status_code == 403


@pytest.mark.parametrize("frame", ["0", "7", "bAAAA", "b!", "", "4" + "[" * 90_000, "42[\"user_uttered\",\"" + "x" * MAX_FRAME + "\"]"])
async def test_a_frame_of_no_client_ends_the_connection_quietly(stand: Stand, frame: str, caplog: pytest.LogCaptureFixture) -> None:
    chat = await stand.chat(await stand.visit())
    await chat.client.eio.ws.send_str(frame)
    async with asyncio.timeout(PATIENCE):
        await chat.client.wait()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    again = await stand.chat(await stand.visit())
    await again.say("hello")
    assert await again.texts(1) == ["You said: hello"]


async def test_sockets_are_bounded_by_address_and_come_free_again() -> None:
    async def held(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    fence = CrowdFence(held, Limits(rates={}), per_address=2, overall=3)
    sent: list[Any] = []
    gates = [asyncio.Event() for _ in range(4)]

    async def send(message: Any) -> None:
        sent.append(message)

    async def open_socket(gate: asyncio.Event, address: str) -> None:
        async def receive() -> Any:
            await gate.wait()
            return {"type": "websocket.disconnect"}

        scope = {"type": "websocket", "path": "/socket.io/", "headers": [], "client": (address, 1), "query_string": b""}
        async with asyncio.timeout(PATIENCE):
            await fence(scope, receive, send)

    first = [asyncio.create_task(open_socket(gate, "192.0.2.1")) for gate in gates[:2]]
    await asyncio.sleep(0)
    await open_socket(gates[2], "192.0.2.1")
    assert sent == [{"type": "websocket.close", "code": 1008}]
    third = asyncio.create_task(open_socket(gates[2], "192.0.2.2"))
    await asyncio.sleep(0)
    await open_socket(gates[3], "192.0.2.3")
    assert len(sent) == 2
    for gate in gates:
        gate.set()
    await asyncio.gather(*first, third)
    await open_socket(gates[0], "192.0.2.1")
    assert len(sent) == 2
    assert not fence._open


@pytest.mark.parametrize("extra", ["", "&xsid=1"])
async def test_new_sockets_are_counted(tmp_path: Path, extra: str) -> None:
    tuning = dataclasses.replace(QUICK, rates=DEFAULT_RATES | {Kind.CONNECT: Rates(address="2/hour")})
    async with open_stand(tmp_path, tuning) as stand:
        address = f"/socket.io/?EIO=4&transport=polling{extra}"
        assert [(await stand.get(address)).status_code for _ in range(3)] == [200, 200, 429]


async def test_sign_ins_are_counted_by_address(tmp_path: Path) -> None:
    tuning = dataclasses.replace(QUICK, rates=DEFAULT_RATES | {Kind.SIGN_IN: Rates(address="3/hour")})
    async with open_stand(tmp_path, tuning) as stand:
        body = {"customer_number": "1001", "password": "guess"}
        assert [(await stand.post("/bank/sign-in", body)).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert (await stand.post("/chat/sign-in", {"login_token": "good-token"})).status_code == 429
        with pytest.raises(socketio.exceptions.ConnectionError):
            await stand.chat(auth={"token": "good-token"})


async def test_a_defect_becomes_an_answer_without_a_word_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("my secret message")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await SecurityHeaders(broken, ["https://bank.example"])({"type": "http", "path": "/", "headers": []}, receive, send)
    assert sent[0]["status"] == 500
    assert any(name == b"content-security-policy" for name, _ in sent[0]["headers"])
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text + repr(sent)
