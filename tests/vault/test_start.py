"""What the vault costs at the start: nothing is opened, and neither keyring nor pyrage imported, before it is used."""

from __future__ import annotations

import subprocess
import sys


def test_the_keyring_library_is_imported_at_the_first_use_only() -> None:
    code = """
import asyncio, sys
from swarmtui.link.person import Nobody
from swarmtui.opening import Opening
from swarmtui.session import Session

def heavy():
    return sorted({"keyring", "pyrage", "secretstorage", "jeepney"} & set(sys.modules))

async def go():
    session = Session(Opening("x", ()), Nobody())
    vault = session.vault
    assert vault is session.vault and not vault.durable
    assert heavy() == [], heavy()
    await vault.open()
    assert "no keyring of the operating system" in vault.why_not_durable

asyncio.run(go())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
