"""The objects of a Swarm that services use: networks, secrets and configs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from swarmtui.demo.world.ids import stamp
from swarmtui.demo.world.objects import Json, StoreObject


@dataclass(slots=True, kw_only=True)
class Network(StoreObject):
    """A network of the Swarm, as /networks shows it. `vxlan` is its number on the wire, 0 for none."""

    kind: ClassVar[str] = "network"
    label: str
    driver: str
    subnet: str = ""
    gateway: str = ""
    vxlan: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    options: dict[str, str] = field(default_factory=dict)
    predefined: bool = False

    @property
    def name(self) -> str:
        return self.label

    def doc(self) -> Json:
        options = dict(self.options)
        if self.vxlan:
            options["com.docker.network.driver.overlay.vxlanid_list"] = str(self.vxlan)
        return {
            "Name": self.label,
            "Id": self.id,
            "Created": stamp(self.created),
            "Scope": "swarm",
            "Driver": self.driver,
            "EnableIPv6": False,
            "IPAM": {
                "Driver": "default",
                "Options": None,
                "Config": [{"Subnet": self.subnet, "Gateway": self.gateway}] if self.subnet else [],
            },
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": self.ingress,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": None,
            "Options": options,
            "Labels": self.labels or None,
        }

    def attachment(self, addresses: list[str]) -> Json:
        """How a task's NetworksAttachments shows it."""
        spec: Json = {"Name": self.label, "Labels": self.labels, "DriverConfiguration": {}, "Scope": "swarm"}
        state: Json = {"Name": self.driver}
        ipam: Json = {"Driver": {}}
        if self.predefined:
            spec["Labels"] = {"com.docker.swarm.predefined": "true"}
            spec["DriverConfiguration"] = {"Name": self.driver}
        else:
            spec["IPAMOptions"] = {"Driver": {"Name": "default"}}
            state["Options"] = {"com.docker.network.driver.overlay.vxlanid_list": str(self.vxlan)}
            ipam = {
                "Driver": {"Name": "default"},
                "Configs": [{"Subnet": self.subnet, "Gateway": self.gateway}],
            }
        network = {**self.head(), "Spec": spec, "DriverState": state, "IPAMOptions": ipam}
        return {"Network": network, "Addresses": addresses} if addresses else {"Network": network}


@dataclass(slots=True, kw_only=True)
class Blob(StoreObject):
    """A secret or a config. The data of secrets is kept and never shown."""

    kind: ClassVar[str] = "secret"
    spec: Json
    secret: bool

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    def doc(self) -> Json:
        shown = {k: v for k, v in self.spec.items() if not (self.secret and k == "Data")}
        return {**self.head(), "Spec": shown}
