"""Labs stay on few workers, and what needs none fills the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from xdist.workermanage import WorkerController

from tests.lab import groups

ROOT = Path(__file__).parents[1]


class Worker:
    """A worker of pytest-xdist, as its scheduler knows it."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.to_do: list[int] = []

    def send_runtest_some(self, indices: Iterable[int]) -> None:
        self.to_do += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """A run of these groups on so many workers; every test takes as long as every other."""

    def __init__(self, workers: int, tests: dict[str, int]) -> None:
        config = SimpleNamespace(
            getvalue=lambda name: ["popen"] * workers, option=SimpleNamespace(loadscopereorder=False)
        )
        self.scheduler = groups.LabsApart(cast(Any, config))
        self.names = [f"test.py::{i}@{scope}" for scope, count in tests.items() for i in range(count)]
        self.workers = [Worker(number) for number in range(workers)]
        self.did: dict[int, list[str]] = {number: [] for number in range(workers)}
        for worker in self.workers:
            self.scheduler.add_node(cast(WorkerController, worker))
        for worker in self.workers:
            self.scheduler.add_node_collection(cast(WorkerController, worker), self.names)
        self.scheduler.schedule()

    def go(self, slow: Iterable[int] = ()) -> None:
        """Runs the tests to the end; slow workers do one while the others do ten.

        A worker keeps its last test until it knows the next one, or that there is none.
        """
        for turn in range(10_000):
            for number, worker in enumerate(self.workers):
                able = len(worker.to_do) > (0 if worker.shutting_down else 1)
                if able and (number not in slow or turn % 10 == 0):
                    index = worker.to_do.pop(0)
                    self.did[number].append(self.names[index].partition("@")[2])
                    self.scheduler.mark_test_complete(cast(WorkerController, worker), index)
        assert Counter(chain(*self.did.values())) == Counter(name.partition("@")[2] for name in self.names)

    def with_labs(self) -> list[int]:
        return [number for number, scopes in self.did.items() if set(scopes) & set(groups.LABS)]


LABS = dict.fromkeys(groups.LABS, 6)
FILES = {f"/tests/test_{n}.py": 5 for n in range(20)}


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("slow", [(), (0, 1, 2), (3, 4)])
def test_every_test_is_run_once_and_labs_are_few(workers: int, slow: tuple[int, ...]) -> None:
    run = Run(workers, LABS | FILES)
    run.go(slow)
    assert run.with_labs() == list(range(min(workers, groups.AT_ONCE)))


def test_what_needs_no_lab_is_run_beside_them_from_the_beginning() -> None:
    run = Run(4, LABS | FILES)
    assert [run.names[worker.to_do[0]].partition("@")[2] for worker in run.workers] == [
        *groups.LABS[: groups.AT_ONCE],
        "/tests/test_0.py",
    ]
    run.go(slow=range(groups.AT_ONCE))
    assert len(run.did[3]) == sum(FILES.values())


def test_workers_with_labs_help_when_no_lab_is_left() -> None:
    run = Run(4, dict.fromkeys(groups.LABS[:4], 6) | FILES)
    run.go(slow=[3])
    assert all(set(run.did[number]) & set(FILES) for number in range(groups.AT_ONCE))


@pytest.mark.parametrize("tests", [{"lab": 3}, {"lab": 1, "lab-ucp": 1}, {"/tests/test_0.py": 2}])
def test_few_groups_leave_workers_without_work(tests: dict[str, int]) -> None:
    run = Run(4, tests)
    run.go()


def test_the_labs_of_a_worker_that_died_go_to_another() -> None:
    run = Run(4, LABS | FILES)
    dead = run.workers[0]
    first = run.names[dead.to_do[0]]
    assert run.scheduler.remove_node(cast(WorkerController, dead)) == first
    run.scheduler.add_node(cast(WorkerController, new := Worker(4)))
    run.workers.append(new)
    run.did[4] = []
    run.scheduler.add_node_collection(cast(WorkerController, new), run.names)
    run.scheduler.schedule()
    dead.to_do.clear()
    run.go()
    assert len(run.with_labs()) == groups.AT_ONCE


def test_every_file_named_exists_and_every_group_is_in_the_order() -> None:
    stems = {stem for stems in groups.ACTIONS.values() for stem in stems}
    files = {path.stem.removeprefix("test_") for path in (ROOT / "actions").glob("test_*.py")}
    assert not stems - files, "a file was renamed"
    assert {groups.lab_of(path) for path in ROOT.rglob("test_*.py")} == set(groups.LABS)
