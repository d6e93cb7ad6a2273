"""The client of UCP against a server that answers as documented, and against hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.link import https
from swarmtui.link.https import Https, endpoint
from swarmtui.link.ucp.client import UcpClient
from swarmtui.link.ucp.errors import UCP, Trouble, UcpError
from swarmtui.vault.secret import Secret
from tests.ucp.tls import Asked, Authority, answer, closed, saying, serving

PASSWORD = "hunter2-of-the-admin"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.server(tmp_path_factory.mktemp("tls"), "127.0.0.1")


class Ucp:
    """As much of UCP as the client uses; keeps at most five sessions of a user, and says so by a 401."""

    def __init__(self) -> None:
        self.accounts: list[dict[str, Any]] = [
            {"name": f"user{n:03d}", "id": str(n), "isActive": True} for n in range(25)
        ]
        self.sessions: list[str] = []
        self.logins = 0
        self.asked: list[Asked] = []
        self.page = 10
        self.inclusive = False
        self.keys = [{"id": "k1", "publicKey": "PEM", "label": ""}]

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        status, body = self._answer(asked)
        writer.write(answer(status, body if isinstance(body, bytes) else json.dumps(body).encode()))

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        path, _, query = asked.path.partition("?")
        if path == "/_ping":
            return 200, b""
        if path == "/auth/login":
            told = json.loads(asked.body)
            if told != {"username": "admin", "password": PASSWORD}:
                return 401, {"errors": [{"code": "401", "message": "invalid username or password"}]}
            self.logins += 1
            self.sessions = [*self.sessions, f"token-{self.logins}"][-5:]
            return 200, {"auth_token": f"token-{self.logins}"}
        if asked.token not in self.sessions:
            return 401, {"message": "unauthorized"}
        if path == "/id/logout":
            self.sessions.remove(asked.token)
            return 204, b""
        if path == "/accounts/" and asked.method == "GET":
            wire = dict(part.split("=") for part in query.split("&"))
            start = wire.get("start", "")
            later = [a for a in self.accounts if a["name"] > start or (self.inclusive and a["name"] == start)]
            return 200, {"accounts": later[: min(self.page, int(wire["limit"]))]}
        if path == "/accounts" and asked.method == "POST":
            return 201, json.loads(asked.body) | {"id": "new"}
        if path == "/version":
            return 200, {"Version": "ucp/2.2.5", "ApiVersion": "1.30"}
        if path == "/api/clientbundle":
            return 200, b"PK\x03\x04"
        if path.endswith("/publicKeys"):
            return 200, {"accountPublicKeys": self.keys, "nextPageStart": ""}
        if asked.method == "DELETE":
            return 404, {"code": "NO_SUCH", "message": "no such key"}
        if path == "/api/ucp/backups":
            return 200, [{"id": "b1", "backupState": "SUCCESS", "fileName": "x.tar", "shortError": ""}]
        return 404, {"message": "page not found"}


def client(url: str, authority: Authority, **more: Any) -> UcpClient:
    return UcpClient(url, authority.pem, username="admin", password=Secret(more.pop("password", PASSWORD)), **more)


async def test_one_login_serves_all_calls_and_ends_with_the_client(authority: Authority, certificate: Path) -> None:
    ucp = Ucp()
    async with serving(ucp, certificate) as url, client(url, authority) as admin:
        assert (await admin.ping()).ok
        assert ucp.logins == 0, "a ping needs no session"
        await asyncio.gather(admin.version(), admin.accounts(), admin.bundles("admin"), admin.bundle())
        made = await admin.create_account("bob", Secret("new"), full_name="Bob", admin=True)
        assert (made.name, made.is_admin, made.id) == ("bob", True, "new")
        assert await admin.version() == "2.2.5"
        await admin.revoke("admin", "gone already")
        (backup,) = await admin.backups()
        assert (backup.ok, backup.running, backup.file) == (True, False, "x.tar")
        assert ucp.logins == 1 and ucp.sessions == ["token-1"]
        await admin.close()
        assert ucp.sessions == []
    sent = next(asked.body for asked in ucp.asked if asked.method == "POST" and asked.path == "/accounts")
    assert json.loads(sent) == {
        "name": "bob",
        "password": "new",
        "fullName": "Bob",
        "isActive": True,
        "isAdmin": True,
        "isOrg": False,
        "searchLDAP": False,
    }


async def test_a_session_that_was_evicted_is_begun_anew_once(authority: Authority, certificate: Path) -> None:
    ucp = Ucp()
    async with serving(ucp, certificate) as url, client(url, authority) as admin:
        await admin.version()
        ucp.sessions.clear()  # five other logins of the same user
        assert await admin.version() == "2.2.5"
        assert ucp.logins == 2


@pytest.mark.parametrize("inclusive", [False, True])
async def test_accounts_are_read_to_the_last_page(authority: Authority, certificate: Path, inclusive: bool) -> None:
    """UCP 2.2 does not tell where a page ends, and nothing documents whether it begins with `start` or after it."""
    ucp = Ucp()
    ucp.inclusive = inclusive
    async with serving(ucp, certificate) as url, client(url, authority) as admin:
        found = await admin.accounts()
    assert [account.name for account in found] == [f"user{n:03d}" for n in range(25)]


async def test_a_wrong_password_is_told_and_shown_nowhere(authority: Authority, certificate: Path) -> None:
    async with serving(Ucp(), certificate) as url, client(url, authority, password="wrong-secret") as admin:
        with pytest.raises(UcpError, match="does not let admin in") as caught:
            await admin.accounts()
    assert caught.value.trouble is Trouble.LOGIN
    assert "wrong-secret" not in repr(caught.value) + str(caught.value) + repr(admin) + repr(vars(admin))


@pytest.mark.parametrize(
    ("whole", "trouble", "words"),
    [
        (answer(200, b"<html>"), Trouble.NOT_UCP, "cannot be read"),
        (answer(200, b"[" * 100_000), Trouble.NOT_UCP, "cannot be read"),
        (answer(200, b'{"auth_token": 7}'), Trouble.NOT_UCP, "cannot be read"),
        (answer(200, b'{"auth_token": "a\\r\\nX-Evil: 1"}'), Trouble.NOT_UCP, "cannot be read"),
        (answer(302, b"", "Location: https://evil.example/"), Trouble.REDIRECTED, "passwords do not follow"),
        (answer(500, b'{"message": "rethinkdb \\u001b[31mtimeout"}'), Trouble.FAILED, "rethinkdb \ufffd[31mtimeout"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Trouble.NOT_UCP, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", Trouble.NOT_UCP, "does not speak HTTP"),
        (b"", Trouble.AWAY, "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Trouble.NOT_UCP, "cannot be read"),
    ],
    ids=["html", "deep", "no-token", "header-token", "redirect", "failed", "ssh", "headers", "nothing", "cut"],
)
async def test_a_server_that_is_no_ucp_is_told_in_one_sentence(
    authority: Authority, certificate: Path, whole: bytes, trouble: Trouble, words: str
) -> None:
    async with serving(saying(whole), certificate) as url, client(url, authority) as admin:
        with pytest.raises(UcpError) as caught:
            await admin.login()
    assert caught.value.trouble is trouble, caught.value
    assert words in caught.value.what and caught.value.next_step
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value) and PASSWORD not in str(caught.value)


async def test_a_huge_answer_is_not_read_to_its_end(
    authority: Authority, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "ANSWER_MAX", 1 << 20)

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(endless, certificate) as url, client(url, authority) as admin:
        with pytest.raises(UcpError) as caught:
            await admin.login()
        answered = await admin.ping()
    assert caught.value.trouble is Trouble.TOO_LARGE
    assert (answered.ok, answered.trouble) == (False, Trouble.TOO_LARGE)


@pytest.mark.parametrize("where", ["handshake", "headers", "body"])
async def test_a_slow_server_is_given_up_on_and_holds_no_thread(
    authority: Authority, certificate: Path, where: str
) -> None:
    async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" if where == "headers" else b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            # Each byte within any timeout of a single read.
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    calls = Https("https://127.0.0.1:1", authority.pem, UCP)
    silent = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with serving(drip, certificate) as url, silent:
        port = silent.sockets[0].getsockname()[1]
        calls = Https(f"https://127.0.0.1:{port}" if where == "handshake" else url, authority.pem, UCP)
        with pytest.raises(UcpError) as caught:
            await calls.ask("GET", "/_ping", timeout=0.4)
        calls.close()
        for _ in range(100):
            if not [thread for thread in threading.enumerate() if thread.name.startswith("ucp-")]:
                break
            await asyncio.sleep(0.05)
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ucp-")]
        await closed(silent)
    assert caught.value.trouble is Trouble.SLOW and caught.value.away and caught.value.exit_code == 3


async def test_certificates_are_believed_only_from_the_right_authority_for_the_right_name(
    authority: Authority, tmp_path: Path
) -> None:
    cases = {
        authority.server(tmp_path, "127.0.0.1", days=-1): (Trouble.EXPIRED, "not valid now"),
        authority.server(tmp_path, "lb.example.com"): (Trouble.WRONG_NAME, 'not for "127.0.0.1"'),
        Authority().server(tmp_path, "127.0.0.1"): (Trouble.NOT_TRUSTED, "was not signed by the authority"),
    }
    for certificate, (trouble, words) in cases.items():
        async with serving(Ucp(), certificate) as url, client(url, authority) as admin:
            answered = await admin.ping()
            with pytest.raises(UcpError, match=words) as caught:
                await admin.login()
        assert caught.value.trouble is trouble, caught.value
        assert (answered.ok, answered.status, answered.trouble) == (False, 0, trouble)


async def test_without_tls_or_without_anybody_no_password_is_sent(authority: Authority) -> None:
    heard = b""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.read(65_536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with client(url, authority) as admin:
            with pytest.raises(UcpError) as caught:
                await admin.login()
        await closed(server)
    assert caught.value.trouble is Trouble.NOT_TLS and heard and PASSWORD.encode() not in heard
    async with client(url, authority) as admin:
        answered = await admin.ping()
    assert (answered.trouble, answered.status) == (Trouble.AWAY, 0)
    assert "no UCP runs there now" in answered.text


async def test_a_socket_may_lead_there_and_the_certificate_must_be_right_all_the_same(
    authority: Authority, certificate: Path, tmp_path: Path
) -> None:
    """As where only a manager's SSH is reached, and its sshd leads to UCP."""
    ucp = Ucp()
    async with serving(ucp, certificate) as url:
        target = endpoint(url)

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(*target)

            async def pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while data := await source.read(65_536):
                        into.write(data)
                        await into.drain()
                into.close()

            await asyncio.gather(pour(reader, back), pour(there, writer))

        socket = tmp_path / "s"
        async with await asyncio.start_unix_server(relay, str(socket)) as server:
            async with client("https://127.0.0.1", authority, via=socket) as admin:
                assert await admin.version() == "2.2.5"
            async with client("https://elsewhere.example", authority, via=socket) as admin:
                assert (await admin.ping()).trouble == Trouble.WRONG_NAME
            await closed(server)
        async with client("https://127.0.0.1", authority, via=tmp_path / "none") as admin:
            assert (await admin.ping()).trouble == Trouble.AWAY
    assert [asked.path for asked in ucp.asked] == ["/auth/login", "/version", "/id/logout"]


async def test_an_authority_that_is_none_is_told(certificate: Path) -> None:
    async with serving(Ucp(), certificate) as url, UcpClient(url, "-----BEGIN NONSENSE-----") as nobody:
        answered = await nobody.ping()
    assert answered.trouble == Trouble.NOT_TRUSTED and "cannot be read" in answered.text


@pytest.mark.parametrize(
    "url", ["http://h", "https://", "https://u:pw-secret@h", "https://h/x", "https://h:99999", "h", "https://h?a", ""]
)
def test_what_is_no_address_is_refused_and_not_told_back(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        endpoint(url)
    assert "pw-secret" not in str(caught.value)


def test_addresses_are_read() -> None:
    assert endpoint("https://ucp.example.com/") == ("ucp.example.com", 443)
    assert endpoint("https://[2001:db8::1]:8443").url == "https://[2001:db8::1]:8443"
    assert endpoint("https://10.0.0.1:443").url == "https://10.0.0.1"
