"""A client of DTR: HTTP Basic with an account of UCP in each call, since DTR has none of its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from swarmtui.link.dtr import storage
from swarmtui.link.dtr.errors import DTR, DtrError, Trouble
from swarmtui.link.https import PATIENCE, Answer, Closing, Hidden, Https, Ping
from swarmtui.link.https_refusals import document, not_readable, refusal
from swarmtui.link.ucp.door import read_certificate
from swarmtui.model.dtr.seen import Told
from swarmtui.model.dtr.told import with_settings, with_status
from swarmtui.model.text import harmless_json, one_line

PING_SECONDS: Final = 5.0
STORAGE_SECONDS: Final = 60.0
"""DTR writes into the new storage before it answers (ucp-dtr.md §3.2)."""
PAGE: Final = 100
PAGES: Final = 1_000
API: Final = "/api/v0"
SIMPLE: Final = f"{API}/admin/settings/registry/simple"
_ELSEWHERE: Final = (301, 302, 307, 308, 404, 405)
"""What a release answers to a path with, or without, the slash at its end that it does not know."""


class Repository(msgspec.Struct, frozen=True):
    """A repository, and who may see it: public or private."""

    namespace: str
    name: str
    visibility: str = ""

    @property
    def full(self) -> str:
        return f"{self.namespace}/{self.name}"


class DtrClient(Closing):
    """DTR at one address, as one user.

    Args:
        url: https://HOST[:PORT] of a replica or of the load balancer.
        ca_pem: DTR's authority in PEM; "" for the system's authorities.
        username: who asks; "" for nobody: then only `ping` and `ca` work.
        password: theirs, of UCP.
        via: a local socket that leads to it, where it is not reached directly.
        external: host of the external URL: a replica's certificate may be for that, and not for its own address.
        anybody: believe whoever answers, where the way is safe by itself; nothing but `ca` and `ping` is asked then.

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
        via: Path | None = None,
        external: str = "",
        anybody: bool = False,
    ) -> None:
        self._https = Https(url, ca_pem, DTR, via=via, also=external, anybody=anybody)
        self._anybody = anybody
        self.username = username
        self._password = password

    @property
    def url(self) -> str:
        """Where it is reached: https://HOST[:PORT]."""
        return self._https.url

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificate that it showed is for; () before the first call."""
        certificate = read_certificate(self._https.shown) if self._https.shown else None
        return certificate.names if certificate is not None else ()

    async def close(self) -> None:
        """Lets the threads end."""
        self._https.close()

    # -- without a login -----------------------------------------------------------------------------------------------

    async def ping(self, timeout: float = PING_SECONDS) -> Ping:
        """How the replica is that answers: `/_ping`, or `/health` where that is not known (2.1 and 2.2).

        Never fails: what does not answer is not ok, and says why.
        """
        started = time.monotonic()
        try:
            answer = await self._https.ask("GET", "/_ping", timeout=timeout, limit=65_536)
            if answer.status == 404:
                left = max(timeout - (time.monotonic() - started), 0.5)
                answer = await self._https.ask("GET", "/health", timeout=left, limit=65_536)
        except DtrError as error:
            return Ping(ok=False, status=0, text=error.what, seconds=time.monotonic() - started, trouble=error.trouble)
        well, text = _healthy(answer)
        ok = answer.status == 200 and well
        return Ping(ok=ok, status=answer.status, text=text, seconds=time.monotonic() - started)

    async def ca(self) -> str:
        """Its authority in PEM, as it says itself: to be believed only over a way that is safe. Raises DtrError."""
        answer = await self._https.ask("GET", "/ca", timeout=PING_SECONDS, limit=1 << 20)
        text = answer.body.decode("ascii", "replace")
        if answer.status != 200:
            raise refusal(DTR, answer, self.url, self.username, "GET /ca")
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise not_readable(DTR, self.url, "its authority")
        return text

    # -- as the user ---------------------------------------------------------------------------------------------------

    async def cluster_status(self) -> dict[str, Any]:
        """How the replicas are, as `model.dtr.told` reads it. Raises DtrError, also where more than half are lost."""
        return document(DTR, await self._call("GET", f"{API}/meta/cluster_status"), self.url, "its replicas")

    async def settings(self) -> dict[str, Any]:
        """Its settings: where replicas are, the external URL, storage. Raises DtrError."""
        return document(DTR, await self._call("GET", f"{API}/meta/settings"), self.url, "its settings")

    async def told(self) -> Told:
        """What both of them say. Raises DtrError."""
        return with_settings(with_status(Told(), await self.cluster_status()), await self.settings())

    async def set_storage(
        self, kind: str, fields: Mapping[str, str | bool], secrets: Mapping[str, Hidden] | None = None
    ) -> None:
        """Makes DTR keep images in object storage. It tries to write there first.

        Args:
            kind: one of `storage.KINDS`.
            fields, secrets: what that kind takes.

        Raises:
            DtrError: refused; the storage's own reason is told, and nothing was changed.
            ValueError: kind or fields are none.
        """
        await self._call("PUT", SIMPLE, storage.body(kind, fields, secrets or {}), timeout=STORAGE_SECONDS)

    async def storage_kind(self) -> str:
        """Which kind of storage its registry uses: "s3", "filesystem", …; "" where it does not tell.

        No version documents this question (only the PUT beside it): nothing may depend on its answer.
        """
        try:
            told = document(DTR, await self._call("GET", SIMPLE), self.url, "its storage").get("storage")
        except DtrError as error:
            if error.away or error.trouble is Trouble.LOGIN:
                raise
            return ""
        kinds = [key for key in told if key not in ("delete", "maintenance", "cache")] if isinstance(told, dict) else []
        return one_line(kinds[0])[:40] if len(kinds) == 1 else ""

    async def version(self) -> str:
        """Its version; "" where this release does not tell (2.4 has no such call). Raises DtrError."""
        try:
            found = document(DTR, await self._call("GET", f"{API}/admin/version"), self.url, "its version")
        except DtrError as error:
            if error.trouble is Trouble.NOT_THERE:
                return ""
            raise
        version = found.get("version")
        return one_line(version)[:64] if isinstance(version, str) else ""

    async def jobs(self, *, running: bool = False) -> dict[str, Any]:
        """What it does, and did, in the background, the newest page of it. Raises DtrError."""
        query = {"action": "any", "worker": "any", "running": "true" if running else "any", "start": "0"}
        return document(DTR, await self._either(f"{API}/jobs", query), self.url, "its jobs")

    async def start_gc(self) -> None:
        """Begins to collect garbage now. Raises DtrError."""
        await self._call("POST", f"{API}/admin/jobs", {"job": "registryGC"})

    async def repositories(self) -> tuple[Repository, ...]:
        """All repositories that the user may see, by name. Raises DtrError."""
        found: dict[str, Repository] = {}
        start = ""
        for _ in range(PAGES):
            query = {"pageSize": str(PAGE)} | ({"pageStart": start} if start else {})
            answer = await self._either(f"{API}/repositories", query)
            page = document(DTR, answer, self.url, "its repositories").get("repositories")
            new = {one.full: one for one in map(_repository, _tables(page)) if one.full not in found}
            found |= new
            if not answer.next_page or not new:
                return tuple(sorted(found.values(), key=lambda one: one.full))
            start = answer.next_page
        raise DtrError(
            Trouble.NOT_DTR,
            f"The list of repositories of DTR on {self.url} does not end.",
            "Is it DTR that answers there?",
        )

    async def tags(self, repository: Repository) -> tuple[str, ...]:
        """The names of a repository's tags. Raises DtrError."""
        found: list[str] = []
        start = ""
        for _ in range(PAGES):
            query = {"pageSize": str(PAGE)} | ({"pageStart": start} if start else {})
            answer = await self._either(f"{API}/repositories/{quote(repository.full)}/tags", query)
            new = [name for name in _names(answer, self.url) if name not in found]
            found += new
            if not answer.next_page or not new:
                break
            start = answer.next_page
        return tuple(sorted(found))

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def _either(self, path: str, query: Mapping[str, str]) -> Answer:
        """GETs a list: 2.4 documents its path with a slash at the end, 2.5 without (ucp-dtr.md §3.2)."""
        words = f"?{urlencode(query)}"
        answer = await self._ask("GET", f"{path}/{words}")
        if answer.status in _ELSEWHERE:
            answer = await self._ask("GET", f"{path}{words}")
        return self._good(answer, f"GET {path}")

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = PATIENCE
    ) -> Answer:
        return self._good(await self._ask(method, path, body, timeout), f"{method} {path}")

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float = PATIENCE
    ) -> Answer:
        if self._anybody:
            raise ValueError("a password is not told to anybody")
        if not self.username or self._password is None:
            raise DtrError(
                Trouble.LOGIN,
                f"DTR on {self.url} wants a login, and there is no password for it here.",
                "Keep UCP's in the vault: swarmtui secrets set ucp-password CLUSTER",
            )
        basic = base64.b64encode(f"{self.username}:{self._password.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"} | ({} if body is None else {"Content-Type": "application/json"})
        data = None if body is None else json.dumps(body).encode()
        return await self._https.ask(method, path, headers=headers, body=data, timeout=timeout)

    def _good(self, answer: Answer, what: str) -> Answer:
        if not 200 <= answer.status < 300:
            raise refusal(DTR, answer, self.url, self.username, what)
        return answer


def _healthy(answer: Answer) -> tuple[bool, str]:
    """Whether the body says so, and what is wrong: {"Error":…,"Healthy":…}, whose keys have changed their case."""
    text = one_line(answer.body.decode("utf-8", "replace"))[:500]
    try:
        told = json.loads(harmless_json(answer.body))
    except (ValueError, RecursionError):
        # A load balancer's own page, be its status 200, is no word of DTR's.
        return False, text or "it says nothing"
    if not isinstance(told, dict):
        return False, text
    small = {key.lower(): value for key, value in told.items()}
    error = small.get("error")
    healthy = small.get("healthy")
    words = one_line(error)[:500] if isinstance(error, str) else ""
    return healthy is True, words or ("" if healthy is True else "it says that it is not healthy")


def _tables(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _repository(told: Mapping[str, Any]) -> Repository:
    texts = (told.get(key) for key in ("namespace", "name", "visibility"))
    return Repository(*(one_line(text) if isinstance(text, str) else "" for text in texts))


def _names(answer: Answer, url: str) -> list[str]:
    try:
        found = json.loads(harmless_json(answer.body))
    except (ValueError, RecursionError) as error:
        raise not_readable(DTR, url, "its tags") from error
    return [one_line(each["name"]) for each in _tables(found) if isinstance(each.get("name"), str)]
