"""Waiting until UCP on a node is well: its components there, and what its web server says of itself (U3, U4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.ucp.errors import UcpError
from swarmtui.model.text import listed, one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Role, Version
from swarmtui.runbooks.node_waits import WaitStep, wait_line
from swarmtui.runbooks.runbook import Facts, Shown
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp import places
from swarmtui.runbooks.ucp.access import access, opened
from swarmtui.session import Session

SECONDS: Final = 900
"""How long UCP may take on a node: its images are pulled first."""
CORE: Final = {
    "manager": ("ucp-controller", "ucp-kv", "ucp-auth-store", "ucp-proxy"),
    "worker": ("ucp-proxy",),
}
"""Components without which a node of every version does not work."""


@dataclass(frozen=True, kw_only=True)
class WaitUcp(WaitStep):
    """Waits until UCP on a node is well. A manager must say so itself, on `/_ping`.

    Attributes:
        at: its host.
        role: of the node.
        version: of the UCP that it is to run.
        url: of its web server, for the commands as they are shown; "" for a worker.
    """

    at: Where
    version: Version
    role: Role = "manager"
    url: str = ""
    seconds: int = SECONDS

    @property
    def condition(self) -> str:
        if self.role == "manager":
            # Its own certificate was perhaps made a moment ago; nothing is sent to it but the question.
            return f"[ \"$(curl -sk -o /dev/null -w '%{{http_code}}' {self.url}/_ping)\" = 200 ]"
        ps = Shown(self.at.root("docker ps -q --filter name=^ucp-proxy$"), self.at.host, self.at.port).as_sh
        return f'[ -n "$({ps})" ]'

    @property
    def shown(self) -> tuple[Shown, ...]:
        words = f"{self.title[:1].lower()}{self.title[1:]}, at most {self.seconds} s"
        return (Shown(wait_line(self.condition, self.seconds), words=words, here=True),)

    async def missing(self, session: Session, before: Facts) -> tuple[str, int]:
        try:
            there = await places.look(session, self.at)
        except SwarmtuiError as error:
            return f"{self.name} does not tell what runs there: {error.what}", len(CORE[self.role]) + 1
        names = {part.name: part for part in there.parts}
        absent = [name for name in CORE[self.role] if name not in names or not names[name].runs]
        if absent:
            return f"UCP on {self.name}: not yet there are {', '.join(absent)}.", len(absent) + 1
        ill = [part for part in there.parts if not (part.well or part.replaced or false_alarm(self.version, part.name))]
        if ill:
            # Without their times: what is said anew every second hides what changes.
            told = listed([f"{part.name} ({part.state})" for part in ill], 3)
            return f"UCP on {self.name}: not yet well are {told}.", len(ill) + 1
        if self.role == "worker":
            return "", 0
        why = await ping(session, self.name)
        return (why, 1) if why else ("", 0)


def false_alarm(version: Version, name: str) -> bool:
    """Whether a release says "unhealthy" of this component though it is not (ucp-dtr.md §4.1): `/_ping` tells."""
    mended = facts.FALSE_ALARMS.get(name)
    return mended is not None and (version.major, version.minor) == mended[:2] and version.patch < mended[2]


async def ping(session: Session, name: str) -> str:
    """Why a manager's web server is not well yet, one sentence; "" where it says that it is."""
    await session.refresh()
    try:
        client = await opened(session, await access(session), node=name)
    except (UcpError, RefusedError) as error:
        return error.what
    async with client:
        answer = await client.ping()
    return "" if answer.ok else f"UCP on {name} says that it is not healthy yet: {one_line(answer.text)[:200]}"
