"""What a target means, and where each node is reached over SSH."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from swarmtui.config import ClusterConfig, Config, load
from swarmtui.errors import UsageError
from swarmtui.link.host_entries import has_host_entry
from swarmtui.link.route import route_to
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SocketTarget, SshTarget, Target
from swarmtui.opening import Opening, find, node_target
from tests import builders as b


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a current folder of their own: no test sees the user's contexts, keys and files."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.chdir(folder)
    return folder


def configured(**clusters: ClusterConfig) -> Config:
    return Config(Path("/etc/swarmtui.toml"), clusters)


def opened(text: str, known: Config | None = None) -> Opening:
    return find(text, known or configured(), bundles=Path("bundles"))


def with_context(home: Path, name: str, host: str) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


PROD = ClusterConfig(managers=("ssh://root@10.0.0.1", "ssh://root@10.0.0.2:2222"), sudo=True, read_only=True)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("ssh://root@10.0.0.1", SshTarget("10.0.0.1", "root")),
        ("ssh://mgr1:2222", SshTarget("mgr1", None, 2222)),
        ("unix:///var/run/docker.sock", SocketTarget("/var/run/docker.sock")),
    ],
)
def test_an_address_means_itself_with_careful_defaults(text: str, target: Target) -> None:
    made = opened(text)
    assert (made.targets, made.name, made.cluster) == ((target,), text, ClusterConfig())


def test_a_named_cluster_brings_its_managers_and_settings() -> None:
    made = opened("prod", configured(prod=PROD))
    assert made.targets == (SshTarget("10.0.0.1", "root"), SshTarget("10.0.0.2", "root", 2222))
    assert (made.name, made.cluster, made.ssh.sudo) == ("prod", PROD, True)


def test_its_ssh_files_are_those_it_names(home: Path) -> None:
    cluster = ClusterConfig(managers=("ssh://a",), ssh_config="~/.ssh/prod", known_hosts="~/.ssh/known_prod")
    ssh = opened("prod", configured(prod=cluster)).ssh
    assert (ssh.config_file, ssh.known_hosts) == (home / ".ssh" / "prod", home / ".ssh" / "known_prod")
    plain = opened("prod", configured(prod=PROD)).ssh
    assert (plain.config_file, plain.known_hosts) == (None, None)


def test_a_docker_context_is_found_by_name_and_by_a_cluster_that_names_it(home: Path) -> None:
    with_context(home, "desk", "ssh://me@desk")
    assert opened("desk").targets == opened("context:desk").targets == (SshTarget("desk", "me"),)
    assert opened("c", configured(c=ClusterConfig(context="desk"))).targets == (SshTarget("desk", "me"),)


def test_a_name_that_is_two_things_is_refused_with_the_ways_to_say_which(home: Path) -> None:
    with_context(home, "prod", "ssh://me@desk")
    known = configured(prod=PROD)
    with pytest.raises(UsageError, match=r"two things.*cluster:prod or context:prod"):
        opened("prod", known)
    assert opened("cluster:prod", known).cluster == PROD
    assert opened("context:prod", known).targets == (SshTarget("desk", "me"),)


def test_a_folder_of_the_same_name_is_a_second_meaning_too(home: Path) -> None:
    (home / "prod").mkdir()
    with pytest.raises(UsageError, match=r"cluster:prod or bundle:prod"):
        opened("prod", configured(prod=PROD))


def test_what_means_nothing_says_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        opened("pord", configured(prod=PROD))
    said = str(caught.value)
    assert '"pord"' in said and "/etc/swarmtui.toml" in said and "Named clusters: prod" in said and "ssh://" in said


@pytest.mark.parametrize("text", ["cluster:pord", "context:nothing", "bundle:/nowhere", "nothing.zip"])
def test_a_kind_with_nothing_behind_it_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        opened(text, configured(prod=PROD))


@pytest.mark.parametrize(
    "text", ["tcp://10.0.0.1:2375", "http://x", "ftp://x", "ssh://", "unix://relative", "cluster://prod"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        opened(text, configured(prod=PROD))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("managers = ['ssh://a', 'tcp://10.0.0.1:2375']", "managers"),
        ("managers = ['root@10.0.0.1']", "managers"),
        ("managers = ['ssh://a']\naddresses = { mgr1 = 'tcp://x' }", "addresses"),
        ("managers = ['ssh://a']\naddresses = { mgr1 = 'unix:///var/run/docker.sock' }", "addresses"),
        ("managers = ['ssh://a']\naddresses = { mgr1 = 'ssh://a b' }", "addresses"),
    ],
)
def test_an_address_in_the_configuration_that_is_none_is_told_with_file_and_key_and_at_once(
    tmp_path: Path, line: str, key: str
) -> None:
    """Not later, in the middle of a session, when the node's host is first needed."""
    file = tmp_path / "config.toml"
    file.write_text(f"[clusters.prod]\n{line}\n")
    with pytest.raises(UsageError) as caught:
        find("prod", load(file), bundles=tmp_path)
    assert str(file) in str(caught.value) and key in str(caught.value)


# -- the way to a node's host ----------------------------------------------------------------------------------------


def way(made: b.Json, *, addresses: dict[str, str] | None = None, ssh_config: Path | None = None) -> SshTarget:
    cluster = ClusterConfig(managers=("unix:///x", "ssh://op@10.0.0.1:2222"), addresses=addresses or {})
    targets: tuple[Target, ...] = (SocketTarget("/x"), SshTarget("10.0.0.1", "op", 2222))
    opening = Opening("prod", targets, cluster, SshSettings(config_file=ssh_config))
    return node_target(opening, b.one_node(made))


WRK = b.node("wrk1", id="abc", addr="10.0.1.1")


def test_a_node_is_reached_at_its_own_address_with_user_and_port_of_the_cluster() -> None:
    assert way(WRK) == SshTarget("10.0.1.1", "op", 2222)


def test_a_manager_that_does_not_know_its_address_is_reached_at_its_raft_address() -> None:
    assert way(b.node("m", manager="leader", addr="0.0.0.0", raft_addr="10.0.0.9:2377")).host == "10.0.0.9"
    assert way(b.node("m", manager="leader", addr="0.0.0.0", raft_addr="[fd00::9]:2377")).host == "fd00::9"


def test_without_any_address_its_name_is_tried() -> None:
    assert way(b.node("wrk1", addr="")).host == "wrk1"


@pytest.mark.parametrize("key", ["wrk1", "abc"])
@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("ssh://admin@gate:2201", SshTarget("gate", "admin", 2201)),
        ("admin@gate", SshTarget("gate", "admin")),
        ("gate", SshTarget("gate")),
    ],
)
def test_the_configurations_override_comes_first(tmp_path: Path, key: str, written: str, target: SshTarget) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host wrk1\n  HostName 10.9.9.9\n")
    assert way(WRK, addresses={key: written, "other": "ssh://x"}, ssh_config=config) == target


def test_an_override_by_id_beats_one_by_name() -> None:
    """Names are not unique after a rejoin."""
    assert way(WRK, addresses={"wrk1": "by-name", "abc": "by-id"}).host == "by-id"


def test_then_a_host_entry_of_its_name_with_nothing_added(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host wrk1\n  User someone\n")
    assert way(WRK, ssh_config=config) == SshTarget("wrk1")


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("Host wrk1\n", True),
        ("Host mgr1 wrk1 mgr2\n", True),
        ("  host\twrk1\n", True),
        ("Host=wrk1\n", True),
        ("Host = wrk1\n", True),
        ('Host "wrk1"\n', True),
        ("Host wrk*\n", False),
        ("Host *\n", False),
        ("Host !wrk1\n", False),
        ("Host wrk10\n", False),
        ("HostName wrk1\n", False),
        ("# Host wrk1\n", False),
        ("Match host wrk1\n", False),
        ("", False),
    ],
)
def test_which_host_entries_count(tmp_path: Path, text: str, there: bool) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(f"Host gate\n  HostName 10.0.0.1\n{text}  Port 22\n")
    assert has_host_entry(config, "wrk1") is there


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("Include hosts.d/*\n", True),
        ("include = hosts.d/swarm\n", True),
        ('Include nothing.d/* "hosts.d/swarm"\n', True),
        ("Include ~/.ssh/hosts.d/swarm\n", True),
        ("Include {home}/.ssh/hosts.d/swarm\n", True),
        ("Include first\n", True),
        ("Host wrk*\n  Include hosts.d/swarm\n", True),
        ("Host * !wrk1\n  Include hosts.d/swarm\n", False),
        ("Host mgr*\n  Include hosts.d/swarm\n", False),
        ("Host mgr*\n  Include hosts.d/swarm\nMatch all\n  Include hosts.d/swarm\n", True),
        ("Match exec true\n  Include hosts.d/swarm\n", False),
        ("# Include hosts.d/swarm\n", False),
        ("Include nothing hosts.d\n", False),
        ("Include circle\n", False),
    ],
)
def test_files_that_are_included_count_as_ssh_reads_them(home: Path, tmp_path: Path, text: str, there: bool) -> None:
    folder = home / ".ssh"
    (folder / "hosts.d").mkdir()
    (folder / "hosts.d/swarm").write_text("Host wrk1 wrk2\n  HostName 10.0.0.7\n")
    (folder / "first").write_text("Include hosts.d/swarm\n")
    (folder / "circle").write_text("Include circle\n")
    config = tmp_path / "elsewhere"  # given with ssh -F: relative files are in ~/.ssh all the same
    config.write_text(text.replace("{home}", str(home)))
    assert has_host_entry(config, "wrk1") is there


def test_ssh_itself_and_our_connections_follow_the_same_files(home: Path, tmp_path: Path) -> None:
    (home / ".ssh/hosts.d").mkdir()
    (home / ".ssh/hosts.d/swarm").write_text("Host wrk1\n  HostName 10.0.0.7\n  User ops\n")
    config = tmp_path / "ssh_config"
    config.write_text(f"Include {home}/.ssh/hosts.d/*\n")  # ssh asks the password database for ~, and not HOME
    done = subprocess.run(["ssh", "-G", "-F", str(config), "wrk1"], capture_output=True, text=True, check=True)
    assert {"hostname 10.0.0.7", "user ops"} <= set(done.stdout.splitlines())
    config.write_text("Include hosts.d/*\n")
    route = route_to(way(WRK, ssh_config=config), SshSettings(config_file=config))
    assert (route.host, route.user) == ("10.0.0.7", "ops")


def test_no_ssh_configuration_has_no_entries(tmp_path: Path) -> None:
    assert not has_host_entry(None, "wrk1")
    assert not has_host_entry(tmp_path / "missing", "wrk1")


def test_without_an_ssh_target_the_ssh_configuration_decides_user_and_port() -> None:
    opening = Opening("x", (SocketTarget("/x"),))
    assert node_target(opening, b.one_node(WRK)) == SshTarget("10.0.1.1")


def test_how_its_backups_are_kept_comes_with_it() -> None:
    known = load_of('[backups]\nlast = 2\ndaily = 9\n[clusters.prod]\nmanagers = ["ssh://a"]\nbackups.daily = 3\n')
    assert (opened("prod", known).backups.last, opened("prod", known).backups.daily) == (2, 3)
    assert (opened("ssh://root@10.0.0.1", known).backups.last, opened("ssh://a", known).backups.daily) == (2, 9)


def load_of(text: str) -> Config:
    Path("config.toml").write_text(text)
    return load(Path("config.toml"))
