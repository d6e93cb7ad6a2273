"""Whether the NFS server for the images answers where a replica will mount it (procedures.md T2: storage checked).

Asked from the replica's own host, since nobody else's way there counts. Only that a port opens is seen: whether the
server lets this host mount that path only the mount itself shows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link.together import together
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.ucp.places import Place
from swarmtui.session import Session

NFS: Final = "nfs://"
PORT: Final = 2049
"""Of NFS; 3 wants that of rpcbind (111) besides, 4 wants no other."""
SECONDS: Final = 20.0
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
"""What is put into a command is a name or an address, and nothing else."""


class NfsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's host saw of the server.

    Attributes:
        node, server: names, for sentences.
        answers: None where it was not tried; why: why not, without its full stop.
    """

    node: str
    server: str
    answers: bool | None = None
    why: str = ""


def server_of(storage: str) -> str | None:
    """The server in nfs://SERVER/PATH; "" where it is none that can be tried, None where images are kept elsewhere."""
    if not storage.startswith(NFS):
        return None
    host = storage.removeprefix(NFS).partition("/")[0]
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return host if _NAME.fullmatch(host) else ""


async def look_at_nfs(session: Session, nodes: Sequence[Place], storage: str) -> tuple[NfsSeen, ...]:
    """Tries the server from each node's host, all at once. Never fails: what cannot be tried says why.

    Args:
        storage: where the images are kept; where that is no nfs://, nothing is to be looked at.
    """
    server = server_of(storage)
    if server is None:
        return ()

    async def one(node: Place) -> NfsSeen:
        name = one_line(node.name)
        if not server:
            host = one_line(storage)[:80]
            return NfsSeen(node=name, server=host, why="that is neither a name nor an address of a host")
        try:
            opens = await _opens(session, node, server)
        except SwarmtuiError as error:
            return NfsSeen(node=name, server=server, why=one_line(error.what).rstrip("."))
        why = f"there is no bash or no timeout on {name}" if opens is None else ""
        return NfsSeen(node=name, server=server, answers=opens, why=why)

    return tuple(await together(*(one(node) for node in nodes)))


async def _opens(session: Session, node: Place, server: str) -> bool | None:
    host = await node.at.reach(session)
    if not probes.can_knock((await host.run(probes.TOOLS, timeout=SECONDS)).out):
        return None
    command = probes.knock("swarmtui", [(server, [("tcp", PORT)])])
    session.tell_look(f"{node.name}$ {command}")
    return (server, PORT) in probes.opened((await host.run(command, timeout=SECONDS)).out)


def nfs_warnings(seen: Iterable[NfsSeen]) -> tuple[str, ...]:
    """What is warned of: a server that does not answer; a sentence with what to do."""
    silent = [one for one in seen if one.answers is False]
    if not silent:
        return ()
    nodes, server = listed([one.node for one in silent]), silent[0].server
    return (
        f"{server} does not answer on TCP port {PORT} (NFS) from {nodes}: a replica could not mount its images there. "
        f"Look whether its name is known on {nodes}, whether NFS runs on {server}, and whether a firewall lets that "
        f"port through: timeout 4 bash -c ': </dev/tcp/{server}/{PORT}'",
    )


def nfs_notes(seen: Iterable[NfsSeen]) -> tuple[str, ...]:
    """What is told besides: where it answers, and where that was not checked."""
    every = tuple(seen)
    told = []
    if good := [one for one in every if one.answers]:
        told.append(
            f"{good[0].server} answers on TCP port {PORT} (NFS) from {listed([one.node for one in good])}. Whether it "
            "lets DTR mount and write only the mount shows."
        )
    told += [f"Whether {one.server} serves NFS to {one.node} was not checked: {one.why}." for one in every if one.why]
    return tuple(told)
