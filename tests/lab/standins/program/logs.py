"""Log lines in the three forms UCP writes: text for a terminal, time=… level=… without one, and JSON."""

from __future__ import annotations

import datetime
import json
import sys
import time
from typing import NoReturn

_SHORT = {"debug": "DEBU", "info": "INFO", "warning": "WARN", "error": "ERRO", "fatal": "FATA"}


class Fatal(Exception):
    """A fatal line was written; the process ends."""


class Log:
    """Writes to stderr. The counter of the text form starts again with each phase.

    Args:
        form: "text", "plain" (time=… level=… msg=…) or "json".
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self._start = time.monotonic()

    def phase(self, form: str | None = None) -> None:
        """Go on as another container does: counting from zero, perhaps in another form."""
        self._start = time.monotonic()
        self.form = form or self.form

    def _write(self, level: str, text: str) -> None:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.form == "json":
            line = json.dumps({"level": level, "msg": text, "time": now}, separators=(",", ":"))
        elif self.form == "plain":
            line = f'time="{now}" level={level} msg={json.dumps(text)}'
        else:
            line = f"{_SHORT[level]}[{int(time.monotonic() - self._start):04d}] {text}"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def info(self, text: str) -> None:
        self._write("info", text)

    def warn(self, text: str) -> None:
        self._write("warning", text)

    def error(self, text: str) -> None:
        self._write("error", text)

    def fatal(self, text: str) -> NoReturn:
        """Write a fatal line, and end.

        Raises:
            Fatal: always.
        """
        self._write("fatal", text)
        raise Fatal(text)
