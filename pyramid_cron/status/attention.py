"""The notices of what needs attention, the most urgent first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.monitoring.problems import KINDS, NO_TICK, TICK_FAILED, Problem
from pyramid_cron.reports import FAILED, MISSED, PAUSED, STUCK, UNREGISTERED, duration, format_seconds
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import STYLES, format_span, format_time
from pyramid_cron.status.queries import TasksState
from pyramid_cron.task_summary import due_between
from pyramid_cron.tasks import Tasks

if TYPE_CHECKING:
    from pyramid_cron.store.ticks import Gap

STORE = 'store'
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


def find_notices(tasks: Tasks, state: TasksState, zone: tzinfo | None) -> list[Notice]:
    """Return what needs attention: the problems of the tasks, and the recent gaps.

    :param zone: the time zone of the times, ``None`` for the machine's.
    """
    if state.error is not None:
        return [Notice(STORE, '!', 'bad', f'{state.error}. What ran is not known')]
    if state.examination is None:
        return []
    problems, now = state.examination.problems, state.examination.snapshot.now
    missed_in_gap = {problem for problem in problems if problem.kind == MISSED and _gap_of(problem, state.gaps)}
    found = [_of_ticks(tasks, problem, now, zone) for problem in problems if problem.task is None]
    registered = {task.name for task in tasks}
    found += _of_gaps(tasks, state.gaps, missed_in_gap, now, zone)
    for kind in KINDS:
        chosen = [problem for problem in problems if problem.kind == kind and problem not in missed_in_gap]
        found += _shorten([notice_of(problem, now, zone, problem.task in registered) for problem in chosen])
    return found


def notice_of(problem: Problem, now: datetime, zone: tzinfo | None, registered: bool = True) -> Notice:
    """Return the notice of a problem of one task.

    :param registered: whether the task is registered here, so that it has a page.
    """
    style, name = STYLES[problem.kind], str(problem.task)
    before, names = ('', [name]) if registered else (name, [])
    return Notice(problem.kind, style.symbol, style.css_class, before, names, _text(problem, now, zone))


def _text(problem: Problem, now: datetime, zone: tzinfo | None) -> str:
    if problem.kind == PAUSED and problem.pause is not None:
        pause = problem.pause
        until = f'until {format_time(pause.until, now, zone).text}' if pause.until else 'until it is resumed'
        requested_by = f' by {pause.requested_by}' if pause.requested_by else ''
        return f'paused{requested_by} {until}: {pause.reason}'
    if problem.kind == STUCK:
        return str(problem)
    if problem.kind == UNREGISTERED and problem.since is not None:
        seen = format_time(problem.since, now, zone).text
        return f'no process with a tick has had it since {seen}; "pcron forget" ends this notice'
    at = '' if problem.since is None else f' at {format_time(problem.since, now, zone).text}'
    took = f' after {format_seconds(problem.seconds)}' if problem.kind == FAILED and problem.seconds else ''
    return f'{problem.kind}{at}{took}{f": {problem.error}" if problem.error else ""}'


def _of_ticks(tasks: Tasks, problem: Problem, now: datetime, zone: tzinfo | None) -> Notice:
    """Return the notice that ticks do not come, or fail."""
    if problem.kind == TICK_FAILED:
        good = '' if problem.since is None else f'; the last good one: {format_time(problem.since, now, zone).text}'
        return Notice(TICK_FAILED, '!', 'bad', f'{problem.as_sentence()}{good}')
    if problem.since is None:
        return Notice(NO_TICK, '!', 'bad', 'No tick has come yet: nothing has requested the trigger')
    first, end = problem.since + clock.MINUTE, clock.minute_of(now)
    due = due_between(tasks, first, end)
    text = f'No tick since {format_time(problem.since, now, zone).text}, for {_length(first, end)}'
    text += '; due since then:' if due else '; nothing was due'
    return Notice(NO_TICK, '!', 'bad', text, *_first_names(due))


def _of_gaps(
    tasks: Tasks, gaps: Sequence[Gap], missed: Collection[Problem], now: datetime, zone: tzinfo | None
) -> Iterator[Notice]:
    for gap in islice(gaps, MAX_SHOWN):
        what = 'without a tick' if gap.problem is None else f'in which ticks failed ({gap.problem})'
        text = f'{_length(gap.first, gap.last)} {what}, {format_span(gap.first, gap.last, now, zone)}'
        due = due_between(tasks, gap.first, gap.last)
        # a task that is not in the store is not caught up
        not_run = {task.name for task in tasks if not task.store} & set(due)
        not_run |= {str(problem.task) for problem in missed if _gap_of(problem, [gap])}
        if not_run:
            yield Notice(NO_TICK, '!', 'warn', f'{text}; due then and not run:', *_first_names(sorted(not_run)))
        elif due:
            yield Notice(NO_TICK, '!', 'quiet', f'{text}; due then, and run since:', *_first_names(due))
        else:
            yield Notice(NO_TICK, '!', 'quiet', f'{text}; nothing was due then')


def _gap_of(problem: Problem, gaps: Sequence[Gap]) -> Gap | None:
    """Return the gap in which a task was missed, ``None`` if ticks came then."""
    minute = problem.since
    return next((gap for gap in gaps if minute is not None and gap.first <= minute <= gap.last), None)


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
