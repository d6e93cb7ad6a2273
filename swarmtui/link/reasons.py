"""Why a manager cannot be used: one reason, one sentence, one next step each. The table is here and nowhere else."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from swarmtui.errors import UnreachableError
from swarmtui.model.swarm import Info, host_of
from swarmtui.model.text import one_line


class Reason(StrEnum):
    """Why there is no way in, or no use in it."""

    # -- the way to the host
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NAME_UNKNOWN = "name-unknown"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_LOST = "connection-lost"
    # -- SSH
    NOT_SSH = "not-ssh"
    SSH_CONFIG = "ssh-config"
    SSH_ALGORITHMS = "ssh-algorithms"
    AUTH_FAILED = "auth-failed"
    KEY_ENCRYPTED = "key-encrypted"
    HOST_KEY_UNKNOWN = "host-key-unknown"
    HOST_KEY_CHANGED = "host-key-changed"
    HOST_KEY_REVOKED = "host-key-revoked"
    JUMP_REFUSED = "jump-refused"
    # -- from the host to its engine
    NO_SOCKET = "no-socket"
    SOCKET_DENIED = "socket-denied"
    SUDO_REFUSED = "sudo-refused"
    DOCKER_DOWN = "docker-down"
    FORWARDING_REFUSED = "forwarding-refused"
    DOCKER_CLI_MISSING = "docker-cli-missing"
    TLS_FAILED = "tls-failed"
    NOT_DOCKER = "not-docker"
    API_TOO_OLD = "api-too-old"
    # -- the Swarm
    NOT_A_SWARM = "not-a-swarm"
    WORKER = "worker"
    LOCKED = "locked"
    NO_LEADER = "no-leader"
    SWARM_PENDING = "swarm-pending"
    SWARM_ERROR = "swarm-error"
    OTHER_SWARM = "other-swarm"

    @property
    def retry_helps(self) -> bool:
        """Whether trying again by itself can help; else somebody has to act first, and asking again only annoys."""
        return self not in _NEEDS_A_PERSON


_NEEDS_A_PERSON: Final = frozenset(
    {
        Reason.SSH_CONFIG,
        Reason.SSH_ALGORITHMS,
        Reason.AUTH_FAILED,
        Reason.KEY_ENCRYPTED,
        Reason.HOST_KEY_UNKNOWN,
        Reason.HOST_KEY_CHANGED,
        Reason.HOST_KEY_REVOKED,
        Reason.SOCKET_DENIED,
        Reason.SUDO_REFUSED,
        Reason.FORWARDING_REFUSED,
        Reason.DOCKER_CLI_MISSING,
        Reason.API_TOO_OLD,
    }
)

_SENTENCES: Final[dict[Reason, tuple[str, str]]] = {
    Reason.UNREACHABLE: (
        "{where} cannot be reached{because}.",
        "Look at the network between here and {host}, and whether the host is up.",
    ),
    Reason.TIMEOUT: (
        "{where} did not answer within {seconds} s.",
        "Is {host} up, and is there a firewall between here and there?",
    ),
    Reason.NAME_UNKNOWN: (
        'The name "{host}" is not known here.',
        "Look for a typing error; else give its address, or a Host entry in the ssh configuration.",
    ),
    Reason.CONNECTION_REFUSED: (
        "{host} refuses connections on port {port}.",
        "The host is up, but nothing listens there: is the port right, and does the service run?",
    ),
    Reason.CONNECTION_LOST: (
        "The connection to {where} was lost{because}.",
        "It is tried again; if that fails, look at the host and its Docker: systemctl status docker.",
    ),
    Reason.NOT_SSH: (
        "What answers on {host} port {port} is not an SSH server{because}.",
        "Give the port of sshd: ssh://USER@{host}:PORT.",
    ),
    Reason.SSH_CONFIG: (
        "The ssh configuration cannot be used for {host}{because}.",
        "Mend that line; `ssh -G {host}` shows what ssh makes of the file.",
    ),
    Reason.SSH_ALGORITHMS: (
        "{host} and this program have no SSH algorithm in common{because}.",
        "Look at Ciphers, KexAlgorithms and HostKeyAlgorithms on both sides: sshd -T, ssh -G {host}.",
    ),
    Reason.AUTH_FAILED: (
        "{host} does not let {user} in: no key or password offered was accepted.",
        "Is the user right, and is your key in {user}'s authorized_keys, and in your agent (ssh-add -l)?",
    ),
    Reason.KEY_ENCRYPTED: (
        "The key {path} that {host} accepts is encrypted, and its passphrase was not given.",
        "Add it to your agent first (ssh-add {path}), or connect from a terminal and type the passphrase.",
    ),
    Reason.HOST_KEY_UNKNOWN: (
        "The host key of {host} is not known here: {fingerprint}.",
        "Compare with `ssh-keygen -lf` of /etc/ssh/ssh_host_*_key.pub on {host}; if it is the same, connect once "
        "from a terminal and accept it.",
    ),
    Reason.HOST_KEY_CHANGED: (
        "The host key of {host} has CHANGED: it now shows {fingerprint}, which is not what {path} has for it.",
        "Somebody may be listening in. Only when you know why it changed (the host was reinstalled): compare the "
        "fingerprint on the host itself, then remove the old one: ssh-keygen -R '{known_as}' -f {path}.",
    ),
    Reason.HOST_KEY_REVOKED: (
        "The host key of {host} is marked as revoked in your known hosts.",
        "Do not go on: find out with whoever revoked it what happened to that host.",
    ),
    Reason.JUMP_REFUSED: (
        "The jump host {jump} could not open a connection to {host} port {port}{because}.",
        "Is the target right as seen from {jump}, and does {jump} allow forwarding (AllowTcpForwarding)?",
    ),
    Reason.NO_SOCKET: (
        "There is no Docker socket {path} on {host}: Docker is not installed there, or keeps its socket elsewhere.",
        "Is it the right host? Look there: systemctl status docker; ls -l {path}.",
    ),
    Reason.SOCKET_DENIED: (
        "{user} may not use Docker on {host}: no permission for {path}.",
        "Add the user to the docker group there (usermod -aG docker {user}) and connect again, or allow sudo in the "
        "configuration (sudo = true).",
    ),
    Reason.SUDO_REFUSED: (
        "sudo on {host} does not let {user} run docker without a password{because}.",
        "Allow it there in sudoers: {user} ALL=(root) NOPASSWD: /usr/bin/docker.",
    ),
    Reason.DOCKER_DOWN: (
        "Docker is not running on {host}{because}.",
        "Look there: systemctl status docker; journalctl -u docker -n 50; start it: systemctl start docker.",
    ),
    Reason.FORWARDING_REFUSED: (
        "sshd on {host} forbids forwarding the Docker socket, and there is no docker command there to go without.",
        "Allow it in sshd_config there (AllowStreamLocalForwarding yes, AllowTcpForwarding yes), or install the docker "
        "command.",
    ),
    Reason.DOCKER_CLI_MISSING: (
        "There is no docker command for {user} on {host}, and without forwarding or permission it is the only way in.",
        "Install the docker command there, or put the user into the docker group and allow forwarding in sshd_config.",
    ),
    Reason.TLS_FAILED: (
        "The TLS connection to {where} failed{because}.",
        "Are the certificates still valid, and made for this server? Download the bundle anew, or renew the context's.",
    ),
    Reason.NOT_DOCKER: (
        "What answers at {where} is not the Docker API{because}.",
        "Look for a typing error in host, port or path.",
    ),
    Reason.API_TOO_OLD: (
        "The Docker engine at {where} offers API {version}; at least 1.24 (Docker 1.12) is needed.",
        "Manage it with its own command line, or upgrade it.",
    ),
    Reason.NOT_A_SWARM: (
        "The Docker engine at {where} is not part of a Swarm.",
        "Make one there (docker swarm init), join one (docker swarm join), or give another host.",
    ),
    Reason.WORKER: (
        "{where} is a worker: only managers can show and change the Swarm.",
        "Connect to one of its managers: {managers}.",
    ),
    Reason.LOCKED: (
        "{where} is locked: its Swarm data is encrypted, and Docker was restarted since.",
        "Unlock it with the key in the vault: U in the console, or swarmtui run swarm.unlock. Without: docker swarm "
        "unlock on that host; any manager that is not locked shows the key: docker swarm unlock-key.",
    ),
    Reason.NO_LEADER: (
        "{where} is a manager, but its Swarm has no leader: too few managers are reachable.",
        "Bring back enough managers for a majority; running tasks keep running meanwhile, but nothing can be changed.",
    ),
    Reason.SWARM_PENDING: (
        "{where} is not an active member of its Swarm: it was removed from it, or is still joining or starting.",
        "Wait a minute; if it stays so, look from another manager (docker node ls), then leave (docker swarm leave) "
        "and join again.",
    ),
    Reason.SWARM_ERROR: (
        "Swarm does not run on {where}{because}.",
        "Look there: journalctl -u docker -n 100; other managers may be fine: connect to one of them.",
    ),
    Reason.OTHER_SWARM: (
        "{where} belongs to another Swarm than the one shown.",
        "Open that one by itself, or mend the configuration.",
    ),
}


class LinkError(UnreachableError):
    """A manager cannot be used, and why.

    Args:
        reason: which failure it is.
        where: label of the manager, as people call it.
        what: a sentence of its own instead of the table's.
        next_step: a next step of its own instead of the table's.
        facts: values for the table's sentences: host, user, port, path, seconds, because (a clause without its
            punctuation), fingerprint, jump, managers, version, known_as.
    """

    def __init__(
        self, reason: Reason, where: str, what: str | None = None, next_step: str | None = None, **facts: str
    ) -> None:
        words = _Facts(where, facts)
        table_what, table_next = _SENTENCES[reason]
        super().__init__(
            table_what.format_map(words) if what is None else one_line(what),
            table_next.format_map(words) if next_step is None else one_line(next_step),
        )
        self.reason = reason
        self.where = where


class _Facts(dict[str, str]):
    """Values for a template, each on one harmless line, with something sensible for each that was not given."""

    def __init__(self, where: str, facts: dict[str, str]) -> None:
        super().__init__((name, one_line(value)) for name, value in facts.items())
        self["where"] = one_line(where)
        because = self.get("because", "").rstrip(". ")
        self["because"] = f": {because}" if because else ""
        user, _, host = self["where"].rpartition("@")
        self.setdefault("host", host_of(host))
        self.setdefault("user", user or "this user")
        self.setdefault("seconds", "10")

    def __missing__(self, name: str) -> str:
        return {"port": "22", "path": "/var/run/docker.sock", "managers": "none is known here"}.get(name, f"({name})")


def standing(info: Info, where: str) -> LinkError | None:
    """Judges from `GET /info` whether an engine is a manager that can be worked with (table in swarm-dr.md §4).

    Returns:
        None for a manager in good standing; else why it is not one. With NO_LEADER the connection itself stays usable:
        what the manager last knew can still be read from it at times.
    """
    swarm = info.swarm
    state, error = swarm.local_node_state, one_line(swarm.error)
    if state == "locked":
        return LinkError(Reason.LOCKED, where)
    if state == "error":
        return LinkError(Reason.SWARM_ERROR, where, because=error)
    if state in ("inactive", ""):
        return LinkError(Reason.NOT_A_SWARM, where)
    if swarm.control_available and swarm.no_leader:
        return LinkError(Reason.NO_LEADER, where)
    if state == "pending":
        return LinkError(Reason.SWARM_PENDING, where)
    if not swarm.control_available:
        managers = ", ".join(sorted({host_of(peer.addr) for peer in swarm.remote_managers or () if peer.addr}))
        return LinkError(Reason.WORKER, where, **({"managers": managers} if managers else {}))
    return None
