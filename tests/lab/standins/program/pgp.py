"""OpenPGP with a passphrase (RFC 4880): one symmetrically encrypted, integrity protected message."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        from cryptography.hazmat.decrepit.ciphers.modes import CFB
    except ImportError:  # older releases
        from cryptography.hazmat.primitives.ciphers.modes import CFB

_AES256 = 9
_SHA256 = 8
_COUNT = 0x60
"""65536 bytes are hashed."""


class WrongPassphrase(Exception):
    """It does not open with this passphrase (or is damaged)."""


class NotOpenPgp(Exception):
    """These bytes are no such message."""


def encrypt(data: bytes, passphrase: str) -> bytes:
    """A message that `gpg --decrypt` opens."""
    salt = os.urandom(8)
    key = _key(passphrase, salt, _COUNT)
    session = _packet(3, bytes([4, _AES256, 3, _SHA256]) + salt + bytes([_COUNT]))
    prefix = os.urandom(16)
    body = prefix + prefix[-2:] + _packet(11, b"b\x00" + bytes(4) + data) + b"\xd3\x14"
    body += hashlib.sha1(body).digest()
    cipher = Cipher(algorithms.AES(key), CFB(bytes(16))).encryptor()
    return session + _packet(18, b"\x01" + cipher.update(body) + cipher.finalize())


def decrypt(message: bytes, passphrase: str) -> bytes:
    """What is inside.

    Raises:
        NotOpenPgp: no such message.
        WrongPassphrase: it does not open.
    """
    packets = list(_packets(message))
    if [tag for tag, _ in packets] != [3, 18]:
        raise NotOpenPgp("openpgp: invalid data")
    session, sealed = packets[0][1], packets[1][1]
    if session[:4] != bytes([4, _AES256, 3, _SHA256]):
        raise NotOpenPgp("openpgp: unsupported feature")
    key = _key(passphrase, session[4:12], session[12])
    cipher = Cipher(algorithms.AES(key), CFB(bytes(16))).decryptor()
    body = cipher.update(sealed[1:]) + cipher.finalize()
    if body[14:16] != body[16:18] or hashlib.sha1(body[:-20]).digest() != body[-20:]:
        raise WrongPassphrase("openpgp: incorrect key")
    literal = next(content for tag, content in _packets(body[18:-22]) if tag == 11)
    return literal[2 + literal[1] + 4 :]


def _key(passphrase: str, salt: bytes, coded: int) -> bytes:
    count = (16 + (coded & 15)) << ((coded >> 4) + 6)
    text = salt + passphrase.encode()
    return hashlib.sha256((text * (count // len(text) + 1))[: max(count, len(text))]).digest()


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + struct.pack(">I", len(body)) + body


def _packets(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        if at + 6 > len(data) or data[at] & 0xC0 != 0xC0 or data[at + 1] != 0xFF:
            raise NotOpenPgp("openpgp: invalid data: tag byte does not have MSB set")
        size = struct.unpack_from(">I", data, at + 2)[0]
        if at + 6 + size > len(data):
            raise NotOpenPgp("unexpected EOF")
        found.append((data[at] & 0x3F, data[at + 6 : at + 6 + size]))
        at += 6 + size
    return found
