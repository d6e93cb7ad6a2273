"""swarm.backup on Swarms of other sizes: five managers, locked, and a single one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.actions.backups import check_calm, check_taken, docker_runs, some_content, taken, the_only
from tests.actions.cli import Cli
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.fixtures import MakeLab


def at(lab: Lab) -> tuple[Cli, Truth]:
    """The command line on the lab as a cluster with a name, and the docker CLI's word."""
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "swarmtui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[clusters.own]\nmanagers = ["{lab["mgr1"].target}", "{lab["mgr2"].target}"]\n'
        '[clusters.own.secrets]\nunlock-key = "env:OWN_KEY"\n'
        if len(lab.hosts) > 1
        else f'[clusters.own]\nmanagers = ["{lab["mgr1"].target}"]\n'
    )
    return Cli({**lab.ssh_env(), "OWN_KEY": lab.unlock_key or ""}, "own"), Truth(lab)


def test_five_locked_managers(make_lab: MakeLab) -> None:
    """One that follows, and then the one that leads; with two of five away none is taken without a person's word."""
    lab = make_lab(managers=5, autolock=True)
    cli, truth = at(lab)
    some_content(truth)
    leader = truth.leader()
    cli.do("swarm.backup")
    first = the_only()
    assert first.manifest["node"] != leader and first.manifest["quorum"].startswith("5/5 managers, survives 2 losses")
    check_taken(first, lab, truth)
    check_calm(lab, truth)

    truth.by = next(host.name for host in lab.hosts if host.name != leader)
    cli.do("swarm.backup", f"node={leader}")
    check_calm(lab, truth)
    second = taken()[-1]
    assert (second.manifest["node"], second.manifest["leader"], second.manifest["autolock"]) == (leader, True, True)
    check_taken(second, lab, truth)

    others = [host for host in lab.hosts if host.name not in ("mgr1", "mgr2", truth.leader())]
    for host in others[:2]:
        host.stop_docker()
    try:
        refused = cli.run("swarm.backup", "--yes")
        assert refused.code == 4 and "--accept quorum=" in refused.err, refused
    finally:
        for host in others[:2]:
            host.start_docker()


def test_a_single_manager(make_lab: MakeLab) -> None:
    """It takes the Swarm's control away for a moment, which is said; no other manager could be hurt."""
    lab = make_lab(managers=1)
    cli, truth = at(lab)
    some_content(truth)
    plan = cli.plan("swarm.backup")
    assert plan["touches"] == ["mgr1"]
    cli.do("swarm.backup")
    assert docker_runs(lab["mgr1"])
    one = the_only()
    check_taken(one, lab, truth)
    assert one.manifest["quorum"].startswith("1/1 managers")
    check_calm(lab, truth)
