"""A local certificate authority and the certificate of the gateway, for one machine.

The authority is name-constrained to this machine (RFC 5280, 4.2.1.10): whoever steals its key cannot pose as any other site to a browser
that trusts it. The certificates carry what a strict verifier asks for (key usage, key identifiers; Python 3.13 sets VERIFY_X509_STRICT).
Files: `tls/ca.pem`, `tls/server.pem` (server, then authority), `tls/server.key`, `tls-ca/ca.key`.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from confide.storage.keyring import read_private, write_private

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=90)
#: A server certificate with less than this left is renewed at start.
RENEW_BEFORE = timedelta(days=30)
#: Clocks differ: a certificate is good from a little before it was made.
_BACKDATED = timedelta(hours=1)
_ADDRESSES = (ip_address("127.0.0.1"), ip_address("::1"))


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True)
class TlsFiles:
    """Where the certificates are, below the folder that the program writes to."""

    var: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate: what a browser is told to trust."""
        return self.var / "tls" / "ca.pem"

    @property
    def server(self) -> Path:
        """The gateway's certificate, followed by the authority's."""
        return self.var / "tls" / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.var / "tls" / "server.key"

    @property
    def authority_key(self) -> Path:
        """In a folder of its own: the gateway has no business with it."""
        return self.var / "tls-ca" / "ca.key"


def make_authority(now: datetime) -> Pair:
    """Return a new authority that can only speak for this machine. `now` has a time zone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Confide"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"Confide local authority {secrets.token_hex(4)}"),
    ])
    only_here = [x509.DNSName("localhost"), *(x509.IPAddress(ip_network(address)) for address in _ADDRESSES)]
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=only_here, excluded_subtrees=None), critical=True)
        .sign(key, SHA256())
    )
    return Pair(certificate, key)


def issue_server(authority: Pair, now: datetime) -> Pair:
    """Return a new certificate for localhost, 127.0.0.1 and ::1, with a new key. `now` has a time zone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(name, authority.certificate.subject, key.public_key(), now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        .sign(authority.key, SHA256())
    )
    return Pair(certificate, key)


def ensure(files: TlsFiles, now: datetime) -> str:
    """Make or renew what is needed and return one sentence that says what was done, or an empty text.

    A server certificate is renewed when less than RENEW_BEFORE is left, when its key is not its own or when the authority changed. The
    authority is made anew only when it is missing, damaged or at its end. Raises KeyProviderError when others may read a private key.
    """
    authority = _load(files.authority, files.authority_key)
    done = ""
    if authority is None or authority.certificate.not_valid_after_utc - now < SERVER_LIFE:
        authority, done = make_authority(now), "Made a certificate authority for this machine. "
        _save(authority, files.authority, files.authority_key)
    server = _load(files.server, files.server_key)
    if server is None or not _good(server.certificate, authority.certificate, now):
        server = issue_server(authority, now)
        _save(server, files.server, files.server_key, authority.certificate)
        done += f"Made a certificate for localhost, good until {server.certificate.not_valid_after_utc:%d %B %Y}."
    return done.strip()


def read_certificate(path: Path) -> x509.Certificate | None:
    """Return the first certificate in a PEM file, or None when there is none that can be read."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError):
        return None


def _good(certificate: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_before_utc <= now and certificate.not_valid_after_utc - now >= RENEW_BEFORE


def _names() -> list[x509.GeneralName]:
    return [x509.DNSName("localhost"), *(x509.IPAddress(address) for address in _ADDRESSES)]


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public, serial_number=x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature, key_cert_sign=key_cert_sign, crl_sign=crl_sign, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )


def _load(certificate_file: Path, key_file: Path) -> Pair | None:
    certificate = read_certificate(certificate_file)
    if certificate is None or not key_file.exists():
        return None
    try:
        key = load_pem_private_key(read_private(key_file), None)
    except (ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return Pair(certificate, key)


def _save(pair: Pair, certificate_file: Path, key_file: Path, *chain: x509.Certificate) -> None:
    pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in (pair.certificate, *chain))
    _replace(key_file, pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _replace(certificate_file, pem)


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in place of the file in one step; a crash leaves the old file or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(temporary, content)
    os.replace(temporary, path)
