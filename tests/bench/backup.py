"""Taking a backup on a real Swarm: how long Docker is down, and how fast an archive comes; each against plain commands.

What is compared runs in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from swarmtui.link.person import Nobody
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.streaming import stream
from swarmtui.link.target import SshTarget, parse_target
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

PAIRS = 9
"""Docker's start takes one second or three, as its raft's clock happens to stand: few pairs would tell of luck."""
SIZE = 256 << 20
"""Bytes of random data: an archive of a young Swarm is too small to measure with."""
BY_HAND = """
note() { read -r up idle < /proc/uptime; echo "- $up $1"; }
note stopping
systemctl stop docker.socket docker.service
tar --create --file=/root/by-hand.tar --sparse --xattrs --numeric-owner --directory=/var/lib/docker swarm
note archived
systemctl start docker.socket docker.service
note started
rm -f /root/by-hand.tar
"""
WATCH = "timeout 30 sh -c 'while :; do cp /var/lib/swarmtui/jobs/*/status /root/status 2>/dev/null; sleep 0.2; done'"
"""Keeps what the job noted, which is gone with the job."""


def backup_figures() -> dict[str, float] | str:
    """The figures; or why they cannot be had here."""
    from tests.lab.why import why_no_lab

    if reason := why_no_lab():
        return reason
    with Lab(managers=3, workers=0) as lab, tempfile.TemporaryDirectory(prefix="swarmtui-bench-") as folder:
        lab.swarm()
        return {**_downtime(lab, Path(folder)), **_transfer(lab)}


def _calm(lab: Lab) -> None:
    def all_reachable() -> bool:
        lines = lab["mgr1"].docker("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").stdout.splitlines()
        return sorted(lines) == ["Ready Leader", "Ready Reachable", "Ready Reachable"]

    wait_for("all managers are reachable", all_reachable, 180)
    # Docker's unit refuses a fourth start within a minute, which nobody does who takes one backup.
    lab["mgr3"].sh("systemctl reset-failed docker.service docker.socket", check=False)
    time.sleep(2.0)


def _downtime(lab: Lab, folder: Path) -> dict[str, float]:
    environment = lab.ssh_env(
        XDG_DATA_HOME=str(folder / "data"), XDG_STATE_HOME=str(folder / "state"), XDG_CONFIG_HOME=str(folder / "config")
    )
    program = [sys.executable, "-m", "swarmtui", "run", "swarm.backup", "node=mgr3", "--yes"]
    host, ours, by_hand, whole = lab["mgr3"], [], [], []
    for _ in range(PAIRS):
        _calm(lab)
        by_hand.append(_phases(host.ssh(BY_HAND).stdout))
        _calm(lab)
        with subprocess.Popen(["ssh", "-n", "mgr3", WATCH], env=environment) as watching:
            at = time.monotonic()
            subprocess.run(
                [*program, "--target", lab["mgr1"].target], check=True, env=environment, stdout=subprocess.DEVNULL
            )
            whole.append(time.monotonic() - at)
            watching.kill()
        ours.append(_phases(host.ssh("cat /root/status; rm /root/status").stdout))
    figures: dict[str, float] = {}
    for number, what in enumerate(("stopped and archived", "started again", "down")):
        hand, mine = (statistics.median(phases[number] for phases in each) for each in (by_hand, ours))
        figures[f"Docker {what}, by three commands in a script: median, s"] = hand
        figures[f"Docker {what}, by swarm.backup: median, s"] = mine
        figures[f"Docker {what}: ratio of medians"] = mine / hand
    return {**figures, "swarm.backup, the whole run: median, s": statistics.median(whole)}


def _phases(notes: str) -> tuple[float, float, float]:
    """Seconds until the archive was made, until Docker ran again after that, and both."""
    at = {word: float(up) for _, up, word in (line.split()[:3] for line in notes.splitlines())}
    return at["archived"] - at["stopping"], at["started"] - at["archived"], at["started"] - at["stopping"]


def _transfer(lab: Lab) -> dict[str, float]:
    host = lab["mgr3"]
    host.sh(f"head -c {SIZE} /dev/urandom > /root/random")
    host.ssh("cat /root/random > /dev/null")
    target = parse_target(host.target)
    assert isinstance(target, SshTarget)
    by_ssh, ours = [], []
    for _ in range(PAIRS):
        by_ssh.append(_cat(lab, host))
        ours.append(asyncio.run(_stream(lab, target)))
    host.sh("rm /root/random")
    return {
        "ssh host cat: median, MB/s": SIZE / 1e6 / statistics.median(by_ssh),
        "our stream, with its digest: median, MB/s": SIZE / 1e6 / statistics.median(ours),
        "transfer, ratio of medians": statistics.median(by_ssh) / statistics.median(ours),
    }


def _cat(lab: Lab, host: Host) -> float:
    begin = time.monotonic()
    subprocess.run(
        ["ssh", "-n", "mgr3", "cat /root/random"], check=True, stdout=subprocess.DEVNULL, env=lab.ssh_env(), timeout=300
    )
    return time.monotonic() - begin


async def _stream(lab: Lab, target: SshTarget) -> float:
    before = os.environ.get("HOME", "")
    os.environ["HOME"] = str(lab.home)
    begin = time.monotonic()
    try:
        ssh = await SshHost.connect(target, SshSettings(), Nobody())
        try:
            await stream(ssh, "cat /root/random", lambda batch: None, SIZE)
        finally:
            await ssh.close()
    finally:
        os.environ["HOME"] = before
    return time.monotonic() - begin
