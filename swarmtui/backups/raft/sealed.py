"""Records that may be encrypted: swarmkit's envelope around everything raft writes, and around raft's own key."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol

from swarmtui.backups.raft.wire import WireError, fields, number, octets
from swarmtui.vault.secret import Secret

PLAIN, SECRETBOX, FERNET = 0, 1, 2
"""Algorithms: none; NaCl's secretbox (XSalsa20-Poly1305); Fernet, where the Swarm is a FIPS one."""
KEY_BYTES = 32
_NONCE_BYTES = 24
_PREFIX = "SWMKEY-1-"


class SealedError(ValueError):
    """No key at hand opens this record. Never holds a key or any data."""


class Opener(Protocol):
    """What opens records: raft's data keys, or an unlock key."""

    def __call__(self, record: bytes) -> bytes:
        """Opens one record.

        Raises:
            SealedError: no key at hand opens it, or it is no record.
        """
        ...


def opener(keys: Sequence[bytes]) -> Opener:
    """Opens records with any of these keys. Like dockerd, it takes none that is not encrypted."""
    from nacl.bindings import crypto_secretbox_open
    from nacl.exceptions import CryptoError

    usable = [key for key in keys if len(key) == KEY_BYTES]

    def open_(record: bytes) -> bytes:
        algorithm, data, nonce = parts(record)
        if algorithm == SECRETBOX and len(nonce) == _NONCE_BYTES:
            for key in usable:
                try:
                    return crypto_secretbox_open(data, nonce, key)
                except (CryptoError, ValueError, TypeError):
                    continue
        elif algorithm == FERNET:
            for key in usable:
                opened = _fernet(key, data)
                if opened is not None:
                    return opened
        raise SealedError("no key at hand opens this record")

    return open_


def parts(record: bytes) -> tuple[int, bytes, bytes]:
    """Algorithm, data and nonce of a record.

    Raises:
        SealedError: it is none.
    """
    algorithm, data, nonce = PLAIN, b"", b""
    try:
        for field, raw in fields(record):
            if field == 2:
                data = octets(raw)
            elif field == 3:
                nonce = octets(raw)
            elif field == 1:
                algorithm = number(raw)
    except WireError:
        raise SealedError("this is no record") from None
    return algorithm, data, nonce


def plain(data: bytes) -> bytes:
    """A record that is not encrypted."""
    length, size = len(data), bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    # swarmkit leaves the algorithm out when it is 0, as protobuf does with every default.
    return b"\x12" + bytes(size) + data


def kek(key: Secret) -> bytes | None:
    """The bytes of an unlock key, which are themselves the key; None if it is no unlock key."""
    said = key.reveal().strip()
    if not said.startswith(_PREFIX):
        return None
    encoded = said[len(_PREFIX) :]
    try:
        found = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == KEY_BYTES else None


def _fernet(key: bytes, token: bytes) -> bytes | None:
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return Fernet(base64.urlsafe_b64encode(key)).decrypt(token)
    except (InvalidToken, ValueError, TypeError):
        return None
