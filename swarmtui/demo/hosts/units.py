"""Power and services of the simulated hosts: systemctl, service, journalctl, reboot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from swarmtui.demo.hosts import jobs
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world import faults, returners
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import DOCKER_START, DOCKER_STOP

VERSION = "systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK +SECCOMP +GCRYPT\n"
_DOCKERD = (
    "{ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; "
    "start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
)
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
    if context.args == ["--version"]:
        return Output(out=VERSION)
    if words[:1] == ["kill"]:
        return _kill(context, words[1:])
    if words == ["reboot"]:
        return await reboot(context)
    if words[:1] == ["is-system-running"]:
        return Output(out="running\n")
    if words[:1] == ["show"]:
        return _show(context, words[1:])
    if words == ["daemon-reload"]:
        return Output()
    if len(words) < 2:
        return Output(err="Too few arguments.\n", code=1)
    return await _unit(context, words[0], words[1:])


def _states(host: Host) -> dict[str, str]:
    """The units of a host, with their states as `is-active` shows them."""
    docker = "active" if host.docker else "failed" if host.docker_failed else "inactive"
    always = dict.fromkeys(("ssh", "sshd", "cron", "containerd"), "active")
    transient = {name: unit.state for name, unit in host.processes.items() if isinstance(unit, jobs.Unit)}
    return {"docker": docker, "docker.socket": "active" if host.socket else "inactive", **always, **transient}


def _show(context: Context, names: list[str]) -> Output:
    """`systemctl show`: it knows units that do not exist as well."""
    states = _states(context.host)
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
        found, state = unit in states, states.get(unit, "inactive")
        working = "listening" if unit.endswith(".socket") else "running"
        transient = jobs.unit_of(context.host, unit)
        properties = {
            "Id": unit if "." in unit else f"{unit}.service",
            "LoadState": "masked" if unit in context.host.masked else "loaded" if found else "not-found",
            "ActiveState": state,
            "SubState": {"active": working, "deactivating": "stop-post", "failed": "failed"}.get(state, "dead"),
            "MainPID": str(transient.pid if transient is not None else 612 if unit == "docker" and found else 0),
            "UnitFileState": "transient" if transient is not None else _enabled(context.host, unit) if found else "",
            "ExecStart": _DOCKERD if unit == "docker" else "",
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
    if host.swarm is not None and returners.disowned(context.world, host):
        why = f"Permission denied: node {host.swarm.node_id} was removed from swarm"
        lines.append(
            f'{when} {host.name} dockerd[612]: level=error msg="error receiving response" error="rpc error: '
            f"code = PermissionDenied desc = Permission denied: unauthorized peer role: rpc error: "
            f'code = PermissionDenied desc = {why}"'
        )
    if not host.docker:
        lines.append(f"{when} {host.name} systemd[1]: Stopped Docker Application Container Engine.")
    return Output(out="".join(f"{line}\n" for line in lines))


def _kill(context: Context, names: list[str]) -> Output:
    """`systemctl kill [-s SIGNAL] UNIT`, of transient units only."""
    signal = next((word.partition("=")[2] for word in context.args if word.startswith("--signal=")), "TERM")
    if "-s" in context.args and len(names) == 2:
        signal, names = names[0], names[1:]
    unit = jobs.unit_of(context.host, names[0]) if len(names) == 1 else None
    if unit is None or not jobs.signal_name(signal):
        return Output(err=f"Failed to kill unit {' '.join(names)}: Unit not loaded.\n", code=1)
    unit.signal(jobs.signal_name(signal))
    return Output()


async def _unit(context: Context, verb: str, names: list[str]) -> Output:
    host = context.host
    bare = [name.removesuffix(".service") for name in names]
    states = _states(host)
    if verb in ("is-active", "status"):
        found = [states.get(unit, "inactive") for unit in bare]
        quiet = "-q" in context.args or "--quiet" in context.args
        text = "" if quiet else "".join(f"{state}\n" for state in found)
        return Output(out=text, code=0 if "active" in found else 3)
    for unit in sorted(set(bare) - set(states)):
        return Output(err=f"Failed to {verb} {unit}.service: Unit {unit}.service not found.\n", code=5)
    if verb == "is-enabled":
        found = [_enabled(host, unit) for unit in bare]
        return Output(out="".join(f"{state}\n" for state in found), code=0 if "enabled" in found else 1)
    if verb == "stop":
        for unit in bare:
            if (transient := jobs.unit_of(host, unit)) is not None:
                await jobs.stop(transient)
        return await _stop(context, set(bare))
    if verb in ("start", "restart", "reload-or-restart"):
        if hidden := sorted(set(bare) & host.masked):
            return Output(err=f"Failed to {verb} {_full(hidden[0])}: Unit {_full(hidden[0])} is masked.\n", code=1)
        return await _start(context, set(bare), again=verb != "start")
    if verb == "reset-failed":
        host.docker_failed = False
        return Output()
    if verb in ("enable", "disable", "mask", "unmask"):
        return await _settings(context, verb, bare)
    return Output(err=f"Unknown command verb {verb}.\n", code=1)


def _full(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"


def _enabled(host: Host, unit: str) -> str:
    return "masked" if unit in host.masked else "disabled" if unit in host.disabled else "enabled"


_WANTS = {"docker": "multi-user.target.wants", "docker.socket": "sockets.target.wants"}


async def _settings(context: Context, verb: str, units: list[str]) -> Output:
    """Whether units start with the host, or at all; with --now they are started or stopped as well."""
    host = context.host
    result = Output()
    for unit in units:
        known = host.masked if "mask" in verb else host.disabled
        on = verb in ("enable", "unmask")
        if on == (unit not in known):
            continue
        if verb == "enable" and unit in host.masked:
            full = _full(unit)
            return Output(err=f"Failed to enable unit: Unit file /etc/systemd/system/{full} is masked.\n", code=1)
        known.symmetric_difference_update({unit})
        where = f"/etc/systemd/system/{'' if 'mask' in verb else _WANTS.get(unit, '') + '/'}{_full(unit)}"
        target = "/dev/null" if "mask" in verb else f"/lib/systemd/system/{_full(unit)}"
        made = verb in ("enable", "mask")
        result.err += f"Created symlink {where} → {target}.\n" if made else f'Removed "{where}".\n'
    if "--now" in context.args and verb != "unmask":
        happened = await (_start(context, set(units), again=False) if verb == "enable" else _stop(context, set(units)))
        result.err, result.code = result.err + happened.err, happened.code
    return result


async def _settled(context: Context, delay: float, action: Callable[[], None]) -> None:
    """What systemd does goes on also when nobody waits for it any more."""
    context.world.kernel.after(delay, action)
    await context.world.kernel.sleep(delay)


async def _stop(context: Context, units: set[str]) -> Output:
    host, world = context.host, context.world
    text = ""
    if "docker" in units and (host.docker or "docker.socket" in units):
        socket_too = "docker.socket" in units
        if socket_too:
            host.socket = False
            world.on_host_change(host)
        while faults.DOCKER_WILL_NOT_STOP in host.faults:
            await world.kernel.sleep(1.0)
        boot = host.boot
        await _settled(
            context,
            DOCKER_STOP,
            lambda: world.stop_docker(host, socket=socket_too) if host.powered and host.boot == boot else None,
        )
        if host.socket and not socket_too:
            text = "Warning: Stopping docker.service, but it can still be activated by:\n  docker.socket\n"
    elif "docker.socket" in units:
        host.socket = False
        world.on_host_change(host)
    return Output(err=text)


async def _start(context: Context, units: set[str], *, again: bool) -> Output:
    host, world = context.host, context.world
    if "docker" in units:
        if again:
            await world.kernel.sleep(DOCKER_STOP)
            world.stop_docker(host, socket=False)
        if faults.DOCKER_WILL_NOT_START in host.faults and not host.docker:
            await world.kernel.sleep(DOCKER_START)
            host.docker_failed = True
            return Output(
                err="Job for docker.service failed because the control process exited with error code.\n"
                'See "systemctl status docker.service" and "journalctl -xeu docker.service" for details.\n',
                code=1,
            )
        await _settled(context, DOCKER_START, lambda: world.start_docker(host))
        await world.until_answers(host)
    elif "docker.socket" in units:
        host.socket = True
        world.on_host_change(host)
    return Output()
