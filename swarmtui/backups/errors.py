"""What can go wrong with backups, for a person."""

from __future__ import annotations

from swarmtui.errors import SwarmtuiError


class BackupError(SwarmtuiError):
    """A backup cannot be made, kept or read."""


class RaftError(BackupError):
    """What is inside a Swarm's directory cannot be used as asked. Never holds a secret."""


class ArchiveError(BackupError):
    """An archive cannot be read, or is not what it should be."""
