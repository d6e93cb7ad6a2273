"""A client of UCP: one session whose token is used for every call, because a user has only five of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from swarmtui.link.https import ANSWER_MAX, PATIENCE, Answer, Closing, Hidden, Https, Ping
from swarmtui.link.https_refusals import document, not_readable, read_as, refusal
from swarmtui.link.ucp.errors import UCP, Trouble, UcpError
from swarmtui.link.ucp.shapes import Account, AccountsPage, Backup, BundleKey, BundleKeys
from swarmtui.model.text import harmless_json, one_line

PING_SECONDS: Final = 5.0
LOGIN_SECONDS: Final = 20.0
BUNDLE_MAX: Final = 16 << 20
"""Bytes of a client bundle; real ones are below 100 KB."""
PAGE: Final = 1_000
PAGES: Final = 100
WHOAMI: Final = "/id/"
T = TypeVar("T", bound=msgspec.Struct)


class UcpClient(Closing):
    """UCP at one address, as one user.

    It logs in by itself when a call needs that, once more where the session was ended meanwhile (a sixth login of the
    same user ends the oldest), and out with `close`.

    Args:
        url: https://HOST[:PORT] of a manager or of the load balancer.
        ca_pem: UCP's authority in PEM; "" for the system's authorities.
        username: who logs in; "" for nobody: then only `ping` works, and `version` with a certificate.
        password: theirs.
        certificate: certificate and key of a client bundle; with an administrator's, `ping` tells what is wrong.
        via: a local socket that leads to UCP, where it is not reached directly.

    Raises:
        UsageError: url is no such address.
    """

    def __init__(
        self,
        url: str,
        ca_pem: str,
        *,
        username: str = "",
        password: Hidden | None = None,
        certificate: tuple[Path, Path] | None = None,
        via: Path | None = None,
    ) -> None:
        self._https = Https(url, ca_pem, UCP, certificate, via)
        self.username = username
        self._password = password
        self._by_certificate = certificate is not None
        self._token = ""
        self._logging_in = asyncio.Lock()

    @property
    def url(self) -> str:
        """Where it is reached: https://HOST[:PORT]."""
        return self._https.url

    async def close(self) -> None:
        """Logs out, as far as UCP still answers, and lets the threads end."""
        try:
            with contextlib.suppress(UcpError):
                await self.logout()
        finally:
            self._https.close()

    # -- without a login -------------------------------------------------------------------------------------------

    async def ping(self, timeout: float = PING_SECONDS) -> Ping:
        """How UCP is there: 200 is healthy, 500 is not. Never fails: what does not answer is not ok, and says why."""
        started = time.monotonic()
        try:
            answer = await self._https.ask("GET", "/_ping", timeout=timeout, limit=65_536)
        except UcpError as error:
            return Ping(ok=False, status=0, text=str(error), seconds=time.monotonic() - started, trouble=error.trouble)
        text = one_line(answer.body.decode("utf-8", "replace"))[:500]
        return Ping(ok=answer.status == 200, status=answer.status, text=text, seconds=time.monotonic() - started)

    # -- the session -----------------------------------------------------------------------------------------------

    async def login(self) -> Account:
        """Logs in, unless that was done; returns who one is then. Raises UcpError."""
        if not self._token:
            await self._login("")
        return self._read(await self._call("GET", WHOAMI), Account, "who is logged in")

    async def logout(self) -> None:
        """Ends the session, if there is one. Raises UcpError."""
        token, self._token = self._token, ""
        if token:
            answer = await self._https.ask("POST", "/id/logout", headers=_bearer(token), timeout=PING_SECONDS)
            if answer.status not in (200, 204, 401):
                raise refusal(UCP, answer, self.url, self.username, "The end of the session")

    async def _login(self, stale: str) -> None:
        """Gets a token, unless another call got a new one meanwhile."""
        async with self._logging_in:
            if self._token and self._token != stale:
                return
            if not self.username or self._password is None:
                raise UcpError(
                    Trouble.LOGIN,
                    f"UCP on {self.url} wants a login, and there is no password for it here.",
                    "Keep it in the vault: swarmtui secrets set ucp-password CLUSTER",
                )
            body = {"username": self.username, "password": self._password.reveal()}
            answer = await self._https.ask(
                "POST", "/auth/login", headers=_JSON, body=json.dumps(body).encode(), timeout=LOGIN_SECONDS
            )
            if answer.status in (400, 401, 403):
                raise UcpError(
                    Trouble.LOGIN,
                    f"UCP on {self.url} does not let {one_line(self.username)} in: there is no such user there, or it "
                    "has another password.",
                    "Is it the right user and password? If the account is gone, see swarmtui run ucp.restore --help.",
                    status=answer.status,
                )
            if answer.status != 200:
                raise refusal(UCP, answer, self.url, self.username, "The login")
            token = self._document(answer, "the login").get("auth_token")
            if (
                not isinstance(token, str)
                or not token.isascii()
                or not token.isprintable()
                or not 0 < len(token) < 4096
            ):
                raise not_readable(UCP, self.url, "the login")
            self._token = token

    # -- what it is ------------------------------------------------------------------------------------------------

    async def version(self) -> str:
        """Its version, as "2.2.5". Raises UcpError, also where what answers is no UCP."""
        found = self._document(await self._call("GET", "/version"), "its version").get("Version")
        product, _, version = found.partition("/") if isinstance(found, str) else ("", "", "")
        if product != "ucp" or not version or len(version) > 64 or not version.isascii() or not version.isprintable():
            raise UcpError(
                Trouble.NOT_UCP,
                f"What answers on {self.url} is no UCP: it says its version is "
                f'"{one_line(found)[:64] if isinstance(found, str) else ""}".',
                "A UCP says ucp/VERSION. Is it the address of an engine?",
            )
        return version

    # -- accounts --------------------------------------------------------------------------------------------------

    async def accounts(self) -> tuple[Account, ...]:
        """All users and organizations, by name. Raises UcpError."""
        found: dict[str, Account] = {}
        start = ""
        for _ in range(PAGES):
            # The default page has ten.
            wire = {"filter": "all", "limit": str(PAGE)} | ({"start": start} if start else {})
            page = self._read(await self._call("GET", f"/accounts/?{urlencode(wire)}"), AccountsPage, "its accounts")
            accounts = page.accounts or ()
            new = [account for account in accounts if account.name not in found]
            found |= {account.name: account for account in new}
            if page.next_page_start == "" or not new:
                break
            # 2.2 does not tell where the next page begins, nor whether one begins with what `start` names: either way
            # the last page is the one that brings nothing new.
            start = page.next_page_start or accounts[-1].name
        else:
            raise _endless(self.url, "accounts")
        return tuple(sorted(found.values(), key=lambda account: account.name))

    async def create_account(self, name: str, password: Hidden, *, full_name: str = "", admin: bool = False) -> Account:
        """Creates a user who may log in at once. Raises UcpError.

        Documented for MKE; the service behind it is the same one in 2.2 (reference §3.1), which refuses in words where
        it does not know the call.
        """
        body = {
            "name": name,
            "password": password.reveal(),
            "fullName": full_name,
            "isActive": True,
            "isAdmin": admin,
            "isOrg": False,
            "searchLDAP": False,
        }
        answer = await self._call("POST", "/accounts", body)
        return self._read(answer, Account, "the new account")

    # -- client bundles --------------------------------------------------------------------------------------------

    async def bundle(self, label: str = "") -> bytes:
        """Makes a client bundle of the user who is logged in, and downloads it: a zip with a new private key.

        Args:
            label: what it is called in the list of bundles; from MKE 3.3 on.

        Raises:
            UcpError: refused, or what came is no zip.
        """
        if label:
            answer = await self._call("POST", f"/api/clientbundle?{urlencode({'label': label})}", limit=BUNDLE_MAX)
        else:
            answer = await self._call("GET", "/api/clientbundle", limit=BUNDLE_MAX)
        if not answer.body.startswith(b"PK"):
            raise not_readable(UCP, self.url, "the client bundle")
        return answer.body

    async def bundles(self, user: str) -> tuple[BundleKey, ...]:
        """The client bundles that were made for a user. Raises UcpError."""
        found: dict[str, BundleKey] = {}
        start = ""
        for _ in range(PAGES):
            wire = {"limit": str(PAGE)} | ({"start": start} if start else {})
            path = f"/accounts/{quote(user, safe='')}/publicKeys?{urlencode(wire)}"
            page = self._read(await self._call("GET", path), BundleKeys, "the client bundles")
            new = [key for key in page.account_public_keys or () if key.id not in found]
            found |= {key.id: key for key in new}
            if not page.next_page_start or not new:
                return tuple(found.values())
            start = page.next_page_start
        raise _endless(self.url, "client bundles")

    async def revoke(self, user: str, bundle_id: str) -> None:
        """Makes a client bundle worthless. One that is gone already is no error. Raises UcpError."""
        path = f"/accounts/{quote(user, safe='')}/publicKeys/{quote(bundle_id, safe='')}"
        try:
            await self._call("DELETE", path)
        except UcpError as error:
            if error.trouble is not Trouble.NOT_THERE:
                raise

    # -- backups, from 3.2 on --------------------------------------------------------------------------------------

    async def backup(self, passphrase: Hidden, *, file: str, folder: str, logs: bool = False) -> str:
        """Begins a backup on the manager that answers (3.2 and later); returns its id.

        Args:
            file: name of the archive.
            folder: absolute path on that manager's host in which it is made.
            logs: write an encrypted log of it beside the archive.

        Raises:
            UcpError: refused, also while another backup runs.
        """
        body = {
            "passphrase": passphrase.reveal(),
            "noPassphrase": False,
            "fileName": file,
            "includeLogs": logs,
            "hostPath": folder,
        }
        answer = await self._call("POST", "/api/ucp/backup", body)
        try:
            told = json.loads(harmless_json(answer.body))
        except ValueError:
            told = answer.body.decode("utf-8", "replace")
        found = (told.get("id") or told.get("backupId")) if isinstance(told, dict) else told
        if not isinstance(found, str) or not 0 < len(found.strip()) <= 128:
            raise not_readable(UCP, self.url, "the id of the backup")
        return one_line(found)

    async def backups(self) -> tuple[Backup, ...]:
        """The backups that UCP took itself (3.2 and later). Raises UcpError."""
        answer = await self._call("GET", "/api/ucp/backups")
        try:
            return msgspec.json.decode(harmless_json(answer.body), type=tuple[Backup, ...] | None) or ()
        except msgspec.MsgspecError as error:
            raise not_readable(UCP, self.url, "its backups") from error

    async def backup_state(self, backup_id: str) -> Backup:
        """How one of them stands. Raises UcpError."""
        answer = await self._call("GET", f"/api/ucp/backup/{quote(backup_id, safe='')}")
        return self._read(answer, Backup, "the backup")

    # -- calls -----------------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float = PATIENCE,
        limit: int = ANSWER_MAX,
    ) -> Answer:
        """One call as the user, logged in where that is not done; once more where the session was ended meanwhile."""
        by_certificate = self._by_certificate and not self.username
        for fresh in (False, True):
            if not by_certificate and not self._token:
                await self._login("")
            token = self._token
            headers = (_JSON if body is not None else {}) | ({} if by_certificate else _bearer(token))
            data = json.dumps(body).encode() if body is not None else None
            answer = await self._https.ask(method, path, headers=headers, body=data, timeout=timeout, limit=limit)
            if answer.status != 401 or by_certificate or fresh:
                break
            if self._token == token:
                self._token = ""
        if not 200 <= answer.status < 300:
            raise refusal(UCP, answer, self.url, self.username, f"{method} {path.partition('?')[0]}")
        return answer

    def _document(self, answer: Answer, what: str) -> dict[str, Any]:
        return document(UCP, answer, self.url, what)

    def _read(self, answer: Answer, kind: type[T], what: str) -> T:
        return read_as(UCP, answer, self.url, kind, what)


_JSON: Final[dict[str, str]] = {"Content-Type": "application/json"}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _endless(url: str, what: str) -> UcpError:
    return UcpError(
        Trouble.NOT_UCP, f"The list of {what} of UCP on {url} does not end.", "Is it UCP that answers there?"
    )
