"""Rehearsals on the lab: a backup restored for real beside a host's own Docker, which notices nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from swarmtui.backups.catalogue import Catalogue, Entry, backup_id
from swarmtui.backups.manifest import Manifest
from swarmtui.link.person import Nobody
from swarmtui.model.inventory import Inventory
from swarmtui.opening import Opening
from swarmtui.runbooks.swarm.rehearsal.rehearse import Rehearsed, rehearse_entry
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import BASE
from swarmtui.runbooks.swarm.rehearsal.rehearse_judge import inventory_of
from swarmtui.session import Session
from swarmtui.vault import Secret, Vault
from tests.actions.cli import Cli, Result
from tests.lab import Host, Lab
from tests.lab.machine import PATH, run, wait_for

KEPT = {
    "swarm": "/swarm",
    "nodes": "/nodes",
    "services": "/services",
    "networks": "/networks",
    "secrets": "/secrets",
    "configs": "/configs",
    "tasks": "/tasks",
}


@dataclass(frozen=True)
class Taken:
    """An archive made by hand, what the cluster had just before, and the unlock key ("" where it is not locked)."""

    tar: bytes
    inventory: Inventory
    version: str
    key: str = ""

    def entry(self, root: Path, *, without: str = "", change: Callable[[str, bytes], bytes] | None = None) -> Entry:
        """A backup in a catalogue; damaged where that is asked for, with its digest right again."""
        content = self.tar if not without and change is None else damaged(self.tar, without, change)
        draft = Catalogue(root).begin(self.inventory.cluster_id, backup_id(time.time(), "mgr2"))
        draft.write(content)
        return draft.commit(
            Manifest(
                cluster_id=self.inventory.cluster_id,
                node="mgr2",
                taken_at=time.time(),
                cold=True,
                engine_version=self.version,
                autolock=bool(self.key),
                inventory=self.inventory,
            )
        )


def damaged(tar: bytes, without: str, change: Callable[[str, bytes], bytes] | None) -> bytes:
    """The same archive without the files whose names have these words in them, or with other contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            if without and without in member.name and member.isfile():
                continue
            stream = old.extractfile(member) if member.isfile() else None
            content = stream.read() if stream is not None else b""
            if stream is not None and change is not None:
                content = change(member.name, content)
                member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return out.getvalue()


def take(lab: Lab, key: str = "") -> Taken:
    """Archives mgr2's directory as the guides say: stop Docker, tar, start it."""
    host = lab["mgr2"]
    had: dict[str, Any] = {name: lab["mgr1"].api("GET", path) for name, path in KEPT.items()}
    inventory = inventory_of({**had, "swarm": [had["swarm"]]}, len(had["tasks"]))
    host.stop_docker()
    made = lab.home / "by-hand.tar"
    run(["tar", "--sparse", "-C", str(host.docker_folder), "-cf", str(made), "swarm"])
    host.start_docker()
    if key:
        host.api("POST", "/swarm/unlock", {"UnlockKey": key})
    lab.wait_ready()
    content = made.read_bytes()
    made.unlink()
    return Taken(content, inventory, host.docker("version", "-f", "{{.Server.Version}}").stdout.strip(), key)


WRONG = Secret("SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
_taken: dict[tuple[int, bool], Taken] = {}


def plain(lab: Lab) -> Taken:
    """An archive of a Swarm with services, a network, a secret and a config."""
    if (id(lab), False) not in _taken:
        first = lab["mgr1"]
        first.docker("network", "create", "-d", "overlay", "--attachable", "backnet")
        first.sh("printf geheim | docker secret create db-password -; printf x | docker config create app-conf -")
        usual = ("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr")
        given = ("--network", "backnet", "--secret", "db-password", "--config", "app-conf")
        first.docker(*usual, "--name", "web", "--replicas", "3", *given, "alpine", "sleep", "1d")
        first.docker(*usual, "--name", "agent", "--mode", "global", "alpine", "sleep", "1d")
        _taken[id(lab), False] = take(lab)
    return _taken[id(lab), False]


def locked(lab: Lab) -> Taken:
    """An archive of the same with autolock on."""
    if (id(lab), True) not in _taken:
        first = lab["mgr1"]
        key = first.sh("docker swarm update --autolock=true >/dev/null; docker swarm unlock-key -q").stdout.strip()
        _taken[id(lab), True] = take(lab, key)
        first.docker("swarm", "update", "--autolock=false")
    return _taken[id(lab), True]


def own_docker(host: Host) -> str:
    """All that must be the same after a rehearsal: the host's own dockerd, what it runs, networks, firewall, mounts.

    Without the namespaces of networks that are gone: Docker removes them whenever it likes, within minutes.
    """
    return host.sh(
        "p=$(cat /run/docker.pid); echo $p; cut -d' ' -f22 /proc/$p/stat; docker ps -aq --no-trunc; "
        "docker info -f '{{.Swarm.NodeID}} {{.Swarm.LocalNodeState}} {{.ID}}'; docker network ls --no-trunc; "
        "iptables-save | sed -e 's/\\[.*\\]//' -e '/^#/d'; grep -v /run/docker/netns/ /proc/mounts; ip -o link; "
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/hostname; ls /run/containerd /var/lib"
    ).stdout


def settled(host: Host) -> str:
    """The same, once what was removed before the test is gone."""
    seen = [own_docker(host)]

    def calm() -> bool:
        seen.append(own_docker(host))
        return seen[-1] == seen[-2]

    wait_for("the host's own Docker is calm", calm, 30, 2.0)
    return seen[-1]


def left(host: Host) -> str:
    """What of rehearsals is on the host: folders, mounts, processes, units, control groups; "" for nothing."""
    return host.sh(
        f"ls -A {BASE} 2>/dev/null; grep -F {BASE} /proc/mounts; "
        f"ps -eo args= | grep -F {BASE} | grep -v -e '^grep' -e 'sh -c'; "
        "systemctl list-units --all --no-legend --plain 'swarmtui-rehearsal*'; "
        "find /sys/fs/cgroup -name 'swarmtui-rehearsal*'",
        check=False,
    ).stdout


@pytest.fixture
async def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    """A way to hosts."""
    lab: Lab = request.getfixturevalue("swarm" if "swarm" in request.fixturenames else "lab")
    monkeypatch.setenv("HOME", str(lab.home))
    made = Session(Opening(""), Nobody(), vault=Vault.in_memory())
    yield made
    await made.close()


def test_a_rehearsal_proves_a_backup_and_the_host_notices_nothing(swarm: Lab, cli: Cli) -> None:
    taken = plain(swarm)
    host = swarm["wrk1"]
    root = Path(cli.environment["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    entry = taken.entry(root)
    before = settled(host)
    host.sh(f"mkdir -p -m 0700 {BASE}/20260101T000000Z-00000000")  # left behind when the host was rebooted

    plan = json.loads(cli("run", "swarm.rehearse", f"host={host.target}", "--dry-run", "--json").out)
    result = cli("run", "swarm.rehearse", f"host={host.target}", "--yes")

    assert result.code == 0, result
    assert own_docker(host) == before
    assert left(host) == ""
    assert "5 nodes, 2 services, 2 networks, 1 secret, 1 config." in result.out
    assert any("is a node of a Swarm" in warning for warning in plan["warnings"])
    lines = [command["line"] for command in plan["steps"][0]["commands"]]
    assert sum("20260101T000000Z-00000000" in line for line in lines) == 1
    after = Catalogue(root).entry(entry.cluster_id, entry.id)
    assert after.tier == 5 and after.would_restore == "yes"


async def test_a_locked_archive_of_several_managers_is_unlocked_here(
    swarm: Lab, session: Session, tmp_path: Path
) -> None:
    taken = locked(swarm)
    host = swarm["wrk1"]
    said: list[str] = []
    entry = taken.entry(tmp_path / "backups")
    with_sudo = f"ssh://op@{host.address}"
    done = await rehearse_entry(session, entry, with_sudo, keys=[WRONG, Secret(taken.key)], say=said.append)
    assert done.result.ok is True, (done, said)
    assert len(done.objects["nodes"]) == 5 and "JoinTokens" not in done.objects["swarm"][0]
    assert taken.key not in "".join(said)
    assert left(host) == ""

    said.clear()
    without = await rehearse_entry(session, entry, with_sudo, keys=[WRONG], say=said.append)
    assert without.result.ok is False and "the only key there is opens it" in without.result.what[0]
    unknown = await rehearse_entry(session, entry, with_sudo, say=said.append)
    assert unknown.result.ok is None and "no key is known" in unknown.result.what[0]
    assert said == []  # nothing was begun on the host


def flipped(name: str, content: bytes) -> bytes:
    """One byte of the raft log is another one."""
    if not name.endswith(".wal"):
        return content
    at = len(content.rstrip(b"\0")) // 2
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


def cut_off(name: str, content: bytes) -> bytes:
    """The raft log ends in the middle of a record, long before its end."""
    return content[: len(content.rstrip(b"\0")) // 3] if name.endswith(".wal") else content


DAMAGES: dict[str, dict[str, Any]] = {
    "no certificate": {"without": "swarm-node.crt"},
    "no root CA": {"without": "swarm-root-ca.crt"},
    "no key": {"without": "swarm-node.key"},
    "no raft log": {"without": ".wal"},
    "a flipped byte": {"change": flipped},
    "cut off": {"change": cut_off},
}


async def test_what_docker_restores_as_an_empty_swarm_or_not_at_all_fails(
    swarm: Lab, session: Session, tmp_path: Path
) -> None:
    taken = plain(swarm)
    host = swarm["wrk2"]
    before = settled(host)
    found: dict[str, Rehearsed] = {}
    for name, damage in DAMAGES.items():
        entry = taken.entry(tmp_path / name.replace(" ", "-"), **damage)
        found[name] = await rehearse_entry(session, entry, host.target)
    assert {name: done.result.ok for name, done in found.items()} == dict.fromkeys(DAMAGES, False), found
    assert own_docker(host) == before
    assert left(host) == ""


@pytest.mark.lab
async def test_a_connection_that_is_cut_in_the_middle_leaves_nothing(
    lab: Lab, session: Session, tmp_path: Path
) -> None:
    taken = plain(lab)
    host = lab["wrk1"]
    cut = []

    def say(line: str) -> None:
        if "An isolated dockerd runs there." in line:
            host.drop_ssh()
            cut.append(line)

    done = await rehearse_entry(session, taken.entry(tmp_path), host.target, say=say)
    assert cut and done.result.ok is None, done
    assert left(host) == ""  # reached anew, and taken down


@pytest.mark.lab
def test_killed_in_the_middle_the_guard_takes_it_down_or_a_resumed_run_does(lab: Lab, cli: Cli) -> None:
    taken = plain(lab)
    host = lab["wrk1"]
    before = settled(host)
    root = Path(cli.environment["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    entry = taken.entry(root)

    def killed() -> str:
        with cli.started("swarm.rehearse", f"host={host.target}", target=lab["mgr1"].target) as running:
            running.until("An isolated dockerd runs there.")
            running.kill()
            return Result(0, running.text, "").run_id

    killed()
    assert left(host) != ""
    host.sh(f"touch -d '3 minutes ago' {BASE}/*/alive")  # as much later
    wait_for("the guard ends the rehearsal", lambda: left(host) == "", 40, 0.5)
    assert own_docker(host) == before
    assert Catalogue(root).entry(entry.cluster_id, entry.id).verifications == ()

    resumed = cli("run", "--resume", killed(), "--yes")
    assert resumed.code == 0, resumed
    assert left(host) == "" and own_docker(host) == before
    assert Catalogue(root).entry(entry.cluster_id, entry.id).tier == 5


@pytest.mark.lab
async def test_cancelled_it_is_taken_down_first(lab: Lab, session: Session, tmp_path: Path) -> None:
    taken = plain(lab)
    host = lab["wrk1"]
    there = asyncio.Event()
    task = asyncio.create_task(
        rehearse_entry(
            session,
            taken.entry(tmp_path),
            host.target,
            say=lambda line: there.set() if "isolated place" in line else None,
        )
    )
    await there.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert left(host) == ""


@pytest.mark.lab
async def test_what_is_no_fault_of_the_backup_proves_nothing(lab: Lab, session: Session, tmp_path: Path) -> None:
    taken = plain(lab)
    host = lab["wrk2"]
    no_root = await rehearse_entry(session, taken.entry(tmp_path / "1"), f"ssh://nodocker@{host.address}")
    assert no_root.result.ok is None and "needs root" in no_root.result.what[0]

    # A dockerd that does not start whatever it is given: its last words, and not a verdict on the backup.
    shim = '#!/bin/sh\n[ "$1" = --version ] && exec /usr/sbin/dockerd "$@"\necho failed to be a Docker >&2\nexit 1\n'
    host.sh("cat >/usr/local/sbin/dockerd; chmod 755 /usr/local/sbin/dockerd", data=shim.encode())
    broken = await rehearse_entry(session, taken.entry(tmp_path / "2"), host.target)
    host.sh("rm /usr/local/sbin/dockerd")
    assert broken.result.ok is None and "failed to be a Docker" in broken.result.what[0]

    unreachable = await rehearse_entry(session, taken.entry(tmp_path / "3"), "ssh://root@127.0.0.1:1")
    assert unreachable.result.ok is None
    assert left(host) == ""


@pytest.mark.lab
@pytest.mark.skipif(shutil.which("dockerd", path=PATH) is None, reason="there is no Docker engine on this machine")
async def test_this_machine_will_do_as_well(lab: Lab, session: Session, tmp_path: Path) -> None:
    taken = plain(lab)
    mounts = Path("/proc/mounts").read_text()
    done = await rehearse_entry(session, taken.entry(tmp_path), "local")
    assert done.result.ok is True, done
    assert not Path(BASE).exists() or not list(Path(BASE).iterdir())
    assert BASE not in mounts and BASE not in Path("/proc/mounts").read_text()
