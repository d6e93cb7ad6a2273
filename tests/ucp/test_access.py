"""Where UCP is, by whose authority it is believed, and whose password is used: nothing of it from the wrong place."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from swarmtui import config
from swarmtui.config import UcpConfig
from swarmtui.errors import UsageError
from swarmtui.link import trust
from swarmtui.model.ucp.status import Component, Parts, UcpSeen
from swarmtui.runbooks.ucp import logins
from swarmtui.runbooks.ucp.access import urls
from swarmtui.vault import Kind, Sources
from swarmtui.vault.sources import Named
from tests import builders as b
from tests.ucp.tls import Authority


def loaded(tmp_path: Path, text: str) -> config.Config:
    file = tmp_path / "config.toml"
    file.write_text(f'[clusters.prod]\nmanagers = ["ssh://m1"]\n[clusters.prod.ucp]\n{text}')
    return config.load(file)


def test_the_table_of_a_cluster_says_where_its_ucp_is(tmp_path: Path) -> None:
    said = 'url = "https://lb"\nmanagers = { m1 = "https://10.0.0.1:8443" }\nusername = "root"\nca = "~/ucp.pem"\n'
    assert loaded(tmp_path, said).clusters["prod"].ucp == UcpConfig(
        url="https://lb", managers={"m1": "https://10.0.0.1:8443"}, username="root", ca="~/ucp.pem"
    )
    assert loaded(tmp_path, "").clusters["prod"].ucp == UcpConfig()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('url = "http://lb"', "line 4"),
        ('url = "https://admin:pw-secret@lb"', "no address of UCP"),
        ('managers = { m1 = "10.0.0.1" }', 'what stands at "m1"'),
        ('username = " "', "nobody is called so"),
        ('pasword = "x"', 'unknown key "pasword"'),
        ("managers = 3", "managers"),
    ],
)
def test_a_wrong_table_names_its_key(tmp_path: Path, said: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, said)
    assert words in str(caught.value) and "pw-secret" not in str(caught.value)


def test_every_manager_is_asked_at_its_own_address_unless_something_else_is_said() -> None:
    nodes = [b.node("m1", manager="leader", addr="10.0.0.1"), b.node("m2", manager="reachable", addr="2001:db8::2")]
    swarm = b.snapshot(nodes=[*nodes, b.node("w1", addr="10.0.0.9")])
    m1, m2 = (b.object_id("node", name) for name in ("m1", "m2"))
    assert urls(swarm, UcpConfig()) == {m1: "https://10.0.0.1", m2: "https://[2001:db8::2]"}
    published = UcpSeen(parts={m1: Parts((Component("ucp-controller", port=8443),), at=1.0)})
    assert urls(replace(swarm, ucp=published), UcpConfig())[m1] == "https://10.0.0.1:8443"
    elsewhere = UcpConfig(managers={"m1": "https://127.0.0.1:4443"})
    assert urls(swarm, elsewhere)[m1] == "https://127.0.0.1:4443"


def listed(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_an_authority_is_remembered_for_its_cluster_alone(tmp_path: Path) -> None:
    pem = Authority().pem
    assert trust.certificates_in(f"log line\n{pem}more\n") == pem
    assert trust.certificates_in("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") == ""
    folder = tmp_path / "ucp"
    trust.remember(folder, "abc", pem)
    assert (trust.recall(folder, "abc"), trust.recall(folder, "abd")) == (pem, "")
    assert stat.S_IMODE((folder / "abc.pem").stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert listed(folder) == ["abc.pem"]
    trust.remember(folder, "../../outside", pem)
    assert trust.recall(folder, "../../outside") == "" and listed(folder) == ["abc.pem"]
    (folder / "abc.pem").write_text("damaged")
    assert trust.recall(folder, "abc") == ""
    trust.forget(folder, "abc")
    assert listed(folder) == []


def test_the_password_of_the_cluster_is_the_administrators_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "swarmtui.ucp-password.prod").write_text("of-the-admin")
    environ = {"ADMIN": "of-the-admin", "BOB": "of-bob", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    named = (Named(Kind.UCP_PASSWORD, "", "env:ADMIN"), Named(Kind.UCP_PASSWORD, "bob@prod", "env:BOB"))
    sources = Sources("prod", named, environ)

    def told(about: str) -> str:
        found = sources.told(Kind.UCP_PASSWORD, about) or sources.by_convention(Kind.UCP_PASSWORD, about)
        return found.secret.reveal() if found is not None else ""

    assert [told("clusterid"), told("bob@prod"), told("eve@prod")] == ["of-the-admin", "of-bob", ""]


@pytest.mark.parametrize("value", ["hunter2", "env:", "env:A B", "", "file:/x"])
def test_a_password_is_never_an_argument(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        logins.source(value)
    assert "hunter2" not in str(caught.value)
    assert [logins.source(good) for good in ("vault", "-", "env:A_1")] == ["vault", "-", "env:A_1"]
