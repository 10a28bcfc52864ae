"""The one definition of what is wrong with the tasks of an application: computed from rows and an instant, no query.

Health, metrics, the status page, the debug toolbar and ``pcron`` show what :func:`find_problems` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyramid_cron.reports import AHEAD, FAILED, LOST, MISSED, PAUSED, STUCK, UNREGISTERED, duration

if TYPE_CHECKING:
    from pyramid_cron.claims import Pause
    from pyramid_cron.store.admin import Snapshot
    from pyramid_cron.store.task_state import TaskState
    from pyramid_cron.tasks import Task

# a tick may come at any second of its minute, and takes time to be recorded
LONGEST_SILENCE = timedelta(minutes=2)
# a tick ends with its last task, and each server may be busy with one
LONGEST_TICK = timedelta(minutes=10)
# clocks may differ by a minute
LONGEST_LEAD = timedelta(minutes=2)

#: the kinds of problems of all tasks
OF_TICKS = NO_TICK, TICK_FAILED = 'no tick', 'tick failed'
#: the kinds of problems of a task, the most urgent first
KINDS = (STUCK, AHEAD, LOST, FAILED, MISSED, UNREGISTERED, PAUSED)
#: those that are shown, and are no fault
NO_FAULTS = (UNREGISTERED, PAUSED)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or that a person on call has to know.

    :param kind: ``'no tick'``, ``'tick failed'``, or one of :data:`KINDS`.
    :param task: the name of the task, ``None`` if it concerns all of them.
    :param since: the last tick, the last that did all of its work, the beginning of the run that is stuck, the end of
        the run that failed or was found lost, the minute that was missed or that lies in the future, the last tick of a
        process that had the unregistered task, or ``None`` where that is not known.
    :param minute: the minute of the run that failed or was lost, or that was missed; ``None`` for a run by name.
    :param seconds: how long there was no tick, the stuck run has been running, or the failed one took.
    :param error: the class of the exception of a failed run, what the last tick could not do, or how far ahead of the
        database's clock a row is.
    :param pause: the pause of a paused task.
    """

    kind: str
    task: str | None = None
    since: datetime | None = None
    minute: datetime | None = None
    seconds: float | None = None
    error: str | None = None
    pause: Pause | None = None

    @property
    def is_fault(self) -> bool:
        """Whether health fails because of it."""
        return self.kind not in NO_FAULTS

    def as_sentence(self) -> str:
        """Return it for people, with a capital at the beginning."""
        text = str(self)
        return text[:1].upper() + text[1:]

    def __str__(self) -> str:
        if self.kind == NO_TICK:
            return 'no tick has come yet' if self.seconds is None else f'no tick for {duration(self.seconds)}'
        if self.kind == STUCK and self.seconds is not None:
            return f'{self.kind}, running for {duration(self.seconds)}'
        return f'{self.kind}: {self.error}' if self.error else self.kind


def find_problems(snapshot: Snapshot, tasks: Iterable[Task], window: float) -> list[Problem]:
    """Return what is wrong with tasks, by kind with the most urgent first, then by name.

    Of a task that is not registered here, only that it is unregistered or paused counts.

    :param tasks: the tasks that are registered here.
    :param window: the setting ``cron.window``, the default of the seconds after which a run is stuck.
    """
    found = list(_of_ticks(snapshot))
    registered, of_tasks = {task.name: task for task in tasks}, list[Problem]()
    for name, state in sorted(snapshot.states.items()):
        task = registered.get(name)
        if task is not None:
            of_tasks += _of_task(state, snapshot.now, task.window(window))
        of_tasks += _of_row(state, snapshot)
    return found + sorted(of_tasks, key=lambda problem: KINDS.index(problem.kind))


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


def _of_task(state: TaskState, now: datetime, window: float) -> Iterator[Problem]:
    running = state.running_seconds(now.timestamp())
    if running is not None and running > window:
        yield Problem(STUCK, state.task, state.started, seconds=running)
    if state.newest - now > LONGEST_LEAD:
        yield Problem(AHEAD, state.task, state.newest, error=f'its row is {_lead(state.newest, now)}')
    if state.last_outcome == FAILED:
        yield Problem(
            FAILED, state.task, state.last_finished, state.last_outcome_for, state.last_seconds, state.last_error
        )
    elif state.last_outcome == LOST:
        yield Problem(LOST, state.task, state.last_finished, state.last_outcome_for)
    elif state.last_outcome == MISSED:
        yield Problem(MISSED, state.task, state.last_outcome_for, state.last_outcome_for)


def _of_row(state: TaskState, snapshot: Snapshot) -> Iterator[Problem]:
    if snapshot.ticks is not None and state.is_unregistered(snapshot.ticks.before):
        yield Problem(UNREGISTERED, state.task, state.last_seen)
    if state.is_paused(snapshot.now):
        yield Problem(PAUSED, state.task, pause=state.pause)


def _lead(minute: datetime, now: datetime) -> str:
    return f"{duration((minute - now).total_seconds())} ahead of the database's clock"
