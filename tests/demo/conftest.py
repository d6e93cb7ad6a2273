"""A simulated cluster in a process of its own, as people start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Served:
    """A running `python -m swarmtui.demo --serve`."""

    process: subprocess.Popen[str]
    line: dict[str, Any]

    @property
    def folder(self) -> Path:
        return Path(self.line["ssh_config"]).parent

    def socket(self, host: str) -> str:
        return next(str(h["docker"]) for h in self.line["hosts"] if h["name"] == host)

    def port(self, host: str) -> int:
        found = next(str(h["ssh"]) for h in self.line["hosts"] if h["name"] == host)
        return int(found.rpartition(":")[2])

    def ssh(self, host: str, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command with the stock ssh."""
        return subprocess.run(
            ["ssh", "-F", self.line["ssh_config"], host, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
        )


Serve = Callable[..., Served]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the folders of runs apart from those of other people; returns where they are."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder) / f"swarmtui-demo-{os.getuid()}"


def start(*args: str, folder: Path | None = None, **variables: str) -> Served:
    """Start a demo, with further environment variables, and wait until it serves."""
    env = {**os.environ, **({"TMPDIR": str(folder)} if folder else {}), **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "swarmtui.demo", "--serve", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        _, error = process.communicate(timeout=10)
        raise AssertionError(error)
    return Served(process, json.loads(text))


def stop(served: Served) -> None:
    """End a demo, however the test went."""
    if served.process.poll() is None:
        served.process.terminate()
    served.process.wait(20)
    for stream in (served.process.stdin, served.process.stdout, served.process.stderr):
        if stream is not None:
            stream.close()


@pytest.fixture
def serve(runs: Path) -> Iterator[Serve]:
    """Starts demos, and ends them all."""
    open_ones: list[Served] = []

    def begin(*args: str, **variables: str) -> Served:
        served = start(*args, **variables)
        open_ones.append(served)
        return served

    yield begin
    for served in open_ones:
        stop(served)
