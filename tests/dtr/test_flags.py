"""Only what a version of DTR documents can be written: the product's table against one that was typed by hand."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Version
from swarmtui.runbooks.dtr.image import UCP_CA, UCP_PASSWORD, Command, Hidden, to_ucp
from swarmtui.runbooks.image import scripts
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from tests.dtr.oracle import (
    DOCUMENTED,
    REPOSITORY,
    VERSIONS,
    WITHOUT_VALUE,
    check,
    read,
    variable,
)
from tests.image_lines import writing_docker, written_in

SOURCE = Path(__file__).parents[2] / "swarmtui"
AT = Where("mgr1", "ssh://root@10.0.0.1", "root@10.0.0.1")
WAY = to_ucp("https://10.0.0.1:443", "admin", ca=True)
PASSWORD = 'it\'s "two" $words\\'
PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/=\nMII'\n-----END CERTIFICATE-----"


@pytest.mark.parametrize(("text", "documented"), DOCUMENTED.items())
def test_the_table_is_that_of_the_documentation(text: str, documented: dict[str, set[str]]) -> None:
    version = Version.parse(text)
    told = {name: {f"--{flag}" for flag in facts.flags(version, name)} for name in facts.commands(version)}
    assert told == documented
    assert version.image == f"{REPOSITORY[text]}/dtr:{text}"
    assert version.product == f"{'MSR' if REPOSITORY[text] == 'mirantis' else 'DTR'} {text}"


@pytest.mark.parametrize("text", VERSIONS)
def test_only_documented_variables_are_used(text: str) -> None:
    version = Version.parse(text)
    for command, flags in DOCUMENTED[text].items():
        for flag in flags:
            told = facts.variable(version, command, flag.removeprefix("--"))
            assert told == variable(text, command, flag), (command, flag)
    assert facts.variable(version, "images", "ucp-password") == ""


def test_switches_are_those_that_take_no_value() -> None:
    assert {f"--{flag}" for flag in facts.SWITCHES} == WITHOUT_VALUE


@pytest.mark.parametrize("text", VERSIONS)
def test_every_flag_comes_out_as_the_oracle_reads_it(text: str) -> None:
    version = Version.parse(text)
    for command, flags in DOCUMENTED[text].items():
        options: list[tuple[str, str | Hidden]] = []
        for name in sorted(flag.removeprefix("--") for flag in flags):
            if name in facts.NEVER or name in ("ucp-insecure-tls", "ucp-ca", "ucp-password"):
                continue
            hidden = Hidden(name.upper().replace("-", "_"))
            value = hidden if name in facts.SECRET_FLAGS else "" if name in facts.SWITCHES else "a b'c"
            options.append((name, value))
        if command != "images":
            options += [("ucp-password", UCP_PASSWORD), ("ucp-ca", UCP_CA)]
        run = read(Command(version=version, name=command, options=tuple(options)).line)
        check(run)
        words = {f"--{flag}" for flag, _ in options} - {"--ucp-password", "--ucp-ca"}
        assert {flag for flag, _ in run.flags} == {
            flag for flag in words if flag != "--dtr-key" or not variable(text, command, flag)
        }
        assert all(value == "a b'c" for _, value in run.flags if value and not value.startswith("$"))


@pytest.mark.parametrize(
    ("version", "command", "flag"),
    [
        ("2.4.1", "emergency-repair", ""),
        ("2.4.14", "emergency-repair", ""),
        ("2.4.1", "backup", "offline-backup"),
        ("2.4.1", "restore", "dtr-use-default-storage"),
        ("2.5.15", "restore", "dtr-use-default-storage"),
        ("2.6.3", "reconfigure", "storage-migrated"),
        ("2.4.1", "reconfigure", "storage-migrated"),
        ("2.5.15", "install", "nfs-options"),
        ("2.4.1", "join", "dtr-external-url"),
        ("2.4.1", "join", "nfs-storage-url"),
        ("2.7.8", "remove", "ucp-node"),
        ("2.7.8", "install", "insecure-tls"),
        ("2.4.1", "images", "ucp-url"),
        ("2.9.4", "dumpcerts", ""),
    ],
)
def test_what_is_not_documented_cannot_be_written(version: str, command: str, flag: str) -> None:
    with pytest.raises(UsageError, match="has no"):
        Command(version=Version.parse(version), name=command, options=((flag, "x"),) if flag else ())


@pytest.mark.parametrize(("flag", "why"), [("unsafe-join", "split"), ("skip-network-test", "does not reach")])
def test_what_is_documented_and_dangerous_cannot_be_written_either(flag: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Command(version=Version.parse("2.4.1"), name="join", options=((flag, ""),))


@pytest.mark.parametrize("text", ["2.3.5", "2.2.9", "2.10.0", "3.1.0", "1.4.3"])
def test_versions_without_a_known_command_line_are_refused(text: str) -> None:
    assert not Version.parse(text).supported
    with pytest.raises(ValueError, match="command line is not known"):
        facts.version(text)


@pytest.mark.parametrize("text", ["", "latest", "2.4", "docker/dtr", "v2.4.1", "2.4.1;rm", "2.4.1\nx"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="no version of DTR"):
        Version.parse(text)


def test_what_a_version_can() -> None:
    can = {text: Version.parse(text) for text in (*VERSIONS, "2.4.2", "2.3.9", "2.2.0", "2.1.9")}
    assert [text for text, one in can.items() if one.supported and not one.emergency_repair] == [
        "2.4.1", "2.4.14", "2.4.2",
    ]  # fmt: skip
    assert [text for text, one in can.items() if one.leaks] == ["2.4.1", "2.3.9", "2.2.0"]
    assert [text for text in VERSIONS if can[text].storage_named] == ["2.6.3", "2.6.4", "2.7.8", "2.8.5", "2.9.4"]
    assert [text for text in VERSIONS if can[text].storage_switch] == ["2.6.4", "2.7.8", "2.8.5", "2.9.4"]
    assert [text for text in VERSIONS if can[text].offline_backup] == list(VERSIONS[2:])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("dtr-api-a1640e1c15b6", ("", "api", "a1640e1c15b6")),
        ("/dtr-notary-server-000000000000", ("", "notary-server", "000000000000")),
        ("node-1/dtr-nginx-a1640e1c15b6", ("node-1", "nginx", "a1640e1c15b6")),
        ("dtr-nautilusstore-a1640e1c15b6", ("", "nautilusstore", "a1640e1c15b6")),
        ("dtr-phase2", None),
        ("dtr-api-A1640E1C15B6", None),
        ("dtr-api-a1640e1c15b", None),
        ("dtr-api-a1640e1c15b6-x", None),
        ("my-dtr-api-a1640e1c15b6", None),
        ("dtr-thing-a1640e1c15b6", None),
        ("dtr-api-a1640e1c15b6\n", None),
    ],
)
def test_containers_are_known_by_their_names(name: str, found: tuple[str, str, str] | None) -> None:
    assert facts.parse_container(name) == found
    if found is not None and not found[0]:
        assert facts.container(found[1], found[2]) == name.removeprefix("/")


def test_volumes_are_known_by_their_names() -> None:
    made = facts.volumes("a1640e1c15b6")
    assert {"dtr-ca-a1640e1c15b6", "dtr-rethink-a1640e1c15b6", "dtr-nfs-registry-a1640e1c15b6"} <= set(made)
    for name in made:
        assert (named := facts.parse_volume(f"node1/{name}")) is not None
        assert (named.node, named.replica_id, f"dtr-{named.kind}-{named.replica_id}") == ("node1", "a1640e1c15b6", name)
    assert facts.parse_volume("dtr-rethink-a1640e1c15b6x") is None and facts.parse_volume("dtr-other") is None


@pytest.mark.parametrize(
    ("now", "wanted", "why"),
    [
        ("2.4.1", "2.4.2", ""),
        ("2.4.1", "2.5.15", ""),
        ("2.4.1", "2.6.4", "the way is 2.5 → 2.6"),
        ("2.4.1", "2.9.4", "2.5 → 2.6 → 2.7 → 2.8 → 2.9"),
        ("2.7.8", "2.8.5", ""),
        ("2.5.15", "2.4.1", "cannot become the older 2.4.1"),
        ("2.9.4", "2.10.0", "is not known here"),
        ("2.4.1", "2.4.1", ""),
    ],
)
def test_which_version_may_become_which(now: str, wanted: str, why: str) -> None:
    told = facts.may_become(Version.parse(now), Version.parse(wanted))
    assert (why in told) if why else (told == "")


# -- as lines and as jobs ----------------------------------------------------------------------------------------------


def command(name: str = "backup", **more: str) -> Command:
    options = (*WAY, ("existing-replica-id", "47f20fb864cf"))
    return Command(version=Version.parse("2.4.1"), name=name, options=options, **more)


def test_how_a_backup_is_shown() -> None:
    shown = command(into="/srv/it's.tar").shown(AT)
    assert shown.line == (
        'umask 077 && IFS= read -r UCP_PASSWORD && UCP_CA=$(while IFS= read -r LINE && [ "$LINE" != . ]; do printf '
        "'%s\\n' \"$LINE\"; done) && export UCP_PASSWORD UCP_CA && docker container run --log-driver none --rm -i "
        "--name swarmtui-dtr-backup -e UCP_PASSWORD -e UCP_CA docker/dtr:2.4.1 backup --ucp-url https://10.0.0.1:443 "
        "--ucp-username admin --existing-replica-id 47f20fb864cf > '/srv/it'\"'\"'s.tar'"
    )
    assert shown.feed is not None and shown.feed.here
    assert "stty -echo" in shown.feed.line and "cat ucp-ca.pem" in shown.feed.line
    told = command().exposure
    assert "UCP_PASSWORD" in told and "docker inspect" in told and "UCP_CA" not in told


def test_a_secret_is_never_a_word_of_a_line() -> None:
    for flag in ("ucp-password", "dtr-key"):
        with pytest.raises(ValueError, match="must be hidden"):
            Command(version=Version.parse("2.4.1"), name="install", options=((flag, "hunter2"),))


KEY = Hidden("DTR_KEY", file="key.pem")


@pytest.mark.parametrize("name", ["install", "reconfigure", "restore"])
@pytest.mark.parametrize("text", VERSIONS)
def test_the_private_key_is_an_argument_only_where_no_variable_is_sure(text: str, name: str) -> None:
    made = Command(version=Version.parse(text), name=name, options=(("dtr-key", KEY),))
    if REPOSITORY[text] == "docker":
        assert "-e DTR_KEY " in made.line and "--dtr-key" not in made.line and made.exposed == ()
        assert "can read DTR_KEY with docker inspect" in made.exposure and "(ps" not in made.exposure
    else:
        assert '--dtr-key "$DTR_KEY"' in made.line and made.exposed == ("dtr-key",)
        assert "--dtr-key" in made.exposure and "(ps, docker inspect)" in made.exposure


DOCKER = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$RECORD/arguments"
printf '%s' "$UCP_PASSWORD" > "$RECORD/UCP_PASSWORD"
printf '%s' "$UCP_CA" > "$RECORD/UCP_CA"
printf '%s' "$DTR_KEY" > "$RECORD/DTR_KEY"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scripts, "MEMORY", str(tmp_path / "memory"))
    return writing_docker(tmp_path, DOCKER)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_what_has_several_lines_reaches_the_image_whole(place: Path, shell: str) -> None:
    given = "".join((UCP_PASSWORD.lines(PASSWORD), UCP_CA.lines(PEM)))
    (place / "memory" / "20261122T041500Z-0123abcd").write_text(given)
    script = scripts.job(command(), "20261122T041500Z-0123abcd", str(place / "job"))
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "RECORD": str(place / "record")}
    subprocess.run([shell], input=script, text=True, env=environment, check=True, timeout=20)
    assert (place / "record" / "UCP_PASSWORD").read_text() == PASSWORD
    assert (place / "record" / "UCP_CA").read_text() == PEM
    arguments = (place / "record" / "arguments").read_text().splitlines()
    assert PASSWORD not in arguments and "MIIB+/=" not in arguments
    assert list((place / "memory").iterdir()) == [], "it is on no file system any more"
    for file in (place / "job").iterdir():
        assert PASSWORD not in file.read_text() and stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_private_key_reaches_the_image_by_its_environment_alone(place: Path, shell: str) -> None:
    pem = PEM.replace("CERTIFICATE", "PRIVATE KEY")
    given = "".join((UCP_PASSWORD.lines(PASSWORD), UCP_CA.lines(PEM), KEY.lines(pem)))
    (place / "memory" / "20261122T041500Z-0123abcd").write_text(given)
    made = Command(version=Version.parse("2.4.1"), name="install", options=(*WAY, ("dtr-key", KEY)))
    script = scripts.job(made, "20261122T041500Z-0123abcd", str(place / "job"))
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "RECORD": str(place / "record")}
    subprocess.run([shell], input=script, text=True, env=environment, check=True, timeout=20)
    assert (place / "record" / "DTR_KEY").read_text() == pem
    arguments = (place / "record" / "arguments").read_text()
    assert "PRIVATE KEY" not in arguments and "--dtr-key" not in arguments


@pytest.mark.parametrize("value", ["a\n.\nb", "a\x00b", "a\x1b[1mb"])
def test_what_no_shell_can_hand_on_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        UCP_CA.lines(value)
    with pytest.raises(ValueError, match="line breaks or control characters"):
        UCP_PASSWORD.lines(value)


def test_nothing_else_writes_a_command_of_the_image() -> None:
    assert written_in(SOURCE, "dtr", {SOURCE / "runbooks/image/command.py"}) == []
