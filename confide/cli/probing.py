"""Asking from outside: is a port free, does a process answer."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterable, Iterator

import httpx

from confide.cli.services import Port, Probe

#: Seconds one question may take.
TIMEOUT = 2.0


def busy_ports(ports: Iterable[Port]) -> Iterator[str]:
    """Yield a sentence with the variable to change for every address that cannot be listened on."""
    taken: dict[tuple[str, int], str] = {}
    for port in ports:
        other = taken.setdefault((port.host, port.port), port.service)
        if other != port.service:
            yield f"{port.service} and {other} would both listen on port {port.port}; set {port.variable} to another."
        elif problem := _why_not(port):
            yield f"{port.service} cannot listen on {port.host}:{port.port}: {problem}; set {port.variable} to another port."


def _why_not(port: Port) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(port.host, port.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        return "another program uses the port" if error.errno == errno.EADDRINUSE else str(error.strerror).lower()
    return None


def context_for(probe: Probe) -> ssl.SSLContext:
    """Return what the other side's certificate is checked against.

    The file is an authority's, or the very certificate when a business brings its own: then its name need not be this machine's, and
    what is checked is that exactly this certificate answers.
    """
    if probe.authority is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; a plain-text question does not need it
    context = ssl.create_default_context(cafile=str(probe.authority))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = probe.authority.name == "ca.pem"
    return context


async def answers(probe: Probe) -> bool:
    """Say whether the process answers now. Proxies named in the environment are not used: this is our own machine."""
    try:
        async with httpx.AsyncClient(verify=context_for(probe), trust_env=False, timeout=TIMEOUT) as client:
            return (await client.get(probe.url)).status_code == 200
    except (httpx.HTTPError, OSError):
        return False
