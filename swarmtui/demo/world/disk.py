"""/var/lib/docker/swarm of a host: what an engine has written there, and what it makes of what it finds.

While nobody touches it, a membership (`LocalSwarm`) stands for the folder, and its files are made when somebody reads
them. Once somebody changed it with Docker stopped, the files are the truth, and Docker reads them when it starts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509

from swarmtui.demo.swarmkit import bolt, keyfile
from swarmtui.demo.swarmkit.log import PREALLOCATED, DamagedError, last_index
from swarmtui.demo.world.host import File, Host, LocalSwarm
from swarmtui.demo.world.pki import Certificate
from swarmtui.demo.world.saved import Log, snapshot_name, wal_name, write_snapshot, write_wal

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

SWARM = "/var/lib/docker/swarm"
FOLDERS = {"": 0o700, "certificates": 0o755, "worker": 0o755}
RAFT_FOLDERS = {"raft": 0o700, "raft/snap-v3-encrypted": 0o700, "raft/wal-v3-encrypted": 0o700}
"""Folders with their modes, as engines 20.10 and 26.1 make them; the second ones on managers only."""
CERTIFICATE = "certificates/swarm-node.crt"
KEY = "certificates/swarm-node.key"
ROOT = "certificates/swarm-root-ca.crt"
DOCKER_STATE = "docker-state.json"
STATE = "state.json"
TASKS = "worker/tasks.db"
_WAL, _SNAPSHOTS = "raft/wal-v3-encrypted/", "raft/snap-v3-encrypted/"
_UNDECRYPTED = "failed to decrypt WAL: no decryption key for record encrypted with SECRETBOX_SALSA20_POLY1305"


class DamageError(Exception):
    """An engine makes no Swarm of what it found.

    Attributes:
        kind: "wiped": it cleared the folder and is in no Swarm; "panic": dockerd crashed; "error": its Swarm stopped.
    """

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(slots=True)
class _Known:
    """A membership whose files were read by somebody."""

    swarm: LocalSwarm
    raft_key: bytes = b""
    log: Log | None = None


class Archive:
    """What was ever read from these hosts' disks, so that it can be put back: by the content of the files."""

    def __init__(self) -> None:
        self.certificates: dict[str, _Known] = {}
        self.keys: dict[str, tuple[str, bytes]] = {}
        self.logs: dict[bytes, dict[int, _Known]] = {}

    def log(self, raft_key: bytes, last: int) -> Log | None:
        """The log that ends with this entry, also where it once was longer."""
        known = self.logs.get(raft_key, {})
        found = min((end for end in known if end >= last), default=None)
        return None if found is None else _rolled_back(known[found].log, last)


def _rolled_back(log: Log | None, last: int) -> Log | None:
    """The log without what came after an entry."""
    if log is None or last >= log.cluster.index:
        return log
    cluster = log.cluster.twin()
    # Nodes stay: they report themselves again.
    for kind in ("task", "service", "network", "secret", "config"):
        cluster.delete(*[item for item in cluster.table(kind).values() if item.index > last])
    cluster.index = last
    return replace(log, cluster=cluster)


def current_log(swarm: LocalSwarm, *, running: bool) -> Log:
    """What the log on a manager's disk holds now."""
    raft = swarm.raft
    if swarm.log is not None and not (running and raft.follows(swarm.node_id)):
        return swarm.log
    members = {member.node_id: member.address for member in raft.members.values()}
    return Log(swarm.cluster, members, tuple(raft.terms), raft.leader or "", live=running)


def freeze(host: Host) -> None:
    """Docker stops on this host: from now on its disk keeps what is so at this moment."""
    swarm = host.swarm
    if swarm is not None and swarm.role == "manager":
        log = current_log(swarm, running=True)
        swarm.log = log if log is swarm.log else replace(log, cluster=log.cluster.twin(), live=False)


def certificate(swarm: LocalSwarm) -> Certificate:
    """The certificate of a node, made when somebody looks at it first."""
    if swarm.certificate is None:
        swarm.certificate = swarm.cluster.authority.issue(
            swarm.node_id, swarm.role, swarm.cluster.id, swarm.cert_begin, swarm.cert_end
        )
    return swarm.certificate


def names(swarm: LocalSwarm, *, running: bool) -> list[str]:
    """The files in a Swarm's folder, relative to it."""
    found = [CERTIFICATE, KEY, ROOT, DOCKER_STATE, STATE, TASKS]
    if swarm.role != "manager":
        return found
    log = current_log(swarm, running=running)
    found.append(_WAL + wal_name(log))
    if running:
        found.append(f"{_WAL}{int(bool(log.snapshot))}.tmp")
    return [*found, *([_SNAPSHOTS + snapshot_name(log)] if log.snapshot else [])]


def folders(swarm: LocalSwarm) -> dict[str, int]:
    """The folders in a Swarm's folder with their modes, itself included."""
    return {**FOLDERS, **RAFT_FOLDERS} if swarm.role == "manager" else dict(FOLDERS)


def length(swarm: LocalSwarm, name: str, *, running: bool) -> int:
    """The size of a file in bytes; that of a log file is known without making it."""
    if name.startswith(_WAL) and name in names(swarm, running=running):
        return PREALLOCATED
    found = content(swarm, name, running=running)
    return 0 if found is None else found.length


def content(swarm: LocalSwarm, name: str, *, running: bool) -> File | None:
    """A file of a Swarm's folder; None if there is none of this name."""
    if name in (CERTIFICATE, KEY):
        return _identity(swarm, name)
    if name == ROOT:
        return File(swarm.cluster.authority.pem.encode())
    if name == STATE:
        remotes = [{"node_id": node, "addr": address} for node, address in swarm.remotes.items()]
        return File(msgspec.json.encode(remotes), mode=0o600)
    if name == DOCKER_STATE:
        return File(_docker_state(swarm), mode=0o600)
    if name == TASKS:
        return File(bolt.empty_database(), size=bolt.SIZE)
    if swarm.role != "manager" or not name.startswith("raft/"):
        return None
    return _raft_file(swarm, name, running=running)


def _docker_state(swarm: LocalSwarm) -> bytes:
    first = next((address for node, address in swarm.remotes.items() if node != swarm.node_id), "")
    return msgspec.json.encode(
        {
            "LocalAddr": swarm.address,
            "RemoteAddr": "" if swarm.role == "manager" else first,
            "ListenAddr": swarm.listen,
            "AdvertiseAddr": f"{swarm.address}:2377",
            "DataPathAddr": "",
            "DefaultAddressPool": None,
            "SubnetSize": 0,
            "DataPathPort": swarm.cluster.data_path_port,
            "JoinInProgress": False,
        }
    )


def raft_key(swarm: LocalSwarm) -> bytes:
    """What the raft log of a manager is encrypted with: another one for every unlock key; none on a worker."""
    if swarm.role != "manager":
        return b""
    return hashlib.sha256(f"raft {swarm.node_id} {swarm.key}".encode()).digest()


def _identity(swarm: LocalSwarm, name: str) -> File:
    """Certificate and key belong together; both are remembered."""
    own = certificate(swarm)
    archive = swarm.raft.world.archived
    pem = own.pem.encode()
    archive.certificates.setdefault(_digest(pem), _Known(replace(swarm, log=None, rendered={})))
    if name == CERTIFICATE:
        return File(pem)
    version = swarm.key_version
    token = (swarm.key, version, _digest(pem))
    known = swarm.rendered.get(name)
    if known is None or known[0] != token:
        data = keyfile.key_file(own.key, raft_key=raft_key(swarm), unlock_key=swarm.key, version=version)
        known = swarm.rendered[name] = (token, File(data, mode=0o600))
        archive.keys[_digest(data)] = swarm.key, raft_key(swarm)
    return known[1]


def _raft_file(swarm: LocalSwarm, name: str, *, running: bool) -> File | None:
    if name.endswith(".tmp"):
        return File(b"", size=PREALLOCATED, mode=0o600) if name in names(swarm, running=running) else None
    log = current_log(swarm, running=running)
    is_snapshot = bool(log.snapshot) and name == _SNAPSHOTS + snapshot_name(log)
    if not is_snapshot and name != _WAL + wal_name(log):
        return None
    token = (log.cluster.index, log.live, log.leader, log.terms, tuple(log.members.items()), swarm.key, log.snapshot)
    known = swarm.rendered.get(name)
    if known is None or known[0] != token:
        key = raft_key(swarm)
        if is_snapshot:
            made = File(write_snapshot(log, key), mode=0o600)
        else:
            made = File(write_wal(log, swarm.node_id, key), size=PREALLOCATED, mode=0o600)
            kept = replace(log, cluster=log.cluster.twin(), live=False) if log.live else log
            ends = swarm.raft.world.archived.logs.setdefault(key, {})
            ends[log.last + log.live] = _Known(replace(swarm, log=None, rendered={}), key, kept)
        known = swarm.rendered[name] = (token, made)
    return known[1]


def load(world: World, found: dict[str, File]) -> LocalSwarm:
    """What an engine makes of the files it finds in its Swarm's folder (swarm-dr.md §1).

    Raises:
        DamageError: no Swarm.
    """
    node = _read_certificate(found)
    archive = world.archived
    known = archive.certificates.get(node)
    if known is None:
        raise DamageError("error", "x509: certificate signed by unknown authority (this Swarm is of no host here)")
    swarm = replace(
        known.swarm, locked=False, unlocking=False, error="", rejected=False, superseded=False, session="", rendered={}
    )
    swarm.log = None
    if KEY not in found:
        raise DamageError("error", _UNDECRYPTED)
    swarm.key, key = _read_key(found[KEY].data, swarm, archive)
    if not swarm.key:
        swarm.key_version = 0
    if ROOT not in found:
        raise DamageError("panic")
    if swarm.role == "manager":
        swarm.log = _read_log(found, key, archive, swarm)
    remotes = _read_remotes(found)
    if remotes or swarm.role == "worker":
        swarm.remotes = remotes
    return swarm


def _read_certificate(found: dict[str, File]) -> str:
    """The digest of the certificate."""
    try:
        x509.load_pem_x509_certificate(found[CERTIFICATE].data)
    except (KeyError, ValueError):
        raise DamageError("wiped") from None
    return _digest(found[CERTIFICATE].data)


def _read_key(data: bytes, swarm: LocalSwarm, archive: Archive) -> tuple[str, bytes]:
    """The unlock key that the file is encrypted with (empty for none), and the raft key."""
    known = archive.keys.get(_digest(data))
    if known is not None:
        return known
    private = keyfile.private_key(data)
    if not private:
        raise DamageError("error", "error while loading TLS Certificate: x509: decryption password incorrect")
    if private != certificate(swarm).key:
        raise DamageError("error", "tls: private key does not match public key")
    return "", keyfile.raft_key_in_clear(data)


def _read_log(found: dict[str, File], key: bytes, archive: Archive, swarm: LocalSwarm) -> Log:
    logs = sorted(name for name in found if name.startswith(_WAL) and name.endswith(".wal"))
    peer = next((address for node, address in swarm.remotes.items() if node != swarm.node_id), "")
    if not logs:
        dial = f'rpc error: code = Unavailable desc = connection error: desc = "transport: dial tcp {peer}'
        raise DamageError("error", f"can't initialize raft node: {dial}: connect: connection refused\"")
    if not key:
        raise DamageError("error", f"can't initialize raft node: {_UNDECRYPTED}")
    try:
        last = last_index(found[logs[-1]].data)
    except DamagedError as error:
        raise DamageError("error", f"can't initialize raft node: {error}") from None
    log = archive.log(key, last)
    if log is None:
        raise DamageError("error", f"can't initialize raft node: {_UNDECRYPTED}")
    if log.snapshot and _SNAPSHOTS + snapshot_name(log) not in found:
        raise DamageError("error", f"can't initialize raft node: {_UNDECRYPTED}")
    return log


def _read_remotes(found: dict[str, File]) -> dict[str, str]:
    try:
        listed = msgspec.json.decode(found[STATE].data, type=list[dict[str, str]])
        return {one["node_id"]: one["addr"] for one in listed}
    except (KeyError, msgspec.MsgspecError):
        return {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
