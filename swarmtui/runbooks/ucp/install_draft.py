"""The plan of ucp.install, from what was found: what speaks against it, and which steps it takes (U1, U2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from swarmtui.errors import RefusedError
from swarmtui.link import jobs
from swarmtui.model.preflight import Finding, Level, Measured, judge
from swarmtui.model.text import first_few, one_line
from swarmtui.model.ucp import facts
from swarmtui.model.ucp.facts import GIB, RECOMMENDED, Size
from swarmtui.model.url import https_url
from swarmtui.runbooks.image.job import ClearJob
from swarmtui.runbooks.image.pull import PullImage
from swarmtui.runbooks.runbook import Rule, Step
from swarmtui.runbooks.swarm.custody import custody_rules
from swarmtui.runbooks.ucp import own_certificates, places
from swarmtui.runbooks.ucp.image import ADMIN_PASSWORD, Command, Hidden
from swarmtui.runbooks.ucp.install_facts import HostNow, InstallFacts
from swarmtui.runbooks.ucp.install_steps import (
    LICENCE_NAME,
    FirstLogin,
    Install,
    PutCertificates,
)
from swarmtui.runbooks.ucp.keeping import KeepNew
from swarmtui.runbooks.ucp.waits import WaitUcp
from swarmtui.vault import Kind

_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)")
_EE: Final = re.compile(r"17\.06\.2-ee-(\d+)")
ALMOST: Final = 0.9
"""What a machine reports is a little less than what it was given."""
PASSWORD_BYTES: Final = 18
TELL: Final = 8
"""Findings that a refusal tells."""


class Draft:
    """The plan in the making. Raises RefusedError where it cannot be done."""

    def __init__(self, known: InstallFacts, *, force_minimums: bool) -> None:
        self.known = known
        self.force_minimums = force_minimums
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.findings: tuple[Finding, ...] = ()
        self._refuse_there()
        self._judge()
        self.command = self._command()
        self.rules: tuple[Rule, ...] = () if known.kept else custody_rules(known.custody, known.cluster)
        self.steps: tuple[Step, ...] = tuple(self._steps())

    # -- may it be -----------------------------------------------------------------------------------------------------

    def _refuse_there(self) -> None:
        known = self.known
        if known.agents:
            raise RefusedError(
                f"UCP is on {known.cluster} already, or a part of it: the service {', '.join(known.agents)}.",
                "See how it is: swarmtui doctor. To take it off: swarmtui run ucp.uninstall",
            )
        left = places.left_words([(host.place, host.there) for host in known.hosts])
        if left:
            raise RefusedError(
                f"An earlier UCP, or an installation that was broken off, left {left}.",
                f"Take it off first: swarmtui run ucp.uninstall version={known.version}",
            )

    def _judge(self) -> None:
        known = self.known
        measured = Measured(tuple(host.measured for host in known.hosts))
        members = [host.measured.name for host in known.hosts]
        # Of sizes UCP asks for more than a Swarm does.
        found = [finding for finding in judge(measured, members) if finding.id != "size"]
        for host in known.hosts:
            found += self._host(host)
        if known.own is not None:
            found += own_certificates.judge(known.own, self.wanted_names, known.now)
        found += self._names()
        if not known.licence:
            way = "Give it with licence=FILE, or upload it to UCP later."
            found.append(Finding("licence", Level.WARNING, "", "No licence was given.", way))
        elif known.licence_odd:
            what = f"The licence {one_line(known.licence)} is no JSON, as licences of UCP are."
            found.append(Finding("licence", Level.WARNING, "", what, "Is it the right file?"))
        for name, why in known.unasked.items():
            what = f"{name} could not be looked at: {why}"
            found.append(Finding("host", Level.WARNING, name, what, "UCP is put on it as soon as it is back."))
        order = [Level.BLOCKS, Level.WARNING, Level.FINE]
        self.findings = tuple(sorted(found, key=lambda finding: order.index(finding.level)))
        blocking = [finding for finding in self.findings if finding.level is Level.BLOCKS]
        if blocking:
            way = next((finding.next_step for finding in blocking if finding.next_step), "Mend that, then try again.")
            raise RefusedError(first_few([finding.what for finding in blocking], TELL), way)
        for finding in self.findings:
            if finding.level is Level.WARNING:
                self.warnings.append(f"{finding.what} {finding.next_step}".strip())
            else:
                self.notes.append(finding.what)

    def _host(self, host: HostNow) -> Iterator[Finding]:
        known, name = self.known, host.place.name
        role: facts.Role = "manager" if host.place.manager else "worker"
        yield from self._engine(host)
        if less := short_of(host, facts.least(known.version, role)):
            what = f"{name} has less than {known.version.product} asks of a {role} at least: {less}."
            way = "It may fail there, or be slow; it is no place for production."
            if facts.has(known.version, "install", "force-minimums") and not self.force_minimums:
                way += " The installer refuses it, unless force-minimums=true is given."
            yield Finding("size", Level.WARNING, name, what, way)
        elif role == "manager" and (less := short_of(host, RECOMMENDED)):
            what = f"{name} has less than is recommended for a manager of UCP in production: {less}."
            yield Finding("size", Level.WARNING, name, what)
        wanted = facts.ports(known.version, role, known.port)
        if host.listening is None:
            told = f"Whether the ports of UCP are free on {name} could not be seen."
            yield Finding("ports", Level.FINE, name, told)
        elif taken := [str(port) for port in wanted if port in host.listening]:
            yield Finding(
                "ports",
                Level.BLOCKS,
                name,
                f"Something listens on TCP port {', '.join(taken)} of {name} already, which UCP needs.",
                "Look there what it is: ss -lntp. Another port for people is chosen with port=.",
            )

    def _engine(self, host: HostNow) -> Iterator[Finding]:
        name, engine = host.place.name, host.measured.engine
        numbers = _NUMBERS.match(engine)
        old = numbers is not None and (int(numbers[1]), int(numbers[2])) < facts.ENGINE
        patch = _EE.match(engine)
        too_old = patch is not None and int(patch[1]) < facts.EE_PATCH and self.known.version.series != "2.2"
        if old or too_old:
            wanted = "17.06" if old else f"17.06.2-ee-{facts.EE_PATCH}"
            what = f"The engine of {name} is {engine}, and {self.known.version.product} needs {wanted} at least."
            yield Finding("engine", Level.BLOCKS, name, what, "Bring it to a newer one first.")
        kernel = _NUMBERS.match(host.kernel)
        if kernel is not None and (int(kernel[1]), int(kernel[2])) < facts.KERNEL:
            what = f"The kernel of {name} is {host.kernel}, and UCP needs 3.10 at least."
            yield Finding("kernel", Level.BLOCKS, name, what, "Bring it to a newer one first.")

    @property
    def wanted_names(self) -> list[str]:
        """Names and addresses that UCP's certificate must be good for: every manager's, and the load balancer's."""
        known = self.known
        managers = [host.place for host in known.hosts if host.place.manager]
        return [known.address, *known.sans, known.balancer, *(node.address for node in managers)]

    def _names(self) -> Iterator[Finding]:
        known = self.known
        if known.own is not None:
            return
        what = "UCP makes its certificates by an authority of its own: browsers do not know it."
        yield Finding("certificates", Level.FINE, "", f"{what} Own ones are given with certificates=FOLDER.")
        # Loopback addresses UCP puts into it by itself, and the address of the host too (ucp-dtr.md §1.4).
        own = ("localhost", "127.0.0.1", "::1", known.address)
        if known.balancer and known.balancer not in (*known.sans, *own):
            yield Finding(
                "certificates",
                Level.WARNING,
                "",
                f"The load balancer {known.balancer} will not be among the names of UCP's certificate.",
                f"Add it: san={','.join([*known.sans, known.balancer])}",
            )
        if not known.sans:
            what = "No name was given for UCP's certificate: it will be good for addresses and short host names only."
            yield Finding("certificates", Level.WARNING, "", what, "Give the names that people will use with san=.")

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _command(self) -> Command:
        known = self.known
        options: list[tuple[str, str | Hidden]] = [
            ("admin-username", known.admin),
            ("admin-password", ADMIN_PASSWORD),
            ("host-address", known.address),
            *(("san", name) for name in known.sans),
        ]
        if known.port != facts.CONTROLLER_PORT:
            options.append(("controller-port", str(known.port)))
        if known.own is not None:
            options.append(("external-server-cert", ""))
        if self.force_minimums:
            options.append(("force-minimums", ""))
        mounts = (f"{self._folder}/{LICENCE_NAME}:{facts.LICENCE}",) if known.licence else ()
        return Command(
            version=known.version,
            name="install",
            options=tuple(options),
            mounts=mounts,
            selinux=known.here.selinux,
        )

    @property
    def _folder(self) -> str:
        return f"{jobs.FOLDER}/{self.known.job_id}"

    def _steps(self) -> Iterator[Step]:
        known, at, version = self.known, self.known.at, self.known.version
        yield PullImage(
            id="image",
            title=f"Bring {version.image} to {at.name}",
            why="It is the installer. The tag is always given: docker would else take the newest.",
            at=at.at,
            version=version,
            if_stopped="Nothing of UCP is on the Swarm.",
        )
        if not known.kept:
            yield KeepNew(
                id="password",
                title=f"Make a password for {known.admin}, and keep it",
                why="It is made and kept before anything is installed with it: so it cannot be lost.",
                kind=Kind.UCP_PASSWORD,
                size=PASSWORD_BYTES,
                cluster_id=known.cluster_id,
                cluster=known.cluster,
                durable=bool(known.custody["durable"]),
            )
        if known.own is not None:
            yield PutCertificates(
                id="certificates",
                title=f"Put the certificates on {at.name}",
                why=f"UCP takes them from the volume {facts.CERTS_VOLUME}.",
                at=at.at,
                own=known.own,
            )
        yield Install(
            id="install",
            title=f"Install {version.product} on {at.name}",
            why="It pulls its images, makes its authorities and starts its agents on every node.",
            at=at.at,
            command=self.command,
            job_id=known.job_id,
            cluster_id=known.cluster_id,
            licence=known.licence,
            licence_digest=known.licence_digest,
        )
        stays = "UCP is installed, and may still be starting; the Swarm's services go on."
        yield WaitUcp(
            id="well",
            title=f"Wait until UCP on {at.name} is well",
            why="Its components start one after another; its own web server says when they are.",
            node_id=at.id,
            name=at.name,
            at=at.at,
            version=version,
            url=self.url,
            if_stopped=stays,
        )
        yield FirstLogin(
            id="login",
            title=f"Log in as {known.admin}",
            why="That proves the address, the certificate and the password.",
            at=at.at,
            version=version,
            name=at.name,
            url=self.url,
            admin=known.admin,
            cluster_id=known.cluster_id,
        )
        yield ClearJob(
            id="clear",
            title=f"Clean up on {at.name}",
            why="The job's log and scripts are of no use any more.",
            at=at.at,
            job_id=known.job_id,
        )

    @property
    def url(self) -> str:
        """Where UCP will be."""
        return https_url(self.known.address, self.known.port)


def short_of(host: HostNow, least: Size) -> str:
    """What a host has less of than it should, in words; what is not known is not told."""
    measured, short = host.measured, []
    if 0 < measured.cpus < least.cpus:
        short.append(f"{measured.cpus} of {least.cpus} CPUs")
    if 0 < measured.memory < least.memory * ALMOST:
        short.append(f"{measured.memory / GIB:.1f} of {least.memory / GIB:g} GiB of memory")
    if measured.disk is not None and measured.disk < least.disk:
        short.append(f"{measured.disk / GIB:.1f} of {least.disk / GIB:g} GiB free on disk")
    return ", ".join(short)
