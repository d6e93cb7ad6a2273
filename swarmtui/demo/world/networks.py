"""Networks: making and removing them, and handing out their addresses and ports."""

from __future__ import annotations

import ipaddress

from swarmtui.demo.world import errors, specs
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.find import find
from swarmtui.demo.world.objects import Json, Service
from swarmtui.demo.world.resources import Network

ALLOCATION = 0.05
"""Seconds until the leader has given a new network its addresses."""


class Networks:
    """The networks of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._addresses: dict[str, int] = {}
        self._subnets = 0

    def create(self, request: Json) -> Network:
        """A new overlay network.

        Raises:
            ApiError: in the engine's words.
        """
        if not str(request.get("Name") or "").strip():
            raise errors.ApiError(500, f"invalid name: {request.get('Name') or ''}")
        if any(n.name == request["Name"] for n in self.cluster.networks.values()):
            raise errors.ApiError(409, f"network with name {request['Name']} already exists")
        present = next((n for n in self.cluster.networks.values() if n.ingress), None)
        config = ((request.get("IPAM") or {}).get("Config") or [{}])[0]
        subnet = config.get("Subnet")
        if subnet:
            try:
                ipaddress.ip_network(subnet, strict=False)
            except ValueError:
                raise errors.ApiError(500, f"Invalid subnet {subnet} : invalid CIDR address: {subnet}") from None
        specs.check_name(request["Name"])
        if request.get("Ingress") and present is not None:
            raise errors.rpc("AlreadyExists", f"ingress network ({present.id}) is already present")
        if not subnet:
            subnet = f"10.0.{self._subnets}.0/24"
            self._subnets += 1
        first = ipaddress.ip_network(subnet, strict=False)[1]
        network = Network(
            id=self.cluster.ids.object(),
            label=request["Name"],
            driver=request.get("Driver") or "overlay",
            subnet=subnet,
            gateway=config.get("Gateway") or str(first),
            vxlan=4096 + len(self.cluster.networks),
            labels=dict(request.get("Labels") or {}),
            internal=bool(request.get("Internal")),
            attachable=bool(request.get("Attachable")),
            ingress=bool(request.get("Ingress")),
            options=dict(request.get("Options") or {}),
        )
        self.cluster.commit(network)
        self.cluster.announce(network, "create")
        self.cluster.kernel.after(ALLOCATION, lambda: self._allocated(network))
        return network

    def _allocated(self, network: Network) -> None:
        """The leader has given a new network its addresses."""
        if network.id in self.cluster.networks:
            self.cluster.announce(network, "update")

    def remove(self, network: Network) -> None:
        """Remove a network that nothing uses.

        Raises:
            ApiError: something does.
        """
        for service in self.cluster.services.values():
            if network in self.of(service):
                raise errors.rpc("FailedPrecondition", f"network {network.id} is in use by service {service.id}")
        for task in self.cluster.tasks.values():
            for attachment in task.attachments:
                if attachment["Network"]["ID"] == network.id and task.wanted and not task.over:
                    raise errors.rpc("FailedPrecondition", f"network {network.id} is in use by task {task.id}")
        self.cluster.delete(network)
        self.cluster.announce(network, "remove")

    def allocate(self, service: Service) -> None:
        """Ports and virtual IPs."""
        endpoint = service.spec.get("EndpointSpec") or {}
        taken = {port["PublishedPort"] for other in self.cluster.services.values() for port in other.ports}
        service.ports = []
        for port in endpoint.get("Ports") or []:
            given = dict(port)
            if not given.get("PublishedPort") and given["PublishMode"] == "ingress":
                given["PublishedPort"] = next(n for n in range(30000, 32768) if n not in taken)
                taken.add(given["PublishedPort"])
            service.ports.append(given)
        if endpoint.get("Mode", "vip") != "vip":
            service.vips = []
            return
        wanted = [n.id for n in self.of(service)]
        have = {vip["NetworkID"]: vip for vip in service.vips}
        service.vips = [
            have.get(network_id) or self._virtual_ip(self.cluster.networks[network_id]) for network_id in wanted
        ]

    def _virtual_ip(self, network: Network) -> Json:
        address = self.address(network)
        return {"NetworkID": network.id, **({"Addr": address} if address else {})}

    def of(self, service: Service) -> list[Network]:
        """The networks a service is attached to, the ingress network first."""
        result = []
        if specs.published(service.ports, "ingress"):
            result += [n for n in self.cluster.networks.values() if n.ingress]
        attached = service.template.get("Networks") or service.spec.get("Networks") or []
        for attachment in attached:
            network = self.cluster.networks.get(attachment.get("Target", ""))
            if network is not None:
                result.append(network)
        return result

    def attachments(self, service: Service) -> list[Json]:
        """The networks a new task of a service gets, with addresses."""
        result = []
        for network in self.of(service):
            address = self.address(network)
            result.append(network.attachment([address] if address else []))
        return result

    def address(self, network: Network) -> str:
        """The next free address of a network, with its prefix length; empty where there are none."""
        if not network.subnet:
            return ""
        subnet = ipaddress.ip_network(network.subnet)
        number = self._addresses.get(network.id, 1) + 1
        self._addresses[network.id] = number
        return f"{subnet[number % (subnet.num_addresses - 2) + 1]}/{subnet.prefixlen}"

    def resolve(self, spec: Json) -> None:
        """Put ids in the place of names in the networks of a service spec that just came in.

        Raises:
            ApiError: there is no such network, or it is the ingress network.
        """
        template = spec.get("TaskTemplate") or {}
        for holder in (template, spec):
            for network in holder.get("Networks") or []:
                target = str(network.get("Target", ""))
                try:
                    found = find(self.cluster.networks, target, "network")
                except errors.ApiError as error:
                    if error.status != 404:
                        raise
                    raise errors.ApiError(500, f"network {target} not found") from None
                if found.ingress:
                    raise errors.rpc(
                        "InvalidArgument",
                        f'Service cannot be explicitly attached to the ingress network "{found.name}"',
                    )
                network["Target"] = found.id
