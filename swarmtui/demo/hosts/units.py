"""Power and services of the simulated hosts: systemctl, service, journalctl, reboot."""

from __future__ import annotations

from datetime import UTC, datetime

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import DOCKER_START, DOCKER_STOP

USERSPACE = 2.0
"""Seconds from the start of the kernel to that of systemd."""


@command("reboot")
async def reboot(context: Context) -> Output:
    context.world.kernel.after(0.2, lambda: context.world.reboot(context.host))
    return Output()


@command("service")
async def service(context: Context) -> Output:
    if len(context.args) != 2:
        return Output(err="Usage: service < option > | --status-all | [ service_name [ command ] ]\n", code=1)
    return await _unit(context, context.args[1], [context.args[0]])


@command("systemctl")
async def systemctl(context: Context) -> Output:
    words = [word for word in context.args if not word.startswith("-")]
    if words == ["reboot"]:
        return await reboot(context)
    if words[:1] == ["is-system-running"]:
        return Output(out="running\n")
    if words[:1] == ["show"]:
        return _show(context, words[1:])
    if len(words) < 2:
        return Output(err="Too few arguments.\n", code=1)
    return await _unit(context, words[0], words[1:])


def _units(host: Host) -> dict[str, bool]:
    """The units of a host: does each of them run?"""
    always = dict.fromkeys(("ssh", "sshd", "cron", "containerd"), True)
    return {"docker": host.docker, "docker.socket": host.socket, **always}


def _show(context: Context, names: list[str]) -> Output:
    """`systemctl show`: it knows units that do not exist as well."""
    active = _units(context.host)
    options = [word for word in context.args if word.startswith("-")]
    wanted = [name for word in options if word.startswith("--property=") for name in word.split("=", 1)[1].split(",")]
    if any(not word.startswith("--property=") and word != "--value" for word in options):
        return Output(err="systemctl: only --property=… and --value are known on a simulated host\n", code=1)
    blocks = []
    if not names:
        # systemd itself; the only one of its properties that anybody asks for.
        if wanted != ["UserspaceTimestampMonotonic"] or "--value" in options:
            return Output(err="systemctl: only UserspaceTimestampMonotonic is known of systemd here\n", code=1)
        return Output(out=f"UserspaceTimestampMonotonic={int(USERSPACE * 1e6)}\n")
    started = context.host.docker_since - context.host.boot
    for name in names:
        unit = name.removesuffix(".service")
        found, runs = unit in active, active.get(unit, False)
        working = "listening" if unit.endswith(".socket") else "running"
        properties = {
            "Id": unit if "." in unit else f"{unit}.service",
            "LoadState": "loaded" if found else "not-found",
            "ActiveState": "active" if runs else "inactive",
            "SubState": working if runs else "dead",
            "UnitFileState": "enabled" if found else "",
            "ActiveEnterTimestampMonotonic": str(int(max(started, USERSPACE) * 1e6)) if unit == "docker" else "0",
        }
        shown = {key: value for key, value in properties.items() if not wanted or key in wanted}
        blocks.append("".join(f"{v}\n" if "--value" in options else f"{k}={v}\n" for k, v in shown.items()))
    return Output(out="\n".join(blocks))


@command("journalctl")
async def journalctl(context: Context) -> Output:
    """Of Docker's unit: when it started last, and what its Swarm complains of."""
    if "docker" not in {word.removesuffix(".service") for word in context.args}:
        return Output(err="journalctl: only `-u docker' is known on a simulated host\n", code=1)
    host = context.host
    when = datetime.fromtimestamp(host.docker_since, UTC).strftime("%b %d %H:%M:%S")
    lines = [f"{when} {host.name} systemd[1]: Started Docker Application Container Engine."]
    if host.swarm is not None and host.swarm.locked:
        lines.append(f"{when} {host.name} dockerd[612]: cluster exited with error: swarm is encrypted")
    if not host.docker:
        lines.append(f"{when} {host.name} systemd[1]: Stopped Docker Application Container Engine.")
    return Output(out="".join(f"{line}\n" for line in lines))


async def _unit(context: Context, verb: str, names: list[str]) -> Output:
    host, world = context.host, context.world
    units = {name.removesuffix(".service") for name in names}
    active = _units(host)
    for unit in sorted(units - set(active)):
        return Output(err=f"Failed to {verb} {unit}.service: Unit {unit}.service not found.\n", code=5)
    if verb in ("is-active", "status"):
        ordered = [name.removesuffix(".service") for name in names]
        states = ["active" if active[unit] else "inactive" for unit in ordered]
        quiet = "-q" in context.args or "--quiet" in context.args
        text = "" if quiet else "".join(f"{state}\n" for state in states)
        return Output(out=text, code=0 if all(s == "active" for s in states) else 3)
    if verb == "is-enabled":
        return Output(out="enabled\n" * len(units))
    if verb == "stop":
        text = ""
        if "docker" in units:
            await world.kernel.sleep(DOCKER_STOP)
            socket_too = "docker.socket" in units
            world.stop_docker(host, socket=socket_too)
            if host.socket and not socket_too:
                text = "Warning: Stopping docker.service, but it can still be activated by:\n  docker.socket\n"
        elif "docker.socket" in units:
            host.socket = False
            world.on_host_change(host)
        return Output(err=text)
    if verb in ("start", "restart", "reload-or-restart"):
        if "docker" in units:
            if verb != "start":
                await world.kernel.sleep(DOCKER_STOP)
                world.stop_docker(host, socket=False)
            await world.kernel.sleep(DOCKER_START)
            world.start_docker(host)
            await world.until_answers(host)
        elif "docker.socket" in units:
            host.socket = True
            world.on_host_change(host)
        return Output()
    if verb in ("enable", "disable", "daemon-reload", "reset-failed"):
        return Output()
    return Output(err=f"Unknown command verb {verb}.\n", code=1)
