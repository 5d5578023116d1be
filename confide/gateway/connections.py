"""Connections on which nothing whole arrives: bounded in number by address and in all, and in time.

Threat: somebody opens connections and sends a byte now and then (slow HTTP, "slowloris"), until there is no room for customers. uvicorn
has no bound for a handshake or for headers. OWASP ASVS 5.0 15.2.2, CWE-400.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from confide.gateway.limits import network_of

#: Seconds for a TLS handshake; asyncio and uvloop would give it a minute.
HANDSHAKE_WITHIN = 10.0


@dataclass
class Doors:
    """How many connections may be open, and how long one may be without a whole request. WebSockets are `CrowdFence`'s to count."""

    #: An address can be an office or a mobile network; a browser has about six connections.
    per_address: int = 500
    overall: int = 10_000
    #: Seconds from the opening of a connection, or from the first byte of a further request, until its headers are whole.
    headers_within: float = 10.0
    _open: Counter[str] = field(default_factory=Counter, repr=False)

    def enter(self, network: str) -> bool:
        """Count one in; False: there is no room."""
        if self._open[network] >= self.per_address or self._open.total() >= self.overall:
            return False
        self._open[network] += 1
        return True

    def leave(self, network: str) -> None:
        """Count one out."""
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]

    def protocol(self) -> Any:
        """Return what uvicorn makes its connections with."""
        return functools.partial(_Connection, doors=self)


class _Connection(H11Protocol):
    """uvicorn's connection, which has to get to the point."""

    def __init__(self, *args: Any, doors: Doors, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doors = doors
        self._network: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows the transport in the same way
        super().connection_made(transport)
        network = network_of(self.client[0] if self.client else "")
        if not self._doors.enter(network):
            return transport.abort()
        self._network = network
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._network is None:
            return  # it is a WebSocket now
        if self.cycle is None or self.cycle.response_complete:
            # Also the rest of a body that was refused: it can drip for ever, and keeps uvicorn's own timer from ending this.
            self._wait_for_headers()
        else:
            self._stop_waiting()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._leave()
        super().handle_websocket_upgrade(event)

    def _wait_for_headers(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._doors.headers_within, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        self._stop_waiting()
        if self._network is not None:
            self._doors.leave(self._network)
            self._network = None


def impatient_loop(within: float = HANDSHAKE_WITHIN) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a factory of event loops whose servers wait `within` seconds for a TLS handshake. uvicorn does not hand that on."""
    try:
        from uvloop import Loop as Base
    except ImportError:
        from asyncio import SelectorEventLoop as Base  # type: ignore[assignment]  # the other branch has uvloop's

    class Impatient(Base):
        async def create_server(self, *args: Any, **kwargs: Any) -> Any:
            bound: dict[str, Any] = {"ssl_handshake_timeout": within} if kwargs.get("ssl") else {}
            create: Any = super().create_server
            return await create(*args, **bound, **kwargs)

    return Impatient
