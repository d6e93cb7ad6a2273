from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.errors import UsageError
from swarmtui.link.target import SocketTarget, SshTarget, TcpTarget, context_names, load_context, parse_target
from swarmtui.model.text import one_line


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("ssh://10.77.0.1", SshTarget("10.77.0.1")),
        ("ssh://root@10.77.0.1", SshTarget("10.77.0.1", "root")),
        ("ssh://root@mgr1.example.org:2222", SshTarget("mgr1.example.org", "root", 2222)),
        ("ssh://root@mgr1/", SshTarget("mgr1", "root")),
        ("ssh://[fd00::1]:22", SshTarget("fd00::1", None, 22)),
        ("ssh://op@[fe80::1%25eth0]", SshTarget("fe80::1%25eth0", "op")),
        ("ssh://Prod_Mgr", SshTarget("Prod_Mgr")),
        ("ssh://ann%40corp@mgr1", SshTarget("mgr1", "ann@corp")),
        (r"ssh://CORP\ann@mgr1", SshTarget("mgr1", r"CORP\ann")),
        ("unix:///var/run/docker.sock", SocketTarget("/var/run/docker.sock")),
    ],
)
def test_parses(text: str, target: Any) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["ssh://10.77.0.1", "ssh://root@10.77.0.1", "ssh://root@h:2222", "ssh://[fd00::1]:22", "unix:///a/b.sock"],
)
def test_is_shown_as_it_was_typed(text: str) -> None:
    assert str(parse_target(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ssh://", "names no host"),
        ("ssh://@", "names no host"),
        ("ssh://root@", "names no host"),
        ("ssh://:22", "names no host"),
        ("ssh://h:0", "no valid port"),
        ("ssh://h:65536", "no valid port"),
        ("ssh://h:ssh", "no valid port"),
        ("ssh://h:", "colon but no port"),
        ("ssh://h:-1", "no valid port"),
        ("ssh://[::1", "no valid port or address"),
        ("ssh://h/var/run/docker.sock", "after the host"),
        ("ssh://h?x=1", "after the host"),
        ("ssh://h#x", "after the host"),
        ("ssh://root:secret@h", "password"),
        ("ssh://-oProxyCommand=x", "no possible host"),
        ("ssh://-l@h", "no possible user"),
        ("ssh://a;b@h", "no possible user"),
        ("ssh://h\x1b[2J", "control characters"),
        ("ssh://h\n", "control characters"),
        ("ssh://h h", "spaces"),
        ("ssh://h\u202e", "control characters"),
        ("unix://docker.sock", "no absolute path"),
        ("unix://", "no absolute path"),
        ("unix:///" + "a" * 107, "too long"),
        ("tcp://10.0.0.1:2375", "without TLS"),
        ("http://10.0.0.1", "without TLS"),
        ("ftp://h", "unknown scheme"),
        ("SSH://h", "unknown scheme"),
        ("mgr1", "no address"),
        ("", "no address"),
    ],
)
def test_refuses_in_one_harmless_sentence(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert says in caught.value.what
    assert caught.value.exit_code == 2 and caught.value.next_step
    assert str(caught.value).isprintable() and "secret" not in str(caught.value)


@given(st.text())
def test_never_fails_otherwise(text: str) -> None:
    for candidate in (text, f"ssh://{text}", f"unix://{text}"):
        try:
            shown = str(parse_target(candidate))
        except UsageError as error:
            shown = str(error)
        assert one_line(shown) == shown


def context(home: Path, name: str, host: str | None, *, skip: bool = False, tls: tuple[str, ...] = ()) -> Path:
    id_ = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / id_
    meta.mkdir(parents=True)
    endpoint = {"docker": {"Host": host, "SkipTLSVerify": skip}} if host is not None else {}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoint}))
    folder = home / ".docker" / "contexts" / "tls" / id_ / "docker"
    for part in tls:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{part}.pem").write_text("-----BEGIN X-----\n")
    return folder


def test_contexts(home: Path) -> None:
    context(home, "over-ssh", "ssh://ops@mgr1:2222")
    context(home, "local", "unix:///run/user/1000/docker.sock")
    tls = context(home, "prod", "tcp://ucp.example.org:443", tls=("ca", "cert", "key"))
    context(home, "lax", "tcp://ucp.example.org:443", skip=True, tls=("cert", "key"))
    assert context_names() == ["lax", "local", "over-ssh", "prod"]
    assert load_context("over-ssh") == SshTarget("mgr1", "ops", 2222)
    assert load_context("local") == SocketTarget("/run/user/1000/docker.sock")
    prod = load_context("prod")
    assert isinstance(prod, TcpTarget) and (prod.host, prod.port, prod.label) == ("ucp.example.org", 443, "prod")
    assert (prod.tls.ca, prod.tls.cert, prod.tls.key) == (tls / "ca.pem", tls / "cert.pem", tls / "key.pem")
    assert prod.tls.verify and str(prod) == "tcp://ucp.example.org:443"
    lax = load_context("lax")
    assert isinstance(lax, TcpTarget) and not lax.tls.verify and lax.tls.ca is None


def test_contexts_of_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context(tmp_path, "there", "ssh://mgr1")
    assert context_names() == []
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    assert context_names() == ["there"]


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("tcp://10.0.0.1:2375", "without TLS"),
        ("npipe:////./pipe/docker_engine", "unknown scheme"),
        ("ssh://h/run/docker.sock", "after the host"),
        ("", "names no Docker host"),
        (None, "names no Docker host"),
    ],
)
def test_contexts_that_cannot_be_used(home: Path, host: str | None, says: str) -> None:
    context(home, "odd", host)
    with pytest.raises(UsageError, match=says) as caught:
        load_context("odd")
    assert "odd" in caught.value.what


def test_contexts_that_are_broken(home: Path) -> None:
    with pytest.raises(UsageError, match="There is no docker context"):
        load_context("nowhere")
    with pytest.raises(UsageError, match="There is no docker context"):
        load_context("../../etc")
    folder = context(home, "bad", "tcp://h:99999", tls=("ca",))
    with pytest.raises(UsageError, match="no valid address"):
        load_context("bad")
    key = context(home, "locked", "tcp://h:1", tls=("ca", "cert", "key")) / "key.pem"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="is encrypted"):
        load_context("locked")
    meta = home / ".docker/contexts/meta" / folder.parent.name / "meta.json"
    meta.write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        load_context("bad")
    assert context_names() == ["locked"]
