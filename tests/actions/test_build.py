"""swarm.build, swarm.init and swarm.join on the lab: from six bare hosts, read back with the docker CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from swarmtui.cli.clusters import give_name
from swarmtui.config import Config, load
from swarmtui.ui.fleet import Fleet
from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.driver import driven
from tests.lab import Lab
from tests.lab.fixtures import MakeLab, demand_lab
from tests.ui.clusters import left, shown

pytestmark = pytest.mark.lab

NAMES = ["mgr1", "mgr2", "mgr3", "wrk1", "wrk2", "wrk3"]


@pytest.fixture(scope="module")
def six() -> Iterator[Lab]:
    """Six hosts with Docker."""
    demand_lab("20.10")
    with Lab(managers=3, workers=3) as lab:
        yield lab


@pytest.fixture
def bare(six: Lab) -> Iterator[Lab]:
    """Six hosts that are in no Swarm, and whose firewalls drop nothing."""
    yield six
    for host in six.hosts:
        host.unblock()
        host.docker("swarm", "leave", "--force", check=False)
        if ":7946 " in host.sh("ss -lntu").stdout:
            host.restart_docker()  # 20.10 may keep the port of a Swarm it has left


@pytest.fixture
def build(bare: Lab) -> Cli:
    """The command line, without a target: there is no cluster yet."""
    return Cli(bare.ssh_env())


def ssh(lab: Lab, name: str) -> str:
    return lab[name].target


def spec_of(lab: Lab, folder: Path, *, head: str = "", names: list[str] = NAMES) -> str:
    """A specification of these hosts: the managers in zones a, b and c."""
    lines = [head]
    for name in names:
        role = "manager" if name.startswith("mgr") else "worker"
        lines += ["[[hosts]]", f'ssh = "{ssh(lab, name)}"', f'role = "{role}"']
        lines += [f'zone = "{"abc"[int(name[-1]) - 1]}"'] if role == "manager" else ['labels = { disk = "ssd" }']
    path = folder / "swarm.toml"
    path.write_text("\n".join(lines) + "\n")
    return f"spec={path}"


def run(cli: Cli, *arguments: str, code: int = 0) -> str:
    """`swarmtui run …`, which must end with this exit code; what it says on both streams."""
    result = cli("run", *arguments, seconds=180)
    assert result.code == code, result
    return result.out + result.err


def states(lab: Lab) -> dict[str, str]:
    """What each host's own Docker says of its Swarm."""
    return {h.name: h.docker("info", "--format", "{{.Swarm.LocalNodeState}}").stdout.strip() for h in lab.hosts}


def check_built(lab: Lab, names: list[str] = NAMES, *, drained: bool = False) -> None:
    """The Swarm is the one of the specification, as the docker CLI on mgr1 tells it."""
    truth = Truth(lab)
    assert truth.names() == sorted(names)
    managers = [name for name in names if name.startswith("mgr")]
    assert truth.managers() == managers
    for name in names:
        node = truth.node(name)
        manager = name in managers
        assert node["Spec"]["Role"] == ("manager" if manager else "worker")
        assert node["Status"]["State"] == "ready"
        assert node["Status"]["Addr"] == lab[name].address
        assert truth.reachability(name) == ("reachable" if manager else "")
        assert truth.availability(name) == ("drain" if manager and drained else "active")
        assert truth.labels(name) == ({"zone": "abc"[int(name[-1]) - 1]} if manager else {"disk": "ssd"})
        if manager:
            assert node["ManagerStatus"]["Addr"] == f"{lab[name].address}:2377"


def secrets_of(lab: Lab) -> list[str]:
    """What nobody may see: the join tokens, and the unlock key."""
    docker = lab["mgr1"].docker
    found = [docker("swarm", "join-token", "-q", role).stdout.strip() for role in ("worker", "manager")]
    return [*found, docker("swarm", "unlock-key", "-q", check=False).stdout.strip() or "SWMKEY-1"]


def journals(lab: Lab) -> str:
    return "".join(path.read_text() for path in lab.home.rglob("*.jsonl"))


def test_six_bare_hosts_become_a_swarm(bare: Lab, build: Cli, tmp_path: Path) -> None:
    spec = spec_of(bare, tmp_path, head="drain-managers = true")
    said = run(build, "swarm.build", spec, "--yes")
    check_built(bare, drained=True)
    assert "mgr1: leader, ready, drain" in said
    assert not [secret for secret in secrets_of(bare) if secret in said + journals(bare)]
    # Nothing that listened is left.
    assert "perl" not in bare["mgr2"].sh("ps -eo args").stdout

    said = run(build, "swarm.build", spec, "--yes")
    assert "Nothing to do" in said

    # One that leaves is taken in again, and the others are recognised.
    bare["wrk2"].docker("swarm", "leave")
    run(Cli(bare.ssh_env(), ssh(bare, "mgr1")), "node.remove", "node=wrk2", "--yes", "--target", ssh(bare, "mgr1"))
    said = run(build, "swarm.build", spec, "--yes")
    assert "Join wrk2 as a worker" in said and "Join wrk1" not in said
    check_built(bare, drained=True)


async def test_six_bare_hosts_become_a_swarm_by_keys(
    bare: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(bare.home))
    file, journal = tmp_path / "config.toml", tmp_path / "journal"
    monkeypatch.chdir(tmp_path)
    spec = Path(spec_of(bare, tmp_path, head="autolock = true")).name
    seen = []
    async with shown(Fleet(Config(file), tmp_path), journal=journal, naming=partial(give_name, file)) as page:
        await page.here().press("N").answer(spec)
        await page.here().sees("Looking at 6 hosts", f"{bare.network.prefix}.", within=60)
        await page.here().at("confirm", within=60).sees("3 managers, 3 workers", "key-without-custody=mgr1")
        await page.here().press("end").confirm("mgr1").at("run", within=60).sees("Done and verified.", within=180)
        seen.append(page.text)
        check_built(bare)
        await page.here().press("escape").answer("lagoon")
        chosen = await left(page)
    assert chosen == "lagoon"
    opening = await Fleet(load(file), tmp_path).opening("lagoon")
    async with driven(opening, journal) as console:
        await console.nodes().live(within=60).header("3/3 managers").contains(*NAMES)
        seen.append(console.text)
    secrets = secrets_of(bare)
    assert secrets[-1].startswith("SWMKEY-1-") and len(secrets[-1]) > 40
    kept = "".join(path.read_text() for path in (file, *journal.iterdir()) if path.is_file())
    assert not [secret for secret in secrets if secret in kept + "".join(seen)]


@pytest.mark.lab26
def test_engine_26_becomes_a_swarm_too(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab(managers=2, workers=1, engine="26.1", swarm=False)
    names = ["mgr1", "mgr2", "wrk1"]
    said = run(Cli(lab.ssh_env()), "swarm.build", spec_of(lab, tmp_path, names=names), "--yes")
    check_built(lab, names)
    assert "Done and verified." in said
    said = run(Cli(lab.ssh_env()), "swarm.build", spec_of(lab, tmp_path, names=names), "--yes")
    assert "Nothing to do" in said


def test_a_build_that_is_killed_goes_on_where_it_was(bare: Lab, build: Cli, tmp_path: Path) -> None:
    spec = spec_of(bare, tmp_path)
    with build.started("swarm.build", spec, target=ssh(bare, "mgr1")) as process:
        process.until("Join mgr3 as a manager")
        process.kill()
        run_id = process.text.partition("(run ")[2].partition(")")[0]
    said = run(build, "--resume", run_id, "--yes")
    check_built(bare)
    assert "Done and verified" in said


def test_ports_that_are_blocked_are_named(bare: Lab, build: Cli, tmp_path: Path) -> None:
    bare["mgr2"].sh("iptables -I INPUT -p udp --dport 7946 -j DROP")
    bare["mgr3"].block(2377)
    bare["wrk1"].sh(f"iptables -I INPUT -p udp --dport 4789 -s {bare['mgr1'].address} -j DROP")
    spec = spec_of(bare, tmp_path)
    result = build("run", "swarm.build", spec, "--dry-run", "--json", seconds=120)
    assert result.code == 0, result
    rules = {rule["object"]: rule["what"] for rule in json.loads(result.out)["rules"]}
    assert sorted(rules) == ["mgr2", "mgr3", "wrk1"]
    others = "{}, {}, wrk1, wrk2 and wrk3 cannot reach {} at {} port {}."
    assert rules["mgr2"] == others.format("mgr1", "mgr3", "mgr2", bare["mgr2"].address, "7946/udp")
    assert rules["mgr3"] == others.format("mgr1", "mgr2", "mgr3", bare["mgr3"].address, "2377/tcp")
    assert rules["wrk1"] == f"mgr1 cannot reach wrk1 at {bare['wrk1'].address} port 4789/udp."

    refused = run(build, "swarm.build", spec, "--yes", code=4)
    assert "Refused by the safety rule ports" in refused
    assert set(states(bare).values()) == {"inactive"}


def test_the_script_reaches_the_same_state(bare: Lab, build: Cli, tmp_path: Path) -> None:
    result = build("run", "swarm.build", spec_of(bare, tmp_path, head="drain-managers = true"), "--script", seconds=120)
    assert result.code == 0, result
    done = build.sh(result.out, docker_host="unix:///nowhere", seconds=180)
    assert done.code == 0, done
    check_built(bare, drained=True)
    assert not [secret for secret in secrets_of(bare) if secret in result.out + done.out + done.err]


def test_autolock_needs_custody_and_its_key_is_shown_nowhere(bare: Lab, build: Cli) -> None:
    host = f"host={ssh(bare, 'mgr1')}"
    refused = run(build, "swarm.init", host, "autolock=true", "--yes", code=4)
    assert "--accept key-without-custody=mgr1" in refused
    assert states(bare)["mgr1"] == "inactive"

    said = run(build, "swarm.init", host, "autolock=true", "--yes", "--accept", "key-without-custody=mgr1")
    key = bare["mgr1"].docker("swarm", "unlock-key", "-q").stdout.strip()
    assert key.startswith("SWMKEY-1-")
    assert not [secret for secret in secrets_of(bare) if secret in said + journals(bare)]


def test_one_host_joins_and_hosts_of_another_swarm_are_refused(bare: Lab, build: Cli, tmp_path: Path) -> None:
    run(build, "swarm.init", f"host={ssh(bare, 'mgr1')}", "zone=a", "--yes")
    target = ("--target", ssh(bare, "mgr1"))
    for name, zone in (("mgr2", "b"), ("mgr3", "c")):
        arguments = (f"host={ssh(bare, name)}", "role=manager", f"zone={zone}", "--yes")
        said = run(build, "swarm.join", *arguments, *target)
        assert f"{name} is in the Swarm, as a manager." in said
    run(build, "swarm.join", f"host={ssh(bare, 'wrk1')}", "label=disk=ssd", "--yes", *target)
    check_built(bare, ["mgr1", "mgr2", "mgr3", "wrk1"])
    assert "Nothing to do" in run(build, "swarm.join", f"host={ssh(bare, 'wrk1')}", "label=disk=ssd", "--yes", *target)

    bare["wrk2"].docker("swarm", "init", "--advertise-addr", bare["wrk2"].address)
    said = run(build, "swarm.join", f"host={ssh(bare, 'wrk2')}", "--yes", *target, code=4)
    assert "wrk2 is in another Swarm" in said
    said = run(build, "swarm.build", spec_of(bare, tmp_path), "--yes", code=4)
    assert "wrk2" in said
    check_built(bare, ["mgr1", "mgr2", "mgr3", "wrk1"])

    said = run(build, "swarm.build", spec_of(bare, tmp_path, names=["mgr1", "mgr2", "wrk3"]), "--yes", code=4)
    assert "which has nodes that are not named here: mgr3, wrk1." in said

    bare["mgr1"].block(2377)
    bare["mgr1"].sh("iptables -I INPUT -p udp --dport 7946 -j DROP")
    said = run(build, "swarm.join", f"host={ssh(bare, 'wrk3')}", "--yes", *target, code=4)
    assert f"wrk3 cannot reach mgr1 at {bare['mgr1'].address} port 2377/tcp." in said
