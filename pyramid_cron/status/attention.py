"""What somebody has to look at, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.reports import FAILED, LOST, MISSED, PAUSED, STUCK, duration
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import LOOKS, line, moment, span
from pyramid_cron.status.memory import Memory
from pyramid_cron.task_summary import due_within
from pyramid_cron.tasks import Tasks

if TYPE_CHECKING:
    from pyramid_cron.store.queries import Gap, Missed

# the tick of a minute comes within it, and takes a while
SILENCE = timedelta(minutes=2)
NO_TICK, STORE = 'no tick', 'store'
# notices of a kind, and names in one of them
MOST = 20


class Notice(NamedTuple):
    """Something that somebody has to look at.

    :param kind: the word for what it is.
    :param symbol: the symbol beside it.
    :param look: the class of the stylesheet.
    :param before: what is said before the names of the tasks.
    :param tasks: the names.
    :param after: what is said behind them.
    """

    kind: str
    symbol: str
    look: str
    before: str = ''
    tasks: Sequence[str] = ()
    after: str = ''


def attention(tasks: Tasks, memory: Memory, now: datetime, window: float, zone: tzinfo | None) -> list[Notice]:
    """Return what needs attention.

    :param now: what time it is.
    :param window: seconds after which a run that has not ended is stuck.
    :param zone: the time zone of what is shown, ``None`` for the machine's.
    """
    if memory.problem is not None:
        return [Notice(STORE, '!', 'bad', f'{memory.problem}. What ran is not known')]
    if not memory.stored:
        return []
    found = [*_silence(tasks, memory, now, zone), *_gaps(tasks, memory, now, zone)]
    of_runs = list(_runs(tasks, memory, now, window, zone))
    for kind in (STUCK, LOST, FAILED):
        found += _few([notice for notice in of_runs if notice.kind == kind])
    found += _few(list(_missed(memory, now, zone)))
    found += _few(list(_paused(tasks, memory, now, zone)))
    return found


def _silence(tasks: Tasks, memory: Memory, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield that nobody asks at present."""
    last = memory.last_tick
    if last is None:
        yield Notice(NO_TICK, '!', 'bad', 'No tick has come yet: nothing has asked the application to run what is due')
    elif now - last > SILENCE:
        first, end = last + clock.MINUTE, clock.minute_of(now)
        due = due_within(tasks, first, end)
        told = f'No tick since {moment(last, now, zone).text}, for {_length(first, end)}'
        yield Notice(
            NO_TICK, '!', 'bad', f'{told}; due since then:' if due else f'{told}; nothing was due', *_some(due)
        )


def _gaps(tasks: Tasks, memory: Memory, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    for gap in islice(memory.gaps, MOST):
        told = f'{_length(gap.first, gap.last)} without a tick, {span(gap.first, gap.last, now, zone)}'
        due = due_within(tasks, gap.first, gap.last)
        # of what is not in the store no run can be caught up
        forgotten = {task.name for task in tasks if not task.store} & set(due)
        not_run = sorted({missed.task for missed in memory.missed if _in(missed, gap)} | forgotten)
        if not_run:
            yield Notice(NO_TICK, '!', 'warn', f'{told}; due then and not run:', *_some(not_run))
        else:
            yield Notice(NO_TICK, '!', 'quiet', f'{told}; {"nothing is missed" if due else "nothing was due then"}')


def _runs(tasks: Tasks, memory: Memory, now: datetime, window: float, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield the tasks whose last run has not come to a good end."""
    for task in tasks:
        run = memory.last_runs.get(task.name)
        shown = run and line(run, now, task.window(window), zone)
        if shown is None or shown.look != 'bad':
            continue
        told = f'{shown.outcome} at {shown.when.text}'
        if shown.outcome == STUCK:
            told = f'stuck, running for {shown.took}'
        elif shown.took:
            told += f' after {shown.took}'
        reason = f': {shown.why}' if shown.why else ''
        yield Notice(shown.outcome, shown.symbol, shown.look, '', [task.name], f'{told}{reason}')


def _missed(memory: Memory, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    """Yield what was missed although ticks came."""
    symbol, look, _ = LOOKS[MISSED]
    for missed in memory.missed:
        if any(_in(missed, gap) for gap in memory.gaps):
            continue
        told = f'missed at {moment(missed.last, now, zone).text}'
        if missed.minutes > 1:
            told = f'missed {missed.minutes} times, {span(missed.first, missed.last, now, zone)}'
        yield Notice(MISSED, symbol, look, '', [missed.task], told)


def _paused(tasks: Tasks, memory: Memory, now: datetime, zone: tzinfo | None) -> Iterator[Notice]:
    symbol, look, _ = LOOKS[PAUSED]
    for task in tasks:
        pause = memory.paused.get(task.name)
        if pause is not None:
            until = f'until {moment(pause.until, now, zone).text}' if pause.until else 'until somebody resumes it'
            requested_by = f' by {pause.requested_by}' if pause.requested_by else ''
            yield Notice(PAUSED, symbol, look, '', [task.name], f'paused{requested_by} {until}: {pause.reason}')


def _in(missed: Missed, gap: Gap) -> bool:
    return missed.first <= gap.last and missed.last >= gap.first


def _few(notices: list[Notice]) -> list[Notice]:
    """Return the first of some notices of a kind, and how many more there are."""
    if len(notices) <= MOST:
        return notices
    return [*notices[:MOST], notices[0]._replace(before=f'and {len(notices) - MOST} more', tasks=(), after='')]


def _some(names: Sequence[str]) -> tuple[Sequence[str], str]:
    return names[:MOST], f'and {len(names) - MOST} more' if len(names) > MOST else ''


def _length(first: datetime, last: datetime) -> str:
    """Return how long the minutes from one to another are: ``10 minutes``."""
    minutes = (last - first) // clock.MINUTE + 1
    if minutes >= 120:
        return duration(minutes * 60)
    return f'{minutes} minute{"" if minutes == 1 else "s"}'
