"""`swarmtui run`: every operation without a screen, through the same plans and the same runner."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from swarmtui import config
from swarmtui.cli.deciding import Terminal
from swarmtui.cli.main import Parser, with_config
from swarmtui.cli.opened import not_begun, opened, the_target
from swarmtui.cli.rules import check_rules, with_accept
from swarmtui.errors import RefusedError, SwarmtuiError, UsageError
from swarmtui.link.reasons import LinkError, Reason, standing
from swarmtui.runbooks import params, registry, render
from swarmtui.runbooks.journal import Journal, RunRecord, new_run_id
from swarmtui.runbooks.report import going_on, planned
from swarmtui.runbooks.runbook import Plan, Runbook
from swarmtui.runbooks.runner import Event, Outcome, Runner, State
from swarmtui.session import Session

MARKS = {State.DONE: "done", State.ALREADY: "nothing to do", State.FAILED: "FAILED", State.SKIPPED: "skipped"}


def main(arguments: Sequence[str]) -> int:
    """Runs, shows or lists operations. Returns 0 done and verified, 1 a step failed; 2, 3 and 4 are raised as
    errors."""
    parser = Parser(
        "swarmtui run", description="An operation without a screen. `run --list` names them all.", add_help=False
    )
    parser.add_argument("-h", "--help", action="store_true", help="this help; with NAME what NAME does and takes")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which operation")
    parser.add_argument("values", nargs="*", metavar="KEY=VALUE", help="its parameters")
    parser.add_argument("--target", metavar="TARGET", help="which cluster")
    parser.add_argument("--list", action="store_true", help="name all operations and their parameters")
    parser.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
    parser.add_argument("--script", action="store_true", help="print the plan as a shell script, change nothing")
    parser.add_argument("--markdown", action="store_true", help="print the plan as a Markdown runbook, change nothing")
    parser.add_argument("--yes", action="store_true", help="every confirmation is given")
    with_accept(parser)
    parser.add_argument("--resume", metavar="RUN", help="go on with a run that was cut off or failed")
    parser.add_argument(
        "--ask", action="store_true", help="ask on the terminal when a step fails: retry, by hand, skip, stop"
    )
    parser.add_argument("--hold", action="store_true", help="ask before each step, and when one fails")
    parser.add_argument("--json", action="store_true", help="for programs: JSON lines while it runs, or the plan")
    with_config(parser)
    options = parser.parse_args(arguments)
    if options.help:
        if options.name is None:
            parser.print_help()
        else:
            _describe(registry.runbook(options.name))
            print("The options of all operations: swarmtui run --help")
        return 0
    if options.list:
        return _list(as_json=options.json)
    modes = [mode for mode in ("dry_run", "script", "markdown") if getattr(options, mode)]
    if len(modes) > 1 or (modes and options.yes):
        raise UsageError("Only one of --dry-run, --script, --markdown and --yes can be meant.", "Leave the others out.")
    if options.json and (options.ask or options.hold):
        raise UsageError("A program is not asked.", "Leave out --json, or --ask and --hold.")
    known = config.load(options.config)
    if options.resume is not None:
        if options.name is not None:
            raise UsageError("A resumed run has its name and parameters already.", "Leave them out.")
        return asyncio.run(_resume(options, known))
    if options.name is None:
        raise UsageError("Say which operation.", "See them with: swarmtui run --list")
    given: dict[str, str] = {}
    for value in options.values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise UsageError(
                f'"{value}" is not KEY=VALUE.', f"See the parameters with: swarmtui run {options.name} --help"
            )
        given[key] = f"{given[key]},{text}" if key in given else text
    runbook = registry.runbook(options.name)
    values = params.parse(runbook.name, runbook.params, given)
    return asyncio.run(_run(options, known, values, mode=modes[0] if modes else ""))


def _list(*, as_json: bool) -> int:
    if as_json:
        listed = [
            {
                "name": r.name,
                "summary": r.summary,
                "params": [
                    {"name": p.name, "shape": p.shape, "required": p.required, "default": p.default, "help": p.help}
                    for p in r.params
                ],
            }
            for r in registry.RUNBOOKS.values()
        ]
        print(json.dumps({"schema": render.JSON_SCHEMA, "runbooks": listed}, indent=2))
        return 0
    for runbook in registry.RUNBOOKS.values():
        _describe(runbook)
    return 0


def _describe(runbook: Runbook) -> None:
    print(f"{runbook.name}: {runbook.summary}")
    for param in runbook.params:
        note = "" if param.required or param.default is None else f" (default {_told(param.default)})"
        print(f"    {param.name}={param.shape}  {param.help}{note}")


def _told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _run(options: Any, known: config.Config, values: dict[str, Any], *, mode: str) -> int:
    runbook = registry.runbook(options.name)
    async with _session(runbook, options.target, known) as session:
        plan = await runbook.prepare(session, values)
        if mode == "script":
            print(render.script(plan), end="")
            return 0
        if mode == "markdown":
            print(render.markdown(plan), end="")
            return 0
        if mode == "dry_run" or not options.yes or plan.nothing:
            _show(plan, as_json=options.json)
        if plan.nothing or mode == "dry_run":
            return 0
        accepted = check_rules(plan.rules, options.accept)
        if session.opening.cluster.read_only:
            raise RefusedError(f"{session.name} is read-only by the configuration.", "Nothing was changed.")
        if not options.yes:
            plan = await _confirm(session, plan, values)
        return await _execute(session, plan, new_run_id(plan.runbook), None, accepted, options)


def _session(runbook: Runbook, target: str | None, known: config.Config) -> AbstractAsyncContextManager[Session]:
    """The session that a runbook works with: of hosts only, or of a cluster, which must be named."""
    if runbook.on_hosts and runbook.needs_target:
        return not_begun(the_target(target, known), known, hosts=True)
    if runbook.on_hosts:
        return not_begun(target, known, hosts=True)
    return opened(the_target(target, known), known, live=runbook.needs_manager)


def _show(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(render.plan_json(plan)))
    else:
        print("\n".join(line for _, line in render.plan_lines(plan)))


async def _confirm(session: Session, plan: Plan, values: dict[str, Any]) -> Plan:
    """Asks on the terminal; asks again when what was shown has changed meanwhile."""
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to confirm on.", "Add --yes if it is meant, or --dry-run to look only.")
    while True:
        word = plan.typed or "yes"
        print(f'\nType "{word}" to do this, anything else to leave it: ', end="", file=sys.stderr, flush=True)
        answer = (await asyncio.to_thread(sys.stdin.readline)).strip()
        if answer != word:
            raise RefusedError("Not confirmed.", "Nothing was changed.")
        newest = await registry.runbook(plan.runbook).prepare(session, values)
        if newest.binding == plan.binding:
            return newest
        print("The cluster changed while you looked. This is the plan now:\n", file=sys.stderr)
        _show(newest, as_json=False)
        if newest.nothing:
            raise RefusedError("There is nothing left to do.", "")
        plan = newest


async def _resume(options: Any, known: config.Config) -> int:
    journal = Journal(config.state_dir() / "journal")
    record = journal.read(journal.find(options.resume))
    if record.outcome == "done":
        raise UsageError(f"Run {record.id} is done already.", f"See: swarmtui journal {record.id}")
    runbook = registry.runbook(record.runbook)
    planned(record)  # what cannot be gone on with is told before anybody waits for a connection
    async with _session(runbook, options.target or record.target, known) as session:
        if runbook.needs_manager and record.cluster_id and not session.snapshot.cluster_id:
            # Without a leader a manager does not tell which Swarm it is of: on an unknown one nothing is gone on with.
            through = session.connection.through
            trouble = standing(session.snapshot.info, through) or LinkError(Reason.NO_LEADER, through)
            _tell_failure(trouble, record.id)
            return trouble.exit_code
        plan = going_on(record, cluster_id=session.snapshot.cluster_id)
        if not options.yes:
            if not sys.stdin.isatty():
                raise UsageError("There is no terminal to confirm on.", "Add --yes if it is meant.")
            _show(plan, as_json=False)
            print('\nType "yes" to go on where it was cut off: ', end="", file=sys.stderr, flush=True)
            if (await asyncio.to_thread(sys.stdin.readline)).strip() != "yes":
                raise RefusedError("Not confirmed.", "Nothing was changed.")
        return await _execute(session, plan, record.id, record, record.accepted, options)


async def _execute(
    session: Session, plan: Plan, run_id: str, record: RunRecord | None, accepted: list[str], options: Any
) -> int:
    journal = Journal(config.state_dir() / "journal")
    printer = _Printer(plan, run_id, as_json=options.json)
    decider = Terminal(plan) if options.ask or options.hold else None
    with journal.writer(run_id) as writer:
        printer.begin()

        def observe(event: Event) -> None:
            if event.kind == "drafted":
                printer.grown(runner.plan)
                if decider is not None:
                    decider.plan = runner.plan
            else:
                printer.event(event)

        runner = Runner(session, plan, writer, decider=decider, observe=observe, record=record, accepted=accepted)
        runner.holds = options.hold
        unsubscribe = session.subscribe(lambda: printer.connection(session.connection.note))
        try:
            outcome = await runner.run()
        finally:
            unsubscribe()
    printer.end(outcome)
    return _exit_code(outcome)


def _exit_code(outcome: Outcome) -> int:
    if outcome.ok:
        return 0
    return 3 if isinstance(outcome.error, LinkError) else 1


class _Printer:
    """Prints a run: lines for a person, JSON lines for a program."""

    def __init__(self, plan: Plan, run_id: str, *, as_json: bool) -> None:
        self._run_id = run_id
        self._as_json = as_json
        self._takes(plan)
        self._announced = ""
        self._note = ""

    def _line(self, **fields: Any) -> None:
        print(json.dumps({"schema": render.JSON_SCHEMA, "run": self._run_id, **fields}), flush=True)

    def begin(self) -> None:
        if self._as_json:
            self._line(event="plan", plan=render.plan_json(self._plan))
        else:
            print(f"{self._plan.title} (run {self._run_id})", flush=True)

    def grown(self, plan: Plan) -> None:
        """Takes the plan with a part that was drafted just now."""
        self._takes(plan)
        if self._as_json:
            self._line(event="plan", plan=render.plan_json(plan))

    def _takes(self, plan: Plan) -> None:
        self._plan = plan
        self._titles = {step.id: (number, step) for number, step in enumerate(plan.steps, 1)}

    def connection(self, note: str) -> None:
        """Says what became of the connection, once."""
        if note and note != self._note:
            if self._as_json:
                self._line(event="connection", text=note)
            else:
                print(f"    {note}", flush=True)
        self._note = note

    def event(self, event: Event) -> None:
        if self._as_json:
            if event.kind != "end":
                self._line(
                    event=event.kind,
                    step=event.step,
                    state=event.state,
                    text=event.text,
                    done=event.done,
                    total=event.total,
                )
            return
        if not event.step or event.kind == "end":
            return
        number, step = self._titles[event.step]
        if self._announced != event.step and event.state is not State.CHECKING:
            self._announced = event.step
            print(f"{number}/{len(self._titles)} {step.title}", flush=True)
            if event.state is State.RUNNING:
                for shown in step.shown:
                    print(f"    $ {shown.as_sh}", flush=True)
        if event.kind in ("said", "progress") and event.text:
            print(f"    {event.text}", flush=True)
        elif event.state in MARKS:
            detail = f": {event.text}" if event.text else ""
            print(f"    {MARKS[event.state]}{detail}", flush=True)

    def end(self, outcome: Outcome) -> None:
        error = outcome.error
        if self._as_json:
            told = {"what": error.what, "next_step": error.next_step} if error else None
            self._line(event="end", result=outcome.result, step=outcome.step, error=told)
        elif outcome.ok:
            print("Done and verified.", flush=True)
        else:
            step = next((step for step in self._plan.steps if step.id == outcome.step), None)
            if step is not None and (stands := self._plan.if_stopped_before(step)):
                print(f"swarmtui: Where it stands: {stands}", file=sys.stderr)
            _tell_failure(error, self._run_id)


def _tell_failure(error: SwarmtuiError | None, run_id: str) -> None:
    if error is not None:
        print(f"swarmtui: {error}", file=sys.stderr)
    print(f"swarmtui: Go on with it when that is mended: swarmtui run --resume {run_id}", file=sys.stderr)
