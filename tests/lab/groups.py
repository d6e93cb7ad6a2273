"""Which tests stay together on one worker of pytest-xdist, and which worker gets them.

Labs are dear: a few at once are what two cores bear, and each of them mostly waits for Docker. So at most `AT_ONCE`
workers have labs, and take the groups that need one, the longest first. What needs no lab fills the time that is left:
on further workers from the beginning, on those with labs when no lab's group is left.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

MARKS = ("lab", "lab26")
FIXTURES = {"lab", "lab26", "lab_session", "lab26_session", "make_lab"}
AT_ONCE = 3
"""How many workers have labs at the same time."""
ACTIONS = {
    "lab-backups": {"backup", "backup_faults", "backup_sizes", "rehearse"},
    "lab-recovery": {"disasters", "end_split", "recover", "recover_quorum", "recreate", "restore", "restore_address"},
    "lab-services": {"services"},
    "lab-content": {"stacks", "rebalance", "objects"},
    "lab-replace": {"replace"},
    "lab-build": {"build"},
    "lab-autolock": {"autolock"},
}
"""The groups that files of tests/actions are in; the others of that folder are lab-actions."""
LABS = (
    *("lab-contract", "lab-recovery", "lab-backups", "lab-actions", "lab", "lab-services", "lab-content"),
    *("lab-dtr", "lab-ucp", "lab-replace", "lab-build", "lab-autolock"),
)
"""All groups on labs, the longest first (22 minutes to 4): short ones at the end let the workers end together."""


def on_lab(item: pytest.Item) -> bool:
    """Whether a test needs a lab."""
    marked = any(item.get_closest_marker(mark) for mark in MARKS)
    return marked or bool(FIXTURES & set(getattr(item, "fixturenames", ())))


def group(items: list[pytest.Item]) -> None:
    """Says which tests stay together on one worker of pytest-xdist, and puts those on labs first.

    What needs no lab goes by its file.
    """
    groups = {item: lab_of(item.path) if on_lab(item) else str(item.path) for item in items}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item]))
        if on_lab(item):
            # Elections, agents and three labs on two cores: one that fails is tried again, and told (RERUN).
            item.add_marker(pytest.mark.flaky(reruns=2))
    items.sort(key=lambda item: LABS.index(groups[item]) if groups[item] in LABS else len(LABS))


def lab_of(path: Path) -> str:
    """The group of a file's tests on labs."""
    stem = path.stem.removeprefix("test_")
    if stem.startswith(("dtr", "platform")):
        return "lab-dtr"
    if "standins" in path.parts or stem.startswith("ucp"):
        return "lab-ucp"
    if "contract" in path.parts:
        return "lab-contract"
    if "backups" in path.parts:
        return "lab-backups"
    if "actions" not in path.parts:
        return "lab"
    return next((name for name, stems in ACTIONS.items() if stem in stems), "lab-actions")


class LabsApart(LoadGroupScheduling):
    """`--dist loadgroup`, with labs on at most `AT_ONCE` workers."""

    def _reschedule(self, node: WorkerController) -> None:
        if self.workqueue and not node.shutting_down and self._next(node) is None:
            node.shutdown()  # once it has done what it has; the groups that are left are for workers with labs
            return
        super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if (scope := self._next(node)) is not None:
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    def _next(self, node: WorkerController) -> str | None:
        """The first group that a worker may have."""
        labs = [other for other in self.nodes if any(scope in LABS for scope in self.assigned_work[other])]
        may = node in labs or len(labs) < AT_ONCE
        return next((scope for scope in self.workqueue if may or scope not in LABS), None)
