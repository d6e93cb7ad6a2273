"""swarmtui itself, as its command runs it, with an ear at its event loop.

SIGUSR1 begins to listen, SIGUSR2 ends it and writes the windows to the file $SWARMTUI_GAPS as JSON. Nothing of the
product is changed for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from swarmtui.__main__ import main
from tests.bench.gaps import LoopGaps


class Ear:
    """Listens to the running loop between two signals."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._enough: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, *_: Any) -> None:
        self._enough = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._listen(self._enough))

    def end(self, *_: Any) -> None:
        assert self._enough is not None
        asyncio.get_running_loop().call_soon(self._enough.set)

    async def _listen(self, enough: asyncio.Event) -> None:
        async with LoopGaps() as gaps:
            await enough.wait()
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(list(gaps.windows.values())))
        new.rename(self._file)


if __name__ == "__main__":
    ear = Ear(Path(os.environ["SWARMTUI_GAPS"]))
    signal.signal(signal.SIGUSR1, ear.begin)
    signal.signal(signal.SIGUSR2, ear.end)
    sys.exit(main())
