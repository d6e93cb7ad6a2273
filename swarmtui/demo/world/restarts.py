"""Which tasks that ended are started anew: the restart policies of services."""

from __future__ import annotations

from collections import defaultdict

from swarmtui.demo.world.kernel import Kernel
from swarmtui.demo.world.objects import Json, Service, Task


class Restarts:
    """Remembers when tasks were restarted in each place, for policies that allow only so many."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._past: dict[tuple[str, int | str], list[float]] = defaultdict(list)

    def allow(self, service: Service, task: Task, policy: Json) -> bool:
        """Whether a task that ended gets a successor; counts one that does."""
        condition = policy.get("Condition") or "any"
        if condition == "none" or (condition == "on-failure" and task.state == "complete"):
            return False
        attempts = int(policy.get("MaxAttempts") or 0)
        if not attempts:
            return True
        window = float(policy.get("Window") or 0) / 1e9 / self._kernel.speed
        now = self._kernel.now()
        past = self._past[service.id, task.place]
        past[:] = [when for when in past if not window or now - when < window]
        past.append(now)
        return len(past) <= attempts
