"""ucp.join, ucp.user and ucp.bundle on the simulator, struck: by kill -9 of ours, a cut connection, a reboot of a host.

Gone on with, the node is in the Swarm once and UCP on it is well; the user is there once and logs in; the folder has a
bundle that UCP knows, and no secret lies on any host.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.link.bundle import open_bundle
from tests.demo.platform_driver import until
from tests.faults import ucp_stage as u
from tests.faults.strikes import Strike, cases, reboot, strikes, swarmtui, to_the_end

RUN = "20261122T082203Z-faults-0001"
SCENARIO = "ucp-accounts-deleted"
THERE = ("--target", "simulated", "--yes")
NEWCOMER, HOST = "newcomer", "wrk2"
PASSWORD = "planted password of a newcomer"
STRIKES: dict[str, Strike] = strikes("mgr1")
JOINS = cases(
    STRIKES,
    ("join-ssh://wrk2", "well"),
    [("kill", "join-ssh://wrk2/effect"), ("cut", "well/intent"), ("reboot", "join-ssh://wrk2/intent")],
)
USERS = cases(STRIKES, ("create-user",), [("kill", "create-user/effect"), ("reboot", "create-user/intent")])
BUNDLES = [
    *cases(STRIKES, ("bundle",), [("kill", "bundle/effect"), ("cut", "bundle/intent")]),
    *cases(STRIKES, ("use",), [], ("intent",)),
]


async def joined(demo: Demo) -> None:
    """It is one node, and UCP on it is well."""
    ucp = demo.world.ucp
    assert ucp is not None
    assert [node.hostname for node in ucp.cluster.nodes.values()].count(HOST) == 1
    host = demo.world.hosts[HOST]
    assert host.swarm is not None and host.swarm.role == "manager"
    # A manager that was booted at the very end leaves the Swarm without a leader for a moment.
    await until(lambda: not ucp.ill(host), "UCP on it is not well")
    assert u.left_on_hosts(demo) == []


@pytest.mark.parametrize(("strike", "case"), JOINS)
async def test_a_host_joins_once(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo(SCENARIO, speed=40, seed=1, nodes=6) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await swarmtui(demo, "run", "node.remove", f"node={HOST}", *THERE) == 0
        outcome = await u.run(
            demo, tmp_path, RUN, "ucp.join", case, STRIKES[strike], host=f"ssh://{HOST}", role="manager"
        )
        assert await to_the_end(demo, outcome, RUN) == 0, capsys.readouterr().err
        await joined(demo)


@pytest.mark.full
@pytest.mark.parametrize("case", ["join-ssh://wrk2/effect", "well/intent"])
async def test_the_host_that_joins_is_booted(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo(SCENARIO, speed=40, seed=1, nodes=6) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await swarmtui(demo, "run", "node.remove", f"node={HOST}", *THERE) == 0
        outcome = await u.run(demo, tmp_path, RUN, "ucp.join", case, reboot(HOST), host=f"ssh://{HOST}", role="manager")
        assert await to_the_end(demo, outcome, RUN) == 0, capsys.readouterr().err
        await joined(demo)


@pytest.mark.parametrize(("strike", "case"), USERS)
async def test_a_user_is_created_once(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo(SCENARIO, speed=40, seed=1, nodes=6) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        (tmp_path / "kept" / f"swarmtui.ucp-password.{NEWCOMER}@simulated").write_text(PASSWORD)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.user", case, STRIKES[strike], name=NEWCOMER)
        assert await to_the_end(demo, outcome, RUN) == 0, capsys.readouterr().err
        assert demo.world.ucp is not None
        known = demo.world.ucp.accounts
        assert known.check(NEWCOMER, PASSWORD) is not None
        assert not known.by_name[NEWCOMER].admin
        assert PASSWORD not in capsys.readouterr().out
        written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "kept"]
        assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(("strike", "case"), BUNDLES)
async def test_a_bundle_is_there_and_known(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo(SCENARIO, speed=40, seed=1, nodes=6) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        folder = tmp_path / "bundle-of-admin"
        outcome = await u.run(demo, tmp_path, RUN, "ucp.bundle", case, STRIKES[strike], to=str(folder))
        assert await to_the_end(demo, outcome, RUN) == 0, capsys.readouterr().err
        assert demo.world.ucp is not None
        keys = demo.world.ucp.accounts.by_name["admin"].keys
        assert len(keys) == 1, "what was downloaded is used, and not downloaded again"
        assert folder.stat().st_mode & 0o777 == 0o700
        (kept,) = keys.values()
        assert (folder / "cert.pub").read_text().strip() == kept.strip()
        assert open_bundle(folder, folder).tls.key
