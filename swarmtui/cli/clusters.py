"""`swarmtui clusters`: which clusters have a name, and giving and taking names."""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swarmtui import config
from swarmtui.cli import config_file
from swarmtui.cli.main import Parser, with_config
from swarmtui.config import ClusterConfig, Config
from swarmtui.errors import UsageError
from swarmtui.link.target import context_names, load_bundle, load_context, parse_target
from swarmtui.model.text import one_line

SCHEMA = 1
MARKS = ("production", "read_only", "sudo")
TEXTS = ("zone_label", "ssh_config", "known_hosts")


def main(arguments: Sequence[str]) -> int:
    """Lists the named clusters, names one, or takes a name away. Returns 0, or raises."""
    options = _parser().parse_args(arguments)
    if options.what == "add":
        return _add(options)
    known = config.load(options.config)
    if options.what == "remove":
        return _remove(known, options.name)
    return _list(known, as_json=options.json)


def _parser() -> Parser:
    parser = Parser("swarmtui clusters", description="The clusters that have a name in the configuration.")
    whats = parser.add_subparsers(dest="what", metavar="list | add | remove", required=True)
    shown = whats.add_parser("list", help="all of them, in the order of the file")
    shown.add_argument("--json", action="store_true", help="for programs; the schema has a version")
    add = whats.add_parser(
        "add",
        help="give a cluster a name",
        description="Names a cluster. TARGET is ssh://[USER@]HOST[:PORT] or unix:///PATH, several for several "
        "managers of one Swarm; or one docker context, or one folder or zip of a UCP client bundle.",
    )
    add.add_argument("name", metavar="NAME")
    add.add_argument("targets", nargs="+", metavar="TARGET")
    add.add_argument("--production", action="store_true", help="the header shows it in its own colour")
    add.add_argument("--read-only", action="store_true", help="bind no key that changes anything")
    add.add_argument("--sudo", action="store_true", help="host commands run through sudo -n")
    add.add_argument("--zone-label", metavar="LABEL", help="node label that names the zone (usually: zone)")
    add.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    add.add_argument("--known-hosts", metavar="FILE", help="instead of ~/.ssh/known_hosts")
    gone = whats.add_parser("remove", help="take a name out of the configuration; the cluster itself is not touched")
    gone.add_argument("name", metavar="NAME")
    for sub in (shown, add, gone):
        with_config(sub)
    return parser


# -- list ----------------------------------------------------------------------------------------------------------


def _list(known: Config, *, as_json: bool) -> int:
    if as_json:
        clusters = [_as_json(name, cluster) for name, cluster in known.clusters.items()]
        print(json.dumps({"schema": SCHEMA, "config": str(known.path), "clusters": clusters}, indent=2))
        return 0
    width = max(map(len, known.clusters), default=0)
    for name, cluster in known.clusters.items():
        marks = [mark.replace("_", "-") for mark in MARKS if getattr(cluster, mark)]
        print("  ".join((name.ljust(width), _way(cluster), *([f"({', '.join(marks)})"] if marks else []))))
    if not known.clusters:
        print(f"No cluster has a name in {known.path} yet. Give one: swarmtui clusters add NAME TARGET")
    return 0


def _way(cluster: ClusterConfig) -> str:
    if cluster.managers:
        return " ".join(cluster.managers)
    return f"context:{cluster.context}" if cluster.context else f"bundle:{cluster.bundle}"


def _as_json(name: str, cluster: ClusterConfig) -> dict[str, Any]:
    return {
        "name": name,
        "managers": list(cluster.managers),
        "context": cluster.context or None,
        "bundle": cluster.bundle or None,
        "addresses": dict(cluster.addresses),
        "zone_label": cluster.zone_label,
        **{mark: getattr(cluster, mark) for mark in MARKS},
    }


# -- add and remove ------------------------------------------------------------------------------------------------


def _add(options: Namespace) -> int:
    known = _known_for(options.config, options.name)
    settings = _meaning(options.targets)
    settings |= {mark: True for mark in MARKS if getattr(options, mark)}
    settings |= {key: value for key in TEXTS if (value := getattr(options, key)) is not None}
    added = config_file.add(known, options.name, settings)
    print(f"Added to {known.path}:\n\n{added}")
    if options.name in context_names():
        print(f"A docker context has the same name: say cluster:{options.name} or context:{options.name}.")
    print(f"Try it: swarmtui status {options.name}")
    return 0


def _known_for(file: Path | None, name: str) -> Config:
    """The configuration, into which this name may go. Raises UsageError where it may not."""
    # A file that is named need not exist: this makes it.
    known = Config(file) if file is not None and not file.exists() else config.load(file)
    if wrong := config.wrong_name(name):
        raise UsageError(f"{wrong[0]}.", wrong[1])
    if name in known.clusters:
        raise UsageError(
            f"{name} is in {known.path} already: {_way(known.clusters[name])}.",
            f"Choose another name, or take that one out first: swarmtui clusters remove {name}",
        )
    return known


def give_name(file: Path, name: str, settings: Mapping[str, Any]) -> Config:
    """Names a cluster in this configuration file; returns what the file says then.

    Args:
        settings: keys of a `ClusterConfig`: texts, booleans, lists of texts, tables of texts.

    Raises:
        UsageError: the name may not be, or the file cannot be edited.
        SwarmtuiError: the file cannot be written.
    """
    config_file.add(_known_for(file, name), name, settings)
    return config.load(file)


def _meaning(targets: Sequence[str]) -> dict[str, Any]:
    """What the targets are in the configuration.

    Raises:
        UsageError: one means nothing, two things, or cannot stand beside others.
    """
    if all("://" in target for target in targets):
        for target in targets:
            parse_target(target)
        if len(set(targets)) < len(targets):
            raise UsageError("One of the targets is given twice.", "Name each manager once.")
        return {"managers": list(targets)}
    if len(targets) > 1:
        odd = next(target for target in targets if "://" not in target)
        raise UsageError(
            f'"{one_line(odd)}" is no address, and only addresses can be several.',
            "Give ssh://USER@HOST for each manager, or one context or bundle alone.",
        )
    kind, _, rest = targets[0].partition(":")
    text = rest if kind in ("context", "bundle") and rest else targets[0]
    kinds = [kind] if text is rest else _kinds(text)
    if len(kinds) > 1:
        raise UsageError(f'"{text}" is two things here.', f"Say which one: context:{text} or bundle:{text}.")
    if not kinds:
        raise UsageError(
            f'"{one_line(text)}" is no address, no docker context and no client bundle.',
            "Give ssh://USER@HOST or unix:///PATH.",
        )
    if kinds == ["context"]:
        load_context(text)
        return {"context": text}
    path = Path(text).expanduser().absolute()
    with tempfile.TemporaryDirectory(prefix="swarmtui-") as folder:
        load_bundle(path, Path(folder) / "bundle")
    return {"bundle": str(path)}


def _kinds(text: str) -> list[str]:
    path = Path(text).expanduser()
    found = ["context"] if text in context_names() else []
    return [*found, "bundle"] if path.is_dir() or path.suffix == ".zip" else found


def _remove(known: Config, name: str) -> int:
    gone = config_file.remove(known, name)
    old = known.path.resolve()
    print(f"Taken out of {known.path} (as it was: {old}{config_file.OLD_SUFFIX}):\n\n{gone}")
    return 0
