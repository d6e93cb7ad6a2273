"""`dtr-phase2`: what is done on the node itself."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from standin import engine
from standin.dtr import rethink, state
from standin.dtr.names import IMAGES, NETWORK, Replica, image, images, number
from standin.dtr.rethink import NoQuorum
from standin.dtr.ucp import UcpClient, UcpError
from standin.logs import Fatal, Log

TASK = Path("/tmp/task.json")


class Phase2:
    """One run on the node.

    Attributes:
        task: what phase 1 asked for.
        own: the replica that is made or changed here.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.log = Log(task["form"])
        self.version: str = task["version"]
        key = task.get("key") or task.get("state", {}).get("key") or secrets.token_hex(16)
        self.own = Replica(self.version, task.get("id", ""), key)

    # --- common steps ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The node will do.

        Raises:
            Fatal: it will not.
        """
        self.log.info("Verifying your system is compatible with DTR")
        self.log.info("Checking if the node is okay to install on")
        missing = [name for name in images(self.version) if not engine.has_image(name)]
        if missing:
            self.log.fatal(f"unable to pull {missing[0]}: no such image on this node, and no registry answers")
        self.log.info("Starting UCP connectivity test")
        try:
            UcpClient(**self.task["ucp"]).raw("GET", "/ca", timeout=20)
        except UcpError as error:
            self.log.fatal(f"UCP connectivity test failed: {error}")
        self.log.info("UCP connectivity test passed")

    def database(self, wanted: rethink.State) -> None:
        """Volumes with what belongs in them, and `dtr-rethinkdb` on them.

        Raises:
            Fatal: it does not come up.
        """
        self.log.info("Setting up replica volumes...")
        rethinkdb, ca = f"dtr-rethink-{self.own.id}", f"dtr-ca-{self.own.id}"
        names = [*self.own.volumes, *([self.own.nfs_volume] if wanted["storage"]["kind"] == "nfs" else [])]
        with engine.Mounted(image(self.version), names) as volumes:
            volumes.write({f"{rethinkdb}/state.json": json.dumps(wanted).encode()})
            volumes.write({f"{ca}/{name}.pem": text.encode() for name, text in wanted["tls"].items()})
        self.log.info("Bootstrapping rethink...")
        self.component("rethinkdb", wanted)
        if self.task.get("fails"):
            self.log.fatal("Failed to bootstrap rethink: timed out waiting for RethinkDB to become ready")
        if not _until(20, lambda: rethink.ask(self.own.id, self.own.key, "/status")):
            self.log.fatal("timed out waiting for RethinkDB to become ready")

    def component(self, name: str, wanted: rethink.State) -> None:
        """Make one container anew."""
        container = self.own.container(name)
        self.log.info(f"Creating {container}...")
        engine.remove(container)
        member = wanted["members"].get(self.own.id) or self.member()
        volume = {"nfs": self.own.nfs_volume, "volume": wanted["storage"].get("volume", "")}
        storage = volume.get(wanted["storage"]["kind"]) or f"dtr-registry-{self.own.id}"
        ports = member["HTTPPort"], member["HTTPSPort"]
        engine.run(container, self.own.spec(name, self.task["node"], ports, storage))

    def member(self) -> dict[str, Any]:
        """What the cluster knows of this replica."""
        http, https = self.task["ports"]
        joined = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"node": self.task["node"], "HTTPPort": http, "HTTPSPort": https, "joined": joined}

    def rest(self, wanted: rethink.State) -> None:
        """All other containers; they are healthy afterwards.

        Raises:
            Fatal: they do not become so.
        """
        self.log.info("Starting all containers...")
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda name: self.component(name, wanted), [name for name in IMAGES if name != "rethinkdb"]))

        def well() -> bool:
            told = rethink.ask(self.own.id, self.own.key, "/cluster")
            # Docker looks at it for the first time when its interval is over, which is no news to anybody.
            socket.create_connection((f"{self.own.container('nginx')}.{NETWORK}", 443), timeout=2).close()
            return bool(told["health"][self.own.id] == "OK")

        if not _until(60, well):
            self.log.fatal("timed out waiting for the replica to become healthy")

    def done(self, what: str) -> None:
        """The closing words of install, restore and join."""
        self.log.info(f"{what} is complete")
        self.log.info(f"Replica ID is set to: {self.own.id}")

    def change(self, edit: Callable[[rethink.State], None]) -> rethink.State:
        """Change the state through the existing replica.

        Raises:
            Fatal: the database cannot.
        """
        try:
            return rethink.change(self.task["existing"], self.own.key, edit)
        except NoQuorum as error:
            self.log.fatal(f"Failed to write to RethinkDB: {error}")

    def health(self) -> dict[str, str]:
        """How the replicas are, as the existing one tells.

        Raises:
            Fatal: it cannot.
        """
        try:
            return dict(rethink.ask(self.task["existing"], self.own.key, "/cluster")["health"])
        except NoQuorum as error:
            self.log.fatal(f"Failed to read from RethinkDB: {error}")

    # --- the commands ---------------------------------------------------------------------------------------------

    def install(self) -> None:
        """The first replica; of a restore too."""
        restored = self.task.get("state")
        self.check()
        self.log.info("Creating initial CA certificates")
        fresh = restored or state.new(self.own, self.task)
        self._begin(fresh)
        self.database(fresh)
        self.log.info("License config copied from UCP.")
        self.log.info("Migrating db...")
        self.rest(fresh)
        self.log.info("Successfully registered dtr with UCP")
        self.done("Restore" if restored else "Installation")
        self.log.info(
            f"You can use flag '--existing-replica-id {self.own.id}' when joining other replicas to your Docker Trusted"
            " Registry Cluster"
        )

    def _begin(self, fresh: rethink.State) -> None:
        """This replica is the only one; what was asked for on the command line holds."""
        fresh["members"] = {self.own.id: self.member()}
        fresh["ucp"] = self.task["ucp"]
        fresh["version"] = self.version
        fresh["storage"] = self.task["storage"] or {"kind": "default"}
        state.apply(fresh, self.task["settings"], self.task["address"])

    def join(self) -> None:
        """One more replica."""
        bad = sorted(name for name, text in self.health().items() if text != "OK")
        if bad and not self.task["unsafe"]:
            self.log.fatal(
                f"The cluster has unhealthy replicas: {' '.join(bad)}. Remove them before you join a new one"
            )
        self.check()
        before = rethink.ask(self.task["existing"], self.own.key, "/state")
        self.database(before)

        def edit(now: rethink.State) -> None:
            now["members"][self.own.id] = self.member()

        self.log.info("Waiting for database cluster to accept the replica...")
        self.rest(self.change(edit))
        count = len(self.health())
        self.done("Join")
        title = "DTR cluster" if number(self.version) < (2, 5) else "Docker Trusted Registry cluster"
        self.log.info(f"There are currently {count} replicas in your {title}")
        if count % 2 == 0:
            self.log.info("You have an even number of replicas which can impact availability")
            self.log.info("It is recommended that you have 3, 5 or 7 replicas in your cluster")
        if before["storage"]["kind"] in ("default", "volume"):
            self.log.warn("Warning! You are using DTR with the filesystem driver in an HA setup...")

    def remove(self) -> None:
        """Replicas leave the cluster; all others must be well."""
        leaving, health = set(self.task["remove"]), self.health()
        if unknown := sorted(leaving - set(health)):
            self.log.fatal(f"Replica {unknown[0]} is not part of this cluster")
        if bad := sorted(name for name, text in health.items() if text != "OK" and name not in leaving):
            self.log.fatal(f"Replicas that are to stay are unhealthy: {' '.join(bad)}")

        def edit(now: rethink.State) -> None:
            now["members"] = {name: member for name, member in now["members"].items() if name not in leaving}

        self.change(edit)

    def reconfigure(self) -> None:
        """Settings of the whole cluster."""
        asked = self.task["storage"]

        def edit(now: rethink.State) -> None:
            if asked and asked != now["storage"]:
                now["storage"] = asked
                if number(self.version) >= (2, 6) and not self.task["migrated"]:
                    now["tags"] = []
            state.apply(now, self.task["settings"], "")

        self.change(edit)
        self.log.info("Reconfiguration is complete")

    def backup(self) -> None:
        """The state, in a file that phase 1 takes."""
        if self.task["offline"]:
            kept = self._at_rest(self.task["existing"])
        else:
            try:
                kept = rethink.ask(self.task["existing"], self.own.key, "/state")
            except NoQuorum as error:
                self.log.fatal(f"Failed to read from RethinkDB: {error}")
        Path("/tmp/state.json").write_text(json.dumps(kept))

    def _at_rest(self, replica: str) -> rethink.State:
        """The state of a replica of this node, whose database is stopped meanwhile."""
        volume, container = f"dtr-rethink-{replica}", f"dtr-rethinkdb-{replica}"
        self.log.info("Stopping rethinkdb for an offline backup")
        engine.call("POST", f"/containers/{container}/stop?t=2")
        try:
            with engine.Mounted(image(self.version), [volume]) as volumes:
                return dict(json.loads(volumes.read()[f"{volume}/state.json"]))
        finally:
            engine.call("POST", f"/containers/{container}/start")

    def repair(self) -> None:
        """This replica becomes the only one."""
        volume, container = f"dtr-rethink-{self.own.id}", self.own.container("rethinkdb")
        engine.call("POST", f"/containers/{container}/stop?t=2")
        with engine.Mounted(image(self.version), [volume]) as volumes:
            kept = json.loads(volumes.read()[f"{volume}/state.json"])
            kept["members"] = {self.own.id: kept["members"][self.own.id]}
            kept["revision"] += 1000
            volumes.write({f"{volume}/state.json": json.dumps(kept).encode()})
        self.task["ports"] = [kept["members"][self.own.id][name] for name in ("HTTPPort", "HTTPSPort")]
        engine.call("POST", f"/containers/{container}/start")
        self.rest(kept)

    def upgrade(self) -> None:
        """The containers of this node are made of the new version's images."""
        self.check()
        now = rethink.ask(self.task["existing"], self.own.key, "/state")
        now["version"] = self.version
        self.component("rethinkdb", now)
        _until(20, lambda: rethink.ask(self.own.id, self.own.key, "/cluster"))

        def edit(held: rethink.State) -> None:
            held["version"] = self.version

        self.rest(self.change(edit))


def _until(seconds: float, ready: Callable[[], Any]) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if ready():
                return True
        except (NoQuorum, OSError, KeyError):
            pass
        time.sleep(0.3)
    return False


def run() -> int:
    """Do what /tmp/task.json says; the exit status."""
    work = Phase2(json.loads(TASK.read_text()))
    names = {"restore": "install", "emergency-repair": "repair"}
    try:
        getattr(work, names.get(work.task["do"], work.task["do"]))()
    except Fatal:
        return 1
    except (engine.EngineError, NoQuorum) as error:
        try:
            work.log.fatal(str(error))
        except Fatal:
            return 1
    return 0
