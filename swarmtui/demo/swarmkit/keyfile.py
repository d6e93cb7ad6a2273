"""swarm-node.key as SwarmKit writes it: PKCS#8 in PEM, encrypted under autolock, with the raft key in its headers."""

from __future__ import annotations

import base64
import textwrap

from cryptography.hazmat.primitives import serialization

from swarmtui.demo.swarmkit.log import seal

_PREFIX = "SWMKEY-1-"


def key_bytes(unlock_key: str) -> bytes:
    """The bytes of an unlock key, which encrypt; none for no key."""
    return base64.b64decode(unlock_key.removeprefix(_PREFIX) + "=") if unlock_key else b""


def key_file(private: str, *, raft_key: bytes, unlock_key: str, version: int) -> bytes:
    """The file.

    Args:
        private: the node's private key, PEM in clear.
        raft_key: what the raft log is encrypted with; empty on a worker.
        unlock_key: empty without autolock.
        version: of the unlock key.
    """
    kek = key_bytes(unlock_key)
    label, form = "PRIVATE KEY", serialization.PrivateFormat.PKCS8
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if kek:
        label, how = "ENCRYPTED PRIVATE KEY", serialization.BestAvailableEncryption(kek)
    loaded = serialization.load_pem_private_key(private.encode(), None)
    body = base64.b64encode(loaded.private_bytes(serialization.Encoding.DER, form, how)).decode()
    headers = f"kek-version: {version}\n"
    if raft_key:
        headers += f"raft-dek: {base64.b64encode(seal(raft_key, kek)).decode()}\n"
    lines = "\n".join(textwrap.wrap(body, 64))
    return f"-----BEGIN {label}-----\n{headers}\n{lines}\n-----END {label}-----\n".encode()


def raft_key_in_clear(data: bytes) -> bytes:
    """The raft key in the headers of a key file that is not encrypted; empty where there is none."""
    text = data.decode("ascii", "replace")
    if "BEGIN PRIVATE KEY" not in text:
        return b""
    value = next((line[10:] for line in text.splitlines() if line.startswith("raft-dek: ")), "")
    try:
        record = base64.b64decode(value, validate=True)
    except ValueError:
        return b""
    return record[2:] if record[:2] == b"\x12\x20" and len(record) == 34 else b""


def private_key(data: bytes) -> str:
    """The private key of a file that is not encrypted, PEM without headers; empty where it cannot be read."""
    lines = [line for line in data.decode("ascii", "replace").splitlines() if ": " not in line]
    try:
        loaded = serialization.load_pem_private_key("\n".join(lines).encode() + b"\n", None)
    except (ValueError, TypeError):
        return ""
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
