"""Client bundles as every version of UCP makes them (reference/ucp-dtr.md §6), unpacked for us and the docker CLI."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.link.bundle import MEMBER_MAX, new_bundle, open_bundle

KEYS = {"ca.pem": "CA", "cert.pem": "CERT", "key.pem": "-----BEGIN PRIVATE KEY-----\nKEY\n"}
ENV = "export DOCKER_TLS_VERIFY=1\nexport DOCKER_CERT_PATH=$PWD\nexport DOCKER_HOST=tcp://ucp.example.com:443\n"
META = '{"Name":"ucp","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://ucp.example.com:443"}}}'
FLAT = {**KEYS, "env.sh": ENV, "cert.pub": "PUB", "env.ps1": "ps", "env.cmd": "cmd"}
TLS = {f"tls/{what}/{name}": text for what in ("docker", "kubernetes") for name, text in KEYS.items()}


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


FORMS: dict[str, dict[str, str | bytes]] = {
    "1.x": {**KEYS, "cert.pub": "PUB", "env.sh": ENV},
    "2.2.5": {**FLAT},
    "3.0": {**FLAT, "kube.yml": "clusters: []"},
    "3.2": {**FLAT, "kube.yml": "clusters: []", "meta.json": META, **TLS},
    "3.2, TLS folders only": {"meta.json": META, **TLS},
    "MKE, nested": {"ucp-docker-bundle.zip": zipped({"meta.json": META, **TLS})},
    "MKE, keys outside": {**KEYS, "kube.yml": "x", "ucp-docker-bundle.zip": zipped({"meta.json": META, **TLS})},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_version_gives_a_folder_for_us_and_for_the_docker_cli(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "below" / "bundle"
    target = new_bundle(zipped(FORMS[form]), folder, "The client bundle of bob")
    assert str(target) == "tcp://ucp.example.com:443"
    assert open_bundle(folder, tmp_path) == target
    assert {name: (folder / name).read_text() for name in KEYS} == KEYS
    assert "DOCKER_HOST=tcp://ucp.example.com:443" in (folder / "env.sh").read_text()
    assert (folder / "kube.yml").exists() is ("kube.yml" in FORMS[form])
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"], "nothing is left beside it"


BOMB = b"\0" * (MEMBER_MAX + 1)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "no zip": (b"PK\x03\x04 and then nothing", "cannot be opened"),
    "climbs": (zipped({**FLAT, "../../key.pem": "evil"}), "outside of its folder"),
    "absolute": (zipped({**FLAT, "/etc/cron.d/x": "evil"}), "outside of its folder"),
    "bomb": (zipped({**FLAT, "kube.yml": BOMB}), "far larger"),
    "bomb within": (zipped({"ucp-docker-bundle.zip": zipped({**TLS, "meta.json": BOMB})}), "far larger"),
    "crowd": (zipped({f"f{n}": "" for n in range(1_001)}), "1001 files"),
    "no key": (zipped({name: text for name, text in FLAT.items() if name != "key.pem"}), "no key.pem"),
    "no address": (zipped({**FLAT, "env.sh": "echo"}), "no DOCKER_HOST"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_or_broken_bundle_leaves_nothing_behind(case: str, tmp_path: Path) -> None:
    content, words = HOSTILE[case]
    with pytest.raises(UsageError, match=words) as caught:
        new_bundle(content, tmp_path / "here" / "bundle", "The client bundle of bob")
    assert not list((tmp_path / "here").iterdir()) and caught.value.next_step


def test_what_a_killed_run_left_of_the_same_bundle_is_cleared_away(tmp_path: Path) -> None:
    left, other = tmp_path / "here" / ".unpacking-bundle-x1", tmp_path / "here" / ".unpacking-another-x1"
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "key.pem").write_text("KEY")
    new_bundle(zipped({**FLAT}), tmp_path / "here" / "bundle", "The client bundle of bob")
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [".unpacking-another-x1", "bundle"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "here" / "bundle"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("kept")
    with pytest.raises(UsageError, match="cannot be unpacked"):
        new_bundle(zipped({**FLAT}), folder, "The client bundle of bob")
    assert [path.name for path in (tmp_path / "here").rglob("*")] == ["bundle", "mine"]
