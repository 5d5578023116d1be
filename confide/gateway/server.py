"""The Socket.IO server, hardened where the library trusts its clients.

python-socketio lets a client send the events `connect` and `disconnect` like any other and hands them to the same handlers; engineio
lets some malformed frames end as an exception in the server's log. Both are closed here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import socketio

#: Bytes of a frame; a longer one ends the connection.
MAX_FRAME = 100_000
_MAX_EVENT_NAME = 64
_RESERVED = frozenset({"connect", "disconnect", "connect_error", "*"})


def silent_logger() -> logging.Logger:
    """Return a logger that drops everything: the libraries log what clients send."""
    logger = logging.getLogger("confide.gateway.silent")
    logger.disabled = True
    logger.setLevel(logging.CRITICAL)
    return logger


class HardenedServer(socketio.AsyncServer):  # type: ignore[misc]  # socketio has no types
    """An AsyncServer that answers every broken packet by a call of `on_broken(socket)` and none by an exception."""

    on_broken: Callable[[str], Awaitable[None]]

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        try:
            await super()._handle_eio_message(eio_sid, data)
        except Exception:  # noqa: BLE001 - the library's parser raises what it likes
            self._binary_packet.pop(eio_sid, None)
            await self._tell_broken(eio_sid)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: Any) -> None:
        if not (isinstance(data, list) and data and isinstance(data[0], str) and len(data[0]) <= _MAX_EVENT_NAME):
            raise ValueError("not an event")
        if data[0] in _RESERVED:
            raise ValueError("reserved event")
        await super()._handle_event(eio_sid, namespace, id, data)

    async def _tell_broken(self, eio_sid: str) -> None:
        socket = self.manager.sid_from_eio_sid(eio_sid, "/")
        if socket is None or not self.manager.is_connected(socket, "/"):
            await self.eio.disconnect(eio_sid)
        else:
            await self.on_broken(socket)


def make_server(origins: Sequence[str], ping_interval: float = 25.0, ping_timeout: float = 20.0) -> HardenedServer:
    """Return the server; handlers are attached by `sockets`. A socket's events are handled one after the other."""
    logger = silent_logger()
    return HardenedServer(
        async_mode="asgi", cors_allowed_origins=list(origins), cors_credentials=False, max_http_buffer_size=MAX_FRAME,
        http_compression=False, async_handlers=False, logger=logger, engineio_logger=logger,
        ping_interval=ping_interval, ping_timeout=ping_timeout,
    )
