"""A real Secret Service for tests: gnome-keyring on a session bus of its own, in folders of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.lab.why import lab_must_run

TOOLS = {"dbus-daemon": "dbus-daemon", "dbus-send": "dbus", "gnome-keyring-daemon": "gnome-keyring"}
PASSWORD = b"the login password of a test"


@cache
def why_no_keyring() -> str | None:
    """One line that says why no Secret Service can be had here, or None."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"a real Secret Service needs: apt-get install {' '.join(missing)}" if missing else None


def keyring_must_run() -> bool:
    """True where its absence is a failure and no reason to skip: CI, where `make test` installs it (root on Debian)."""
    return lab_must_run()


@contextlib.contextmanager
def secret_service(home: Path, *, dead: bool = False) -> Iterator[dict[str, str]]:
    """Runs a session bus with a keyring that is unlocked; yields the environment that leads to it.

    Args:
        home: an empty folder; becomes HOME.
        dead: instead there is one that the bus starts on demand and that never answers, as gnome-keyring does where it
            finds no folders: dbus waits 120 s for it.
    """
    run, cache, data = home / "run", home / ".cache", home / ".local/share"
    for folder in (home, run, cache, data):
        folder.mkdir(mode=0o700, parents=True)
    environ = {"HOME": str(home), "XDG_RUNTIME_DIR": str(run), "PATH": os.environ["PATH"]}
    with contextlib.ExitStack() as stack:
        if dead:
            _will_be_dead(stack, run)
        bus = _running(stack, ["dbus-daemon", "--session", "--nofork", "--print-address=1"], environ)
        assert bus.stdout is not None
        environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        if not dead:
            command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
            daemon = _running(stack, command, environ)
            assert daemon.stdin is not None
            daemon.stdin.write(PASSWORD)
            daemon.stdin.close()
            _until_owned("org.freedesktop.secrets", environ)
        yield environ


def _will_be_dead(stack: contextlib.ExitStack, run: Path) -> None:
    """A service file that the bus prefers to the system's own."""
    services, pids = run / "dbus-1/services", run / "pids"
    services.mkdir(parents=True)
    script = run / "never.sh"
    script.write_text(f"#!/bin/sh\necho $$ >>{pids}\nexec sleep 300\n")
    script.chmod(0o700)
    (services / "org.freedesktop.secrets.service").write_text(
        f"[D-BUS Service]\nName=org.freedesktop.secrets\nExec={script}\n"
    )

    def end() -> None:
        for pid in pids.read_text().split() if pids.exists() else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)

    stack.callback(end)


def _until_owned(name: str, environ: dict[str, str]) -> None:
    """Waits until somebody has the name on the bus; asking for it before would start a second keyring."""
    ask = ["dbus-send", "--session", "--print-reply=literal", "--dest=org.freedesktop.DBus", "/"]
    for _ in range(400):
        told = subprocess.run(
            [*ask, "org.freedesktop.DBus.NameHasOwner", f"string:{name}"], env=environ, check=True, capture_output=True
        )
        if b"true" in told.stdout:
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody took the name {name} on the bus within 20 s")


def _running(stack: contextlib.ExitStack, command: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )

    def end() -> None:
        process.terminate()
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    stack.callback(end)
    return process
