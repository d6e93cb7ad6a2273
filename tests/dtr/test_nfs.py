"""Whether the NFS server of the images answers where a replica will mount it: what is tried, and what is said (T2)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.demo.serve import Demo
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.runbooks import params as kinds
from swarmtui.runbooks.dtr import nfs
from swarmtui.runbooks.dtr.install import Install
from swarmtui.runbooks.dtr.nfs import NfsSeen, look_at_nfs, nfs_notes, nfs_warnings, server_of
from swarmtui.runbooks.swarm.building import probes
from tests.dtr.test_install_plans import known, node, place, plan
from tests.faults import ucp_stage as stage
from tests.faults.strikes import swarmtui
from tests.runbooks.support import Completed

GOOD = NfsSeen(node="dtr1", server="nas", answers=True)
SILENT = NfsSeen(node="dtr1", server="nas", answers=False)
UNSEEN = NfsSeen(node="dtr2", server="nas", why="dtr2 cannot be reached")


@pytest.mark.parametrize(
    ("storage", "server"),
    [
        ("nfs://nas-1.example.org/dtr", "nas-1.example.org"),
        ("nfs://10.0.0.9/images", "10.0.0.9"),
        ("nfs://[fd00::9]/images", "fd00::9"),
        ("volume:images", None),
        ("local", None),
        ("", None),
        # What is put into a command of a shell is no command.
        ("nfs://a;reboot/x", ""),
        ("nfs://$(reboot)/x", ""),
        ("nfs://nas:2049/x", ""),
        ("nfs://-nas/x", ""),
        ("nfs:///x", ""),
    ],
)
def test_only_a_name_or_an_address_is_tried(storage: str, server: str | None) -> None:
    assert server_of(storage) == server


class Host:
    """A host: what it has, and which doors open from it."""

    def __init__(self, tools: str, *doors: str) -> None:
        self.tools, self.doors, self.asked = tools, doors, list[str]()

    async def run(self, command: str, *, timeout: float) -> Completed:
        if command == probes.TOOLS:
            return Completed(out=self.tools)
        self.asked.append(command)
        return Completed(out="".join(f"tcp {door} 2049 180\n" for door in self.doors))


def session_of(hosts: dict[str, Host | LinkError]) -> Any:
    async def reach(target: object) -> Host:
        found = next(host for name, host in hosts.items() if f"10.0.0.{name[1:]}" in str(target))
        if isinstance(found, LinkError):
            raise found
        return found

    return SimpleNamespace(reach=reach, tell_look=lambda line: None)


async def test_it_is_tried_from_the_host_of_each_node_and_what_cannot_be_tried_says_why() -> None:
    tools = "/usr/bin/bash /usr/bin/timeout\n"
    hosts: dict[str, Host | LinkError] = {
        "w1": Host(tools, "nas.example.org"),
        "w2": Host(tools),
        "w3": Host("/usr/bin/perl\n"),
        "w4": LinkError(Reason.UNREACHABLE, "10.0.0.4", "10.0.0.4 cannot be reached.", ""),
    }
    nodes = [place(name, int(name[1:])) for name in hosts]
    seen = await look_at_nfs(session_of(hosts), nodes, "nfs://nas.example.org/dtr")
    assert [(one.node, one.answers) for one in seen] == [("w1", True), ("w2", False), ("w3", None), ("w4", None)]
    assert seen[2].why == "there is no bash or no timeout on w3" and "10.0.0.4" in seen[3].why
    assert isinstance(hosts["w1"], Host) and "/dev/tcp/nas.example.org/2049" in hosts["w1"].asked[0]
    assert await look_at_nfs(session_of({}), nodes, "local") == ()
    (odd, *_) = await look_at_nfs(session_of({}), nodes, "nfs://a;reboot/x")
    assert odd.answers is None and "neither a name nor an address" in odd.why


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_real_shell_tells_an_open_port_from_a_closed_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Here:
        async def run(self, command: str, *, timeout: float) -> Completed:
            ran = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=asyncio.subprocess.PIPE)
            out, _ = await asyncio.wait_for(ran.communicate(), timeout)
            return Completed(out=out.decode())

    async def reach(target: object) -> Here:
        return Here()

    session: Any = SimpleNamespace(reach=reach, tell_look=lambda line: None)
    async with await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0) as server:
        monkeypatch.setattr(nfs, "PORT", server.sockets[0].getsockname()[1])
        (seen,) = await look_at_nfs(session, [place("w1", 1)], f"nfs://{name}/dtr")
        assert seen.answers is True
    (seen,) = await look_at_nfs(session, [place("w1", 1)], f"nfs://{name}/dtr")
    assert seen.answers is False


def test_what_is_said_tells_what_where_and_what_to_do() -> None:
    (told,) = nfs_warnings((SILENT, replace(SILENT, node="dtr3"), UNSEEN))
    assert told.startswith("nas does not answer on TCP port 2049 (NFS) from dtr1, dtr3: ")
    assert "firewall" in told and "/dev/tcp/nas/2049" in told
    assert nfs_notes((SILENT, UNSEEN)) == ("Whether nas serves NFS to dtr2 was not checked: dtr2 cannot be reached.",)
    assert nfs_warnings((GOOD, UNSEEN)) == () == nfs_notes(())
    assert "answers on TCP port 2049 (NFS) from dtr1" in nfs_notes((GOOD,))[0]


def test_a_plan_has_it_and_one_of_before_is_still_made_from_its_facts() -> None:
    found = plan(known(node=node(nfs=(SILENT,))))
    assert any("nas does not answer on TCP port 2049" in line for line in found.warnings)
    assert any("nas answers on" in line for line in plan(known(node=node(nfs=(GOOD,)))).notes)
    facts = msgspec.to_builtins(known())
    del facts["node"]["nfs"]
    given = {"version": "2.4.1", "node": "dtr1", "url": "https://dtr.example.com", "storage": "nfs://nas/dtr"}
    again = Install().plan(kinds.parse("dtr.install", Install.params, given), facts)
    assert not any("2049" in line for line in (*again.notes, *again.warnings))


async def test_the_simulated_hosts_answer_what_is_true_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-dtr", speed=50, seed=1) as demo:
        stage.secrets(demo, tmp_path / "credentials", monkeypatch)
        words = ("run", "dtr.install", "version=2.4.1", "node=dtr1", "url=https://dtr.shop.example")
        assert (
            await swarmtui(demo, *words, "storage=nfs://nas.shop.example/dtr", "--dry-run", "--target", "simulated")
            == 0
        )
        assert "nas.shop.example answers on TCP port 2049 (NFS) from dtr1." in capsys.readouterr().out
        assert await swarmtui(demo, *words, "storage=nfs://10.0.0.9/images", "--dry-run", "--target", "simulated") == 0
        assert "10.0.0.9 does not answer on TCP port 2049 (NFS) from dtr1: " in capsys.readouterr().out
        demo.world.nas.clear()
        assert (
            await swarmtui(demo, *words, "storage=nfs://nas.shop.example/dtr", "--dry-run", "--target", "simulated")
            == 0
        )
        assert "nas.shop.example does not answer on TCP port 2049" in capsys.readouterr().out


async def test_another_place_for_images_is_tried_from_every_replicas_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        stage.secrets(demo, tmp_path / "credentials", monkeypatch)
        words = ("run", "dtr.storage", "to=nfs://nas2.shop.example/dtr", "--dry-run", "--target", "simulated")
        assert await swarmtui(demo, *words) == 0
        told = capsys.readouterr().out
        assert "nas2.shop.example does not answer on TCP port 2049 (NFS) from dtr1, dtr2, dtr3" in told
