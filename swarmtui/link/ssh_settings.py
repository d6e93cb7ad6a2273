"""How SSH connections are made. Imports nothing heavy: it is needed before the first paint."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Memory:
    """What people told us in this session, so that a reconnect does not ask again. Never written anywhere.

    Attributes:
        keys: path of an encrypted key → the key, decrypted.
        passwords: "user@host:port" → password.
        host_keys: (known-hosts name, key blob) that a person accepted.
        asking: held while a person is being asked, so that questions come one at a time.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.passwords: dict[str, str] = {}
        self.host_keys: set[tuple[str, bytes]] = set()
        self.asking = asyncio.Lock()


@dataclass(frozen=True)
class SshSettings:
    """Settings of all SSH connections of one cluster.

    Attributes:
        config_file: OpenSSH client configuration; None for ~/.ssh/config where there is one.
        known_hosts: the only known-hosts file to use; None for those of the ssh configuration, else the usual ones.
        connect_timeout: seconds until a host that does not answer is given up, without the time people need to answer.
        keepalive_interval: seconds without a word from the server after which it is asked for one.
        keepalive_count_max: unanswered questions after which the connection counts as lost.
        sudo: use `sudo -n docker` where the user may not use the Docker socket.
        memory: what people told us in this session.
    """

    config_file: Path | None = None
    known_hosts: Path | None = None
    connect_timeout: float = 10.0
    keepalive_interval: float = 5.0
    keepalive_count_max: int = 3
    sudo: bool = False
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    def config_path(self) -> Path | None:
        """The OpenSSH client configuration in use; None where there is none."""
        path = self.config_file if self.config_file is not None else Path("~/.ssh/config")
        path = path.expanduser()
        return path if self.config_file is not None or path.is_file() else None
