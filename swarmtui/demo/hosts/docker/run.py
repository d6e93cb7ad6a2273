"""`docker run` and `docker container run`, for the images of UCP and DTR only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from swarmtui.demo.hosts.docker.base import Cli, Usage, verb
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.platform import dtr_commands, ucp_commands
from swarmtui.demo.platform.commands import Call, Log, plain
from swarmtui.demo.platform.dtr_releases import DTR_RELEASES
from swarmtui.demo.platform.releases import RELEASES
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.world import World

_BARE = {"--rm", "-i", "--interactive", "-t", "--tty"}
_VALUED = {
    "--name", "-v", "--volume", "--log-driver", "-e", "--env", "--security-opt", "--network", "--net", "--pull",
    "--label", "-l", "--user", "-u", "--hostname",
}  # fmt: skip


@dataclass(slots=True)
class Run:
    """What was asked of `docker run`. `mounts` has the path inside → path on the host, or name of a volume."""

    image: str = ""
    args: list[str] = field(default_factory=list)
    name: str = ""
    mounts: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    pull: str = "missing"
    interactive: bool = False
    tty: bool = False
    rm: bool = False


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
        if name in _BARE or (set(word[1:]) <= set("it") and not word.startswith("--")):
            letters = word.lstrip("-")
            run.interactive |= name == "--interactive" or (not word.startswith("--") and "i" in letters)
            run.tty |= name == "--tty" or (not word.startswith("--") and "t" in letters)
            run.rm |= name == "--rm"
            continue
        if name not in _VALUED:
            raise Usage(f"unknown flag: {name}")
        if not equals:
            if not rest:
                raise Usage(f"flag needs an argument: {name}")
            value = rest.pop(0)
        _option(run, name, value, env)
    if not rest:
        raise Usage('"docker run" requires at least 1 argument.')
    run.image, run.args = rest[0], rest[1:]
    return run


def _option(run: Run, name: str, value: str, env: dict[str, str]) -> None:
    if name == "--name":
        run.name = value
    elif name in ("-v", "--volume"):
        source, _, target = value.partition(":")
        run.mounts[target.partition(":")[0]] = source
    elif name in ("-e", "--env"):
        key, given, text = value.partition("=")
        if given or key in env:
            run.env[key] = text if given else env[key]
    elif name == "--security-opt":
        run.labels["opt"] = f"{run.labels.get('opt', '')} {value}".strip()
    elif name in ("-l", "--label"):
        key, _, text = value.partition("=")
        run.labels[key] = text
    elif name == "--pull":
        run.pull = value


def _missing(world: World, host: Host, run: Run, emit: Callable[[int, str], None]) -> Output | None:
    """Pull what is not there, if that can be had; else what docker says."""
    product, _, tag = run.image.partition(":")
    full = f"{product}:{tag or 'latest'}"
    if full in host.images:
        return None
    if run.pull == "never":
        return plain(125, f"Error response from daemon: No such image: {full}.")
    emit(2, f"Unable to find image '{full}' locally\n")
    if full not in world.registry:
        return plain(125, f"Error response from daemon: pull access denied for {product}, repository does not exist.")
    emit(2, f"{tag}: Pulling from {product}\nStatus: Downloaded newer image for {full}\n")
    world.remember_image(host, full, 60 << 20)
    return None


def _conflict(host: Host, name: str) -> Output | None:
    taken = next((one for one in host.containers.values() if name and one.name == name), None)
    if taken is None:
        return None
    return plain(
        125,
        f'Error response from daemon: Conflict. The container name "/{name}" is already in use by container '
        f'"{taken.id}". You have to remove (or rename) that container to be able to reuse that name.\n'
        "See 'docker run --help'.",
    )


@verb("run", "container run")
async def run_container(cli: Cli, words: list[str]) -> Output:
    context = cli.context
    run = parse(words, context.env)
    world, host = context.world, context.host
    await cli.get("/_ping")
    if run.tty and run.interactive:
        return Output(err="the input device is not a TTY\n", code=1)
    output = Output()
    attached = True

    def emit(descriptor: int, text: str) -> None:
        """On a terminal both streams are one, and its lines end otherwise."""
        if not attached:
            return
        if run.tty:
            descriptor, text = 1, text.replace("\n", "\r\n")
        if context.emit is not None:
            context.emit(descriptor, text)
        elif descriptor == 1:
            output.out += text
        else:
            output.err += text

    refused = _missing(world, host, run, emit) or _conflict(host, run.name)
    if refused is not None:
        refused.err = output.err + refused.err
        return refused
    container = _create(world, host, run)
    call = Call(
        world, host, run.args, run.env, context.stdin if run.interactive else b"",
        Log(world, lambda text: emit(2, text), tty=run.tty, begin=world.kernel.now()),
        emit, container, run.mounts,
    )  # fmt: skip
    work = asyncio.ensure_future(_whole(call, run, _program(call, run.image)))
    world.runs.add(work)
    work.add_done_callback(world.runs.discard)
    try:
        output.code = await asyncio.shield(work)
    except asyncio.CancelledError:
        # The container goes on without its client, unless that one has passed a signal on.
        attached = False
        if context.struck() and container.state == "running":
            container.state, container.exit_code, container.finished = "exited", 2, world.kernel.now()
        raise
    return output


def _create(world: World, host: Host, run: Run) -> Container:
    container = Container(
        id=world.ids.container(),
        name=run.name or f"quirky_{world.ids.random.getrandbits(24):06x}",
        image=run.image,
        command=list(run.args),
        created=world.kernel.now(),
        labels=dict(run.labels),
        state="running",
        started=world.kernel.now(),
        pid=host.next_pid(),
    )
    host.containers[container.id] = container
    return container


async def _program(call: Call, image: str) -> int:
    if image in RELEASES:
        return await ucp_commands.run(call, RELEASES[image])
    if image in DTR_RELEASES:
        return await dtr_commands.run(call, DTR_RELEASES[image])
    call.log.write("a simulated host knows what the images of UCP and DTR do, and no others\n")
    return 127


async def _whole(call: Call, run: Run, program: Awaitable[int]) -> int:
    """Run it, and leave of its container what docker would."""
    container = call.container
    code = 137
    try:
        code = await program
    finally:
        if run.rm:
            call.host.containers.pop(container.id, None)
        elif container.state == "running":
            container.state, container.exit_code, container.pid = "exited", code, 0
            container.finished = call.world.kernel.now()
    return code
