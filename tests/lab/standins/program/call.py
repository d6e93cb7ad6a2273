"""One run of the bootstrapper: who it is, what it was given, what it asks a person."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from typing import Any

from standin import engine
from standin.components import Ucp, image
from standin.logs import Log
from standin.table import Version, flags

SWITCHES = "standin.switch"
"""Images of this name on the engine are switches of this stand-in, told apart by their tag."""


@dataclass
class Call:
    """A run of `docker/ucp:VERSION COMMAND …`."""

    command: str
    version: str
    number: Version
    given: dict[str, str | list[str]]
    log: Log
    tty: bool
    own_id: str

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag that takes one."""
        value = self.given.get(name, default)
        return value if isinstance(value, str) else value[-1]

    def many(self, name: str) -> list[str]:
        """The values of a flag that may be repeated."""
        value = self.given.get(name, [])
        return [value] if isinstance(value, str) else value

    def on(self, name: str, default: bool = False) -> bool:
        """A bool flag."""
        return self.given.get(name, "true" if default else "false") == "true"

    def knows(self, name: str) -> bool:
        """Whether this version has the flag."""
        return name in flags(self.number, self.command)

    def switch(self, name: str) -> bool:
        """Whether a test turned a switch on, on this engine."""
        return engine.has_image(f"{SWITCHES}:{name}")

    def ask(self, prompt: str, *, hidden: bool = False) -> str:
        """Ask a person.

        Raises:
            Fatal: nobody answers.
        """
        try:
            if hidden and self.tty:
                return getpass.getpass(prompt)
            sys.stderr.write(prompt)
            sys.stderr.flush()
            line = sys.stdin.readline()
        except EOFError:
            line = ""
        if not line:
            self.log.fatal("unable to read your answer: EOF")
        return line.strip()

    def confirm(self, prompt: str) -> None:
        """Ask for y or n.

        Raises:
            Fatal: it was not y.
        """
        if self.ask(f"{prompt} (y/n): ").lower() not in ("y", "yes"):
            self.log.fatal("Aborted")

    # --- where it runs --------------------------------------------------------------------------------------------

    def compatible(self) -> None:
        """Say that the engine will do.

        Raises:
            Fatal: it is too old.
        """
        about = engine.call("GET", "/version")
        release = tuple(int(part) for part in about["Version"].split(".")[:2])
        if release < (17, 6):
            self.log.fatal(f"Your engine version {about['Version']} is too old; 17.06 or newer is needed")
        build = f"{about['Version']}, build {about['GitCommit']} ({about['KernelVersion']})"
        self.log.info(f"Your engine version {build} is compatible")

    def manager(self) -> dict[str, Any]:
        """What the engine tells of its Swarm.

        Raises:
            Fatal: this is no manager of a Swarm that answers.
        """
        swarm = engine.info()["Swarm"]
        if swarm["LocalNodeState"] == "locked":
            self.log.fatal("Swarm is encrypted and needs to be unlocked before it can be used")
        if swarm["LocalNodeState"] != "active" or not swarm["ControlAvailable"]:
            self.log.fatal("This command must be run on a swarm manager")
        try:
            engine.call("GET", "/swarm")
        except engine.EngineError as error:
            self.log.fatal(str(error))
        return dict(swarm)

    def installed(self) -> Ucp:
        """The UCP of this cluster.

        Raises:
            Fatal: there is none, or of another version.
        """
        swarm = self.manager()
        found = find_ucp()
        if found is None:
            self.log.fatal("UCP is not installed on this cluster")
        if found.version != self.version:
            right = image(found.version, "ucp")
            self.log.fatal(f"UCP {found.version} is installed here, this is {self.version}: please run {right} instead")
        if found.instance != swarm["Cluster"]["ID"]:
            self.log.fatal("the UCP of this cluster was installed on another swarm")
        return found

    def check_id(self, ucp: Ucp) -> None:
        """Raises Fatal where --id names another UCP."""
        if self.text("id") and self.text("id") != ucp.instance:
            self.log.fatal(f"The ID you gave, {self.text('id')}, does not match the UCP instance {ucp.instance}")

    def need_images(self, ucp: Ucp) -> None:
        """See to it that all images are there, as --pull says.

        Raises:
            Fatal: one is not there and cannot be had.
        """
        policy = self.text("pull", "missing")
        if policy not in ("always", "missing", "never"):
            self.log.fatal(f"invalid pull policy {policy!r}")
        wanted = [name for name in ucp.images if policy == "always" or not engine.has_image(name)]
        if wanted and policy != "never":
            self.log.info("Pulling required images... (this may take a while)")
            for name in wanted:
                self.log.info(f"Pulling {name}")
                repository, _, tag = name.rpartition(":")
                try:
                    answer = engine.raw("POST", f"/images/create?fromImage={repository}&tag={tag}", b"", timeout=120)
                except engine.EngineError as error:
                    self.log.fatal(f"unable to pull {name}: {error}")
                if b'"error"' in answer:
                    self.log.fatal(f"unable to pull {name}: {answer.decode(errors='replace').strip()[:200]}")
            wanted = [name for name in ucp.images if not engine.has_image(name)]
        if wanted:
            self.log.fatal(f"the following required images are missing: {' '.join(wanted)}")
        self.log.info("All required images are present")


def find_ucp() -> Ucp | None:
    """The UCP whose agent this Swarm has as a service."""
    for service in engine.call("GET", "/services"):
        if service["Spec"]["Name"] in ("ucp-agent", "ucp-manager-agent"):
            lines = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or []
            e = dict(line.split("=", 1) for line in lines)
            ports = int(e["UCP_CONTROLLER_PORT"]), int(e["UCP_SWARM_PORT"])
            return Ucp(e["UCP_VERSION"], e["UCP_INSTANCE_ID"], e["UCP_NODE_KEY"], *ports)
    return None
