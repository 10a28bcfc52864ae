"""The notices of what needs attention, the most urgent first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.durations import duration, format_seconds
from pyramid_cron.monitoring.alike import describe_alike, group_alike
from pyramid_cron.monitoring.problem import NO_TICK, TICK_FAILED, WORDS, Problem
from pyramid_cron.outcomes import EXCUSED, FAILED, LOST, MISSED, OVERDUE, PAUSED, STOPPED, STUCK, UNREGISTERED
from pyramid_cron.run_addresses import RunLink
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import CALM, STYLES, format_span, format_time
from pyramid_cron.status.queries import TasksState
from pyramid_cron.summaries import due_between
from pyramid_cron.task_texts import format_acknowledged, format_attempt, format_failing, format_when
from pyramid_cron.tasks import Tasks

if TYPE_CHECKING:
    from pyramid_cron.claims import Pause
    from pyramid_cron.store.ticks import Gap

STORE = 'store'
# names in one notice, and notices of a kind: the table has all of its tasks
MAX_SHOWN, MOST_OF_A_KIND = 20, 10


class Notice(NamedTuple):
    """Something that needs attention.

    :param kind: the word for it.
    :param symbol: the symbol beside the word.
    :param css_class: the class in the stylesheet.
    :param before: the text before the names of the tasks.
    :param tasks: the names.
    :param after: the text behind them.
    :param link: what the page of the run is found by that it is about; ``None`` for any other.
    :param more: the state by which all of the tasks are found, if there are more.
    """

    kind: str
    symbol: str
    css_class: str
    before: str = ''
    tasks: Sequence[str] = ()
    after: str = ''
    link: RunLink | None = None
    more: str = ''


def find_notices(tasks: Tasks, state: TasksState, zone: tzinfo | None) -> list[Notice]:
    """Return what needs attention: the problems of the tasks, and the recent gaps.

    :param zone: the time zone of the times, ``None`` for the machine's.
    """
    if state.error is not None:
        return [Notice(STORE, '!', 'bad', f'{state.error}. The runs are not known')]
    if state.examination is None:
        return []
    problems, now = state.examination.each(), state.examination.snapshot.now
    missed_in_gap = {problem for problem in problems if problem.kind == MISSED and _gap_of(problem, state.gaps)}
    found = [_of_ticks(tasks, problem, now, zone) for problem in problems if problem.task is None]
    registered = {task.name for task in tasks}
    found += _of_gaps(tasks, state.gaps, missed_in_gap, now, zone)
    for word in WORDS:
        chosen = [problem for problem in problems if problem.word == word and problem not in missed_in_gap]
        notices = [
            _notice_of_alike(group, now, zone)
            if len(group) > 1
            else notice_of(group[0], now, zone, group[0].task in registered)
            for group in group_alike(chosen)
        ]
        found += _shorten(notices)
    pause = state.examination.snapshot.pause_of_all
    if pause is not None:
        style, text = STYLES[PAUSED], f'All tasks are {_pause_text(pause, now, zone)}'
        found.append(Notice(PAUSED, style.symbol, style.css_class, text))
    return found


def notice_of(problem: Problem, now: datetime, zone: tzinfo | None, registered: bool = True) -> Notice:
    """Return the notice of a problem of one task.

    :param registered: whether the task is registered here, so that it has a page.
    """
    style, name = STYLES[problem.kind], str(problem.task)
    before, names = ('', [name]) if registered else (name, [])
    css_class = style.css_class if problem.excuse is None else CALM
    # a run that waits for room in its engine has no record yet
    is_over = problem.kind in (FAILED, LOST, MISSED, STOPPED)
    link = RunLink(name, problem.minute) if is_over and problem.minute is not None else None
    return Notice(problem.kind, style.symbol, css_class, before, names, _text(problem, now, zone), link)


def _notice_of_alike(group: Sequence[Problem], now: datetime, zone: tzinfo | None) -> Notice:
    """Return the notice of failures with the same class and message."""
    first = group[0]
    style = STYLES[first.kind]
    names = [str(problem.task) for problem in group]
    since = [problem.failing_since for problem in group if problem.failing_since is not None]
    begin = f'since {format_when(min(since), now, zone)}' if since else ''
    return Notice(
        first.kind,
        style.symbol,
        style.css_class if first.excuse is None else CALM,
        f'{describe_alike(group)}{EXCUSED.get(first.excuse, "")};',
        names[:MAX_SHOWN],
        ', '.join(filter(None, [_others(names), begin])),
        more='' if len(names) <= MAX_SHOWN else first.kind,
    )


def _text(problem: Problem, now: datetime, zone: tzinfo | None) -> str:
    if problem.kind == PAUSED and problem.pause is not None:
        return _pause_text(problem.pause, now, zone)
    if problem.kind in (STUCK, OVERDUE):
        return str(problem)
    if problem.kind == UNREGISTERED and problem.since is not None:
        seen = format_time(problem.since, now, zone).text
        return f'no process with a tick has had it since {seen}; "pcron forget" ends this notice'
    at = '' if problem.since is None else f' at {format_time(problem.since, now, zone).text}'
    took = f' after {format_seconds(problem.seconds)}' if problem.kind == FAILED and problem.seconds else ''
    excuse = EXCUSED.get(problem.excuse, '')
    text = f'{problem.kind}{at}{took}{excuse}{f": {problem.why}" if problem.why else ""}'
    failing = format_failing(problem, now, zone)
    text = f'{text}; {failing}' if failing else text
    text = f'{text}; {format_attempt(problem.next_attempt, now, zone)}' if problem.next_attempt else text
    return f'{text}; {format_acknowledged(problem.acknowledged, zone)}' if problem.acknowledged else text


def _pause_text(pause: Pause, now: datetime, zone: tzinfo | None) -> str:
    until = f'until {"they are" if pause.of_all else "it is"} resumed'
    if pause.until is not None:
        until = f'until {format_time(pause.until, now, zone).text}'
    requested_by = f' by {pause.requested_by}' if pause.requested_by else ''
    since = '' if pause.since is None else f' since {format_time(pause.since, now, zone).text}'
    return f'paused{requested_by}{since} {until}: {pause.reason}'


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
        text = describe_gap(gap, now, zone)
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


def describe_gap(gap: Gap, now: datetime, zone: tzinfo | None) -> str:
    """Return how long no tick came, or ticks failed, and from when to when."""
    what = 'without a tick' if gap.problem is None else f'in which ticks failed ({gap.problem})'
    return f'{_length(gap.first, gap.last)} {what}, {format_span(gap.first, gap.last, now, zone)}'


def _gap_of(problem: Problem, gaps: Sequence[Gap]) -> Gap | None:
    """Return the gap in which a task was missed, ``None`` if ticks came then."""
    minute = problem.since
    return next((gap for gap in gaps if minute is not None and gap.first <= minute <= gap.last), None)


def _shorten(notices: list[Notice]) -> list[Notice]:
    """Return the first notices of a kind, and one with the number of the others."""
    number = len(notices) - MOST_OF_A_KIND
    if number <= 0:
        return notices
    more = notices[0]._replace(before=f'and {number} more', tasks=(), after='', link=None, more=notices[0].kind)
    return [*notices[:MOST_OF_A_KIND], more]


def _first_names(names: Sequence[str]) -> tuple[Sequence[str], str]:
    return names[:MAX_SHOWN], _others(names)


def _others(names: Sequence[str]) -> str:
    return f'and {len(names) - MAX_SHOWN} more' if len(names) > MAX_SHOWN else ''


def _length(first: datetime, last: datetime) -> str:
    """Return the length of the minutes from one to another: ``10 minutes``."""
    minutes = (last - first) // clock.MINUTE + 1
    if minutes >= 120:
        return duration(minutes * 60)
    return f'{minutes} minute{"" if minutes == 1 else "s"}'
