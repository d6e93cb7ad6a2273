"""What a backup says about itself: written once, beside the archive, and never changed after that."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from swarmtui import __version__
from swarmtui.backups.errors import BackupError
from swarmtui.model.inventory import Inventory

SCHEMA = 1
LARGEST = 64 << 20
"""Bytes of a manifest that are read: an inventory of 100,000 objects fits."""

Encrypted: TypeAlias = Literal["", "recipients", "passphrase"]

HOT = "possibly inconsistent: taken while Docker was running"
"""What is said of a hot backup, for ever."""


class UcpAccount(msgspec.Struct, frozen=True):
    """An account of UCP as its API tells it. Never a password.

    Attributes:
        org: it is an organisation.
    """

    name: str
    admin: bool = False
    org: bool = False
    active: bool = True


class UcpManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What only a backup of UCP has.

    Attributes:
        version: of UCP, as "2.2.5": only the same one restores it. image: of the command that made it; "" where nobody
            knows.
        instance_id: of UCP; the same as the Swarm's id at that time (ucp-dtr.md §1.8).
        sealed: the archive itself is an OpenPGP message, as UCP writes it with a passphrase.
        accounts: those that UCP had just before; None where nobody could ask.
    """

    version: str
    image: str = ""
    instance_id: str = ""
    sealed: bool = False
    accounts: tuple[UcpAccount, ...] | None = None


class DtrManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What only a backup of DTR has. Never a key of its storage.

    Attributes:
        version: of DTR, as "2.4.1": only the same one restores it. image: of the command that made it; "" where nobody
            knows.
        replica_id: of the replica it was taken from; "" where nobody knows. replicas: all that there were.
        nodes: the node of each replica, by its id.
        external_url: what people know DTR by; https_port, http_port: of that replica.
        storage: where the images live: "local", "volume", "nfs", or the name of an object storage such as "s3"; ""
            where nobody knows. storage_at: the volume's name, nfs://HOST/PATH, or the bucket.
        ucp_instance: of the UCP whose users own what is in it: it can be restored only there.
        repositories: their full names just before; None where nobody could ask.
        offline: the replica's database was stopped meanwhile.
    """

    version: str
    image: str = ""
    replica_id: str = ""
    replicas: tuple[str, ...] = ()
    nodes: dict[str, str] = msgspec.field(default_factory=dict)
    external_url: str = ""
    https_port: int = 443
    http_port: int = 80
    storage: str = ""
    storage_at: str = ""
    ucp_instance: str = ""
    repositories: tuple[str, ...] | None = None
    offline: bool = False

    @property
    def images(self) -> str:
        """Where the images live, for a sentence: they are in no backup of DTR."""
        at = f" {self.storage_at}" if self.storage_at else ""
        match self.storage:
            case "local":
                volume = f"dtr-registry-{self.replica_id}" if self.replica_id else "dtr-registry-…"
                return f"in the volume {volume} of its node"
            case "volume":
                return f"in the volume{at} of its node"
            case "nfs":
                return f"on NFS at{at}" if at else "on NFS"
            case "":
                return "in a storage that nobody noted"
        return f"in the object storage {self.storage}{at}"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup, as whoever took it knew it.

    `Draft.commit` fills in sizes, digests and `encrypted`; everything else is given to it.

    Attributes:
        schema_version: of this structure.
        tool_version: the swarmtui that wrote it.
        kind: what was backed up: "swarm", a Swarm's directory, "ucp", what UCP keeps, or "dtr", what DTR keeps besides
            images.
        set: backups of several products that belong together have the same; "" for one alone.
        id: the backup's name in the catalogue.
        source: taken from a host by us, or imported from a file that somebody else made.
        imported_from: name of that file.
        imported_digest: sha256 of that file as it was given, in hex; "" for one that was taken.
        cluster_id: the Swarm's id.
        cluster: what people call it; may be empty.
        node, node_id: the manager it was taken from; the hostname is "" where nobody knows it (imported).
        role: what the node was: manager. A worker's directory is not taken in.
        leader: whether that manager was the leader; None where nobody knows.
        address: the manager's address in the Swarm, as its raft members know it.
        engine_version: of that manager's Docker; "" where nobody knows.
        taken_at: when the archive was made, unix seconds; 0.0 where nobody knows.
        raft_term, raft_index: the last ones in the archive's raft log, 0 where it could not be read.
        managers: addresses of all managers at that time.
        quorum: in words, how the quorum stood while that manager was away.
        cold: whether Docker was stopped meanwhile; a hot one is possibly inconsistent for ever. None: nobody knows.
        downtime_seconds: how long Docker was down on that manager; 0.0 for a hot or imported one.
        autolock: whether the key file in the archive is locked with the cluster's unlock key.
        key_fingerprint: which unlock key that was, never the key; "" where nobody knows, or it is not locked.
        kek_version: the generation of the unlock key, as the key file says.
        size: bytes of the plain tar; stored_size: of the file as it is stored.
        digest: sha256 of the plain tar, in hex; stored_digest: of the file as it is stored.
        encrypted: how it is encrypted with age: "", "recipients" or "passphrase".
        recipients: of age, public by nature.
        objects_size, objects_digest, objects_stored_digest: of the full API objects beside it; 0 and "" where it has
            none.
        inventory: what the Swarm had, by name, just before; for an imported one what the archive itself says.
        inventory_after: the same just after; None where it was not asked.
        ucp: of a backup of UCP; dtr: of one of DTR; None for all others.
        notes: whatever else the run had to say.
    """

    schema_version: int = SCHEMA
    tool_version: str = __version__
    kind: str = "swarm"
    set: str = ""
    id: str = ""
    source: Literal["taken", "imported"] = "taken"
    imported_from: str = ""
    imported_digest: str = ""
    cluster_id: str
    cluster: str = ""
    node: str
    node_id: str = ""
    role: str = "manager"
    leader: bool | None = None
    address: str = ""
    engine_version: str = ""
    taken_at: float
    raft_term: int = 0
    raft_index: int = 0
    managers: tuple[str, ...] = ()
    quorum: str = ""
    cold: bool | None
    downtime_seconds: float = 0.0
    autolock: bool = False
    key_fingerprint: str = ""
    kek_version: int | None = None
    size: int = 0
    stored_size: int = 0
    digest: str = ""
    stored_digest: str = ""
    encrypted: Encrypted = ""
    recipients: tuple[str, ...] = ()
    objects_size: int = 0
    objects_digest: str = ""
    objects_stored_digest: str = ""
    inventory: Inventory | None = None
    inventory_after: Inventory | None = None
    ucp: UcpManifest | None = None
    dtr: DtrManifest | None = None
    notes: tuple[str, ...] = ()

    @property
    def how(self) -> str:
        """cold, hot or unknown."""
        return "unknown" if self.cold is None else "cold" if self.cold else "hot"

    @property
    def protected(self) -> str:
        """What keeps strangers from reading it: "recipients", "passphrase", "openpgp", or "" for nothing."""
        return self.encrypted or ("openpgp" if self.ucp is not None and self.ucp.sealed else "")


def encode(manifest: Manifest) -> bytes:
    """The file, for people too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(content: bytes) -> Manifest:
    """Reads the file. Fields that a newer program added are left aside.

    Raises:
        BackupError: it is no manifest, or of a schema that this program does not know; one clause, without a place.
    """
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version > SCHEMA:
            raise BackupError(f"its manifest was written by a newer swarmtui (schema {version})")
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BackupError(f"its manifest cannot be read: {str(error)[:120]}") from None


class _Versioned(msgspec.Struct):
    schema_version: int
