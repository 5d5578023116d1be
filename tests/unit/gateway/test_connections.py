"""Connections that do not get to the point, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from confide.gateway.connections import Doors, impatient_loop
from confide.gateway.edge import BodyFence
from confide.gateway.main import configure
from tests.unit.gateway.stand import PATIENCE, Served
from tests.unit.gateway.test_gateway_main import write_certificate

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: An opened connection's two ends.
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _answer(_request: Request) -> Response:
    return PlainTextResponse("here")


async def _slow(_request: Request) -> Response:
    await asyncio.sleep(0.5)
    return PlainTextResponse("at last")


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    with contextlib.suppress(Exception):
        await websocket.receive()


@contextlib.asynccontextmanager
async def served(doors: Doors, body_within: float = PATIENCE) -> AsyncIterator[Served]:
    routes = [
        Route("/", _answer, methods=["GET", "POST"]), Route("/slow", _slow), WebSocketRoute("/ws", _socket),
    ]
    app = BodyFence(Starlette(routes=routes), body_within)

    server = Served(lambda: configure(app, "127.0.0.1", 0, None, None, doors))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def connect(server: Served) -> Wire:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def until_closed(wire: Wire) -> bytes:
    """Return what comes until the server closes; fails when it does not."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionResetError):
            return await wire[0].read()
    return b""


async def ask(wire: Wire, request: bytes = GET) -> bytes:
    """Return the answer to a request on a connection that stays open."""
    wire[1].write(request)
    async with asyncio.timeout(PATIENCE):
        head = await wire[0].readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return head + await wire[0].readexactly(length)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_without_whole_headers_is_closed(begun: bytes) -> None:
    async with served(doors := Doors(headers_within=0.2)) as server:
        wire = await connect(server)
        wire[1].write(begun)
        assert await until_closed(wire) == b""
    assert not doors._open


async def test_dripping_headers_do_not_win_time() -> None:
    async with served(Doors(headers_within=0.3)) as server:
        wire = await connect(server)
        drip = asyncio.create_task(_drip(wire[1], b"GET / HTTP/1.1\r\nX: "))
        assert await until_closed(wire) == b""
        drip.cancel()


async def _drip(writer: asyncio.StreamWriter, begun: bytes) -> None:
    writer.write(begun)
    while True:
        await asyncio.sleep(0.05)
        writer.write(b"x")


async def test_a_second_request_has_to_be_whole_in_time_too() -> None:
    async with served(Doors(headers_within=0.3)) as server:
        wire = await connect(server)
        assert b"here" in await ask(wire)
        drip = asyncio.create_task(_drip(wire[1], b"GET / HTTP/1.1\r\nX: "))
        assert await until_closed(wire) == b""
        drip.cancel()


async def test_a_body_that_does_not_end_is_refused_and_its_connection_closed() -> None:
    async with served(Doors(headers_within=0.3), body_within=0.2) as server:
        wire = await connect(server)
        drip = asyncio.create_task(_drip(wire[1], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"))
        assert b" 400 " in (await until_closed(wire)).partition(b"\r\n")[0]
        drip.cancel()


async def test_a_slow_answer_is_waited_for() -> None:
    async with served(Doors(headers_within=0.1)) as server:
        assert b"at last" in await ask(await connect(server), GET.replace(b"/ ", b"/slow "))


async def test_connections_are_bounded_by_address_and_come_free_again() -> None:
    async with served(doors := Doors(per_address=2)) as server:
        first, second = await connect(server), await connect(server)
        assert b"here" in await ask(first)
        assert b"here" in await ask(second)
        assert await until_closed(await connect(server)) == b""
        first[1].close()
        async with asyncio.timeout(PATIENCE):
            while doors._open.total() > 1:
                await asyncio.sleep(0.01)
        assert b"here" in await ask(await connect(server))


def test_all_addresses_together_are_bounded() -> None:
    doors = Doors(per_address=2, overall=3)
    assert [doors.enter(name) for name in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    doors.leave("a")
    assert doors.enter("c")


async def test_a_websocket_is_handed_over_and_stays_open() -> None:
    async with served(doors := Doors(per_address=1, headers_within=0.1)) as server:
        wire = await connect(server)
        assert b" 101 " in await ask(wire, UPGRADE)
        assert not doors._open
        assert b"at last" in await ask(await connect(server), GET.replace(b"/ ", b"/slow "))
        assert not wire[0].at_eof()


def test_a_tls_handshake_has_to_end_in_time(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    async def silent_client() -> bytes:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        name = server.sockets[0].getsockname()
        client = await asyncio.to_thread(socket.create_connection, name, PATIENCE)
        with contextlib.closing(client), contextlib.closing(server):
            return await asyncio.to_thread(client.recv, 1)

    with asyncio.Runner(loop_factory=impatient_loop(0.2)) as runner:
        assert runner.run(silent_client()) == b""
