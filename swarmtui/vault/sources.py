"""Secrets that come from outside: systemd credentials, and environment variables that the configuration names.

Both are only read. A unit with `LoadCredentialEncrypted=swarmtui.unlock-key.prod:…` finds the key of the cluster "prod"
in `$CREDENTIALS_DIRECTORY/swarmtui.unlock-key.prod` (systemd.exec(5)); other names are told in the configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swarmtui.vault.secret import Kind, Secret, VaultError

LARGEST = 64 * 1024
"""Bytes of a credential that we read; systemd allows 1 MB, a secret of ours is a line."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*")
_OF_THE_CLUSTER = frozenset(
    {Kind.UNLOCK_KEY, Kind.UCP_PASSWORD, Kind.DTR_PASSWORD, Kind.BACKUP_PASSPHRASE, Kind.UCP_PASSPHRASE}
)


def about_of(kind: Kind, text: str) -> str:
    """What a person wrote, as it is asked for: SSH keys by their absolute path."""
    return str(Path(text).expanduser().absolute()) if kind is Kind.SSH_PASSPHRASE else text


def _of_a_user(kind: Kind, about: str) -> bool:
    """Whether it is the password of one user of UCP or DTR, USER@CLUSTER, and not the administrator's."""
    return kind in (Kind.UCP_PASSWORD, Kind.DTR_PASSWORD) and "@" in about


@dataclass(frozen=True, slots=True)
class Named:
    """One line of the configuration.

    Attributes:
        about: what it is about; "" for whatever is asked for in this cluster.
        source: env:NAME or credential:NAME.
    """

    kind: Kind
    about: str
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """A secret from outside.

    Attributes:
        where: in plain words, to follow "kept in".
    """

    secret: Secret
    where: str


@dataclass(frozen=True)
class Sources:
    """What can be read from outside for one cluster.

    Attributes:
        cluster: what people call it; credentials about the cluster may carry this name instead of its id.
        named: what the configuration names.
        environ: the environment, usually the process's own.
    """

    cluster: str = ""
    named: tuple[Named, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @classmethod
    def of(cls, cluster: str, secrets: Mapping[str, str | Mapping[str, str]]) -> Sources:
        """The sources of a cluster, from its [clusters.NAME.secrets]. A file may be named with ~."""
        named: list[Named] = []
        for kind, told in secrets.items():
            lines = (
                {"": told} if isinstance(told, str) else {about_of(Kind(kind), about): at for about, at in told.items()}
            )
            named += [Named(Kind(kind), about, source) for about, source in lines.items()]
        return cls(cluster, tuple(named))

    def told(self, kind: Kind, about: str) -> Found | None:
        """What the configuration names for it.

        Raises:
            VaultError: it is named, and not there.
        """
        for named in self._lines(kind, about):
            found = self._read(named)
            if found is None:
                variable = named.source.startswith("env:")
                what = "environment variable" if variable else "systemd credential"
                name = named.source.partition(":")[2]
                raise VaultError(
                    f"The {what} {name}, named in the configuration for the {kind} of {self.cluster or about}, is not "
                    f"{'set' if variable else 'there'}.",
                    "Set it for this program, or take it out of the configuration."
                    if variable
                    else "Give it to the unit with LoadCredential= or LoadCredentialEncrypted=.",
                )
            return found
        return None

    def by_convention(self, kind: Kind, about: str) -> Found | None:
        """The systemd credential swarmtui.KIND.ABOUT, also under the cluster's name."""
        names = [about, self.cluster] if kind in _OF_THE_CLUSTER and not _of_a_user(kind, about) else [about]
        for name in names:
            if _PLAIN.fullmatch(name) and (found := self._credential(f"swarmtui.{kind}.{name}")):
                return found
        return None

    def listed(self) -> tuple[tuple[Kind, str, str], ...]:
        """(kind, about, where) of all that is there now; about is the cluster's name where it is for all of it."""
        listed = [
            (named.kind, named.about or self.cluster, found.where)
            for named in self.named
            if (found := self._read(named))
        ]
        folder = self.environ.get("CREDENTIALS_DIRECTORY", "")
        try:
            names = sorted(path.name for path in Path(folder).iterdir()) if folder else []
        except OSError:
            names = []
        for name in names:
            for kind in Kind:
                about = name.removeprefix(f"swarmtui.{kind}.")
                if about not in (name, "") and (found := self._credential(name)):
                    listed.append((kind, about, found.where))
        return tuple(dict.fromkeys(listed))

    def _lines(self, kind: Kind, about: str) -> list[Named]:
        """The lines that answer, the exact ones first."""
        # What is there for the whole cluster is the administrator's, and never another user's.
        answers = (about,) if _of_a_user(kind, about) else ("", about)
        lines = [named for named in self.named if named.kind is kind and named.about in answers]
        return sorted(lines, key=lambda named: named.about == "")

    def _read(self, named: Named) -> Found | None:
        kind, _, name = named.source.partition(":")
        if kind == "credential":
            return self._credential(name)
        value = self.environ.get(name, "")
        return Found(Secret(value), f"the environment variable {name}") if value else None

    def _credential(self, name: str) -> Found | None:
        folder = self.environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            return None
        try:
            with (Path(folder) / name).open("rb") as file:
                content = file.read(LARGEST + 1)
            text = content.decode()
        except (OSError, ValueError):
            return None
        # Written by hand or by `echo`: one line break at its end is not part of it.
        text = text.removesuffix("\n").removesuffix("\r")
        return Found(Secret(text), f"the systemd credential {name}") if text and len(content) <= LARGEST else None
