"""Memory of large answers, seen from outside: in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading
from swarmtui.link.memory import give_back_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

def read():
    # An answer that comes, something small that stays, and the answer goes: again and again in each thread.
    for _ in range(4):
        answer = b"x" * (9 << 20)
        kept.append(bytearray(2000))
        del answer

kept = []
told = give_back_large_blocks() if sys.argv[1] == "told" else True
before = resident()
for _ in range(3):
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    hold = [threading.Thread(target=read) for _ in range(3)]
    [each.start() for each in hold]
    [each.join() for each in hold]
print(told, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps them")
def test_large_blocks_go_back_to_the_system() -> None:
    def kept(how: str) -> int:
        ended = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        told, mib = ended.stdout.split()
        assert told == "True"
        return int(mib)

    untold, told = kept("untold"), kept("told")
    assert told <= 5 < untold
