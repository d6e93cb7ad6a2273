"""asyncssh is imported without the C compiler, and what the loader knows is still found."""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
import sys

from swarmtui.link import sshlib


def test_a_library_of_the_loader_is_found_and_can_be_loaded() -> None:
    name = sshlib._in_loader_cache("c")
    assert name is not None
    ctypes.CDLL(name)


def test_what_is_not_installed_is_not_found() -> None:
    assert sshlib._in_loader_cache("certainly-not-there") is None


def test_find_library_is_itself_again() -> None:
    assert ctypes.util.find_library is sshlib._find_library


def test_importing_the_session_starts_no_process() -> None:
    program = """
import subprocess, sys
def forbidden(*args, **options): raise AssertionError(f"started {args}")
subprocess.Popen.__init__ = forbidden
import swarmtui.session
assert "asyncssh" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
