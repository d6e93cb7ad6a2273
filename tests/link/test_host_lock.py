"""Locks on hosts: who goes together with whom, and whose owner is gone. The commands run in a real sh here."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from swarmtui.errors import RefusedError
from swarmtui.link import host_lock
from swarmtui.link.host_lock import STALE_SECONDS, HostLock, Owner, read, told_age
from swarmtui.link.ssh import Completed, SshHost

CLUSTER = "h3yq2wq8uys0gm7ygj5xnrgr5"


class Host:
    """This machine, with a folder of the test's own in place of /run/swarmtui."""

    label = "root@mgr1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []

    async def run(self, command: str, *, timeout: float) -> Completed:
        self.ran.append(command)
        line = command.replace("/run/swarmtui", str(self.folder))
        done = await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", line], capture_output=True, text=True)
        return Completed(done.returncode, done.stdout, done.stderr)

    @property
    def lying(self) -> list[str]:
        folder = self.folder / CLUSTER
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "run")


def lock(run: str, *, exclusive: bool = False, owner: Owner | None = None, said: list[str] | None = None) -> HostLock:
    say: Callable[[str], None] = said.append if said is not None else lambda line: None
    return HostLock(CLUSTER, owner or Owner.ours(run, "node.drain"), exclusive=exclusive, sudo=False, say=say)


def on(host: Host) -> SshHost:
    return cast(SshHost, host)


async def test_ordinary_ones_lie_beside_each_other(host: Host) -> None:
    assert await lock("one").lay(on(host))
    assert await lock("two").lay(on(host))
    assert host.lying == ["run-one", "run-two"]
    await lock("one").release(on(host))
    assert host.lying == ["run-two"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_an_exclusive_one_lies_alone(host: Host, first: bool, second: bool) -> None:
    assert await lock("one", exclusive=first).lay(on(host))
    if first or second:
        with pytest.raises(
            RefusedError, match=r"node\.drain \(run one\) of .*, begun \d+ s ago, is under way"
        ) as raised:
            await lock("two", exclusive=second).lay(on(host))
        assert f"rm -f /run/swarmtui/{CLUSTER}/" in raised.value.next_step
        assert host.lying == ["exclusive" if first else "run-one"], "what was refused left its own behind"
    else:
        assert await lock("two").lay(on(host))


async def test_of_many_that_begin_at_once_at_most_one_goes_on(host: Host) -> None:
    (host.folder).mkdir()
    tries = [lock(f"r{place}", exclusive=True).lay(on(host)) for place in range(8)]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(end is True for end in ends) == 1
    assert sum(isinstance(end, RefusedError) for end in ends) == 7
    assert host.lying == ["exclusive"]


async def test_the_same_run_takes_its_own_over(host: Host) -> None:
    dead = msgspec.structs.replace(Owner.ours("one", "swarm.backup"), pid=_gone(), start=1)
    assert await lock("one", exclusive=True, owner=dead).lay(on(host))
    assert await lock("one", exclusive=True).lay(on(host))
    (lying,) = (host.folder / CLUSTER).iterdir()
    assert Owner.read(str(lying.readlink())).pid == os.getpid()


def _gone() -> int:
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def owner(**changes: Any) -> Owner:
    return msgspec.structs.replace(Owner.ours("other", "swarm.backup"), **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pid": 0, "start": 0}, "does not run any more"),
        ({"start": 12345}, "does not run any more"),  # the number was used again
        ({"boot": "another"}, "was booted since"),
        ({"machine": "another", "since": time.time() - STALE_SECONDS - 60}, "it is 6 hours old"),
        ({"space": "another", "since": 1.0}, "days old"),
    ],
)
async def test_what_was_left_behind_is_said_and_taken_away(host: Host, changes: dict[str, Any], why: str) -> None:
    left = owner(**changes)
    assert why in left.gone(time.time())
    assert await lock("other", exclusive=True, owner=left).lay(on(host))
    said: list[str] = []
    assert await lock("mine", exclusive=True, said=said).lay(on(host))
    assert len(said) == 1
    assert said[0].startswith("On root@mgr1 a lock was left behind by swarm.backup (run other) of ") and why in said[0]
    assert host.lying == ["exclusive"]


@pytest.mark.parametrize(
    "changes", [{}, {"machine": "another"}, {"space": "another"}, {"machine": "", "since": time.time() + 9000}]
)
async def test_what_may_be_alive_is_respected(host: Host, changes: dict[str, Any]) -> None:
    other = owner(**changes)
    assert other.gone(time.time()) == ""
    assert await lock("other", exclusive=True, owner=other).lay(on(host))
    with pytest.raises(RefusedError):
        await lock("mine").lay(on(host))


async def test_a_user_who_may_not_write_there_lays_none_but_sees_others(host: Host) -> None:
    host.folder.write_text("in the way")
    assert await lock("one").lay(on(host)) is False
    host.folder.unlink()
    assert await lock("other", exclusive=True).lay(on(host))

    class Reader(Host):
        async def run(self, command: str, *, timeout: float) -> Completed:
            return await super().run(command.replace("ln -sn", "false"), timeout=timeout)

    with pytest.raises(RefusedError):
        await lock("one").lay(on(Reader(host.folder)))


def test_the_text_is_read_back_and_hostile_ones_are_harmless() -> None:
    mine = Owner.ours("20261121T194900Z-swarm.backup-0001", "swarm.backup")
    assert Owner.read(mine.text) == mine
    assert not set(mine.text) & set(" '\"\\;$`\n")
    for text in (
        "",
        "x",
        "run=%1b%5b2J&pid=abc",
        "run=a&pid=1e999",
        "%",
        "pid=-5&since=nan&run=q",
        "run=" + "a" * 5000,
    ):
        found = Owner.read(text)
        assert "\x1b" not in found.told(1.0)
        found.gone(time.time())


def test_listing() -> None:
    listing = (
        "total 0\n"
        f"lrwxrwxrwx 1 root root 90 Nov 21 20:00 exclusive -> {owner().text}\n"
        "lrwxrwxrwx 1 root root 90 Nov 21 20:00 run-a.b-1 -> run=a\n"
        "-rw-r--r-- 1 root root  0 Nov 21 20:00 exclusive\n"
        "lrwxrwxrwx 1 root root 90 Nov 21 20:00 ../run-x -> run=a\n"
        "ls: cannot access\n"
    )
    assert [found.name for found in read(listing)] == ["exclusive", "run-a.b-1"]


def test_names_that_cannot_be() -> None:
    for cluster, run in (("../x", "a"), ("a b", "a"), (CLUSTER, "a;b"), ("", "a")):
        with pytest.raises(ValueError, match="no name for a lock"):
            HostLock(cluster, Owner(run=run), exclusive=True, sudo=False)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 minute"), (3599, "59 minutes"), (7200, "2 hours"), (200_000, "2 days")],
)
def test_ages(seconds: float, words: str) -> None:
    assert told_age(seconds) == words


def test_with_sudo_every_command_has_it() -> None:
    made = HostLock(CLUSTER, Owner(run="r"), exclusive=True, sudo=True)
    assert made.lay_line == (
        f"sudo -n mkdir -p -m 0755 /run/swarmtui /run/swarmtui/{CLUSTER} && sudo -n ln -sn 'run=r' "
        f"/run/swarmtui/{CLUSTER}/exclusive; sudo -n env LC_ALL=C ls -l /run/swarmtui/{CLUSTER}"
    ).replace("'run=r'", "run=r")
    assert made.release_line() == f"sudo -n rm -f /run/swarmtui/{CLUSTER}/exclusive"
    assert host_lock.FOLDER == "/run/swarmtui"
