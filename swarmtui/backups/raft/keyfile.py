"""A node's key file, certificates/swarm-node.key: its TLS key, and in the headers raft's key, maybe locked."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarmtui.backups.raft.sealed import PLAIN, SealedError, opener, parts

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

DEK, PENDING, VERSION, ROTATE = "raft-dek", "raft-dek-pending", "kek-version", "raft-dek-needs-rotation"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_LONGEST_KEY_FILE = 1 << 16
_LONGEST_KEY = 1 << 12
"""Of DER. Swarm's own keys (P-256) have some 300 bytes; checking a giant one of a hostile archive would take hours."""
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_MOST_ROUNDS = 1_000_000
"""swarmkit writes 2,048. A hostile count would keep the machine busy for days."""
_LINE = 64
_OLD_STYLE = ("Proc-Type", "DEK-Info")
"""Headers of the encryption that OpenSSL once had: key files of before Docker 18.09."""


class KeyFileError(ValueError):
    """The key file is none, or this key does not open it. Never holds a key."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as it is, before anything is decrypted.

    Attributes:
        label: of its PEM block.
        headers: of its PEM block.
        der: the key, encrypted if `locked`.
    """

    label: str
    headers: dict[str, str] = field(repr=False)
    der: bytes = field(repr=False)

    @property
    def locked(self) -> bool:
        """An unlock key is needed."""
        return self.label == "ENCRYPTED PRIVATE KEY" or _OLD_STYLE[1] in self.headers

    @property
    def kek_version(self) -> int:
        """Which unlock key locks it; 0 for none."""
        said = self.headers.get(VERSION, "")
        return int(said) if said.isascii() and said.isdigit() and len(said) <= 20 else 0

    @property
    def of_manager(self) -> bool:
        """It carries raft's key: a worker's has none."""
        return DEK in self.headers


@dataclass(frozen=True, slots=True)
class Opened:
    """What an opened key file holds.

    Attributes:
        key: the node's TLS key.
        deks: raft's data keys by the header they were in.
    """

    key: PrivateKeyTypes = field(repr=False)
    deks: dict[str, bytes] = field(repr=False)


def parse(pem: bytes) -> KeyFile:
    """Reads a key file.

    Raises:
        KeyFileError: it is none.
    """
    block = _BLOCK.search(pem) if len(pem) <= _LONGEST_KEY_FILE else None
    if block is None:
        raise KeyFileError("no PEM block")
    headers: dict[str, str] = {}
    lines = block[2].decode("latin-1").splitlines()
    while lines and ":" in lines[0]:
        name, _, value = lines.pop(0).partition(":")
        headers[name.strip()] = value.strip()
    try:
        der = base64.b64decode("".join(lines).replace(" ", "").replace("\t", ""), validate=True)
    except (binascii.Error, ValueError):
        raise KeyFileError("a PEM block that is not base64") from None
    label = block[1].decode("ascii")
    if not label.endswith("PRIVATE KEY") or not 0 < len(der) <= _LONGEST_KEY:
        raise KeyFileError("a PEM block that is no private key of a node")
    return KeyFile(label, headers, der)


def open_(file: KeyFile, kek: bytes | None) -> Opened:
    """Opens a key file, with the bytes of an unlock key where it is locked.

    Raises:
        KeyFileError: this key does not open it, or what it holds is damaged.
    """
    key = _private_key(file, kek if file.locked else None)
    unseal = opener([kek] if file.locked and kek else [])
    deks: dict[str, bytes] = {}
    for name in (DEK, PENDING):
        if name not in file.headers:
            continue
        try:
            record = base64.b64decode(file.headers[name], validate=True)
            algorithm, data, _ = parts(record)
            if file.locked:
                deks[name] = unseal(record)
            elif algorithm == PLAIN and data:
                deks[name] = data
            else:
                raise SealedError("encrypted in a key file that is not locked")
        except (binascii.Error, ValueError) as problem:
            raise KeyFileError(f"its header {name} does not open") from problem
    return Opened(key, deks)


def armour(label: str, headers: dict[str, str], der: bytes) -> bytes:
    """A PEM block as Go writes it, headers in alphabetical order."""
    encoded = base64.b64encode(der).decode("ascii")
    lines = [f"-----BEGIN {label}-----", *(f"{name}: {headers[name]}" for name in sorted(headers))]
    if headers:
        lines.append("")
    lines += [encoded[at : at + _LINE] for at in range(0, len(encoded), _LINE)]
    return "\n".join([*lines, f"-----END {label}-----", ""]).encode("ascii", "replace")


def _private_key(file: KeyFile, kek: bytes | None) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    old = _OLD_STYLE[1] in file.headers
    if file.locked and not old and not 0 < _rounds(file.der) <= _MOST_ROUNDS:
        raise KeyFileError("its private key is encrypted as no Swarm does it")
    try:
        if old:
            kept = {name: file.headers[name] for name in _OLD_STYLE if name in file.headers}
            return load_pem_private_key(_old_style(file, kept), kek)
        return load_der_private_key(file.der, kek)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError("its private key does not open") from None


def _rounds(der: bytes) -> int:
    """How often PBKDF2 turns the unlock key over, of PKCS#8's parameters; 0 where that cannot be told."""
    at = der.find(_PBKDF2)
    if at < 0:
        return 0
    # SEQUENCE { OCTET STRING salt, INTEGER rounds, … }, all shorter than 128 bytes.
    salt = at + len(_PBKDF2) + 2
    if salt + 1 >= len(der) or der[salt - 2] != 0x30 or der[salt] != 0x04 or der[salt + 1] > 0x7F:
        return 0
    rounds = salt + 2 + der[salt + 1]
    if rounds + 1 >= len(der) or der[rounds] != 0x02 or not 0 < der[rounds + 1] <= 8:
        return 0
    return int.from_bytes(der[rounds + 2 : rounds + 2 + der[rounds + 1]], "big")


def _old_style(file: KeyFile, kept: dict[str, str]) -> bytes:
    # OpenSSL wants Proc-Type first.
    block = armour(file.label, {}, file.der).decode("ascii").split("\n")
    said = [f"{name}: {kept[name]}" for name in _OLD_STYLE if name in kept]
    return "\n".join([block[0], *said, "", *block[1:]]).encode("ascii", "replace")
