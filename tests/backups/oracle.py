"""What a real dockerd does with corrupted archives: each is restored for real on a lab host, by the recipe that works
for good ones (swarm-dr.md §3), and what is there then is compared with what was backed up.

The answers are kept in data/oracle-ENGINE.json; tests/backups/test_corruptions.py holds ours against them.

    python -m tests.backups.oracle [20.10|26.1] [--hosts 3] [--cases 96] [--only NUMBER,…]
"""

from __future__ import annotations

import argparse
import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from swarmtui.backups.errors import RaftError
from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.vault.secret import Secret
from tests.backups.corruptions import BASES, KINDS, Case, case, good
from tests.backups.generations import DATA, KEY, LISTS, Generation
from tests.lab import Host, Lab
from tests.lab.host import STOP
from tests.lab.machine import LabError, remove_tree, run

START = "systemctl reset-failed docker.service docker.socket; systemctl start --no-block docker.socket docker.service"
UP_SECONDS = 20.0
AGAIN_SECONDS = 7.0
"""After a crash: systemd starts it again after 2 s."""
INIT_SECONDS = 40.0
LEADER_SECONDS = 15.0

SAME, OLDER, EMPTY, REFUSED, LEADERLESS = "same", "other contents", "empty cluster", "refused", "no leader"
"""Outcomes: the Swarm as it was backed up; another state of it; a new Swarm, and success; dockerd says no; it says
success, and nothing can be asked of it."""


BESIDE = ("state.json", "worker")
"""What a Swarm does not need of its directory: dockerd makes it anew. (docker-state.json is never restored.)"""


def restored(host: Host, one: Case, without: Sequence[str] = ()) -> tuple[str, str]:
    """Restores an archive on a host without Swarm and with Docker stopped.

    Args:
        without: files and folders to leave out of it.

    Returns:
        One of the outcomes, and why in a few words.
    """
    folder = host.docker_folder
    wipe(host)
    run(["tar", "-x", "-C", str(folder)], data=one.tar, check=False)
    swarm = folder / "swarm"
    swarm.mkdir(mode=0o700, exist_ok=True)
    for name in ("docker-state.json", *without):
        run(["rm", "-rf", str(swarm / name)])
    key = swarm / KEY
    if one.base.key and key.is_file():
        try:
            key.write_bytes(unlocked_key(key.read_bytes(), Secret(one.key)))
        except RaftError as error:
            return REFUSED, f"its key file cannot be unlocked: {error.what}"
    host.sh(START)
    if not _up(host):
        return REFUSED, f"dockerd does not start: {_last_words(host)}"
    crashed = ""
    try:
        forced(host)
    except LabError as error:
        return REFUSED, _plain(str(error))
    except TimeoutError:
        return LEADERLESS, f"no answer to the init within {INIT_SECONDS:g} s"
    except OSError as error:
        # It crashed. systemd starts it again, and a person would say the same once more.
        crashed = f"after a crash ({_last_words(host)}): "
        if not _up(host, AGAIN_SECONDS):
            return REFUSED, f"{crashed}it stays down: {_plain(str(error))}"
        try:
            forced(host)
        except (LabError, OSError) as again:
            return REFUSED, crashed + _plain(str(again))
    end = time.monotonic() + LEADER_SECONDS
    while True:
        try:
            outcome, why = compared(one.base, {name: host.api("GET", f"/{name}") for name in ("swarm", *LISTS)})
            return outcome, crashed + why
        except (LabError, OSError) as error:
            if time.monotonic() > end:
                return LEADERLESS, crashed + _plain(str(error))
            time.sleep(0.3)


def forced(host: Host) -> None:
    """`docker swarm init --force-new-cluster`, through the API."""
    body = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address, "ForceNewCluster": True, "Spec": {}}
    host.api("POST", "/swarm/init", body, timeout=INIT_SECONDS)


def only_beside(one: Case) -> bool:
    """Whether nothing was done to what is the Swarm."""
    names = one.files.keys() | one.base.files.keys()
    changed = [name for name in names if one.files.get(name) != one.base.files.get(name)]
    return one.whole is None and bool(changed) and all(name.startswith(BESIDE) for name in changed)


def wipe(host: Host) -> None:
    """Docker stopped, and nothing of a Swarm left."""
    # Nothing of it is worth a good end, and one that hangs would hold up all the others.
    host.sh(
        "systemctl stop --no-block docker.socket docker.service; systemctl kill -s KILL docker.service", check=False
    )
    host.sh(STOP, timeout=60)
    for name in ("swarm", "network"):
        remove_tree(host.docker_folder / name)


def _up(host: Host, seconds: float = UP_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if host.api("GET", "/_ping", timeout=5) == "OK":
                return True
        except (LabError, OSError):
            pass
        time.sleep(0.1)
    return False


def _last_words(host: Host) -> str:
    told = host.sh("journalctl -u docker.service -n 60 -o cat --no-pager", check=False).stdout.splitlines()
    words = [line for line in told if "panic" in line or "level=fatal" in line or "failed to start daemon" in line]
    return _plain((words or told or [""])[-1])


def _plain(text: str) -> str:
    return " ".join(text.split())[:200]


def compared(base: Generation, now: dict[str, Any]) -> tuple[str, str]:
    """What a restored Swarm has, against what was backed up: ids and Specs. Written for this, apart from the product.

    Versions of nodes and networks move with their state; tasks come and go by themselves.
    """
    then = base.api
    if now["swarm"]["ID"] != then["swarm"]["ID"]:
        return EMPTY, f"a new Swarm with {len(now['services'])} services"
    said: list[str] = []
    for kind in ("nodes", "services", "secrets", "configs", "networks"):
        had, has = _told(kind, then[kind]), _told(kind, now[kind])
        said += [f"{kind}: {len(had.keys() - has.keys())} missing"] if had.keys() - has.keys() else []
        said += [f"{kind}: {len(has.keys() - had.keys())} more"] if has.keys() - had.keys() else []
        other = [name for name in had.keys() & has.keys() if had[name] != has[name]]
        said += [f"{kind}: {len(other)} otherwise"] if other else []
    return (OLDER, ", ".join(said)) if said else (SAME, "")


def _told(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    if kind == "networks":  # the host's own have other ids everywhere
        keep = ("Name", "Driver", "Labels")
        return {one["Id"]: {name: one[name] for name in keep} for one in objects if one["Scope"] == "swarm"}
    if kind == "nodes":
        return {one["ID"]: one["Spec"] for one in objects}
    return {one["ID"]: (one["Spec"], one["Version"]["Index"]) for one in objects}


# --- a whole campaign -------------------------------------------------------------------------------------------------


def sample(count: int) -> list[int]:
    """Numbers of cases of all kinds, on every generation; the first of a kind first, then the second of each, …"""
    kinds = len(KINDS)
    turns = range(count // kinds + 1)
    return [place + kinds * ((place + turn) % 3 + 3 * turn) for turn in turns for place in range(kinds)][:count]


def ask(lab: Lab, cases: list[Case], answered: Callable[[dict[str, Any]], None], seconds: float) -> None:
    """Restores cases, on all hosts of a lab at once; tells each answer as it comes. Begins none after so long."""
    last = time.monotonic() + seconds
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for one in cases:
        waiting.put(one)
    lock = threading.Lock()

    def work(host: Host) -> None:
        while True:
            try:
                one = waiting.get_nowait()
            except queue.Empty:
                break
            if time.monotonic() > last:
                break
            begin = time.monotonic()
            outcome, why = restored(host, one)
            again = restored(host, one, BESIDE)[0] if outcome != SAME and only_beside(one) else ""
            took = time.monotonic() - begin
            answer = {"number": one.number, "kind": one.kind, "base": one.base.name, "what": one.what}
            answer |= {"outcome": outcome, "why": why} | ({"without": again} if again else {})
            with lock:
                answered(answer)
                print(f"  {took:5.1f} s  {one.number:5} {one.kind}: {outcome}: {why}", flush=True)
        wipe(host)

    lab.each(work)


def path_of(engine: str) -> Path:
    """Where the answers of an engine are kept."""
    return DATA / f"oracle-{engine}.json"


def _numbers(words: str) -> list[int]:
    """Of "3,5-7"."""
    ranges = [word.partition("-") for word in words.split(",")]
    return [number for first, _, last in ranges for number in range(int(first), int(last or first) + 1)]


def main() -> None:
    """Asks an engine, and writes its answers down beside those that are there already."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=("20.10", "26.1"))
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--cases", type=int, default=96)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first ones, which were asked before")
    parser.add_argument("--only", default="", help="numbers of cases: 3,5-7")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no case after so long")
    words = parser.parse_args()
    numbers = _numbers(words.only) if words.only else sample(words.cases)[words.skip :]
    controls = [] if words.only or words.skip else [good(name, words.engine) for name in BASES]
    asked: list[dict[str, Any]] = []
    try:
        with Lab(managers=words.hosts, engine=words.engine) as lab:
            ask(lab, [*controls, *(case(number, words.engine) for number in numbers)], asked.append, words.seconds)
    finally:
        keep(path_of(words.engine), asked)
    print(Counter(one["outcome"] for one in asked))


def keep(path: Path, asked: list[dict[str, Any]]) -> None:
    """Writes answers down beside those that are there, in place of older ones to the same."""
    known = json.loads(path.read_text()) if path.exists() else []
    new = {(one["number"], one["base"]) for one in asked}
    every = [one for one in known if (one["number"], one["base"]) not in new] + asked
    every.sort(key=lambda one: (one["number"], one["base"]))
    path.write_text("[\n" + ",\n".join(" " + json.dumps(one, ensure_ascii=False) for one in every) + "\n]\n")


if __name__ == "__main__":
    main()
