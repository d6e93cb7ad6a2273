from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.link import bundle
from swarmtui.link.target import load_bundle

ENV = """export DOCKER_TLS_VERIFY=1
export COMPOSE_TLS_VERSION=TLSv1_2
export DOCKER_CERT_PATH=$PWD
export DOCKER_HOST=tcp://ucp.example.org:443
# Bundle for user jenkins
# UCP Instance ID ox51ffj80pxj2oe5xglu8m482
"""
PEMS = {"ca.pem": "CA", "cert.pem": "CERT", "key.pem": "KEY"}
UCP_22 = {**PEMS, "cert.pub": "PUB", "env.sh": ENV, "env.ps1": "", "env.cmd": ""}
META = json.dumps({"Name": "u", "Endpoints": {"docker": {"Host": "tcp://ucp.example.org:443", "SkipTLSVerify": False}}})
UCP_32 = {**UCP_22, "kube.yml": "", "meta.json": META, **{f"tls/docker/{n}": c for n, c in PEMS.items()}}


def archive(members: Mapping[str, str | bytes], path: Path, *, links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = ((stat.S_IFLNK | 0o777) if name in links else (stat.S_IFREG | 0o666)) << 16
            file.writestr(info, content)
    return path


def inner() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("meta.json", META)
        for name, content in PEMS.items():
            file.writestr(f"tls/docker/{name}", content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        UCP_22,
        UCP_32,
        {"meta.json": META, **{f"tls/docker/{n}": c for n, c in PEMS.items()}},
        {"ucp-docker-bundle.zip": inner()},
        {f"ucp-bundle-admin/{name}": content for name, content in UCP_22.items()},
    ],
    ids=["2.2", "3.2", "context only", "nested", "in a folder"],
)
def test_every_layout(members: Mapping[str, str | bytes], tmp_path: Path) -> None:
    into = tmp_path / "bundles"
    target = load_bundle(archive(members, tmp_path / "ucp-bundle-admin.zip"), into)
    assert (target.host, target.port, target.label) == ("ucp.example.org", 443, "ucp-bundle-admin")
    assert target.tls.ca and target.tls.cert and target.tls.key and target.tls.verify
    assert [file.read_text() for file in (target.tls.ca, target.tls.cert, target.tls.key)] == ["CA", "CERT", "KEY"]
    assert stat.S_IMODE(target.tls.key.stat().st_mode) == 0o600
    folders = [folder for folder in into.rglob("*") if folder.is_dir()]
    assert folders and {stat.S_IMODE(folder.stat().st_mode) for folder in (into, *folders)} == {0o700}


def test_a_folder_is_used_where_it_is(tmp_path: Path) -> None:
    for name, content in UCP_22.items():
        (tmp_path / name).write_text(content)
    target = load_bundle(tmp_path, tmp_path / "never")
    assert target.tls.key == tmp_path / "key.pem" and not (tmp_path / "never").exists()


def test_the_same_archive_is_unpacked_once_and_a_new_one_beside_it(tmp_path: Path) -> None:
    path = archive(UCP_22, tmp_path / "b.zip")
    first = load_bundle(path, tmp_path / "into")
    again = load_bundle(path, tmp_path / "into")
    other = load_bundle(archive({**UCP_22, "key.pem": "NEW"}, path), tmp_path / "into")
    assert first == again != other
    assert other.tls.key is not None and other.tls.key.read_text() == "NEW"
    assert len(list((tmp_path / "into").iterdir())) == 2


@pytest.mark.parametrize(
    ("members", "links", "says"),
    [
        ({**UCP_22, "../../evil": "x"}, (), "outside of its folder"),
        ({**UCP_22, "/etc/cron.d/evil": "x"}, (), "outside of its folder"),
        ({**UCP_22, "..\\..\\evil": "x"}, (), "outside of its folder"),
        ({**UCP_22, "C:\\evil": "x"}, (), "outside of its folder"),
        ({**UCP_22, "key.pem": "/etc/shadow"}, ("key.pem",), "symbolic link"),
        ({**UCP_22, "key.pem": "0" * (bundle.MEMBER_MAX + 1)}, (), "far larger"),
        ({**UCP_22, **{f"f{n}": "" for n in range(bundle.MEMBERS_MAX)}}, (), "files"),
    ],
    ids=["dotdot", "absolute", "backslash", "drive", "symlink", "bomb", "many"],
)
def test_hostile_archives(members: Mapping[str, str], links: tuple[str, ...], says: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    path = archive(members, tmp_path / "evil.zip", links=links)
    with pytest.raises(UsageError, match=says) as caught:
        load_bundle(path, folder)
    assert "no honest client bundle" in caught.value.what
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    assert list(folder.iterdir()) == []


def test_a_size_that_lies(tmp_path: Path) -> None:
    path = archive({**UCP_22, "key.pem": "0" * (bundle.MEMBER_MAX + 1)}, tmp_path / "evil.zip")
    content = path.read_bytes()
    # The directory at the end claims 4 bytes for it.
    claim = (bundle.MEMBER_MAX + 1).to_bytes(4, "little")
    assert content.count(claim) >= 2
    path.write_bytes(content.replace(claim, (4).to_bytes(4, "little")))
    with pytest.raises(UsageError):
        load_bundle(path, tmp_path / "into")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ca.pem": None}, "no ca.pem"),
        ({"ca.pem": None, "key.pem": None}, "no ca.pem and no key.pem"),
        ({"env.sh": None}, "no DOCKER_HOST"),
        ({"env.sh": "export FOO=1\n"}, "no DOCKER_HOST"),
        ({"env.sh": "export DOCKER_HOST=ssh://h\n"}, "no valid address"),
        ({"env.sh": "export DOCKER_HOST=tcp://$(reboot):1\n"}, "no valid address"),
        ({"key.pem": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"}, "is encrypted"),
    ],
)
def test_what_is_no_bundle(change: dict[str, str | None], says: str, tmp_path: Path) -> None:
    members = {name: content for name, content in {**UCP_22, **change}.items() if content is not None}
    with pytest.raises(UsageError, match=says):
        load_bundle(archive(members, tmp_path / "b.zip"), tmp_path / "into")


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no client bundle"):
        load_bundle(tmp_path / "none.zip", tmp_path)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(UsageError, match="cannot be opened"):
        load_bundle(tmp_path / "b.zip", tmp_path)
    good = archive(UCP_22, tmp_path / "b.zip").read_bytes()
    for end in range(0, len(good), 97):
        (tmp_path / "b.zip").write_bytes(good[:end])
        with pytest.raises(UsageError):
            load_bundle(tmp_path / "b.zip", tmp_path / "into")
    with (tmp_path / "big.zip").open("wb") as stream:
        stream.truncate(bundle.ARCHIVE_MAX + 1)
    with pytest.raises(UsageError, match="too large"):
        load_bundle(tmp_path / "big.zip", tmp_path)


def test_links_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for name, content in UCP_22.items():
        (folder / name).write_text(content)
    (folder / "real.pem").write_text("KEY")
    (folder / "key.pem").unlink()
    (folder / "key.pem").symlink_to("real.pem")
    assert load_bundle(folder, tmp_path).tls.key == folder / "key.pem"
    (folder / "key.pem").unlink()
    (tmp_path / "outside.pem").write_text("KEY")
    (folder / "key.pem").symlink_to("../outside.pem")
    with pytest.raises(UsageError, match="leads out of its bundle"):
        load_bundle(folder, tmp_path)
