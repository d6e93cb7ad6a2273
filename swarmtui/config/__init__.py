"""The configuration file: the clusters a person named, and how each is reached.

TOML, in the platform's own place (Linux: ~/.config/swarmtui/config.toml). An error names file, line and key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec
import platformdirs

from swarmtui.config.backups import BackupsConfig, wrong_in_backups
from swarmtui.config.dtr import DtrConfig, wrong_in_dtr
from swarmtui.config.lines import wrong
from swarmtui.config.recovery import RecoveryConfig, wrong_in_recovery
from swarmtui.config.tables import mistyped, unknown
from swarmtui.config.ucp import UcpConfig, wrong_in_ucp
from swarmtui.errors import UsageError
from swarmtui.model.text import one_line

__all__ = [
    "RESERVED",
    "SECRET_KINDS",
    "BackupsConfig",
    "ClusterConfig",
    "Config",
    "DtrConfig",
    "RecoveryConfig",
    "Theme",
    "UcpConfig",
    "UiConfig",
    "backups_dir",
    "default_path",
    "load",
    "state_dir",
    "wrong_in",
    "wrong_name",
]

RESERVED = frozenset(
    ["demo", "status", "doctor", "run", "recover", "backups", "clusters", "secrets", "journal", "help", "version"]
)  # subcommands: no cluster may be called so

SECRET_KINDS = (
    "unlock-key",
    "ucp-password",
    "dtr-password",
    "backup-passphrase",
    "ucp-passphrase",
    "ssh-passphrase",
    "sudo-password",
)
"""What [clusters.NAME.secrets] may name: the vault's kinds."""

_SOURCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|credential:[A-Za-z0-9_@-][A-Za-z0-9_.@-]*")


class ClusterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named cluster.

    Attributes:
        managers: targets tried in turn, such as "ssh://root@10.0.0.1" or "unix:///var/run/docker.sock".
        context: a docker context to use instead of managers.
        bundle: folder or zip of a UCP client bundle to use instead of managers.
        addresses: node name → SSH target, where the node's own address is not the one to use.
        zone_label: node label that names the zone.
        sudo: whether host commands run through `sudo -n`.
        read_only: dangerous actions are not bound.
        production: the header shows the cluster in its own colour.
        ssh_config: an OpenSSH client configuration to use instead of ~/.ssh/config.
        known_hosts: a known_hosts file to use instead of ~/.ssh/known_hosts.
        secrets: kind of secret → where it is read from ("env:NAME", "credential:NAME"), or a table of what it is about
            → where. Never a secret itself.
        backups: what its own table of backups says, as it stands there; see `Config.backups_of`.
        recovery: what its operator asks after a disaster.
        ucp: where its UCP (MKE) is reached, and as whom.
        dtr: where its DTR (MSR) is reached, and as whom.
    """

    managers: tuple[str, ...] = ()
    context: str = ""
    bundle: str = ""
    addresses: dict[str, str] = msgspec.field(default_factory=dict)
    zone_label: str = "zone"
    sudo: bool = False
    read_only: bool = False
    production: bool = False
    ssh_config: str = ""
    known_hosts: str = ""
    secrets: dict[str, str | dict[str, str]] = msgspec.field(default_factory=dict)
    backups: dict[str, Any] = msgspec.field(default_factory=dict)
    recovery: RecoveryConfig = RecoveryConfig()
    ucp: UcpConfig = UcpConfig()
    dtr: DtrConfig = DtrConfig()


Theme: TypeAlias = Literal["dark", "light", "contrast"]


class UiConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the console looks.

    Attributes:
        theme: dark, light or contrast.
    """

    theme: Theme = "dark"


class Config(msgspec.Struct, frozen=True):
    """What the configuration file says.

    Attributes:
        path: the file it was read from; it need not exist.
        clusters: named clusters, in the order of the file.
        keys: binding id → key, for those that a person remapped.
        ui: how the console looks.
        backups: how backups are kept where a cluster says nothing else.
    """

    path: Path
    clusters: Mapping[str, ClusterConfig] = msgspec.field(default_factory=dict)
    keys: Mapping[str, str] = msgspec.field(default_factory=dict)
    ui: UiConfig = UiConfig()
    backups: BackupsConfig = BackupsConfig()

    def backups_of(self, cluster: str) -> BackupsConfig:
        """How the backups of a named cluster are kept: its own table over [backups]; that alone for any other name."""
        known = self.clusters.get(cluster)
        return self.backups if known is None else self.backups.with_own(known.backups)


def default_path() -> Path:
    """Where the configuration is when nothing else is said."""
    return platformdirs.user_config_path("swarmtui") / "config.toml"


def state_dir() -> Path:
    """Where the journal and what we remember between starts are kept."""
    return platformdirs.user_state_path("swarmtui")


def backups_dir(settings: BackupsConfig) -> Path:
    """The catalogue of backups: the folder that the settings name, else the program's own."""
    if settings.folder:
        return Path(settings.folder).expanduser()
    return platformdirs.user_data_path("swarmtui") / "backups"


def load(path: Path | None = None) -> Config:
    """Reads the configuration.

    Args:
        path: a file that must exist; None for the default one, which need not.

    Raises:
        UsageError: it cannot be read, or says something that cannot be meant; names file, line and key.
    """
    file = path or default_path()
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        if path is None:
            return Config(file)
        raise UsageError(
            f"There is no configuration file {file}.", "Name one that exists, or leave --config out."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The configuration {file} cannot be read: {error}.", "Mend the file or its permissions."
        ) from error
    return _parse(file, text)


def _parse(file: Path, text: str) -> Config:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}.", "Mend that line.") from error
    for key in document:
        if key not in ("clusters", "keys", "ui", "backups"):
            known = "The top level has [clusters.NAME], [keys], [ui] and [backups]."
            raise wrong(file, text, (), key, f'unknown key "{key}"', known)
    clusters: dict[str, ClusterConfig] = {}
    for name, table in _table(file, text, (), "clusters", document).items():
        clusters[name] = _cluster(file, text, name, table)
    keys = _table(file, text, (), "keys", document)
    for key, value in keys.items():
        if not isinstance(value, str):
            raise wrong(file, text, ("keys",), key, f'"{key}" must be the name of a key', 'For instance "ctrl+d".')
    backups = _backups(file, text, (), document.get("backups", {}))
    return Config(file, clusters, keys, _ui(file, text, document), BackupsConfig().with_own(backups))


def _backups(file: Path, text: str, where: tuple[str, ...], table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        header = ".".join((*where, "backups"))
        raise wrong(file, text, where, "backups", '"backups" must be a table', f"Write [{header}].")
    if found := wrong_in_backups(table):
        raise wrong(file, text, (*where, "backups"), *found)
    return table


def _ui(file: Path, text: str, document: Mapping[str, Any]) -> UiConfig:
    table = document.get("ui", {})
    if not isinstance(table, dict):
        raise wrong(file, text, (), "ui", '"ui" must be a table', "Write [ui].")
    for key, value in table.items():
        if key not in UiConfig.__struct_fields__:
            known = ", ".join(UiConfig.__struct_fields__)
            raise wrong(file, text, ("ui",), key, f'unknown key "{key}"', f"Known keys: {known}.")
        if value not in get_args(Theme):
            raise wrong(file, text, ("ui",), key, f'"{value}" is no theme', "Themes: dark, light, contrast.")
    return msgspec.convert(table, UiConfig)


def _table(file: Path, text: str, where: tuple[str, ...], key: str, document: Mapping[str, Any]) -> dict[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise wrong(file, text, where, key, f'"{key}" must be a table', f"Write [{key}.NAME].")
    return table


def _cluster(file: Path, text: str, name: str, table: Any) -> ClusterConfig:
    where = ("clusters", name)
    if mistake := wrong_name(name):
        raise wrong(file, text, where, "", *mistake)
    if not isinstance(table, dict):
        raise wrong(file, text, ("clusters",), name, f'"{name}" must be a table', f"Write [clusters.{name}].")
    for key, value in table.items():
        if mistake := unknown(key, ClusterConfig):
            raise wrong(file, text, where, key, *mistake)
        if key == "backups":
            _backups(file, text, where, value)
        if key == "recovery" and isinstance(value, dict) and (found := wrong_in_recovery(value)):
            raise wrong(file, text, (*where, key), *found)
        if key == "ucp" and isinstance(value, dict) and (found := wrong_in_ucp(value)):
            raise wrong(file, text, (*where, key), *found)
        if key == "dtr" and isinstance(value, dict) and (found := wrong_in_dtr(value)):
            raise wrong(file, text, (*where, key), *found)
        if mistake := mistyped(key, value, ClusterConfig):
            raise wrong(file, text, where, key, *mistake)
    cluster = msgspec.convert(table, ClusterConfig)
    _check_secrets(file, text, where, cluster.secrets)
    ways = [way for way in ("managers", "context", "bundle") if getattr(cluster, way)]
    if len(ways) != 1:
        said = " and ".join(ways) or "none of them"
        raise wrong(
            file,
            text,
            where,
            ways[-1] if ways else "",
            f"a cluster has one of managers, context or bundle; here: {said}",
            "Keep one.",
        )
    return cluster


def _check_secrets(
    file: Path, text: str, cluster: tuple[str, ...], secrets: Mapping[str, str | Mapping[str, str]]
) -> None:
    """Raises UsageError for a kind that does not exist, or what is no source. Never tells the value: somebody may have
    written the secret itself there."""
    where = (*cluster, "secrets")
    for kind, told in secrets.items():
        if kind not in SECRET_KINDS:
            known = f"Kinds: {', '.join(SECRET_KINDS)}."
            raise wrong(file, text, where, kind, f'"{one_line(kind)}" is no kind of secret', known)
        lines = [((), kind, told)] if isinstance(told, str) else [((kind,), *line) for line in told.items()]
        for table, key, source in lines:
            if not _SOURCE.fullmatch(source):
                raise wrong(
                    file,
                    text,
                    (*where, *table),
                    key,
                    "a secret is not written here, only where it is read from",
                    'Write "env:NAME" for an environment variable, or "credential:NAME" for a systemd credential.',
                )


def wrong_name(name: str) -> tuple[str, str] | None:
    """Why a cluster cannot be called so, and what to do about it; None for a good name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        return f'"{one_line(name)}" is no name for a cluster', "Use letters, digits, dot, dash and underscore."
    if name in RESERVED:
        return f'"{name}" is a subcommand of swarmtui', "Give the cluster another name."
    return None


def wrong_in(config: Config, cluster: str, key: str, what: str, next_step: str) -> UsageError:
    """The error for a value of a cluster that only a later look finds wrong; names file, line and key."""
    try:
        text = config.path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    return wrong(config.path, text, ("clusters", cluster), key, what.rstrip("."), next_step)
