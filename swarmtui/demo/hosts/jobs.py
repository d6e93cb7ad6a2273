"""Transient units of systemd on the simulated hosts: `systemd-run`, what it starts, and what ends that."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.script import Shell
from swarmtui.demo.hosts.script_signals import SIGNALS
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host

_FLAGS = {"--quiet", "-q", "--collect", "-G", "--no-block", "--no-ask-password"}
_KNOWN = {"ExecStopPost", "TimeoutStopSec", "Description", "KillMode", "Type"}


@dataclass
class Unit:
    """A unit that runs one script, and another one when that has ended, however it ended.

    Attributes:
        shell: what runs the script.
        path: the script.
        after: the scripts of ExecStopPost.
        state: as `systemctl is-active` shows it.
        pid: the process id of the main process while it runs.
    """

    name: str
    host: Host
    shell: Shell
    path: str
    after: list[str]
    pid: int
    state: str = "active"
    task: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _main: asyncio.Task[Output] | None = None

    def start(self) -> None:
        """Run it."""
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            self._main = asyncio.ensure_future(self.shell.script(self.path, []))
            await asyncio.wait([self._main])
            self.pid = 0
            self.state = "deactivating"
            for path in self.after:
                # A shell of its own: what was done to the main process does not matter to it.
                await Shell(self.host, self.shell.now, self.shell.external).script(path, [])
        finally:
            if self._main is not None and not self._main.done():
                self._main.cancel()
            self.state = "inactive"
            if self.host.processes.get(self.name) is self:
                del self.host.processes[self.name]
            self.ended.set()

    def signal(self, name: str) -> None:
        """A signal to everything in it, as systemd and `kill` of the main process come to."""
        if name == "KILL":
            if self._main is not None:
                self._main.cancel()
        else:
            self.shell.family.signal(name)

    def lose_power(self) -> None:
        """The host went off: nothing of it runs any more, ExecStopPost neither."""
        if self._main is not None:
            self._main.cancel()
        if self.task is not None:
            self.task.cancel()


@command("systemd-run")
async def systemd_run(context: Context) -> Output:
    """Only `systemd-run [--quiet] [--collect] --unit=NAME [--property=…] /bin/sh SCRIPT`."""
    args = list(context.args)
    name, after = "", []
    while args and args[0].startswith("-"):
        word = args.pop(0)
        if word in ("-p", "--property", "--unit", "-u") and args:
            word = f"{'--property' if word in ('-p', '--property') else '--unit'}={args.pop(0)}"
        key, _, value = word.partition("=")
        if word in _FLAGS or key == "--description":
            continue
        if key == "--unit":
            name = value.removesuffix(".service")
        elif key == "--property" and value.partition("=")[0] in _KNOWN:
            if value.startswith("ExecStopPost="):
                given = shlex.split(value.partition("=")[2])
                if len(given) != 2 or given[0] not in ("/bin/sh", "/usr/bin/sh"):
                    return _refused("ExecStopPost takes `/bin/sh SCRIPT' on a simulated host")
                after.append(given[1])
        else:
            return _refused(f"{word} is not known on a simulated host")
    if not name or len(args) != 2 or args[0] not in ("/bin/sh", "/usr/bin/sh", "sh"):
        return _refused("only `--unit=NAME … /bin/sh SCRIPT' is known on a simulated host")
    host, world = context.host, context.world
    if name in host.processes:
        return Output(err=f"Failed to start transient service unit: Unit {name}.service already exists.\n", code=1)
    shell = Shell(host, world.kernel.now, context.external)
    shell.cwd = "/"
    unit = Unit(name, host, shell, args[1], after, host.next_pid())
    host.processes[name] = unit
    unit.start()
    quiet = "--quiet" in context.args or "-q" in context.args
    return Output(err="" if quiet else f"Running as unit: {name}.service\n")


def _refused(why: str) -> Output:
    return Output(err=f"systemd-run: {why}\n", code=1)


def unit_of(host: Host, name: str) -> Unit | None:
    """The transient unit of a name, while it is there."""
    found = host.processes.get(name.removesuffix(".service"))
    return found if isinstance(found, Unit) else None


async def stop(unit: Unit) -> None:
    """`systemctl stop` of it."""
    unit.signal("TERM")
    await unit.ended.wait()


def signal_name(word: str) -> str:
    """TERM, KILL, … of a name or a number; empty for one that is not known."""
    bare = word.upper().removeprefix("SIG")
    return next((name for name, number in SIGNALS.items() if bare in (name, str(number))), "")


@command("kill")
async def kill(context: Context) -> Output:
    """Only of the main processes of units."""
    args = list(context.args)
    name = "TERM"
    if args and args[0].startswith("-"):
        word = args.pop(0)
        name = signal_name(args.pop(0) if word == "-s" and args else word.lstrip("-"))
    if not name or not args or not all(word.isdigit() for word in args):
        return Output(err="kill: only `kill [-SIGNAL] PID…' is known on a simulated host\n", code=2)
    result = Output()
    for word in args:
        units = [unit for unit in context.host.processes.values() if isinstance(unit, Unit) and unit.pid == int(word)]
        for unit in units:
            unit.signal(name)
        if not units:
            result.err += "sh: 1: kill: No such process\n"
            result.code = 1
    return result


@command("timeout")
async def timeout(context: Context) -> Output:
    """`timeout [--foreground] SECONDS COMMAND…`."""
    args = [word for word in context.args if word != "--foreground"]
    if len(args) < 2 or not args[0].replace(".", "", 1).isdigit():
        return Output(err="timeout: only `timeout SECONDS COMMAND…' is known on a simulated host\n", code=125)
    task = asyncio.ensure_future(context.run(args[1:]))
    timer = context.world.kernel.after(float(args[0]), lambda: None if task.done() else _strike(task, struck))
    struck: list[bool] = []
    try:
        return await task
    except asyncio.CancelledError:
        if not struck:
            raise
        return Output(code=124)
    finally:
        timer.cancel()


def _strike(task: asyncio.Future[Output], struck: list[bool]) -> None:
    struck.append(True)
    task.cancel()


@command("env", "nice", "ionice")
async def env(context: Context) -> Output:
    """Another command, with variables that nothing here looks at."""
    args = list(context.args)
    while args and (args[0].startswith("-") or ("=" in args[0] and args[0].partition("=")[0].isidentifier())):
        word = args.pop(0)
        if word in ("-n", "-c") and args:
            args.pop(0)
        elif word.startswith("-") and not word[1:].lstrip("nc").isdigit():
            return Output(err=f"env: {word} is not known on a simulated host\n", code=125)
    if not args:
        return Output(err="env: only `env NAME=VALUE… COMMAND…' is known on a simulated host\n", code=125)
    return await context.run(args)
