"""The job's script, run by a real sh with a docker that only writes down what it was given."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.image import scripts as image_scripts
from swarmtui.runbooks.ucp.image import ADMIN_PASSWORD, PASSPHRASE, Command
from tests.image_lines import writing_docker

ID = "20261122T041500Z-0123abcd"
SECRET = 'it\'s "two" $words\\'
DOCKER = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$RECORD/arguments"
printf '%s' "${UCP_ADMIN_PASSWORD-none}" > "$RECORD/environment"
echo archive
echo 'time="x" level=fatal msg="no"' >&2
exit ${CODE:-0}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image_scripts, "MEMORY", str(tmp_path / "memory"))
    return writing_docker(tmp_path, DOCKER)


def run(place: Path, command: Command, secret: str = "", code: int = 0) -> list[str]:
    """Runs job.sh, and then after.sh; returns the words of its status."""
    if secret:
        (place / "memory" / ID).write_text(f"{secret}\n")
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "RECORD": str(place / "record"), "CODE": str(code)}
    for script in (image_scripts.job(command, ID, str(place / "job")), image_scripts.after(ID)):
        subprocess.run(["sh"], input=script, text=True, env=environment, check=False, timeout=20)
    return [line.split(" ", 2)[2] for line in (place / "job" / "status").read_text().splitlines()]


def test_a_secret_that_only_a_flag_takes(place: Path) -> None:
    command = Command(version=Version.parse("2.2.5"), name="backup", options=(("id", "x"), ("passphrase", PASSPHRASE)))
    assert run(place, command, SECRET, code=3) == ["begin", "running", "ended 3", "done 8"]
    arguments = (place / "record" / "arguments").read_text().splitlines()
    assert arguments[-5:] == ["backup", "--id", "x", "--passphrase", SECRET]
    assert (place / "record" / "environment").read_text() == "none"
    assert list((place / "memory").iterdir()) == [], "it is on no file system any more"
    assert (place / "job" / "archive.tar").read_text() == "archive\n"
    assert "fatal" in (place / "job" / "log").read_text()
    for file in (place / "job").iterdir():
        assert SECRET not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_secret_that_goes_by_the_environment(place: Path) -> None:
    options = (("admin-password", ADMIN_PASSWORD),)
    command = Command(version=Version.parse("3.2.7"), name="install", options=options)
    assert run(place, command, SECRET)[-2:] == ["ended 0", "done 8"]
    assert (place / "record" / "environment").read_text() == SECRET
    arguments = (place / "record" / "arguments").read_text().splitlines()
    assert SECRET not in arguments and "UCP_ADMIN_PASSWORD" in arguments


def test_without_its_secret_nothing_is_run(place: Path) -> None:
    command = Command(version=Version.parse("2.2.5"), name="backup", options=(("passphrase", PASSPHRASE),))
    assert run(place, command) == ["begin", "failed secrets"]
    assert list((place / "record").iterdir()) == []


def test_only_root_may_look_at_what_is_handed_over() -> None:
    assert image_scripts.secrets_file(ID).startswith("/run/swarmtui-secrets/")
