"""The advice matrix: the least destructive way out, against tables written by hand (procedures.md K2-K4, D1)."""

from __future__ import annotations

from itertools import combinations_with_replacement, permutations

import pytest

from swarmtui.model.recovery import LOSES_NOTHING, Advice, Condition, Diagnosis, Kept, Member, Way, Worker, diagnose

BACKUPS = {
    "none": (),
    "unproved": (Kept("b1", "not proved", "5 h"),),
    "proved": (Kept("b2", "no", "1 h"), Kept("b1", "yes", "5 h")),
}

# o: its raft runs · s: Docker stopped · l: locked · d: its disk is full, and Docker down with it · x: lost for good.
OF_THREE = """
ooo nothing    oos start      ool unlock     ood free-disk  oox replace
oss start      osl start      osd start      osx start
oll unlock     old unlock     olx unlock
odd free-disk  odx free-disk
oxx force
sss start      ssl start      ssd start      ssx start
sll start      sld start      slx start
sdd start      sdx start      sxx force
lll unlock     lld unlock     llx unlock
ldd unlock     ldx unlock     lxx force
ddd free-disk  ddx free-disk  dxx force
xxx backup
"""

# Of five, three are needed. By how many are lost for good: which is the way, by what is in trouble besides.
OF_FIVE = {
    0: {"": "nothing", "s": "start", "l": "unlock", "d": "free-disk"},
    1: {"": "replace", "s": "start", "l": "unlock", "d": "free-disk"},
    2: {"": "replace", "s": "start", "l": "unlock", "d": "free-disk"},
    3: {"": "force", "s": "force", "l": "force", "d": "force"},
    4: {"": "force", "s": "force", "l": "force", "d": "force"},
    5: {"": "backup"},
}
WAYS = {
    "nothing": Way.NOTHING,
    "start": Way.START,
    "unlock": Way.UNLOCK,
    "free-disk": Way.FREE_DISK,
    "replace": Way.REPLACE,
    "force": Way.FORCE,
}
# What the workers change: which way, and what is typed for it. In place of a name stands that of whom it is about.
WORKERS = {
    "none": (),
    "ready": (Worker("wrk1", ready=True),),
    "down": (Worker("wrk1", ready=False),),
    "not known": (Worker("wrk1"),),
}
TYPED = {
    "nothing": {"none": "", "ready": "", "down": "swarmtui run node.rejoin node=wrk1", "not known": ""},
    "start": dict.fromkeys(WORKERS, "systemctl start docker"),
    "unlock": dict.fromkeys(WORKERS, "swarmtui run swarm.unlock node=NAME"),
    "free-disk": dict.fromkeys(WORKERS, "df -h /var/lib/docker"),
    "replace": {
        "none": "swarmtui run node.replace dead=NAME host=ssh://USER@HOST",
        "ready": "swarmtui run node.replace dead=NAME promote=wrk1",
        "down": "swarmtui run node.replace dead=NAME host=ssh://USER@HOST",
        "not known": "swarmtui run node.replace dead=NAME host=ssh://USER@HOST",
    },
    "force": dict.fromkeys(WORKERS, "swarmtui run swarm.recover-quorum survivor=NAME dead=DEAD"),
}
"""A worker that is down can take no manager's place; it comes after every manager."""
TYPED_WITHOUT_ANYBODY = {
    "none": "swarmtui run swarm.build --help",
    "unproved": "swarmtui run swarm.restore backup=b1 dead=DEAD host=ssh://USER@HOST",
    "proved": "swarmtui run swarm.restore backup=b1 dead=DEAD host=ssh://USER@HOST",
}
WITHOUT_ANYBODY = {"none": Way.REBUILD, "unproved": Way.RESTORE, "proved": Way.RESTORE}


def member(letter: str, number: int, *, leader: bool) -> Member:
    name = f"mgr{number}"
    match letter:
        case "o":
            if leader:
                return Member(name=name, condition=Condition.WORKS, leader_id="leader")
            return Member(name=name, condition=Condition.LEADERLESS, index=100 + number)
        case "s":
            return Member(name=name, condition=Condition.STOPPED)
        case "l":
            return Member(name=name, condition=Condition.LOCKED, key_held=True)
        case "d":
            return Member(name=name, condition=Condition.STOPPED, disk_full=True)
        case "u":
            return Member(name=name, condition=Condition.UNREACHABLE)
    return Member(name=name, condition=Condition.DEAD)


def cluster(letters: str) -> list[Member]:
    leader = letters.count("o") > len(letters) // 2
    return [member(letter, number, leader=leader) for number, letter in enumerate(letters, 1)]


def rows() -> list[tuple[str, str]]:
    words = OF_THREE.split()
    table = dict(zip(words[::2], words[1::2], strict=True))
    for letters in map("".join, combinations_with_replacement("osldx", 5)):
        trouble = next((letter for letter in "sld" if letter in letters), "")
        table[letters] = OF_FIVE[letters.count("x")][trouble]
    return list(table.items())


def test_the_table_has_every_combination() -> None:
    found = {letters for letters, _ in rows()}
    assert found == {"".join(c) for n in (3, 5) for c in combinations_with_replacement("osldx", n)}
    assert len(found) == 35 + 126


@pytest.mark.parametrize("backup", BACKUPS)
def test_the_least_destructive_way_is_the_one_of_the_table(backup: str) -> None:
    for letters, word in rows():
        wanted = WITHOUT_ANYBODY[backup] if word == "backup" else WAYS[word]
        orders = set(permutations(letters)) if len(letters) == 3 else {tuple(letters), tuple(reversed(letters))}
        for order in orders:
            found = diagnose(cluster("".join(order)), BACKUPS[backup])
            assert found.best.way is wanted, (order, backup, found.best)
            told = {advice.way for advice in (found.best, *found.others)}
            assert told >= set(Way) - {Way.UNDECIDED}, "every other way has its reason"


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("backup", BACKUPS)
def test_with_any_workers_the_way_is_that_of_the_table_and_what_is_typed_does_it(backup: str, workers: str) -> None:
    for letters, word in rows():
        found = diagnose(cluster(letters), BACKUPS[backup], workers=WORKERS[workers])
        typed = TYPED_WITHOUT_ANYBODY[backup] if word == "backup" else TYPED[word][workers]
        way = WITHOUT_ANYBODY[backup] if word == "backup" else WAYS[word]
        if workers == "down" and word == "nothing":
            way = Way.REJOIN
        assert found.best.way is way, (letters, backup, workers, found.best)
        dead = ",".join(f"mgr{number}" for number, letter in enumerate(letters, 1) if letter == "x")
        name = found.best.about[0] if found.best.about else ""
        assert found.best.command == typed.replace("NAME", name).replace("DEAD", dead), (letters, backup, workers)
        assert_startable(found.best)
        if workers == "down" and found.holds and word != "nothing":
            assert found.then[-1].command == "swarmtui run node.rejoin node=wrk1"


def assert_startable(advice: Advice) -> None:
    """What a console starts is what a person would type."""
    words = advice.command.split()
    if advice.runbook:
        given = dict(word.split("=", 1) for word in words[3:] if "=" in word and word != "host=ssh://USER@HOST")
        assert words[:3] == ["swarmtui", "run", advice.runbook] and given == advice.params, advice
    else:
        assert "swarmtui run" not in advice.command or advice.way is Way.REBUILD, advice


def test_nothing_is_lost_while_a_gentler_way_works() -> None:
    """Counted here, not by the model: those that run, can be made to, or may come back, against what is needed."""
    tried = 0
    for count in (1, 3, 5, 7):
        for letters in map("".join, combinations_with_replacement("osldux", count)):
            found = diagnose(cluster(letters), BACKUPS["proved"])
            hopeful = count - letters.count("x")
            assert (found.best.way in LOSES_NOTHING) == (hopeful > count // 2), (letters, found.best)
            tried += 1
    assert tried == 6 + 56 + 252 + 792


def best(*members: Member, backups: tuple[Kept, ...] = (), voters: int = 0) -> Diagnosis:
    return diagnose(members, backups, voters=voters)


def one(name: str, condition: Condition, **more: object) -> Member:
    return Member(name=name, condition=condition, **more)  # type: ignore[arg-type]


def test_hosts_that_are_away_are_brought_back_before_anything_is_forced() -> None:
    found = best(one("a", Condition.LEADERLESS), one("b", Condition.UNREACHABLE), one("c", Condition.UNREACHABLE))
    assert found.best.way is Way.BRING_BACK and found.best.about == ("b", "c") and found.exit_code == 1
    assert "1 of b, c" in found.best.because and "--dead" in found.best.because


def test_managers_that_nobody_knows_by_name_are_no_dead_ones() -> None:
    found = best(one("a", Condition.LEADERLESS), voters=3)
    assert found.best.way is Way.BRING_BACK and "2 are needed" in found.situation


def test_enough_managers_without_a_leader_do_not_hear_each_other() -> None:
    found = best(one("a", Condition.LEADERLESS), one("b", Condition.LEADERLESS), one("c", Condition.DEAD))
    assert found.best.way is Way.NETWORK and found.best.about == ("a", "b")


def test_a_manager_at_a_new_address_gets_its_old_one_back() -> None:
    found = best(
        one("a", Condition.LEADERLESS),
        one("b", Condition.LEADERLESS, moved="10.0.0.2"),
        one("c", Condition.DEAD),
    )
    assert found.best.way is Way.NETWORK and "10.0.0.2" in found.best.because


def test_the_survivor_is_the_one_with_the_most_advanced_log() -> None:
    dead = [one(name, Condition.DEAD) for name in "cde"]
    found = best(one("a", Condition.LEADERLESS, index=90), one("b", Condition.STOPPED, index=94), *dead)
    assert found.best.way is Way.FORCE and found.best.about == ("b",) and found.exit_code == 2
    assert "index 94" in found.best.because and "fenced" in found.best.because


def test_a_locked_manager_whose_key_nobody_has_is_no_help() -> None:
    locked = [one(name, Condition.LOCKED, key_held=False) for name in "abc"]
    assert best(*locked).best.way is Way.UNDECIDED and best(*locked).exit_code == 3
    assert best(*locked, backups=BACKUPS["proved"]).best.way is Way.RESTORE
    unknown = [one(name, Condition.LOCKED) for name in "abc"]
    assert best(*unknown).best.way is Way.UNLOCK, "where nobody looked, the key may be there"


def test_with_a_quorum_each_manager_gets_what_it_needs_the_gentlest_first() -> None:
    works = [one(name, Condition.WORKS, leader_id="a") for name in "abc"]
    found = best(*works, one("d", Condition.BROKEN), one("e", Condition.STOPPED, host="root@10.0.0.5"))
    assert (found.best.way, [advice.way for advice in found.then]) == (Way.START, [Way.REJOIN])
    assert found.best.command == "ssh root@10.0.0.5 systemctl start docker"


def test_what_was_deleted_is_created_again_where_a_backup_has_it() -> None:
    works = [one(name, Condition.WORKS, leader_id="a") for name in "abc"]
    found = best(*works, backups=(Kept("b1", "yes", "5 h", ("shop_web", "shop_db")),))
    assert found.best.way is Way.RECREATE and "shop_web, shop_db" in found.best.because and found.exit_code == 1
    assert best(*works, backups=(Kept("b1", "no", "5 h", ("shop_web",)),)).best.way is Way.NOTHING


def test_two_swarms_side_by_side_are_told_before_anything_else() -> None:
    found = best(
        one("a", Condition.WORKS, leader_id="x", ready=1),
        one("b", Condition.WORKS, leader_id="y", ready=4),
        one("c", Condition.WORKS, leader_id="y", ready=4),
    )
    assert found.two and not found.holds and found.best.way is Way.SPLIT and found.exit_code == 2
    assert found.best.command == "swarmtui run swarm.end-split keep=b" and found.best.about == ("a",)
    assert "fenced" in found.best.because and "swarm.end-split keep=a" in found.best.because, "the other way round too"


def test_a_leader_that_was_cut_off_and_has_not_noticed_is_no_second_swarm() -> None:
    """It still counts the others among its voters: of one raft only one leader can change anything."""
    both = frozenset({"x", "y", "z"})
    found = best(
        one("a", Condition.WORKS, leader_id="x", voters=both),
        one("b", Condition.WORKS, leader_id="y", voters=both),
        one("c", Condition.WORKS, leader_id="y", voters=both),
    )
    assert not found.two and found.holds and found.situation == "The quorum holds: 2 of 3 managers work."
    assert found.best.about == ("a",)
    forgot = best(
        one("a", Condition.WORKS, leader_id="x", voters=frozenset({"x"})),
        one("b", Condition.WORKS, leader_id="y", voters=both),
        one("c", Condition.WORKS, leader_id="y", voters=both),
    )
    assert forgot.two, "a forced cluster has forgotten the others"


def test_of_two_swarms_the_one_with_the_further_log_is_kept_where_nothing_else_decides() -> None:
    sides = [one("a", Condition.WORKS, leader_id="x", index=7), one("b", Condition.WORKS, leader_id="y", index=9)]
    assert best(*sides).best.params == {"keep": "b"} and best(*reversed(sides)).best.params == {"keep": "b"}
    same = [one("a", Condition.WORKS, leader_id="x"), one("b", Condition.WORKS, leader_id="y")]
    assert best(*same).best.params == best(*reversed(same)).best.params == {"keep": "a"}


def test_certificates_that_have_expired_everywhere_are_signed_anew_before_anything_is_forced() -> None:
    broken = [one(name, Condition.BROKEN, expired=True, host=f"root@{name}") for name in "abc"]
    found = best(*broken, backups=BACKUPS["proved"])
    assert found.best.way is Way.CERTIFICATES and found.exit_code == 1 and "CA key" in found.best.because
    assert (found.best.runbook, found.best.params) == ("swarm.renew-certificates", {})
    assert found.best.command.startswith("swarmtui run swarm.renew-certificates"), found.best.command
    # The engine lets a forced cluster begin with an expired certificate: its raft log counts as state.
    lost = best(broken[0], one("b", Condition.DEAD), one("c", Condition.DEAD), backups=BACKUPS["proved"])
    assert lost.best.way is Way.FORCE and lost.best.params == {"survivor": "a", "dead": "b,c"}
    one_of_three = best(*(one(name, Condition.WORKS, leader_id="b") for name in "bc"), broken[0])
    assert one_of_three.best.way is Way.REJOIN and "expired" in one_of_three.best.because


def test_a_backup_is_restored_where_its_raft_knows_the_address() -> None:
    wiped = [
        one("a", Condition.OUT, target="ssh://root@10.0.0.1", address="10.0.0.1"),
        one("b", Condition.OUT, target="ssh://root@10.0.0.2", address="10.0.0.2"),
        one("c", Condition.UNREACHABLE, target="ssh://root@10.0.0.3", address="10.0.0.3"),
    ]
    backup = Kept("b1", "yes", "5 h", addresses=("10.0.0.2", "10.0.0.3"))
    gone = [*wiped[:2], one("c", Condition.DEAD)]
    found = best(*gone, backups=(backup,))
    assert found.best.params == {"backup": "b1", "host": "ssh://root@10.0.0.2", "dead": "c"}
    assert best(*gone, backups=BACKUPS["proved"]).best.params["host"] == "ssh://root@10.0.0.1"


def test_a_cluster_and_names_are_typed_so_that_no_shell_reads_them_otherwise() -> None:
    found = diagnose([one("a b;c", Condition.LOCKED), one("d", Condition.LEADERLESS)], target="my prod")
    assert found.best.command == "swarmtui run swarm.unlock 'node=a b;c' --target 'my prod'"
    assert found.best.params == {"node": "a b;c"}


def test_without_any_manager_it_is_said_what_to_find_out() -> None:
    found = best()
    assert found.best.way is Way.UNDECIDED and found.best.command.startswith("swarmtui clusters add")


def test_it_begins_with_what_still_works() -> None:
    lost = best(*cluster("oxx"))
    assert lost.still.startswith("Running tasks keep running.") and "is not replaced" in lost.still
    assert best(*cluster("ooo")).still == "Running tasks keep running. Changes are possible."


def test_a_leader_that_was_left_alone_and_has_not_noticed_yet_is_no_quorum() -> None:
    found = best(one("a", Condition.WORKS, leader_id="a"), one("b", Condition.STOPPED), one("c", Condition.STOPPED))
    assert found.situation.startswith("The quorum is lost: 1 of 3") and found.best.way is Way.START
    assert best(one("a", Condition.WORKS), *(one(name, Condition.DEAD) for name in "bc")).best.way is Way.FORCE
