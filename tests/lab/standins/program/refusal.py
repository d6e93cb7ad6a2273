"""A request that UCP's API refuses."""

from __future__ import annotations


class Refused(Exception):
    """An error answer: status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code
