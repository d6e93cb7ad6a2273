"""`docker service …` and `docker stack …`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from swarmtui.demo.hosts.docker.base import (
    Cli,
    CliError,
    Options,
    Usage,
    inspected,
    many,
    options,
    table,
    template,
    verb,
)
from swarmtui.demo.hosts.docker.nodes import filter_json, task_table
from swarmtui.demo.hosts.shell import Output

Json = dict[str, Any]
_STACK = "com.docker.stack.namespace"


@verb("service ls", "service list")
async def ls(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet",), "q=quiet f=filter")
    services = await cli.get("/services", status="true", filters=filter_json(given.all("filter")))
    return _services(services, given)


def _services(services: list[Json], given: Options) -> Output:
    services.sort(key=lambda service: service["Spec"]["Name"])
    if given.has("quiet"):
        return Output(out="".join(f"{service['ID']}\n" for service in services))
    rows = [_row(service) for service in services]
    if given.one("format") and given.one("format") != "table":
        return Output(out="".join(template(given.one("format"), row) + "\n" for row in rows))
    head = ("ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS")
    return Output(
        out=table(head, [tuple(row[k] for k in ("ID", "Name", "Mode", "Replicas", "Image", "Ports")) for row in rows])
    )


def _row(service: Json) -> Json:
    counts = service.get("ServiceStatus") or {}
    limit = (service["Spec"]["TaskTemplate"].get("Placement") or {}).get("MaxReplicas")
    text = f"{counts.get('RunningTasks', 0)}/{counts.get('DesiredTasks', 0)}"
    ports = service["Endpoint"].get("Ports") or []
    return {
        "ID": service["ID"][:12],
        "Name": service["Spec"]["Name"],
        "Mode": next(iter(service["Spec"]["Mode"])).lower(),
        "Replicas": f"{text} (max {limit} per node)" if limit else text,
        "Image": service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"],
        "Ports": ", ".join(
            f"*:{p['PublishedPort']}->{p['TargetPort']}/{p['Protocol']}"
            for p in ports
            if p.get("PublishMode") == "ingress"
        ),
    }


@verb("service ps")
async def ps(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("no-trunc", "no-resolve", "quiet"), "q=quiet f=filter")
    if not given.args:
        raise Usage('"docker service ps" requires at least 1 argument.')
    tasks: list[Json] = []
    for name in given.args:
        try:
            service = await cli.object("service", name)
        except CliError:
            return Output(err=f"no such service: {name}\n", code=1)
        tasks += await cli.get("/tasks", filters=filter_json([f"service={service['ID']}", *given.all("filter")]))
    return Output(out=await task_table(cli, tasks, given.has("quiet"), given.has("no-trunc")))


@verb("service inspect")
async def inspect(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("format",), ("pretty",), "f=format")
    if not given.args:
        raise Usage('"docker service inspect" requires at least 1 argument.')
    found = [await cli.object("service", name) for name in given.args]
    return Output(out=inspected(found, given.one("format")))


async def _change(cli: Cli, name: str, change: Any, **query: str) -> None:
    service = await cli.object("service", name)
    spec = service["Spec"]
    change(spec)
    path = f"/services/{service['ID']}/update"
    await cli.ask("POST", path, spec, version=str(service["Version"]["Index"]), **query)


@verb("service scale")
async def scale(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("detach",), "d=detach")
    if not given.args:
        raise Usage('"docker service scale" requires at least 1 argument.')
    done, failures = [], []
    for pair in given.args:
        name, equals, number = pair.partition("=")
        if not equals or not number.isdigit():
            raise Usage(f"invalid scale specifier '{pair}'.")

        def change(spec: Json, name: str = name, number: str = number) -> None:
            if "Replicated" not in spec["Mode"]:
                raise CliError(f"{name}: scale can only be used with replicated or replicated-job mode")
            spec["Mode"] = {"Replicated": {"Replicas": int(number)}}

        try:
            await _change(cli, name, change)
            done.append(f"{name} scaled to {number}")
        except CliError as error:
            failures.append(str(error))
    return many(given.args, done, failures)


@verb("service update")
async def update(cli: Cli, words: list[str]) -> Output:
    given = options(
        words,
        ("image", "replicas", "constraint-add", "constraint-rm", "label-add", "label-rm", "env-add"),
        ("force", "detach", "quiet", "rollback", "no-resolve-image", "with-registry-auth"),
        "d=detach q=quiet",
    )
    if len(given.args) != 1:
        raise Usage('"docker service update" requires exactly 1 argument.')
    query = {"rollback": "previous"} if given.has("rollback") else {}
    await _change(cli, given.args[0], lambda spec: _apply(spec, given), **query)
    return Output(out=f"{given.args[0]}\n")


def _apply(spec: Json, given: Options) -> None:
    template_spec = spec["TaskTemplate"]
    container = template_spec["ContainerSpec"]
    if given.one("image"):
        container["Image"] = given.one("image")
    if given.one("replicas"):
        spec["Mode"] = {"Replicated": {"Replicas": int(given.one("replicas"))}}
    if given.has("force"):
        template_spec["ForceUpdate"] = int(template_spec.get("ForceUpdate") or 0) + 1
    placement = dict(template_spec.get("Placement") or {})
    constraints = [c for c in placement.get("Constraints") or [] if c not in given.all("constraint-rm")]
    constraints += given.all("constraint-add")
    if constraints or placement:
        template_spec["Placement"] = {**placement, "Constraints": constraints}
    labels = dict(spec.get("Labels") or {})
    labels.update(pair.partition("=")[::2] for pair in given.all("label-add"))
    spec["Labels"] = {k: v for k, v in labels.items() if k not in given.all("label-rm")}
    if given.all("env-add"):
        container["Env"] = [*(container.get("Env") or []), *given.all("env-add")]


@verb("service rollback")
async def rollback(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("detach", "quiet"), "d=detach q=quiet")
    if len(given.args) != 1:
        raise Usage('"docker service rollback" requires exactly 1 argument.')
    await _change(cli, given.args[0], lambda spec: None, rollback="previous")
    return Output(out=f"{given.args[0]}\n")


@verb("service rm", "service remove")
async def rm(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ())
    if not given.args:
        raise Usage('"docker service rm" requires at least 1 argument.')
    done, failures = [], []
    for name in given.args:
        try:
            await cli.ask("DELETE", f"/services/{quote(name, safe='')}")
            done.append(name)
        except CliError as error:
            failures.append(str(error))
    return many(given.args, done, failures)


@verb("stack ls")
async def stacks(cli: Cli, words: list[str]) -> Output:
    options(words, ("format",), ())
    counts: dict[str, int] = {}
    for service in await cli.get("/services"):
        name = service["Spec"]["Labels"].get(_STACK)
        if name:
            counts[name] = counts.get(name, 0) + 1
    rows = [(name, str(number), "Swarm") for name, number in sorted(counts.items())]
    return Output(out=table(("NAME", "SERVICES", "ORCHESTRATOR"), rows))


@verb("stack services")
async def stack_services(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet",), "q=quiet f=filter")
    if len(given.args) != 1:
        raise Usage('"docker stack services" requires exactly 1 argument.')
    label = f"label={_STACK}={given.args[0]}"
    services = await cli.get("/services", status="true", filters=filter_json([label]))
    if not services:
        return Output(err=f"Nothing found in stack: {given.args[0]}\n", code=0)
    return _services(services, given)


@verb("stack ps")
async def stack_ps(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("no-trunc", "no-resolve", "quiet"), "q=quiet f=filter")
    if len(given.args) != 1:
        raise Usage('"docker stack ps" requires exactly 1 argument.')
    label = f"label={_STACK}={given.args[0]}"
    tasks = await cli.get("/tasks", filters=filter_json([label, *given.all("filter")]))
    if not tasks:
        return Output(err=f"nothing found in stack: {given.args[0]}\n", code=1)
    return Output(out=await task_table(cli, tasks, given.has("quiet"), given.has("no-trunc")))


@verb("stack rm")
async def stack_rm(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ())
    lines = []
    for stack in given.args:
        label = f"label={_STACK}={stack}"
        for kind in ("services", "secrets", "configs", "networks"):
            for item in await cli.get(f"/{kind}", filters=filter_json([label])):
                name = item.get("Name") or item["Spec"]["Name"]
                await cli.ask("DELETE", f"/{kind}/{item.get('ID') or item['Id']}")
                lines.append(f"Removing {kind[:-1]} {name}\n")
    return Output(out="".join(lines))
