"""A look at a host that a backup is to be rehearsed on. Changes nothing there."""

from __future__ import annotations

import msgspec

from swarmtui.link.reasons import LinkError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.swarm import SwarmInfo
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import ENGINE, as_root, look
from swarmtui.runbooks.swarm.rehearsal.rehearse_facts import RehearsalHost
from swarmtui.runbooks.swarm.rehearsal.rehearse_place import LOCAL, Place
from swarmtui.session import Session

LOOK_SECONDS = 30.0
ENGINE_SECONDS = 40.0


async def look_at_host(session: Session, place: Place, target: str) -> RehearsalHost:
    """What a host has; never fails: what stands in the way is in `trouble`.

    Args:
        target: "local", or ssh://[USER@]HOST[:PORT].
    """
    host = RehearsalHost(target=target, label=place.label)
    if target != LOCAL:
        ssh = parse_target(target)
        assert isinstance(ssh, SshTarget)
        host = msgspec.structs.replace(host, destination=ssh.destination, port=ssh.port)
    try:
        return await _asked(session, place, host)
    except LinkError as error:
        return msgspec.structs.replace(host, trouble=error.what)


async def _asked(session: Session, place: Place, host: RehearsalHost) -> RehearsalHost:
    async def ask(line: str, seconds: float = LOOK_SECONDS) -> tuple[int, str]:
        session.tell_look(f"{place.label}$ {line}")
        completed = await place.run(line, timeout=seconds)
        return completed.code, completed.out

    _, user = await ask("id -u")
    if user.strip() != "0":
        code, _ = await ask("sudo -n true")
        if code != 0:
            trouble = f"A rehearsal needs root, and on {place.label} we are not, and sudo -n does not make us."
            return msgspec.structs.replace(host, trouble=trouble)
        host = msgspec.structs.replace(host, sudo=True)
    _, told = await ask(as_root(look(), sudo=host.sudo))
    host = host.read(told)
    if not host.engine:
        return host
    _, told = await ask(as_root(ENGINE, sudo=host.sudo), ENGINE_SECONDS)
    try:
        return msgspec.structs.replace(host, swarm=msgspec.json.decode(told, type=SwarmInfo))
    except (msgspec.MsgspecError, ValueError):
        # It runs and tells nothing of use: then there is nothing to warn of either.
        return host
