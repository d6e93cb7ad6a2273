"""OpenPGP symmetric encryption (RFC 4880), as `gpg --symmetric` writes and `gpg --decrypt` reads it.

Only what a passphrase-encrypted backup needs: one session key derived from the passphrase with an iterated and
salted S2K (SHA-256), AES-256, and a modification detection code.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

_AES256, _SHA256, _ITERATED = 9, 8, 3
_BLOCK = 16
_COUNT = 0x60
"""The coded number of octets that are hashed: 65536."""


class WrongPassphrase(ValueError):
    """The message is damaged, or was written with another passphrase."""


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def _key(passphrase: str, salt: bytes) -> bytes:
    count = (16 + (_COUNT & 15)) << ((_COUNT >> 4) + 6)
    data = salt + passphrase.encode()
    repeated = data * (count // len(data) + 1)
    return hashlib.sha256(repeated[: max(count, len(data))]).digest()


def encrypt(data: bytes, passphrase: str) -> bytes:
    """Encrypt under a passphrase."""
    salt = os.urandom(8)
    session = _packet(3, bytes([4, _AES256, _ITERATED, _SHA256]) + salt + bytes([_COUNT]))
    literal = _packet(11, b"b" + b"\x00" + b"\x00\x00\x00\x00" + data)
    prefix = os.urandom(_BLOCK)
    plain = prefix + prefix[-2:] + literal + b"\xd3\x14"
    plain += hashlib.sha1(plain, usedforsecurity=False).digest()
    encryptor = Cipher(AES(_key(passphrase, salt)), CFB(bytes(_BLOCK))).encryptor()
    return session + _packet(18, b"\x01" + encryptor.update(plain) + encryptor.finalize())


def decrypt(message: bytes, passphrase: str) -> bytes:
    """Decrypt what `encrypt` wrote.

    Raises:
        WrongPassphrase: it cannot be.
    """
    salt, sealed = b"", b""
    for tag, body in _packets(message):
        if tag == 3 and body[:4] == bytes([4, _AES256, _ITERATED, _SHA256]):
            salt = body[4:12]
        elif tag == 18:
            sealed = body[1:]
    if not salt or len(sealed) < _BLOCK + 2 + 22:
        raise WrongPassphrase("this is no message that a passphrase opens")
    decryptor = Cipher(AES(_key(passphrase, salt)), CFB(bytes(_BLOCK))).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    if hashlib.sha1(plain[:-20], usedforsecurity=False).digest() != plain[-20:]:
        raise WrongPassphrase("wrong passphrase, or a damaged message")
    for tag, body in _packets(plain[_BLOCK + 2 : -22]):
        if tag == 11:
            return body[2 + body[1] + 4 :]
    raise WrongPassphrase("the message holds no data")


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    result = []
    at = 0
    while at + 6 <= len(data) and data[at] & 0xC0 == 0xC0 and data[at + 1] == 0xFF:
        size = int.from_bytes(data[at + 2 : at + 6], "big")
        result.append((data[at] & 0x3F, data[at + 6 : at + 6 + size]))
        at += 6 + size
    return result
