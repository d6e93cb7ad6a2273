"""Known hosts, as OpenSSH keeps them: which host keys are known, changed or revoked, and how a new one is written down.

Matching follows OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) and not asyncssh, which also trusts a key that is known
for the address under another name, and does not tell a changed key from an unknown one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKeyQuestion:
    """A host showed a key that is not known yet.

    Attributes:
        sha256: fingerprint as ssh-keygen -l prints it, "SHA256:…".
        file: where the key is written down after a yes.
    """

    host: str
    port: int
    algorithm: str
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key: its type, and its blob as it goes over the wire."""

    kind: str
    blob: bytes

    @property
    def line(self) -> bytes:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}".encode()


@dataclass(slots=True)
class Known:
    """What the known-hosts files have for one host."""

    keys: list[HostKey] = field(default_factory=list)
    authorities: list[HostKey] = field(default_factory=list)
    revoked: list[HostKey] = field(default_factory=list)
    file: Path | None = None
    """The file that the first of `keys` is in."""


def fingerprint(blob: bytes) -> str:
    """Returns the SHA256 fingerprint of a key blob in OpenSSH's form."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def known_as(host: str, port: int) -> str:
    """Returns the name under which a host is kept in a known-hosts file."""
    host = host.lower()
    return host if port == SSH_PORT else f"[{host}]:{port}"


def default_files() -> list[Path]:
    """The files OpenSSH reads when nothing else is configured; a new key goes to the first."""
    home = Path("~/.ssh").expanduser()
    return [
        home / "known_hosts",
        home / "known_hosts2",
        Path("/etc/ssh/ssh_known_hosts"),
        Path("/etc/ssh/ssh_known_hosts2"),
    ]


def look_up(files: Iterable[Path], host: str, port: int) -> tuple[Known, Known]:
    """Reads what is known of a host. Lines that cannot be understood are passed over, as OpenSSH does.

    Returns:
        What is known under the host's own name; and, for another port than 22, what is known under the bare host name:
        such a key is accepted, but a different one there says nothing.
    """
    name, bare = known_as(host, port), host.lower()
    own, plain = Known(), Known()
    for file in files:
        try:
            text = file.read_text("utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            marker, patterns, key = _parse(line)
            if key is None:
                continue
            if _matches(patterns, name):
                _add(own, marker, key, file)
            elif name != bare and _matches(patterns, bare):
                _add(plain, marker, key, file)
    return own, plain


def _add(known: Known, marker: str, key: HostKey, file: Path) -> None:
    if marker == "@revoked":
        known.revoked.append(key)
    elif marker == "@cert-authority":
        known.authorities.append(key)
    elif not marker:
        known.keys.append(key)
        known.file = known.file or file


def _parse(line: str) -> tuple[str, str, HostKey | None]:
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return "", "", None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if len(fields) < 3:
        return marker, "", None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return marker, "", None
    return marker, fields[0], HostKey(fields[1], blob)


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _matches_hash(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        # In these patterns only * and ? are special; square brackets hold an address with a port.
        if fnmatchcase(name, pattern.removeprefix("!").replace("[", "[[]")):
            if negated:
                return False
            found = True
    return found


def _matches_hash(entry: str, name: str) -> bool:
    try:
        _, _, salt, digest = entry.split("|")
        wanted = base64.b64decode(digest, validate=True)
        made = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(wanted, made)


def append(file: Path, host: str, port: int, key: HostKey) -> None:
    """Writes down a key that a person accepted. Makes the folder (0700) and the file (0600) where there is none.

    Raises:
        OSError: it cannot be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = f"{known_as(host, port)} ".encode() + key.line + b"\n"
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
            if stream.read(1) != b"\n":
                line = b"\n" + line
        stream.write(line)
