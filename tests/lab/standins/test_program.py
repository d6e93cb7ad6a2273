"""The stand-ins' own parts, without a lab."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The program under the name it has in the images."""
    folder = tmp_path_factory.mktemp("standin")
    (folder / "standin").symlink_to(Path(__file__).with_name("program"))
    sys.path.insert(0, str(folder))
    try:
        import standin.dtr.archive
        import standin.dtr.state
        import standin.dtr.store
        import standin.dtr.table
        import standin.pgp
        import standin.pki
        import standin.state
        import standin.table

        yield standin
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "standin"]:
            del sys.modules[name]


def test_what_it_encrypts_gpg_opens(program: Any, tmp_path: Path) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("there is no gpg")
    plain = bytes(range(256)) * 300
    sealed = program.pgp.encrypt(plain, "correct horse")
    command = [
        "gpg",
        "--homedir",
        str(tmp_path),
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "correct horse",
    ]
    done = subprocess.run([*command, "--decrypt"], input=sealed, capture_output=True, check=False, timeout=60)
    subprocess.run(["gpgconf", "--homedir", str(tmp_path), "--kill", "gpg-agent"], check=False, timeout=20)
    assert done.stdout == plain, done.stderr


def test_only_the_passphrase_opens_it(program: Any) -> None:
    sealed = program.pgp.encrypt(b"volumes", "right")
    assert program.pgp.decrypt(sealed, "right") == b"volumes"
    with pytest.raises(program.pgp.WrongPassphrase):
        program.pgp.decrypt(sealed, "wrong")
    with pytest.raises((program.pgp.WrongPassphrase, program.pgp.NotOpenPgp)):
        program.pgp.decrypt(sealed.replace(b"\n", b"\r\n")[:-1], "right")
    with pytest.raises(program.pgp.NotOpenPgp):
        program.pgp.decrypt(b"INFO[0000] Beginning backup\r\n" + sealed, "right")


@pytest.mark.parametrize(
    ("version", "command", "words"),
    [
        ((2, 2), "backup", ["--file", "x.tar"]),
        ((2, 2), "backup", ["--no-passphrase"]),
        ((3, 2), "backup", ["--id", "x"]),
        ((2, 2), "restore", ["--id", "x"]),
        ((3, 2), "restore", ["--force"]),
        ((2, 2), "install", ["--external-ca"]),
        ((2, 2), "install", ["--force-minimums"]),
        ((3, 0), "restore", ["--force-minimums"]),
        ((2, 2), "join", []),
        ((2, 2), "id", ["--debug"]),
        ((3, 4), "backup", ["--include-logs", "false"]),
        ((2, 2), "install", ["--san"]),
        ((2, 2), "dump-certs", ["--ca=perhaps"]),
    ],
)
def test_what_is_not_documented_is_refused(program: Any, version: Any, command: str, words: list[str]) -> None:
    with pytest.raises(program.table.Usage):
        program.table.parse(version, command, words, {})


def test_a_command_line_is_read_as_go_reads_it(program: Any) -> None:
    words = ["--san", "a", "-D", "--san=b", "--host-address", "10.0.0.1", "-i", "--external-server-cert=false"]
    given = program.table.parse((2, 2), "install", words, {"UCP_ADMIN_PASSWORD": "x"})
    assert given == {
        "san": ["a", "b"],
        "debug": "true",
        "host-address": "10.0.0.1",
        "interactive": "true",
        "external-server-cert": "false",
    }
    given = program.table.parse((3, 2), "install", ["--san", "c"], {"UCP_ADMIN_PASSWORD": "x", "UCP_HOSTNAMES": "a,b"})
    assert given == {"admin-password": "x", "san": ["c"]}


def test_certificates_are_checked_before_they_are_used(program: Any) -> None:
    root, other = program.pki.root("A"), program.pki.root("B")
    cert, key = program.pki.issue(root, "mgr1", ["mgr1", "10.0.0.1"])
    good = {"ca.pem": root["cert.pem"], "cert.pem": cert, "key.pem": key}
    assert program.pki.problem(good) == ""
    assert program.pki.names_in(cert) == {"mgr1", "10.0.0.1"}
    assert program.pki.problem({**good, "key.pem": root["key.pem"]}) == "tls: private key does not match public key"
    assert "unknown authority" in program.pki.problem({**good, "ca.pem": other["cert.pem"]})
    assert program.pki.problem({"ca.pem": b"x"}) == "missing cert.pem"


# --- DTR ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "command", "words"),
    [
        ((2, 4), "emergency-repair", []),
        ((2, 4), "backup", ["--offline-backup"]),
        ((2, 4), "restore", ["--dtr-use-default-storage"]),
        ((2, 4), "reconfigure", ["--storage-migrated"]),
        ((2, 4), "install", ["--insecure-tls"]),
        ((2, 4), "join", ["--dtr-external-url", "https://x"]),
        ((2, 6), "install", ["--async-nfs"]),
        ((2, 7), "destroy", ["--existing-replica-id", "00000000000a"]),
        ((2, 7), "backup", ["--file", "x.tar"]),
        ((2, 9), "restore", ["--unsafe-join"]),
        ((2, 9), "images", ["--debug"]),
        ((2, 9), "uninstall", []),
    ],
)
def test_what_is_not_documented_for_dtr_is_refused(program: Any, version: Any, command: str, words: list[str]) -> None:
    with pytest.raises(program.table.Usage):
        program.dtr.table.parse(version, command, words, {})


def test_the_environment_gives_what_the_command_line_does_not(program: Any) -> None:
    environment = {"UCP_PASSWORD": "p", "UCP_URL": "https://a", "PRUNE": "true", "DTR_REPLICA_ID": "00000000000a"}
    given = program.dtr.table.parse((2, 7), "emergency-repair", ["--ucp-url=https://b", "--y"], environment)
    assert given == {
        "ucp-password": "p", "ucp-url": "https://b", "prune": "true", "yes": "true",
        "existing-replica-id": "00000000000a",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["install", "reconfigure", "restore"])
@pytest.mark.parametrize("version", [(2, 4), (2, 5), (2, 6), (2, 7)])
def test_certificates_and_ports_of_dtr_come_by_the_environment_too(program: Any, version: Any, command: str) -> None:
    environment = {
        "DTR_CA": "a", "DTR_CERT": "b", "DTR_KEY": "c", "REPLICA_HTTP_PORT": "8080", "REPLICA_HTTPS_PORT": "8443",
        "LOG_HOST": "h", "DTR_NO_PROXY": "n",
    }  # fmt: skip
    assert program.dtr.table.parse(version, command, [], environment) == {
        "dtr-ca": "a", "dtr-cert": "b", "dtr-key": "c", "replica-http-port": "8080", "replica-https-port": "8443",
        "log-host": "h", "no-proxy": "n",
    }  # fmt: skip


def test_msr_reads_no_variable_whose_name_is_not_sure(program: Any) -> None:
    """Its pages print $MSR_CA here and $DTR_CA there."""
    environment = {"DTR_KEY": "c", "DTR_REPLICA_ID": "00000000000a", "UCP_PASSWORD": "p", "LOG_HOST": "h"}
    given = program.dtr.table.parse((2, 9), "reconfigure", [], environment)
    assert given == {"ucp-password": "p", "log-host": "h"}


def test_an_archive_of_dtr_is_of_one_version_and_whole(program: Any) -> None:
    task = {"ucp": {"url": "https://a", "ca": ""}}
    held = program.dtr.state.new(program.dtr.names.Replica("2.4.1", "00000000000a", "k"), task)
    held["repositories"], held["tags"] = [{"name": "app"}], [{"name": "v1", "digest": "d", "repository": "admin/app"}]
    data = program.dtr.archive.made(held, "2.4.1")
    assert program.dtr.archive.opened(data, "2.4.1")["tags"] == held["tags"]
    assert b"dtr-backup-v2.9.4-online/rethink/" in program.dtr.archive.made(held, "2.9.4")
    for wrong, version in ((data, "2.4.2"), (data[: len(data) // 2], "2.4.1"), (b"", "2.4.1")):
        with pytest.raises(program.dtr.archive.BadArchive):
            program.dtr.archive.opened(wrong, version)


def test_the_certificate_names_the_external_url_alone(program: Any) -> None:
    held = program.dtr.state.new(program.dtr.names.Replica("2.4.1", "00000000000a", "k"), {"ucp": {}})
    program.dtr.state.apply(held, {"dtr-external-url": "https://dtr.example.com:4443"}, "10.0.0.1")
    assert program.pki.names_in(held["tls"]["cert"].encode()) == {"dtr.example.com"}
    first = held["tls"]
    program.dtr.state.apply(held, {"log-level": "debug"}, "10.0.0.1")
    assert held["tls"] == first and held["settings"]["logLevel"] == "debug"


def test_a_replica_counts_with_a_majority_only(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three members: with one other heard it can be read and changed, alone it cannot."""
    own = program.dtr.names.Replica("2.4.1", "00000000000a", "k")
    held = program.dtr.state.new(own, {"ucp": {}})
    held["members"] = {f"00000000000{one}": {"joined": "2017-02-18T01:11:20Z"} for one in "abc"}
    monkeypatch.setattr(program.dtr.store, "FILE", tmp_path / "state.json")
    (tmp_path / "state.json").write_text(json.dumps(held))
    store = program.dtr.store.Store(own)
    with pytest.raises(program.dtr.rethink.NoQuorum):
        store.state()
    told = {"revision": 1, "sick": ["registry"], "time": "2018-01-01T00:00:00Z"}
    store._heard["00000000000b"] = (time.monotonic(), told)
    assert store.cluster()["health"] == {
        "00000000000a": "OK",
        "00000000000b": "registry is not healthy",
        "00000000000c": "Replica reported health too long ago: 2017-02-18T01:11:20Z",
    }
    asked: list[str] = []
    monkeypatch.setattr(program.dtr.rethink, "ask", lambda name, *_: asked.append(name))
    assert store.put({**store.state(), "external": "x"})["revision"] == 2 and asked == ["00000000000b"]
    with pytest.raises(program.dtr.rethink.Changed):
        store.put({**store.state(), "revision": 1})
