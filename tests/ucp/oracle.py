"""What each version of docker/ucp documents, typed by hand from shared/reference/ucp-dtr.md §1.2 to §1.8.

Neither the product nor the simulator nor the stand-ins import it; it imports none of them.
"""

from __future__ import annotations

import re

from tests.image_lines import Reader, Run, check_flags

REPOSITORY = {"2.2.5": "docker", "3.0.4": "docker", "3.1.2": "docker", "3.2.7": "docker", "3.4.5": "mirantis"}
VERSIONS = tuple(REPOSITORY)

INSTALL_22 = {
    "--debug", "-D", "--jsonlog", "--interactive", "-i", "--admin-username", "--admin-password", "--san",
    "--host-address", "--data-path-addr", "--swarm-port", "--controller-port", "--swarm-grpc-port", "--dns",
    "--dns-opt", "--dns-search", "--unlock-key", "--existing-config", "--pull", "--registry-username",
    "--registry-password", "--kv-timeout", "--kv-snapshot-count", "--swarm-experimental", "--binpack", "--random",
    "--disable-tracking", "--disable-usage", "--external-server-cert", "--preserve-certs", "--external-service-lb",
    "--enable-profiling", "--license", "--force-insecure-tcp",
}  # fmt: skip
INSTALL_30 = INSTALL_22 | {
    "--kube-apiserver-port", "--cni-installer-url", "--pod-cidr", "--cloud-provider", "--force-minimums",
}  # fmt: skip
INSTALL_32 = INSTALL_30 | {
    "--azure-ip-count", "--iscsiadm-path", "--iscsidb-path", "--nodeport-range", "--service-cluster-ip-range",
    "--skip-cloud-provider-check", "--storage-expt-enabled", "--storage-iscsi", "--unmanaged-cni",
}  # fmt: skip
BACKUP_22 = {"--debug", "--jsonlog", "--interactive", "-i", "--id", "--passphrase"}
BACKUP_32 = {
    "--debug", "--jsonlog", "--interactive", "-i", "--passphrase", "--no-passphrase", "--file", "--include-logs",
}  # fmt: skip
RESTORE_22 = {
    "--debug", "--jsonlog", "--interactive", "-i", "--passphrase", "--san", "--host-address", "--unlock-key",
}  # fmt: skip
RESTORE_30 = RESTORE_22 | {"--data-path-addr"}
RESTORE_32 = RESTORE_30 | {"--force-minimums", "--swarm-grpc-port"}
UNINSTALL = {
    "--debug", "--jsonlog", "--interactive", "-i", "--pull", "--registry-username", "--registry-password", "--id",
    "--purge-config",
}  # fmt: skip
IMAGES = {"--debug", "--jsonlog", "--pull", "--registry-username", "--registry-password", "--list"}
LOGS = {"--debug", "--jsonlog"}
EVERYWHERE = {
    "uninstall-ucp": UNINSTALL,
    "id": set[str](),
    "dump-certs": LOGS | {"--ca", "--cluster"},
    "images": IMAGES,
    "support": LOGS,
    "example-config": set[str](),
    "restart": LOGS,
    "stop": LOGS,
}
LATER = {
    **EVERYWHERE,
    "support": LOGS | {"--loglines", "--nodes", "--servicedriller"},
    "port-check-server": set[str](),
    "install": INSTALL_32,
    "backup": BACKUP_32,
    "restore": RESTORE_32,
}
DOCUMENTED: dict[str, dict[str, set[str]]] = {
    "2.2.5": {**EVERYWHERE, "install": INSTALL_22, "backup": BACKUP_22, "restore": RESTORE_22},
    "3.0.4": {**EVERYWHERE, "install": INSTALL_30, "backup": BACKUP_22, "restore": RESTORE_30},
    "3.1.2": {**EVERYWHERE, "install": INSTALL_30, "backup": BACKUP_22, "restore": RESTORE_30},
    "3.2.7": LATER,
    "3.4.5": {**LATER, "id": LOGS},
}
"""Version → command → its flags."""
VARIABLES = {
    "UCP_ADMIN_USER", "UCP_ADMIN_PASSWORD", "UCP_HOST_ADDRESS", "UCP_DATA_PATH_ADDR", "UCP_HOSTNAMES", "UCP_LICENSE",
    "UNLOCK_KEY", "REGISTRY_USERNAME", "REGISTRY_PASSWORD", "DNS", "DNS_OPT", "DNS_SEARCH", "KV_TIMEOUT",
    "KV_SNAPSHOT_COUNT",
}  # fmt: skip
"""What `install` reads from the environment, of 3.2 and later; nobody documents any for 2.2."""
WITHOUT_VALUE = {
    "--debug", "-D", "--jsonlog", "--interactive", "-i", "--existing-config", "--swarm-experimental", "--binpack",
    "--random", "--disable-tracking", "--disable-usage", "--external-server-cert", "--preserve-certs",
    "--enable-profiling", "--force-insecure-tcp", "--force-minimums", "--skip-cloud-provider-check",
    "--storage-expt-enabled", "--storage-iscsi", "--unmanaged-cni", "--no-passphrase", "--purge-config", "--ca",
    "--cluster", "--list",
}  # fmt: skip
SECRETS = {"--admin-password", "--passphrase", "--unlock-key", "--registry-password"}
_READER = Reader("ucp", REPOSITORY, WITHOUT_VALUE)
runs_in, read = _READER.runs_in, _READER.read


def check(run: Run) -> None:
    """Fails where a run is not as the documentation has it."""
    check_flags(run, DOCUMENTED)
    for flag, value in run.flags:
        if flag in SECRETS:
            assert re.fullmatch(r"\$[A-Z_]+", value), f"a secret stands in the line: {flag}"
    docker = " ".join(run.docker)
    assert "--name ucp " in f"{docker} ", "the container must be called ucp"
    assert "-v /var/run/docker.sock:/var/run/docker.sock" in docker
    assert "-t" not in run.docker and "-it" not in run.docker and "--tty" not in run.docker
    assert "--log-driver none" in docker, "the archive, or a secret, would go to the log driver"
    for name in run.named:
        assert "=" not in name, "a value is told by name only"
        assert run.command == "install" and name in VARIABLES and run.version in ("3.2.7", "3.4.5")
