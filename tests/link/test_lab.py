"""The link against real sshds and dockerds: every reason for a failure, made on a real host."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swarmtui.errors import EngineError
from swarmtui.link.manager import Manager
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SocketTarget, SshTarget
from tests.link.support import Asked

if TYPE_CHECKING:
    from tests.lab import Host, Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def at_home(lab: Lab, home: Path) -> Path:
    """The lab's key where the user's own would be; nothing is known of any host."""
    (home / ".ssh" / "id_ed25519").write_bytes((lab.home / ".ssh" / "id_ed25519").read_bytes())
    return home


def settings(lab: Lab, **changes: Any) -> SshSettings:
    return SshSettings(**{"known_hosts": lab.home / ".ssh" / "known_hosts", **changes})


def target(host: Host, user: str = "root") -> SshTarget:
    return SshTarget(host.address, user)


@asynccontextmanager
async def opened(lab: Lab, host: Host, user: str = "root", **changes: Any) -> AsyncIterator[Manager]:
    manager = await Manager.open(target(host, user), settings(lab, **changes), Nobody())
    try:
        yield manager
    finally:
        await manager.close()


async def refused(lab: Lab, host: Host, user: str = "root", person: Any = None, **changes: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        manager = await Manager.open(target(host, user), settings(lab, **changes), person or Nobody())
        await manager.close()
    error = caught.value
    assert host.address in error.what and error.next_step
    return error


async def until(condition: Any, seconds: float) -> None:
    """Waits for what the world does by itself."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # a real Swarm sends no event to wait for
            await asyncio.sleep(0.2)


@contextmanager
def put_back(host: Host, command: str) -> Iterator[None]:
    try:
        yield
    finally:
        host.sh(command)


@asynccontextmanager
async def sshd(host: Host, *lines: str) -> AsyncIterator[None]:
    """Gives a host's sshd these settings, and waits until they hold: a reload closes its port for a moment."""

    def starts() -> int:
        return int(host.sh("journalctl -u ssh.service -o cat | grep -c 'Server listening'", check=False).stdout)

    async def restarted() -> bool:
        return await asyncio.to_thread(starts) >= before + 2  # IPv4 and IPv6

    before = starts()
    host.sshd(*lines)
    try:
        await until(restarted, 20)
        yield
    finally:
        before = starts()
        host.sshd()
        await until(restarted, 20)


# -- the usual way -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("user", ["root", "op"])
async def test_a_manager(lab: Lab, user: str) -> None:
    host = lab["mgr1"]
    truth = host.api("GET", "/info")
    async with opened(lab, host, user) as manager:
        info = await manager.info()
        assert (manager.via, manager.label) == ("forward", f"{user}@{host.address}")
        assert (info.name, info.swarm.node_id) == ("mgr1", truth["Swarm"]["NodeID"])
        assert manager.engine.api_version == host.api("GET", "/version")["ApiVersion"]
        assert standing(info, manager.label) is None


@pytest.mark.lab26
async def test_a_newer_engine(lab26: Lab, home: Path) -> None:
    (home / ".ssh" / "id_ed25519").write_bytes((lab26.home / ".ssh" / "id_ed25519").read_bytes())
    host = lab26["mgr1"]
    async with opened(lab26, host, "op") as manager:
        assert manager.engine.api_version == host.api("GET", "/version")["ApiVersion"] == "1.45"
        node = next(node for node in host.api("GET", "/nodes") if node["Description"]["Hostname"] == "wrk1")
        with pytest.raises(EngineError, match="is not down"):
            await manager.engine.delete(f"/nodes/{node['ID']}")
        stale = {"version": str(node["Version"]["Index"] - 1)}
        with pytest.raises(EngineError, match="changed by somebody else"):
            await manager.engine.post(f"/nodes/{node['ID']}/update", params=stale, json=node["Spec"])
    async with sshd(host, "AllowStreamLocalForwarding no"), opened(lab26, host, "op") as manager:
        assert manager.via == "dial-stdio" and (await manager.info()).name == "mgr1"


@pytest.mark.usefixtures("at_home")
async def test_a_local_socket(lab: Lab) -> None:
    path = f"/proc/{lab['mgr1'].leader.pid}/root/run/docker.sock"
    manager = await Manager.open(SocketTarget(path), settings(lab), Nobody())
    assert (await manager.info()).name == "mgr1" and manager.via == "socket"
    await manager.close()


@pytest.mark.usefixtures("at_home")
async def test_events_and_writing(lab: Lab) -> None:
    host = lab["mgr1"]
    async with opened(lab, host, "op") as manager:
        stream = manager.engine.events({"scope": ["swarm"]})
        event = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.3)
        node = next(node for node in host.api("GET", "/nodes") if node["Description"]["Hostname"] == "wrk1")
        spec = {**node["Spec"], "Labels": {"zone": "a"}}
        path, version = f"/nodes/{node['ID']}/update", {"version": str(node["Version"]["Index"])}
        await manager.engine.post(path, params=version, json=spec)
        async with asyncio.timeout(5):
            assert node["ID"].encode() in await event
        assert host.api("GET", f"/nodes/{node['ID']}")["Spec"]["Labels"] == {"zone": "a"}
        await stream.aclose()
        with pytest.raises(EngineError, match="changed by somebody else"):
            await manager.engine.post(path, params=version, json=spec)
        with pytest.raises(EngineError, match="is not down"):
            await manager.engine.delete(f"/nodes/{node['ID']}")
        with pytest.raises(EngineError, match="does not exist"):
            await manager.engine.get("/nodes/nosuchnode")


@pytest.mark.usefixtures("at_home")
async def test_commands(lab: Lab) -> None:
    ssh = await SshHost.connect(target(lab["mgr1"], "op"), settings(lab), Nobody())
    try:
        done = await ssh.run("id -un; printf 'a\\033[2Jb' >&2; exit 3", timeout=10)
        assert (done.code, done.out, done.err) == (3, "op\n", "a\ufffd[2Jb")
        done = await ssh.run("wc -c", stdin=b"\0" * 5_000_000, timeout=20)
        assert done.out.strip() == "5000000"
        for nothing in (b"", None):
            assert (await ssh.run("wc -c", stdin=nothing, timeout=10)).out.strip() == "0"
        assert (await ssh.run("kill -TERM $$", timeout=10)).code == 143
        with pytest.raises(LinkError) as caught:
            await ssh.run("sleep 30", timeout=0.5)
        assert caught.value.reason is Reason.TIMEOUT
        many = await asyncio.gather(*(ssh.run(f"echo {n}", timeout=10) for n in range(6)))
        assert [done.out for done in many] == [f"{n}\n" for n in range(6)]
    finally:
        await ssh.close()


# -- logging in --------------------------------------------------------------------------------------------------


def fingerprint_on(host: Host, file: str = "/etc/ssh/ssh_host_ed25519_key.pub") -> str:
    return host.sh(f"ssh-keygen -lf {file}").stdout.split()[1]


@pytest.mark.usefixtures("at_home")
async def test_an_unknown_host_key_is_shown_as_the_host_itself_shows_it(lab: Lab, tmp_path: Path) -> None:
    host, known, person = lab["mgr1"], tmp_path / "known_hosts", Asked()
    error = await refused(lab, host, known_hosts=known)
    assert error.reason is Reason.HOST_KEY_UNKNOWN and fingerprint_on(host) in error.what
    manager = await Manager.open(target(host), settings(lab, known_hosts=known), person)
    await manager.close()
    assert [question.sha256 for question in person.questions] == [fingerprint_on(host)]
    async with opened(lab, host, known_hosts=known):
        pass
    # OpenSSH itself believes what we wrote.
    key = str(lab.home / ".ssh" / "id_ed25519")
    strict = ["-F", "none", "-i", key, "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
    done = await asyncio.to_thread(
        subprocess.run, ["ssh", "-o", "BatchMode=yes", *strict, f"root@{host.address}", "true"]
    )
    assert done.returncode == 0


@pytest.mark.usefixtures("at_home")
async def test_a_changed_host_key(lab: Lab) -> None:
    host, person = lab["mgr1"], Asked()
    host.sh("rm -f /root/other /root/other.pub; ssh-keygen -q -t ed25519 -N '' -f /root/other")
    async with sshd(host, "HostKey /root/other"):
        error = await refused(lab, host, person=person)
    assert error.reason is Reason.HOST_KEY_CHANGED and fingerprint_on(host, "/root/other.pub") in error.what
    assert not person.questions


@pytest.mark.usefixtures("at_home")
async def test_a_user_that_is_not_let_in(lab: Lab) -> None:
    error = await refused(lab, lab["mgr1"], "stranger")
    assert error.reason is Reason.AUTH_FAILED and "stranger" in error.what


async def test_an_encrypted_key_and_the_agent(lab: Lab, home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    host, key = lab["mgr1"], home / ".ssh" / "id_ed25519"
    await asyncio.to_thread(
        subprocess.run, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", key], check=True
    )
    accepted = "/etc/ssh/authorized_keys.lab"
    host.sh(f"cp {accepted} /root/accepted; cat >>{accepted}", data=key.with_suffix(".pub").read_bytes())
    with put_back(host, f"mv /root/accepted {accepted}"):
        error = await refused(lab, host)
        assert error.reason is Reason.KEY_ENCRYPTED and str(key) in error.what
        person = Asked(passphrases=["wrong", "open sesame"])
        manager = await Manager.open(target(host), settings(lab), person)
        await manager.close()
        assert person.keys == [str(key)] * 2

        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
        try:
            await until(lambda: asyncio.to_thread((tmp_path / "agent").exists), 5)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
            (tmp_path / "say").write_text("#!/bin/sh\necho open sesame\n")
            (tmp_path / "say").chmod(0o700)
            ask = {"SSH_ASKPASS": str(tmp_path / "say"), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
            await asyncio.to_thread(
                subprocess.run, ["ssh-add", str(key)], env={**os.environ, **ask}, check=True, capture_output=True
            )
            async with opened(lab, host):
                pass
        finally:
            agent.terminate()
            await asyncio.to_thread(agent.wait)


@pytest.mark.usefixtures("at_home")
async def test_a_jump_host(lab: Lab, tmp_path: Path) -> None:
    gate, inner = lab["mgr2"], lab["mgr1"]
    config = tmp_path / "config"
    config.write_text(
        f"Host inner\n  HostName {inner.address}\n  User root\n"
        f"Host gate\n  HostName {gate.address}\n  User op\nHost *\n  ProxyJump gate\n"
    )
    chosen = settings(lab, config_file=config)
    manager = await Manager.open(SshTarget("inner"), chosen, Nobody())
    assert manager.host is not None and manager.label == "root@inner"
    came_from = (await manager.host.run("echo $SSH_CONNECTION", timeout=10)).out.split()[0]
    assert came_from == gate.address and (await manager.info()).name == "mgr1"
    await manager.close()
    async with sshd(gate, "AllowTcpForwarding no"):
        with pytest.raises(LinkError) as caught:
            await Manager.open(SshTarget("inner"), chosen, Nobody())
    assert caught.value.reason is Reason.JUMP_REFUSED and "AllowTcpForwarding" in caught.value.next_step


# -- from the host to its engine ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_home")
async def test_without_forwarding(lab: Lab) -> None:
    host = lab["mgr1"]
    async with sshd(host, "AllowStreamLocalForwarding no"):
        async with opened(lab, host, "op") as manager:
            assert manager.via == "dial-stdio" and manager.host is not None
            stream = manager.engine.events({"scope": ["swarm"]})
            event = asyncio.ensure_future(anext(stream))
            # More at once than sshd allows sessions (10), beside commands.
            calls = [manager.engine.get(path) for path in ("/nodes", "/services", "/tasks", "/info") * 10]
            commands = [manager.host.run("true", timeout=20) for _ in range(3)]
            await asyncio.gather(*calls, *commands)
            host.docker("node", "update", "--label-add", "a=b", "wrk1")
            async with asyncio.timeout(5):
                assert b'"node"' in await event
            await stream.aclose()
        host.sh("chmod 700 /usr/bin/docker")
        with put_back(host, "chmod 755 /usr/bin/docker"):
            error = await refused(lab, host, "op")
            assert error.reason is Reason.FORWARDING_REFUSED and "AllowStreamLocalForwarding" in error.next_step


@pytest.mark.usefixtures("at_home")
async def test_not_in_the_docker_group(lab: Lab) -> None:
    host = lab["mgr1"]
    error = await refused(lab, host, "nodocker")
    assert error.reason is Reason.SOCKET_DENIED and "nodocker" in error.what and "usermod" in error.next_step
    error = await refused(lab, host, "nodocker", sudo=True)
    assert error.reason is Reason.SUDO_REFUSED
    host.sh("gpasswd -d op docker")
    with put_back(host, "gpasswd -a op docker"):
        assert (await refused(lab, host, "op")).reason is Reason.SOCKET_DENIED
        async with opened(lab, host, "op", sudo=True) as manager:
            assert manager.via == "dial-stdio" and (await manager.info()).name == "mgr1"
        host.sh("mv /usr/bin/docker /usr/bin/docker.away")
        with put_back(host, "mv /usr/bin/docker.away /usr/bin/docker"):
            assert (await refused(lab, host, "op", sudo=True)).reason is Reason.DOCKER_CLI_MISSING


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("user", ["root", "op", "nodocker"])
async def test_docker_is_down(lab: Lab, user: str) -> None:
    host = lab["wrk1"]
    host.stop_docker()
    try:
        assert (await refused(lab, host, user)).reason is Reason.DOCKER_DOWN
        host.sh("rm -f /run/docker.sock")
        assert (await refused(lab, host, user)).reason is Reason.DOCKER_DOWN
    finally:
        host.start_docker()


@pytest.mark.usefixtures("at_home")
async def test_docker_is_not_there(lab: Lab) -> None:
    host = lab["wrk1"]
    parts = "/usr/bin/docker /etc/init.d/docker /lib/systemd/system/docker.service /lib/systemd/system/docker.socket"
    host.stop_docker()
    away = "/root/away$(echo $f | tr / -)"
    host.sh(f"rm -f /run/docker.sock; for f in {parts}; do mv $f {away}; done; systemctl daemon-reload")
    with put_back(host, f"for f in {parts}; do mv {away} $f; done; systemctl daemon-reload"):
        error = await refused(lab, host)
    host.start_docker()
    assert error.reason is Reason.NO_SOCKET and "/var/run/docker.sock" in error.what


# -- what it is in the Swarm -------------------------------------------------------------------------------------


async def stands(lab: Lab, host: Host) -> LinkError | None:
    async with opened(lab, host) as manager:
        return standing(await manager.info(), manager.label)


@pytest.mark.usefixtures("at_home")
async def test_a_worker_and_what_is_in_no_swarm(lab: Lab) -> None:
    error = await stands(lab, lab["wrk1"])
    assert error is not None and error.reason is Reason.WORKER
    assert all(lab[name].address in error.next_step for name in ("mgr1", "mgr2", "mgr3"))
    lab["wrk1"].docker("swarm", "leave")
    error = await stands(lab, lab["wrk1"])
    assert error is not None and error.reason is Reason.NOT_A_SWARM


@pytest.mark.usefixtures("at_home")
async def test_a_locked_manager(lab: Lab) -> None:
    lab["mgr1"].docker("swarm", "update", "--autolock=true")
    lab["mgr2"].restart_docker()

    async def locked() -> bool:
        error = await stands(lab, lab["mgr2"])
        return error is not None and error.reason is Reason.LOCKED and "docker swarm unlock" in error.next_step

    await until(locked, 30)
    async with opened(lab, lab["mgr2"]) as manager:
        with pytest.raises(EngineError, match="is locked"):
            await manager.engine.get("/nodes")


@pytest.mark.usefixtures("at_home")
async def test_no_leader(lab: Lab) -> None:
    async with opened(lab, lab["mgr1"]) as manager:
        lab["mgr2"].power_off()
        lab["mgr3"].power_off()

        async def leaderless() -> bool:
            error = standing(await manager.info(), manager.label)
            return error is not None and error.reason is Reason.NO_LEADER

        await until(leaderless, 60)
        with pytest.raises(EngineError, match="no leader"):
            await manager.engine.get("/nodes")
        # The connection itself is as good as before.
        assert (await manager.info()).name == "mgr1"
        lost = asyncio.ensure_future(manager.wait_lost())
        await asyncio.sleep(0.1)
        assert not lost.done()
        lost.cancel()


# -- losing it ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_home")
async def test_a_host_that_is_cut_off(lab: Lab) -> None:
    host = lab["mgr1"]
    async with opened(lab, host) as manager:
        host.cut()
        started = time.monotonic()
        error = await refused(lab, host, connect_timeout=2.0)
        assert error.reason is Reason.TIMEOUT and 1.9 < time.monotonic() - started < 4
        call = asyncio.ensure_future(manager.info())
        await manager.wait_lost()
        assert 10 < time.monotonic() - started < 22
        with pytest.raises(LinkError) as caught:
            await call
        assert caught.value.reason is Reason.CONNECTION_LOST
        assert (await manager.why_lost()).reason is Reason.CONNECTION_LOST
        closing = time.monotonic()
        await manager.close()
        assert time.monotonic() - closing < 2


@pytest.mark.usefixtures("at_home")
async def test_closing_while_cut_off(lab: Lab) -> None:
    async with opened(lab, lab["mgr1"]) as manager:
        lab["mgr1"].cut()
        started = time.monotonic()
        await manager.close()
        assert time.monotonic() - started < 2


@pytest.mark.usefixtures("at_home")
async def test_docker_stops(lab: Lab) -> None:
    host = lab["mgr1"]
    async with opened(lab, host) as manager:
        event = asyncio.ensure_future(anext(manager.engine.events({"scope": ["swarm"]})))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(host.stop_docker)
        async with asyncio.timeout(5):
            with pytest.raises(LinkError) as caught:
                while True:
                    await event
                    event = asyncio.ensure_future(anext(manager.engine.events({"scope": ["swarm"]})))
            await manager.wait_lost()
        assert caught.value.reason is Reason.CONNECTION_LOST
        with pytest.raises(LinkError):
            await manager.info()
        why = await manager.why_lost()
        assert why.reason is Reason.DOCKER_DOWN and "inactive" in why.what
    host.start_docker()


@pytest.mark.usefixtures("at_home")
async def test_sshd_dies(lab: Lab) -> None:
    async with opened(lab, lab["mgr1"]) as manager:
        assert manager.host is not None
        lost = asyncio.ensure_future(manager.wait_lost())
        with pytest.raises(LinkError) as caught:
            await manager.host.run("kill -9 $PPID; sleep 5", timeout=10)
        assert caught.value.reason is Reason.CONNECTION_LOST
        async with asyncio.timeout(2):
            await lost
        with pytest.raises(LinkError) as caught:
            await manager.info()
        assert caught.value.reason is Reason.CONNECTION_LOST
