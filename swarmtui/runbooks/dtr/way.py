"""The way to UCP that a command of DTR's image goes: by which address, as whom, and whether UCP is believed."""

from __future__ import annotations

from typing import Final

import msgspec

from swarmtui.errors import RefusedError
from swarmtui.runbooks.dtr.access import ucp_of, ucp_url
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.image import Options, to_ucp
from swarmtui.runbooks.runbook import Rule
from swarmtui.runbooks.ucp import access as ucp_access
from swarmtui.session import Session

INSECURE: Final = "ucp-not-verified"


class UcpWay(msgspec.Struct, frozen=True, kw_only=True):
    """How the image reaches UCP.

    Attributes:
        product: "UCP 2.2.5".
        url: https://HOST:PORT, as the cluster's hosts reach it.
        well: names of the managers whose UCP is healthy.
        insecure: the operator's decision not to verify UCP's certificate.
        trouble: why UCP is not to be had; "" where it is.
    """

    product: str = ""
    url: str = ""
    username: str = "admin"
    well: tuple[str, ...] = ()
    insecure: bool = False
    trouble: str = ""

    @classmethod
    def of(cls, known: DtrAccess, *, insecure: bool) -> UcpWay:
        """As DTR's own access knows it."""
        return cls(
            product=known.ucp.product if known.ucp is not None else "",
            url=known.ucp_url,
            username=known.username,
            well=known.ucp_managers,
            insecure=insecure,
            trouble=known.ucp_trouble,
        )

    def must(self, cluster: str) -> None:
        """Raises RefusedError where no command of DTR can work."""
        if self.trouble or not self.url:
            raise RefusedError(
                f"Every command of DTR goes through UCP, and UCP of {cluster} is not to be had: "
                f"{self.trouble or 'no address of it is known.'}",
                "Bring UCP back first: swarmtui doctor tells how it is; swarmtui recover leads there.",
            )
        if not self.well:
            raise RefusedError(
                f"Every command of DTR goes through UCP, and UCP of {cluster} is not healthy on any manager.",
                "Mend UCP first: swarmtui doctor tells what is wrong with it.",
            )

    @property
    def options(self) -> Options:
        """The flags of a command that lead there."""
        return to_ucp(self.url, self.username, ca=not self.insecure)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What the operator must decide."""
        if not self.insecure:
            return ()
        what = (
            "UCP's certificate is not verified: whoever stands between the manager and UCP can read the password of "
            "UCP's administrator."
        )
        return (Rule(INSECURE, "UCP", what),)


async def way_to_ucp(session: Session, *, insecure: bool) -> UcpWay:
    """How the image reaches UCP, where there is no DTR yet.

    Raises:
        UsageError: the configuration cannot be meant.
    """
    ucp, trouble = await ucp_of(session)
    if ucp is None:
        return UcpWay(trouble=trouble, insecure=insecure)
    answers = await ucp_access.pings(ucp)
    well = tuple(door.name for door in ucp.managers if answers[door.name].ok)
    config = session.opening.cluster.dtr
    return UcpWay(
        product=ucp.product,
        url=ucp_url(session, ucp, well),
        username=config.username or ucp.username,
        well=well,
        insecure=insecure,
    )
