"""`docker run` and `docker container run`, for docker/ucp and docker/dtr only."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarmtui.demo.hosts.docker.base import Cli, Usage, verb
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.platform import dtr_commands, ucp_commands
from swarmtui.demo.platform.commands import Call, Log
from swarmtui.demo.platform.dtr import VERSION as DTR
from swarmtui.demo.platform.ucp import VERSION as UCP

_BARE = {"--rm", "-i", "--interactive", "-t", "--tty", "-d", "--detach"}
_VALUED = {
    "--name",
    "-v",
    "--volume",
    "--log-driver",
    "-e",
    "--env",
    "--security-opt",
    "--network",
    "--net",
    "--env-file",
}


@dataclass(slots=True)
class Run:
    """What was asked of `docker run`."""

    image: str = ""
    args: list[str] = field(default_factory=list)
    name: str = ""
    volumes: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    interactive: bool = False
    tty: bool = False


def parse(words: list[str], env: dict[str, str]) -> Run:
    """Read the words after `run`. A variable that is only named takes its value from `env`.

    Raises:
        Usage: an option is unknown or has no value.
    """
    run = Run()
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _BARE or (set(word[1:]) <= set("itd") and not word.startswith("--")):
            letters = word.lstrip("-")
            run.interactive |= name == "--interactive" or (not word.startswith("--") and "i" in letters)
            run.tty |= name == "--tty" or (not word.startswith("--") and "t" in letters)
            continue
        if name not in _VALUED:
            raise Usage(f"unknown flag: {name}")
        if not equals:
            if not rest:
                raise Usage(f"flag needs an argument: {name}")
            value = rest.pop(0)
        if name == "--name":
            run.name = value
        elif name in ("-v", "--volume"):
            run.volumes.append(value)
        elif name in ("-e", "--env"):
            key, given, text = value.partition("=")
            run.env[key] = text if given else env.get(key, "")
    if not rest:
        raise Usage('"docker run" requires at least 1 argument.')
    run.image, run.args = rest[0], rest[1:]
    return run


@verb("run", "container run")
async def run_container(cli: Cli, words: list[str]) -> Output:
    run = parse(words, cli.context.env)
    host = cli.context.host
    await cli.get("/_ping")
    if run.tty:
        return Output(err="the input device is not a TTY\n", code=1)
    product, _, tag = run.image.partition(":")
    versions = {"docker/ucp": UCP, "docker/dtr": DTR}
    if product not in versions or (tag or "latest") != versions[product]:
        return Output(
            err=f"Unable to find image '{product}:{tag or 'latest'}' locally\n"
            f"docker: Error response from daemon: pull access denied for {product}, repository does not exist.\n",
            code=125,
        )
    if run.name and any(container.name == run.name for container in host.containers.values()):
        return Output(
            err=f'docker: Error response from daemon: Conflict. The container name "/{run.name}" is already in use.\n',
            code=125,
        )
    call = Call(
        cli.context.world,
        host,
        run.args,
        run.env,
        cli.context.stdin if run.interactive else b"",
        Log(cli.context.world),
    )
    if product == "docker/ucp":
        if not any(volume.startswith("/var/run/docker.sock:") for volume in run.volumes):
            call.log.fatal("unable to get valid Docker client: unable to ping Docker daemon")
            return call.log.output(b"", 1)
        if not run.name:
            run.name = "ucp"
        return await ucp_commands.run(call)
    return await dtr_commands.run(call)
