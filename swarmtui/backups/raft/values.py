"""The data of secrets, out of the raft log: the engine API never gives it, and only a backup can give it back."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence

from swarmtui.backups.errors import RaftError
from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft.messages import SECRET_DATA
from swarmtui.backups.raft.reading import read_with_store
from swarmtui.backups.raft.wire import WireError, decode
from swarmtui.model.text import one_line
from swarmtui.vault.secret import Secret


def secret_data(files: SwarmFiles, keys: Sequence[Secret], ids: Collection[str]) -> dict[str, Secret]:
    """The data of these secrets by their id, in base64 as the engine API takes it.

    A secret that the archive does not have, or whose data an outside driver keeps, is not in the result. A log that is
    damaged gives what comes before the damage: data are sealed, and Swarm never changes those of a secret.

    Args:
        keys: unlock keys to try, where the directory is locked.

    Raises:
        RaftError: the raft log cannot be decrypted.
    """
    contents, store = read_with_store(files, keys)
    if not contents.opened:
        why = next((one.what for one in contents.problems if one.fatal or one.id == "locked"), "It is damaged.")
        raise RaftError(f"The data of its secrets cannot be read. {why}", _next_step(contents.locked))
    found: dict[str, Secret] = {}
    for name in ids:
        raw = store.objects["secret"].get(name.encode())
        if raw is None:
            continue
        try:
            data: bytes = decode(raw, SECRET_DATA).get("spec", {}).get("data", b"")
        except WireError:
            # Without the cause: an error's chain is printed, and the bytes are the secret.
            raise RaftError(f"The secret {one_line(name)[:40]} cannot be read from the raft log.") from None
        if data:
            found[name] = Secret(base64.b64encode(data).decode("ascii"))
    return found


def _next_step(locked: bool) -> str:
    if locked:
        return "Give its unlock key to the vault: swarmtui secrets set unlock-key CLUSTER_ID"
    return "Take another backup, or see what `swarmtui backups verify` says of this one."
