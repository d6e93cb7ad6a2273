"""Looks for secrets where none may be: command lines, environments, files, journals, errors, screens, terminals.

How a test uses it (a folder's conftest takes it in with `from tests.leaks.fixtures import leaks`):

    def test_x(leaks: Leaks, …) -> None:
        leaks.secret("the unlock key", key)      # what must be nowhere; may be said at any time, also after the run
        leaks.seen("stdout", result.out)         # what somebody could read; so do error, console, below, host
        # at its end everything is searched, in every usual encoding, and the test fails with where it was found

Exceptions are in `harness.EXEMPT`, and nowhere else.
"""
