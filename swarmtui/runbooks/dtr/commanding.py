"""What every plan begins with that runs a command of DTR's image: on which host, as whom, and how UCP is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from swarmtui.link import jobs
from swarmtui.model.dtr.facts import Version
from swarmtui.runbooks import params
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.image import Command, Hidden
from swarmtui.runbooks.dtr.way import UcpWay
from swarmtui.runbooks.dtr.where import at
from swarmtui.runbooks.image.job import ClearJob
from swarmtui.runbooks.image.pull import PullImage
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.session import Session

INSECURE: Final = Param(
    "insecure-tls",
    "let the command believe whoever answers as UCP: who stands between reads the administrator's password",
    params.yes_or_no,
    "true|false",
    default=False,
)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command runs, and how it gets to UCP; plain values, nothing secret.

    Attributes:
        at: the manager's host.
        job_id: of its job there.
    """

    version: Version
    at: Where
    way: UcpWay
    job_id: str

    def command(self, name: str, *options: tuple[str, str | Hidden]) -> Command:
        """A command of this version. Raises UsageError where it has none such."""
        return Command(version=self.version, name=name, options=(*self.way.options, *options))

    def runs(self, command: Command) -> dict[str, Any]:
        """What each step is given that runs a command there (`RunDtr`)."""
        return {"at": self.at, "command": command, "job_id": self.job_id, "username": self.way.username}

    @property
    def pull(self) -> PullImage:
        """The step that brings the image to that host."""
        return PullImage(
            id="image",
            title=f"Have {self.version.image} on {self.at.name}",
            why="DTR's commands are in this image; it has to be of the same version as DTR.",
            at=self.at,
            version=self.version,
        )

    @property
    def clear(self) -> ClearJob:
        """The step that removes what the job left there."""
        return ClearJob(
            id="clear-job",
            title=f"Clean up on {self.at.name}",
            why="The job's log and scripts are of no use any more.",
            at=self.at,
            job_id=self.job_id,
        )


async def work_of(session: Session, known: DtrAccess, given: Mapping[str, Any]) -> Work:
    """Where the commands of this cluster's DTR run.

    Args:
        given: the parameters of the runbook.

    Raises:
        RefusedError: UCP is not to be had, through which every command of DTR works; or DTR's version is not known.
        StepError: no manager's host answers.
    """
    version = known.release
    way = UcpWay.of(known, insecure=given.get(INSECURE.name, False))
    way.must(known.cluster)
    return Work(version=version, at=await at(session, version), way=way, job_id=jobs.new_id())
