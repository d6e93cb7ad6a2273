"""What the tests give to the programs that they start."""

from __future__ import annotations

import subprocess
import sys


def test_a_program_that_is_started_leaves_its_modules_compiled_for_the_next() -> None:
    told = subprocess.run([sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"], capture_output=True)
    assert told.stdout.split() == [b"False"]
    assert sys.dont_write_bytecode is False
