"""Directories of real Swarms, cold, at several moments: what the corruptions are done to. `make` takes them on the lab.

One tar.xz an engine: NAME/swarm/… as dockerd left it (the reserved zeros after the raft log cut down to 64 KiB, which
no dockerd minds), NAME/api.json what the engine API said at that moment, NAME/key.txt the unlock key where it is
locked.
The Swarms were made for this and are gone; their keys open nothing else.

    python -m tests.backups.generations [20.10|26.1]
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from swarmtui.model.inventory import Inventory
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

DATA = Path(__file__).with_name("data")
HOUR = 3600.0
RESERVED = 64 << 10
"""Zeros that stay after the raft log; dockerd reserves 64 MiB."""
KEY, CERTIFICATE, ROOT = "certificates/swarm-node.key", "certificates/swarm-node.crt", "certificates/swarm-root-ca.crt"
LISTS = ("nodes", "services", "networks", "secrets", "configs", "tasks")

Files = dict[str, bytes]


@dataclass(frozen=True, eq=False)  # each is loaded once
class Generation:
    """One manager's directory at one moment.

    Attributes:
        files: by name relative to the Swarm's directory.
        api: what the API listed just before: "swarm" and `LISTS`.
        key: the unlock key, or "".
    """

    name: str
    files: Files
    api: dict[str, Any]
    key: str

    @property
    def node_id(self) -> str:
        """Of the manager it is of, as its certificate has it."""
        (name,) = x509.load_pem_x509_certificate(self.files[CERTIFICATE]).subject.get_attributes_for_oid(
            NameOID.COMMON_NAME
        )
        return str(name.value)

    @property
    def taken_at(self) -> float:
        """When it was taken, or nearly: certificates are judged at that time, also in years to come."""
        return datetime.fromisoformat(self.api["swarm"]["CreatedAt"][:19] + "+00:00").timestamp() + HOUR

    @property
    def inventory(self) -> Inventory:
        """What the Swarm had, as the API said it."""
        lists = {name: self.api[name] for name in LISTS if name != "tasks"}
        return Inventory.from_api(self.api["swarm"], **lists, tasks=len(self.api["tasks"]))


class DictFiles:
    """Files of a Swarm's directory in memory (`SwarmFiles`)."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def names(self) -> Iterable[str]:
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        return self._files[name]

    def size(self, name: str) -> int:
        return len(self._files[name])


def path_of(engine: str) -> Path:
    """Where the directories of an engine are kept."""
    return DATA / f"generations-{engine}.tar.xz"


@cache
def generations(engine: str = "20.10") -> dict[str, Generation]:
    """All of an engine, by name."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path_of(engine), "r:xz") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                name, _, rest = member.name.partition("/")
                found.setdefault(name, {})[rest] = stream.read()
    return {
        name: Generation(
            name,
            {path.removeprefix("swarm/"): data for path, data in files.items() if path.startswith("swarm/")},
            json.loads(files["api.json"]),
            files.get("key.txt", b"").decode(),
        )
        for name, files in found.items()
    }


# --- making them -----------------------------------------------------------------------------------------------------


def look(host: Host) -> dict[str, Any]:
    """What the API lists, raw."""
    return {"swarm": host.api("GET", "/swarm")} | {name: host.api("GET", f"/{name}") for name in LISTS}


def files_of(folder: Path) -> Files:
    """A directory's regular files, without what every start makes anew (`*.tmp`) and most of the reserved zeros."""
    found: Files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".tmp":
            data = path.read_bytes()
            if path.suffix == ".wal":
                used = len(data.rstrip(b"\0"))
                data = data[: used + min(len(data) - used, RESERVED)]
            found[path.relative_to(folder).as_posix()] = data
    return found


class Maker:
    """Takes directories of the managers of a lab, one after the other."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.taken: list[Generation] = []

    def take(self, name: str, host: Host, key: str = "") -> None:
        """Stops Docker on a host, copies its directory, starts it again."""
        by = next(other for other in self.lab.hosts if other is not host and other.swarm_state() == "active")
        api = look(by)
        host.stop_docker()
        self.taken.append(Generation(name, files_of(host.docker_folder / "swarm"), api, key))
        host.start_docker()
        if key:
            host.api("POST", "/swarm/unlock", {"UnlockKey": key}, timeout=60)
        self.lab.wait_ready()
        print(f"  {name}: {sum(map(len, self.taken[-1].files.values())):,} bytes", flush=True)

    def update_swarm(self, query: str = "", **changes: Any) -> None:
        """Changes the Swarm's Spec."""
        host = self.lab["mgr1"]
        now = host.api("GET", "/swarm")
        host.api("POST", f"/swarm/update?version={now['Version']['Index']}{query}", now["Spec"] | changes)

    def save(self, engine: str) -> Path:
        """Writes all of them."""
        path = path_of(engine)
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:xz", preset=9) as tar:
            for one in self.taken:
                files = {f"swarm/{name}": data for name, data in one.files.items()}
                files |= {"api.json": json.dumps(one.api).encode()} | ({"key.txt": one.key.encode()} if one.key else {})
                for name, data in sorted(files.items()):
                    info = tarfile.TarInfo(f"{one.name}/{name}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        return path


# Services whose tasks stay pending: an oracle that has to stop containers is slow.
NOWHERE = ("--constraint", "node.labels.never==1")


def furnish(host: Host, suffix: str = "") -> None:
    """Makes some objects of every kind."""
    for name in ("front", "back"):
        host.docker("network", "create", "-d", "overlay", "--label", f"tier={name}", f"{name}{suffix}")
    for name in ("db-password", "tls-key", "old-token"):
        host.sh(
            f"docker secret create --label owner=team-{name[:2]} {name}{suffix} -", data=f"value of {name}".encode()
        )
    for name in ("nginx.conf", "app.yml"):
        host.sh(f"docker config create {name}{suffix} -", data=f"text of {name}".encode())
    create = ("service", "create", "-d", "-q", "--no-resolve-image", "--endpoint-mode", "dnsrr", *NOWHERE)
    web = ("--replicas", "3", "--network", f"front{suffix}", "--secret", f"tls-key{suffix}")
    host.docker(*create, "--name", f"web{suffix}", *web, "alpine:latest", "sleep", "86400")
    api = ("--replicas", "2", "--network", f"back{suffix}", "--config", f"app.yml{suffix}", "--label", "stage=live")
    host.docker(*create, "--name", f"api{suffix}", *api, "alpine:latest", "sleep", "86400")
    host.docker(*create, "--name", f"agent{suffix}", "--mode", "global", "alpine:latest", "sleep", "86400")


def make(engine: str) -> Path:
    """Builds a Swarm of three managers, changes it, and takes a manager's directory at each stage."""
    with Lab(managers=3, engine=engine) as lab:
        lab.swarm()
        maker, first, second, third = Maker(lab), lab["mgr1"], lab["mgr2"], lab["mgr3"]
        furnish(first)
        ids = {node["Description"]["Hostname"]: node["ID"] for node in first.api("GET", "/nodes")}
        first.docker("node", "update", "--label-add", "zone=a", ids["mgr2"])
        maker.take("plain-before", second)
        first.docker("secret", "rm", "old-token")
        first.sh("docker config create later.yml -", data=b"made later")
        first.docker("service", "update", "-d", "-q", "--no-resolve-image", "--image", "busybox:latest", "api")
        first.docker("service", "scale", "-d", "web=5")
        first.docker("node", "update", "--label-add", "zone=b", ids["mgr2"])
        maker.take("plain-peer", third)
        maker.take("plain", second)
        maker.update_swarm(EncryptionConfig={"AutoLockManagers": True})
        first_key = lab.unlock_key
        wait_for("mgr2's key file is locked", lambda: _locked(second))
        maker.take("locked-before", second, first_key)
        before = _key_file(second)
        maker.update_swarm("&rotateManagerUnlockKey=true")
        second_key = lab.unlock_key
        assert first_key != second_key
        first.docker("service", "scale", "-d", "web=4")
        wait_for("mgr2 has the new key", lambda: _key_file(second) != before)
        maker.take("locked", second, second_key)
        raft = first.api("GET", "/swarm")["Spec"]["Raft"] | {"SnapshotInterval": 12, "LogEntriesForSlowFollowers": 4}
        maker.update_swarm(EncryptionConfig={"AutoLockManagers": False}, Raft=raft)
        wait_for("mgr2's key file is unlocked", lambda: not _locked(second))
        _until_snapshot(lab, 1)
        maker.take("snapshot-before", second)
        first.docker("service", "scale", "-d", "web=6")
        newest = max(_snapshots(second))
        wait_for("another snapshot", lambda: _push(first) and max(_snapshots(second), default=newest) != newest, 60)
        first.docker("network", "create", "-d", "overlay", "after-the-snapshot")
        first.docker("service", "scale", "-d", "web=2")
        maker.take("snapshot", second)
        # Another Swarm with objects of the same names.
        third.docker("swarm", "leave", "--force")
        third.docker("swarm", "init", "--advertise-addr", third.address)
        furnish(third)
        api = look(third)
        third.stop_docker()
        maker.taken.append(Generation("other", files_of(third.docker_folder / "swarm"), api, ""))
        return maker.save(engine)


def _key_file(host: Host) -> bytes:
    return (host.docker_folder / "swarm/certificates/swarm-node.key").read_bytes()


def _locked(host: Host) -> bool:
    return b"ENCRYPTED" in _key_file(host)


def _snapshots(host: Host) -> list[str]:
    return sorted(path.name for path in (host.docker_folder / "swarm/raft/snap-v3-encrypted").glob("*.snap"))


def _push(host: Host) -> bool:
    """Writes some entries."""
    nodes = host.api("GET", "/nodes")
    host.docker("node", "update", "--label-add", f"turn={len(nodes)}{id(nodes)}", nodes[0]["ID"])
    return True


def _until_snapshot(lab: Lab, count: int) -> None:
    wait_for("a snapshot", lambda: _push(lab["mgr1"]) and len(_snapshots(lab["mgr2"])) >= count, 60)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ["20.10", "26.1"]:
        print(make(wanted))
