"""`docker stack deploy`, as docker 20.10 does it with a compose file of version 3."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.docker import compose
from swarmtui.demo.hosts.docker.base import Cli, CliError, Options, Usage, options, verb
from swarmtui.demo.hosts.docker.compose import IMAGE, NAMESPACE, PREDEFINED, Declared, Stack
from swarmtui.demo.hosts.docker.compose_values import ComposeError, document
from swarmtui.demo.hosts.docker.nodes import filter_json
from swarmtui.demo.hosts.shell import Output

Json = dict[str, Any]

_VALUED = ("compose-file", "resolve-image")
_BARE = ("prune", "detach", "with-registry-auth", "quiet")
_SHORT = "c=compose-file d=detach q=quiet"
_NO_MANAGER = (
    'this node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again"
)
_DEFAULTS: Json = {"Isolation": "default", "Runtime": "container"}
_AS_IS = ("Labels", "Options", "Sysctls")
"""Their keys are the user's own: an empty value is one."""
_COUNTS = ("StopGracePeriod",)
"""Nothing is another thing than zero."""


def reads_stdin(words: Sequence[str]) -> bool:
    """Do these words after `docker stack deploy` take the compose file from standard input?"""
    try:
        return "-" in options(words, _VALUED, _BARE, _SHORT).all("compose-file")
    except Usage:
        return False


@verb("stack deploy", "stack up")
async def deploy(cli: Cli, words: list[str]) -> Output:
    given = options(words, _VALUED, _BARE, _SHORT)
    if len(given.args) != 1:
        raise Usage('"docker stack deploy" requires exactly 1 argument.')
    if given.one("resolve-image", "always") not in ("always", "changed", "never"):
        raise CliError(f"Invalid option {given.one('resolve-image')} for flag --resolve-image")
    try:
        stack = compose.read(document(_file(cli, given), cli.context.env), given.args[0])
    except ComposeError as error:
        raise CliError(str(error)) from None
    deploying = _Deploying(cli, given.args[0], stack, given)
    for warning in stack.warnings:
        deploying.said.err += f"{warning}\n\n"
    try:
        await deploying.run()
    except CliError as error:
        deploying.said.err += f"{error}\n"
        deploying.said.code = 1
    return deploying.said


def _file(cli: Cli, given: Options) -> bytes:
    paths = given.all("compose-file")
    if not paths:
        raise CliError("Please specify a Compose file (with --compose-file)")
    if len(paths) > 1:
        raise CliError("a simulated host takes one compose file only")
    data = cli.context.stdin if paths == ["-"] else _content(cli, paths[0]).encode()
    if not data.strip():
        raise CliError("empty compose file")
    return data


def _content(cli: Cli, path: str) -> str:
    text = files.read(cli.context.host, path if path.startswith("/") else f"/root/{path.removeprefix('./')}")
    if text is None:
        raise CliError(f"open {path}: no such file or directory")
    return text


class _Deploying:
    """One deploy; `said` has what it printed so far."""

    def __init__(self, cli: Cli, name: str, stack: Stack, given: Options) -> None:
        self.cli = cli
        self.name = name
        self.stack = stack
        self.prune = given.has("prune")
        self.resolve = given.one("resolve-image", "always")
        self.said = Output()

    def say(self, line: str) -> None:
        self.said.out += f"{line}\n"

    async def run(self) -> None:
        """Everything in docker's order: prune, networks, secrets, configs, services.

        Raises:
            CliError: something is missing, or the engine refused; what was done before stays.
        """
        if not (await self.cli.get("/info"))["Swarm"]["ControlAvailable"]:
            raise CliError(_NO_MANAGER)
        if self.prune:
            await self._prune()
        await self._networks()
        for kind in ("secret", "config"):
            await self._blobs(kind)
        for kind in ("secret", "config"):
            await self._put_ids(kind)
        running = {service["Spec"]["Name"]: service for service in await self._existing("services")}
        for name, spec in self.stack.services.items():
            if name in running:
                await self._update(running[name], spec)
            else:
                self.say(f"Creating service {name}")
                await self._ask(f"failed to create service {name}", "/services/create", spec)

    async def _existing(self, kind: str) -> list[Json]:
        found: list[Json] = await self.cli.get(f"/{kind}", filters=filter_json([f"label={NAMESPACE}={self.name}"]))
        return found

    async def _ask(self, failure: str, path: str, body: Json, **query: str) -> None:
        try:
            await self.cli.ask("POST", path, body, **query)
        except CliError as error:
            raise CliError(f"{failure}: {error}") from None

    async def _prune(self) -> None:
        for service in sorted(await self._existing("services"), key=lambda service: str(service["Spec"]["Name"])):
            name = service["Spec"]["Name"]
            if name not in self.stack.services:
                self.say(f"Removing service {name}")
                await self.cli.ask("DELETE", f"/services/{service['ID']}")

    async def _networks(self) -> None:
        every: list[Json] = await self.cli.get("/networks")
        for network in self.stack.networks:
            if network.external:
                _check_external(network, every)
        own = {network["Name"] for network in await self._existing("networks")}
        for network in self.stack.networks:
            if not network.external and network.name not in own:
                self.say(f"Creating network {network.name}")
                request = compose.network_request(self.name, network)
                await self._ask(f"failed to create network {network.name}", "/networks/create", request)

    async def _blobs(self, kind: str) -> None:
        """Make the secrets or configs whose content is a file of the host, or give them their new labels."""
        declared = self.stack.secrets if kind == "secret" else self.stack.configs
        there = {item["Spec"]["Name"]: item for item in await self.cli.get(f"/{kind}s")}
        for blob in declared:
            if blob.external:
                continue
            data = base64.b64encode(_content(self.cli, blob.body.get("file").text()).encode()).decode()
            labels = {**blob.body.get("labels").labels(), NAMESPACE: self.name}
            spec: Json = {"Name": blob.name, "Labels": labels, "Data": data}
            if blob.name not in there:
                self.say(f"Creating {kind} {blob.name}")
                await self._ask(f"failed to create {kind} {blob.name}", f"/{kind}s/create", spec)
                continue
            path, index = f"/{kind}s/{there[blob.name]['ID']}/update", there[blob.name]["Version"]["Index"]
            await self._ask(f"failed to update {kind} {blob.name}", path, spec, version=str(index))

    async def _put_ids(self, kind: str) -> None:
        """References carry the ids of the secrets or configs that they name."""
        title = kind.capitalize()
        ids = {item["Spec"]["Name"]: item["ID"] for item in await self.cli.get(f"/{kind}s")}
        for spec in self.stack.services.values():
            for reference in spec["TaskTemplate"]["ContainerSpec"].get(f"{title}s", []):
                name = reference[f"{title}Name"]
                if name not in ids:
                    raise CliError(f"{kind} not found: {name}")
                reference[f"{title}ID"] = ids[name]

    async def _update(self, service: Json, spec: Json) -> None:
        name, before = spec["Name"], service["Spec"]
        self.say(f"Updating service {name} (id: {service['ID']})")
        container = spec["TaskTemplate"]["ContainerSpec"]
        if self.resolve != "always" and container["Image"] == before["Labels"].get(IMAGE):
            container["Image"] = before["TaskTemplate"]["ContainerSpec"]["Image"]
        networks = {network["Id"]: network["Name"] for network in await self.cli.get("/networks")}
        if _plain(before["TaskTemplate"], networks) == _plain(spec["TaskTemplate"], networks):
            # Tasks go on running where nothing changed, whoever made the service and however it wrote the defaults.
            spec = {**spec, "TaskTemplate": before["TaskTemplate"]}
        spec["TaskTemplate"]["ForceUpdate"] = before["TaskTemplate"].get("ForceUpdate", 0)
        index = str(service["Version"]["Index"])
        await self._ask(f"failed to update service {name}", f"/services/{service['ID']}/update", spec, version=index)


def _check_external(network: Declared, every: list[Json]) -> None:
    if network.name in PREDEFINED:
        return
    found = next((one for one in every if network.name in (one["Name"], one["Id"])), None)
    if found is None:
        raise CliError(
            f'network "{network.name}" is declared as external, but could not be found. '
            "You need to create a swarm-scoped network before the stack is deployed"
        )
    if found["Scope"] != "swarm":
        raise CliError(
            f'network "{network.name}" is declared as external, but it is not in the right scope: '
            f'"{found["Scope"]}" instead of "swarm"'
        )


def _plain(template: Json, networks: dict[str, str]) -> Json:
    """A template without what says the same as nothing, with the names of its networks."""
    attached = [
        {**one, "Target": networks.get(one["Target"], one["Target"]), "Aliases": sorted(one.get("Aliases") or [])}
        for one in template.get("Networks") or []
    ]
    policy = template.get("RestartPolicy") or {}
    policy = {"Condition": "any", "Delay": 5 * 10**9, "MaxAttempts": 0, **policy}
    mounts = [
        # Volumes carry the stack's label since docker labels them; an older service has none there.
        {key: value for key, value in mount.items() if key != "VolumeOptions" or "DriverConfig" in value}
        for mount in template["ContainerSpec"].get("Mounts") or []
    ]
    result: Json = _without_defaults(
        {
            **template,
            "ContainerSpec": {**template["ContainerSpec"], "Mounts": mounts},
            "Networks": sorted(attached, key=lambda one: str(one["Target"])),
            "RestartPolicy": policy,
            "ForceUpdate": 0,
        }
    )
    return result


def _without_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: item if key in _AS_IS else _without_defaults(item) for key, item in value.items()}
    return {
        key: item
        for key, item in plain.items()
        if key in _COUNTS or (item not in (None, "", 0, {}, []) and _DEFAULTS.get(key) != item)
    }
