"""The one definition of what is wrong with the tasks of an application: computed from rows and an instant, no query.

Health, metrics, the status page, the debug toolbar and ``pcron`` show what :func:`find_problems` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyramid_cron.durations import duration, run_duration
from pyramid_cron.monitoring.overdue import LONGEST_SILENCE, find_overdue
from pyramid_cron.monitoring.problem import NO_TICK, TICK_FAILED, WORDS, Problem
from pyramid_cron.outcomes import (
    AHEAD,
    FAILED,
    OK,
    OVERDUE,
    PAUSED,
    SLOW,
    STOPPED,
    STUCK,
    UNREGISTERED,
)
from pyramid_cron.stopping import StopRequest

if TYPE_CHECKING:
    from pyramid_cron.store.snapshot import Snapshot
    from pyramid_cron.store.task_state import TaskState
    from pyramid_cron.tasks import Task

# a tick ends with its last task, and each server may be busy with one
LONGEST_TICK = timedelta(minutes=10)
# clocks may differ by a minute
LONGEST_LEAD = timedelta(minutes=2)
# of the time for which a queued run waits for a worker: then it has been enqueued again for the last time
OVERDUE_AFTER = 0.5

# why a due task has not begun
NO_TICK_SINCE = 'no tick has come since then'


def find_problems(snapshot: Snapshot, tasks: Iterable[Task], window: float) -> list[Problem]:
    """Return what is wrong with tasks, by kind with the most urgent first, then by name.

    Of a row without a registered task, or of a task with ``store=False``, only that it is unregistered or paused
    counts: no tick updates its last result.

    :param tasks: the tasks that are registered here.
    :param window: the setting ``cron.window``, for tasks without ``expect``, see :func:`.limits_of`.
    """
    found = list(_of_ticks(snapshot))
    stored, of_tasks = {task.name: task for task in tasks if task.store}, list[Problem]()
    for name, state in sorted(snapshot.states.items()):
        task = stored.get(name)
        if task is not None:
            of_tasks += _of_task(state, task, snapshot, window)
        of_tasks += _of_row(state, snapshot, task is not None)
    if snapshot.pause_of_all is not None:
        new = (name for name in stored if name not in snapshot.states)
        of_tasks += [Problem(PAUSED, name, pause=snapshot.pause_of_all) for name in new]
    return found + sorted(of_tasks, key=lambda problem: (WORDS.index(problem.word), str(problem.task)))


def _of_ticks(snapshot: Snapshot) -> Iterator[Problem]:
    ticks, now = snapshot.ticks, snapshot.now
    if ticks is None:
        yield Problem(NO_TICK)
        return
    is_silent = now - ticks.last > LONGEST_SILENCE
    if is_silent:
        yield Problem(NO_TICK, since=ticks.last, seconds=(now - ticks.last).total_seconds())
    if ticks.last - now > LONGEST_LEAD:
        yield Problem(TICK_FAILED, error=f'the last tick is {_lead(ticks.last, now)}')
    elif ticks.problem is not None:
        yield Problem(TICK_FAILED, since=ticks.done, error=ticks.problem)
    elif not is_silent and ticks.done is not None and now - ticks.done > LONGEST_TICK:
        unfinished = f'no tick has come to its end for {duration((now - ticks.done).total_seconds())}'
        yield Problem(TICK_FAILED, since=ticks.done, error=unfinished)


def _of_task(state: TaskState, task: Task, snapshot: Snapshot, window: float) -> Iterator[Problem]:
    now = snapshot.now
    paused = PAUSED if state.is_paused(now) else None
    running = state.running_seconds(now.timestamp())
    if running is not None:
        limits = state.limits(task, window)
        if running > limits.stuck:
            request = state.stop_request
            yield Problem(STUCK, state.task, state.started, seconds=running, excuse=paused, stop=request)
        elif running > limits.slow:
            yield _slow(state, task, state.started, f'running for {run_duration(running)}')
    elif state.last_outcome == OK and _is_longer(state.last_seconds, task):
        yield _slow(state, task, state.last_finished, f'took {run_duration(state.last_seconds or 0.0)}')
    elif state.last_outcome == STOPPED and state.last_outcome_for is not None and not task.schedule.is_off:
        yield _stopped(state, task)
    yield from _of_queue(state, task, snapshot, paused)
    yield from _of_due(state, task, snapshot)
    if state.newest - now > LONGEST_LEAD:
        lead = f'its row is {_lead(state.newest, now)}'
        yield Problem(AHEAD, state.task, state.newest, error=lead, excuse=paused)
    # no later run by schedule would end the problem of a task that is off
    if state.is_bad and not task.schedule.is_off:
        yield _of_result(state, task, now)


def _of_queue(state: TaskState, task: Task, snapshot: Snapshot, excuse: str | None) -> Iterator[Problem]:
    """Yield the problem that a run has waited for a worker, or for its engine, half of the time for which it may."""
    timeout, since = task.queue_timeout(snapshot.catch_up), state.waits_since
    if since is not None and snapshot.now - since >= OVERDUE_AFTER * timeout:
        waits = (snapshot.now - since).total_seconds()
        yield Problem(OVERDUE, state.task, since, since, waits, 'its engine has no room for it', excuse=excuse)
    waited = state.queued_seconds(snapshot.now.timestamp())
    patience = state.patience(timeout)
    if waited is None or waited < OVERDUE_AFTER * patience.total_seconds():
        return
    failure = state.worker_failure
    error = 'no worker has begun it' if failure is None else f'a worker failed before the task: {failure}'
    minute = None if state.handed_over_for == state.run_id else state.last_minute
    yield Problem(OVERDUE, state.task, state.started, minute, waited, error, excuse=excuse)


def _of_due(state: TaskState, task: Task, snapshot: Snapshot) -> Iterator[Problem]:
    """Yield the problem that a task was due, and that no tick has come since then."""
    minute = find_overdue(state, task, snapshot)
    if minute is not None:
        seconds = (snapshot.now - minute).total_seconds()
        yield Problem(OVERDUE, state.task, minute, minute, seconds, NO_TICK_SINCE, never_begun=True)


def _is_longer(seconds: float | None, task: Task) -> bool:
    return seconds is not None and task.expect is not None and seconds > task.expect


def _slow(state: TaskState, task: Task, since: datetime | None, how_long: str) -> Problem:
    return Problem(SLOW, state.task, since, error=f'{how_long}, expected {run_duration(task.expect or 0.0)}')


def _stopped(state: TaskState, task: Task) -> Problem:
    by = StopRequest(state.stop_requested_by).reason
    next_attempt = _next_attempt(state, task)
    return Problem(STOPPED, state.task, state.last_at, state.last_outcome_for, error=by, next_attempt=next_attempt)


def _of_result(state: TaskState, task: Task, now: datetime) -> Problem:
    """Return the problem that the last result of a task is bad."""
    failing = state.failing(now)
    problem = Problem(
        str(state.last_outcome),
        state.task,
        state.last_at,
        state.last_outcome_for,
        excuse=failing.excuse(task.tolerate),
        acknowledged=state.acknowledgement,
        runs=failing.runs,
        failing_since=state.failing_since,
    )
    if state.last_outcome == FAILED:
        return replace(
            problem,
            seconds=state.last_seconds,
            error=state.last_error,
            message=state.last_message,
            next_attempt=_next_attempt(state, task),
        )
    return problem


def _next_attempt(state: TaskState, task: Task) -> datetime | None:
    """Return the minute of the first tick that may repeat the last run, unless a newer minute or a pause is first."""
    at = state.retry_at
    if at is None or state.last_minute is None or state.is_paused(at):
        return None
    return at if task.is_repeated_at(at, after=state.owed_after(task.runs_each_minute)) else None


def _of_row(state: TaskState, snapshot: Snapshot, is_stored: bool) -> Iterator[Problem]:
    if snapshot.ticks is not None and state.is_unregistered(snapshot.ticks.before):
        yield Problem(UNREGISTERED, state.task, state.last_seen)
    # the pause of all tasks is not one of a task that may be gone, or that no longer is in the store
    pauses = [pause for pause in state.pauses_at(snapshot.now) if is_stored or not pause.of_all]
    if pauses:
        yield Problem(PAUSED, state.task, pause=pauses[0], shorter_pause=next(iter(pauses[1:]), None))


def _lead(minute: datetime, now: datetime) -> str:
    return f"{duration((minute - now).total_seconds())} ahead of the database's clock"
