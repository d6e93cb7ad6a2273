"""A simulated DTR that is backed up and lost, and what must be so after a run on it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from swarmtui.demo.platform.dtr import wipe
from swarmtui.demo.serve import Demo

FIRST, SECOND = "47f20fb864cf", "a6a628053157"
URL = "https://dtr.shop.example"


def kept() -> list[Path]:
    """The backups of DTR that are whole."""
    root = Path(os.environ["XDG_DATA_HOME"]) / "swarmtui" / "backups"
    return sorted(path.parent for path in root.glob("*/*-dtr-*/manifest.json"))


def manifest(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return told


def tiers(folder: Path) -> list[bool | None]:
    """Of the newest verification that is kept with a backup."""
    newest = json.loads((folder / "verifications.jsonl").read_text().splitlines()[-1])
    return [tier["ok"] for tier in newest["tiers"]]


def left_on_hosts(demo: Demo) -> list[str]:
    """What is still in the folders of jobs, locks and secrets, and containers of DTR's commands."""
    hosts = demo.world.hosts
    files = [
        f"{name}:{path}"
        for name, host in hosts.items()
        for path in sorted({*host.files, *host.links})
        if path.startswith(("/var/lib/swarmtui/jobs/", "/run/swarmtui"))
    ]
    names = [(name, container.name) for name, host in hosts.items() for container in host.containers.values()]
    return files + [f"{on}:{name}" for on, name in names if name == "dtr-phase2" or name.startswith("swarmtui-")]


def lose(demo: Demo) -> None:
    """Every replica has lost its volumes; of the first one containers are left, which have nothing to work on."""
    dtr = demo.world.dtr
    assert dtr is not None
    for replica in dtr.replicas.values():
        host = demo.world.hosts[replica.host]
        if replica.id != FIRST:
            wipe(host, replica.id)
            continue
        for name in [name for name in host.volumes if name.endswith(FIRST)]:
            del host.volumes[name]
        for container in host.containers.values():
            if container.name.endswith(FIRST):
                container.state, container.restart = "exited", False


def well(demo: Demo, repositories: list[str], replica: str = FIRST, host: str = "dtr1") -> None:
    """DTR has one replica, which is healthy, and these repositories; nothing is left on any host."""
    dtr = demo.world.dtr
    assert dtr is not None
    assert [(one.id, one.host, dtr.ill(one)) for one in dtr.replicas.values()] == [(replica, host, "")]
    assert sorted(dtr.repositories) == repositories
    assert (dtr.external_url, dtr.storage) == (URL, "nfs://nas.shop.example/dtr")
    assert left_on_hosts(demo) == []
