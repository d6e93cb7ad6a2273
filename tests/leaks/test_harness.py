"""The harness itself: what is planted must be found, by each of its checks, in each form; and nothing else."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient
from rich.console import Console

from swarmtui import config
from swarmtui.opening import find
from tests.driver import driven
from tests.leaks.harness import EXEMPT, Leaks, watched
from tests.leaks.needles import LARGE, Secret, found_in, pieces
from tests.leaks.watch import SAMPLE_SECONDS
from tests.runbooks.locked import locked_swarm

KEY = "SWMKEY-1-" + base64.b64encode(os.urandom(32)).decode().rstrip("=")
"""Another one in each process: tests that run beside each other see each other's processes."""
TOKEN = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx"
PASSWORD = "correct \"horse\" <b>&'staple'/\\"
ESSENCE = KEY.removeprefix("SWMKEY-1-")


@pytest.fixture
def leaks() -> Iterator[Leaks]:
    """A harness that has not failed yet: here what it finds is looked at."""
    with watched() as watching:
        watching.secret("key", KEY)
        yield watching


WRITTEN = {
    "raw": KEY,
    "within": f"docker swarm unlock <<<{KEY}\n",
    "without its beginning": ESSENCE,
    "cut off": ESSENCE[5:30],
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, one later": base64.b64encode(b"x" + KEY.encode() + b"yz").decode(),
    "base64, two later": base64.b64encode(b"user:" + KEY.encode()).decode(),
    "base64, for URLs": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64, in lines": base64.encodebytes(b"user=admin password=" + KEY.encode() * 2).decode(),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
    "hex with blanks": KEY.encode().hex(" "),
    "URL": urllib.parse.quote(KEY, safe=""),
    "JSON": json.dumps({"UnlockKey": KEY}),
    "JSON in JSON": json.dumps({"body": json.dumps({"UnlockKey": KEY})}),
    "JSON, all escaped": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "UTF-16": KEY.encode("utf-16-le").decode("latin-1"),
    "repr": repr(KEY.encode()),
    "wrapped": f"{KEY[:20]}\r\n{KEY[20:33]}\r\n{KEY[33:]}",
    "wrapped in a frame": f"│ {KEY[:20]} │\x1b[4;1H\x1b[38;2;1;2;3m│ {KEY[20:]} │",
    "one by one": "".join(f"\x1b[3;{at}H\x1b[1m{char}\x1b[0m" for at, char in enumerate(KEY)),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_each_form_is_found(form: str) -> None:
    data = f"before {WRITTEN[form]} after".encode("latin-1" if form == "UTF-16" else "utf-8")
    assert found_in(data, [Secret("key", KEY)])


@pytest.mark.parametrize(
    "written",
    [
        PASSWORD,
        json.dumps(PASSWORD),
        html.escape(PASSWORD),
        html.escape(PASSWORD).replace(" ", "&#160;"),
        urllib.parse.quote_plus(PASSWORD),
        base64.b64encode(PASSWORD.encode()).decode(),
        repr(PASSWORD),
    ],
)
def test_a_password_with_everything_in_it_is_found(written: str) -> None:
    assert found_in(f"x={written};".encode(), [Secret("password", PASSWORD)])


@pytest.mark.parametrize("form", [form for form in WRITTEN if not form.startswith(("wrapped", "one by one"))])
def test_each_form_is_found_in_a_large_file(form: str) -> None:
    noise = os.urandom(LARGE)
    data = noise + f"before {WRITTEN[form]} after".encode("latin-1" if form == "UTF-16" else "utf-8") + noise
    assert found_in(data, [Secret("password", PASSWORD), Secret("key", KEY)], wrapped=False)
    assert not found_in(noise + noise, [Secret("password", PASSWORD), Secret("key", KEY)], wrapped=False)


HARMLESS = {
    "masked": "SWMKEY-1-****",
    "a fingerprint": "the key 3f9a01bc is kept in the OS keyring",
    "the digest of the public root certificate": TOKEN.rpartition("-")[0],
    "another token": "SWMTKN-1-" + "z" * 50 + "-" + "b" * 25,
    "noise": base64.b64encode(os.urandom(30_000)).decode(),
    "noise in hex": os.urandom(100_000).hex(),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_secret_is_not_found(name: str) -> None:
    harmless = HARMLESS[name]
    looked_for = [Secret("key", KEY), Secret("token", TOKEN), Secret("password", PASSWORD)]
    assert found_in(harmless.encode(), looked_for) == []


def test_every_long_enough_part_has_a_piece() -> None:
    for at in range(len(ESSENCE) - 15):
        part = ESSENCE[at : at + 16]
        assert any(piece in part for piece in pieces(ESSENCE)), part


def places(leaks: Leaks) -> set[str]:
    return {find.where.partition(" (")[0] for find in leaks.finds()}


def test_nothing_planted_nothing_found(leaks: Leaks) -> None:
    subprocess.run(["/bin/true", "harmless"], check=True)
    leaks.seen("output", "harmless")
    assert leaks.finds() == []
    leaks.check()


def test_a_short_process_is_seen_by_its_command_line_and_its_environment(leaks: Leaks) -> None:
    if not leaks.complete:
        pytest.skip(f"only samples here: {leaks.why}")
    for _ in range(5):
        subprocess.run(["/bin/true", f"--key={KEY}"], check=True)
    assert places(leaks) == {"cmdline of a process"}
    with watched() as other:
        other.secret("key", KEY)
        for _ in range(5):
            subprocess.run(["/bin/true"], check=True, env={"KEY": KEY})
        assert places(other) == {"environ of a process"}
    assert other.counts["execs"] >= 5


def test_grandchildren_are_seen_too(leaks: Leaks) -> None:
    if not leaks.complete:
        pytest.skip(f"only samples here: {leaks.why}")
    script = "import subprocess, sys; key = sys.stdin.read(); [subprocess.run(['/bin/echo', key]) for _ in range(5)]"
    subprocess.run([sys.executable, "-c", script], input=KEY.encode(), stdout=subprocess.DEVNULL, check=True)
    assert places(leaks) == {"cmdline of a process"}


def test_a_long_process_that_was_there_before_is_sampled() -> None:
    old = subprocess.Popen(["/bin/sleep", "60"], env={"KEY": KEY})
    try:
        with watched() as leaks:
            leaks.secret("key", KEY)
            assert places(leaks) == {"environ of a process"}
            assert leaks.counts["samples"] >= 1
    finally:
        old.kill()
        old.wait()


REWRITES = """
import ctypes, sys
start = int(open("/proc/self/stat").read().rpartition(")")[2].split()[45])
key = sys.stdin.readline().strip().encode()
ctypes.memmove(start, key, len(key))
print("done", flush=True)
sys.stdin.read()
"""
"""Writes a secret over its own command line, as programs that set their title do."""


def test_a_command_line_that_changes_later_is_sampled(leaks: Leaks) -> None:
    words = [sys.executable, "-c", REWRITES, "room" * 40]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as changing:
        assert changing.stdin is not None and changing.stdout is not None
        changing.stdin.write(f"{KEY}\n")
        changing.stdin.flush()
        assert changing.stdout.readline() == "done\n"
        time.sleep(3 * SAMPLE_SECONDS)
        changing.stdin.close()
    assert places(leaks) == {"cmdline of a process"}


def test_files_outputs_errors_and_screens(leaks: Leaks, tmp_path: Path) -> None:
    (tmp_path / "state" / "journal").mkdir(parents=True)
    (tmp_path / "state" / "journal" / "run.jsonl").write_text(json.dumps({"body": KEY}) + "\n")
    leaks.below(tmp_path)
    leaks.seen("stderr", f"swarmtui: invalid key {KEY}")
    try:
        try:
            raise ValueError(KEY)
        except ValueError as error:
            raise RuntimeError("it failed") from error
    except RuntimeError as error:
        leaks.error(error)
    screen = Console(record=True, width=60, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    screen.print(f"the key is {KEY}")
    screen.file.close()
    leaks.seen("screenshot (SVG)", screen.export_svg())
    assert places(leaks) == {f"file {tmp_path}/state/journal/run.jsonl", "stderr", "exception", "screenshot"}
    told = str(leaks.finds())
    assert found_in(told.encode(), [Secret("key", KEY)]) == [], "a find must not tell the secret again"


def test_the_check_fails_with_what_was_found_and_without_telling_it(leaks: Leaks) -> None:
    leaks.seen("stdout", KEY)
    with pytest.raises(AssertionError, match=r"key in stdout \(raw\)") as failed:
        leaks.check()
    assert found_in(str(failed.value).encode(), [Secret("key", KEY)]) == []


def test_the_check_fails_where_nothing_could_be_seen() -> None:
    with watched() as leaks:
        leaks.stop()
        with pytest.raises(AssertionError, match="nothing was looked for"):
            leaks.check()
        leaks.secret("key", KEY)
        leaks.complete, leaks.counts = True, {"execs": 100, "unread": 50, "samples": 3, "overruns": 0}
        with pytest.raises(AssertionError, match="unread"):
            leaks.check()
        leaks.counts = {"execs": 0, "unread": 0, "samples": 3, "overruns": 0}
        with pytest.raises(AssertionError, match="no program"):
            leaks.check()


def test_an_exemption_is_of_one_place_and_has_a_reason() -> None:
    for exempt in EXEMPT:
        assert exempt.where.endswith("/") and exempt.why.endswith("."), exempt


async def test_the_consoles_screen_and_its_picture(leaks: Leaks, tmp_path: Path) -> None:
    """A key on the screen is found in both; the Swarm's own view, with its tokens masked, has none."""
    async with locked_swarm(tmp_path) as on:
        opening = find("simulated", config.load(on.demo.config), bundles=tmp_path)
        for role, token in (("worker", on.cluster.worker_token), ("manager", on.cluster.manager_token)):
            leaks.secret(f"the {role} token", token)
        name = leaks.secret("name", secrets.token_hex(16))
        socket = on.demo.hosts[0]["docker"]
        async with driven(opening, tmp_path / "journal") as driver:
            await driver.nodes().view("swarm").sees("Raft snapshots")
            leaks.console(driver)
            assert leaks.finds() == []
            await asyncio.to_thread(make_secret, socket, name)
            await driver.here().view("secrets").sees(name)
            leaks.console(driver)
            assert places(leaks) == {"screen", "screenshot"}


def make_secret(socket: str, name: str) -> None:
    client = APIClient(base_url=socket, version="1.41")
    try:
        client.create_secret(name, b"harmless")
    finally:
        client.close()
