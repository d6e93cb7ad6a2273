"""The configuration file: what it may say, and that every mistake is told with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.config import BackupsConfig, ClusterConfig, load
from swarmtui.config.backups import copy_target
from swarmtui.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def error(file: Path, text: str) -> str:
    file.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        load(file)
    assert caught.value.exit_code == 2 and caught.value.next_step
    return str(caught.value)


def test_a_whole_configuration(file: Path) -> None:
    file.write_text(
        """
        [clusters.prod]
        managers = ["ssh://root@10.0.0.1", "ssh://root@10.0.0.2:2222"]
        zone_label = "dc"
        sudo = true
        read_only = true
        production = true
        ssh_config = "~/.ssh/prod"
        known_hosts = "/etc/ssh/known"
        [clusters.prod.addresses]
        mgr1 = "ssh://admin@gate:2201"

        [clusters.desk]
        context = "desktop"

        [clusters."ucp.1"]
        bundle = "~/bundle.zip"

        [keys]
        "node.drain" = "ctrl+d"
        """
    )
    known = load(file)
    assert list(known.clusters) == ["prod", "desk", "ucp.1"]
    assert known.clusters["prod"] == ClusterConfig(
        managers=("ssh://root@10.0.0.1", "ssh://root@10.0.0.2:2222"),
        addresses={"mgr1": "ssh://admin@gate:2201"},
        zone_label="dc",
        sudo=True,
        read_only=True,
        production=True,
        ssh_config="~/.ssh/prod",
        known_hosts="/etc/ssh/known",
    )
    assert (known.clusters["desk"].context, known.clusters["ucp.1"].bundle) == ("desktop", "~/bundle.zip")
    assert known.keys == {"node.drain": "ctrl+d"} and known.path == file


def test_what_is_not_said_is_careful(file: Path) -> None:
    file.write_text('[clusters.a]\nmanagers = ["unix:///x"]\n')
    a = load(file).clusters["a"]
    assert (a.zone_label, a.sudo, a.read_only, a.production) == ("zone", False, False, False)


def test_a_named_file_must_exist_and_the_usual_one_need_not(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no configuration file .*config\.toml"):
        load(file)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load().clusters == {} and load().path == tmp_path / "swarmtui" / "config.toml"


def test_an_empty_file_names_nothing(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert (load(file).clusters, load(file).keys) == ({}, {})


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[clusters.a]\nmanagers = ['\xe9']\n"])
def test_a_file_that_is_no_text_is_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        load(file)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


def test_broken_toml_is_told_with_its_line(file: Path) -> None:
    said = error(file, '[clusters.prod]\nmanagers = ["ssh://a"\nsudo = true\n')
    assert str(file) in said and "line 3" in said


PROD = '[clusters.prod]\nmanagers = ["ssh://a"]\n'

MISTAKES = [
    # text, line, place, what
    (f"{PROD}colour = 'red'\n", 3, "clusters.prod.colour", 'unknown key "colour"'),
    (f"{PROD}\n# sudo = maybe\nsudo = 'maybe'\n", 5, "clusters.prod.sudo", '"sudo"'),
    (f"[clusters.test]\nmanagers = ['ssh://b']\n{PROD}sudo = 1\n", 5, "clusters.prod.sudo", "bool"),
    (f"{PROD}[clusters.test]\nmanagers = ['ssh://b']\nsudo = 1\n", 5, "clusters.test.sudo", "bool"),
    ("[clusters.prod]\nmanagers = 'ssh://a'\n", 2, "clusters.prod.managers", "array"),
    ("[clusters.prod]\nmanagers = ['ssh://a', 7]\n", 2, "clusters.prod.managers", "str"),
    (f"{PROD}[clusters.prod.addresses]\nmgr1 = 5\n", 3, "clusters.prod.addresses", "str"),
    (f"{PROD}addresses = ['x']\n", 3, "clusters.prod.addresses", "object"),
    (f"{PROD}context = 'x'\n", 3, "clusters.prod.context", "managers and context"),
    (f"{PROD}bundle = 'x'\ncontext = 'y'\n", 3, "clusters.prod.bundle", "managers and context and bundle"),
    ("\n[clusters.prod]\nsudo = true\n", 2, "clusters.prod", "none of them"),
    ("[clusters.prod]\nmanagers = []\n", 1, "clusters.prod", "none of them"),
    ("[clusters]\nprod = 'ssh://a'\n", 2, "clusters.prod", "must be a table"),
    ("clusters = 5\n", 1, "clusters", "must be a table"),
    ("keys = 'x'\n", 1, "keys", "must be a table"),
    (f'{PROD}[keys]\n"node.drain" = 5\n', 4, "keys.node.drain", "must be the name of a key"),
    (f"{PROD}[keys]\n'node.drain' = 5\n", 4, "keys.node.drain", "must be the name of a key"),
    (f"{PROD}\n[colours]\nred = 1\n", 4, "colours", 'unknown key "colours"'),
    ("timeout = 5\n", 1, "timeout", 'unknown key "timeout"'),
    ("[ui]\ntheme = 'pink'\n", 2, "ui.theme", '"pink" is no theme'),
    ("[ui]\ntheme = 5\n", 2, "ui.theme", '"5" is no theme'),
    ("[ui]\ncolour = 'x'\n", 2, "ui.colour", 'unknown key "colour"'),
    ("ui = 'dark'\n", 1, "ui", "must be a table"),
    (f"{PROD}[clusters.\"a b\"]\nmanagers = ['ssh://b']\n", 3, "clusters.a b", "no name for a cluster"),
    (f"{PROD}[clusters.'a b']\nmanagers = ['ssh://b']\n", 3, "clusters.a b", "no name for a cluster"),
    (f"{PROD}[clusters.-x]\nmanagers = ['ssh://b']\n", 3, "clusters.-x", "no name for a cluster"),
    ("[clusters]\nprod = { managers = ['ssh://a'], colour = 'red' }\n", 2, "clusters.prod.colour", "unknown key"),
    (
        "\nclusters.prod.managers = ['ssh://a']\nclusters.prod.colour = 'red'\n",
        3,
        "clusters.prod.colour",
        "unknown key",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "place", "what"), MISTAKES, ids=[f"{m[2]}-{i}" for i, m in enumerate(MISTAKES)]
)
def test_mistakes_are_told_with_file_line_and_key(file: Path, text: str, line: int, place: str, what: str) -> None:
    said = error(file, text)
    assert f"{file}, line {line}, {place}: " in said
    assert what in said


@pytest.mark.parametrize(
    "name", ["demo", "status", "doctor", "run", "recover", "backups", "clusters", "secrets", "journal"]
)
def test_no_cluster_is_called_like_a_subcommand(file: Path, name: str) -> None:
    said = error(file, f'{PROD}[clusters.{name}]\nmanagers = ["ssh://b"]\n')
    assert f"line 3, clusters.{name}: " in said and "subcommand" in said


@pytest.mark.parametrize("name", ["prod", "prod-2", "eu.west_1", "1", "runs", "Demo"])
def test_other_names_are_free(file: Path, name: str) -> None:
    file.write_text(f'[clusters."{name}"]\nmanagers = ["ssh://b"]\n')
    assert list(load(file).clusters) == [name]


def test_the_theme_is_dark_unless_another_one_is_wanted(file: Path) -> None:
    file.write_text("")
    assert load(file).ui.theme == "dark"
    file.write_text('[ui]\ntheme = "contrast"\n')
    assert load(file).ui.theme == "contrast"


def test_where_a_clusters_secrets_are_read_from(file: Path) -> None:
    file.write_text(
        PROD + '[clusters.prod.secrets]\nunlock-key = "env:PROD_KEY"\nucp-password = "credential:ucp.prod"\n'
        '[clusters.prod.secrets.ssh-passphrase]\n"~/.ssh/id_ed25519" = "env:SSH_PASS"\n'
    )
    assert load(file).clusters["prod"].secrets == {
        "unlock-key": "env:PROD_KEY",
        "ucp-password": "credential:ucp.prod",
        "ssh-passphrase": {"~/.ssh/id_ed25519": "env:SSH_PASS"},
    }


@pytest.mark.parametrize(
    ("lines", "line", "place", "what"),
    [
        ('unlock-key = "SWMKEY-1-planted"', 4, "clusters.prod.secrets.unlock-key", "a secret is not written here"),
        ('unlock-key = "env:"', 4, "clusters.prod.secrets.unlock-key", "a secret is not written here"),
        ('unlock-key = "env:A B"', 4, "clusters.prod.secrets.unlock-key", "a secret is not written here"),
        ('unlock-key = "credential:../planted"', 4, "clusters.prod.secrets.unlock-key", "a secret is not written here"),
        ('\nunlock_key = "env:A"', 5, "clusters.prod.secrets.unlock_key", '"unlock_key" is no kind of secret'),
        (
            '[clusters.prod.secrets.sudo-password]\n"ops@mgr1" = "planted"',
            5,
            "clusters.prod.secrets.sudo-password.ops@mgr1",
            "a secret is not written here",
        ),
        ("unlock-key = 5", 3, "clusters.prod.secrets", '"secrets": expected'),
    ],
)
def test_a_secret_itself_is_not_taken_from_the_file_and_never_told_back(
    file: Path, lines: str, line: int, place: str, what: str
) -> None:
    said = error(file, f"{PROD}[clusters.prod.secrets]\n{lines}\n")
    assert f"{file}, line {line}, {place}: " in said
    assert what in said
    assert "planted" not in said


# -- backups -------------------------------------------------------------------------------------------------------

KEY = "age1" + "q" * 58


def test_how_backups_are_kept_when_nothing_is_said(file: Path) -> None:
    file.write_text(PROD)
    assert load(file).backups == load(file).backups_of("prod") == load(file).backups_of("none") == BackupsConfig()
    assert (BackupsConfig().fresh_hours, BackupsConfig().copies, BackupsConfig().recipients) == (26, (), ())


def test_a_clusters_own_table_of_backups_wins_key_by_key(file: Path) -> None:
    file.write_text(
        f"""
        {PROD}
        [clusters.prod.backups]
        copies = []
        daily = 3
        [clusters.test]
        managers = ["ssh://b"]
        [backups]
        folder = "~/kept"
        recipients = ["{KEY}", "ssh-ed25519 AAAAC3Nza me", "~/keys.pub"]
        copies = ["/mnt/nas/swarm", "sftp://keeper@vault:2222/srv/swarm", "s3://night/prod"]
        fresh_hours = 50
        last = 2
        metrics = "/var/lib/node_exporter/swarmtui.prom"
        """
    )
    known = load(file)
    assert known.backups_of("test") == known.backups
    assert (known.backups.copies[2], known.backups.fresh_hours, known.backups.daily) == ("s3://night/prod", 50, 7)
    prod = known.backups_of("prod")
    assert (prod.copies, prod.daily, prod.last, prod.folder, prod.fresh_hours) == ((), 3, 2, "~/kept", 50)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("copies = ['mnt/x']", "named from the root"),
        ("copies = ['/mnt/../etc']", "without .."),
        ("copies = ['ftp://a/b']", "a folder, sftp://… or s3://…"),
        ("copies = ['sftp://vault']", "names a folder"),
        ("copies = ['sftp://vault:x/y']", "no address"),
        ("copies = ['sftp://me:planted@vault/y']", "holds no password"),
        ("copies = ['s3://planted:planted@bucket/y']", "holds no password"),
        ("copies = ['s3:///y']", "no name for a bucket"),
        ("copies = ['/a', '/a/']", "named twice"),
        ('copies = ["/a\\u001b[2J"]', "control characters"),
        ("copies = '/a'", "array"),
        ("recipients = ['AGE-SECRET-KEY-1PLANTED']", "no public key"),
        ("recipients = ['planted']", "no public key"),
        ("folder = 'kept'", "named from the root"),
        ("metrics = '/var/x.txt'", "end in .prom"),
        ("fresh_hours = 0", ">= 1"),
        ("daily = -1", ">= 0"),
        ("daily = true", "int"),
        ("hourly = 4", 'unknown key "hourly"'),
    ],
)
def test_mistakes_about_backups_are_told_and_no_secret_is(file: Path, line: str, what: str) -> None:
    key = line.split(" ")[0]
    said = error(file, f"{PROD}[backups]\nlast = 1\n{line}\n")
    assert f"{file}, line 5, backups.{key}: " in said and what in said
    own = error(file, f"{PROD}[clusters.prod.backups]\n{line}\n")
    assert f"{file}, line 4, clusters.prod.backups.{key}: " in own and what in own
    assert "planted" not in (said + own).lower()


def test_backups_is_a_table(file: Path) -> None:
    assert "line 1, backups: " in error(file, "backups = 3\n")
    assert "line 3, clusters.prod.backups: " in error(file, f"{PROD}backups = 3\n")


@pytest.mark.parametrize(
    "text",
    [
        "/mnt/x",
        "/",
        "sftp://vault/srv",
        "sftp://me@vault:22/srv/a b",
        "sftp://[fe80::1]:22/x",
        "s3://night",
        "s3://n.x/a/b",
    ],
)
def test_a_place_for_copies_is_written_as_it_was_read(text: str) -> None:
    assert str(copy_target(text)) == text
    assert copy_target(str(copy_target(text))) == copy_target(text)
