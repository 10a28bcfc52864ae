"""The result of the last due minute of a task, in words: the same on the page, in the toolbar and in ``pcron``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.durations import format_length, format_seconds, run_duration
from pyramid_cron.history_entries import BY_HAND
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, OVERDUE, PAUSED, STOPPED, STUCK, WAITING
from pyramid_cron.schedules import clock
from pyramid_cron.stopping import StopRequest
from pyramid_cron.task_texts import format_attempt, format_failing, format_stop, format_waits, format_when

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem
    from pyramid_cron.store.task_state import TaskState


class LastDue(NamedTuple):
    """What became of the last due minute of a task.

    :param word: the outcome, a problem, or what the run in progress is.
    :param at: the minute, or since when the run is in progress or overdue.
    :param when: the same as a text, or for how long.
    :param took: how long the run took; empty if that is not known or not over.
    :param why: what it raised, or why it has not begun or not ended.
    :param details: what else a person on call has to know, each in a few words.
    :param excuse: why it is no fault, ``None`` if it is one or if nothing is wrong.
    :param by_hand: whether it is the result of a run for no minute.
    """

    word: str
    at: datetime
    when: str
    took: str = ''
    why: str = ''
    details: Sequence[str] = ()
    excuse: str | None = None
    by_hand: bool = False

    def __str__(self) -> str:
        return f'{self.word} {self.when}' if self.when else self.word

    @property
    def lines(self) -> list[str]:
        """What is known beside that, each in a line."""
        return [*filter(None, [self.why]), *self.details]


def find_last_due(state: TaskState, problems: Sequence[Problem], now: datetime, zone: tzinfo | None) -> LastDue | None:
    """Return what became of the last due minute of a task, ``None`` if nothing is known of one.

    A run in progress has its place unless the result before it is bad, which stays visible.

    :param problems: what is wrong with the task.
    :param now: the present instant; a whole minute for texts without seconds.
    """
    by_kind = {problem.kind: problem for problem in reversed(problems)}
    found = _in_place(state, by_kind, now, zone)
    if found is None:
        return None
    problem = by_kind.get(found.word)
    details = tuple(filter(None, _details(state, by_kind, found, now, zone)))
    return found._replace(details=details, excuse=None if problem is None else problem.excuse)


def _in_place(state: TaskState, by_kind: dict[str, Problem], now: datetime, zone: tzinfo | None) -> LastDue | None:
    """Return what takes the place of the last due minute, without what holds for each."""
    in_progress = state.in_progress(STUCK in by_kind)
    for kind in (STUCK, OVERDUE):
        problem = by_kind.get(kind)
        if problem is not None and problem.since is not None:
            return LastDue(kind, problem.since, problem.length, why=problem.error or '')
    if in_progress and state.started is not None and not state.is_bad:
        return LastDue(in_progress, state.started, _length(state.started, now))
    minute = state.last_minute
    if minute is not None and not state.is_bad and state.was_paused_last:
        return LastDue(PAUSED, minute, format_when(minute, now, zone))
    return _of_result(state, now, zone)


def _of_result(state: TaskState, now: datetime, zone: tzinfo | None) -> LastDue | None:
    outcome, at = state.last_outcome, state.last_outcome_for or state.last_at
    if outcome is None or at is None:
        since = state.waits_since
        return None if since is None else LastDue(WAITING, since, _length(since, now))
    has_taken = outcome not in (LOST, MISSED) and state.last_seconds is not None
    when, by_hand = format_when(at, now, zone), state.last_outcome_for is None
    return LastDue(
        outcome,
        at,
        f'{when}, {BY_HAND}' if by_hand else when,
        format_seconds(state.last_seconds or 0.0) if has_taken else '',
        _why(state, outcome),
        by_hand=by_hand,
    )


def _details(
    state: TaskState, by_kind: dict[str, Problem], found: LastDue, now: datetime, zone: tzinfo | None
) -> Iterator[str]:
    """Yield what else is known of the task, or empty texts."""
    word, of_result = found.word, by_kind.get(state.last_outcome or '')
    result = _of_result(state, now, zone)
    if state.is_bad and result is not None and word != state.last_outcome:
        yield f'before that {result}'
    if state.is_bad and of_result is not None:
        yield format_failing(of_result, now, zone)
    problem = by_kind.get(word, of_result)
    yield (problem and problem.excuse) or ''
    in_progress, started = state.in_progress(STUCK in by_kind), state.started
    if in_progress and started is not None and word not in (in_progress, OVERDUE):
        yield f'{in_progress} {_length(started, now)}'.rstrip()
    # that a run is stuck is more
    yield '' if word == STUCK else state.compare(now.timestamp())
    yield '' if state.progress is None else state.progress.describe(now)
    attempt = next((problem.next_attempt for problem in by_kind.values() if problem.next_attempt), None)
    yield '' if attempt is None else format_attempt(attempt, now, zone)
    waits = state.waits_since
    yield '' if waits is None or word == WAITING else format_waits(waits, now, zone)
    yield '' if state.stop_request is None else format_stop(state.stop_request, zone)
    if word != OK and state.last_success_at is not None:
        yield f'last ok {format_when(state.last_success_at, now, zone)}'


def _why(state: TaskState, outcome: str) -> str:
    if outcome == STOPPED:
        return StopRequest(state.stop_requested_by).reason
    return ': '.join(filter(None, [state.last_error, state.last_message])) if outcome == FAILED else ''


def _length(since: datetime, now: datetime) -> str:
    """Return how long ago an instant is, empty for less than a second: ``40 s``, ``4 min 10 s``, ``3 h``."""
    if now == clock.minute_of(now):
        # without seconds
        since = clock.minute_of(since)
    seconds = (now - since).total_seconds()
    if seconds < 1:
        return ''
    return run_duration(seconds) if seconds < 3600 and seconds % 60 else format_length(since, now)
