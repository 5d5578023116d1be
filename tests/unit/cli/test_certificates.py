"""The local authority and the gateway's certificate, judged by a strict client over a real connection."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from confide.cli.certificates import RENEW_BEFORE, SERVER_LIFE, Pair, TlsFiles, ensure, issue_server, read_certificate
from confide.storage.keyring import KeyProviderError, write_private

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    made = TlsFiles(tmp_path)
    ensure(made, NOW)
    return made


Serve = Callable[[Path, Path], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a TLS server on a free port with a certificate and a key; it greets whoever connects."""
    listeners: list[tuple[socket.socket, threading.Thread]] = []

    def start(certificate: Path, key: Path) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=_greet, args=(listener, context))
        thread.start()
        listeners.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _greet(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with closing(connection):
            try:
                context.wrap_socket(connection, server_side=True).sendall(b"hello")
            except OSError:
                continue


def greeting(port: int, name: str, authority: Path) -> bytes:
    """Connect as a client that is as strict as Python 3.13 and return what the server says."""
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
        return secure.recv(5)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_strict_client_accepts_it_for_every_name_of_this_machine(files: TlsFiles, serve: Serve, name: str) -> None:
    assert greeting(serve(files.server, files.server_key), name, files.authority) == b"hello"


def test_it_is_not_accepted_for_another_name(files: TlsFiles, serve: Serve) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        greeting(serve(files.server, files.server_key), "bank.example", files.authority)


def test_another_authority_does_not_vouch_for_it(files: TlsFiles, serve: Serve, tmp_path: Path) -> None:
    other = TlsFiles(tmp_path / "other")
    ensure(other, NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(serve(files.server, files.server_key), "localhost", other.authority)


def test_a_stolen_authority_cannot_vouch_for_another_site(files: TlsFiles, serve: Serve, tmp_path: Path) -> None:
    certificate, key = read_certificate(files.authority), load_pem_private_key(files.authority_key.read_bytes(), None)
    assert certificate is not None
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    forged = _issue_for("bank.example", Pair(certificate, key))
    pem, pem_key = tmp_path / "forged.pem", tmp_path / "forged.key"
    _write(forged, pem, pem_key)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        greeting(serve(pem, pem_key), "bank.example", files.authority)


def _issue_for(name: str, authority: Pair) -> Pair:
    template = issue_server(authority, NOW)
    builder = x509.CertificateBuilder(
        subject_name=template.certificate.subject, issuer_name=authority.certificate.subject, public_key=template.key.public_key(),
        serial_number=x509.random_serial_number(), not_valid_before=NOW - timedelta(hours=1), not_valid_after=NOW + SERVER_LIFE,
    )
    for extension in template.certificate.extensions:
        value = x509.SubjectAlternativeName([x509.DNSName(name)]) if "subjectAltName" in str(extension.oid) else extension.value
        builder = builder.add_extension(value, extension.critical)
    return Pair(builder.sign(authority.key, SHA256()), template.key)


def _write(pair: Pair, certificate: Path, key: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate.write_bytes(pair.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def serials(files: TlsFiles) -> tuple[int, int]:
    authority, server = read_certificate(files.authority), read_certificate(files.server)
    assert authority is not None
    assert server is not None
    return authority.serial_number, server.serial_number


def test_nothing_is_done_while_the_certificate_is_good_for_long(files: TlsFiles) -> None:
    before = serials(files)
    assert ensure(files, NOW + SERVER_LIFE - RENEW_BEFORE) == ""
    assert serials(files) == before


def test_it_is_renewed_in_time_and_the_authority_stays(files: TlsFiles) -> None:
    authority, server = serials(files)
    old_key = files.server_key.read_bytes()
    assert "good until" in ensure(files, NOW + SERVER_LIFE - RENEW_BEFORE + timedelta(seconds=1))
    assert serials(files)[0] == authority
    assert serials(files)[1] != server
    assert files.server_key.read_bytes() != old_key


def test_a_clock_that_was_wrong_is_noticed(files: TlsFiles) -> None:
    _, server = serials(files)
    ensure(files, NOW - timedelta(days=2))
    assert serials(files)[1] != server


def test_a_key_that_is_not_the_certificates_is_replaced_with_it(files: TlsFiles, serve: Serve, tmp_path: Path) -> None:
    other = TlsFiles(tmp_path / "other")
    ensure(other, NOW)
    files.server_key.write_bytes(other.server_key.read_bytes())
    ensure(files, NOW)
    assert greeting(serve(files.server, files.server_key), "localhost", files.authority) == b"hello"


def test_a_lost_authority_is_made_anew_with_all_it_vouched_for(files: TlsFiles, serve: Serve) -> None:
    files.authority_key.unlink()
    assert ensure(files, NOW).startswith("Made a certificate authority")
    assert greeting(serve(files.server, files.server_key), "localhost", files.authority) == b"hello"


@pytest.mark.parametrize("name", ["server_key", "authority_key"])
def test_a_private_key_that_others_may_read_is_refused(files: TlsFiles, name: str) -> None:
    getattr(files, name).chmod(0o644)
    with pytest.raises(KeyProviderError, match="chmod 600"):
        ensure(files, NOW)


def test_private_keys_are_their_owners_alone_and_no_draft_is_left(files: TlsFiles) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in (files.server_key, files.authority_key)} == {0o600}
    assert stat.S_IMODE(files.authority_key.parent.stat().st_mode) == 0o700
    assert {path.name for path in files.var.rglob("*") if path.is_file()} == {"ca.pem", "server.pem", "server.key", "ca.key"}


def test_a_certificate_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    write_private(tmp_path / "bad.pem", b"no certificate")
    assert read_certificate(tmp_path / "bad.pem") is None
    assert read_certificate(tmp_path / "missing.pem") is None
