"""Nothing that opens a backup is left or seen anywhere, whatever is done with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pyrage

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.crypt import Encryption
from swarmtui.vault import Secret
from tests.backups.tars import generation, taken, tar_of
from tests.leaks.harness import Leaks

LOCKED, BEFORE = generation("locked"), generation("locked-before")


def test_what_opens_backups_is_seen_nowhere(leaks: Leaks, tmp_path: Path) -> None:
    """The keys come as systemd credentials, which no process has in its environment or its arguments."""
    key = leaks.secret("the unlock key", LOCKED.key)
    earlier = leaks.secret("the unlock key before", BEFORE.key)
    passphrase = leaks.secret("the backup passphrase", "correct-horse-7731-battery-staple")
    wrong = leaks.secret("another passphrase", "never-mind-9942-staple-battery")
    identity = leaks.secret("an identity of age", str(pyrage.x25519.Identity.generate()))
    cluster_id = LOCKED.inventory.cluster_id
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / f"swarmtui.unlock-key.{cluster_id}").write_text(key)
    (credentials / f"swarmtui.backup-passphrase.{cluster_id}").write_text(passphrase)
    (credentials / "identity").write_text(identity)
    sealed = Encryption(passphrase=Secret(passphrase))
    catalogue = Catalogue()
    now = time.time()
    old = taken(catalogue, BEFORE, at=now - 86400, inventory=None)
    new = taken(catalogue, LOCKED, at=now, encryption=sealed)
    bkp = tmp_path / "swarm.bkp.age"
    bkp.write_bytes(pyrage.passphrase.encrypt(tar_of(LOCKED.files, "swarm/", packed=True), wrong))

    def swarmtui(*words: str, given: str = "", code: int = 0) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "swarmtui", "backups", *words],
            input=given.encode(),
            capture_output=True,
            env={**os.environ, "CREDENTIALS_DIRECTORY": str(credentials)},
        )
        for stream, told in (("stdout", done.stdout), ("stderr", done.stderr)):
            leaks.seen(f"{stream} of swarmtui backups {' '.join(words)}", told)
        assert done.returncode == code, (words, done.stdout, done.stderr)

    swarmtui("verify", new.id)
    swarmtui("verify", old.id, code=1)  # it needs the key before, which is not in the vault
    swarmtui("verify", new.id, "--identity", str(credentials / "identity"), code=1)
    swarmtui("diff", old.id, new.id, code=2)
    swarmtui("import", str(bkp), "--json", given=f"{wrong}\n")
    swarmtui("unlock", new.id, "--to", str(tmp_path / "unlocked"))
    swarmtui("list", "--json")
    assert earlier not in (tmp_path / "unlocked" / "certificates/swarm-node.key").read_text()
    assert len(catalogue.entries()) == 3
    for each in catalogue.entries():
        leaks.below(each.folder)
