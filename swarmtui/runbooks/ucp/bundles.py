"""The runbook ucp.bundle: procedures.md U5."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from swarmtui.errors import UsageError
from swarmtui.link.bundle import new_bundle
from swarmtui.link.trust import certificates_in
from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.link.ucp.shapes import BundleKey
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import Facts, Plan, Runbook, Shown, Step, StepError, Voice, binding_of
from swarmtui.runbooks.ucp import by_hand, logins
from swarmtui.runbooks.ucp.access import Access, access, opened
from swarmtui.runbooks.ucp.bundle_keys import bundle_in, key_in, keys_of
from swarmtui.runbooks.ucp.users import user_name
from swarmtui.session import Session

ZIP = "ucp-bundle.zip"


class BundleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        url: of the manager that was asked.
        admin: whether the user is an administrator.
        folder: where the bundle goes, absolute.
        count: how many bundles the user has.
    """

    known: Access
    url: str
    user: str
    admin: bool
    folder: str
    count: int


class GetBundle(Runbook):
    name = "ucp.bundle"
    summary = "download a client bundle of UCP (MKE) and unpack it, as a connection for this console and the docker CLI"
    params: ClassVar[Sequence[Param]] = (
        Param("to", "the folder it is unpacked into, new or empty", params.text, "FOLDER", required=True),
        Param("user", "whose bundle; the one that the configuration names, usually admin", user_name, "NAME"),
        Param(
            "password-from",
            "where the user's password comes from; the vault's entry ucp-password, else it is asked for",
            logins.source,
            logins.SHAPE,
            default=logins.VAULT,
        ),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        folder = Path(params["to"]).expanduser().absolute()
        await asyncio.to_thread(_check_free, folder)
        await session.refresh()
        known = await access(session)
        user = params.get("user") or known.username
        secret = await logins.password_of(session, known, user, params["password-from"])
        async with await opened(session, known, username=user, password=secret) as client:
            try:
                me = await client.login()
            except UcpError as error:
                if error.trouble is Trouble.LOGIN:
                    logins.forget_typed(session, known, user)
                raise
            count, url = len(await client.bundles(user)), client.url
        facts = BundleFacts(known=known, url=url, user=user, admin=bool(me.is_admin), folder=str(folder), count=count)
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, BundleFacts)
        known, user = found.known, found.user
        step = Download(
            id="bundle",
            title=f"Download a client bundle of {one_line(user)} into {one_line(found.folder)}",
            why="UCP makes a new key for it; only its owner can read what is unpacked (0700, files 0600).",
            known=known,
            url=found.url,
            user=user,
            folder=found.folder,
            place=params["password-from"],
        )
        use = Use(
            id="use",
            title="Ask UCP for its version with the bundle",
            why="What a docker CLI or this console is told by it: that it is let in, and by which UCP.",
            known=known,
            folder=found.folder,
        )
        warnings = []
        if found.admin:
            warnings.append(f"{one_line(user)} is an administrator: whoever has this folder has the whole cluster.")
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Download a client bundle of {one_line(user)} from the UCP of {known.cluster}",
            why="A bundle is a user's certificate and key: it needs no password, and works until it is revoked.",
            steps=(step, use),
            touches=(one_line(user),),
            notes=(
                f"{one_line(user)} has {found.count} bundle{'' if found.count == 1 else 's'} now. One that nobody "
                "needs any more is revoked with ucp.revoke.",
                "Bundles end when UCP's server certificates are replaced; those of administrators, when UCP is "
                "restored on another Swarm.",
            ),
            warnings=tuple(warnings),
            binding=binding_of(known.instance, user, found.folder, found.admin),
        )


def _check_free(folder: Path) -> None:
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise UsageError(f"{folder} cannot be looked at: {error.strerror}.", "Name another folder.") from error
    if taken:
        raise UsageError(f"There is something in {folder} already.", "Name a folder that is new or empty.")


@dataclass(frozen=True, kw_only=True)
class Download(Step):
    """Downloads a bundle as its user, and unpacks it.

    Attributes:
        url: of the manager that was asked when the plan was made, for what is shown.
        place: where the password comes from, as `logins.password_of` takes it.
    """

    known: Access
    url: str
    user: str
    folder: str
    place: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        folder = shlex.quote(self.folder)
        unpack = f"(umask 077; mkdir -p -- {folder} && unzip -q {ZIP} -d {folder}) && chmod 700 {folder} && rm -f {ZIP}"
        return (
            by_hand.authority(self.known, self.known.managers[0]),
            *by_hand.login(self.url, self.user),
            by_hand.call(self.url, "/api/clientbundle", into=ZIP),
            by_hand.logout(self.url),
            Shown(unpack, here=True),
        )

    @property
    def _path(self) -> Path:
        return Path(self.folder)

    async def _bundles(self, session: Session) -> tuple[BundleKey, ...]:
        secret = await logins.password_of(session, self.known, self.user, self.place)
        async with await opened(session, self.known, username=self.user, password=secret) as client:
            return await client.bundles(self.user)

    async def before(self, session: Session) -> Facts:
        return {"count": len(await self._bundles(session))}

    async def already_done(self, session: Session, before: Facts) -> str:
        if not await asyncio.to_thread(self._path.exists) or not await asyncio.to_thread(_holds, self._path):
            return ""
        await self._check(await self._bundles(session))
        return f"{self.folder} has a bundle of {one_line(self.user)}: it was unpacked before the run was cut off."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        await asyncio.to_thread(_check_free, self._path)
        secret = await logins.password_of(session, self.known, self.user, self.place)
        async with await opened(session, self.known, username=self.user, password=secret) as client:
            lost = len(await client.bundles(self.user)) - int(before.get("count") or 0)
            if lost > 0:
                # Not revoked here: which of them is ours nobody can tell, and another may be somebody's.
                voice.say(
                    f"{one_line(self.user)} has {lost} more than before: cut off on the way here, or somebody else's. "
                    "Revoke what nobody has: swarmtui run ucp.revoke"
                )
            content = await client.bundle()
        source = f"The client bundle of {one_line(self.user)}"
        await asyncio.to_thread(new_bundle, content, self._path, source)
        voice.say(f"Unpacked {len(content):,} bytes into {self.folder}.")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await self._check(await self._bundles(session))
        voice.say(f"UCP lists it among the bundles of {one_line(self.user)}.")

    async def _check(self, listed: Sequence[BundleKey]) -> None:
        """Raises where the folder has no whole bundle of this user that UCP knows."""
        key = await asyncio.to_thread(key_in, self._path)
        known = [one for each in listed for one in keys_of(each)]
        # How a public key is written is documented nowhere: where none can be read, that there is one must do.
        if not listed or (known and key not in known):
            raise StepError(
                f"The bundle in {self.folder} is none that UCP has of {one_line(self.user)}.",
                "Remove that folder, then retry.",
            )


@dataclass(frozen=True, kw_only=True)
class Use(Step):
    """Uses the bundle once, as a docker CLI would."""

    known: Access
    folder: str

    @property
    def shown(self) -> tuple[Shown, ...]:
        line = f"(cd {shlex.quote(self.folder)} && . ./env.sh && docker version --format '{{{{.Server.Version}}}}')"
        return (Shown(line, here=True),)

    async def already_done(self, session: Session, before: Facts) -> str:
        return ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        target = await asyncio.to_thread(bundle_in, Path(self.folder))
        if not target.tls.ca or not target.tls.cert or not target.tls.key:
            raise StepError(f"{self.folder} is no whole client bundle.", "Remove that folder, then retry.")
        ca = certificates_in(await asyncio.to_thread(target.tls.ca.read_text, "ascii", "replace"))
        url = str(target).replace("tcp://", "https://", 1)
        known = msgspec.structs.replace(self.known, ca=ca)
        async with known.client(url, certificate=(target.tls.cert, target.tls.key)) as client:
            try:
                version = await client.version()
            except UcpError as error:
                if not error.away:
                    raise
                # The bundle is good, as UCP's own list has shown; where it leads to is not for us to mend.
                voice.say(f"From here it leads nowhere: {error.what} It can be used where that address is reached.")
                return
        if version != self.known.version:
            raise StepError(
                f"The bundle leads to UCP {version}, and {self.known.cluster} runs {self.known.version}.",
                f"Look at DOCKER_HOST in {self.folder}/env.sh.",
            )
        folder = shlex.quote(self.folder)
        voice.say(f"UCP {version} lets it in. Use it here: swarmtui status {folder}")
        voice.say(f"Give it a name: swarmtui clusters add NAME {folder}")
        voice.say(f"With the docker CLI: cd {folder} && . ./env.sh && docker version")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        await asyncio.to_thread(bundle_in, Path(self.folder))


def _holds(folder: Path) -> bool:
    try:
        return folder.is_dir() and any(folder.iterdir())
    except OSError:
        return False
