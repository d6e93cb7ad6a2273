"""What UCP on a Swarm is and how it is: from the snapshot, and from what was read beside it. Pure.

Its components are plain containers, which no Swarm API tells of: they are read from each node's own engine. Whether a
manager is healthy its web server tells, `/_ping` (ucp-dtr.md §3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct, field

from swarmtui.model.container import Container
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts

BALANCER: Final = ""
"""Where there is a node's id else: the load balancer before all managers."""
State = Literal["healthy", "pending", "unhealthy", "unknown"]


class Component(Container, frozen=True):
    """One container of UCP on a node.

    Attributes:
        port: where the web server is published on the host; 0 for every other component.
    """

    port: int = 0

    @property
    def version(self) -> str:
        """The tag of its image; "" where that is none of UCP's."""
        return version_in(self.image)

    @property
    def trouble(self) -> str:
        """What is wrong with it, in a few words; "" where nothing is.

        ucp-reconcile runs once and ends with 0; while it runs, the node is being reconfigured (ucp-dtr.md §4.1).
        """
        if self.name == facts.ONCE:
            return f"ended with {self.exit_code}" if self.exit_code else ""
        return super().trouble


class Parts(Struct, frozen=True):
    """The components of one node, as its own engine told them.

    Attributes:
        at: when that was, seconds since the epoch; 0.0 for never.
        trouble: why the newest try failed; "" when it did not.
    """

    components: tuple[Component, ...] = ()
    at: float = 0.0
    trouble: str = ""


class Certificate(Struct, frozen=True):
    """What a web server shows. Only read, never trusted.

    Attributes:
        names: host names and addresses that it is made out to.
        expires: seconds since the epoch.
        issuer: common name of who signed it.
        itself: whether nobody but itself has.
        leads: whether it leads, with what is shown with it, to the authority that the server names; None where nobody
            could tell.
    """

    names: tuple[str, ...] = ()
    expires: float = 0.0
    issuer: str = ""
    itself: bool = False
    leads: bool | None = None

    def is_for(self, name: str) -> bool:
        """Whether it is made out to a host name or an address; a star stands for the first label of a name."""
        wanted = name.strip("[]").lower().rstrip(".")
        under = wanted.partition(".")[2]
        held = {one.lower().rstrip(".") for one in self.names}
        return wanted in held or bool(under and not _is_address(wanted) and f"*.{under}" in held)


class Door(Struct, frozen=True):
    """The web server of a manager, or the load balancer before them, as it answered `/_ping`.

    Attributes:
        status: 200 healthy, 500 not; 0 where nothing came.
        text: what it said to that.
        trouble: why nothing came, or nothing of UCP's, one sentence.
        took: seconds until it answered.
        at: when it was asked, seconds since the epoch.
    """

    url: str
    status: int = 0
    text: str = ""
    trouble: str = ""
    took: float = 0.0
    at: float = 0.0
    certificate: Certificate | None = None

    @property
    def ok(self) -> bool:
        return self.status == 200 and not self.trouble

    @property
    def host(self) -> str:
        """The host in its address."""
        return host_in(self.url)

    @property
    def why(self) -> str:
        """Why it is not well, one sentence; "" where it is."""
        if self.ok:
            return ""
        if self.trouble:
            return self.trouble
        told = f': "{one_line(self.text)[:120]}"' if self.text.strip() else ""
        return f"its /_ping answers {self.status}{told}."


class UcpSeen(Struct, frozen=True):
    """What was read of UCP beside the polls.

    Attributes:
        parts: node id → its components.
        doors: node id → its web server; `BALANCER` → the load balancer.
        missing_accounts: accounts that UCP's newest usable backup has, and UCP has no more; None where nobody compared.
    """

    parts: Mapping[str, Parts] = field(default_factory=dict)
    doors: Mapping[str, Door] = field(default_factory=dict)
    missing_accounts: tuple[str, ...] | None = None


# -- what the Swarm itself tells ---------------------------------------------------------------------------------------


def agents(snapshot: Snapshot) -> list[Service]:
    """The global services that are UCP's agents; those for workers are `ucp-worker-agent*` since 3.2 (§4.1)."""
    return [
        service
        for service in snapshot.services.values()
        if service.name in facts.AGENT_SERVICES or service.name.startswith("ucp-worker-agent")
    ]


def runs_ucp(snapshot: Snapshot) -> bool:
    """Whether UCP (MKE) manages this Swarm: its agents run as global services."""
    return bool(agents(snapshot))


def version_in(image: str) -> str:
    """The version that an image of UCP's names: "docker/ucp-agent:2.2.5@sha256:…" → "2.2.5"; "" for any other."""
    name = image.partition("@")[0]
    if "/ucp-" not in f"/{name}" and "/ucp:" not in f"/{name}":
        return ""
    try:
        return str(facts.Version.parse(name))
    except ValueError:
        return ""


def version_of(snapshot: Snapshot) -> facts.Version | None:
    """The version of UCP that runs: that of its agents; None where there is no UCP, or its image names none."""
    for service in agents(snapshot):
        spec = service.spec.task_template.container_spec
        if found := version_in(spec.image if spec is not None else ""):
            return facts.Version.parse(found)
    return None


def instance_of(snapshot: Snapshot) -> str:
    """The id of the instance: the label of its agents, else that of the Swarm, which it is (ucp-dtr.md §1.8)."""
    labels = (service.spec.labels or {} for service in agents(snapshot))
    return next((found for each in labels if (found := each.get(facts.INSTANCE_LABEL))), snapshot.cluster_id)


def product(snapshot: Snapshot) -> str:
    """What people call it, "UCP 2.2.5" or "MKE 3.4.5"; "" where there is none."""
    version = version_of(snapshot)
    return version.product if version is not None else ("UCP" if runs_ucp(snapshot) else "")


# -- how a node is -----------------------------------------------------------------------------------------------------


class Health(Struct, frozen=True):
    """How UCP on a node is: the state, and why in a few words."""

    state: State
    why: str = ""


def health_of(snapshot: Snapshot, node: Node) -> Health:
    """How UCP on a node is, by everything that is known: its components before its web server before its message."""
    seen = snapshot.ucp or UcpSeen()
    parts, door = seen.parts.get(node.id), seen.doors.get(node.id)
    message = one_line(node.status.message)
    if not node.is_ready:
        return Health("unhealthy", f"the node is {one_line(node.status.state) or 'in an unknown state'}")
    if parts is not None and (worst := troubles(snapshot, node)):
        return Health("unhealthy", "; ".join(worst))  # why its web server is not well, too
    if node.is_voter and door is not None and not door.ok:
        return Health("unhealthy", door.why)
    if message.startswith("Unhealthy UCP"):
        return Health("unhealthy", message)
    if message.startswith(facts.PENDING) or facts.meaning(message):
        return Health("pending", message)
    if parts is not None and (word := _coming(parts)):
        return Health("pending", word)
    if (door is not None and door.ok) or (parts is not None and parts.components) or facts.HEALTHY.match(message):
        return Health("healthy")
    return Health("unknown", parts.trouble if parts is not None else "")


def _coming(parts: Parts) -> str:
    for component in parts.components:
        if component.name == facts.ONCE and component.state == "running":
            return "the node is being reconfigured: takes 1 to 60 s"
        if component.health == "starting":
            return f"{component.name} is starting"
    return ""


def troubles(snapshot: Snapshot, node: Node) -> list[str]:
    """What is wrong with the components of a node, each in a few words; false alarms are left out."""
    parts = snapshot.ucp.parts.get(node.id) if snapshot.ucp is not None else None
    if parts is None or not parts.at:
        return []
    alarm = false_alarm(snapshot, node)
    bad = [f"{part.name} {part.trouble}" for part in known_parts(snapshot, node) if part.trouble and part.name != alarm]
    there = {part.name for part in parts.components}
    return bad + [f"{name} is missing" for name in expected(snapshot, node) if name not in there]


def known_parts(snapshot: Snapshot, node: Node) -> list[Component]:
    """The components of a node that are judged: tasks of UCP's services come and go, and leave ended ones behind."""
    parts = snapshot.ucp.parts.get(node.id) if snapshot.ucp is not None else None
    fixed = expected(snapshot, node)
    return [part for part in (parts.components if parts is not None else ()) if part.name in fixed]


def expected(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """The containers that a node must have in the version that runs; none where that is not known, or on Windows."""
    version = version_of(snapshot)
    if version is None or not version.supported or node.description.platform.os == "windows":
        return ()
    # Kubernetes' own parts are there only where it was not left out, which no API of the Swarm tells.
    role: facts.Role = "manager" if node.is_voter else "worker"
    return tuple(name for name in facts.containers(version, role) if "kube" not in name)


def false_alarm(snapshot: Snapshot, node: Node) -> str:
    """The component that is called unhealthy and is known to be called so wrongly: up to the release that mended it,
    and only while the manager's own `/_ping` says that all is well. "" where there is none."""
    door = snapshot.ucp.doors.get(node.id) if snapshot.ucp is not None else None
    version = version_of(snapshot)
    if version is None or door is None or not door.ok:
        return ""
    for part in known_parts(snapshot, node):
        mended = facts.FALSE_ALARMS.get(part.name)
        if mended and part.health == "unhealthy" and (version.major, version.minor, version.patch) < mended:
            return part.name
    return ""


def versions(snapshot: Snapshot) -> dict[str, list[str]]:
    """Version → what runs it, nodes by their names and services by theirs."""
    found: dict[str, list[str]] = {}

    def add(version: str, where: str) -> None:
        if version and where not in found.setdefault(version, []):
            found[version].append(where)

    for service in agents(snapshot):
        spec = service.spec.task_template.container_spec
        add(version_in(spec.image if spec is not None else ""), service.name)
    for node_id, parts in (snapshot.ucp.parts if snapshot.ucp is not None else {}).items():
        node = snapshot.nodes.get(node_id)
        for part in parts.components if node is not None else ():
            if part.state == "running" and node is not None:
                add(part.version, node.name)
    return found


def port_of(parts: Parts | None) -> int:
    """Where the web server of a manager is published, by its container; the documented port where nothing is known."""
    ports: Iterable[int] = (part.port for part in (parts.components if parts is not None else ()))
    return next((port for port in ports if port), facts.CONTROLLER_PORT)


def host_in(url: str) -> str:
    """The host of "https://HOST[:PORT]"."""
    rest = url.partition("://")[2].partition("/")[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0]


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()
