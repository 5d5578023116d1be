"""Free ports and answering processes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from confide.cli.certificates import TlsFiles, ensure
from confide.cli.probing import answers, busy_ports
from confide.cli.services import Port, Probe


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/live" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(files: TlsFiles | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.server, files.server_key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    made = TlsFiles(tmp_path)
    ensure(made, datetime.now(UTC))
    return made


def asked(url: str, authority: Path | None = None) -> bool:
    return asyncio.run(answers(Probe(url, authority)))


def test_a_process_that_is_well_answers_and_one_that_is_not_does_not() -> None:
    with served() as port:
        assert asked(f"http://127.0.0.1:{port}/health/live")
        assert not asked(f"http://127.0.0.1:{port}/elsewhere")


def test_nobody_there_is_no_answer(empty_port: int) -> None:
    assert not asked(f"http://127.0.0.1:{empty_port}/health/live")


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, empty_port: int) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{empty_port}")
    with served() as port:
        assert asked(f"http://127.0.0.1:{port}/health/live")


def test_over_tls_the_certificate_must_be_of_our_authority(files: TlsFiles, tmp_path: Path) -> None:
    other = TlsFiles(tmp_path / "other")
    ensure(other, datetime.now(UTC))
    with served(files) as port:
        assert asked(f"https://localhost:{port}/health/live", files.authority)
        assert not asked(f"https://localhost:{port}/health/live", other.authority)


def test_a_certificate_of_the_business_is_recognised_itself(files: TlsFiles, tmp_path: Path) -> None:
    leaf = tmp_path / "site.pem"
    leaf.write_text(files.server.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    with served(files) as port:
        assert asked(f"https://localhost:{port}/health/live", leaf)


def test_a_missing_authority_is_no_answer_and_no_crash(tmp_path: Path) -> None:
    assert not asked("https://127.0.0.1:1/", tmp_path / "ca.pem")


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (sentence,) = busy_ports([Port("rasa", "127.0.0.1", port, "CONFIDE_RASA_PORT")])
    assert f"127.0.0.1:{port}" in sentence
    assert "set CONFIDE_RASA_PORT" in sentence


def test_a_free_port_is_fine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    assert list(busy_ports([Port("rasa", "127.0.0.1", free, "CONFIDE_RASA_PORT")])) == []


def test_two_processes_on_one_port_are_told_apart() -> None:
    ports = [Port("rasa", "127.0.0.1", 5105, "CONFIDE_RASA_PORT"), Port("gateway", "127.0.0.1", 5105, "CONFIDE_PORT")]
    assert any("both listen on port 5105; set CONFIDE_PORT" in sentence for sentence in busy_ports(ports))


def test_an_address_that_is_not_of_this_machine_is_explained() -> None:
    (sentence,) = busy_ports([Port("gateway", "no-such-host.invalid", 8443, "CONFIDE_PORT")])
    assert sentence.startswith("gateway cannot listen on no-such-host.invalid:8443")
