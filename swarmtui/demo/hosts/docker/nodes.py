"""`docker node …`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from swarmtui.demo.hosts.docker.base import (
    Cli,
    CliError,
    Usage,
    ago,
    inspected,
    many,
    options,
    parse_time,
    table,
    template,
    verb,
)
from swarmtui.demo.hosts.shell import Output

Json = dict[str, Any]


def filter_json(pairs: list[str]) -> str:
    """`--filter a=b` as the API wants it.

    Raises:
        Usage: one of them is no pair.
    """
    import msgspec

    wanted: dict[str, dict[str, bool]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage("bad format of filter (expected name=value)")
        wanted.setdefault(name, {})[value] = True
    return msgspec.json.encode(wanted).decode() if wanted else ""


@verb("node ls", "node list")
async def ls(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet",), "q=quiet f=filter")
    nodes = await cli.get("/nodes", filters=filter_json(given.all("filter")))
    nodes.sort(key=lambda node: node["Description"].get("Hostname", ""))
    if given.has("quiet"):
        return Output(out="".join(f"{node['ID']}\n" for node in nodes))
    own = (await cli.get("/info"))["Swarm"]["NodeID"]
    rows = [_row(node, own) for node in nodes]
    if given.one("format") and given.one("format") != "table":
        return Output(out="".join(template(given.one("format"), row) + "\n" for row in rows))
    head = ("ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION")
    fields = ("Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion")
    cells = [(row["ID"] + (" *" if row["Self"] else "  "), *(row[name] for name in fields)) for row in rows]
    return Output(out=table(head, cells))


def _row(node: Json, own: str) -> Json:
    manager = node.get("ManagerStatus")
    status = ""
    if manager:
        status = "Leader" if manager.get("Leader") else str(manager["Reachability"]).capitalize()
    return {
        "ID": node["ID"],
        "Self": node["ID"] == own,
        "Hostname": node["Description"].get("Hostname", ""),
        "Status": node["Status"]["State"].capitalize(),
        "Availability": node["Spec"]["Availability"].capitalize(),
        "ManagerStatus": status,
        "EngineVersion": node["Description"]["Engine"].get("EngineVersion", ""),
        "TLSStatus": "Ready",
    }


@verb("node inspect")
async def inspect(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("format",), ("pretty",), "f=format")
    if not given.args:
        raise Usage('"docker node inspect" requires at least 1 argument.')
    found, failures = [], []
    for name in given.args:
        try:
            found.append(await cli.object("node", await cli.self_or(name)))
        except CliError as error:
            failures.append(str(error))
    if given.has("pretty"):
        return Output(out="".join(_pretty(node) for node in found), code=1 if failures else 0)
    text = inspected(found, given.one("format"))
    return Output(text, "".join(f"{line}\n" for line in failures), 1 if failures else 0)


def _pretty(node: Json) -> str:
    labels = "".join(f" - {k}={v}\n" for k, v in sorted(node["Spec"]["Labels"].items()))
    text = f"ID:\t\t\t{node['ID']}\n"
    if labels:
        text += f"Labels:\n{labels}"
    text += (
        f"Hostname:              \t{node['Description'].get('Hostname', '')}\n"
        f"Joined at:             \t{node['CreatedAt']}\n"
        "Status:\n"
        f" State:\t\t\t{node['Status']['State'].capitalize()}\n"
        f" Availability:         \t{node['Spec']['Availability'].capitalize()}\n"
        f" Address:\t\t{node['Status'].get('Addr', '')}\n"
    )
    manager = node.get("ManagerStatus")
    if manager:
        text += (
            "Manager Status:\n"
            f" Address:\t\t{manager['Addr']}\n"
            f" Raft Status:\t\t{manager['Reachability'].capitalize()}\n"
            f" Leader:\t\t{'Yes' if manager.get('Leader') else 'No'}\n"
        )
    return text


async def _change(cli: Cli, name: str, change: Any) -> None:
    node = await cli.object("node", await cli.self_or(name))
    spec = node["Spec"]
    change(spec)
    await cli.ask("POST", f"/nodes/{node['ID']}/update", spec, version=str(node["Version"]["Index"]))


@verb("node update")
async def update(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("availability", "role", "label-add", "label-rm"), ())
    if len(given.args) != 1:
        raise Usage('"docker node update" requires exactly 1 argument.')

    def change(spec: Json) -> None:
        spec["Availability"] = given.one("availability", spec["Availability"])
        spec["Role"] = given.one("role", spec["Role"])
        labels = dict(spec.get("Labels") or {})
        for pair in given.all("label-add"):
            key, _, value = pair.partition("=")
            labels[key] = value
        for key in given.all("label-rm"):
            if key not in labels:
                raise CliError(f"key {key} doesn't exist in node's labels")
            del labels[key]
        spec["Labels"] = labels

    await _change(cli, given.args[0], change)
    return Output(out=f"{given.args[0]}\n")


async def _role(cli: Cli, words: list[str], role: str, done: str) -> Output:
    given = options(words, (), ())
    if not given.args:
        raise Usage(f'"docker node {"promote" if role == "manager" else "demote"}" requires at least 1 argument.')
    lines = []
    for name in given.args:
        node = await cli.object("node", await cli.self_or(name))
        if node["Spec"]["Role"] == role:
            lines.append(f"Node {name} is already a {role}.")
            continue
        await _change(cli, name, lambda spec: spec.__setitem__("Role", role))
        lines.append(f"Node {name} {done} in the swarm.")
    return Output(out="".join(f"{line}\n" for line in lines))


@verb("node promote")
async def promote(cli: Cli, words: list[str]) -> Output:
    return await _role(cli, words, "manager", "promoted to a manager")


@verb("node demote")
async def demote(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ())
    result = await _role(cli, words, "worker", "demoted")
    return Output(
        result.out.replace("Node ", "Manager ") if "already" not in result.out else result.out,
        result.err,
        result.code if given.args else 125,
    )


@verb("node rm", "node remove")
async def rm(cli: Cli, words: list[str]) -> Output:
    given = options(words, (), ("force",), "f=force")
    if not given.args:
        raise Usage('"docker node rm" requires at least 1 argument.')
    done, failures = [], []
    for name in given.args:
        try:
            force = "1" if given.has("force") else "0"
            await cli.ask("DELETE", f"/nodes/{quote(name, safe='')}", force=force)
            done.append(name)
        except CliError as error:
            failures.append(str(error))
    return many(given.args, done, failures)


@verb("node ps")
async def ps(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("no-trunc", "no-resolve", "quiet"), "q=quiet f=filter")
    tasks: list[Json] = []
    for name in given.args or ["self"]:
        node = await cli.object("node", await cli.self_or(name))
        tasks += await cli.get("/tasks", filters=filter_json([f"node={node['ID']}", *given.all("filter")]))
    return Output(out=await task_table(cli, tasks, given.has("quiet"), given.has("no-trunc")))


async def task_table(cli: Cli, tasks: list[Json], quiet: bool, full: bool) -> str:
    """Tasks as `service ps`, `node ps` and `stack ps` draw them."""
    names = {item["ID"]: item["Spec"]["Name"] for item in await cli.get("/services")}
    nodes = {item["ID"]: item["Description"].get("Hostname", "") for item in await cli.get("/nodes")}

    def name_of(task: Json) -> str:
        service = names.get(task["ServiceID"], task["ServiceID"])
        return f"{service}.{task.get('Slot') or task.get('NodeID', '')}"

    tasks.sort(key=lambda task: task["CreatedAt"], reverse=True)
    tasks.sort(key=name_of)
    if quiet:
        return "".join(f"{task['ID']}\n" for task in tasks)
    rows = []
    before = ""
    for task in tasks:
        name = name_of(task)
        status = task["Status"]
        since = cli.now - parse_time(status["Timestamp"])
        error = status.get("Err", "")
        if len(error) > 30 and not full:
            error = error[:29] + "…"
        rows.append(
            (
                task["ID"] if full else task["ID"][:12],
                f" \\_ {name}" if name == before else name,
                task["Spec"]["ContainerSpec"]["Image"],
                str(nodes.get(task.get("NodeID", ""), task.get("NodeID", ""))),
                task["DesiredState"].capitalize(),
                f"{status['State'].capitalize()} {ago(since)} ago",
                f'"{error}"' if error else "",
                ",".join(
                    f"*:{p.get('PublishedPort')}->{p['TargetPort']}/{p['Protocol']}"
                    for p in status.get("PortStatus", {}).get("Ports", [])
                ),
            )
        )
        before = name
    head = ("ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS")
    return table(head, rows)
