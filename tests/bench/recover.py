"""From "all managers gone" to every service at N/N on a real Swarm: swarm.restore against the same commands by hand.

Two of three managers are switched off for good, the third has lost its Swarm directory; there is a backup of that one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import Lab
from tests.lab.machine import wait_for

PAIRS = 3
SECONDS = 300.0
GONE = ("mgr1", "mgr3")
SERVICES = {"web": ["--replicas", "4"], "agent": ["--mode", "global"]}
WANTED = ["agent"] * 3 + ["web"] * 4
"""What runs when all is well again: mgr2 and two workers are left."""
BEFORE = 5 + 4
OPTIONS = ["-d", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", "--stop-grace-period", "1s"]
BY_HAND = """set -e
ssh -n mgr2 'systemctl stop docker.socket docker.service; mv /var/lib/docker/swarm /var/lib/docker/swarm.old'
ssh mgr2 'tar -xf - -C /var/lib/docker' < {archive}
ssh -n mgr2 'rm -f /var/lib/docker/swarm/docker-state.json; systemctl start docker.service'
ssh -n mgr2 'docker swarm init --force-new-cluster --advertise-addr {address} > /dev/null'
ssh -n mgr2 'until docker node rm --force {gone} > /dev/null; do sleep 1; done'
"""


def recover_figures() -> dict[str, float] | str:
    """The figures; or why they cannot be had here."""
    from tests.lab.why import why_no_lab

    if reason := why_no_lab():
        return reason
    with Lab(managers=3, workers=2) as lab, tempfile.TemporaryDirectory(prefix="swarmtui-bench-") as name:
        folder = Path(name)
        lab.swarm()
        for service, options in SERVICES.items():
            lab["mgr1"].docker("service", "create", *OPTIONS, "--name", service, *options, "alpine", "sleep", "86400")
        environment = _environment(lab, folder)
        _ours(environment, "swarm.backup", "node=mgr2").check_returncode()
        archive = next((folder / "data").glob("**/archive.tar"))
        ids = [lab["mgr1"].docker("node", "inspect", "-f", "{{.ID}}", name).stdout.strip() for name in GONE]
        script = BY_HAND.format(archive=shlex.quote(str(archive)), address=lab["mgr2"].address, gone=" ".join(ids))
        saved, remembered = lab.save(), folder / "remembered"
        shutil.copytree(folder / "state", remembered)
        by_hand, ours = [], []
        for _ in range(PAIRS):
            by_hand.append(_measured(lab, lambda: subprocess.Popen(["sh", "-c", script], env=environment)))
            lab.restore(saved)
            # What this machine remembers of the managers is of before the disaster too, each time.
            shutil.rmtree(folder / "state")
            shutil.copytree(remembered, folder / "state")
            # By its id: a restore ends with a backup of its own, in which the lost managers are not listed any more.
            options = [f"backup={archive.parent.name}", f"host={lab['mgr2'].target}", f"dead={','.join(GONE)}"]
            ours.append(_measured(lab, lambda given=options: _started(environment, "swarm.restore", *given)))  # type: ignore[misc]
            lab.restore(saved)
    return {
        "from all managers gone to N/N, by hand: median, s": statistics.median(by_hand),
        "from all managers gone to N/N, by swarm.restore: median, s": statistics.median(ours),
        "recovery, ratio of medians": statistics.median(ours) / statistics.median(by_hand),
    }


def _environment(lab: Lab, folder: Path) -> dict[str, str]:
    config = folder / "config" / "swarmtui" / "config.toml"
    config.parent.mkdir(parents=True)
    managers = ", ".join(f'"{lab[name].target}"' for name in ("mgr1", "mgr2", "mgr3"))
    config.write_text(f"[clusters.lost]\nmanagers = [{managers}]\n")
    folders = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("DATA", "STATE", "CONFIG")}
    return {**os.environ, **lab.ssh_env(**folders)}


def _command(name: str, *given: str) -> list[str]:
    return [sys.executable, "-m", "swarmtui", "run", name, *given, "--target", "lost", "--yes"]


def _ours(environment: dict[str, str], name: str, *given: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(_command(name, *given), env=environment, stdout=subprocess.DEVNULL)


def _started(environment: dict[str, str], name: str, *given: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(name, *given), env=environment, stdout=subprocess.DEVNULL)


def _measured(lab: Lab, start: Callable[[], subprocess.Popen[bytes]]) -> float:
    """Seconds from the start until everything runs. What is started is waited for, and must succeed."""
    wait_for("all is well before", lambda: len(_running(lab, "mgr1")) == BEFORE, 120)
    for name in GONE:
        lab[name].power_off()
    lab["mgr2"].stop_docker()
    lab["mgr2"].sh("rm -rf /var/lib/docker/swarm && systemctl start docker.service")
    # Its unit refuses a fourth start within a minute, which nobody does who restores once.
    lab["mgr2"].sh("systemctl reset-failed docker.service docker.socket", check=False)
    begun = time.monotonic()
    with start() as process:
        wait_for("every service runs", lambda: _running(lab, "mgr2") == WANTED, SECONDS, 0.3)
        took = time.monotonic() - begun
        assert process.wait(SECONDS) == 0
    return took


def _running(lab: Lab, by: str) -> list[str]:
    """The service of each task that runs on a node that is ready, sorted; empty where no manager answers."""
    nodes = lab[by].docker("node", "ls", "--format", "{{.Hostname}} {{.Status}}", check=False)
    form = "{{.Name}} {{.Node}} {{.CurrentState}}"
    tasks = lab[by].docker("service", "ps", "-f", "desired-state=running", "--format", form, *SERVICES, check=False)
    if nodes.returncode or tasks.returncode:
        return []
    ready = {line.split()[0] for line in nodes.stdout.splitlines() if line.split()[1] == "Ready"}
    rows = [line.split() for line in tasks.stdout.splitlines()]
    return sorted(row[0].partition(".")[0] for row in rows if row[1] in ready and row[2] == "Running")


if __name__ == "__main__":
    found = recover_figures()
    print(found if isinstance(found, str) else "\n".join(f"  {value:10.2f}  {said}" for said, value in found.items()))
