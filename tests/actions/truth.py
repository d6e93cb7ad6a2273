"""The state of a Swarm as the plain docker CLI on its hosts tells it: the oracle of these tests. Nothing is ours."""

from __future__ import annotations

import json
from typing import Any

from tests.lab import Host, Lab
from tests.lab.machine import wait_for

TASK = "com.docker.swarm.task.id"


class Truth:
    """What the docker CLI says, asked on one manager.

    Attributes:
        by: name of the manager whose CLI is asked; a test that demotes or kills it names another.
    """

    def __init__(self, lab: Lab, by: str = "mgr1") -> None:
        self.lab = lab
        self.by = by

    @property
    def asked(self) -> Host:
        return self.lab[self.by]

    def docker(self, *args: str) -> str:
        """What a docker command prints on the manager that is asked."""
        return self.asked.docker(*args).stdout.strip()

    # -- nodes -----------------------------------------------------------------------------------------------------

    def node(self, name: str) -> dict[str, Any]:
        """`docker node inspect`, by hostname or id."""
        (found,) = json.loads(self.docker("node", "inspect", name))
        assert isinstance(found, dict)
        return found

    def nodes(self) -> dict[str, dict[str, Any]]:
        """`docker node inspect` of all nodes, by id."""
        ids = self.docker("node", "ls", "-q").split()
        return {node["ID"]: node for node in json.loads(self.docker("node", "inspect", *ids))}

    def specs(self) -> dict[str, Any]:
        """The Specs of all nodes, by id: what no look may change."""
        return {node_id: node["Spec"] for node_id, node in self.nodes().items()}

    def id(self, name: str) -> str:
        return str(self.node(name)["ID"])

    def names(self) -> list[str]:
        """Hostnames of all entries, sorted; a name that two entries have stands there twice."""
        return sorted(self.docker("node", "ls", "--format", "{{.Hostname}}").split())

    def availability(self, name: str) -> str:
        return str(self.node(name)["Spec"]["Availability"])

    def labels(self, name: str) -> dict[str, str]:
        return dict(self.node(name)["Spec"]["Labels"])

    def role(self, name: str) -> str:
        return str(self.node(name)["Spec"]["Role"])

    def reachability(self, name: str) -> str:
        """reachable or unreachable; "" for a node that is no member of the raft."""
        return str((self.node(name).get("ManagerStatus") or {}).get("Reachability", ""))

    def managers(self) -> list[str]:
        """Hostnames of all members of the raft."""
        return sorted(
            node["Description"]["Hostname"] for node in self.nodes().values() if node.get("ManagerStatus") is not None
        )

    def leader(self) -> str:
        """Hostname of the leader."""
        rows = self.docker("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}").splitlines()
        (found,) = [row.split()[0] for row in rows if row.endswith(" Leader")]
        return found

    def notices_soon(self) -> None:
        """Makes the Swarm take a node for down 6 s after its last word, and not 15: removals wait for that."""
        self.docker("swarm", "update", "--dispatcher-heartbeat", "2s")

    # -- tasks -----------------------------------------------------------------------------------------------------

    def containers(self, name: str) -> list[str]:
        """Names of the Swarm's containers that the host's own engine runs."""
        return self.lab[name].docker("ps", "--filter", f"label={TASK}", "--format", "{{.Names}}").stdout.split()

    def placed(self, service: str) -> list[str]:
        """Hostnames of the nodes where the service's tasks run, once for each, sorted."""
        shown = self.docker(
            "service", "ps", "-f", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}", service
        )
        return sorted(line.split()[0] for line in shown.splitlines() if line.split()[1] == "Running")

    # -- things to run ---------------------------------------------------------------------------------------------

    def service(
        self, name: str, replicas: int, *, on: tuple[str, ...] = (), grace: int = 1, mode: str = "", **label: str
    ) -> str:
        """Makes a service whose tasks take their whole grace period to stop, and waits until all of them run.

        Args:
            on: hostnames of the nodes it may run on; empty for all.
            grace: seconds.
            mode: "global" for one on each node.
        """
        allowed = [node for node in self.names() if on and node not in on]
        arguments = ["--name", name, "--stop-grace-period", f"{grace}s"]
        arguments += ["--mode", mode] if mode else ["--replicas", str(replicas)]
        arguments += [word for node in allowed for word in ("--constraint", f"node.hostname!={node}")]
        arguments += [word for key, value in label.items() for word in ("--constraint", f"node.labels.{key}=={value}")]
        self.docker(
            *("service", "create", "-q", "--detach", "--no-resolve-image", "--endpoint-mode", "dnsrr"),
            *arguments,
            *("alpine", "sleep", "1d"),
        )
        wait_for(f"{replicas} tasks of {name}", lambda: len(self.placed(name)) == replicas, 30, 0.1)
        return name
