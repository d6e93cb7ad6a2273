"""UCP's stand-ins on real engines, disturbed: certificates that do not lead anywhere, commands that fail in the middle,
hang or end without a word, our own process killed and the connection cut."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from swarmtui.config import load
from swarmtui.link.person import Nobody
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.ucp.facts import Version
from swarmtui.opening import find
from swarmtui.runbooks.image.job import run_image
from swarmtui.runbooks.runbook import Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.image import Command
from swarmtui.session import Session
from tests.actions.cli import Cli, Process
from tests.actions.ucp_stage import done, gone_on, kept, prepared, quiet
from tests.lab import Host, Lab, standins
from tests.lab.fixtures import MakeLab
from tests.lab.machine import wait_for
from tests.lab.standins.test_on_lab import ping
from tests.ucp.tls import Authority

pytestmark = [pytest.mark.lab, pytest.mark.full]

CERTS = "ucp-controller-server-certs"
NAME = "ucp.example.com"


def left(host: Host) -> str:
    """What of UCP is on a host: containers, and volumes but the one of certificates; and what our jobs left."""
    ours = f"docker ps -aq --filter name=ucp; docker volume ls -q --filter name=ucp- | grep -v {CERTS}"
    return f"{host.sh(ours, check=False).stdout}{of_jobs(host)}".strip()


def of_jobs(host: Host) -> str:
    """What jobs, their secrets and locks left on a host."""
    folders = "/var/lib/swarmtui/jobs /run/swarmtui /run/swarmtui-secrets"
    return host.sh(f"find {folders} -mindepth 1 ! -type d 2>/dev/null", check=False).stdout.strip()


def stopped(host: Host) -> str:
    """UCP's containers that do not run; the one that ends by itself left out."""
    line = "docker ps -a --filter name=ucp- --filter status=exited --format '{{.Names}}' | grep -v ucp-reconcile"
    return host.sh(line, check=False).stdout.strip()


def rules(cli: Cli) -> set[str]:
    """The ids of what the doctor finds wrong."""
    told = json.loads(cli("doctor", cli.target, "--json").out)
    return {finding["rule"] for finding in told["status"]["findings"]}


def put(host: Host, folder: Path) -> None:
    """Another certificate for UCP's web server, as from its admin settings."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (Path(host.docker_folder) / "volumes" / CERTS / "_data" / name).write_bytes((folder / name).read_bytes())
    host.sh("docker restart ucp-controller")
    wait_for("UCP is healthy with it", lambda: ping(host) == 200, 30)


def believed(host: Host, root: Authority) -> str:
    """The certificate of UCP's web server, as PEM, by somebody who trusts that authority alone. Raises SSLError."""
    trusting = ssl.create_default_context(cadata=root.pem)
    with (
        socket.create_connection((host.address, 443), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=host.address) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")


def test_own_certificates(make_lab: MakeLab, tmp_path: Path) -> None:
    """Incomplete ones are refused before anything is done; complete ones are what people see, also after a restore."""
    lab, cli = prepared(make_lab, "2.2.5", hosts=1)
    host = lab["mgr1"]
    root = Authority("Example Root")
    middle = Authority("Example Web", root)
    names = (NAME, "mgr1", host.address)
    half = middle.given(tmp_path / "half", root.pem, *names)
    whole = middle.given(tmp_path / "whole", root.pem, *names, between=middle.pem)
    words = ("version=2.2.5", f"host-address={host.address}", f"san={NAME}")

    refused = done(cli, "ucp.install", *words, f"certificates={half}", code=4).err
    assert "Example Web" in refused and "is missing in cert.pem" in refused
    assert left(host) == ""
    done(cli, "ucp.install", *words, f"certificates={whole}")
    shown = believed(host, root)
    assert shown.strip() in (whole / "cert.pem").read_text()
    assert not {rule for rule in rules(cli) if rule.startswith("ucp-certificate")}

    put(host, half)
    with pytest.raises(ssl.SSLCertVerificationError):
        believed(host, root)
    assert "ucp-certificate-chain" in rules(cli)
    put(host, whole)

    done(cli, "ucp.backup")
    done(cli, "ucp.restore", f"san={NAME},second.example.com", f"host-address={host.address}")
    assert believed(host, root) == shown
    labels = host.api("GET", "/nodes")[0]["Spec"]["Labels"]
    assert "second.example.com" in labels["com.docker.ucp.SANs"]


async def test_the_json_form_of_the_log(make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --jsonlog writes is read like the other forms."""
    lab, cli = prepared(make_lab, "2.2.5", hosts=1)
    host = lab["mgr1"]
    done(cli, "ucp.install", "version=2.2.5", f"host-address={host.address}", f"san={NAME}")
    said: list[str] = []
    voice = Voice(said.append, lambda done, total, text: None)
    version = Version.parse("2.2.5")
    at = Where("mgr1", host.target, str(ssh(host)))
    monkeypatch.setenv("HOME", str(lab.home))
    opening = find("prod", load(), bundles=tmp_path / "bundles")
    async with Session(opening, Nobody()).opened() as session:
        await session.until_tried(30)
        works = Command(version=version, name="restart", options=(("jsonlog", ""),))
        result = await run_image(session, at, works, {}, voice, job_id="20261122T050000Z-0000aaaa")
        assert result.ok and "UCP components restarted" in said[-1] and "{" not in said[-1]
        fails = Command(version=version, name="backup", options=(("jsonlog", ""), ("id", "another")))
        result = await run_image(session, at, fails, {}, voice, job_id="20261122T050000Z-0000bbbb")
        assert not result.ok and any(line.fatal for line in result.lines)


def ssh(host: Host) -> str:
    target = parse_target(host.target)
    assert isinstance(target, SshTarget)
    return f"root@{target.host}"


def test_commands_that_fail_and_runs_that_are_cut_off(make_lab: MakeLab) -> None:
    """One UCP through all of it: each time it is gone on with, nothing stays stopped, and no secret stays behind."""
    lab, cli = prepared(make_lab, "2.2.5", hosts=1)
    host = lab["mgr1"]
    done(cli, "ucp.install", "version=2.2.5", f"host-address={host.address}", f"san={NAME}")
    done(cli, "ucp.user", "name=jim", "password-from=env:JIM")
    backups_that_fail(lab, cli)
    backups_that_are_cut_off(lab, cli)
    restores_that_are_cut_off(lab, cli)
    an_uninstall_that_hangs(lab, cli)


def backups_that_fail(lab: Lab, cli: Cli) -> None:
    host = lab["mgr1"]
    for switches in (("backup-fails",), ("backup-fails", "fatal-exits-zero")):
        for switch in switches:
            standins.switch(host, switch)
        failed = done(cli, "ucp.backup", code=1)
        assert "unexpected EOF while reading volume" in failed.err, failed
        assert kept() == [] and stopped(host) == "" and ping(host) == 200
        for switch in switches:
            standins.switch(host, switch, on=False)
        if len(switches) == 2:
            gone_on(cli, failed.run_id)
            assert len(kept()) == 1 and of_jobs(host) == ""


def backups_that_are_cut_off(lab: Lab, cli: Cli) -> None:
    host = lab["mgr1"]
    with cli.started("ucp.backup") as run:
        run.until("Temporarily Stopping local UCP containers")
        run.kill()
    gone_on(cli, run.run_id)
    assert len(kept()) == 2 and stopped(host) == ""
    with cli.started("ucp.backup") as run:
        run.until("Beginning backup")
        host.drop_ssh()
        result = quiet_end(run)
    if result:
        gone_on(cli, run.run_id)
    assert len(kept()) == 3 and stopped(host) == ""


def restores_that_are_cut_off(lab: Lab, cli: Cli) -> None:
    host = lab["mgr1"]
    for words, strike in (("Uninstalling UCP on each node", "kill"), ("Parsing backup file", "cut")):
        with cli.started("ucp.restore") as run:
            run.until(words)
            if strike == "kill":
                run.kill()
                code = 1
            else:
                host.drop_ssh()
                code = quiet_end(run)
        if code:
            gone_on(cli, run.run_id)
        assert ping(host) == 200 and of_jobs(host) == ""
        assert "jim" in done(cli, "ucp.user", "name=jim", "password-from=env:JIM").out


def an_uninstall_that_hangs(lab: Lab, cli: Cli) -> None:
    host = lab["mgr1"]
    standins.switch(host, "uninstall-hangs")
    failed = cli.run("ucp.uninstall", "--yes", seconds=280)
    standins.switch(host, "uninstall-hangs", on=False)
    if failed.code:
        quiet(failed, 1)
        assert "UCP is still on the Swarm" in failed.err
        gone_on(cli, failed.run_id)
    assert left(host) == ""
    assert not [one for one in host.api("GET", "/services") if one["Spec"]["Name"].startswith("ucp-")]


def quiet_end(run: Process) -> int:
    """The exit code of a run that was cut off."""
    return run.end(280).code
