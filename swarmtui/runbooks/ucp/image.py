"""One command of the image docker/ucp, by its table of facts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.image.command import REGISTRY_PASSWORD, Hidden, ImageCommand, Table

__all__ = ["ADMIN_PASSWORD", "PASSPHRASE", "REGISTRY_PASSWORD", "UNLOCK_KEY", "Command", "Hidden"]

PASSPHRASE: Final = Hidden("UCP_PASSPHRASE", "Passphrase of the UCP backup")
ADMIN_PASSWORD: Final = Hidden("UCP_ADMIN_PASSWORD", "Password of the administrator of UCP")
UNLOCK_KEY: Final = Hidden("UNLOCK_KEY", "Unlock key of the Swarm")


@dataclass(frozen=True, kw_only=True)
class Command(ImageCommand):
    """A command of the image, with its options.

    Attributes:
        mounts: bind mounts and volumes besides the socket, as `docker run -v` takes them.
        selinux: whether the engine is confined by SELinux: then the image may reach the socket only unlabelled.
    """

    OF: ClassVar[str] = "UCP"
    FACTS: ClassVar[Table] = facts
    REPEATED: ClassVar[frozenset[str]] = facts.REPEATED

    version: Version
    mounts: tuple[str, ...] = ()
    selinux: bool = False

    @property
    def container(self) -> str:
        return facts.CONTAINER

    @property
    def _docker(self) -> Sequence[str]:
        words = ["--security-opt label=disable"] if self.selinux else []
        for mount in (f"{facts.SOCKET}:{facts.SOCKET}", *self.mounts):
            words += ["-v", shlex.quote(mount)]
        return words
