"""Why UCP cannot be asked, or refused what it was asked: one sentence each."""

from __future__ import annotations

from typing import ClassVar, Final

from swarmtui.link.https_errors import HttpsError, Peer, Trouble

__all__ = ["UCP", "Trouble", "UcpAwayError", "UcpError"]


class UcpError(HttpsError):
    """UCP cannot be asked, or refused."""


class UcpAwayError(UcpError):
    """Nobody answered, or not in time."""

    exit_code: ClassVar[int] = 3


UCP: Final = Peer(
    name="UCP",
    key="ucp",
    alien=Trouble.NOT_UCP,
    error=UcpError,
    away=UcpAwayError,
    authority="Give UCP's own authority in PEM (ca = FILE in [clusters.NAME.ucp]), or a client bundle that is whole.",
    slow="Look at the load of that manager and at its ucp-controller: docker logs ucp-controller.",
    gone="Look at its components there: docker ps -a --filter name=ucp-",
    failed="Look at its components: docker ps --filter name=ucp-, and docker logs ucp-controller.",
    renew="Renew UCP's server certificate; and look at the clocks of this machine and of that manager.",
    names="Reach UCP by a name that is in its certificate, or add this one to the SANs of UCP.",
    changed="If UCP was installed anew or got other certificates, its new authority must be read from a manager; "
    "else somebody stands between: do not go on.",
    itself="UCP never does that: give the address of UCP itself, https://MANAGER.",
    login="Log in with a user that is there; a client bundle may have been revoked.",
)
