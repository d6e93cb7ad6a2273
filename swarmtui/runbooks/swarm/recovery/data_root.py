"""Where Docker keeps its data on a host, also while it does not run: the swarm directory is in there."""

from __future__ import annotations

import contextlib
import json
import re

from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.together import together
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen

DEFAULT = "/var/lib/docker"
QUESTION_SECONDS = 15.0
RUNNING = "docker info --format '{{.DockerRootDir}}'"
START = "systemctl show --property=ExecStart docker.service"
SETTINGS = "cat /etc/docker/daemon.json"
_FLAG = re.compile(r"\s(?:--data-root|--graph|-g)[= ]([^\s;]+)")
_FOLDER = re.compile(r"/[A-Za-z0-9._/-]{1,200}")


async def data_root(host: SshHost, seen: HostSeen) -> str:
    """The data root of Docker on a host; the usual one where nobody tells. Changes nothing, and starts nothing.

    Args:
        seen: what was found out of that host just now (`look_at`): the socket is only touched where Docker runs.

    Raises:
        LinkError: the connection was lost.
    """
    at = seen.at
    # A manager without a leader takes 20 s and more for any answer (swarm-dr.md §4): its configuration tells at once.
    if not seen.docker_down and not seen.silent and not seen.swarm.error:
        try:
            told = await host.run(at.root(RUNNING), timeout=QUESTION_SECONDS)
            if told.code == 0 and _usable(folder := told.out.strip()):
                return folder
        except LinkError as error:
            if error.reason is not Reason.TIMEOUT:
                raise
    started, settings = await together(
        host.run(START, timeout=QUESTION_SECONDS), host.run(at.root(SETTINGS), timeout=QUESTION_SECONDS)
    )
    return configured_root(started.out, settings.out)


async def swarm_folder(host: SshHost, seen: HostSeen) -> str:
    """The swarm directory of a host, be it there or not. Raises LinkError."""
    return f"{await data_root(host, seen)}/swarm"


def configured_root(started: str, settings: str) -> str:
    """The data root as it is configured. Pure.

    Args:
        started: ExecStart as systemd shows it.
        settings: the daemon's configuration file; "" where there is none.
    """
    # dockerd refuses to start where the flag and the file both name one, so their order does not matter.
    if (flag := _FLAG.search(started)) is not None and _usable(flag[1]):
        return flag[1].rstrip("/")
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(settings)
        for key in ("data-root", "graph"):
            if isinstance(folder := told.get(key), str) and _usable(folder):
                return folder.rstrip("/")
    return DEFAULT


def _usable(folder: str) -> bool:
    return bool(_FOLDER.fullmatch(folder)) and "/../" not in f"{folder}/"
