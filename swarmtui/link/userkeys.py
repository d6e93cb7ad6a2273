"""The user's own keys: which to offer, and which of them are encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import asyncssh

from swarmtui.link.route import Route


class Locked:
    """Stands in for the passphrase of every encrypted key: notes which are of interest, and gives none.

    Where the public half is known, asyncssh asks only once the server has accepted it; where it is not, it asks while
    it loads the key. Either way it then goes on to the next key, because what is raised here reads as "no passphrase".

    Attributes:
        wanted: keys that the server would accept.
        opaque: keys of which nobody can tell before they are decrypted.
    """

    def __init__(self) -> None:
        self.wanted: list[Path] = []
        self.opaque: list[Path] = []
        self.loading = False

    def __call__(self, filename: str) -> str:
        (self.opaque if self.loading else self.wanted).append(Path(filename))
        raise asyncssh.KeyImportError("Passphrase must be specified to import encrypted private keys")


def load_keys(route: Route, unlocked: dict[str, Any], locked: Locked) -> list[Any]:
    """Reads the key files; returns the key pairs to offer, encrypted ones among them."""
    pairs: list[Any] = []
    locked.loading = True
    for path in route.key_files:
        if (key := unlocked.get(str(path))) is not None:
            pairs += pairs_of(key, path)
            continue
        try:
            # What is no key at all would be taken for one that is encrypted.
            if b"PRIVATE KEY-----" in path.read_bytes():
                pairs += asyncssh.load_keypairs([path], passphrase=cast(Any, locked), ignore_encrypted=True)
        except (OSError, ValueError):
            # OpenSSH, too, passes over files that are missing or no keys.
            continue
    locked.loading = False
    return pairs


def pairs_of(key: Any, path: Path) -> Sequence[Any]:
    certificate = Path(f"{path}-cert.pub")
    if certificate.is_file():
        try:
            return asyncssh.load_keypairs([(key, str(certificate))])
        except (OSError, ValueError):
            pass
    return asyncssh.load_keypairs([key])


def public_halves(route: Route) -> list[bytes]:
    halves = []
    for path in route.key_files:
        for name in (path, Path(f"{path}.pub")):
            try:
                halves.append(asyncssh.read_public_key(name).public_data)
                break
            except (OSError, ValueError):
                continue
    return halves
