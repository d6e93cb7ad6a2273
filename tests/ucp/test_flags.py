"""Only what a version documents can be written: the product's table against one that was typed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import Version
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.image import ADMIN_PASSWORD, PASSPHRASE, Command, Hidden
from tests.image_lines import written_in
from tests.ucp.oracle import DOCUMENTED, REPOSITORY, VARIABLES, VERSIONS, WITHOUT_VALUE, check, read

SOURCE = Path(__file__).parents[2] / "swarmtui"
AT = Where("mgr1", "ssh://root@10.0.0.1", "root@10.0.0.1")


@pytest.mark.parametrize("text", VERSIONS)
def test_the_table_is_that_of_the_documentation(text: str) -> None:
    version = Version.parse(text)
    documented = DOCUMENTED[text]
    assert facts.commands(version) == set(documented)
    for command, flags in documented.items():
        long = {flag.removeprefix("--") for flag in flags if flag.startswith("--")}
        assert facts.flags(version, command) == long, command
    assert version.image == f"{REPOSITORY[text]}/ucp:{text}"


@pytest.mark.parametrize("text", VERSIONS)
def test_only_documented_variables_are_used(text: str) -> None:
    version = Version.parse(text)
    for command in facts.commands(version):
        for flag in facts.flags(version, command):
            name = facts.variable(version, command, flag)
            assert not name or (command == "install" and name in VARIABLES and text in ("3.2.7", "3.4.5"))
    assert bool(facts.variable(version, "install", "admin-password")) == (text in ("3.2.7", "3.4.5"))


def test_switches_are_those_that_take_no_value() -> None:
    documented = {flag.removeprefix("--") for flag in WITHOUT_VALUE if flag.startswith("--")}
    assert set(facts.SWITCHES) - {"include-logs"} == documented


@pytest.mark.parametrize("text", VERSIONS)
def test_every_flag_comes_out_as_the_oracle_reads_it(text: str) -> None:
    version = Version.parse(text)
    for command, flags in DOCUMENTED[text].items():
        options: list[tuple[str, str | Hidden]] = []
        for flag in sorted(flags):
            name = flag.removeprefix("--")
            if not flag.startswith("--") or name == "license":
                continue
            secret = name in facts.SECRET_FLAGS
            value = Hidden(name.upper().replace("-", "_")) if secret else "" if name in facts.SWITCHES else "a b'c"
            options.append((name, "false" if name == "include-logs" else value))
        built = Command(version=version, name=command, options=tuple(options))
        run = read(built.line)
        check(run)
        told = {flag for flag, _ in run.flags} | {f"--{flag}" for flag, _ in options if _by_name(built, flag)}
        assert told == {f"--{flag}" for flag, _ in options}
        assert all(value == "a b'c" for flag, value in run.flags if value and value[0] == "a")


def _by_name(command: Command, flag: str) -> bool:
    return f"-e {facts.variable(command.version, command.name, flag) or '?'} " in f"{command.line} "


@pytest.mark.parametrize(
    ("version", "command", "flag"),
    [
        ("2.2.5", "join", ""),
        ("2.2.5", "fingerprint", ""),
        ("2.2.5", "regen-certs", ""),
        ("2.2.5", "port-check-server", ""),
        ("2.2.5", "install", "external-ca"),
        ("2.2.5", "install", "force-minimums"),
        ("2.2.5", "backup", "no-passphrase"),
        ("2.2.5", "backup", "file"),
        ("2.2.5", "restore", "id"),
        ("2.2.5", "restore", "data-path-addr"),
        ("3.2.7", "backup", "id"),
        ("3.4.5", "restore", "id"),
    ],
)
def test_what_is_not_documented_cannot_be_written(version: str, command: str, flag: str) -> None:
    with pytest.raises(UsageError, match="has no"):
        Command(version=Version.parse(version), name=command, options=((flag, "x"),) if flag else ())


@pytest.mark.parametrize("text", ["2.1.5", "2.3.0", "1.1.2", "4.0.0"])
def test_versions_without_a_known_command_line_are_refused(text: str) -> None:
    assert not Version.parse(text).supported
    with pytest.raises(ValueError, match="command line is not known"):
        facts.version(text)


@pytest.mark.parametrize("text", ["", "latest", "2.2", "docker/ucp", "v2.2.5", "2.2.5;rm", "2.2.5\nx"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        Version.parse(text)


def test_a_secret_is_never_a_word_of_a_line() -> None:
    with pytest.raises(ValueError, match="must be hidden"):
        Command(version=Version.parse("2.2.5"), name="backup", options=(("passphrase", "hunter2"),))


def test_how_a_backup_is_shown() -> None:
    command = Command(
        version=Version.parse("2.2.5"),
        name="backup",
        options=(("id", "hxz5kf9atspjwnoa5oqlonigv"), ("passphrase", PASSPHRASE)),
        into="/srv/it's.tar",
    )
    assert command.shown(AT).line == (
        "umask 077 && IFS= read -r UCP_PASSPHRASE && docker container run --log-driver none --rm -i --name ucp -v "
        "/var/run/docker.sock:/var/run/docker.sock docker/ucp:2.2.5 backup --id hxz5kf9atspjwnoa5oqlonigv --passphrase "
        """"$UCP_PASSPHRASE" > '/srv/it'"'"'s.tar'"""
    )
    feed = command.shown(AT).feed
    assert feed is not None and feed.here and "stty -echo" in feed.line
    assert "--passphrase" in command.exposure and "ps" in command.exposure


def test_selinux_and_sudo() -> None:
    command = Command(version=Version.parse("3.2.7"), name="id", selinux=True)
    assert "--name ucp --security-opt label=disable -v" in command.line
    assert command.exposure == ""
    sudo = Where("mgr1", "ssh://op@10.0.0.1", "op@10.0.0.1", sudo=True)
    assert command.shown(sudo).line.startswith("sudo -n docker container run ")
    secret = Command(version=command.version, name="install", options=(("admin-password", ADMIN_PASSWORD),))
    assert "-e UCP_ADMIN_PASSWORD " in secret.line and "--admin-password" not in secret.line
    # sudo keeps no variables: they are read and exported by the shell that it starts.
    assert secret.shown(sudo).line.startswith("sudo -n sh -c 'IFS= read -r UCP_ADMIN_PASSWORD && export ")
    assert secret.exposed == () and "docker inspect" in secret.exposure


def test_nothing_else_writes_a_command_of_the_image() -> None:
    assert written_in(SOURCE, "ucp", {SOURCE / "runbooks/ucp/image.py"}) == []
