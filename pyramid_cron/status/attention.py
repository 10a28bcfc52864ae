"""The notices of what needs attention, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.reports import FAILED, LOST, MISSED, PAUSED, STUCK, duration
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import STYLES, format_run, format_span, format_time
from pyramid_cron.status.queries import Snapshot
from pyramid_cron.task_summary import due_between
from pyramid_cron.tasks import Tasks

if TYPE_CHECKING:
    from pyramid_cron.store.queries import Gap, Missed

# the tick of a minute comes within that minute, and takes a while
SILENCE = timedelta(minutes=2)
NO_TICK, STORE = 'no tick', 'store'
# notices of a kind, and names in one notice
MAX_SHOWN = 20


class Notice(NamedTuple):
    """Something that needs attention.

    :param kind: the word for it.
    :param symbol: the symbol beside the word.
    :param css_class: the class in the stylesheet.
    :param before: the text before the names of the tasks.
    :param tasks: the names.
    :param after: the text behind them.
    """

    kind: str
    symbol: str
    css_class: str
    before: str = ''
    tasks: Sequence[str] = ()
    after: str = ''


def find_notices(tasks: Tasks, snapshot: Snapshot, now: datetime, window: float, zone: tzinfo | None) -> list[Notice]:
    """Return what needs attention.

    :param now: the present instant.
    :param window: seconds after which a run that has not ended is stuck.
    :param zone: the time zone of the times, ``None`` for the machine's.
    """
    if snapshot.error is not None:
        return [Notice(STORE, '!', 'bad', f'{snapshot.error}. What ran is not known')]
    if not snapshot.has_store:
        return []
    found = [*_silence(tasks, snapshot, now, zone), *_gaps(tasks, snapshot, now, zone)]
    of_runs = list(_runs(tasks, snapshot, now, window, zone))
    for kind in (STUCK, LOST, FAILED):
        found += _shorten([notice for notice in of_runs if notice.kind == kind])
    found += _shorten(list(_missed(snapshot, now, zone)))
    found += _shorten(list(_paused(tasks, snapshot, now, zone)))
    return found


def _silence(tasks: Tasks, snapshot: Snapshot, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield a notice if the last tick is too long ago."""
    last = snapshot.last_tick
    if last is None:
        yield Notice(NO_TICK, '!', 'bad', 'No tick has come yet: nothing has requested the trigger')
    elif now - last > SILENCE:
        first, end = last + clock.MINUTE, clock.minute_of(now)
        due = due_between(tasks, first, end)
        text = f'No tick since {format_time(last, now, zone).text}, for {_length(first, end)}'
        text += '; due since then:' if due else '; nothing was due'
        yield Notice(NO_TICK, '!', 'bad', text, *_first_names(due))


def _gaps(tasks: Tasks, snapshot: Snapshot, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    for gap in islice(snapshot.gaps, MAX_SHOWN):
        text = f'{_length(gap.first, gap.last)} without a tick, {format_span(gap.first, gap.last, now, zone)}'
        due = due_between(tasks, gap.first, gap.last)
        # a task that is not in the store is not caught up
        not_stored = {task.name for task in tasks if not task.store} & set(due)
        not_run = sorted({missed.task for missed in snapshot.missed if _overlaps(missed, gap)} | not_stored)
        if not_run:
            yield Notice(NO_TICK, '!', 'warn', f'{text}; due then and not run:', *_first_names(not_run))
        else:
            yield Notice(NO_TICK, '!', 'quiet', f'{text}; {"nothing is missed" if due else "nothing was due then"}')


def _runs(tasks: Tasks, snapshot: Snapshot, now: datetime, window: float, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield the tasks with a last run that is stuck, was lost or failed."""
    for task in tasks:
        run = snapshot.last_runs.get(task.name)
        shown = run and format_run(run, now, task.window(window), zone, whole_reason=True)
        if shown is None or shown.css_class != 'bad':
            continue
        text = f'{shown.outcome} at {shown.when.text}'
        if shown.outcome == STUCK:
            text = f'stuck, running for {shown.took}'
        elif shown.took:
            text += f' after {shown.took}'
        reason = f': {shown.why}' if shown.why else ''
        yield Notice(shown.outcome, shown.symbol, shown.css_class, '', [task.name], f'{text}{reason}')


def _missed(snapshot: Snapshot, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield the runs that were missed although ticks came."""
    symbol, css_class, _ = STYLES[MISSED]
    for missed in snapshot.missed:
        if any(_overlaps(missed, gap) for gap in snapshot.gaps):
            continue
        text = f'missed at {format_time(missed.last, now, zone).text}'
        if missed.minutes > 1:
            text = f'missed {missed.minutes} times, {format_span(missed.first, missed.last, now, zone)}'
        yield Notice(MISSED, symbol, css_class, '', [missed.task], text)


def _paused(tasks: Tasks, snapshot: Snapshot, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    symbol, css_class, _ = STYLES[PAUSED]
    for task in tasks:
        pause = snapshot.pauses.get(task.name)
        if pause is not None:
            until = f'until {format_time(pause.until, now, zone).text}' if pause.until else 'until it is resumed'
            requested_by = f' by {pause.requested_by}' if pause.requested_by else ''
            yield Notice(PAUSED, symbol, css_class, '', [task.name], f'paused{requested_by} {until}: {pause.reason}')


def _overlaps(missed: Missed, gap: Gap) -> bool:
    return missed.first <= gap.last and missed.last >= gap.first


def _shorten(notices: list[Notice]) -> list[Notice]:
    """Return the first notices of a kind, and one with the number of the others."""
    if len(notices) <= MAX_SHOWN:
        return notices
    return [
        *notices[:MAX_SHOWN],
        notices[0]._replace(before=f'and {len(notices) - MAX_SHOWN} more', tasks=(), after=''),
    ]


def _first_names(names: Sequence[str]) -> tuple[Sequence[str], str]:
    return names[:MAX_SHOWN], f'and {len(names) - MAX_SHOWN} more' if len(names) > MAX_SHOWN else ''


def _length(first: datetime, last: datetime) -> str:
    """Return the length of the minutes from one to another: ``10 minutes``."""
    minutes = (last - first) // clock.MINUTE + 1
    if minutes >= 120:
        return duration(minutes * 60)
    return f'{minutes} minute{"" if minutes == 1 else "s"}'
