"""The steps of dtr.restore: DTR's own command with the archive on its standard input, and whether all is there."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Final

from swarmtui.link.dtr.errors import DtrError
from swarmtui.model.text import listed, one_line
from swarmtui.runbooks.dtr import by_hand
from swarmtui.runbooks.dtr.access import access, opened, password_of
from swarmtui.runbooks.dtr.hosts import remove, without
from swarmtui.runbooks.dtr.install import InstallReplica
from swarmtui.runbooks.dtr.lives import Lost
from swarmtui.runbooks.runbook import Facts, Shown, Step, StepError, Voice
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

MOST: Final = 12
"""Names in one sentence."""


@dataclass(frozen=True, kw_only=True)
class RestoreDtr(InstallReplica):
    """Runs `restore`. What a try that failed left on the node is removed before the next one: it would be refused.

    Attributes:
        lost: what must still be lost.
        keep: volumes that stay: with images, which the operator put back (ucp-dtr.md §5.5 A: images, then restore).
    """

    lost: Lost
    keep: tuple[str, ...] = ()

    async def look_again(self, session: Session, *, tried: bool) -> None:
        await self.lost.must(session, (self.replica_id, self.node.id))

    async def tidy(self, session: Session, voice: Voice) -> None:
        if (left := without(await self._there(session), self.keep)) is not None:
            voice.say(f"An earlier try left {left.words}: it is removed first.")
            await remove(session, left)

    async def left(self, session: Session) -> str:
        there = without(await self._there(session), self.keep)
        if there is not None and there.data and await self._ended_well(session):
            return await super().left(session)
        told = f" It left {there.words}, which the next try removes first." if there is not None else ""
        return f"Mend that, then retry.{told}"


@dataclass(frozen=True, kw_only=True)
class CompareDtr(Step):
    """Asks DTR for its repositories, and compares them with those of the backup's time.

    Attributes:
        at: host of the replica, and https: its port there, for what is shown. url: external URL.
        username: as whom it is asked.
        repositories: None where nobody noted them.
        images: where the images live, for a sentence.
    """

    at: Where
    https: int
    url: str
    username: str
    repositories: tuple[str, ...] | None
    images: str
    skippable: bool = field(default=True)

    @property
    def shown(self) -> tuple[Shown, ...]:
        names = shlex.quote(json.dumps(list(self.repositories or ())))
        check = f"jq -e --argjson was {names} '($was - [.repositories[] | .namespace + \"/\" + .name]) == []'"
        listed_there = by_hand.call(self.url, "/api/v0/repositories/?pageSize=1000")
        return (
            by_hand.authority(self.at, self.https),
            *by_hand.login(self.username),
            Shown(f"{listed_there} | {check}", here=True),
            by_hand.logout(),
        )

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        voice.say(f"Logging in as {one_line(self.username)}, with the password of UCP.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        known = await access(session, ask=True)
        if known.told is None:
            raise StepError(
                f"DTR does not say what it has: {known.trouble}", "It may still be starting. Retry; or skip this step."
            )
        try:
            async with await opened(session, known, password=await password_of(session, known)) as client:
                now = {one.full for one in await client.repositories()}
        except DtrError as error:
            raise StepError(error.what, error.next_step) from None
        voice.say(f"{known.product} answers, with {len(now)} repositories.")
        if self.repositories is None:
            voice.say("Nobody noted the repositories when the backup was taken: look through them yourself.")
        elif missing := sorted(set(self.repositories) - now):
            raise StepError(
                f"Repositories that the backup should have are not in DTR: {listed(missing, MOST)}.",
                "Look at them in DTR; another backup may have them: swarmtui backups list",
            )
        else:
            voice.say(f"All {len(self.repositories)} repositories of the backup are there.")
            if more := sorted(now - set(self.repositories)):
                voice.say(f"Beside them there are: {listed(more, MOST)}.")
        voice.say(
            f"Images are not in the backup: they are {self.images}. Which tags have lost theirs nobody can tell from "
            f"here: pull one of each repository (docker pull {self.url.removeprefix('https://')}/NAMESPACE/NAME:TAG)."
        )
        voice.say("The database of vulnerabilities is not in it either: have DTR fetch it again.")
