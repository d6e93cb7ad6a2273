"""Taking a backup on a real Swarm: how long Docker is down, and how fast an archive comes; each against plain commands.

What is compared runs in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import json
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

PAIRS = 5
SIZE = 256 << 20
"""Bytes of random data: an archive of a young Swarm is too small to measure with."""
BY_HAND = """
read -r begin idle < /proc/uptime
systemctl stop docker.socket docker.service
tar --create --file=/root/by-hand.tar --sparse --xattrs --numeric-owner --directory=/var/lib/docker swarm
systemctl start docker.socket docker.service
read -r end idle < /proc/uptime
rm -f /root/by-hand.tar
echo $begin $end
"""


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
    ours, by_hand, whole = [], [], []
    for _ in range(PAIRS):
        _calm(lab)
        begin, end = map(float, lab["mgr3"].ssh(BY_HAND).stdout.split())
        by_hand.append(end - begin)
        _calm(lab)
        at = time.monotonic()
        subprocess.run(
            [*program, "--target", lab["mgr1"].target], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        whole.append(time.monotonic() - at)
        newest = max((folder / "data").glob("**/manifest.json"), key=os.path.getmtime)
        ours.append(float(json.loads(newest.read_bytes())["downtime_seconds"]))
    return {
        "Docker down by three commands in a script: median, s": statistics.median(by_hand),
        "Docker down by swarm.backup: median, s": statistics.median(ours),
        "downtime, ratio of medians": statistics.median(ours) / statistics.median(by_hand),
        "swarm.backup, the whole run: median, s": statistics.median(whole),
    }


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
