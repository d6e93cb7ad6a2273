"""The lab's network: a switch in a namespace of its own, one namespace for each host, one cable to this machine.

The bridge lives in its own network namespace, so the machine's firewall (a Docker on it sets FORWARD to DROP) does not
judge the traffic between the hosts, and the machine sees a single new interface. Nothing is routed to the outside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import run


@dataclass(frozen=True)
class Network:
    """The network of one lab: 10.77.`number`.0/24."""

    number: int

    @property
    def prefix(self) -> str:
        return f"10.77.{self.number}"

    @property
    def interface(self) -> str:
        """The machine's own interface into the lab; its address is .254."""
        return f"stl{self.number}"

    @property
    def switch(self) -> str:
        return f"stl{self.number}-switch"

    def address(self, index: int) -> str:
        return f"{self.prefix}.{index}"

    def namespace(self, host: str) -> str:
        return f"stl{self.number}-{host}"

    def names(self, hosts: Sequence[str]) -> list[str]:
        """Every namespace of this lab."""
        return [self.switch, *(self.namespace(host) for host in hosts)]

    def build(self) -> None:
        """Make the switch and the machine's cable to it."""
        run(["ip", "netns", "add", self.switch])
        _batch(
            f"link add {self.interface} type veth peer name machine netns {self.switch}",
            f"addr add {self.prefix}.254/24 dev {self.interface}",
            f"link set {self.interface} up",
        )
        # On a machine that forwards (one with Docker on it), what hosts send to the outside ends here all the same.
        Path("/proc/sys/net/ipv4/conf", self.interface, "forwarding").write_text("0")
        _batch(
            "link add switch type bridge",
            "link set switch up",
            "link set machine master switch",
            "link set machine up",
            namespace=self.switch,
        )

    def plug(self, host: str, index: int) -> None:
        """Make a host's namespace and its cable to the switch."""
        namespace = self.namespace(host)
        run(["ip", "netns", "add", namespace])
        _batch(
            f"link add {host} type veth peer name eth0 netns {namespace}",
            f"link set {host} master switch",
            f"link set {host} up",
            namespace=self.switch,
        )
        _batch(
            "link set lo up",
            f"addr add {self.address(index)}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {self.prefix}.254",
            namespace=namespace,
        )

    def cut(self, host: str) -> None:
        """Pull a host's cable: nobody reaches it, this machine neither."""
        _batch(f"link set {host} down", namespace=self.switch)

    def mend(self, host: str) -> None:
        """Plug it in again, and take away what `separate` put there."""
        _batch(f"link set {host} up", namespace=self.switch)
        namespace = self.namespace(host)
        for line in run(["ip", "-n", namespace, "route", "show", "type", "blackhole"]).stdout.splitlines():
            _batch(f"route del blackhole {line.split()[1]}", namespace=namespace)

    def mend_towards(self, host: str, address: str) -> None:
        """Let a host send to this address again."""
        run(["ip", "-n", self.namespace(host), "route", "del", "blackhole", f"{address}/32"], check=False)

    def separate(self, host: str, addresses: Sequence[str]) -> None:
        """Let a host send nothing to these addresses any more; this machine still reaches it."""
        _batch(*(f"route replace blackhole {address}/32" for address in addresses), namespace=self.namespace(host))

    def is_whole(self, hosts: Sequence[str]) -> bool:
        """True if every cable is in and nothing is separated."""
        links = run(["ip", "-n", self.switch, "-o", "link", "show", "type", "veth"]).stdout
        if " state DOWN" in links or "<NO-CARRIER" in links:
            return False
        return all(
            not run(["ip", "-n", self.namespace(host), "route", "show", "type", "blackhole"]).stdout for host in hosts
        )


def remove_namespaces(names: Sequence[str]) -> None:
    """Remove network namespaces that a lab recorded as its own; interfaces in them go with them."""
    for name in names:
        if Path("/run/netns", name).exists():
            run(["ip", "netns", "del", name])


def remove_interface(name: str) -> None:
    """Remove the machine's end of a cable, and so the whole cable, if it is still there."""
    if Path("/sys/class/net", name).exists():
        with contextlib.suppress(FileNotFoundError):
            run(["ip", "link", "del", name], check=False)


def _batch(*lines: str, namespace: str | None = None) -> None:
    inside = ["-n", namespace] if namespace else []
    run(["ip", *inside, "-batch", "-"], data="\n".join(lines).encode() + b"\n")
