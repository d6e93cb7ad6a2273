"""A few corruptions of a Swarm made just now, restored for real, beside what we say of them: the recorded answers
(data/oracle-*.json) are many, and of one day."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.campaign import judge
from tests.backups.corruptions import Case, corrupted
from tests.backups.generations import Generation, files_of, furnish, look
from tests.backups.oracle import OLDER, REFUSED, SAME, restored, wipe
from tests.lab import Host
from tests.lab.fixtures import MakeLab

SAMPLE = {
    "wal-ciphertext-mended": REFUSED,
    "raft-of-before": OLDER,
    "key-dek": REFUSED,
    "key-missing": REFUSED,
    "certificate-empty": REFUSED,
    "beside": SAME,
}
"""Kind of corruption → what dockerd makes of it."""


def taken(host: Host, name: str) -> Generation:
    """The directory of a manager's Swarm; Docker is stopped after it."""
    api = look(host)
    host.stop_docker()
    return Generation(name, files_of(host.docker_folder / "swarm"), api, "")


@pytest.mark.lab
def test_verdicts_are_what_dockerd_does(make_lab: MakeLab, tmp_path: Path) -> None:
    host = make_lab(managers=1)["mgr1"]
    furnish(host)
    before = taken(host, "plain-before")
    host.start_docker()
    host.docker("service", "scale", "-d", "web=7")
    base = taken(host, "plain")
    every = {"plain-before": before, "plain": base}
    cases = [Case(-1, "good", base, "", base.files, "", None)]
    cases += [corrupted(name, base, every, 0, f"live/{name}") for name in SAMPLE]
    told = []
    for one in cases:
        outcome, why = restored(host, one)
        judged = judge(one, tmp_path)
        assert (outcome == SAME) == (judged.verdict == "yes"), (one.what, outcome, why, judged.verification)
        told.append((one.kind, outcome))
    wipe(host)
    assert told == [("good", SAME), *SAMPLE.items()]
