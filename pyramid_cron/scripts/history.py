"""The output of ``pcron history``, and the last runs in ``pcron show``. Imported only where there is a store."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.monitoring.examine import Examination, examine
from pyramid_cron.monitoring.problems import NO_TICK, Problem
from pyramid_cron.reports import QUEUED, RUNNING, STUCK, PastRun, duration
from pyramid_cron.run_summary import RunSummary, run_as_dict, summarize_run
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.listing import format_problem, wrap
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.store.admin import Store
from pyramid_cron.store.missed import NO_TICK_IN_TIME
from pyramid_cron.store.queries import Missed, Queries, in_order, when
from pyramid_cron.store.ticks import Gap
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary, due_between
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_since

# lines of a traceback, from its end
MAX_LINES = 15
# names of tasks in one line
MAX_NAMES = 6

# last runs of one task
MAX_LAST_RUNS = 5

INDENT = ' ' * 10

# columns of a text behind the columns before it; where there are fewer, it begins in the next line
MIN_TEXT = 24


class History(NamedTuple):
    """A section of the history.

    :param entries: in the order in which they happened.
    :param due: for each gap, the names of the tasks that were due in it.
    :param last_tick: the newest minute that had a tick.
    :param silence: the minutes since then, if they are too many.
    :param problems: what is wrong with the tasks now, whatever the section is.
    :param stuck: the names of the tasks whose run in progress is stuck.
    """

    entries: Sequence[PastRun | Missed | Gap] = ()
    due: Mapping[Gap, Sequence[str]] = {}
    last_tick: datetime | None = None
    silence: Gap | None = None
    problems: Sequence[Problem] = ()
    stuck: Collection[str | None] = ()


def history_text(store: Store, registry: Any, now: datetime, args: Any, width: int) -> str:
    """Return the output of the command.

    :param args: its arguments, with ``names`` of tasks.
    :raises UsageError: for a bad ``--since``, and for a task that is neither registered nor in the history.
    :raises Unavailable: if the store cannot be read.
    """
    tasks, zone = registry['cron_tasks'], registry['cron_settings'].timezone
    try:
        since = None if args.since is None else parse_since(args.since, now, zone)
    except TimeError as exc:
        raise UsageError(f'--since {exc}') from None
    wanted = [task for task in tasks if not args.names or task.name in args.names]
    history, examination = History(), examine(registry, args.names)
    with store.queries() as queries:
        if queries is not None:
            history = read_history(
                queries, examination, wanted, limit=args.limit, names=args.names, since=since, faults=args.failed
            )
    known = {entry.task for entry in history.entries if not isinstance(entry, Gap)}
    require_known(args.names, tasks, known)
    if args.json:
        return _to_json(history, store.options.app, zone)
    return '\n'.join(format_history(history, now, zone, width, args.verbose))


def last_run_lines(store: Store, summary: TaskSummary, now: datetime) -> list[str]:
    """Return a line for each of the last runs of a task, also those missed or skipped, the newest first.

    :raises Unavailable: if the store cannot be read.
    """
    entries: list[PastRun | Missed] = []
    task = summary.task
    stuck = any(problem.kind == STUCK for problem in summary.problems)
    with store.queries() as queries:
        if queries is not None:
            entries += queries.past_runs(MAX_LAST_RUNS, [task.name])
            entries += queries.missed(MAX_LAST_RUNS, [task.name])
    newest = sorted(entries, key=when, reverse=True)[:MAX_LAST_RUNS]
    return [_last_run_line(entry, now, stuck, task.timezone) for entry in newest] or ['none yet']


def _last_run_line(entry: PastRun | Missed, now: datetime, stuck: bool, zone: tzinfo | None) -> str:
    began = clock.to_zone(when(entry), zone)
    text = f'{began:%a %Y-%m-%d %H:%M}'
    if isinstance(entry, Missed):
        return f'{text}, missed{f", {entry.minutes} times until then" if entry.minutes > 1 else ""}'
    run = _summarize_run(entry, began, now, stuck, zone)
    took = f' {"for" if run.outcome in (RUNNING, QUEUED, STUCK) else "in"} {run.took}' if run.took else ''
    why = entry.error or entry.reason
    return f'{text}, {run.outcome}{took}{f": {why}" if why else ""}'


def read_history(
    queries: Queries,
    examination: Examination,
    tasks: Sequence[Task],
    *,
    limit: int,
    names: Collection[str] = (),
    since: datetime | None = None,
    faults: bool = False,
) -> History:
    """Return the newest entries of the history.

    :param examination: what is wrong with the tasks now.
    :param tasks: the tasks, for what was due in a gap.
    :param limit: the number of entries at most.
    :param names: the tasks to include, all if there is none; gaps in which none of them was due are then left out.
    :param since: the instant before which entries are left out.
    :param faults: include only what failed, was lost or was missed, and gaps in which something was due.
    """
    runs = queries.past_runs(limit, names, since, faults)
    # what was missed before all of these would not be shown
    missed = queries.missed(limit, names, runs[-1].started if len(runs) == limit else since)
    due = {gap: due_between(tasks, gap.first, gap.last) for gap in queries.gaps(limit, since)}
    gaps = [gap for gap in due if due[gap] or not (names or faults)]
    snapshot, of_ticks, silence = examination.snapshot, examination.of_ticks, None
    if of_ticks is not None and of_ticks.kind == NO_TICK and of_ticks.since is not None:
        silence = Gap(of_ticks.since + clock.MINUTE, clock.minute_of(snapshot.now) - clock.MINUTE)
        due[silence] = due_between(tasks, silence.first, silence.last)
    return History(
        in_order(runs, missed, gaps, limit),
        due,
        snapshot.last_tick,
        silence,
        [problem for problem in examination.problems if problem.kind != NO_TICK],
        examination.stuck,
    )


def _to_json(history: History, app: str, zone: tzinfo | None) -> str:
    shown = {
        'app': app,
        'last_tick': history.last_tick and clock.to_zone(history.last_tick, zone).isoformat(),
        'silence': history.silence and _as_dict(history.silence, history, zone),
        'entries': [_as_dict(entry, history, zone) for entry in history.entries],
        'problems': [{'kind': problem.kind, 'task': problem.task} for problem in history.problems],
    }
    return json.dumps(shown, indent=2)


def _as_dict(entry: PastRun | Missed | Gap, history: History, zone: tzinfo | None) -> dict[str, Any]:
    if isinstance(entry, PastRun):
        return {'kind': 'run', **run_as_dict(entry, zone)}
    values = {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in entry._asdict().items()
    }
    if isinstance(entry, Missed):
        return {'kind': 'missed', **values}
    return {'kind': 'gap', **values, 'due': list(history.due[entry])}


def format_history(history: History, now: datetime, zone: tzinfo | None, width: int, verbose: bool) -> Iterator[str]:
    """Yield lines, none longer than ``width`` unless a single word or a line of a traceback is.

    :param verbose: add the ends of tracebacks.
    """
    if not history.entries:
        yield 'Nothing of that is recorded.' if history.last_tick else 'Nothing is recorded: no tick has come yet.'
    day = None
    for entry in [*history.entries, *([history.silence] if history.silence else [])]:
        began = clock.to_zone(when(entry), zone)
        if began.date() != day:
            if day is not None or not history.entries:
                yield ''
            day = began.date()
            yield f'{day:%a %Y-%m-%d}, {zone or LOCAL_TIME}'
        if isinstance(entry, PastRun):
            yield from _run_lines(entry, began, now, entry.task in history.stuck, zone, width)
            if verbose and entry.traceback:
                yield from _traceback_end(entry.traceback)
        elif isinstance(entry, Missed):
            yield from _missed_lines(entry, began, zone, width)
        else:
            yield from _gap_lines(entry, began, zone, width, history.due[entry], ongoing=entry is history.silence)
    if history.problems:
        yield ''
        yield 'Now'
        for problem in history.problems:
            text = str(problem.error) if problem.task is None else format_problem(problem, zone, problem.task)
            yield from _wrap_behind(f'{problem.kind:7}  ', text, width)


def _run_lines(run: PastRun, began: datetime, now: datetime, stuck: bool, zone: tzinfo | None, width: int) -> list[str]:
    summary = _summarize_run(run, began, now, stuck, zone)
    text = ', '.join([run.task, *summary.about]) + (f': {summary.reason}' if summary.reason else '')
    return _wrap_behind(f'{began:%H:%M:%S}  {summary.outcome:7}  {summary.took:>9}  ', text, width)


def _summarize_run(run: PastRun, began: datetime, now: datetime, stuck: bool, zone: tzinfo | None) -> RunSummary:
    return summarize_run(run, now, stuck, lambda minute: _format_time(minute, began, zone))


def _missed_lines(missed: Missed, began: datetime, zone: tzinfo | None, width: int) -> list[str]:
    text = missed.task
    if missed.minutes > 1:
        text += f', {missed.minutes} times since {_format_time(missed.first, began, zone)}'
    if missed.reason not in (None, NO_TICK_IN_TIME):
        text += f': {missed.reason}'
    return _wrap_behind(f'{began:%H:%M}     missed              ', text, width)


def _gap_lines(
    gap: Gap, began: datetime, zone: tzinfo | None, width: int, due: Sequence[str], ongoing: bool
) -> list[str]:
    length = f'({duration((gap.last - gap.first + clock.MINUTE).total_seconds())})'
    if ongoing:
        span = f'since {began:%H:%M} {length}'
    elif gap.first == gap.last:
        span = f'at {began:%H:%M}'
    else:
        span = f'from {began:%H:%M} to {_format_time(gap.last, began, zone)} {length}'
    names = [*due[:MAX_NAMES], *([f'{len(due) - MAX_NAMES} more'] if len(due) > MAX_NAMES else [])]
    then = f'due then: {", ".join(names)}' if due else 'nothing was due then'
    what = f'no tick {span}' if gap.problem is None else f'ticks failed {span}: {gap.problem}'
    return wrap(f'{began:%H:%M}     ', f'{what}; {then}', width)


def _wrap_behind(start: str, text: str, width: int) -> list[str]:
    return wrap(start, text, width) if width - len(start) >= MIN_TEXT else [start.rstrip(), *wrap(INDENT, text, width)]


def _format_time(moment: datetime, day: datetime, zone: tzinfo | None) -> str:
    """Return a minute, with its date unless that is the date of ``day``."""
    shown = clock.to_zone(moment, zone)
    return f'{shown:%H:%M}' if shown.date() == day.date() else f'{shown:%Y-%m-%d %H:%M}'


def _traceback_end(traceback: str) -> Iterator[str]:
    lines = traceback.rstrip().splitlines()
    if len(lines) > MAX_LINES:
        yield INDENT + '...'
    for line in lines[-MAX_LINES:]:
        yield INDENT + line
