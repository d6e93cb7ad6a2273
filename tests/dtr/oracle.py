"""What each version of docker/dtr documents, typed by hand from shared/reference/ucp-dtr.md §2.2 to §2.4.

Neither the product nor the simulator nor the stand-ins import it; it imports none of them.
"""

from __future__ import annotations

import re

from tests.image_lines import Reader, Run, check_flags

REPOSITORY = {
    "2.4.1": "docker", "2.4.14": "docker", "2.5.15": "docker", "2.6.3": "docker", "2.6.4": "docker", "2.7.8": "docker",
    "2.8.5": "mirantis", "2.9.4": "mirantis",
}  # fmt: skip
VERSIONS = tuple(REPOSITORY)

COMMON = {
    "--debug", "--help-extended", "--ucp-url", "--ucp-username", "--ucp-password", "--ucp-ca", "--ucp-insecure-tls",
}  # fmt: skip
BOTH_PORTS = {"--replica-http-port", "--replica-https-port"}
SETTINGS = {
    "--dtr-external-url", "--dtr-ca", "--dtr-cert", "--dtr-key", "--dtr-storage-volume", "--nfs-storage-url",
    "--http-proxy", "--https-proxy", "--no-proxy", "--log-protocol", "--log-host", "--log-level", "--enable-pprof",
}  # fmt: skip
INSTALL = COMMON | BOTH_PORTS | SETTINGS | {"--ucp-node", "--replica-id", "--overlay-subnet"}
JOIN = COMMON | BOTH_PORTS | {
    "--ucp-node", "--replica-id", "--existing-replica-id", "--skip-network-test", "--unsafe-join",
}  # fmt: skip
RECONFIGURE = COMMON | BOTH_PORTS | SETTINGS | {"--existing-replica-id"}
RESTORE = COMMON | BOTH_PORTS | SETTINGS | {"--ucp-node", "--replica-id"}
BACKUP = COMMON | {"--existing-replica-id"}
REPAIR = COMMON | {"--existing-replica-id", "--overlay-subnet", "--prune", "--yes"}
CACHE = {"--replica-rethinkdb-cache-mb"}
LATE = CACHE | {"--async-nfs", "--nfs-options", "--client-cert-auth-ca", "--enable-client-cert-auth"}
DEFAULT = {"--dtr-use-default-storage"}
EVERYWHERE = {
    "join": JOIN,
    "remove": COMMON | {"--existing-replica-id", "--replica-ids", "--replica-id"},
    "destroy": COMMON | {"--replica-id"},
    "upgrade": COMMON | {"--existing-replica-id"},
    "images": set[str](),
}
FROM_25 = {**EVERYWHERE, "emergency-repair": REPAIR, "backup": BACKUP | {"--offline-backup"}}
DTR_24 = {**EVERYWHERE, "install": INSTALL, "reconfigure": RECONFIGURE, "restore": RESTORE, "backup": BACKUP}
DTR_25 = {
    **FROM_25, "install": INSTALL | CACHE, "reconfigure": RECONFIGURE | CACHE, "restore": RESTORE | CACHE,
}  # fmt: skip
DTR_26 = {**DTR_25, "restore": RESTORE | CACHE | DEFAULT}
DTR_264 = {**DTR_26, "reconfigure": RECONFIGURE | CACHE | {"--storage-migrated"}}
DTR_27 = {
    **FROM_25, "install": INSTALL | LATE, "reconfigure": RECONFIGURE | LATE | {"--storage-migrated"},
    "restore": RESTORE | LATE | DEFAULT,
}  # fmt: skip
DOCUMENTED: dict[str, dict[str, set[str]]] = {
    "2.4.1": DTR_24, "2.4.14": DTR_24, "2.5.15": DTR_25, "2.6.3": DTR_26, "2.6.4": DTR_264, "2.7.8": DTR_27,
    "2.8.5": DTR_27, "2.9.4": DTR_27,
}  # fmt: skip
"""Version → command → its flags."""
VARIABLES = {
    "--debug": "DEBUG", "--help-extended": "DTR_EXTENDED_HELP", "--ucp-url": "UCP_URL",
    "--ucp-username": "UCP_USERNAME", "--ucp-password": "UCP_PASSWORD", "--ucp-ca": "UCP_CA",
    "--ucp-insecure-tls": "UCP_INSECURE_TLS", "--ucp-node": "UCP_NODE", "--existing-replica-id": "DTR_REPLICA_ID",
    "--dtr-external-url": "DTR_EXTERNAL_URL", "--dtr-ca": "DTR_CA", "--dtr-cert": "DTR_CERT", "--dtr-key": "DTR_KEY",
    "--dtr-storage-volume": "DTR_STORAGE_VOLUME",
    "--nfs-storage-url": "NFS_STORAGE_URL", "--enable-pprof": "DTR_PPROF", "--overlay-subnet": "DTR_OVERLAY_SUBNET",
    "--replica-http-port": "REPLICA_HTTP_PORT", "--replica-https-port": "REPLICA_HTTPS_PORT",
    "--replica-rethinkdb-cache-mb": "RETHINKDB_CACHE_MB", "--http-proxy": "DTR_HTTP_PROXY",
    "--https-proxy": "DTR_HTTPS_PROXY", "--no-proxy": "DTR_NO_PROXY", "--log-protocol": "LOG_PROTOCOL",
    "--log-host": "LOG_HOST", "--log-level": "LOG_LEVEL", "--skip-network-test": "DTR_SKIP_NETWORK_TEST",
    "--unsafe-join": "DTR_UNSAFE_JOIN", "--storage-migrated": "STORAGE_MIGRATED",
    "--offline-backup": "DTR_OFFLINE_BACKUP", "--replica-ids": "DTR_REMOVE_REPLICA_IDS", "--prune": "PRUNE",
    "--yes": "YES", "--dtr-use-default-storage": "DTR_DEFAULT_STORAGE",
}  # fmt: skip
ID_VARIABLES = {
    "install": "DTR_INSTALL_REPLICA_ID", "join": "DTR_INSTALL_REPLICA_ID", "restore": "DTR_INSTALL_REPLICA_ID",
    "destroy": "DTR_DESTROY_REPLICA_ID",
}  # fmt: skip
"""Of --replica-id, by command."""
CERTIFICATES = ("--dtr-ca", "--dtr-cert", "--dtr-key")


def variable(version: str, command: str, flag: str) -> str:
    """The variable that is printed for a flag; "" where none is, or where the pages of MSR print two different ones."""
    name = ID_VARIABLES.get(command, "") if flag == "--replica-id" else VARIABLES.get(flag, "")
    return "" if REPOSITORY[version] == "mirantis" and name.startswith("DTR_") else name


WITHOUT_VALUE = {
    "--debug", "--help-extended", "--ucp-insecure-tls", "--enable-pprof", "--skip-network-test", "--unsafe-join",
    "--async-nfs", "--enable-client-cert-auth", "--storage-migrated", "--dtr-use-default-storage", "--offline-backup",
    "--prune", "--yes",
}  # fmt: skip
NEVER = {"--unsafe-join", "--skip-network-test"}
_READER = Reader("dtr", REPOSITORY, WITHOUT_VALUE)
runs_in, read = _READER.runs_in, _READER.read


def check(run: Run) -> None:
    """Fails where a run is not as the documentation, and our own rules, have it."""
    check_flags(run, DOCUMENTED)
    for flag, value in run.flags:
        assert flag not in NEVER, f"{flag} is not for production"
        assert flag not in ("--ucp-password", "--ucp-ca"), "it goes by the environment, by name"
        if flag == "--dtr-key":
            assert not variable(run.version, run.command, flag), "a secret that has a variable is in no argument"
            assert re.fullmatch(r"\$[A-Z_]+", value), "a secret stands in the line"
    docker = " ".join(run.docker)
    assert docker.startswith("docker container run --log-driver none --rm -i --name swarmtui-dtr-"), docker
    assert "/var/run/docker.sock" not in docker and "-v" not in run.docker, "it needs no socket"
    assert "-t" not in run.docker and "-it" not in run.docker and "--tty" not in run.docker
    flags = {flag for flag, _ in run.flags}
    documented = {variable(run.version, run.command, flag) for flag in DOCUMENTED[run.version][run.command]} - {""}
    for name in run.named:
        assert name in documented, "a value is told by name only, and only what is documented"
    if run.command != "images":
        assert "UCP_PASSWORD" in run.named and {"--ucp-url", "--ucp-username"} <= flags
        assert ("UCP_CA" in run.named) != ("--ucp-insecure-tls" in flags), "UCP is believed by its authority, or not"
    if run.command == "restore" and run.version >= "2.6":
        assert flags & {"--dtr-use-default-storage", "--dtr-storage-volume", "--nfs-storage-url"}, "it is mandatory"


def check_certificates(run: Run) -> None:
    """Fails where own certificates do not reach the image: by name where a variable is documented, else as words."""
    told = dict(run.flags)
    for flag in CERTIFICATES:
        name = flag.removeprefix("--").replace("-", "_").upper()
        if variable(run.version, run.command, flag):
            assert flag not in told and name in run.named, f"{flag} of {run.command}"
        else:
            assert told[flag] == f"${name}" and name not in run.named, f"{flag} of {run.command}"
