"""One command of the image docker/dtr (mirantis/dtr), by its table of facts.

It runs on any host that reaches UCP, without Docker's socket: it logs in to UCP as an administrator and has UCP start
what it needs on the node that it is about (`dtr-phase2`). No name of its container is documented, so it gets one of
ours, by which it is found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from swarmtui.errors import UsageError
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Version
from swarmtui.runbooks.image.command import Hidden, ImageCommand, Options, Table

__all__ = ["CA_FILE", "UCP_CA", "UCP_PASSWORD", "Command", "Hidden", "Options", "to_ucp"]

CA_FILE: Final = "ucp-ca.pem"
"""Where a person who types the commands keeps UCP's authority."""
UCP_PASSWORD: Final = Hidden("UCP_PASSWORD", "Password of the administrator of UCP")
UCP_CA: Final = Hidden("UCP_CA", file=CA_FILE, secret=False)
NAME: Final = "swarmtui-dtr"


@dataclass(frozen=True, kw_only=True)
class Command(ImageCommand):
    """A command of the image, with its options.

    Raises:
        UsageError: this version has no such command, the command no such flag, or it is a flag that is never used.
    """

    OF: ClassVar[str] = "DTR"
    FACTS: ClassVar[Table] = facts

    version: Version

    def __post_init__(self) -> None:
        ImageCommand.__post_init__(self)
        for flag, _ in self.options:
            if flag in facts.NEVER:
                raise UsageError(f"--{flag} is never used: {facts.NEVER[flag]}.", "Leave it out.")

    @property
    def container(self) -> str:
        return f"{NAME}-{self.name}"


def to_ucp(url: str, username: str, *, ca: bool) -> Options:
    """How a command gets to UCP.

    Args:
        url: "https://HOST[:PORT]", as the node that runs the image reaches it.
        ca: whether UCP is believed by its authority, which `secrets[UCP_CA.variable]` has when the command runs; else
            anybody who stands between may read the administrator's password: the operator's decision.
    """
    trust: Options = (("ucp-ca", UCP_CA),) if ca else (("ucp-insecure-tls", ""),)
    return (("ucp-url", url), ("ucp-username", username), ("ucp-password", UCP_PASSWORD), *trust)
