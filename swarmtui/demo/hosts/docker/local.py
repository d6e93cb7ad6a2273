"""The docker commands about containers, images and volumes of one host."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from swarmtui.demo.hosts.docker.base import Cli, CliError, Usage, inspected, many, options, verb
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world import images

Json = dict[str, Any]


def _named(
    words: list[str], what: str, takes: tuple[str, ...] = (), flags: tuple[str, ...] = (), short: str = ""
) -> Any:
    given = options(words, takes, flags, short)
    if not given.args:
        raise Usage(f'"docker {what}" requires at least 1 argument.')
    return given


async def _each(cli: Cli, names: list[str], method: str, path: str, **query: str) -> Output:
    """Ask the same of several objects; those that fail do not keep the others."""
    done, failures = [], []
    for name in names:
        try:
            await cli.ask(method, path.format(quote(name, safe="")), **query)
            done.append(name)
        except CliError as error:
            failures.append(str(error))
    return many(names, done, failures)


@verb("rm", "container rm")
async def remove(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "rm", (), ("force", "volumes"), "f=force v=volumes")
    return await _each(cli, given.args, "DELETE", "/containers/{}", force="1" if given.has("force") else "0")


@verb("stop", "container stop")
async def stop(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "stop", ("time", "timeout"), (), "t=time")
    return await _each(cli, given.args, "POST", "/containers/{}/stop")


@verb("kill", "container kill")
async def kill(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "kill", ("signal",), (), "s=signal")
    return await _each(cli, given.args, "POST", "/containers/{}/kill")


@verb("start", "container start")
async def start(cli: Cli, words: list[str]) -> Output:
    return await _each(cli, _named(words, "start").args, "POST", "/containers/{}/start")


@verb("restart", "container restart")
async def restart(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "restart", ("time", "timeout"), (), "t=time")
    await _each(cli, given.args, "POST", "/containers/{}/stop")
    return await _each(cli, given.args, "POST", "/containers/{}/start")


@verb("wait", "container wait")
async def wait(cli: Cli, words: list[str]) -> Output:
    out = ""
    for name in _named(words, "wait").args:
        try:
            found = await cli.get(f"/containers/{quote(name, safe='')}/json")
            while found["State"]["Running"]:
                await cli.context.world.kernel.sleep(0.5)
                found = await cli.get(f"/containers/{found['Id']}/json")
            out += f"{found['State']['ExitCode']}\n"
        except CliError:
            if not out and not any(one.name == name for one in cli.context.host.containers.values()):
                raise
            out += "0\n"
    return Output(out=out)


async def _inspect(cli: Cli, words: list[str], *paths: str) -> Output:
    given = _named(words, "inspect", ("format", "type"), ("size",), "f=format s=size")
    found, failures = [], []
    for name in given.args:
        for at, path in enumerate(paths, 1):
            try:
                found.append(await cli.get(path.format(quote(name, safe="/:"))))
                break
            except CliError as error:
                if at == len(paths):
                    failures.append(str(error) if len(paths) == 1 else f"Error: No such object: {name}")
    return Output(inspected(found, given.one("format")), "".join(f"{line}\n" for line in failures), bool(failures))


@verb("inspect")
async def inspect(cli: Cli, words: list[str]) -> Output:
    return await _inspect(cli, words, "/containers/{}/json", "/images/{}/json", "/volumes/{}")


@verb("container inspect")
async def inspect_container(cli: Cli, words: list[str]) -> Output:
    return await _inspect(cli, words, "/containers/{}/json")


@verb("image inspect")
async def inspect_image(cli: Cli, words: list[str]) -> Output:
    return await _inspect(cli, words, "/images/{}/json")


@verb("volume inspect")
async def inspect_volume(cli: Cli, words: list[str]) -> Output:
    return await _inspect(cli, words, "/volumes/{}")


@verb("volume create")
async def create_volume(cli: Cli, words: list[str]) -> Output:
    given = options(words, ("driver", "label", "opt"), (), "d=driver o=opt")
    labels = dict(one.partition("=")[::2] for one in given.all("label"))
    made = await cli.ask("POST", "/volumes/create", {"Name": (given.args or [""])[0], "Labels": labels})
    return Output(out=f"{made['Name']}\n")


@verb("volume rm", "volume remove")
async def remove_volume(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "volume rm", (), ("force",), "f=force")
    return await _each(cli, given.args, "DELETE", "/volumes/{}", force="1" if given.has("force") else "0")


@verb("pull", "image pull")
async def pull(cli: Cli, words: list[str]) -> Output:
    given = _named(words, "pull", ("platform",), ("quiet", "all-tags"), "q=quiet a=all-tags")
    await cli.get("/_ping")
    world, host = cli.context.world, cli.context.host
    product, _, tag = given.args[0].partition(":")
    full = f"{product}:{tag or 'latest'}"
    if full not in host.images and full not in world.registry:
        raise CliError(
            f"Error response from daemon: pull access denied for {product}, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied"
        )
    world.remember_image(host, full, images.behaviour(full, ()).size)
    return Output(out=f"{tag or 'latest'}: Pulling from {product}\nStatus: Image is up to date for {full}\n{full}\n")


@verb("logs", "container logs")
async def logs(cli: Cli, words: list[str]) -> Output:
    """Only what a container of UCP that failed has to say."""
    given = _named(words, "logs", ("tail", "since"), ("timestamps", "follow"), "n=tail f=follow t=timestamps")
    found = await cli.get(f"/containers/{quote(given.args[0], safe='')}/json")
    code = found["State"]["ExitCode"]
    return Output(err=f'{{"level":"fatal","msg":"unable to reconcile: exit status {code}"}}\n' if code else "")
