"""The client of DTR against a server that answers as documented, and against hostile ones."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from swarmtui.link.dtr.client import DtrClient
from swarmtui.link.dtr.errors import DtrError, Trouble
from swarmtui.link.dtr.storage import body
from swarmtui.vault.secret import Secret
from tests.ucp.tls import Asked, Authority, answer, saying, serving

PASSWORD = "hunter2-of-the-admin"
KEY = "planted-secretkey-4711"
BASIC = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("DTR CA")


@pytest.fixture(scope="module")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.server(tmp_path_factory.mktemp("tls"), "127.0.0.1", "dtr.example.com")


class Dtr:
    """As much of DTR as the client uses. old: paths of lists end with a slash, as in 2.4; else without, as in 2.5."""

    def __init__(self, *, old: bool = True, ping: str = "/_ping") -> None:
        self.old, self.ping = old, ping
        self.asked: list[Asked] = []
        self.repositories = [{"namespace": "shop", "name": f"r{n:03d}", "visibility": "public"} for n in range(7)]
        self.healthy = (200, {"Error": "", "Healthy": True})
        self.put: dict[str, Any] = {}
        self.refuses = ""
        self.endless = False

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        status, found, *headers = self._answer(asked)
        writer.write(answer(status, found if isinstance(found, bytes) else json.dumps(found).encode(), *headers))

    def _answer(self, asked: Asked) -> tuple[Any, ...]:
        path, _, query = asked.path.partition("?")
        if path == self.ping:
            return self.healthy
        if path == "/ca":
            return 200, b"-----BEGIN CERTIFICATE-----\n"
        if not path.startswith("/api/"):
            return 404, b"404 page not found"
        if asked.token != BASIC:
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        if path == "/api/v0/meta/settings":
            return 200, {"dtrHost": "dtr.example.com:4443", "nfsHost": "nas", "nfsPath": "/x", "replicaSettings": 3}
        if path == "/api/v0/meta/cluster_status":
            return 200, {"replica_health": {"f2277ad178f7": "OK"}, "new_in_3.0": [1]}
        if path == "/api/v0/admin/settings/registry/simple" and asked.method == "PUT":
            if self.refuses:
                return 400, {"errors": [{"code": "INVALID", "message": self.refuses}]}
            self.put = json.loads(asked.body)
            return 202, b""
        if path == "/api/v0/admin/jobs" and asked.method == "POST":
            return 201, {"id": "j1"}
        if path.startswith("/api/v0/admin/"):
            return 404, {"errors": [{"code": "NOT_FOUND", "message": "not found"}]}
        return self._list(path, query)

    def _list(self, path: str, query: str) -> tuple[Any, ...]:
        if path.endswith("/") != self.old:
            return (301, b"", "Location: https://evil.example/") if self.old else (404, {"message": "no"})
        wire = dict(part.split("=") for part in query.split("&"))
        match path.rstrip("/"):
            case "/api/v0/jobs":
                return 200, {"jobs": [{"id": "j", "action": "gc", "status": "running"}]}
            case "/api/v0/repositories/shop/r000/tags":
                return 200, [{"name": "latest"}, {"digest": "no name"}, 3]
            case "/api/v0/repositories":
                start = int(wire.get("pageStart", "0"))
                page = self.repositories[start : start + 3]
                if self.endless:
                    page = [{"namespace": "n", "name": f"x{start}"}]
                more = [f"X-Next-Page-Start: {start + 3}"] if self.endless or start + 3 < len(self.repositories) else []
                return 200, {"repositories": page}, *more
        return 404, {"message": "not found"}


def client(url: str, authority: Authority, **more: Any) -> DtrClient:
    return DtrClient(url, authority.pem, username="admin", password=Secret(more.pop("password", PASSWORD)), **more)


@pytest.mark.parametrize("old", [True, False], ids=["2.4", "2.5"])
async def test_everything_is_asked_as_each_version_documents_it(
    authority: Authority, certificate: Path, old: bool
) -> None:
    dtr = Dtr(old=old)
    async with serving(dtr, certificate) as url, client(url, authority) as admin:
        told = await admin.told()
        assert (told.url, dict(told.health)) == ("https://dtr.example.com:4443", {"f2277ad178f7": "OK"})
        assert str(told.storage) == "nfs://nas/x" and not told.places
        assert [one.full for one in await admin.repositories()] == [f"shop/r{n:03d}" for n in range(7)]
        assert await admin.tags((await admin.repositories())[0]) == ("latest",)
        assert (await admin.jobs())["jobs"][0]["status"] == "running"
        await admin.start_gc()
        assert await admin.version() == "", "2.4 has no such call"
    assert "pageSize=100" in next(one.path for one in dtr.asked if "repositories" in one.path)
    assert json.loads(next(one.body for one in dtr.asked if one.method == "POST")) == {"job": "registryGC"}


async def test_health_is_asked_where_ping_is_not_known_and_needs_no_password(
    authority: Authority, certificate: Path
) -> None:
    dtr = Dtr(ping="/health")
    dtr.healthy = (200, {"error": "", "healthy": True})
    async with serving(dtr, certificate) as url, DtrClient(url, authority.pem) as nobody:
        assert (await nobody.ping()).ok
        dtr.healthy = (503, {"error": "rethinkdb \u001b[31maway", "healthy": False})
        ill = await nobody.ping()
        with pytest.raises(DtrError, match="wants a login"):
            await nobody.settings()
    assert (ill.ok, ill.status, ill.text) == (False, 503, "rethinkdb \ufffd[31maway")
    assert [asked.path for asked in dtr.asked] == ["/_ping", "/health"] * 2 and not any(one.token for one in dtr.asked)


@pytest.mark.parametrize("said", [b"<html>Welcome</html>", b"[]", b'{"Healthy": "yes"}', b"", b"[" * 50_000])
async def test_a_page_of_somebody_else_is_no_health_be_its_status_200(
    authority: Authority, certificate: Path, said: bytes
) -> None:
    async with serving(saying(answer(200, said)), certificate) as url, DtrClient(url, authority.pem) as nobody:
        ping = await nobody.ping()
    assert (ping.ok, ping.status) == (False, 200) and ping.text


async def test_storage_is_set_with_its_keys_and_a_refusal_is_told_without_them(
    authority: Authority, certificate: Path
) -> None:
    dtr = Dtr()
    keys = {"accesskey": Secret("AKIA"), "secretkey": Secret(KEY)}
    async with serving(dtr, certificate) as url, client(url, authority) as admin:
        await admin.set_storage("s3", {"region": "eu-west-1", "bucket": "b"}, keys)
        dtr.refuses = "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist"
        with pytest.raises(DtrError, match="InvalidAccessKeyId") as caught:
            await admin.set_storage("s3", {"region": "eu-west-1", "bucket": "b"}, keys)
        assert await admin.storage_kind() == "", "nothing documents the question"
    assert dtr.put == {
        "storage": {
            "delete": {"enabled": True},
            "maintenance": {"readonly": {"enabled": False}},
            "s3": {
                "rootdirectory": "",
                "region": "eu-west-1",
                "regionendpoint": "",
                "bucket": "b",
                "secure": True,
                "accesskey": "AKIA",
                "secretkey": KEY,
            },
        }
    }
    assert caught.value.trouble is Trouble.REFUSED and KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "fields", "keys", "words"),
    [
        ("gcs", {}, {}, "no storage of the kind gcs"),
        ("s3", {"bucket": "b"}, {}, "no accesskey, region, secretkey"),
        ("azure", {"accountname": "a", "container": "c", "bucket": KEY}, {"accountkey": KEY}, "azure has no bucket"),
    ],
)
def test_fields_that_do_not_fit_are_named_and_their_values_are_not(
    kind: str, fields: dict[str, str | bool], keys: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        body(kind, fields, {name: Secret(value) for name, value in keys.items()})
    assert words in str(caught.value) and KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("whole", "trouble", "words"),
    [
        (answer(200, b"<html>"), Trouble.NOT_DTR, "cannot be read"),
        (answer(200, b"[" * 100_000), Trouble.NOT_DTR, "cannot be read"),
        (answer(302, b"", "Location: https://evil.example/"), Trouble.REDIRECTED, "passwords do not follow"),
        (answer(401, b""), Trouble.LOGIN, "does not know admin"),
        (answer(403, b'{"message": "no"}'), Trouble.DENIED, "admin may not do this"),
        (answer(500, b'{"message": "internal \\u202eserver"}'), Trouble.FAILED, "internal \ufffdserver"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Trouble.NOT_DTR, "does not speak HTTP as DTR does"),
        (b"", Trouble.AWAY, "DTR on"),
    ],
    ids=["html", "deep", "redirect", "login", "denied", "failed", "ssh", "nothing"],
)
async def test_a_server_that_is_no_dtr_is_told_in_one_sentence(
    authority: Authority, certificate: Path, whole: bytes, trouble: Trouble, words: str
) -> None:
    async with serving(saying(whole), certificate) as url, client(url, authority) as admin:
        with pytest.raises(DtrError) as caught:
            await admin.cluster_status()
    assert caught.value.trouble is trouble, caught.value
    assert words in caught.value.what and caught.value.next_step
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value) and "UCP on" not in str(caught.value)


async def test_a_list_without_an_end_and_one_that_goes_round_are_given_up(
    authority: Authority, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmtui.link.dtr.client.PAGES", 5)
    dtr = Dtr()
    dtr.endless = True
    async with serving(dtr, certificate) as url, client(url, authority) as admin:
        with pytest.raises(DtrError, match="does not end"):
            await admin.repositories()
    page = json.dumps({"repositories": [{"namespace": "a", "name": "b"}, 3]}).encode()
    round_and_round = saying(answer(200, page, "X-Next-Page-Start: same"))
    async with serving(round_and_round, certificate) as url, client(url, authority) as admin:
        assert [one.full for one in await admin.repositories()] == ["a/b"]


async def test_a_certificate_may_be_for_the_external_url_and_for_nobody_else(
    authority: Authority, tmp_path: Path
) -> None:
    """A replica's certificate is for the load balancer's name, and the replica is asked at its own address."""
    dtr = Dtr()
    external = authority.server(tmp_path, "dtr.example.com")
    async with serving(dtr, external) as url:
        async with client(url, authority, external="dtr.example.com") as admin:
            assert (await admin.told()).health
            assert (await admin.ping()).ok
        for wrong in ("other.example.com", ""):
            async with client(url, authority, external=wrong) as admin:
                with pytest.raises(DtrError, match="is not for") as caught:
                    await admin.settings()
                assert caught.value.trouble is Trouble.WRONG_NAME
        async with client(url, Authority(), external="dtr.example.com") as admin:
            assert (await admin.ping()).trouble == Trouble.NOT_TRUSTED
    assert {asked.token for asked in dtr.asked} == {BASIC, ""}, "the password went only where the certificate was right"
    assert len(dtr.asked) == 3


async def test_who_believes_anybody_tells_nobody_a_password(authority: Authority, certificate: Path) -> None:
    dtr = Dtr()
    async with serving(dtr, certificate) as url, client(url, Authority(), anybody=True) as admin:
        assert (await admin.ping()).ok
        assert "BEGIN CERTIFICATE" in await admin.ca()
        with pytest.raises(ValueError, match="not told to anybody"):
            await admin.settings()
    assert not any(asked.token for asked in dtr.asked)
