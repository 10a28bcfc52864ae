"""The output of ``pcron history``, and the last runs in ``pcron show``. Imported only where there is a store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, NamedTuple

from pyramid_cron.claims import Pause
from pyramid_cron.history_entries import ActionEntry, PastRun
from pyramid_cron.monitoring.examine import Examination, examine
from pyramid_cron.monitoring.problem import NO_TICK, Problem
from pyramid_cron.run_addresses import run_address
from pyramid_cron.run_keys import key_of
from pyramid_cron.run_summary import run_as_dict
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.history_lines import format_history, last_run_line
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.store.admin import Store
from pyramid_cron.store.live_outputs import KeptOutput
from pyramid_cron.store.queries import Entry, Missed, Queries, in_order, when
from pyramid_cron.store.schema import NOT_GOOD
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import Gap
from pyramid_cron.summaries import due_between
from pyramid_cron.task_texts import pause_as_dict
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_past

# last runs of one task
MAX_LAST_RUNS = 5


class History(NamedTuple):
    """A section of the history.

    :param entries: in the order in which they happened.
    :param due: for each gap, the names of the tasks that were due in it.
    :param last_tick: the newest minute that had a tick.
    :param silence: the minutes since then, if they are too many.
    :param problems: what is wrong with the tasks now, whatever the section is.
    :param stuck: the names of the tasks whose run in progress is stuck.
    :param pause_of_all: the pause of all tasks now; those of single tasks are problems.
    :param outputs: notes and logs of the runs among the entries, by their ids.
    """

    entries: Sequence[Entry] = ()
    due: Mapping[Gap, Sequence[str]] = {}
    last_tick: datetime | None = None
    silence: Gap | None = None
    problems: Sequence[Problem] = ()
    stuck: Collection[str | None] = ()
    pause_of_all: Pause | None = None
    outputs: Mapping[str, KeptOutput] = {}


def history_text(store: Store, registry: Any, now: datetime, args: Any, width: int) -> str:
    """Return the output of the command.

    :param args: its arguments, with ``names`` of tasks.
    :raises UsageError: for a bad ``--since``, and for a task that is neither registered nor in the history.
    :raises Unavailable: if the store cannot be read.
    """
    tasks, zone = registry['cron_tasks'], registry['cron_settings'].timezone
    try:
        since = None if args.since is None else parse_past(args.since, now, zone)
    except TimeError as exc:
        raise UsageError(f'--since {exc}') from None
    wanted = [task for task in tasks if not args.names or task.name in args.names]
    history, examination, recorded = History(), examine(registry, args.names), set[str]()
    names = examination.snapshot.own_names(args.names)
    with store.queries() as queries:
        if queries is not None:
            recorded = {name for name in args.names if queries.has_entries(name)}
            history = read_history(
                queries,
                examination,
                wanted,
                limit=args.limit,
                names=names,
                since=since,
                faults=args.failed,
                by_hand=args.by_hand,
            )
            if args.verbose or args.json:
                history = history._replace(outputs=_read_outputs(queries, history))
    acted = {entry.task for entry in history.entries if isinstance(entry, ActionEntry)}
    require_known(args.names, tasks, recorded | acted)
    if args.json:
        return _to_json(history, store.options.app, zone)
    verbose_of, address_of = (
        (store.options.app if args.verbose else ''),
        partial(run_address, registry, store.options.app),
    )
    return '\n'.join(format_history(history, now, zone, width, verbose_of, address_of))


def _read_outputs(queries: Queries, history: History) -> Mapping[str, KeptOutput]:
    begun = [entry.id for entry in history.entries if isinstance(entry, PastRun) and entry.attempt and entry.id]
    return queries.outputs_of(begun) if begun else {}


def last_run_lines(
    store: Store, names: Collection[str], stuck: bool, zone: tzinfo | None, now: datetime, state: TaskState | None
) -> list[str]:
    """Return a line for each of the last runs of a task, also those missed or skipped, the newest first.

    :param names: the names that their records may have.
    :param stuck: whether its run in progress is stuck.
    :param zone: the time zone of the times.
    :param state: its row, for the progress of its run.
    :raises Unavailable: if the store cannot be read.
    """
    entries: list[PastRun | Missed] = []
    with store.queries() as queries:
        if queries is not None:
            entries += queries.past_runs(MAX_LAST_RUNS, names)
            entries += queries.missed(MAX_LAST_RUNS, names)
    newest = sorted(entries, key=when, reverse=True)[:MAX_LAST_RUNS]
    return [
        ', '.join([last_run_line(entry, now, stuck, zone), *_progress_of(entry, state, now)]) for entry in newest
    ] or ['none yet']


def _progress_of(entry: PastRun | Missed, state: TaskState | None, now: datetime) -> list[str]:
    if state is None or state.progress is None or not isinstance(entry, PastRun) or entry.id != state.run_id:
        return []
    return [state.progress.describe(now)]


def read_history(
    queries: Queries,
    examination: Examination,
    tasks: Sequence[Task],
    *,
    limit: int,
    names: Collection[str] = (),
    since: datetime | None = None,
    faults: bool = False,
    by_hand: bool = False,
) -> History:
    """Return the newest entries of the history.

    :param examination: what is wrong with the tasks now.
    :param tasks: the tasks, for what was due in a gap.
    :param limit: the number of entries at most.
    :param names: the tasks to include, all if there is none; gaps in which none of them was due are then left out.
    :param since: the instant before which entries are left out, but for runs that were in progress then.
    :param faults: include only what failed, was lost or was missed, and gaps in which something was due.
    :param by_hand: include only what users did: actions such as a pause, and runs by name.
    """
    read = queries.runs_by_hand if by_hand else partial(queries.past_runs, faults=faults)
    runs = read(limit, names, since)
    # what was before all of these would not be shown
    oldest = runs[-1].started if len(runs) == limit else since
    if since is not None and not by_hand and len(runs) < limit:
        before = queries.begun_before(since, _in_progress_at(since, examination, names))
        runs += [run for run in before if not faults or run.outcome in NOT_GOOD]
    missed = [] if by_hand else queries.missed(limit, names, oldest)
    actions = [] if faults else queries.actions(limit, names, oldest)
    due = {gap: due_between(tasks, gap.first, gap.last) for gap in ([] if by_hand else queries.gaps(limit, since))}
    gaps = [gap for gap in due if due[gap] or not (names or faults)]
    snapshot, of_ticks, silence = examination.snapshot, examination.of_ticks, None
    if of_ticks is not None and of_ticks.kind == NO_TICK and of_ticks.since is not None:
        silence = Gap(of_ticks.since + clock.MINUTE, clock.minute_of(snapshot.now) - clock.MINUTE)
        due[silence] = due_between(tasks, silence.first, silence.last)
    return History(
        in_order(runs, missed, gaps, limit, actions),
        due,
        snapshot.last_tick,
        silence,
        [problem for problem in examination.each() if problem.kind != NO_TICK],
        examination.stuck,
        snapshot.pause_of_all,
    )


def _in_progress_at(instant: datetime, examination: Examination, names: Collection[str]) -> list[str]:
    """Return the names of the tasks of which a run may have been in progress at an instant."""
    states = examination.snapshot.states
    # the history has runs of tasks without a row too
    found = dict.fromkeys(names or states)
    return [name for name in found if (state := states.get(name)) is None or _ended_after(state, instant)]


def _ended_after(state: TaskState, instant: datetime) -> bool:
    return state.is_claimed or (state.last_finished is not None and state.last_finished >= instant)


def _to_json(history: History, app: str, zone: tzinfo | None) -> str:
    shown = {
        'app': app,
        'last_tick': history.last_tick and clock.to_zone(history.last_tick, zone).isoformat(),
        'silence': history.silence and _as_dict(history.silence, history, zone, app),
        'entries': [_as_dict(entry, history, zone, app) for entry in history.entries],
        'problems': [{'kind': problem.kind, 'task': problem.task} for problem in history.problems],
        'all_paused': history.pause_of_all and pause_as_dict(history.pause_of_all),
    }
    return json.dumps(shown, indent=2)


def _as_dict(entry: Entry, history: History, zone: tzinfo | None, app: str) -> dict[str, Any]:
    if isinstance(entry, PastRun):
        output = history.outputs.get(entry.id or '', KeptOutput())
        return {'kind': 'run', **run_as_dict(entry, zone), 'key': key_of(app, entry) or None, **output._asdict()}
    values = {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in entry._asdict().items()
    }
    if isinstance(entry, ActionEntry):
        return {'kind': 'action', **values}
    if isinstance(entry, Missed):
        return {'kind': 'missed', **values}
    return {'kind': 'gap', **values, 'due': list(history.due[entry])}
