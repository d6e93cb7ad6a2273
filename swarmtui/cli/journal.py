"""`swarmtui journal`: what was done, by whom, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from swarmtui.cli.main import Parser
from swarmtui.config import state_dir
from swarmtui.errors import UsageError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.report import report


def main(arguments: Sequence[str]) -> int:
    """Lists the runs, or reports one."""
    parser = Parser("swarmtui journal", description="What was done. Without RUN: all runs, the newest first.")
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or its beginning or end")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    journal = Journal(state_dir() / "journal")
    if options.run is not None:
        record = journal.read(journal.find(options.run))
        print(
            json.dumps(asdict(record), indent=2) if options.json else report(record),
            end="" if not options.json else "\n",
        )
        return 0
    records = []
    for run_id in journal.ids():
        try:
            records.append(journal.read(run_id))
        except UsageError as error:
            if not options.json:
                print(f"{run_id}  damaged: {error.what}")
    if options.json:
        print(
            json.dumps([{k: v for k, v in asdict(r).items() if k not in ("facts", "steps")} for r in records], indent=2)
        )
        return 0
    for record in records:
        print(f"{record.id}  {record.outcome or 'cut off':8}  {record.target}  {record.title}")
    if not journal.ids():
        print("Nothing was done yet.")
    return 0
