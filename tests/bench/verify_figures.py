"""`swarmtui backups verify --all` on 100 backups in a terminal: how long, how much memory, and how soon it stops.

A third each of a plain Swarm, of a locked one and of one with snapshots; half of them are encrypted for a recipient.
"""

from __future__ import annotations

import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyrage  # type: ignore[import-untyped]

from swarmtui.backups.catalogue import Catalogue, backup_id
from swarmtui.backups.crypt import Encryption
from tests.backups.campaign import manifest_of
from tests.backups.corruptions import BASES, good
from tests.backups.generations import generations

COUNT = 100
DAY = 86_400.0
STOP_AFTER = 20
"""Backups after which it is told to stop."""
SECONDS = 300.0


def catalogue_of(root: Path, count: int, recipient: str) -> None:
    """A catalogue with so many backups, of one cluster."""
    catalogue, begin = Catalogue(root), time.time()
    encryption = Encryption.for_recipients([recipient])
    for number in range(count):
        one = good(BASES[number % len(BASES)])
        draft = catalogue.begin(
            one.base.api["swarm"]["ID"],
            backup_id(begin - number * DAY, "mgr2"),
            encryption if number % 2 else Encryption(),
        )
        draft.write(one.tar)
        draft.commit(manifest_of(one), b"{}")


class Watched:
    """`swarmtui` in a terminal, while it runs."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "swarmtui", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self._terminal = ours
        self.text = ""

    def until(self, words: str) -> None:
        """Reads until it has said this, or has ended."""
        end = time.monotonic() + SECONDS
        while words not in self.text and time.monotonic() < end and self._read():
            pass

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], 1.0)[0]:
            return self._process.poll() is None
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # how a terminal ends
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def stop(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, float]:
        """Waits for its end; its exit code, and the most memory it had, in MiB."""
        while self._read():
            pass
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._terminal)
        return self._process.returncode, used.ru_maxrss / 1024


def verify_figures() -> dict[str, float]:
    """Makes 100 backups, and verifies them twice: to the end, and stopped on the way."""
    with tempfile.TemporaryDirectory(prefix="swarmtui-verify-") as name:
        folder = Path(name)
        identity = pyrage.x25519.Identity.generate()
        (folder / "identity").write_text(f"{identity}\n")
        (folder / "credentials").mkdir()
        locked = generations()["locked"]
        credential = folder / "credentials" / f"swarmtui.unlock-key.{locked.api['swarm']['ID']}"
        credential.write_text(locked.key)
        (folder / "config.toml").write_text(f'[backups]\nfolder = "{folder / "backups"}"\n')
        catalogue_of(folder / "backups", COUNT, str(identity.to_public()))
        words = ["backups", "verify", "--all", "--config", str(folder / "config.toml")]
        words += ["--identity", str(folder / "identity")]
        environment = {
            **os.environ,
            "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "TERM": "xterm",
        }
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        all_of_them = Watched(words, environment)
        code, memory = all_of_them.end()
        took = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        would = len(re.findall(r": yes, because", all_of_them.text))
        assert (code, would) == (0, COUNT), all_of_them.text[-2000:]
        stopped = Watched(words, environment)
        stopped.until(f"{STOP_AFTER}/{COUNT} ")
        begin = time.perf_counter()
        stopped.stop()
        code, _ = stopped.end()
        assert code != 0 and f" of {COUNT} were verified" in stopped.text, stopped.text[-2000:]
        return {
            f"verify tiers 1-4 of {COUNT} backups, with progress: total, s": took,
            "verify: processor time of it, s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "verify: most memory, MiB": memory,
            "verify: times that progress was told": float(len(re.findall(r"\r", all_of_them.text))),
            "verify: from Ctrl-C to its end, s": time.perf_counter() - begin,
        }


if __name__ == "__main__":
    for said, figure in verify_figures().items():
        print(f"  {figure:10.2f}  {said}")
