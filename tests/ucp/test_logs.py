"""The three forms of the image's log, also mixed in one run; transcripts as in ucp-dtr.md §1.4 to §1.9."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.model.ucp import logs
from swarmtui.model.ucp.logs import Line

RESTORE = """\
INFO[0000] Your engine version 17.06.2-ee-6, build e75fdb8 is compatible
time="2018-01-30T10:16:29Z" level=info msg="Parsing backup file"
time="2018-01-30T10:17:18Z" level=info msg="Cluster successfully restored.
"""


def test_forms_that_are_mixed() -> None:
    assert logs.read(RESTORE) == (
        Line("info", "Your engine version 17.06.2-ee-6, build e75fdb8 is compatible"),
        Line("info", "Parsing backup file"),
        Line("info", "Cluster successfully restored."),
    )


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        (
            "\x1b[31mFATA\x1b[0m[0007] The following required ports are already in use",
            "fatal",
            "The following required",
        ),
        ("ERRO[0658] Unable to successfully setup local node.", "error", "Unable to successfully setup"),
        ("WARN[0019] None of the hostnames", "warning", "None of the hostnames"),
        ('time="2018-01-30T10:16:29Z" level=fatal msg="a \\"b\\" c"', "fatal", 'a "b" c'),
        ("time=2018-01-30T10:16:29Z level=warning msg=Done", "warning", "Done"),
        ('time="x" level=info msg="said" node=mgr1', "info", "said node=mgr1"),
        ('{"level":"fatal","msg":"no","time":"2018-01-30T10:16:29Z"}', "fatal", "no"),
        ('{"level":"fatal"', "", '{"level":"fatal"'),
        ("the input device is not a TTY", "", "the input device"),
    ],
)
def test_one_line(line: str, level: str, text: str) -> None:
    parsed = logs.parse(line)
    assert parsed is not None and parsed.level == level and parsed.text.startswith(text)
    assert parsed.fatal == (level == "fatal")


def test_a_password_that_was_made_up_is_taken_out() -> None:
    said = "Generated random admin password: s3cr3t"
    for line in (f"INFO[0001] {said} pw", f'time="x" level=info msg="{said}"'):
        parsed = logs.parse(line)
        assert parsed is not None and "s3cr3t" not in parsed.text and "(hidden)" in parsed.text


def test_a_second_phase_tells_why_and_the_first_that_it_failed() -> None:
    lines = logs.read("FATA[0003] the disk is full\nINFO[0011] bye\nFATA[0011] Phase 2 returned error code: 1\n")
    assert logs.why_failed(lines) == "the disk is full; Phase 2 returned error code: 1"
    assert logs.why_failed(logs.read("FATA[0003] no\nFATA[0003] no\n")) == "no"


def test_a_fatal_line_tells_why_before_errors() -> None:
    lines = logs.read("ERRO[0001] first\nFATA[0002] reconcile exited with non-zero status: 1\ndocker: bye\n")
    assert logs.why_failed(lines) == "reconcile exited with non-zero status: 1"
    assert (
        logs.why_failed(logs.read("ERRO[0001] Uninstalling UCP took too long.\n")) == "Uninstalling UCP took too long"
    )
    assert logs.why_failed(()) == ""


def test_progress() -> None:
    pull = logs.progress(Line("info", "Pulling docker/ucp-agent:2.2.5"), 3)
    assert pull is not None and (pull.done, pull.of, pull.what) == (4, 0, "pulling docker/ucp-agent:2.2.5")
    step = logs.progress(Line("info", "Step 3 of 35: [Check Host Compatibility]"))
    assert step is not None and (step.done, step.of, step.what) == (3, 35, "Check Host Compatibility")
    assert logs.progress(Line("info", "Pulling required images... (this may take a while)")) is None


@given(st.text(max_size=2000))
def test_whatever_comes_becomes_one_harmless_line(text: str) -> None:
    for line in logs.read(text):
        assert "\n" not in line.text and "\x1b" not in line.text and len(line.text) <= logs.LONGEST
