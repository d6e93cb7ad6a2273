"""Commands of docker/dtr, their flags and environment by version, as documented; what is not here is refused."""

from __future__ import annotations

from standin.table import Usage, Version, read

ALL: Version = (2, 4)
REPAIRS: Version = (2, 5)
STORED: Version = (2, 6)
ASYNC: Version = (2, 7)
MIRANTIS: Version = (2, 8)
"""Whose pages print $MSR_… in one place where they print $DTR_… in another: it reads neither."""

Row = tuple[str, str, str, Version]
"""Flag, environment variable, kind (as in `standin.table`), since."""


def _each(kind: str, since: Version, names: str) -> list[Row]:
    """Rows of "flag flag=VARIABLE …"."""
    split = [word.partition("=") for word in names.split()]
    return [(name, variable, kind, since) for name, _, variable in split]


_COMMON = [
    *_each("b", ALL, "debug=DEBUG help-extended=DTR_EXTENDED_HELP ucp-insecure-tls=UCP_INSECURE_TLS"),
    *_each("b", ALL, "enzi-insecure-tls=ENZI_TLS_INSECURE"),
    *_each("s", ALL, "ucp-url=UCP_URL ucp-username=UCP_USERNAME ucp-password=UCP_PASSWORD ucp-ca=UCP_CA"),
    *_each("s", ALL, "enzi-ca=ENZI_TLS_CA"),
]
_PORTS = _each("s", ALL, "replica-http-port=REPLICA_HTTP_PORT replica-https-port=REPLICA_HTTPS_PORT")
_PLACE = [
    *_PORTS,
    *_each("s", ALL, "ucp-node=UCP_NODE replica-id=DTR_INSTALL_REPLICA_ID"),
    *_each("s", REPAIRS, "replica-rethinkdb-cache-mb=RETHINKDB_CACHE_MB"),
]
_EXISTING = _each("s", ALL, "existing-replica-id=DTR_REPLICA_ID")
_SETTINGS = [
    *_each("s", ALL, "dtr-external-url=DTR_EXTERNAL_URL dtr-ca=DTR_CA dtr-cert=DTR_CERT dtr-key=DTR_KEY"),
    *_each("s", ALL, "http-proxy=DTR_HTTP_PROXY https-proxy=DTR_HTTPS_PROXY no-proxy=DTR_NO_PROXY"),
    *_each("s", ALL, "dtr-storage-volume=DTR_STORAGE_VOLUME nfs-storage-url=NFS_STORAGE_URL"),
    *_each("s", ALL, "log-protocol=LOG_PROTOCOL log-host=LOG_HOST log-level=LOG_LEVEL"),
    *_each("b", ALL, "enable-pprof=DTR_PPROF"),
    *_each("b", ASYNC, "async-nfs enable-client-cert-auth"),
    *_each("s", ASYNC, "nfs-options client-cert-auth-ca"),
]
_OVERLAY = _each("s", ALL, "overlay-subnet=DTR_OVERLAY_SUBNET")

FLAGS: dict[str, list[Row]] = {
    "install": [*_COMMON, *_PLACE, *_SETTINGS, *_OVERLAY],
    "join": [*_COMMON, *_PLACE, *_EXISTING, *_each("b", ALL, "skip-network-test unsafe-join")],
    "reconfigure": [
        *_COMMON, *_EXISTING, *_SETTINGS, *_PORTS,
        *_each("b", STORED, "storage-migrated=STORAGE_MIGRATED"),
    ],
    "backup": [*_COMMON, *_EXISTING, *_each("b", REPAIRS, "offline-backup=DTR_OFFLINE_BACKUP")],
    "restore": [
        *_COMMON, *_PLACE, *_SETTINGS, *_each("b", STORED, "dtr-use-default-storage=DTR_DEFAULT_STORAGE"),
    ],
    "remove": [*_COMMON, *_EXISTING, *_each("s", ALL, "replica-ids=DTR_REMOVE_REPLICA_IDS replica-id")],
    "destroy": [*_COMMON, *_each("s", ALL, "replica-id=DTR_DESTROY_REPLICA_ID")],
    "upgrade": [*_COMMON, *_EXISTING],
    "images": [],
    "emergency-repair": [
        *_COMMON, *_EXISTING, *_OVERLAY, *_each("b", REPAIRS, "prune=PRUNE yes=YES"),
    ],
}  # fmt: skip


def commands(version: Version) -> list[str]:
    """The commands of a version."""
    return [name for name in FLAGS if name != "emergency-repair" or version >= REPAIRS]


def parse(version: Version, command: str, words: list[str], environment: dict[str, str]) -> dict[str, str | list[str]]:
    """Read a command line over what the environment gives.

    Raises:
        Usage: unknown command or flag, a missing value, a word that is no flag.
    """
    if command not in commands(version):
        raise Usage(f"No help topic for '{command}'")
    rows = [row for row in FLAGS[command] if version >= row[3]]
    given: dict[str, str | list[str]] = {}
    for name, variable, kind, _ in rows:
        sure = version < MIRANTIS or not variable.startswith("DTR_")
        text = environment.get(variable, "") if variable and sure else ""
        if text:
            given[name] = "true" if kind == "b" and text in ("1", "t", "true") else text
    known = {name: kind for name, _, kind, _ in rows}
    if command == "emergency-repair":
        known["y"] = "=yes"
    return read(known, given, words)
