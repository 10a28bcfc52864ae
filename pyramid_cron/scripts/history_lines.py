"""The lines of ``pcron history`` and of the last runs in ``pcron show``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from pyramid_cron.durations import duration
from pyramid_cron.history_entries import BACKFILL, BY_HAND, ActionEntry, PastRun
from pyramid_cron.monitoring.alike import describe_alike, group_alike
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.outcomes import QUEUED, RUNNING, STUCK
from pyramid_cron.run_keys import key_of
from pyramid_cron.run_summary import RunSummary, describe_action, summarize_run
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.task_details import format_problem
from pyramid_cron.store.live_outputs import KeptOutput
from pyramid_cron.store.missed import NO_TICK_IN_TIME
from pyramid_cron.store.queries import Missed, when
from pyramid_cron.store.ticks import Gap
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.task_texts import format_pause

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem
    from pyramid_cron.scripts.history import History

# lines of a traceback, from its end
MAX_LINES = 15
# names of tasks in one line
MAX_NAMES = 6

INDENT = ' ' * 10

# columns of a text behind the columns before it; where there are fewer, it begins in the next line
MIN_TEXT = 24


def format_history(
    history: History,
    now: datetime,
    zone: tzinfo | None,
    width: int,
    verbose_of: str = '',
    address_of: Callable[[PastRun], str] = lambda run: '',
) -> Iterator[str]:
    """Yield lines, none longer than ``width`` unless a single word or a line of a traceback is.

    :param verbose_of: the name of the application, to add the keys of its runs, notes, logs and the ends of
        tracebacks; empty to leave them out.
    :param address_of: returns the address of the page of a run, which is added with the keys; empty if there is none.
    """
    if not history.entries:
        yield 'Nothing that matches is recorded.' if history.last_tick else 'Nothing is recorded: no tick has come yet.'
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
            if verbose_of:
                output = history.outputs.get(entry.id or '', KeptOutput())
                yield from _details(verbose_of, entry, address_of(entry), output)
        elif isinstance(entry, ActionEntry):
            yield from _action_lines(entry, began, zone, width)
        elif isinstance(entry, Missed):
            yield from _missed_lines(entry, began, zone, width)
        else:
            yield from _gap_lines(entry, began, zone, width, history.due[entry], ongoing=entry is history.silence)
    if history.problems or history.pause_of_all is not None:
        yield ''
        yield 'Now'
        if history.pause_of_all is not None:
            yield from _wrap_behind('paused   ', f'all tasks, {format_pause(history.pause_of_all, zone)}', width)
        for group in group_alike(history.problems):
            yield from _wrap_behind(f'{group[0].kind:7}  ', _format_group(group, zone), width)


def _format_group(group: Sequence[Problem], zone: tzinfo | None) -> str:
    first = group[0]
    if len(group) > 1:
        return f'{describe_alike(group)}; {", ".join(str(problem.task) for problem in group)}'
    return str(first.error) if first.task is None else format_problem(first, zone, first.task)


def _run_lines(run: PastRun, began: datetime, now: datetime, stuck: bool, zone: tzinfo | None, width: int) -> list[str]:
    summary = _summarize_run(run, began, now, stuck, zone)
    text = ', '.join([run.task, *summary.about]) + (f': {summary.reason}' if summary.reason else '')
    return _wrap_behind(f'{began:%H:%M:%S}  {summary.outcome:7}  {summary.took:>9}  ', text, width)


def _action_lines(entry: ActionEntry, began: datetime, zone: tzinfo | None, width: int) -> list[str]:
    name = 'all tasks' if entry.task == ALL_TASKS else entry.task
    about = describe_action(entry, lambda minute: _format_time(minute, began, zone))
    text = ', '.join([name, *about]) + (f': {entry.reason}' if entry.reason else '')
    return _wrap_behind(f'{began:%H:%M:%S}  {BY_HAND}             ', text, width)


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


def _details(app: str, run: PastRun, address: str, output: KeptOutput) -> Iterator[str]:
    key = key_of(app, run)
    if key:
        yield f'{INDENT}key {key}'
    if address:
        yield f'{INDENT}page {address}'
    if output.note:
        yield f'{INDENT}note {output.note}'
    if output.log:
        yield f'{INDENT}log'
        # all of it: what is looked for may be anywhere in it
        yield from (f'{INDENT}  {line}' for line in output.log.split('\n'))
    if run.traceback:
        yield from _traceback_end(run.traceback)


def _traceback_end(traceback: str) -> Iterator[str]:
    lines = traceback.rstrip().splitlines()
    if len(lines) > MAX_LINES:
        yield INDENT + '...'
    for line in lines[-MAX_LINES:]:
        yield INDENT + line


def last_run_line(entry: PastRun | Missed, now: datetime, stuck: bool, zone: tzinfo | None) -> str:
    began = clock.to_zone(when(entry), zone)
    text = f'{began:%a %Y-%m-%d %H:%M}'
    if isinstance(entry, Missed):
        return f'{text}, missed{f", {entry.minutes} times until then" if entry.minutes > 1 else ""}'
    run = _summarize_run(entry, began, now, stuck, zone)
    took = f' {"for" if run.outcome in (RUNNING, QUEUED, STUCK) else "in"} {run.took}' if run.took else ''
    why = ': '.join(filter(None, [entry.error, entry.reason]))
    if entry.trigger == BACKFILL and entry.scheduled_for is not None:
        took += f', for {clock.to_zone(entry.scheduled_for, zone):%a %Y-%m-%d %H:%M}'
    made_good = f', {entry.made_good}' if entry.made_good else ''
    return f'{text}, {run.outcome}{took}{made_good}{f": {why}" if why else ""}'
