"""On which host the commands of DTR's image run: any that reaches UCP will do (ucp-dtr.md §2.1), and a manager does."""

from __future__ import annotations

from swarmtui.errors import SwarmtuiError
from swarmtui.link.together import together
from swarmtui.model.dtr.facts import Version
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.image.job import LOAD
from swarmtui.runbooks.runbook import StepError
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session


async def at(session: Session, version: Version, *, must: bool = False) -> Where:
    """The manager on whose host the commands of this version run: one that answers, and has the image if any has.

    Always the same one while nothing changes, so that a job is found where it was begun.

    Args:
        must: the image has to be there already; else a step may still bring it (`image.pull.PullImage`).

    Raises:
        StepError: no manager answers over SSH, or none has the image that must be there.
    """
    managers = sorted((node for node in session.snapshot.nodes.values() if node.is_voter), key=lambda node: node.name)
    found = await together(*(_ask(session, node, version) for node in managers))
    here: list[tuple[Where, bool]] = [(place, has) for place, has, _ in found if place is not None]
    if not here:
        told = "; ".join(f"{one_line(node.name)}: {why}" for node, (_, _, why) in zip(managers, found, strict=True))
        raise StepError(
            f"No manager of {session.name} answers over SSH, on whose host the commands of {version.product} could run"
            f"{f' ({told})' if told else ''}.",
            "Look whether their hosts run, and can be logged in to.",
        )
    if must and not any(has for _, has in here):
        names = ", ".join(place.name for place, _ in here)
        raise StepError(f"The image {version.image} is on no manager that answers ({names}).", LOAD)
    return max(here, key=lambda one: one[1])[0]


async def _ask(session: Session, node: Node, version: Version) -> tuple[Where | None, bool, str]:
    """Where a manager is, whether it has the image, and why it cannot be asked."""
    try:
        place = await engine.with_systemd(session, where(session, one_line(node.name), session.host_label(node)))
        return place, await engine.has_image(session, place, version.image), ""
    except SwarmtuiError as error:
        return None, False, error.what.rstrip(".")
