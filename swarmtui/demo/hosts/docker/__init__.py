"""The docker command of the simulated hosts: it asks the host's own engine, as the real one does."""

from __future__ import annotations

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.docker import local, nodes, run, services, stack, swarm, system
from swarmtui.demo.hosts.docker.base import VERBS, Cli, CliError, Usage
from swarmtui.demo.hosts.shell import Output

GROUPS = (local, nodes, run, services, stack, swarm, system)
"""The modules whose subcommands are known; importing them registers them."""


@command("docker")
async def docker(context: Context) -> Output:
    cli = Cli(context)
    words = list(context.args)
    while words[:1] in (["-H"], ["--host"], ["--context"], ["-c"]):
        words = words[2:]
    if words[:1] in (["--version"], ["-v"]):
        return Output(out=f"Docker version {context.host.engine}, build 5d6db84\n")
    for length in (2, 1):
        verb = VERBS.get(" ".join(words[:length]))
        if verb is not None and len(words) >= length:
            try:
                return await verb(cli, words[length:])
            except Usage as error:
                return Output(err=f"{error}\nSee 'docker {' '.join(words[:length])} --help'.\n", code=125)
            except CliError as error:
                return Output(err=f"{error}\n", code=1)
    if not words:
        return Output(out="Usage:  docker [OPTIONS] COMMAND\n")
    return Output(err=f"docker: '{words[0]}' is not a docker command.\nSee 'docker --help'\n", code=1)
