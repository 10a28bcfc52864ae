"""What ``pcron history`` shows of what the store remembers. Imported only where there is a store."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import Connection

from pyramid_cron.reports import LOST, QUEUED, RUNNING, PastRun, duration
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.listing import wrapped
from pyramid_cron.scripts.loading import Refused
from pyramid_cron.store import queries
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.missed import NOBODY_ASKED
from pyramid_cron.store.queries import Gap, Missed
from pyramid_cron.task_summary import due_within, run_as_dict
from pyramid_cron.tasks import Tasks
from pyramid_cron.times import TimeError, parse_since

# lines of a traceback, from its end
MOST_LINES = 15
# names of tasks in one line of the listing
MOST_NAMES = 6

# last runs of one task
MOST_RUNS = 5

BEHIND_TIME = ' ' * 10


def history(claims: StoreClaims, tasks: Tasks, zone: tzinfo | None, now: datetime, args: Any, width: int) -> str:
    """Return what the command is to print.

    :param args: its arguments, with ``names`` of tasks.
    :raises Refused: if nothing is known of one of the tasks.
    :raises Unavailable: if the store cannot be asked.
    """
    try:
        since = None if args.since is None else parse_since(args.since, now, zone)
    except TimeError as exc:
        raise Refused(f'--since {exc}') from None
    app, past = claims.options.app, Past()
    with claims.reading() as connection:
        if connection is not None:
            past = look_back(
                connection, app, tasks, now, limit=args.limit, names=args.names, since=since, faults=args.failed
            )
    known = {entry.task for entry in past.entries if not isinstance(entry, Gap)}
    require_known(args.names, tasks, known)
    if args.json:
        return as_json(past, app, zone)
    return '\n'.join(as_text(past, now, zone, width, args.verbose))


def last_lines(claims: StoreClaims, name: str, zone: tzinfo | None) -> list[str]:
    """Return a line for each of the last runs of a task, and for what was missed or skipped, the newest first.

    :raises Unavailable: if the store cannot be asked.
    """
    with claims.reading() as connection:
        if connection is None:
            return ['none yet']
        runs = queries.past_runs(connection, claims.options.app, MOST_RUNS, [name])
        passed = queries.missed(connection, claims.options.app, MOST_RUNS, [name])
    lines = []
    entries: list[PastRun | Missed] = [*runs, *passed]
    for entry in sorted(entries, key=queries.when, reverse=True)[:MOST_RUNS]:
        shown = f'{clock.to_zone(queries.when(entry), zone):%a %Y-%m-%d %H:%M}'
        if isinstance(entry, Missed):
            lines.append(f'{shown}, missed{f", {entry.minutes} times until then" if entry.minutes > 1 else ""}')
            continue
        known = entry.attempt and entry.seconds is not None and entry.outcome != LOST
        took = f' in {entry.seconds:.3f} s' if known else ''
        why = entry.error or entry.reason
        lines.append(f'{shown}, {entry.outcome}{took}{f": {why}" if why else ""}')
    return lines or ['none yet']


class Past(NamedTuple):
    """What is remembered, as far as it was asked for.

    :param entries: in the order in which they happened.
    :param due: for each gap, the names of the tasks that were due in it.
    :param last_tick: the newest minute that had a tick.
    :param silence: the minutes since then, if there are too many.
    """

    entries: Sequence[PastRun | Missed | Gap] = ()
    due: Mapping[Gap, Sequence[str]] = {}
    last_tick: datetime | None = None
    silence: Gap | None = None


def look_back(
    connection: Connection,
    app: str,
    tasks: Tasks,
    now: datetime,
    *,
    limit: int,
    names: Collection[str] = (),
    since: datetime | None = None,
    faults: bool = False,
) -> Past:
    """Return what is remembered.

    :param app: the application, among others in the database.
    :param tasks: its tasks, to tell which were due when nobody asked.
    :param now: what time it is.
    :param limit: how many of the newest entries.
    :param names: the tasks to show, all if there is none; then gaps in which none of them was due are left out.
    :param since: the instant from which on.
    :param faults: only what failed, was lost or was missed, and gaps in which something was due.
    """
    runs = queries.past_runs(connection, app, limit, names, since, faults)
    # what was missed before all of these would not be shown
    missed = queries.missed(connection, app, limit, names, runs[-1].started if len(runs) == limit else since)
    wanted = [task for task in tasks if not names or task.name in names]
    due = {gap: due_within(wanted, *gap) for gap in queries.gaps_since(connection, app, limit, since)}
    gaps = [gap for gap in due if due[gap] or not (names or faults)]
    last, silence = queries.last_tick(connection, app), None
    # the present minute may be asked for yet
    if last is not None and now - last >= 3 * clock.MINUTE:
        silence = Gap(last + clock.MINUTE, clock.minute_of(now) - clock.MINUTE)
        due[silence] = due_within(wanted, *silence)
    return Past(queries.in_order(runs, missed, gaps, limit), due, last, silence)


def as_json(past: Past, app: str, zone: tzinfo | None) -> str:
    """Return it all for a program."""

    def instant(moment: datetime) -> str:
        return clock.to_zone(moment, zone).isoformat()

    def entry(entry: PastRun | Missed | Gap) -> dict[str, Any]:
        if isinstance(entry, PastRun):
            return {'kind': 'run', **run_as_dict(entry, zone)}
        values = {
            name: instant(value) if isinstance(value, datetime) else value for name, value in entry._asdict().items()
        }
        if isinstance(entry, Missed):
            return {'kind': 'missed', **values}
        return {'kind': 'gap', **values, 'due': list(past.due[entry])}

    shown = {
        'app': app,
        'last_tick': past.last_tick and instant(past.last_tick),
        'silence': past.silence and entry(past.silence),
        'entries': [entry(each) for each in past.entries],
    }
    return json.dumps(shown, indent=2)


def as_text(past: Past, now: datetime, zone: tzinfo | None, width: int, verbose: bool) -> Iterator[str]:
    """Yield lines for people, none longer than ``width`` unless a single word or a line of a traceback is."""
    if not past.entries:
        yield 'Nothing of that is remembered.' if past.last_tick else 'Nothing is remembered: no tick has come yet.'
    day = None
    for entry in [*past.entries, *([past.silence] if past.silence else [])]:
        began = clock.to_zone(queries.when(entry), zone)
        if began.date() != day:
            if day is not None or not past.entries:
                yield ''
            day = began.date()
            yield f'{day:%a %Y-%m-%d}, {zone or "local time"}'
        if isinstance(entry, PastRun):
            yield from _run_lines(entry, began, now, zone, width)
            if verbose and entry.traceback:
                yield from _end_of(entry.traceback)
        elif isinstance(entry, Missed):
            yield from _missed_lines(entry, began, zone, width)
        else:
            yield from _gap_lines(entry, began, zone, width, past.due[entry], ongoing=entry is past.silence)


def _run_lines(run: PastRun, began: datetime, now: datetime, zone: tzinfo | None, width: int) -> list[str]:
    took = ''
    if run.outcome in (RUNNING, QUEUED):
        took = duration((now - run.started).total_seconds())
    elif run.attempt and run.outcome != LOST and run.seconds is not None:
        took = f'{run.seconds:.3f} s' if run.seconds < 120 else duration(run.seconds)
    told = [run.task]
    if run.scheduled_for is None:
        told.append('by hand')
    elif run.scheduled_for != clock.minute_of(run.started):
        told.append(f'for {_time(run.scheduled_for, began, zone)}')
    if run.attempt > 1:
        told.append(f'attempt {run.attempt}')
    if run.process:
        told.append(run.process)
    text = ', '.join(told) + (f': {run.why}' if run.why else '')
    return wrapped(f'{began:%H:%M:%S}  {run.outcome:7}  {took:>9}  ', text, width)


def _missed_lines(missed: Missed, began: datetime, zone: tzinfo | None, width: int) -> list[str]:
    told = missed.task
    if missed.minutes > 1:
        told += f', {missed.minutes} times since {_time(missed.first, began, zone)}'
    if missed.reason not in (None, NOBODY_ASKED):
        told += f': {missed.reason}'
    return wrapped(f'{began:%H:%M}     missed              ', told, width)


def _gap_lines(
    gap: Gap, began: datetime, zone: tzinfo | None, width: int, due: Sequence[str], ongoing: bool
) -> list[str]:
    length = f'({duration((gap.last - gap.first + clock.MINUTE).total_seconds())})'
    if ongoing:
        span = f'since {began:%H:%M} {length}'
    elif gap.first == gap.last:
        span = f'at {began:%H:%M}'
    else:
        span = f'from {began:%H:%M} to {_time(gap.last, began, zone)} {length}'
    names = [*due[:MOST_NAMES], *([f'{len(due) - MOST_NAMES} more'] if len(due) > MOST_NAMES else [])]
    then = f'due then: {", ".join(names)}' if due else 'nothing was due then'
    return wrapped(f'{began:%H:%M}     ', f'no tick {span}; {then}', width)


def _time(moment: datetime, day: datetime, zone: tzinfo | None) -> str:
    """Return a minute, with its date if that is another than that of the line."""
    shown = clock.to_zone(moment, zone)
    return f'{shown:%H:%M}' if shown.date() == day.date() else f'{shown:%Y-%m-%d %H:%M}'


def _end_of(traceback: str) -> Iterator[str]:
    lines = traceback.rstrip().splitlines()
    if len(lines) > MOST_LINES:
        yield BEHIND_TIME + '...'
    for line in lines[-MOST_LINES:]:
        yield BEHIND_TIME + line
