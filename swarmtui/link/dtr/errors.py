"""Why DTR cannot be asked, or refused what it was asked: one sentence each."""

from __future__ import annotations

from typing import ClassVar, Final

from swarmtui.link.https_errors import HttpsError, Peer, Trouble

__all__ = ["DTR", "DtrAwayError", "DtrError", "Trouble"]


class DtrError(HttpsError):
    """DTR cannot be asked, or refused."""


class DtrAwayError(DtrError):
    """Nobody answered, or not in time."""

    exit_code: ClassVar[int] = 3


DTR: Final = Peer(
    name="DTR",
    key="dtr",
    alien=Trouble.NOT_DTR,
    error=DtrError,
    away=DtrAwayError,
    authority="Give DTR's own authority in PEM: ca = FILE in [clusters.NAME.dtr].",
    slow="Look at the load of that replica's host and at its dtr-nginx and dtr-rethinkdb: docker logs.",
    gone="Look at its components there: docker ps -a --filter name=dtr-",
    failed="Where more than half of the replicas are away, all of them answer so: see swarmtui doctor.",
    renew="Renew DTR's certificate; and look at the clocks of this machine and of that replica's host.",
    names="Reach DTR by a name that is in its certificate: its external URL.",
    changed="If DTR was installed or restored anew, or got other certificates, its new authority must be read from a "
    "replica's host; else somebody stands between: do not go on.",
    itself="Give the address of DTR itself, https://REPLICA, and nothing in front of it that redirects.",
    login="DTR has no users of its own: use an administrator of UCP, with the password of UCP. Is UCP well?",
)
