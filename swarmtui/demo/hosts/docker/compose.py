"""A compose file of version 3, made into what `docker stack deploy` asks the engine for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from swarmtui.demo.hosts.docker import compose_parts as parts
from swarmtui.demo.hosts.docker.compose_values import ComposeError, Value

Json = dict[str, Any]

NAMESPACE = "com.docker.stack.namespace"
IMAGE = "com.docker.stack.image"
PREDEFINED = ("host", "none", "bridge")

_SERVICE = (
    "image command entrypoint environment labels ports networks volumes secrets configs deploy cap_add cap_drop dns "
    "dns_search extra_hosts healthcheck hostname init isolation logging read_only stdin_open stop_grace_period "
    "stop_signal sysctls tmpfs tty ulimits user working_dir depends_on container_name expose "
)
_UNSUPPORTED = (
    "build cgroupns_mode cgroup_parent devices domainname external_links ipc links mac_address network_mode pid "
    "privileged restart security_opt shm_size userns_mode"
)
_FORBIDDEN = "extends volume_driver volumes_from cpu_quota cpu_shares cpuset mem_limit memswap_limit"
_DEPRECATED = {
    "container_name": "Setting the container name is not supported.",
    "expose": "Exposing ports is unnecessary - services on the same network can access each other's containers "
    "on any port.",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A network, volume, secret or config of the file. name: as the Swarm knows it."""

    name: str
    external: bool
    body: Value


@dataclass(slots=True)
class Stack:
    """What a file asks for.

    Attributes:
        networks: those that services use; secrets, configs: all of the file.
        services: specs by name; secrets and configs in them have no id yet.
        warnings: what docker says of keys that it leaves out.
    """

    networks: list[Declared] = field(default_factory=list)
    secrets: list[Declared] = field(default_factory=list)
    configs: list[Declared] = field(default_factory=list)
    services: dict[str, Json] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(root: Value, name: str) -> Stack:
    """The stack of this name that a file describes.

    Raises:
        ComposeError: docker would refuse it, or a simulated host does not know what it asks for.
    """
    return _Reading(root, name).stack()


class _Reading:
    """One file being read."""

    def __init__(self, root: Value, name: str) -> None:
        root.only("version services networks volumes secrets configs")
        version = root.get("version").text("3")
        if version.partition(".")[0] != "3":
            raise ComposeError(f"unsupported Compose file version: {version}")
        self.root = root
        self.name = name
        self.declared = {kind: self._declared(kind) for kind in ("networks", "volumes", "secrets", "configs")}
        self.used: dict[str, Declared] = {}

    def stack(self) -> Stack:
        services = list(self.root.get("services").entries())
        result = Stack(warnings=self._warnings(services))
        for key, service in services:
            result.services[self._scoped(key)] = self._service(key, service)
        result.networks = list(self.used.values())
        result.secrets = list(self.declared["secrets"].values())
        result.configs = list(self.declared["configs"].values())
        return result

    def _scoped(self, name: str) -> str:
        return f"{self.name}_{name}"

    def _labels(self, labels: Value) -> dict[str, str]:
        return {**labels.labels(), NAMESPACE: self.name}

    def _declared(self, kind: str) -> dict[str, Declared]:
        found = {}
        keys = {
            "networks": "name external driver driver_opts ipam internal attachable labels",
            "volumes": "name external driver driver_opts labels",
        }.get(kind, "name external file labels")
        for key, body in self.root.get(kind).entries():
            body.only(keys)
            external, inside = body.get("external"), Value(None)
            if isinstance(external.raw, dict):
                external.only("name")
                inside = external.get("name")
            outside = isinstance(external.raw, dict) or external.flag()
            own = inside.text() or body.get("name").text()
            found[key] = Declared(own or (key if outside else self._scoped(key)), outside, body)
        return found

    def _warnings(self, services: list[tuple[str, Value]]) -> list[str]:
        given = {key for _, service in services for key, _ in service.entries()}
        if forbidden := sorted(given & set(_FORBIDDEN.split())):
            raise ComposeError(f"Compose file contains unsupported options: {', '.join(forbidden)}")
        said = []
        if unsupported := sorted(given & set(_UNSUPPORTED.split())):
            said.append(f"Ignoring unsupported options: {', '.join(unsupported)}")
        if deprecated := sorted(given & set(_DEPRECATED)):
            told = "\n\n".join(f"{key}: {_DEPRECATED[key]}" for key in deprecated)
            said.append(f"Ignoring deprecated options:\n\n{told}")
        return said

    def _reference(self, kind: str, key: str) -> Declared:
        if key not in self.declared[kind]:
            raise ComposeError(f'undefined {kind.removesuffix("s")} "{key}"')
        return self.declared[kind][key]

    def _service(self, key: str, service: Value) -> Json:
        service.only(_SERVICE + _UNSUPPORTED)
        deploy = service.get("deploy")
        deploy.only(
            "mode endpoint_mode replicas labels update_config rollback_config resources restart_policy placement"
        )
        image = service.get("image").text()
        if not image:
            raise ComposeError(f"invalid image reference for service {key}: no image specified")
        template: Json = {
            "ContainerSpec": self._container(image, service),
            "Resources": parts.resources(deploy.get("resources")),
            "RestartPolicy": parts.restart_policy(deploy.get("restart_policy")),
            "Placement": parts.placement(deploy.get("placement")),
            "Networks": self._networks(key, service.get("networks")),
            "LogDriver": parts.log_driver(service.get("logging")),
        }
        spec: Json = {
            "Name": self._scoped(key),
            "Labels": {**self._labels(deploy.get("labels")), IMAGE: image},
            "TaskTemplate": {name: value for name, value in template.items() if value is not None},
            "Mode": parts.mode(deploy),
            "EndpointSpec": {
                "Mode": deploy.get("endpoint_mode").text("vip"),
                "Ports": parts.ports(service.get("ports")),
            },
        }
        for part, name in (("update_config", "UpdateConfig"), ("rollback_config", "RollbackConfig")):
            if deploy.get(part):
                spec[name] = parts.update_config(deploy.get(part))
        return spec

    def _container(self, image: str, service: Value) -> Json:
        spec: Json = {
            "Image": image,
            "Command": service.get("entrypoint").words(),
            "Args": service.get("command").words(),
            "Env": [f"{k}={v}" if v is not None else k for k, v in sorted(service.get("environment").pairs().items())],
            "Labels": self._labels(service.get("labels")),
            "Hostname": service.get("hostname").text(),
            "User": service.get("user").text(),
            "Dir": service.get("working_dir").text(),
            "StopSignal": service.get("stop_signal").text(),
            "Isolation": service.get("isolation").text(),
            "Mounts": self._mounts(service),
            "Secrets": self._files("secrets", service.get("secrets")),
            "Configs": self._files("configs", service.get("configs")),
            "CapabilityAdd": service.get("cap_add").texts(),
            "CapabilityDrop": service.get("cap_drop").texts(),
            "Hosts": [" ".join(entry.split(":", 1)[::-1]) for entry in parts.extra_hosts(service.get("extra_hosts"))],
            "Ulimits": [parts.ulimit(name, limit) for name, limit in service.get("ulimits").entries()],
        }
        for key, name in (("tty", "TTY"), ("stdin_open", "OpenStdin"), ("read_only", "ReadOnly")):
            if service.get(key).flag():
                spec[name] = True
        if service.get("init"):
            spec["Init"] = service.get("init").flag()
        if service.get("stop_grace_period"):
            spec["StopGracePeriod"] = service.get("stop_grace_period").duration()
        if service.get("sysctls"):
            spec["Sysctls"] = service.get("sysctls").labels()
        if service.get("healthcheck"):
            spec["Healthcheck"] = parts.healthcheck(service.get("healthcheck"))
        dns = {"Nameservers": service.get("dns").texts(), "Search": service.get("dns_search").texts()}
        spec["DNSConfig"] = {name: value for name, value in dns.items() if value}
        return {name: value for name, value in spec.items() if value not in ("", [])}

    def _networks(self, service: str, networks: Value) -> list[Json]:
        named = networks.texts() if isinstance(networks.raw, list) else [key for key, _ in networks.entries()]
        if not named:
            named = ["default"]
            self.declared["networks"].setdefault("default", Declared(self._scoped("default"), False, Value(None)))
        found = []
        for key in named:
            self.used[key] = declared = self._reference("networks", key)
            body = Value(None) if isinstance(networks.raw, list) else networks.get(key)
            body.only("aliases ipv4_address ipv6_address")
            attached: Json = {"Target": declared.name}
            if declared.name not in PREDEFINED:
                attached["Aliases"] = [*body.get("aliases").texts(), service]
            found.append(attached)
        return sorted(found, key=lambda attached: str(attached["Target"]))

    def _files(self, kind: str, references: Value) -> list[Json]:
        """References to secrets or configs; who sends them puts the ids in."""
        title = kind.removesuffix("s").capitalize()
        found = []
        for entry in references.each():
            short = isinstance(entry.raw, str)
            if not short:
                entry.only("source target uid gid mode")
            body = Value(None) if short else entry
            source = entry.text() if short else entry.get("source").text()
            declared = self._reference(kind, source)
            file = {
                "Name": body.get("target").text(source if kind == "secrets" else f"/{source}"),
                "UID": body.get("uid").text("0"),
                "GID": body.get("gid").text("0"),
                "Mode": body.get("mode").whole(0o444),
            }
            found.append({"File": file, f"{title}ID": "", f"{title}Name": declared.name})
        return sorted(found, key=lambda reference: str(reference[f"{title}Name"]))

    def _mounts(self, service: Value) -> list[Json]:
        found = [self._mount(entry) for entry in service.get("volumes").each()]
        return found + [{"Type": "tmpfs", "Target": path} for path in service.get("tmpfs").texts()]

    def _mount(self, entry: Value) -> Json:
        if isinstance(entry.raw, dict):
            entry.only("type source target read_only consistency bind volume tmpfs")
            kind, source = entry.get("type").text(), entry.get("source").text()
            target, read_only = entry.get("target").text(), entry.get("read_only").flag()
        else:
            pieces = entry.text().split(":")
            if not all(pieces) or len(pieces) > 3:
                raise ComposeError(f"invalid volume specification: {entry.text()}")
            source, target = ("", pieces[0]) if len(pieces) == 1 else (pieces[0], pieces[1])
            kind = "bind" if source[:1] in ("/", ".", "~") else "volume"
            read_only = len(pieces) == 3 and "ro" in pieces[2].split(",")
        if kind not in ("volume", "bind", "tmpfs"):
            raise entry.wrong(f"volume type must be volume, bind, or tmpfs: {kind}")
        mount: Json = {"Type": kind, "Source": source, "Target": target, "ReadOnly": read_only}
        if kind == "bind" and not source.startswith("/"):
            raise ComposeError(f'invalid mount config for type "bind": mount path must be absolute: {source}')
        if kind == "volume" and source:
            declared = self._reference("volumes", source)
            mount["Source"] = declared.name
            if not declared.external:
                mount["VolumeOptions"] = {"Labels": self._labels(declared.body.get("labels"))}
                if declared.body.get("driver"):
                    options = declared.body.get("driver_opts").labels()
                    mount["VolumeOptions"]["DriverConfig"] = {
                        "Name": declared.body.get("driver").text(),
                        **({"Options": options} if options else {}),
                    }
        return {key: value for key, value in mount.items() if value not in ("", False)}


def network_request(stack: str, network: Declared) -> Json:
    """What makes a network of a stack."""
    body = network.body
    pools = []
    for pool in body.get("ipam", "config").each():
        pool.only("subnet")
        pools.append({"Subnet": pool.get("subnet").text()})
    request: Json = {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": body.get("driver").text("overlay"),
        "Options": body.get("driver_opts").labels(),
        "Internal": body.get("internal").flag(),
        "Attachable": body.get("attachable").flag(),
        "Labels": {**body.get("labels").labels(), NAMESPACE: stack},
    }
    if pools:
        request["IPAM"] = {"Driver": body.get("ipam", "driver").text("default"), "Config": pools}
    return request
