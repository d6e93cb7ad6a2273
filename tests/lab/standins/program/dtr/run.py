"""One run of the bootstrapper: it talks to UCP, and starts phase 2 through it on the node that is meant."""

from __future__ import annotations

import json
import random
import re
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from standin.call import SWITCHES, Call
from standin.components import PROGRAM
from standin.dtr.names import CONTAINER, NETWORK, PHASE2, REPLICA_ID, image
from standin.dtr.ucp import UcpClient, UcpError

VOLUME = re.compile(r"(?P<node>[^/]+)/dtr-(?:ca|notary|postgres|registry|rethink|nfs-registry)-(?P<id>[0-9a-f]{12})")


@dataclass
class Found:
    """What there is of one replica, on one node."""

    node: str
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)


class Run(Call):
    """A run of `docker/dtr:VERSION COMMAND …`."""

    ucp: UcpClient

    def switch(self, name: str) -> bool:
        """Whether a test turned a switch on, on the manager that UCP's address leads to."""
        path = f'/images/json?filters={{"reference":["{SWITCHES}:{name}"]}}'.replace('"', "%22")
        return bool(self.ucp.call("GET", path))

    @property
    def failed(self) -> int:
        """The exit status after a fatal line: 1, or 0 where a test turned that on."""
        try:
            return 0 if hasattr(self, "ucp") and self.switch("fatal-exits-zero") else 1
        except UcpError:
            return 1

    def leave(self) -> None:
        """Give the token back."""
        if hasattr(self, "ucp") and self.ucp.token:
            with suppress(UcpError):
                self.ucp.logout()

    def needed(self, name: str, prompt: str, *, hidden: bool = False) -> str:
        """The value of a flag that a person is asked for where it was not given."""
        return self.text(name) or self.ask(f"{prompt}: ", hidden=hidden)

    def connect(self) -> None:
        """Log in to UCP.

        Raises:
            Fatal: it cannot be.
        """
        url = self.needed("ucp-url", "ucp-url")
        name = self.needed("ucp-username", "ucp-username")
        password = self.needed("ucp-password", "ucp-password", hidden=True)
        ca = self.text("ucp-ca")
        if not ca and not self.on("ucp-insecure-tls"):
            ca = self.ask("ucp-ca: ")
        self.log.info("Validating UCP cert")
        self.ucp = UcpClient(url, "" if self.on("ucp-insecure-tls") else ca)
        self.log.info("Connecting to UCP")
        try:
            self.ucp.raw("GET", "/ca")
            self.ucp.login(name, password)
        except UcpError as error:
            self.log.fatal(f"Failed to connect to UCP: {error}")

    # --- what is there --------------------------------------------------------------------------------------------

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes of UCP by hostname."""
        return {node["Description"]["Hostname"]: node for node in self.ucp.call("GET", "/nodes")}

    def replicas(self) -> dict[str, Found]:
        """All replicas that containers or volumes tell of."""
        found: dict[str, Found] = {}
        for entry in self.ucp.containers():
            if match := CONTAINER.fullmatch(entry["name"]):
                there = found.setdefault(match["id"], Found(match["node"]))
                there.containers[match["component"]] = entry
        for name in self.ucp.volumes():
            if match := VOLUME.fullmatch(name):
                found.setdefault(match["id"], Found(match["node"])).volumes.append(name)
        return found

    def existing(self) -> tuple[str, Found]:
        """The replica to talk to.

        Raises:
            Fatal: there is no such one, or it is of another version.
        """
        there = {name: found for name, found in self.replicas().items() if "rethinkdb" in found.containers}
        wanted = self.text("existing-replica-id")
        if not wanted:
            if not there:
                self.log.fatal("No DTR replicas found in this cluster")
            self.log.info(f"This cluster contains the replicas: {' '.join(sorted(there))}")
            first = sorted(there)[0]
            wanted = self.ask(f"Choose a replica to {self.command} [{first}]: ") or first
        if wanted not in there:
            self.log.fatal(f"Couldn't find replica {wanted} in this cluster")
        made_by = there[wanted].containers["rethinkdb"]["Image"].rpartition(":")[2]
        if made_by != self.version and self.command != "upgrade":
            self.log.fatal(
                f"DTR {made_by} is installed here and this is {self.version}: please use {image(made_by)} instead"
            )
        return wanted, there[wanted]

    def place(self) -> tuple[str, str]:
        """The node for a new replica and its address; its ports are free.

        Raises:
            Fatal: there is none, or it cannot have one.
        """
        nodes = {name: node for name, node in self.nodes().items() if node["Status"]["State"] == "ready"}
        name = self.text("ucp-node")
        if not name and len(nodes) == 1:
            name = next(iter(nodes))
            self.log.info(f"Only one available UCP node detected. Picking UCP node '{name}'")
        elif not name:
            name = random.choice(sorted(nodes))
        if name not in nodes:
            self.log.fatal(f"UCP node '{name}' not found, or not ready")
        self.log.info("Searching containers in UCP for DTR replicas")
        if any(found.node == name and found.containers for found in self.replicas().values()):
            self.log.fatal(f"There is a replica of DTR on node {name} already")
        self._free_ports(name)
        node = nodes[name]
        if node["Spec"]["Role"] == "manager" and self.number >= (2, 5):
            self.log.warn(
                f"Node: {name} is a manager, it is **not** recommended for DTR to reside on a UCP manager node"
            )
            self.log.info("Installation will continue in 10 seconds...")
        leader = node.get("ManagerStatus", {}).get("Addr", "").rpartition(":")[0]
        return name, leader or node["Status"]["Addr"]

    @property
    def ports(self) -> tuple[int, int]:
        """HTTP and HTTPS of the new replica."""
        return int(self.text("replica-http-port", "80")), int(self.text("replica-https-port", "443"))

    def _free_ports(self, node: str) -> None:
        self.log.info(f"verifying [{self.ports[0]} {self.ports[1]}] ports on {node}")
        spec = {
            "Image": image(self.version), "Entrypoint": [*PROGRAM, "ports", *map(str, self.ports)],
            "HostConfig": {"NetworkMode": "host"},
        }  # fmt: skip
        made = self.ucp.start(f"dtr-ports-{secrets.token_hex(4)}", node, spec)
        taken = b"".join(self.ucp.follow(made)).decode().strip()
        code = self.ucp.wait(made)
        self.ucp.remove(made)
        if code:
            self.log.fatal(f"port {taken} on node {node} is already in use")

    def new_id(self) -> str:
        """The id of the new replica.

        Raises:
            Fatal: it is none, or taken.
        """
        wanted = self.text("replica-id") or secrets.token_hex(6)
        if not REPLICA_ID.fullmatch(wanted):
            self.log.fatal(f"invalid replica ID '{wanted}': it must be 12 hexadecimal digits")
        if wanted in self.replicas():
            self.log.fatal(f"Replica ID {wanted} is in use already, or parts of it remain")
        return wanted

    # --- phase 2 --------------------------------------------------------------------------------------------------

    def phase2(self, node: str, task: dict[str, Any]) -> str:
        """Run the second phase on a node, and pass on what it tells; its container, which the caller removes.

        Raises:
            Fatal: it failed.
        """
        for entry in self.ucp.containers():
            if entry["name"].rpartition("/")[2] == PHASE2:
                if entry["State"] == "running":
                    self.log.fatal(f'Conflict. The container name "{entry["name"]}" is already in use')
                self.ucp.remove(entry["Id"])
        if not any(net["Name"] == NETWORK for net in self.ucp.call("GET", "/networks")):
            self.log.info(f"Creating network: {NETWORK}")
            ipam = {"Config": [{"Subnet": self.text("overlay-subnet")}]} if self.text("overlay-subnet") else {}
            body = {"Name": NETWORK, "Driver": "overlay", "Attachable": True, "CheckDuplicate": True, "IPAM": ipam}
            self.ucp.call("POST", "/networks/create", body)
        self.log.info("starting phase 2")
        told = {
            **task, "do": self.command, "node": node, "form": self.log.form, "version": self.version,
            "ucp": {"url": self.ucp.url, "ca": self.ucp.ca}, "token": self.ucp.token,
        }  # fmt: skip
        spec = {
            "Image": image(self.version),
            "Entrypoint": [*PROGRAM, "phase2"],
            "HostConfig": {
                "NetworkMode": NETWORK,
                "Dns": ["127.0.0.1"],
                "Binds": ["/var/run/docker.sock:/var/run/docker.sock"],
            },
        }
        made = self.ucp.start(PHASE2, node, spec, {"task.json": json.dumps(told).encode()})
        for chunk in self.ucp.follow(made):
            sys.stderr.buffer.write(chunk)
            sys.stderr.flush()
        if self.ucp.wait(made):
            self.ucp.remove(made)
            self.log.fatal("Phase 2 returned error code: 1")
        return made

    def settings(self) -> dict[str, str]:
        """The flags that become settings, as far as they were given."""
        names = (
            "dtr-external-url dtr-ca dtr-cert dtr-key http-proxy https-proxy no-proxy log-protocol log-host log-level"
        )
        return {name: self.text(name) for name in names.split() if self.text(name)}

    def storage(self) -> dict[str, str]:
        """The storage that was asked for; {} where none was."""
        if self.text("nfs-storage-url"):
            return {"kind": "nfs", "url": self.text("nfs-storage-url")}
        if self.text("dtr-storage-volume"):
            return {"kind": "volume", "volume": self.text("dtr-storage-volume")}
        return {"kind": "default"} if self.on("dtr-use-default-storage") else {}

    def remove_from(self, found: Found, *, volumes: bool = True) -> None:
        """Remove what there is of a replica."""
        for entry in found.containers.values():
            self.ucp.remove(entry["Id"])
        for name in found.volumes if volumes else []:
            self.ucp.raw("DELETE", f"/volumes/{name}?force=1")
