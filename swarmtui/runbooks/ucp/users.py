"""The runbook ucp.user: procedures.md U5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from swarmtui.link.ucp.errors import Trouble, UcpError
from swarmtui.link.ucp.shapes import Account
from swarmtui.model.text import listed, one_line
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks import params
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.runbook import (
    ConflictError,
    Facts,
    Plan,
    Rule,
    Runbook,
    Shown,
    Step,
    StepError,
    Voice,
    binding_of,
)
from swarmtui.runbooks.swarm.custody import custody_facts, custody_rules
from swarmtui.runbooks.ucp import by_hand, logins
from swarmtui.runbooks.ucp.access import Access, access, opened
from swarmtui.session import Session
from swarmtui.vault import Kind

MOST_SHOWN = 30
"""Accounts that a plan names."""


class UserFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from; no password.

    Attributes:
        url: of the manager that was asked.
        accounts: all there are.
        custody: what `custody_rules` needs, where the password is to be kept; empty where it is not.
    """

    known: Access
    url: str
    accounts: tuple[Account, ...]
    custody: dict[str, Any] = {}


def user_name(value: str) -> str:
    """A name of a user; what UCP takes beyond that it says itself."""
    name = params.text(value)
    if any(character in name for character in "/?#%@") or any(character.isspace() for character in name):
        raise ValueError("is no name of a user: it has a space or one of / ? # % @ in it")
    return name


async def as_administrator(session: Session, known: Access) -> tuple[str, tuple[Account, ...]]:
    """Logs in as the configured user and lists all accounts; returns the URL that answered, and them.

    Raises:
        UcpError, UsageError, VaultError: it cannot be done; says why.
    """
    secret = await logins.password_of(session, known, known.username)
    try:
        async with await opened(session, known, username=known.username, password=secret) as client:
            return client.url, await client.accounts()
    except UcpError as error:
        if error.trouble is Trouble.LOGIN:
            logins.forget_typed(session, known, known.username)
        raise


class CreateUser(Runbook):
    name = "ucp.user"
    summary = "create a user of UCP (MKE), proved by a login"
    params: ClassVar[Sequence[Param]] = (
        Param("name", "how the user logs in", user_name, "NAME", required=True),
        Param("admin", "whether it may do everything", params.yes_or_no, "true|false", default=False),
        Param("full-name", "its full name", params.text, "TEXT", default=""),
        Param(
            "password-from",
            "where its password comes from; the vault's entry ucp-password NAME@CLUSTER, else it is asked for",
            logins.source,
            logins.SHAPE,
            default=logins.VAULT,
        ),
        Param("keep", "keep its password in the vault, for ucp.bundle", params.yes_or_no, "true|false", default=False),
    )

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        await session.refresh()
        known = await access(session)
        url, accounts = await as_administrator(session, known)
        there = any(account.name == params["name"] for account in accounts)
        if not there:
            # Asked for before anything is done.
            await logins.password_of(session, known, params["name"], params["password-from"])
        keeping = params["keep"] and not there
        facts = UserFacts(
            known=known,
            url=url,
            accounts=accounts,
            custody=await custody_facts(session.vault, Kind.UCP_PASSWORD, logins.about(known, params["name"]), new=True)
            if keeping
            else {},
        )
        built: Facts = msgspec.to_builtins(facts)
        return built

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        found = msgspec.convert(facts, UserFacts)
        known, name, admin = found.known, params["name"], params["admin"]
        there = next((account for account in found.accounts if account.name == name), None)
        kind = "an administrator" if admin else "a user"
        step = CreateAccount(
            id="create-user",
            title=f"Create {name}, {kind} of {known.product}",
            why="Done only when the list of accounts has it, and it has logged in with its password.",
            known=known,
            url=found.url,
            name=name,
            full_name=params["full-name"],
            admin=admin,
            place=params["password-from"],
            keep=params["keep"],
        )
        rules: tuple[Rule, ...] = ()
        if there is None and found.custody:
            rules = custody_rules(found.custody, known.cluster)
        return Plan(
            runbook=self.name,
            version=self.version,
            params=params,
            facts=facts,
            title=f"Create {kind} {name} on the UCP of {known.cluster}",
            why="Its password goes to UCP over TLS, in the body of one call.",
            steps=() if there else (step,),
            touches=(name,),
            notes=(_listed(found.accounts), *_undocumented(known.release)),
            warnings=("An administrator may do everything, on every node.",) if admin and there is None else (),
            rules=rules,
            binding=binding_of(known.instance, name, admin, there is not None, found.custody),
            nothing=_nothing(there, admin) if there else "",
        )


def _nothing(there: Account, admin: bool) -> str:
    kind = "an organization" if there.is_org else "an administrator" if there.is_admin else "a user"
    wrong = ", and not an administrator" if admin and not there.is_admin and not there.is_org else ""
    return f"There is {there.shown} already: {kind}{wrong}. Nothing was changed."


def _listed(accounts: Sequence[Account]) -> str:
    names = [
        account.shown + (" (organization)" if account.is_org else " (administrator)" if account.is_admin else "")
        for account in accounts
    ]
    return f"Accounts now: {listed(names, MOST_SHOWN) or 'none'}."


def _undocumented(version: Version) -> tuple[str, ...]:
    if version.series == "mke":
        return ()
    return (
        f"The call that creates users is documented for MKE; {version.product} has the same service of accounts. Where "
        "it refuses, create the user in the web UI and retry: this goes on from there.",
    )


@dataclass(frozen=True, kw_only=True)
class CreateAccount(Step):
    """Creates a user.

    Attributes:
        url: of the manager that was asked when the plan was made, for what is shown.
        place: where the new password comes from, as `logins.password_of` takes it.
        keep: put it into the vault.
    """

    known: Access
    url: str
    name: str
    full_name: str
    admin: bool
    place: str
    keep: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        body = by_hand.document(
            {
                "name": self.name,
                "fullName": self.full_name,
                "isActive": True,
                "isAdmin": self.admin,
                "isOrg": False,
                "searchLDAP": False,
            },
            ("password", "NEW_PASSWORD"),
        )
        return (
            by_hand.authority(self.known, self.known.managers[0]),
            *by_hand.login(self.url, self.known.username),
            by_hand.asked("NEW_PASSWORD", f"New password of {self.name}"),
            by_hand.call(self.url, "/accounts", body=body),
            by_hand.call(self.url, "/accounts/?filter=all&limit=1000"),
            by_hand.logout(self.url),
        )

    @property
    def undo(self) -> tuple[Shown, ...]:
        return (
            *by_hand.login(self.url, self.known.username),
            by_hand.call(self.url, f"/accounts/{quote(self.name)}", method="DELETE"),
            by_hand.logout(self.url),
        )

    async def _accounts(self, session: Session) -> tuple[Account, ...]:
        return (await as_administrator(session, self.known))[1]

    async def before(self, session: Session) -> Facts:
        return {"there": any(account.name == self.name for account in await self._accounts(session))}

    async def already_done(self, session: Session, before: Facts) -> str:
        if not any(account.name == self.name for account in await self._accounts(session)):
            return ""
        if before.get("there"):
            raise ConflictError(
                f"There is a user {self.name} already, whom somebody created after you confirmed.",
                "Nothing was changed by this step.",
            )
        return f"{self.name} is there: it was created before the answer was lost."

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        secret = await logins.password_of(session, self.known, self.known.username)
        new = await logins.password_of(session, self.known, self.name, self.place)
        async with await opened(session, self.known, username=self.known.username, password=secret) as client:
            try:
                await client.create_account(self.name, new, full_name=self.full_name, admin=self.admin)
            except UcpError as error:
                if error.status in (404, 405):
                    raise StepError(
                        f"This {self.known.product} has no call that creates users (status {error.status}).",
                        f"Create {self.name} in the web UI at {client.url}, then retry: it goes on from there.",
                    ) from error
                raise

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        found = next((one for one in await self._accounts(session) if one.name == self.name), None)
        if found is None:
            raise StepError(f"UCP has no user {self.name}.", "Retry.")
        if bool(found.is_admin) is not self.admin or found.is_org:
            is_now = "an organization" if found.is_org else "an administrator" if found.is_admin else "no administrator"
            raise StepError(f"{self.name} is there and is {is_now}.", "Change that in the web UI, then retry.")
        new = await logins.password_of(session, self.known, self.name, self.place)
        async with await opened(session, self.known, username=self.name, password=new) as client:
            try:
                me = await client.login()
            except UcpError as error:
                if error.trouble is Trouble.LOGIN:
                    raise StepError(
                        f"{self.name} is there and cannot log in with the password that was given.",
                        "Somebody else created it, or UCP takes its users' passwords from a directory (LDAP).",
                    ) from error
                raise
        if me.name != self.name:
            raise StepError(f"Who logged in as {self.name} is {me.shown} for UCP.", "Look at its users in the web UI.")
        voice.say(f"{self.name} is there, and has logged in.")
        if self.keep:
            await logins.keep(session, self.known, self.name, new)
            voice.say(f"Its password is kept in {session.vault.where}, as {one_line(self.name)}@{self.known.cluster}.")
