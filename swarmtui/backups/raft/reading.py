"""Looks inside a Swarm's directory: key file, certificates, write-ahead log, snapshot, store, and do they belong
together."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swarmtui.backups.errors import BackupError
from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft import beside, certificates, keyfile, messages, sealed, shapes, snapshot, wal
from swarmtui.backups.raft.contents import Contents, Member, Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.backups.raft.sealed import Opener, SealedError
from swarmtui.backups.raft.store import Store
from swarmtui.backups.raft.wire import WireError, decode
from swarmtui.model.inventory import Inventory
from swarmtui.vault.secret import Secret, fingerprint

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

KEY = "certificates/swarm-node.key"
_NEW_CERTIFICATE = "certificates/.swarm-node.crt"
"""Where Docker writes a renewed certificate, before the key and the rename; it looks there too."""
_LARGEST_SMALL = 1 << 20
_THE_SWARM = "default"
_MANAGER = "swarm-manager"


def read(files: SwarmFiles, keys: Sequence[Secret] = (), *, now: float | None = None) -> Contents:
    """Reads a Swarm's directory. Never raises for what is in the files: damage is in `problems`.

    It reads as Docker does (the newest snapshot it can read, the log from there, entries up to the last agreed on), so
    the inventory is what Docker would make of the directory if it started with it.

    Args:
        keys: unlock keys to try, the likeliest first; not needed where the directory is not locked.
        now: unix seconds at which certificates are judged; the present by default.
    """
    return read_with_store(files, keys, now=now)[0]


def read_with_store(
    files: SwarmFiles, keys: Sequence[Secret] = (), *, now: float | None = None
) -> tuple[Contents, Store]:
    """Like `read`, with the store as Swarm keeps it: the data of all secrets is in there."""
    reading = _Reading(files, keys, time.time() if now is None else now)
    return reading.contents(), reading.store


class _Reading:
    """One look inside: what was found so far."""

    def __init__(self, files: SwarmFiles, keys: Sequence[Secret], now: float) -> None:
        self._files = files
        self._keys = keys
        self._now = now
        self._names: frozenset[str] = frozenset()
        self._problems: list[Problem] = []
        self._key_file: keyfile.KeyFile | None = None
        self._opened: keyfile.Opened | None = None
        self._opened_by: Secret | None = None
        self._who: certificates.Identity | None = None
        self._root_pem = b""
        self._roots: Sequence[Certificate] = ()
        self._log = wal.Log(wal.Mark(0, 0))
        self.store = Store()
        self._replayed = False
        self._objects: dict[str, list[dict[str, Any]]] = {}

    def contents(self) -> Contents:
        try:
            self._names = frozenset(self._files.names())
        except (OSError, EOFError, BackupError) as error:
            self._problems.append(problem("unreadable", name="the Swarm's directory", why=error))
            return self._result()
        logs = wal.names(sorted(self._names))
        if not logs and not self._names & {KEY, certificates.NODE, certificates.ROOT}:
            self._problems.append(problem("no-swarm"))
            return self._result()
        self._read_key()
        self._read_certificates()
        if self._who is not None and self._who.role == "worker":
            self._problems.append(problem("worker"))
        elif not logs:
            self._problems.append(problem("no-wal"))
        else:
            self._read_raft(logs)
            self._problems += beside.look(self._files, self._names)
        if self._replayed:
            self._read_objects()
        return self._result()

    def _read_key(self) -> None:
        if KEY not in self._names:
            self._problems.append(problem("no-key"))
            return
        data = wal.load(self._files, KEY, _LARGEST_SMALL, self._problems)
        if data is None:
            return
        try:
            self._key_file = keyfile.parse(data)
            if not self._key_file.locked:
                self._opened = keyfile.open_(self._key_file, None)
                return
        except keyfile.KeyFileError as damage:
            self._problems.append(problem("key-damaged", why=damage))
            return
        for key in self._keys:
            kek = sealed.kek(key)
            if kek is None:
                continue
            try:
                self._opened = keyfile.open_(self._key_file, kek)
            except keyfile.KeyFileError:
                continue
            self._opened_by = key
            return
        if self._keys:
            version = self._key_file.kek_version
            self._problems.append(problem("wrong-key", version=version, count=len(self._keys)))
        else:
            self._problems.append(problem("locked"))

    def _read_certificates(self) -> None:
        if certificates.ROOT not in self._names:
            self._problems.append(problem("no-root-ca"))
        elif (data := wal.load(self._files, certificates.ROOT, _LARGEST_SMALL, self._problems)) is not None:
            self._root_pem = data
            self._roots = self._parsed(certificates.ROOT, data)
        chosen: certificates.Identity | None = None
        for name in (certificates.NODE, _NEW_CERTIFICATE):
            if name not in self._names:
                continue
            pem = wal.load(self._files, name, _LARGEST_SMALL, self._problems)
            chain = self._parsed(name, pem) if pem is not None else ()
            if not chain:
                continue
            found = certificates.identity(chain)
            if self._opened is not None and certificates.matches(self._opened.key, found):
                chosen = found
                break
            chosen = chosen or found
        if not self._names & {certificates.NODE, _NEW_CERTIFICATE}:
            self._problems.append(problem("no-certificate"))
        if chosen is None:
            return
        self._who = chosen
        if self._opened is not None and not certificates.matches(self._opened.key, chosen):
            self._problems.append(problem("key-mismatch"))
        if self._roots:
            self._problems += certificates.judge(chosen, self._roots, self._now)

    def _parsed(self, name: str, pem: bytes) -> Sequence[Certificate]:
        try:
            return certificates.parse(pem)
        except certificates.CertificateError as damage:
            self._problems.append(problem("certificate-damaged", name=name, why=damage))
            return ()

    def _read_raft(self, logs: Sequence[wal.Name]) -> None:
        base, broken = snapshot.newest(self._files, snapshot.names(self._names))
        start = base.mark if base is not None else wal.Mark(0, 0)
        log = self._log = wal.read(self._files, logs, start)
        found = [*log.problems]
        if log.commit < start.index:
            found.append(problem("wal-behind-snapshot", commit=log.commit, index=start.index))
        if log.last < log.commit:
            found.append(problem("wal-behind", last=log.last, commit=log.commit))
        if log.entries and log.term < log.entries[-1].term:
            found.append(problem("wal-term", term=log.term, entry=log.entries[-1].term))
        if base is not None and base.mark not in log.marks and not log.problems:
            found.append(problem("snapshot-foreign", name=base.name))
        if self._key_file is not None and not self._key_file.of_manager:
            found.append(problem("no-dek"))
        elif self._opened is not None:
            found += self._replay(base, sealed.opener(list(self._opened.deks.values())))
        # Without its newest snapshot Docker goes back to an older one; where the log reaches back to that, nothing is
        # lost.
        lost = any(one.fatal for one in found)
        self._problems += [Problem(one.id, one.what, one.docker, lost) for one in broken]
        newest = max((mark.index for mark in log.marks if lost or mark.index <= log.commit), default=0)
        if newest > start.index:
            self._problems.append(problem("snapshot-missing", lost, index=newest))
        self._problems += found

    def _replay(self, base: snapshot.Snapshot | None, unseal: Opener) -> list[Problem]:
        """Builds the store from the snapshot and every entry that was agreed on.

        Docker decrypts what was not agreed on, too, before it leaves it out: it has to open.
        """
        found: list[Problem] = []
        if base is not None:
            try:
                self.store.load(unseal(base.record))
            except SealedError:
                return [problem("snapshot-decrypt", name=base.name)]
            except WireError as damage:
                return [problem("snapshot-damaged", name=base.name, why=damage)]
        store, commit = self.store, self._log.commit
        for entry in self._log.entries:
            try:
                plain = unseal(entry.data)
            except SealedError:
                found.append(problem("decrypt", index=entry.index))
                break
            if entry.index > commit:
                continue
            try:
                if entry.kind == 0:
                    store.apply(plain)
                elif entry.kind == 1:
                    store.change(plain)
            except WireError:
                found.append(problem("entry", index=entry.index))
                break
        self._replayed = True
        return found

    def _read_objects(self) -> None:
        self._objects, found = shapes.objects(self.store)
        self._problems += found
        swarms = self._objects["swarm"]
        swarms.sort(key=lambda one: one["Spec"]["Name"] != _THE_SWARM)
        members = {member.node_id: member for member in self.store.members.values()}
        for node in self._objects["nodes"]:
            if (member := members.get(node["ID"])) is not None:
                node["ManagerStatus"] = {"Addr": member.address}
        if not swarms:
            if not any(one.fatal for one in self._problems):
                self._problems.append(problem("no-cluster"))
            return
        swarm, who, log = swarms[0], self._who, self._log
        if who is not None and who.cluster_id != swarm["ID"]:
            self._problems.append(problem("other-cluster", certificate=who.cluster_id, store=swarm["ID"]))
        if who is not None and log.member.node_id and who.node_id != log.member.node_id:
            self._problems.append(problem("other-node", certificate=who.node_id, log=log.member.node_id))
        if log.member.raft_id and log.member.raft_id not in self.store.members:
            self._problems.append(problem("not-a-member"))
        known = swarm["TLSInfo"].get("TrustRoot", "").strip()
        if known and self._roots and known.encode() != self._root_pem.strip():
            damaged = certificates.nearly(self._root_pem, known.encode(), self._roots)
            self._problems.append(problem("root-ca-damaged" if damaged else "root-ca-differs"))
        self._compare_keys(swarm["ID"], locks=swarm["Spec"]["EncryptionConfig"]["AutoLockManagers"])

    def _compare_keys(self, cluster_id: str, *, locks: bool) -> None:
        """Whether the key file is locked as the Swarm's own settings say."""
        if self._key_file is None:
            return
        if not self._key_file.locked:
            if locks:
                self._problems.append(problem("not-locked"))
            return
        kek = sealed.kek(self._opened_by) if self._opened_by is not None else None
        raw = self.store.objects["cluster"].get(cluster_id.encode(), b"")
        keys = decode(raw, messages.UNLOCK_KEYS).get("keys", [])
        newest = next((one.get("key", b"") for one in keys if one.get("subsystem") == _MANAGER), b"")
        if kek is not None and not hmac.compare_digest(kek, newest):
            self._problems.append(problem("key-generation"))

    def _result(self) -> Contents:
        who, log, file = self._who, self._log, self._key_file
        members: tuple[Member, ...] = tuple(sorted(self.store.members.values(), key=lambda one: one.raft_id))
        inventory = None
        if self._objects.get("swarm"):
            inventory = Inventory.from_api(
                self._objects["swarm"][0],
                self._objects["nodes"],
                self._objects["services"],
                self._objects["networks"],
                self._objects["secrets"],
                self._objects["configs"],
                len(self.store.objects["task"]),
                min(log.commit, max(log.last, log.start.index)),
            )
        return Contents(
            locked=file is not None and file.locked,
            kek_version=file.kek_version if file is not None else 0,
            opened=self._replayed,
            opened_by=fingerprint(self._opened_by) if self._opened_by is not None else "",
            node_id=who.node_id if who is not None else "",
            role=who.role if who is not None else "",
            cluster_id=who.cluster_id if who is not None else "",
            not_before=who.not_before if who is not None else 0.0,
            not_after=who.not_after if who is not None else 0.0,
            root_digest=hashlib.sha256(self._root_pem).hexdigest() if self._root_pem else "",
            raft_id=log.member.raft_id,
            address=log.member.address,
            term=log.term,
            commit=log.commit,
            last_index=log.last,
            snapshot_index=log.start.index,
            members=members,
            inventory=inventory,
            problems=tuple(self._problems),
            objects=self._objects,
        )
