"""How bytes go through age: a thread that streams for recipients, a child of ours for a passphrase."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from swarmtui.backups.errors import BackupError
from swarmtui.model.text import one_line
from swarmtui.vault.recipients import recipient
from swarmtui.vault.secret import Secret

CHUNK = 1 << 20
_WAITING = 16
"""Chunks between whoever writes and whoever encrypts."""

Write = Callable[[bytes], object]


class _Stop(Exception):
    """The writer gave up."""


class _Piped:
    """What pyrage reads from and writes to, in its thread. Its own errors hide ours, so ours are kept."""

    def __init__(self, write: Write) -> None:
        self.chunks: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self.stopped = False
        self.error: OSError | None = None
        self._write = write
        self._rest = memoryview(b"")
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        if self.stopped:
            raise _Stop
        while not self._rest and not self._ended:
            chunk = self.chunks.get()
            if chunk is None:
                if self.stopped:
                    raise _Stop
                self._ended = True
            else:
                self._rest = memoryview(chunk)
        piece = bytes(self._rest[:size] if size >= 0 else self._rest)
        self._rest = self._rest[len(piece) :]
        return piece

    def write(self, data: bytes) -> int:
        try:
            self._write(bytes(data))
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        pass


class ForRecipients:
    def __init__(self, recipients: Sequence[str], write: Write) -> None:
        import pyrage  # type: ignore[import-untyped]

        self._pyrage = pyrage
        self._keys = [recipient(pyrage, line) for line in recipients]
        self._pipe = _Piped(write)
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="swarmtui-age", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._pyrage.encrypt_io(self._pipe, self._pipe, self._keys)
        except (self._pyrage.EncryptError, OSError) as error:
            self._failed = str(error)

    def put(self, chunk: bytes) -> None:
        while True:
            self._check()
            try:
                return self._pipe.chunks.put(chunk, timeout=0.5)
            except queue.Full:
                continue

    def _check(self) -> None:
        if self._failed is None:
            return
        self._thread.join()
        if self._pipe.error is not None:
            raise self._pipe.error
        raise BackupError(f"It could not be encrypted with age: {one_line(self._failed)[:120]}.")

    def finish(self) -> None:
        if self._thread.is_alive():
            try:
                self._pipe.chunks.put(None, timeout=60)
            except queue.Full:
                pass  # it failed, and takes nothing more
        self._thread.join()
        self._check()

    def abort(self) -> None:
        self._pipe.stopped = True
        while self._thread.is_alive():
            try:
                self._pipe.chunks.put_nowait(None)
            except queue.Full:
                pass  # it has enough to wake up from
            self._thread.join(0.1)


_CHILD = """
import json, sys
take, give = sys.stdin.buffer, sys.stdout.buffer
told = json.loads(take.readline())
sys.path[:] = told["path"]
import pyrage
passphrase = json.loads(take.readline())
data = take.read()
try:
    give.write(getattr(pyrage.passphrase, told["do"])(data, passphrase))
    give.flush()
except (pyrage.EncryptError, pyrage.DecryptError, OSError) as error:
    sys.stderr.write(str(error)[:200])
    sys.exit(3)
"""


class Child:
    """pyrage with a passphrase, in a process of its own: scrypt holds the interpreter's lock for seconds."""

    def __init__(self, do: str, passphrase: Secret) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.write(json.dumps({"do": do, "path": sys.path}).encode() + b"\n")
        self.write(json.dumps(passphrase.reveal()).encode() + b"\n")

    def write(self, chunk: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(chunk)
        except BrokenPipeError:
            pass  # it ended early; its exit code tells

    def results(self, write: Write) -> str:
        """Hands on what comes out; returns why it failed, or ""."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        while chunk := process.stdout.read(CHUNK):
            write(chunk)
        said = process.stderr.read().decode(errors="replace")
        code = process.wait()
        return "" if code == 0 else said.strip().splitlines()[-1] if said.strip() else f"the helper ended with {code}"

    def close(self) -> None:
        process = self.process
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # what was still buffered for a child that is gone


class WithPassphrase:
    def __init__(self, passphrase: Secret, write: Write) -> None:
        self._write = write
        self._child = Child("encrypt", passphrase)

    def put(self, chunk: bytes) -> None:
        self._child.write(chunk)

    def finish(self) -> None:
        try:
            if failed := self._child.results(self._write):
                raise BackupError(f"It could not be encrypted with age: {one_line(failed)[:120]}.")
        finally:
            self._child.close()

    def abort(self) -> None:
        self._child.close()
