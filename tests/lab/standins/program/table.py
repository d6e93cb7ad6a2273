"""Commands and their flags by version, as documented; what is not here is refused.

A flag's kind: "s" takes a value, "b" is a Go bool (`--flag` or `--flag=false`), "l" may be given more than once.
"""

from __future__ import annotations

Version = tuple[int, int]

ALL: Version = (2, 2)
K8S: Version = (3, 0)
NEW: Version = (3, 2)
MKE: Version = (3, 3)
Rows = list[tuple[str, str, str, Version]]
"""Name, letter, kind, since which version."""

_COMMON: Rows = [("debug", "D", "b", ALL), ("jsonlog", "", "b", ALL)]
_ASKS: Rows = [*_COMMON, ("interactive", "i", "b", ALL)]
_PULLS: Rows = [("pull", "", "s", ALL), ("registry-username", "", "s", ALL), ("registry-password", "", "s", ALL)]


def _each(kind: str, since: Version, names: str) -> Rows:
    return [(name, "", kind, since) for name in names.split()]


FLAGS: dict[str, Rows] = {
    "install": [
        *_ASKS,
        *_PULLS,
        *_each("s", ALL, "admin-username admin-password host-address data-path-addr swarm-port controller-port"),
        *_each("s", ALL, "swarm-grpc-port unlock-key kv-timeout kv-snapshot-count external-service-lb license"),
        *_each("l", ALL, "san dns dns-opt dns-search"),
        *_each("b", ALL, "existing-config swarm-experimental binpack random disable-tracking disable-usage"),
        *_each("b", ALL, "external-server-cert preserve-certs enable-profiling force-insecure-tcp"),
        *_each("s", K8S, "kube-apiserver-port cni-installer-url pod-cidr cloud-provider"),
        *_each("b", K8S, "force-minimums"),
        *_each("s", NEW, "azure-ip-count iscsiadm-path iscsidb-path nodeport-range service-cluster-ip-range"),
        *_each("b", NEW, "skip-cloud-provider-check storage-expt-enabled storage-iscsi unmanaged-cni"),
    ],
    "uninstall-ucp": [
        *_ASKS, *_PULLS, *_each("s", ALL, "id"), *_each("b", ALL, "purge-config"),
        *_each("b", MKE, "no-purge-secret unmanaged-cni"),
    ],
    "backup": [
        *_ASKS, *_each("s", ALL, "passphrase"),
        *_each("b", NEW, "no-passphrase include-logs"), *_each("s", NEW, "file"),
    ],
    "restore": [
        *_ASKS, *_each("s", ALL, "passphrase host-address unlock-key"), *_each("l", ALL, "san"),
        *_each("s", K8S, "data-path-addr"), *_each("b", NEW, "force-minimums"), *_each("s", NEW, "swarm-grpc-port"),
    ],
    "dump-certs": [*_COMMON, *_each("b", ALL, "ca cluster")],
    "id": [],
    "images": [*_COMMON, *_PULLS, *_each("b", ALL, "list")],
    "restart": [*_COMMON],
    "stop": [*_COMMON],
    "support": [*_COMMON],
    "example-config": [],
}  # fmt: skip

ENVIRONMENT = {
    "UCP_ADMIN_USER": "admin-username",
    "UCP_ADMIN_PASSWORD": "admin-password",
    "UCP_HOST_ADDRESS": "host-address",
    "UCP_DATA_PATH_ADDR": "data-path-addr",
    "UCP_HOSTNAMES": "san",
    "UCP_LICENSE": "license",
    "UNLOCK_KEY": "unlock-key",
    "REGISTRY_USERNAME": "registry-username",
    "REGISTRY_PASSWORD": "registry-password",
    "DNS": "dns",
    "DNS_OPT": "dns-opt",
    "DNS_SEARCH": "dns-search",
    "KV_TIMEOUT": "kv-timeout",
    "KV_SNAPSHOT_COUNT": "kv-snapshot-count",
}
"""Documented for `install` of 3.2 and later."""


class Usage(Exception):
    """The command line is not one of this version."""


def flags(version: Version, command: str) -> dict[str, str]:
    """The flags (and letters) of a command, each with its kind.

    Raises:
        Usage: this version has no such command.
    """
    if command not in FLAGS:
        raise Usage(f"No help topic for '{command}'")
    rows = list(FLAGS[command])
    if command == "backup" and version < NEW:
        rows += _each("s", ALL, "id")
    if command == "id" and version >= MKE:
        rows += _COMMON
    found: dict[str, str] = {}
    for name, letter, kind, since in rows:
        if version >= since:
            found[name] = kind
            if letter:
                found[letter] = f"={name}"
    return found


def parse(version: Version, command: str, words: list[str], environment: dict[str, str]) -> dict[str, str | list[str]]:
    """Read a command line as Go's flag package does.

    Returns:
        What was given: text, "true" or "false", or a list where a flag may be repeated.

    Raises:
        Usage: an unknown flag, a missing value, a word that is no flag.
    """
    known = flags(version, command)
    given: dict[str, str | list[str]] = {}
    if command == "install" and version >= NEW:
        for name, flag in ENVIRONMENT.items():
            if environment.get(name):
                given[flag] = environment[name].split(",") if known[flag] == "l" else environment[name]
    return read(known, given, words)


def read(known: dict[str, str], given: dict[str, str | list[str]], words: list[str]) -> dict[str, str | list[str]]:
    """Read the words of a command line into what was given already.

    Raises:
        Usage: an unknown flag, a missing value, a word that is no flag.
    """
    here: set[str] = set()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            raise Usage(f"unexpected argument {word!r}: a bool flag takes its value as --flag=false")
        name, is_given, value = word.lstrip("-").partition("=")
        kind = known.get(name, "")
        if kind.startswith("="):
            name, kind = kind[1:], known[kind[1:]]
        if not kind or len(name) == 1:
            raise Usage(f"flag provided but not defined: -{word.lstrip('-').partition('=')[0]}")
        if kind == "b":
            if is_given and value not in ("true", "false", "1", "0", "t", "f"):
                raise Usage(f'invalid boolean value "{value}" for -{name}')
            given[name] = "false" if is_given and value in ("false", "0", "f") else "true"
            continue
        if not is_given:
            if not rest:
                raise Usage(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        if kind == "l":
            earlier = given.get(name) if name in here else []
            given[name] = [*(earlier if isinstance(earlier, list) else []), value]
        else:
            given[name] = value
        here.add(name)
    return given
