"""Writes what dockerd writes: raft logs, snapshots, sealed records and key files, to make damage to order.

Shares no code with what it tests: protobuf, framing and sums are written out here once more.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from google_crc32c import extend, value
from nacl.secret import SecretBox

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
Record = tuple[int, bytes]
"""Kind and content."""


def number(n: int) -> bytes:
    """A varint."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def put(**fields: int | bytes) -> bytes:
    """A message: f1=…, f2=…; numbers as varints, bytes with their length."""
    out = b""
    for name, said in fields.items():
        tag = int(name[1:]) << 3
        out += number(tag) + number(said) if isinstance(said, int) else number(tag | 2) + number(len(said)) + said
    return out


def get(data: bytes) -> dict[int, int | bytes]:
    """A message's fields; the last of each."""
    found: dict[int, int | bytes] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        total = shift = 0
        while True:
            total |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return total

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3] = varint()
        else:
            length = varint()
            found[tag >> 3] = data[at : at + length]
            at += length
    return found


def unframe(data: bytes) -> list[Record]:
    """The records of a log file, without the checksum records."""
    found: list[Record] = []
    at = 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<q", data, at)
        if not length:
            break
        size, padding = length & (1 << 56) - 1, (length >> 56) & 7 if length < 0 else 0
        fields = get(data[at + 8 : at + 8 + size])
        kind, content = fields[1], fields.get(3, b"")
        assert isinstance(kind, int) and isinstance(content, bytes)
        if kind != CRC:
            found.append((kind, content))
        at += 8 + size + padding
    return found


def framed(record: bytes) -> bytes:
    """One record with its length, padded to eight bytes."""
    padding = -len(record) % 8
    length = len(record) | (((0x80 | padding) << 56) if padding else 0)
    return struct.pack("<Q", length) + record + bytes(padding)


def frame(records: Iterable[Record], crc: int = 0, tail: int = 4096) -> tuple[bytes, int]:
    """A log file with right sums, and the sum that the next file begins with."""
    out = framed(put(f1=CRC, f2=crc))
    for kind, content in records:
        crc = extend(crc, content)
        out += framed(put(f1=kind, f2=crc, f3=content))
    return out + bytes(tail), crc


@dataclass(frozen=True)
class LogEntry:
    """An entry of the log; its data is sealed."""

    index: int
    term: int
    data: bytes
    kind: int = 0

    @classmethod
    def parse(cls, content: bytes) -> LogEntry:
        fields = get(content)
        data = fields.get(4, b"")
        assert isinstance(data, bytes)
        return cls(int(fields.get(3, 0)), int(fields.get(2, 0)), data, int(fields.get(1, 0)))

    def record(self) -> Record:
        return ENTRY, put(f1=self.kind, f2=self.term, f3=self.index, f4=self.data)


def state(term: int, commit: int) -> Record:
    """raft's hard state."""
    return STATE, put(f1=term, f2=1, f3=commit)


def seal(key: bytes, data: bytes) -> bytes:
    """A record under NaCl's secretbox."""
    box = SecretBox(key).encrypt(data)
    return put(f1=1, f2=box.ciphertext, f3=box.nonce)


def seal_fips(key: bytes, data: bytes) -> bytes:
    """A record under Fernet."""
    return put(f1=2, f2=Fernet(base64.urlsafe_b64encode(key)).encrypt(data))


def unseal(key: bytes, record: bytes) -> bytes:
    """What is in a record under NaCl's secretbox."""
    fields = get(record)
    data, nonce = fields[2], fields[3]
    assert isinstance(data, bytes) and isinstance(nonce, bytes)
    return SecretBox(key).decrypt(data, nonce)


def resealed(records: Iterable[Record], old: bytes, new: bytes, fips: bool = False, after: int = 0) -> list[Record]:
    """The same log, its entries after one sealed anew."""
    out: list[Record] = []
    for kind, content in records:
        if kind == ENTRY and (entry := LogEntry.parse(content)).index > after:
            plain = unseal(old, entry.data)
            out.append(replace(entry, data=seal_fips(new, plain) if fips else seal(new, plain)).record())
        else:
            out.append((kind, content))
    return out


def snapshot(record: bytes, index: int, term: int) -> bytes:
    """A snapshot file."""
    inner = put(f1=record, f2=put(f2=index, f3=term))
    return put(f1=value(inner), f2=inner)


def dek(key_file: bytes, name: str = "raft-dek") -> bytes:
    """raft's key out of a key file that is not locked."""
    line = next(line for line in key_file.decode().splitlines() if line.startswith(f"{name}: "))
    found = get(base64.b64decode(line.split(": ")[1]))[2]
    assert isinstance(found, bytes)
    return found


def private_key(key_file: bytes) -> PrivateKeyTypes:
    """The TLS key out of a key file that is not locked."""
    kept = [line for line in key_file.decode().splitlines() if line and ": " not in line]
    return load_pem_private_key("\n".join(kept).encode(), None)


def key_file(key: PrivateKeyTypes, deks: dict[str, bytes], kek: bytes | None = None, version: int = 0) -> bytes:
    """A node's key file, locked where there is a key to lock it with."""
    locking = BestAvailableEncryption(kek) if kek else NoEncryption()
    lines = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locking).decode().splitlines()
    sealed = {name: seal(kek, data) if kek else put(f1=0, f2=data) for name, data in deks.items()}
    headers = [f"kek-version: {version}", *(f"{n}: {base64.b64encode(d).decode()}" for n, d in sorted(sealed.items()))]
    return "\n".join([lines[0], *headers, "", *lines[1:], ""]).encode()


@dataclass(frozen=True)
class Authority:
    """A CA that signs nodes' certificates."""

    key: CertificateIssuerPrivateKeyTypes
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, key: PrivateKeyTypes, days: tuple[float, float] = (-1, 90), **who: str) -> bytes:
        """A certificate for a key.

        Args:
            days: from when to when it is valid, from `NOW` on.
            who: cn, ou, o.
        """
        subject = _name(**who)
        return _certificate(key, subject, self.certificate.subject, self.key, days, ca=False).public_bytes(Encoding.PEM)

    def sub(self, days: tuple[float, float] = (-1, 90)) -> Authority:
        """An intermediate CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(key, _name(cn="sub"), self.certificate.subject, self.key, days, ca=True)
        return Authority(key, made)


def authority(days: tuple[float, float] = (-1, 7300)) -> Authority:
    """A new CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(key, _certificate(key, _name(cn="swarm-ca"), _name(cn="swarm-ca"), key, days, ca=True))


BEGIN = datetime.fromtimestamp(1795300000, UTC)
"""When the real directories were made."""


def _name(cn: str, ou: str = "", o: str = "") -> x509.Name:
    said = ((NameOID.ORGANIZATION_NAME, o), (NameOID.ORGANIZATIONAL_UNIT_NAME, ou), (NameOID.COMMON_NAME, cn))
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in said if text])


def _certificate(
    key: PrivateKeyTypes,
    subject: x509.Name,
    issuer: x509.Name,
    by: CertificateIssuerPrivateKeyTypes,
    days: tuple[float, float],
    *,
    ca: bool,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN + timedelta(days=days[0]))
        .not_valid_after(BEGIN + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .sign(by, hashes.SHA256())
    )
