"""`python -m confide.gateway`: the public edge, over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from starlette.types import ASGIApp

from confide.gateway.app import build
from confide.gateway.connections import Doors, impatient_loop
from confide.gateway.peers import CorePeer, Peer, RasaPeer
from confide.gateway.server import MAX_FRAME
from confide.identity.capability import CapabilityIssuer
from confide.internal.signing import Signer
from confide.settings import GatewaySettings, SettingsError
from confide.storage.keyring import KeyProviderError, read_private

CALLER = "gateway"
#: Seconds a stop waits for open connections.
_STOP = 5
#: A file is open for every connection (`Doors`) and every WebSocket (`CrowdFence`), and some for ourselves.
OPEN_FILES = 32_000


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 stopped, 2 not started (the reason is printed)."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    quiet_libraries()
    allow_connections()
    try:
        settings = GatewaySettings.read()
        application = from_settings(settings)
        config = configure(application, settings.host, settings.port, settings.certificate, settings.certificate_key)
        config.load()
    except (SettingsError, KeyProviderError, OSError, ssl.SSLError, ValueError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops in order at these signals, and afterwards raises them again: being told to stop is no failure.
        signal.signal(number, lambda *_: None)
    with asyncio.Runner(loop_factory=impatient_loop()) as runner:
        runner.run(uvicorn.Server(config).serve())
    return 0


def quiet_libraries() -> None:
    """Keep the libraries from logging: frames and tracebacks carry what clients sent. Our own log has the type of an error."""
    for name in ("uvicorn.error", "uvicorn.access", "asyncio", "websockets", "aiohttp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def allow_connections(wanted: int = OPEN_FILES) -> None:
    """Raise the bound on open files, as far as the machine lets us: below our own bounds it would be met first, and by everybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < within:
        with contextlib.suppress(ValueError, OSError):  # some systems have a further bound that they do not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (within, hard))


def from_settings(settings: GatewaySettings) -> ASGIApp:
    """Return the application of these settings. Raises KeyProviderError, ValueError when a key is missing or damaged."""
    key = load_pem_private_key(read_private(settings.keys / "capability.pem"), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProviderError(f"{settings.keys / 'capability.pem'} is not an Ed25519 key; run: confide keys init")
    rasa = Peer(settings.rasa_url.rstrip("/"), Signer(CALLER, _mac_key(settings.keys / "gateway-rasa.key")))
    core = Peer(settings.actions_url.rstrip("/"), Signer(CALLER, _mac_key(settings.keys / "gateway-actions.key")))
    return build(
        rasa=RasaPeer(rasa), core=CorePeer(core), issuer=CapabilityIssuer(key), origins=settings.origins, assets=settings.assets
    )


def configure(
    app: ASGIApp, host: str, port: int, certificate: Path | None, key: Path | None, doors: Doors | None = None
) -> uvicorn.Config:
    """Return uvicorn's configuration; without a certificate (tests alone) it serves plain HTTP. Raises ValueError."""
    tls: dict[str, Any] = {}
    if certificate is not None:
        for path in filter(None, (certificate, key)):
            if not path.is_file():
                raise ValueError(f"{path} is missing; `confide up` makes one for this machine, or set CONFIDE_TLS_CERTIFICATE and _KEY")
        tls = {"ssl_certfile": certificate, "ssl_keyfile": key, "ssl_context_factory": _tls_context}
    return uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        # h11 bounds the size of headers. No compression beside secrets (CRIME, BREACH), and none to be bombed with.
        http=(doors or Doors()).protocol(), ws="websockets-sansio", ws_max_size=MAX_FRAME, ws_per_message_deflate=False, ws_ping_interval=None,
        timeout_graceful_shutdown=_STOP, **tls,
    )


def _tls_context(config: uvicorn.Config, default: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # TLS 1.2 with forward secrecy and an AEAD only (RFC 9325, 4.2); TLS 1.3 has nothing else.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _mac_key(path: Path) -> bytes:
    key = read_private(path)
    if len(key) != 32:
        raise KeyProviderError(f"{path} is not 32 bytes; run: confide keys init")
    return key
