"""What of DTR a restore leaves, and what it does not touch once DTR is back: its plan, and its steps on fakes (T7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from swarmtui.errors import RefusedError
from swarmtui.model.dtr.seen import Held, Told
from swarmtui.runbooks.dtr import leaving, lives, new_replica, restore_steps
from swarmtui.runbooks.dtr.destroy import Destroy, DestroyFacts, DestroyReplica
from swarmtui.runbooks.dtr.found import DtrAccess, Replica
from swarmtui.runbooks.dtr.hosts import ReplicaOnHost
from swarmtui.runbooks.dtr.leaving import ClearReplica
from swarmtui.runbooks.dtr.lives import Lost, key
from swarmtui.runbooks.dtr.restore_facts import DtrRestoreFacts
from swarmtui.runbooks.dtr.restore_steps import RestoreDtr
from swarmtui.runbooks.runbook import ConflictError, Plan, Voice
from tests.dtr.plans import place, steps_of, work
from tests.dtr.plans import replica as well
from tests.dtr.seen import LIE, ONE, THREE, TWO, held
from tests.dtr.test_restore_plans import access, dtr, facts, plan, rules, seen, silent

LOCAL = seen(dtr=dtr(storage="local", storage_at=""))
IMAGES = f"dtr-registry-{ONE}"
NOBODY: Any = None
VOICE = Voice(lambda line: None, lambda done, total, text: None)


def on_disk(*replicas: Replica) -> DtrRestoreFacts:
    """A restore of what has its images on the replicas' own disks."""
    found = facts("2.4.1", *replicas, backup=LOCAL, storage="local")
    return replace(found, node=replace(found.node, place=place(1)))


def volumes(*names: str, number: int = 1, replica: str = ONE) -> Replica:
    """A replica of which only these volumes are left."""
    return replace(silent(number), id=replica, on=ReplicaOnHost(id=replica, node=place(number), volumes=names))


def step_of(made: Plan, kind: type[Any]) -> Any:
    return next(step for step in made.steps if isinstance(step, kind))


# -- images ------------------------------------------------------------------------------------------------------------


def test_images_that_were_put_back_before_are_not_removed() -> None:
    made = plan(on_disk(volumes(IMAGES)))
    assert [one for one in steps_of(made) if one.startswith(("destroy", "clear-"))] == []
    assert made.rules == () and not any("Destroyed first" in line for _, line in made.changes)
    assert ("plain", f"Stays: the volume {IMAGES} on w1, with the images that are in it.") in made.changes
    told = next(note for note in made.notes if note.startswith("Images are not in the backup"))
    assert f"back before this into the volume {IMAGES} on w1, which nothing here removes" in told


def test_with_containers_there_the_volume_of_the_images_stays_too() -> None:
    """DTR's own command would take it along: so only the host is cleared."""
    gone = silent(1, data=False)
    assert gone.on is not None
    made = plan(on_disk(replace(gone, on=replace(gone.on, volumes=(IMAGES, f"dtr-ca-{ONE}")))))
    assert [one for one in steps_of(made) if one.startswith(("destroy", "clear-"))] == [f"clear-{ONE}-w1"]
    clear = step_of(made, ClearReplica)
    assert clear.keep == (IMAGES,)
    assert IMAGES not in clear.shown[1].line and f"dtr-ca-{ONE}" in clear.shown[1].line
    assert any("Destroyed first: 9 containers and 1 volume of" in line for _, line in made.changes)


def test_images_elsewhere_go_and_the_rule_says_where_to_put_them_and_when() -> None:
    (rule,) = plan(on_disk(volumes(f"dtr-registry-{TWO}", number=2, replica=TWO))).rules
    assert str(rule) == f"dtr-images-lost={TWO}"
    assert (
        f"and put them back before this into the volume {IMAGES} on w1" in rule.what and "afterwards" not in rule.what
    )
    assert rules(facts("2.4.1", volumes(IMAGES))) == [], "on NFS it is nothing"


async def test_what_a_try_left_goes_but_for_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[ReplicaOnHost] = []

    async def there(_: object, at: object) -> Held:
        return held(ONE)

    async def remove(_: object, left: ReplicaOnHost) -> None:
        removed.append(left)

    for module in (new_replica, leaving):
        monkeypatch.setattr(module, "look", there)
    monkeypatch.setattr(restore_steps, "remove", remove)
    monkeypatch.setattr(leaving, "remove", remove)
    await step_of(plan(on_disk()), RestoreDtr).tidy(NOBODY, VOICE)
    on_nfs = step_of(plan(facts()), RestoreDtr)
    await on_nfs.tidy(NOBODY, VOICE)
    rest = tuple(sorted(f"dtr-{kind}-{ONE}" for kind in LIE if kind != "registry"))
    assert [len(one.parts) for one in removed] == [9, 9]
    assert removed[0].volumes == rest and IMAGES in removed[1].volumes


# -- nothing that lives is destroyed -----------------------------------------------------------------------------------


def now(monkeypatch: pytest.MonkeyPatch, known: DtrAccess | None) -> None:
    """DTR as it is when it is looked at again; None: nothing of it is there."""

    async def found(_: object, **how: object) -> DtrAccess:
        if known is None:
            raise RefusedError("No DTR is on prod.", "")
        return known

    monkeypatch.setattr(lives, "access", found)


ALL = Lost(needed=2, lay=(key(silent(1)),))


@pytest.mark.parametrize(
    ("lost", "known", "words"),
    [
        (ALL, access(well(1), well(2), told=Told()), f"answers again, and counts in {ONE} on w1, {TWO} on w2"),
        (ALL, replace(access(silent(1)), works=True), "DTR answers again"),
        (ALL, access(silent(1), silent(2)), f"runs again on {ONE} on w1, {TWO} on w2, which is a majority"),
        (ALL, access(silent(1, runs=False), silent(2, runs=False)), f"{TWO} on w2 could not be seen"),
        (Lost(needed=0, replica=ONE), access(well(1), well(2), told=Told()), f"counts {ONE} in, which it did not"),
        (Lost(needed=2, replica=ONE), access(silent(1), silent(2)), "which is a majority"),
    ],
    ids=["answers", "ping", "majority", "startable", "counted", "majority-of-one"],
)
async def test_what_came_back_is_not_destroyed(
    lost: Lost, known: DtrAccess, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now(monkeypatch, known)
    with pytest.raises(ConflictError) as caught:
        await lost.must(NOBODY)
    assert words in caught.value.what
    assert "Nothing more was destroyed" in caught.value.next_step


@pytest.mark.parametrize(
    ("lost", "known", "own"),
    [
        (ALL, None, ("", "")),
        (ALL, access(silent(1)), ("", "")),
        (ALL, access(silent(2, data=False, runs=False)), ("", "")),
        (Lost(needed=1), access(silent(1)), (ONE, "node1")),
        (Lost(needed=1), access(well(1), told=Told()), (ONE, "node1")),
        (Lost(needed=0, replica=THREE), access(well(1), well(2), told=Told()), ("", "")),
        (Lost(needed=0, replica=ONE), access(silent(1), silent(2)), ("", "")),
    ],
    ids=["nothing", "as-planned", "less", "own-half", "own", "leftover", "ran-before"],
)
async def test_what_is_as_it_was_may_go(
    lost: Lost, known: DtrAccess | None, own: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now(monkeypatch, known)
    await lost.must(NOBODY, own)


async def test_its_own_replica_on_another_node_is_not_what_the_run_made(monkeypatch: pytest.MonkeyPatch) -> None:
    now(monkeypatch, access(silent(1)))
    with pytest.raises(ConflictError, match="which is a majority"):
        await Lost(needed=1).must(NOBODY, (ONE, "node2"))


async def test_each_step_that_destroys_looks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan(facts("2.4.1", silent(1), away={TWO: "w2", THREE: "w3"}))
    now(monkeypatch, access(silent(1), silent(2)))

    async def there(_: object, at: object) -> Held:
        return held(ONE)

    async def remove(_: object, left: ReplicaOnHost) -> None:
        raise AssertionError(f"removed {left.words}")

    monkeypatch.setattr(leaving, "look", there)
    monkeypatch.setattr(leaving, "remove", remove)
    with pytest.raises(ConflictError):
        await step_of(made, ClearReplica).run(NOBODY, {}, VOICE)
    for kind in (DestroyReplica, RestoreDtr):
        with pytest.raises(ConflictError):
            await step_of(made, kind).look_again(NOBODY, tried=True)


def destroyed(wanted: Replica, *others: Replica, trouble: str = "") -> Lost | None:
    """What dtr.destroy looks at again."""
    found = DestroyFacts(
        cluster="prod", cluster_id="c", wanted=wanted, others=others, version="2.4.1", work=work(), trouble=trouble
    )
    made = Destroy().plan({"replica": wanted.id}, msgspec.to_builtins(found))
    lost = step_of(made, DestroyReplica).lost
    assert step_of(made, ClearReplica).lost == lost
    return lost  # type: ignore[no-any-return]


def test_who_destroys_what_dtr_counted_in_knew_that_it_lives() -> None:
    assert destroyed(well(1), well(2)) is None
    assert destroyed(replace(well(3), member=False, health=""), well(1), well(2)) == Lost(needed=0, replica=THREE)
    off = destroyed(silent(1), silent(2, runs=False), silent(3, runs=False), trouble="It is 503.")
    assert off is not None and (off.needed, off.replica, len(off.lay)) == (2, ONE, 3)
    broken = destroyed(silent(1), silent(2), silent(3, runs=False), trouble="It is 500.")
    assert broken is not None and broken.needed == 0, "a majority ran then, too"


# -- where DTR answers and is ill --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ill", [(1,), (1, 2, 3), (1, 2)], ids=["the-only-one", "all", "most"])
def test_replicas_that_cannot_be_removed_are_not_advised_to_be(ill: tuple[int, ...]) -> None:
    """dtr.remove would refuse it: nobody that is well is left to agree, or too few."""
    count = 1 if ill == (1,) else 3
    members = [well(each, health="the disk is full" if each in ill else "OK") for each in range(1, count + 1)]
    with pytest.raises(RefusedError) as caught:
        plan(facts(known=access(*members, told=Told())))
    assert "dtr.remove" not in caught.value.next_step and "dtr.join" not in caught.value.next_step
    assert caught.value.next_step.startswith("Mend them") and "dtr.destroy replica=" in caught.value.next_step
