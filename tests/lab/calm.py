"""What a calm Swarm is, what is not calm about this one, and the least that makes it calm again.

Two layers. A host is calm when nothing that a test put on it is left (files, mounts, firewall rules, detached
processes) and its services run. The Swarm is calm when it is as it was made: members, roles, availability, labels,
settings, and no content. What is cheap to put right is put right; anything else means new machines.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lab.machine import LabError, wait_for

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

KEPT_NETWORKS = {"bridge", "host", "none", "ingress", "docker_gwbridge"}

WATCHED = (
    "/ /etc /etc/docker /etc/ssh/sshd_config.d /etc/sysctl.d /etc/cron.d /etc/systemd/system"
    " /etc/systemd/system/docker.service.d /home /home/op /home/nodocker /opt /root /root/.ssh /srv /tmp"
    " /usr/local/bin /usr/local/sbin /var /var/backups /var/lib /var/lib/docker /var/spool/cron/crontabs /var/tmp"
)
"""Folders in which what was not there at the start is a test's (or the product's) and is deleted."""

LIST = f"for d in {WATCHED}; do [ ! -d $d ] || find $d -mindepth 1 -maxdepth 1; done"

TIDY = rf"""
set -u
# Processes that a test left detached: no sshd above them any more, or units of the moment.
ps -eo pid=,ppid=,comm=,cgroup= | awk '
  {{ parent[$1] = $2; name[$1] = $3 }}
  /ssh\.service/ {{ ours[$1] }}
  END {{ for (p in ours) {{ q = p; while (q > 1 && name[q] !~ /^sshd/) q = parent[q]; if (q <= 1) print p }} }}
' | xargs -r kill -9 2>/dev/null
for unit in $(cd /run/systemd/transient 2>/dev/null && ls | grep -v -e ^session- -e ^user -e ^docker-); do
  systemctl stop "$unit"
done
awk '$1 == "lab-full" {{ print $2 }}' /proc/mounts | xargs -r -n 1 umount -l
for chain in INPUT OUTPUT; do
  ! iptables -S $chain 2>/dev/null | grep -q '^-A' || iptables -F $chain
done
rm -rf /run/swarmtui*
if [ "$(systemctl is-active ssh.service docker.service docker.socket | sort -u)" != active ]; then
  systemctl reset-failed docker.service docker.socket 2>/dev/null
  systemctl start ssh.service docker.socket docker.service
fi
{LIST}
"""


@dataclass
class Memory:
    """What the lab was like when it was calm.

    Attributes:
        spec: the Swarm's settings.
        files: for each host, what is in the watched folders.
    """

    spec: dict[str, Any]
    files: dict[str, set[str]] = field(default_factory=dict)


class NewMachinesNeeded(Exception):
    """The lab is too far from calm to be put right piece by piece."""


# --- what is wrong ---------------------------------------------------------------------------------------------


def unready(lab: Lab) -> list[str]:
    """What is wrong with the membership of the Swarm, as mgr1 sees it; empty if all hosts are ready in their role."""
    try:
        nodes = lab.nodes()
    except (LabError, OSError, http.client.HTTPException) as error:
        return [str(error)]
    wrong = []
    by_name = {node["Description"].get("Hostname"): node for node in nodes}
    if len(nodes) != len(lab.hosts):
        wrong.append(f"{len(nodes)} nodes instead of {len(lab.hosts)}")
    for host in lab.hosts:
        node = by_name.get(host.name)
        if node is None:
            wrong.append(f"{host.name} is no node")
        elif node["Status"]["State"] != "ready":
            wrong.append(f"{host.name} is {node['Status']['State']}")
        elif host.is_manager:
            if node.get("ManagerStatus", {}).get("Reachability") != "reachable":
                wrong.append(f"{host.name} is no reachable manager")
        elif "ManagerStatus" in node or node["Spec"]["Role"] != "worker":
            wrong.append(f"{host.name} is a manager")
    if wrong:
        return wrong
    try:
        return strangers(lab, {name: node["ID"] for name, node in by_name.items()})
    except (LabError, OSError, http.client.HTTPException) as error:
        return [str(error)]


def strangers(lab: Lab, ids: dict[str, str]) -> list[str]:
    """Hosts that left and made a Swarm of their own: the old one lists them as ready for some 15 s more.

    Args:
        ids: id of each host's node, by hostname, as the Swarm has it.
    """
    return [
        f"{host.name} is in another Swarm"
        for host in lab.hosts
        if host.api("GET", "/info")["Swarm"]["NodeID"] != ids.get(host.name)
    ]


def remember(lab: Lab) -> Memory:
    """Take down what the lab is like now, for `calm_down`."""
    files = lab.each(lambda host: _files(host))
    return Memory(lab.hosts[0].api("GET", "/swarm")["Spec"], dict(zip([h.name for h in lab.hosts], files, strict=True)))


# --- putting it right ------------------------------------------------------------------------------------------


def calm_down(lab: Lab, memory: Memory) -> None:
    """Put right what is not calm.

    Raises:
        NewMachinesNeeded: that takes new machines.
    """
    if not all(host.is_on() and (host.folder / "upper").is_dir() for host in lab.hosts):
        raise NewMachinesNeeded("a host is off or destroyed")
    for host in lab.hosts:
        if host.is_frozen():
            host.thaw()
    if not lab.network.is_whole([host.name for host in lab.hosts]):
        for host in lab.hosts:
            lab.network.mend(host.name)
    try:
        lab.each(lambda host: _tidy(host, memory.files[host.name]))
        _swarm(lab, memory)
        lab.each(_empty)
    except (LabError, OSError, http.client.HTTPException) as error:
        raise NewMachinesNeeded(str(error)) from error


def _files(host: Host) -> set[str]:
    return _names(host.sh(LIST).stdout)


def _names(listed: str) -> set[str]:
    names = listed.splitlines()
    return {name for name in names if "/systemd-private-" not in name}  # systemd's own, another one at each boot


def _tidy(host: Host, before: set[str]) -> None:
    now = _names(host.sh(TIDY, timeout=40).stdout)
    new = now - before
    if host_settings := [file for file in new if file.startswith(("/etc/docker/", "/etc/systemd/"))]:
        raise NewMachinesNeeded(f"{host.name} has {host_settings[0]}")
    if before - now:
        raise NewMachinesNeeded(f"{host.name} lost {min(before - now)}")
    if new:
        host.sh("xargs -0 rm -rf --one-file-system --", data="\0".join(sorted(new)).encode())
        if any(file.startswith("/etc/ssh/") for file in new):
            host.sh("systemctl reload ssh.service")
    if not host.docker_answers() or not host.ssh_answers():
        raise NewMachinesNeeded(f"Docker or sshd of {host.name} does not answer")


def _swarm(lab: Lab, memory: Memory) -> None:
    first = lab.hosts[0]
    if any(host.swarm_state() != "active" for host in lab.hosts):
        raise NewMachinesNeeded("a host is not in the Swarm")
    swarm = first.api("GET", "/swarm")
    if swarm["Spec"]["CAConfig"] != memory.spec["CAConfig"] or swarm.get("RootRotationInProgress"):
        raise NewMachinesNeeded("the CA was rotated")
    if swarm["Spec"] != memory.spec:
        first.api("POST", f"/swarm/update?version={swarm['Version']['Index']}", memory.spec)
    for kind in ("services", "secrets", "configs"):
        for thing in first.api("GET", f"/{kind}"):
            first.api("DELETE", f"/{kind}/{thing['ID']}")
    known = {host.name for host in lab.hosts}
    nodes = lab.nodes()
    if elsewhere := strangers(lab, {node["Description"].get("Hostname"): node["ID"] for node in nodes}):
        raise NewMachinesNeeded(elsewhere[0])
    for node in nodes:
        name = node["Description"].get("Hostname")
        if name not in known:
            raise NewMachinesNeeded(f"{name} is no host of this lab")
        role = "manager" if lab[name].is_manager else "worker"
        wanted = {"Role": role, "Availability": "active", "Labels": {}}
        spec = node["Spec"]
        if {"Labels": {}, **spec} != {**wanted, **({"Name": spec["Name"]} if "Name" in spec else {})}:
            if spec["Role"] != role:  # the way back takes longer than new machines do
                raise NewMachinesNeeded(f"{name} is a {spec['Role']}")
            first.api("POST", f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", wanted)
    wait_for(f"the Swarm is calm ({'; '.join(unready(lab))})", lambda: not unready(lab), 15, every=0.1)


def _empty(host: Host) -> None:
    """Remove containers, volumes and networks; a container's ten seconds of grace are not waited for."""
    for box in host.api("GET", "/containers/json?all=1"):
        _delete(host, f"/containers/{box['Id']}?force=1&v=1")
    for volume in host.api("GET", "/volumes")["Volumes"] or []:
        _delete(host, f"/volumes/{volume['Name']}?force=1")

    def gone() -> bool:
        left = [n for n in host.api("GET", "/networks") if n["Name"] not in KEPT_NETWORKS]
        for network in left:
            if network["Scope"] == "local" or host.is_manager:
                _delete(host, f"/networks/{network['Id']}")
        return not left and not host.api("GET", "/containers/json?all=1")

    wait_for(f"{host.name} has let go of its containers and networks", gone, 8, every=0.1)


def _delete(host: Host, path: str) -> None:
    try:
        host.api("DELETE", path)
    except LabError:
        pass  # it is going already, or is still in use for a moment: the caller looks again
