"""Makes the real Swarm directories beside it in data/: on the lab, with everything a service can have, cold.

One tar.xz each: swarm/… as dockerd left it (most of the reserved zeros after the raft log cut off), api.json what the
engine API said before and after, key.txt the unlock key. See data/README.md.

    python -m tests.backups.make_data [20.10|26.1]
"""

from __future__ import annotations

import io
import json
import shlex
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.backups.generations import DATA, NOWHERE, files_of, look
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

CREATE = ("service", "create", "-d", "-q", "--no-resolve-image", *NOWHERE)

EVERYTHING = shlex.split("""
--endpoint-mode dnsrr --replicas 2 --hostname h{{.Task.Slot}} --user 1000:1000 --workdir /srv --env A=1 --env B=
--env TEXT=ünïcode --label team=web --label empty= --container-label c=d --group 44 --tty --init --read-only
--mount type=bind,source=/etc,target=/e,readonly,bind-propagation=rslave
--mount type=volume,source=v,target=/v,volume-label=a=b,volume-driver=local,volume-opt=type=tmpfs,volume-nocopy
--mount type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1770
--network name=front,alias=www,alias=web --network back
--secret source=tls-key,target=/k,uid=1,gid=2,mode=0400 --secret db-password
--config source=app.yml,target=/app.yml,mode=0444 --placement-pref spread=node.labels.zone
--limit-cpu .5 --limit-memory 64M --limit-pids 100 --reserve-cpu .25 --reserve-memory 32M --generic-resource gpu=2
--replicas-max-per-node 2 --restart-condition on-failure --restart-delay 3s --restart-max-attempts 4
--restart-window 60s --update-parallelism 2 --update-delay 7s --update-failure-action rollback --update-monitor 9s
--update-max-failure-ratio .3 --update-order start-first --rollback-parallelism 3 --rollback-delay 1500ms
--rollback-failure-action continue --rollback-max-failure-ratio .1 --health-interval 5s --health-timeout 2s
--health-retries 3 --health-start-period 1s --stop-grace-period 4s --stop-signal SIGUSR1 --log-driver json-file
--log-opt max-size=1m --dns 192.0.2.1 --dns-search example.org --dns-option ndots:2 --host db:192.0.2.9
--cap-add NET_ADMIN --cap-drop MKNOD --sysctl net.core.somaxconn=1024 --ulimit nofile=100:200
--publish published=8080,target=80,mode=host,protocol=udp
""")


def furnish(host: Host) -> None:
    """Makes objects of every kind, with everything that they can have."""
    overlay = ("network", "create", "-d", "overlay")
    more = ("--attachable", "--internal", "--opt", "com.docker.network.driver.mtu=1400", "--label", "tier=front")
    place = ("--subnet", "10.9.0.0/24", "--gateway", "10.9.0.7", "--ip-range", "10.9.0.128/25")
    host.docker(*overlay, *more, *place, "front")
    host.docker(*overlay, "back")
    host.sh("docker secret create --label owner=web tls-key -", data=b"SECRET-DATA-OF-TLS-KEY")
    host.sh("docker secret create --template-driver golang db-password -", data=b"SECRET-DATA-OF-DB-PASSWORD")
    host.sh("docker config create --label owner=web --template-driver golang app.yml -", data=b"text of app.yml")
    host.sh("docker config create nginx.conf -", data=bytes(range(256)))
    name = ("--name", "everything", "--health-cmd", "exit 0", "--label", "a=with a blank")
    host.docker(*CREATE, *name, *EVERYTHING, "alpine:latest", "sh", "-c", "sleep 1 # {{.Node.ID}}", timeout=90)
    host.docker(*CREATE, "--name", "agent", "--mode", "global", "--no-healthcheck", "busybox:latest")
    host.docker(*CREATE, "--name", "vip", "--publish", "8081:81", "--publish", "8082:82/sctp", "alpine:latest", "true")
    host.docker(*CREATE, "--name", "none", "--replicas", "0", "--entrypoint", "/bin/sh", "alpine:latest")
    job = ("--replicas", "4", "--max-concurrent", "2", "--restart-condition", "none")
    host.docker(*CREATE, "--name", "job", "--mode", "replicated-job", *job, "alpine:latest", "true")
    host.docker(*CREATE, "--name", "job-all", "--mode", "global-job", "alpine:latest", "true")
    update = ("service", "update", "-d", "-q", "--no-resolve-image")
    host.docker(*update, "--env-add", "C=3", "--replicas", "3", "--force", "everything")
    host.docker(*update, "--image", "busybox:latest", "vip")
    settings = ("--task-history-limit", "3", "--cert-expiry", "1440h", "--dispatcher-heartbeat", "6s")
    host.docker("swarm", "update", *settings)


def take(lab: Lab, name: str, host: Host, key: str = "") -> Path:
    """Stops Docker on a host, packs its directory with what the API says before and after, starts it again."""
    by = next(other for other in lab.hosts if other is not host and other.swarm_state() == "active" and _manages(other))
    before = look(by)
    host.stop_docker()
    after = look(by)
    for said in (before, after):
        said["swarm"].pop("JoinTokens")
        for task in said["tasks"]:
            task.clear()  # only counted
    files = {f"swarm/{path}": data for path, data in files_of(host.docker_folder / "swarm").items()}
    files["api.json"] = json.dumps({"before": before, "after": after}).encode()
    if key:
        files["key.txt"] = key.encode()
    path = DATA / f"{name}.tar.xz"
    _pack(path, files.items())
    host.start_docker()
    if key:
        host.api("POST", "/swarm/unlock", {"UnlockKey": key}, timeout=60)
    lab.wait_ready()
    print(f"  {path.name}: {path.stat().st_size:,} bytes", flush=True)
    return path


def make(engine: str) -> None:
    """20.10: with everything, then a worker. 26.1: with autolock, a rotated key, a demotion, and a snapshot."""
    with Lab(managers=3, workers=1, engine=engine) as lab:
        lab.swarm()
        first, second = lab["mgr1"], lab["mgr2"]
        furnish(first)
        ids = {node["Description"]["Hostname"]: node["ID"] for node in first.api("GET", "/nodes")}
        first.docker("node", "update", "--label-add", "zone=a", "--availability", "drain", ids["wrk1"])
        if engine == "20.10":
            take(lab, "everything-20.10", second)
            take(lab, "worker-20.10", lab["wrk1"])
            return
        first.docker("swarm", "update", "--autolock=true")
        first.docker("node", "demote", ids["mgr2"])
        wait_for("mgr2 is a worker", lambda: not _manages(second), 60)
        first.docker("node", "promote", ids["mgr2"])
        wait_for("mgr2 is a manager again", lambda: _manages(second), 60)
        lab.wait_ready()
        first.docker("swarm", "unlock-key", "--rotate", "-q")
        first.docker("swarm", "update", "--snapshot-interval", "10", "--max-snapshots", "1")
        for turn in range(40):
            first.docker("node", "update", "--label-add", f"turn={turn}", ids["wrk1"])
            if len(list((second.docker_folder / "swarm/raft/snap-v3-encrypted").glob("*.snap"))) > 1:
                break
        first.docker("service", "rm", "none")
        take(lab, "everything-26.1", second, lab.unlock_key)


def _manages(host: Host) -> bool:
    info: dict[str, Any] = host.api("GET", "/info")
    return bool(info["Swarm"]["ControlAvailable"])


def _pack(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w:xz", preset=9) as tar:
        for name, data in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ["20.10", "26.1"]:
        make(wanted)
