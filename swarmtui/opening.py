"""From what a person typed to a cluster that can be opened: which targets, and which address each node has over SSH."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from swarmtui.config import BackupsConfig, ClusterConfig, Config, wrong_in
from swarmtui.errors import UsageError
from swarmtui.link.host_entries import has_host_entry
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget, Target, context_names, load_bundle, load_context, parse_target
from swarmtui.model.swarm import Node

NOTHING: Mapping[Target, tuple[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Opening:
    """A cluster that can be opened.

    Attributes:
        name: what the header calls it.
        targets: the managers, tried in turn.
        cluster: its settings; those of a bare target are the defaults.
        ssh: how SSH connections are made.
        backups: how its backups are kept.
    """

    name: str
    targets: tuple[Target, ...] = ()
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    ssh: SshSettings = field(default_factory=SshSettings)
    backups: BackupsConfig = field(default_factory=BackupsConfig)

    def candidates(
        self, voters: Iterable[Node], last: Target | None, led_to: Mapping[Target, tuple[str, str]] = NOTHING
    ) -> list[Target]:
        """Whom to try: the named managers, then the others there are; the one just lost goes to the end.

        Args:
            led_to: id and address of the node that a target led to: as long as it has that address, it is not tried
                under another name as well.
        """
        found = list(self.targets)
        if any(isinstance(target, SshTarget) for target in found):
            there = {led_to[target] for target in found if target in led_to}
            for node in voters:
                if (node.id, node.address) in there:
                    continue
                target = node_target(self, node)
                if target not in found:
                    found.append(target)
        if last in found:
            found.remove(last)
            found.append(last)
        return found


def find(text: str, config: Config, *, bundles: Path) -> Opening:
    """Finds what a target means: a named cluster, ssh://…, unix://…, a docker context, or a client bundle.

    Args:
        bundles: folder in which a zipped client bundle is unpacked.

    Raises:
        UsageError: it means nothing, or two things.
    """
    opening = _meant(text, config, bundles)
    named = config.clusters.get(opening.name) is opening.cluster
    return replace(opening, backups=config.backups_of(opening.name) if named else config.backups)


def _meant(text: str, config: Config, bundles: Path) -> Opening:
    kind, _, rest = text.partition(":")
    if kind in ("cluster", "context", "bundle") and rest and not rest.startswith("//"):
        return _as(kind, rest, config, bundles)
    if "://" in text:
        return Opening(text, (parse_target(text),))
    meanings = []
    if text in config.clusters:
        meanings.append("cluster")
    if text in context_names():
        meanings.append("context")
    path = Path(text).expanduser()
    if path.is_dir() or path.suffix == ".zip":
        meanings.append("bundle")
    if len(meanings) > 1:
        ways = " or ".join(f"{meaning}:{text}" for meaning in meanings)
        raise UsageError(f'"{text}" is two things here.', f"Say which one: {ways}.")
    if not meanings:
        named = ", ".join(config.clusters) or "none yet"
        raise UsageError(
            f'"{text}" is no cluster of {config.path}, no docker context and no client bundle.',
            f"Named clusters: {named}; or give ssh://USER@HOST or unix:///PATH.",
        )
    return _as(meanings[0], text, config, bundles)


def _as(kind: str, text: str, config: Config, bundles: Path) -> Opening:
    if kind == "context":
        return Opening(text, (load_context(text),))
    if kind == "bundle":
        path = Path(text).expanduser()
        return Opening(path.name, (load_bundle(path, bundles),))
    if text not in config.clusters:
        raise UsageError(
            f'There is no cluster "{text}" in {config.path}.', f"Named: {', '.join(config.clusters) or 'none'}."
        )
    cluster = config.clusters[text]
    targets: Sequence[Target]
    if cluster.context:
        targets = (load_context(cluster.context),)
    elif cluster.bundle:
        targets = (load_bundle(Path(cluster.bundle).expanduser(), bundles),)
    else:
        targets = [_checked(config, text, "managers", manager) for manager in cluster.managers]
    for node, address in cluster.addresses.items():
        if not isinstance(_checked(config, text, f"addresses.{node}", _as_ssh(address)), SshTarget):
            raise wrong_in(config, text, f"addresses.{node}", f'"{address}" is no SSH address', SSH_SHAPE)
    return Opening(text, tuple(targets), cluster, ssh_of(cluster))


def ssh_of(cluster: ClusterConfig) -> SshSettings:
    """How SSH connections of a cluster are made."""
    return SshSettings(
        config_file=Path(cluster.ssh_config).expanduser() if cluster.ssh_config else None,
        known_hosts=Path(cluster.known_hosts).expanduser() if cluster.known_hosts else None,
        sudo=cluster.sudo,
    )


SSH_SHAPE = "Write ssh://[USER@]HOST[:PORT]."


def _as_ssh(address: str) -> str:
    return address if "://" in address else f"ssh://{address}"


def _checked(config: Config, cluster: str, key: str, address: str) -> Target:
    try:
        return parse_target(address)
    except UsageError as error:
        raise wrong_in(config, cluster, key, error.what, error.next_step) from error


def node_target(opening: Opening, node: Node) -> SshTarget:
    """Where a node's host is reached over SSH.

    The configuration's override; else a Host entry of the ssh configuration with its name; else its own address with
    the user and port of the cluster's first SSH target.
    """
    for key in (node.id, node.hostname):
        if override := opening.cluster.addresses.get(key):
            target = parse_target(_as_ssh(override))
            if isinstance(target, SshTarget):
                return target
    first = next((t for t in opening.targets if isinstance(t, SshTarget)), SshTarget(""))
    if node.hostname and has_host_entry(opening.ssh.config_path(), node.hostname):
        return SshTarget(node.hostname)
    return SshTarget(node.address or node.hostname, first.user, first.port)
