"""Unlocks a manager's key file offline: with autolock and several managers, Docker itself cannot (swarm-dr.md §3)."""

from __future__ import annotations

import base64

from swarmtui.backups.errors import RaftError
from swarmtui.backups.raft.keyfile import DEK, PENDING, VERSION, KeyFileError, armour, open_, parse
from swarmtui.backups.raft.sealed import kek, plain
from swarmtui.vault.secret import Secret


def unlocked_key(pem: bytes, key: Secret) -> bytes:
    """Makes the key file certificates/swarm-node.key as a manager without autolock has it: the TLS key and raft's key
    in clear, kek-version 0.

    Whoever has the result has the Swarm: it belongs in a file of mode 0600, and nowhere else. A key file that is not
    locked comes back as it is.

    Args:
        pem: the whole key file.
        key: the unlock key, SWMKEY-1-….

    Raises:
        RaftError: it is no key file, or this is not its unlock key.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    try:
        file = parse(pem)
    except KeyFileError as problem:
        raise RaftError(
            f"This is no key file of a Swarm node: {problem}.", "Take another backup of the same time."
        ) from None
    if not file.locked:
        return pem
    secret = kek(key)
    if secret is None:
        raise RaftError("This is no unlock key.", "An unlock key begins with SWMKEY-1-; copy all of it.")
    try:
        opened = open_(file, secret)
    except KeyFileError:
        raise RaftError(
            f"This unlock key does not open the key file, which is locked with version {file.kek_version}.",
            "Try the keys that the cluster had before; `swarmtui secrets` lists them.",
        ) from None
    headers = {
        name: said
        for name, said in file.headers.items()
        if name not in (DEK, PENDING, VERSION, "Proc-Type", "DEK-Info")
    }
    headers |= {name: base64.b64encode(plain(dek)).decode("ascii") for name, dek in opened.deks.items()}
    headers[VERSION] = "0"
    der = opened.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return armour("PRIVATE KEY", headers, der)
