"""A log that floods: 50,000 lines a second from an engine in another process, shown by the log screen for 10 s.

Loop gaps, key to repaint, memory, what was dropped. `python -m tests.bench.log_figures` prints it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from textual import events
from textual.app import App

from swarmtui.cli.console import SWITCH_SECONDS
from swarmtui.link.engine import Engine
from swarmtui.link.logs import Batch, LogQuery, follow
from swarmtui.ui.app import GC_THRESHOLDS
from swarmtui.ui.screens.logs import LogScreen
from tests.bench.feed_figures import SIZE, resident_mib
from tests.bench.gaps import LoopGaps
from tests.ui.terminal import CountingDriver

LINES_A_SECOND = 50_000
SECONDS = 10.0
TICK = 0.01
DETAILS = ",".join(
    f"com.docker.swarm.{kind}.id={letter * 25}" for kind, letter in (("node", "n"), ("service", "s"), ("task", "t"))
)


# -- the engine ----------------------------------------------------------------------------------------------------


def serve(path: str) -> None:
    """An engine that knows one log, and floods it; each line is a frame in a chunk of its own, as real ones do it."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(5)
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            while request := connection.recv(65_536):
                if b"/logs" in request:
                    flood(connection)
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK")


def flood(connection: socket.socket) -> None:
    """Writes lines for `SECONDS`, no faster than they are due; prints how many, and how long that took."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    begin = time.monotonic()
    sent = 0
    total = int(LINES_A_SECOND * SECONDS)
    while sent < total:
        due = min(total, int((time.monotonic() - begin) * LINES_A_SECOND))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        out = []
        for number in range(sent, due):
            text = f"GET /api/orders/{number} 200 12ms user=alice agent=Mozilla/5.0 a line as long as most are\n"
            data = f"{stamp}.{number % 10**9:09d}Z {DETAILS} {text}".encode()
            out.append(b"%x\r\n\x01\0\0\0%b%b\r\n" % (len(data) + 8, len(data).to_bytes(4, "big"), data))
        connection.sendall(b"".join(out))
        sent = due
        time.sleep(TICK)
    print(f"{sent} {time.monotonic() - begin:.3f}", flush=True)
    connection.recv(1)


# -- the screen ----------------------------------------------------------------------------------------------------


class Flooded(App[None]):
    """An app with the log of an engine."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, link: Engine) -> None:
        super().__init__()
        self.link = link
        self.log_screen = LogScreen("Log of service flood", self._open, label=lambda origin: "1@wrk1")

    async def _engine(self) -> Engine:
        return self.link

    def _open(self, since: float | None) -> AsyncGenerator[Batch, None]:
        return follow(self._engine, LogQuery("services", "flood"))

    def on_mount(self) -> None:
        self.push_screen(self.log_screen)


async def _key_to_repaint(driver: CountingDriver, key: str, word: str) -> float:
    """Presses a key; ms until the terminal got this word, which nothing but the key brings."""
    driver.clear()
    start = time.perf_counter()
    driver.process_message(events.Key(key, None))
    async with asyncio.timeout(5):
        while word not in driver.text:
            driver.drawn.clear()
            await driver.drawn.wait()
    return (time.perf_counter() - start) * 1000


async def log_figures() -> dict[str, float]:
    """Runs the log screen in a flood; returns the figures by name."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "docker.sock")
        command = [sys.executable, "-m", "tests.bench.log_figures", path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
            assert engine.stdout is not None
            try:
                await asyncio.to_thread(engine.stdout.readline)
                link = await Engine.connect(f"unix://{path}", where="flood")
                try:
                    return await _watch(link, engine)
                finally:
                    await link.close()
            finally:
                engine.kill()


async def _watch(link: Engine, engine: subprocess.Popen[str]) -> dict[str, float]:
    app = Flooded(link)
    app.driver_class = CountingDriver
    keys: list[float] = []
    found: dict[str, float] = {}
    assert engine.stdout is not None
    async with app.run_test(headless=False, size=SIZE):
        buffer, driver = app.log_screen.buffer, app._driver
        assert isinstance(driver, CountingDriver)
        async with asyncio.timeout(20):
            while len(buffer) < 20_000:  # noqa: ASYNC110  # it is filled by a flood
                await asyncio.sleep(0.01)
        memory = resident_mib(os.getpid())
        cpu, begin = time.process_time(), time.monotonic()
        written = 0
        async with LoopGaps() as gaps:
            end = time.monotonic() + SECONDS - 3
            while time.monotonic() < end:
                off = len(keys) % 2 == 0
                keys.append(await _key_to_repaint(driver, "f", " of 20,0" if off else "following"))
                await asyncio.sleep(0.1)
                written += driver.bytes
        spent = time.monotonic() - begin
        found["CPU of the app, % of a core"] = (time.process_time() - cpu) / spent * 100
        found["bytes to the terminal, a second"] = written / spent
        found["memory that it grew meanwhile, MiB"] = resident_mib(os.getpid()) - memory
        sent, took = (await asyncio.to_thread(engine.stdout.readline)).split()
        async with asyncio.timeout(20):
            while buffer.gone + len(buffer) + buffer.dropped < int(sent):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        found["lines a second that the engine wrote"] = int(sent) / float(took)
        found["lines that came"] = buffer.gone + sum(line.when != "" for line in buffer.shown())
        found["lines that were dropped"] = buffer.dropped
        found["event loop, longest gap, ms"] = gaps.longest
        found["of which the loop itself computed, longest, ms"] = gaps.computed
        found["key to repaint: median, ms"] = statistics.median(keys)
        found["key to repaint: p95, ms"] = statistics.quantiles(keys, n=20)[18]
        found["keys pressed"] = len(keys)
        found["resident memory, MiB"] = resident_mib(os.getpid())
    return found


def main() -> None:
    """The engine if a path is given, else the figures."""
    if sys.argv[1:]:
        serve(sys.argv[1])
        return
    for name, value in asyncio.run(log_figures()).items():
        print(f"  {value:12,.1f}  {name}")


if __name__ == "__main__":
    main()
