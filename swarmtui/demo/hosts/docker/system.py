"""`docker info`, `version`, `ps`, and the lists of what a host or a Swarm has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarmtui.demo.hosts.docker.base import Cli, Usage, ago, options, parse_time, table, template, verb
from swarmtui.demo.hosts.docker.nodes import filter_json
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.ids import stamp

Json = dict[str, Any]


@verb("info", "system info")
async def info(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("format",), (), "f=format")
    found = await cli.get("/info")
    if given.one("format"):
        return Output(out=template(given.one("format"), found) + "\n")
    swarm = found["Swarm"]
    lines = [
        "Server:",
        f" Containers: {found['Containers']}",
        f"  Running: {found['ContainersRunning']}",
        f"  Paused: {found['ContainersPaused']}",
        f"  Stopped: {found['ContainersStopped']}",
        f" Images: {found['Images']}",
        f" Server Version: {found['ServerVersion']}",
        f" Storage Driver: {found['Driver']}",
        f" Swarm: {swarm['LocalNodeState']}",
    ]
    if swarm["LocalNodeState"] not in ("inactive", "locked"):
        lines.append(f"  NodeID: {swarm['NodeID']}")
        if swarm["Error"]:
            lines.append(f"  Error: {swarm['Error']}")
        lines.append(f"  Is Manager: {str(swarm['ControlAvailable']).lower()}")
        if swarm["ControlAvailable"] and not swarm["Error"]:
            lines += [
                f"  ClusterID: {swarm['Cluster']['ID']}",
                f"  Managers: {swarm['Managers']}",
                f"  Nodes: {swarm['Nodes']}",
            ]
        lines.append(f"  Node Address: {swarm['NodeAddr']}")
        if swarm["RemoteManagers"]:
            lines.append("  Manager Addresses:")
            lines += [f"   {peer['Addr']}" for peer in sorted(swarm["RemoteManagers"], key=lambda p: p["Addr"])]
    lines += [
        f" Kernel Version: {found['KernelVersion']}",
        f" Operating System: {found['OperatingSystem']}",
        f" CPUs: {found['NCPU']}",
        f" Name: {found['Name']}",
        f" ID: {found['ID']}",
        f" Docker Root Dir: {found['DockerRootDir']}",
    ]
    return Output(out="".join(f"{line}\n" for line in lines))


@verb("version")
async def version(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("format",), (), "f=format")
    found = await cli.get("/version")
    if given.one("format"):
        client = {"Version": found["Version"], "ApiVersion": found["ApiVersion"]}
        return Output(out=template(given.one("format"), {"Server": found, "Client": client}) + "\n")
    return Output(
        out=f"Server:\n Engine:\n  Version:          {found['Version']}\n"
        f"  API version:      {found['ApiVersion']} (minimum version {found['MinAPIVersion']})\n"
    )


@verb("system dial-stdio")
async def dial_stdio(cli: Cli, words: list[str]) -> Output:
    """The SSH server connects it to the engine itself; only its help arrives here."""
    if words in (["--help"], ["-h"]):
        return Output(out="\nUsage:  docker system dial-stdio\n\nProxy the stdio stream to the daemon connection.\n")
    raise Usage('"docker system dial-stdio" accepts no arguments.')


@verb("ps", "container ls", "container ps")
async def ps(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format", "last"), ("all", "quiet", "no-trunc"), "a=all q=quiet f=filter n=last")
    found = await cli.get(
        "/containers/json",
        all="1" if given.has("all") else "0",
        filters=filter_json(given.all("filter")),
    )
    if given.has("quiet"):
        return Output(out="".join(f"{item['Id'][:12]}\n" for item in found))
    rows: list[Json] = [
        {
            "ID": item["Id"] if given.has("no-trunc") else item["Id"][:12],
            "Image": item["Image"],
            "Command": f'"{item["Command"][:19]}…"' if len(item["Command"]) > 20 else f'"{item["Command"]}"',
            "RunningFor": f"{ago(cli.now - item['Created'])} ago",
            "CreatedAt": stamp(item["Created"]).partition(".")[0].replace("T", " ") + " +0000 UTC",
            "Status": item["Status"],
            "State": item["State"],
            "Ports": ", ".join(f"{p['IP']}:{p['PublicPort']}->{p['PrivatePort']}/{p['Type']}" for p in item["Ports"]),
            "Names": item["Names"][0].removeprefix("/"),
            "Labels": ",".join(f"{k}={v}" for k, v in item["Labels"].items()),
            "_labels": item["Labels"],
        }
        for item in found
    ]
    if given.one("format") and given.one("format") != "table":
        return Output(out="".join(template(given.one("format"), row) + "\n" for row in rows))
    head = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
    keys = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
    return Output(out=table(head, [tuple(row[key] for key in keys) for row in rows]))


@verb("network ls", "network list")
async def networks(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet", "no-trunc"), "q=quiet f=filter")
    found = await cli.get("/networks", filters=filter_json(given.all("filter")))
    rows = [(n["Id"][:12], n["Name"], n["Driver"], n["Scope"]) for n in sorted(found, key=lambda n: n["Name"])]
    return _list(given.has("quiet"), ("NETWORK ID", "NAME", "DRIVER", "SCOPE"), rows)


@verb("volume ls", "volume list")
async def volumes(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet",), "q=quiet f=filter")
    found = (await cli.get("/volumes", filters=filter_json(given.all("filter"))))["Volumes"]
    if given.has("quiet"):
        return Output(out="".join(f"{volume['Name']}\n" for volume in found))
    return Output(out=table(("DRIVER", "VOLUME NAME"), [(v["Driver"], v["Name"]) for v in found]))


@verb("image ls", "images", "image list")
async def images(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("filter", "format"), ("quiet", "all", "no-trunc"), "q=quiet f=filter a=all")
    rows = []
    for image in await cli.get("/images/json"):
        name, _, tag = image["RepoTags"][0].rpartition(":")
        age = f"{ago(cli.now - image['Created'])} ago"
        rows.append((image["Id"][7:19], name, tag, age, f"{image['Size'] / 1e6:.3g}MB"))
    if given.has("quiet"):
        return Output(out="".join(f"{row[0]}\n" for row in rows))
    ordered = [(name, tag, short, age, size) for short, name, tag, age, size in rows]
    return Output(out=table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), ordered))


async def _blobs(cli: Cli, words: list[str], kind: str) -> Output:
    given = options(words, ("filter", "format"), ("quiet",), "q=quiet f=filter")
    found = await cli.get(f"/{kind}s", filters=filter_json(given.all("filter")))
    found.sort(key=lambda item: item["Spec"]["Name"])
    rows = [
        (
            item["ID"],
            item["Spec"]["Name"],
            f"{ago(cli.now - parse_time(item['CreatedAt']))} ago",
            f"{ago(cli.now - parse_time(item['UpdatedAt']))} ago",
        )
        for item in found
    ]
    return _list(given.has("quiet"), ("ID", "NAME", "CREATED", "UPDATED"), rows)


def _list(quiet: bool, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Output:
    if quiet:
        return Output(out="".join(f"{row[0]}\n" for row in rows))
    return Output(out=table(head, rows))


@verb("secret ls", "secret list")
async def secrets(cli: Cli, words: list[str]) -> Output:
    return await _blobs(cli, words, "secret")


@verb("config ls", "config list")
async def configs(cli: Cli, words: list[str]) -> Output:
    return await _blobs(cli, words, "config")
