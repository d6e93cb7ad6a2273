"""Certificates that an operator brings: what is wrong with them is found before they go anywhere."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarmtui.errors import UsageError
from swarmtui.model.preflight import Level
from swarmtui.runbooks.ucp import own_certificates as own

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey


def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def make(subject: str, mine: Key, issuer: str, by: Key, days: int = 90, *, authority: bool = False) -> x509.Certificate:
    address = x509.IPAddress(ipaddress.ip_address("10.0.0.1"))
    names = [x509.DNSName("ucp.example.com"), x509.DNSName("*.swarm.example"), address]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(mine.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 200 * DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(by, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def clear(mine: Key, password: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return mine.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def write(folder: Path, ca: bytes, cert: bytes, private: bytes) -> Path:
    for name, content in (("ca.pem", ca), ("cert.pem", cert), ("key.pem", private)):
        (folder / name).write_bytes(content)
    return folder


def told(folder: Path, *wanted: str) -> dict[Level, str]:
    found: dict[Level, str] = {}
    for finding in own.judge(own.read(folder), wanted, NOW.timestamp()):
        found[finding.level] = f"{found.get(finding.level, '')} {finding.what}"
    return found


def test_good_ones(tmp_path: Path) -> None:
    root, middle, mine = key(), key(), key()
    chain = pem(make("ucp", mine, "Middle", middle), make("Middle", middle, "Root", root, authority=True))
    write(tmp_path, pem(make("Root", root, "Root", root, authority=True)), chain, clear(mine))
    assert told(tmp_path, "ucp.example.com", "10.0.0.1", "mgr1.swarm.example") == {}
    read = own.read(tmp_path)
    assert read.issuer == "Middle" and not read.itself and read.signed and read.fits
    assert "PRIVATE" not in repr(read)


def test_what_ucp_would_not_start_with(tmp_path: Path) -> None:
    root, mine, other = key(), key(), key()
    authority = make("Root", root, "Root", root, authority=True)
    write(tmp_path, pem(authority), pem(make("ucp", mine, "Root", root)), clear(other))
    assert "is not the key of cert.pem" in told(tmp_path)[Level.BLOCKS]
    write(tmp_path, pem(authority), pem(make("ucp", mine, "Root", other)), clear(mine))
    assert "the certificate of Root that is there has another key" in told(tmp_path)[Level.BLOCKS]
    middle = key()
    leaf, between = make("ucp", mine, "Middle", middle), make("Middle", middle, "Root", root, authority=True)
    write(tmp_path, pem(authority), pem(leaf), clear(mine))
    assert "the certificate of Middle, which signed ucp, is missing in cert.pem" in told(tmp_path)[Level.BLOCKS]
    write(tmp_path, pem(authority), pem(leaf, authority, between), clear(mine))
    assert "those in cert.pem are not in order" in told(tmp_path)[Level.BLOCKS]
    write(tmp_path, pem(authority), pem(make("ucp", mine, "Root", root, days=-3)), clear(mine))
    assert "ended 3 days ago" in told(tmp_path)[Level.BLOCKS]


def test_what_is_only_warned_of(tmp_path: Path) -> None:
    mine = key()
    itself = make("ucp", mine, "ucp", mine, days=20)
    write(tmp_path, pem(itself), pem(itself), clear(mine))
    found = told(tmp_path, "ucp.example.com", "lb.example.com", "10.0.0.2", "a.b.swarm.example")
    assert Level.BLOCKS not in found
    assert "signed by nobody but itself" in found[Level.WARNING]
    assert "ends in 20 days" in found[Level.WARNING]
    assert "not made out to lb.example.com, 10.0.0.2, a.b.swarm.example" in found[Level.WARNING]


def test_files_that_are_not_what_their_names_say(tmp_path: Path) -> None:
    mine = key()
    itself = pem(make("ucp", mine, "ucp", mine))
    with pytest.raises(UsageError, match=r"ca\.pem cannot be read"):
        own.read(tmp_path)
    write(tmp_path, itself, itself, b"no key")
    with pytest.raises(UsageError, match="no private key"):
        own.read(tmp_path)
    write(tmp_path, itself, itself, clear(mine, b"password"))
    with pytest.raises(UsageError, match="has a passphrase"):
        own.read(tmp_path)
    write(tmp_path, itself, b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", clear(mine))
    with pytest.raises(UsageError, match="no certificate"):
        own.read(tmp_path)
