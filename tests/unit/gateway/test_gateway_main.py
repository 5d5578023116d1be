"""The launcher: settings and keys to a process that serves over TLS and stops on SIGTERM."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import socketio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from confide.storage.keyring import write_private

ROOT = Path(__file__).parents[3]


def write_certificate(folder: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    write_private(folder / "server.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def write_keys(folder: Path) -> None:
    folder.mkdir(parents=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / "capability.pem", pem)
    write_private(folder / "gateway-rasa.key", os.urandom(32))
    write_private(folder / "gateway-actions.key", os.urandom(32))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return what the supervisor would give the process."""
    (tmp_path / "tls").mkdir()
    write_certificate(tmp_path / "tls")
    write_keys(tmp_path / "keys" / "gateway")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index.html").write_text("<!doctype html><title>Harbour Bank</title>")
    away = f"http://127.0.0.1:{free_port()}"
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CONFIDE_VAR": str(tmp_path), "CONFIDE_PORT": str(free_port()),
        "CONFIDE_ASSETS": str(tmp_path / "assets"), "CONFIDE_RASA_URL": away, "CONFIDE_ACTIONS_URL": away,
    }


def run(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "confide.gateway"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def until_served(client: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with client.get(url + "/health/live") as response:
                    assert await response.json() == {"status": "ok"}
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_it_serves_over_tls_and_stops_when_told(environment: dict[str, str]) -> None:
    url = f"https://127.0.0.1:{environment['CONFIDE_PORT']}"
    context = ssl.create_default_context(cafile=str(Path(environment["CONFIDE_VAR"]) / "tls" / "server.pem"))
    process = run(environment)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
            await until_served(client, url)
            async with client.get(url + "/") as response:
                assert "Harbour Bank" in await response.text()
                assert "Server" not in response.headers
            chat = socketio.AsyncClient(http_session=client, reconnection=False)
            await chat.connect(url, headers={"Origin": url}, transports=["websocket"])
            refused = await chat.call("user_uttered", {"message": "/"}, timeout=15)
            assert refused["code"] == "malformed"
            assert (await chat.call("user_uttered", {"message": "a canary"}, timeout=15))["ok"]
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(process.communicate, timeout=30)
            await chat.disconnect()
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert "canary" not in errors
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_of_today_is_spoken_and_older_is_not(environment: dict[str, str], version: ssl.TLSVersion) -> None:
    from confide.gateway.main import configure, from_settings
    from confide.settings import GatewaySettings

    settings = GatewaySettings.read(environment)
    config = configure(from_settings(settings), "127.0.0.1", 0, settings.certificate, settings.certificate_key)
    config.load()
    context = config.ssl
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert all("DHE" in cipher["name"] or cipher["protocol"] == "TLSv1.3" for cipher in context.get_ciphers())
    assert _handshake(context, version)


def _handshake(server: ssl.SSLContext, version: ssl.TLSVersion) -> bool:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    done = [False, False]
    for _ in range(10):
        for index, end in enumerate(ends):
            try:
                end.do_handshake()
                done[index] = True
            except ssl.SSLWantReadError:
                continue
    return all(done)


@pytest.mark.parametrize(("spoil", "names"), [
    (lambda var: (var / "keys" / "gateway" / "capability.pem").unlink(), "capability.pem"),
    (lambda var: (var / "keys" / "gateway" / "gateway-rasa.key").chmod(0o644), "gateway-rasa.key"),
    (lambda var: (var / "keys" / "gateway" / "gateway-actions.key").write_bytes(b"short"), "gateway-actions.key"),
    (lambda var: (var / "tls" / "server.pem").unlink(), "server.pem"),
])
def test_what_is_missing_is_named(environment: dict[str, str], spoil: object, names: str) -> None:
    spoil(Path(environment["CONFIDE_VAR"]))  # type: ignore[operator]
    process = run(environment)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert names in errors
    assert "Traceback" not in errors


def test_the_gateway_can_open_no_database_and_knows_no_rasa() -> None:
    code = (
        "import sys, confide.gateway.main\n"
        "print([name for name in ('rasa', 'rasa_sdk', 'sqlalchemy', 'sqlite3', 'tensorflow') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.strip() == "[]"


def test_there_are_files_enough_for_the_connections_that_are_let_in() -> None:
    code = (
        "import resource; kind = resource.RLIMIT_NOFILE; hard = resource.getrlimit(kind)[1]; resource.setrlimit(kind, (64, hard))\n"
        "from confide.gateway.main import allow_connections; allow_connections(128); print(resource.getrlimit(kind) == (128, hard))\n"
        "allow_connections(100); print(resource.getrlimit(kind)[0])\n"
        "resource.setrlimit(kind, (128, 256)); allow_connections(); print(resource.getrlimit(kind)[0])"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.split() == ["True", "128", "256"]
