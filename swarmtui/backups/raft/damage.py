"""Every damage by its id: how it is said, what a real dockerd does with it, and whether a restore would fail.

What dockerd does was seen on real ones (swarm-dr.md §1) or follows from how swarmkit and etcd read their files.
"""

from __future__ import annotations

from typing import NamedTuple

from swarmtui.backups.raft.contents import Problem
from swarmtui.model.text import one_line


class Damage(NamedTuple):
    """One kind of damage.

    Attributes:
        what: a sentence; {…} are filled in.
        docker: what a real dockerd does with it.
        fatal: a restore would not give back the Swarm that was backed up.
    """

    what: str
    docker: str
    fatal: bool = True


_EMPTY = "Docker clears the directory, and --force-new-cluster makes an empty Swarm and reports success."
_NO_KEY = "Docker stops with: failed to decrypt WAL: no decryption key for record."
_CRC = "Docker stops with: irreparable WAL error: walpb: crc mismatch."
_ROLLED_BACK = "Docker passes over it without a word: it restores an older state, finds no leader, or crashes."
_NO_START = "Docker does not start the Swarm with it."
_FNC_ONLY = "Docker refuses it at every start but one with --force-new-cluster, and then renews it."

DAMAGES: dict[str, Damage] = {
    # files
    "unreadable": Damage("{name} cannot be read: {why}.", _NO_START),
    "too-large": Damage("{name} has {size} bytes, far more than Docker writes.", _NO_START),
    "no-swarm": Damage("There is no Swarm's directory in it: neither certificates nor a raft log.", _EMPTY),
    "worker": Damage("It is of a worker: only managers keep the Swarm.", "Docker can make no cluster of it."),
    "no-certificate": Damage("certificates/swarm-node.crt is missing.", _EMPTY),
    "no-key": Damage("certificates/swarm-node.key is missing.", _NO_KEY),
    "no-root-ca": Damage("certificates/swarm-root-ca.crt is missing.", "Docker panics on --force-new-cluster."),
    "no-wal": Damage(
        "The raft log is missing: no file in raft/wal-v3-encrypted.",
        "Docker cannot start raft, or makes an empty Swarm with the old node id.",
    ),
    # key file
    "key-damaged": Damage("certificates/swarm-node.key is damaged: {why}.", _NO_START),
    "no-dek": Damage("certificates/swarm-node.key has lost raft's key (its header raft-dek).", _NO_KEY),
    "locked": Damage("It is locked (autolock), and no unlock key was given.", "Docker waits to be unlocked.", False),
    "wrong-key": Damage(
        "It is locked with unlock key version {version}, and none of the {count} keys given opens it.",
        "Docker says: swarm could not be unlocked: invalid key provided.",
    ),
    "key-generation": Damage(
        "Its key file is locked with another unlock key than the Swarm has now.",
        "Docker wants that key once, then takes the Swarm's by itself.",
        False,
    ),
    "not-locked": Damage(
        "Its Swarm has autolock, but this key file is in clear.",
        "Docker starts without a key; whoever has the file has the Swarm.",
        False,
    ),
    # certificates
    "certificate-damaged": Damage("{name} is damaged: {why}.", _NO_START),
    "key-mismatch": Damage("The key in swarm-node.key is not that of the certificate in swarm-node.crt.", _NO_START),
    "chain": Damage("The node's certificate is not signed by the CA in swarm-root-ca.crt.", _NO_START),
    "cert-expired": Damage("The node's certificate expired on {day}.", _FNC_ONLY, False),
    "cert-not-yet": Damage("The node's certificate is valid only from {day} on: is this clock right?", _NO_START),
    "root-expired": Damage("The Swarm's CA certificate expired on {day}.", _NO_START),
    "root-ca-differs": Damage(
        "swarm-root-ca.crt is not the CA that the Swarm itself knows.",
        "Docker takes the Swarm's own once it runs; new nodes cannot join before.",
        False,
    ),
    "root-ca-damaged": Damage(
        "swarm-root-ca.crt is damaged: it is nearly, but not quite, the CA that the Swarm itself knows.",
        "Docker stops with: invalid root certificates, or overlooks it.",
    ),
    "other-cluster": Damage(
        "The certificate is of the Swarm {certificate}, the raft log of the Swarm {store}: files of two Swarms.",
        "Docker starts with the wrong identity.",
    ),
    "other-node": Damage(
        "The certificate is of the node {certificate}, the raft log of the node {log}: files of two managers.",
        "Docker starts with the wrong identity.",
    ),
    "not-a-member": Damage(
        "This node is not among the managers that its own raft log names: it was removed or demoted.",
        "Docker says: node was removed from swarm; only --force-new-cluster takes it.",
        False,
    ),
    # write-ahead log
    "wal-crc": Damage("The raft log is damaged in {name} at byte {at}: the checksum is wrong.", _CRC),
    "wal-truncated": Damage("The raft log breaks off inside a record in {name} at byte {at}.", _ROLLED_BACK),
    "wal-after-end": Damage(
        "In {name} the raft log ends at byte {at}, and there is more after it: a part of it was wiped.", _ROLLED_BACK
    ),
    "wal-short": Damage(
        "{name} ends at byte {at} without the empty space that Docker reserves: something may have been cut off.",
        _ROLLED_BACK,
        False,
    ),
    "wal-empty": Damage("There is no raft log in {name}: it was wiped.", _ROLLED_BACK),
    "wal-record": Damage("The raft log has a record in {name} at byte {at} that is none.", _NO_START),
    "wal-metadata": Damage("The raft log's files are of different nodes ({name}).", _NO_START),
    "wal-file-missing": Damage(
        "A file of the raft log is missing before {name}.",
        "Docker stops with: file sequence numbers do not increase continuously.",
    ),
    "wal-start-missing": Damage(
        "The raft log begins after entry {index}, on which it builds.",
        "Docker stops with: file not found which matches the snapshot index.",
    ),
    "wal-gap": Damage("The raft log has no entry {index}: after the one before it comes {next}.", _NO_START),
    "wal-behind": Damage(
        "The raft log ends at entry {last}, but this manager had agreed to entry {commit}: the end is missing.",
        _ROLLED_BACK,
    ),
    "wal-behind-snapshot": Damage(
        "The raft log ends before its snapshot: entry {commit} was the last agreed on, the snapshot holds {index}.",
        "Docker panics, or restores an older state.",
    ),
    "wal-term": Damage(
        "The raft log's state is of term {term}, its last entry of term {entry}: the end is missing.", _ROLLED_BACK
    ),
    "decrypt": Damage("Entry {index} of the raft log is not encrypted with this node's raft key.", _NO_KEY),
    "entry": Damage("Entry {index} of the raft log cannot be understood.", _NO_START),
    # snapshot
    "snapshot-damaged": Damage(
        "{name} is damaged: {why}.", "Docker sets it aside and starts from an older one, or from none."
    ),
    "snapshot-missing": Damage(
        "The snapshot at entry {index}, which the raft log names, is missing.",
        "Docker starts from an older one, or from none.",
        False,
    ),
    "snapshot-foreign": Damage(
        "The raft log does not know the snapshot {name}.", "Docker mixes two states, or stops with: snapshot mismatch."
    ),
    "snapshot-decrypt": Damage("{name} is not encrypted with this node's raft key.", _NO_KEY),
    # beside the raft log
    "tasks-db": Damage(
        "worker/tasks.db is damaged; the Swarm is not in it.",
        "Docker does not start the Swarm with it, and does without it: leave it out of a restore.",
    ),
    "state-json": Damage(
        "state.json is damaged; the Swarm is not in it.",
        "Docker does not start the Swarm with it, and does without it: leave it out of a restore.",
    ),
    # contents
    "object": Damage("The {kind} {id} in the raft log cannot be understood.", "It is unknown what Docker makes of it."),
    "no-cluster": Damage("The raft log holds no Swarm.", _EMPTY),
}


def problem(id_: str, fatal: bool | None = None, /, **said: object) -> Problem:
    """A problem of `DAMAGES`, with its sentence filled in.

    Args:
        fatal: where it depends; else as the table has it.
        said: for the {…} of the sentence; strings out of an archive are made harmless.

    Raises:
        KeyError: there is no such id, or something is not said.
    """
    damage = DAMAGES[id_]
    shown = {name: one_line(str(value))[:200] for name, value in said.items()}
    return Problem(id_, damage.what.format(**shown), damage.docker, damage.fatal if fatal is None else fatal)
