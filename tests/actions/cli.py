"""`swarmtui` as a process of its own, as an operator or a cron job starts it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PROGRAM = [sys.executable, "-m", "swarmtui"]
SECONDS = 90.0


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"

    @property
    def run_id(self) -> str:
        """The id of the run, from the first line of `run`."""
        found = re.search(r"\(run (\S+)\)", self.out)
        assert found, self
        return found[1]


class Cli:
    """Runs `swarmtui`.

    Attributes:
        environment: what the process gets; in a lab its key and known hosts, and everywhere folders of the test's own.
        target: what `--target` is given.
    """

    def __init__(self, environment: Mapping[str, str], target: str = "") -> None:
        self.environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self.target = target

    def __call__(self, *arguments: str, seconds: float = SECONDS) -> Result:
        """Runs a command line to its end. Without a terminal: nothing can be asked."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=self.environment,
        )
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in result.err, result
        return result

    def run(self, name: str, *arguments: str, target: str = "", seconds: float = SECONDS) -> Result:
        """`swarmtui run NAME … --target …`."""
        return self("run", name, *arguments, "--target", target or self.target, seconds=seconds)

    def do(self, name: str, *arguments: str, target: str = "", code: int = 0) -> Result:
        """`swarmtui run NAME … --yes`, which must end with this exit code."""
        result = self.run(name, *arguments, "--yes", target=target)
        assert result.code == code, result
        return result

    def plan(self, name: str, *arguments: str) -> dict[str, Any]:
        """The plan, as `--dry-run --json` gives it."""
        result = self.run(name, *arguments, "--dry-run", "--json")
        assert result.code == 0, result
        plan = json.loads(result.out)
        assert isinstance(plan, dict)
        return plan

    def script(self, name: str, *arguments: str) -> str:
        """The plan as a shell script."""
        result = self.run(name, *arguments, "--script")
        assert result.code == 0, result
        return result.out

    def sh(
        self, script: str, *, shell: str = "sh", docker_host: str = "", path: str = "", seconds: float = SECONDS
    ) -> Result:
        """Pipes a script into a plain shell of this machine, where `docker` talks to a manager of the Swarm.

        Args:
            docker_host: the manager; the usual target if none is named.
            path: a folder to look for commands in first.
        """
        environment = {**self.environment, "DOCKER_HOST": docker_host or self.target}
        if path:
            environment["PATH"] = f"{path}:{environment['PATH']}"
        done = subprocess.run([shell], input=script.encode(), capture_output=True, timeout=seconds, env=environment)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextlib.contextmanager
    def started(self, name: str, *arguments: str, target: str = "") -> Iterator[Process]:
        """`swarmtui run NAME … --yes`, while it runs; killed at the end if it still does."""
        with process(self, "run", name, *arguments, "--yes", "--target", target or self.target) as running:
            yield running

    @contextlib.contextmanager
    def at_terminal(self, *arguments: str) -> Iterator[Process]:
        """A command line with a terminal, where it can ask."""
        with process(self, *arguments, terminal=True) as running:
            yield running


class Process:
    """A command line that runs. Its output is read while it comes."""

    def __init__(self, popen: subprocess.Popen[bytes], descriptor: int) -> None:
        self._popen = popen
        self._descriptor = descriptor
        self.text = ""

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def run_id(self) -> str:
        """The id of the run that it said it began."""
        return self.text.partition("(run ")[2].partition(")")[0]

    def _read(self, seconds: float) -> bool:
        """Takes what there is, waiting at most so long; False at the end of the output."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # how a terminal ends
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def until(self, words: str, seconds: float = SECONDS) -> None:
        """Waits until the output has these words."""
        end = time.monotonic() + seconds
        while words not in self.text:
            more = self._read(0.1)
            assert words in self.text or (more and time.monotonic() < end), f"no {words!r} in:\n{self.text}"

    def more(self, seconds: float = SECONDS) -> None:
        """Waits for more output, which must come."""
        before = len(self.text)
        assert self._read(seconds) and len(self.text) > before, f"nothing more after:\n{self.text}"

    def type(self, line: str) -> None:
        """Types a line at its terminal."""
        os.write(self._descriptor, f"{line}\n".encode())

    def kill(self) -> None:
        """SIGKILL: nothing is cleaned up."""
        self._popen.send_signal(signal.SIGKILL)
        self._popen.wait(10)

    def end(self, seconds: float = SECONDS) -> Result:
        """Waits for its end; stdout and stderr are one."""
        end = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < end, f"still running:\n{self.text}"
        code = self._popen.wait(10)
        assert "Traceback" not in self.text, self.text
        return Result(code, self.text, "")


@contextlib.contextmanager
def process(cli: Cli, *arguments: str, terminal: bool = False) -> Iterator[Process]:
    """A command line that runs while the block does."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        popen = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=cli.environment,
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    try:
        yield Process(popen, ours)
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait(10)
        os.close(ours)
