"""Compares the tasks of the code with the rows of the store: what a deploy of the code does. Pure: no statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from pyramid_cron.callables import dotted_path
from pyramid_cron.claims import Pause
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.nearest import until
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.store.older_tables import StoredTasks
from pyramid_cron.store.renames import under_other_names
from pyramid_cron.store.schedule_text import is_schedule_of, read_schedule, write_for_people
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

# what a deploy does to a task: is in the store under its name, with its schedule or another; under a former name; not
# at all; or it was gone, and is back
SAME, CHANGED, RENAMED, NEW, BACK = 'same', 'changed', 'renamed', 'new', 'back'
# and to a row without a task: it is registered with store=False, not at all, or has not been for long
OUTSIDE, GONE, GONE_BEFORE = 'outside', 'gone', 'gone before'

PERIOD = timedelta(days=7)


class Runs(NamedTuple):
    """Runs that a deploy adds or takes away.

    :param number: how many there are; ``None`` if the schedule in the store cannot be read.
    :param first: the first of them; ``None`` if there is none.
    """

    number: int | None = 0
    first: datetime | None = None


NO_RUNS = Runs()


class Guess(NamedTuple):
    """A new task that a task that is gone may have become.

    :param task: its name.
    :param why: what they have in common.
    """

    task: str
    why: str


@dataclass(frozen=True)
class PlannedTask:
    """What a deploy does to one task.

    :param name: its name in the code, or in the store if the code does not have it.
    :param change: one of the words above.
    :param task: the task in the code, if it has one.
    :param state: its row in the store, if it has one.
    :param before: its schedule in the store for people, and its time zone; ``None`` if there is none to be read.
    :param pause: its pause, if it is in force.
    :param appear: the runs of the next seven days that the code adds.
    :param vanish: those that it takes away.
    :param guess: what a task that is gone may have become.
    :param lost: what would be lost without a word: ``'task'``, ``'pause'``.
    """

    name: str
    change: str
    task: Task | None = None
    state: TaskState | None = None
    before: tuple[str, tzinfo | None] | None = None
    pause: Pause | None = None
    appear: Runs = NO_RUNS
    vanish: Runs = NO_RUNS
    guess: Guess | None = None
    lost: Sequence[str] = ()

    @property
    def has_other_schedule(self) -> bool:
        """Whether the code has another schedule than the store."""
        return self.task is not None and self.state is not None and not is_schedule_of(self.task, self.state.schedule)

    @property
    def former(self) -> str | None:
        """The name under which the store has had it, ``None`` if that is the present one."""
        if self.change != RENAMED or self.state is None:
            return None
        return self.state.renamed_from if self.state.task == self.name else self.state.task

    @property
    def is_running(self) -> bool:
        """Whether a run of it is in progress, or waits for a worker."""
        return self.state is not None and self.state.is_claimed


def plan_deploy(
    tasks: Iterable[Task], stored: StoredTasks, instant: datetime, confirmed: Collection[str] = ()
) -> list[PlannedTask]:
    """Return what a deploy does to each task, in the order of registration, and those without a task last.

    :param tasks: the tasks of the code.
    :param stored: the rows of the store.
    :param instant: the present minute; the runs are those of the seven days after it.
    :param confirmed: names of tasks that are gone on purpose.
    """
    tasks = list(tasks)
    registered = {task.name: task for task in tasks if task.store}
    others = under_other_names(registered, stored.states, stored.before)
    plan = [
        _of_task(task, stored.states.get(task.name), others.get(task.name), stored, instant)
        for task in registered.values()
    ]
    taken = {state.task for state in others.values()}
    outside = {name: task for task in tasks if not task.store for name in (task.name, *task.was)}
    for name, state in sorted(stored.states.items()):
        if name not in registered and name not in taken:
            plan.append(_without_task(state, outside.get(name), stored, instant, confirmed))
    return _with_guesses(plan)


def _of_task(
    task: Task, own: TaskState | None, other: TaskState | None, stored: StoredTasks, instant: datetime
) -> PlannedTask:
    """Return what becomes of a task that the code keeps in the store.

    :param own: its row.
    :param other: its row under another name.
    """
    state = own or other
    if state is None:
        pause = stored.pause_of(task.name)
        return PlannedTask(task.name, NEW, task, pause=pause, appear=_runs(_of_code(task, instant, pause)))
    # the pause of a former name goes with the row
    pause = stored.pause_of(*(row.task for row in (own, other) if row is not None))
    planned = PlannedTask(task.name, SAME, task, state, write_for_people(state.schedule), pause)
    after = _of_code(task, instant, pause)
    if state.is_unregistered(stored.before):
        return replace(planned, change=BACK, appear=_runs(after))
    is_same = is_schedule_of(task, state.schedule)
    planned = replace(planned, change=RENAMED if other is not None else SAME if is_same else CHANGED)
    if is_same:
        return planned
    before = _of_store(state, instant, pause)
    if before is None:
        return replace(planned, appear=Runs(None), vanish=Runs(None))
    return replace(planned, appear=_runs(after - before), vanish=_runs(before - after))


def _without_task(
    state: TaskState, outside: Task | None, stored: StoredTasks, instant: datetime, confirmed: Collection[str]
) -> PlannedTask:
    """Return what becomes of a row that no task of the code has.

    :param outside: the task of that name, which the code does not keep in the store.
    """
    pause = stored.pause_of(state.task)
    planned = PlannedTask(state.task, GONE, None, state, write_for_people(state.schedule), pause)
    of_pause = ('pause',) if state.task in stored.pauses and state.task not in confirmed else ()
    if outside is not None:
        return replace(planned, change=OUTSIDE, task=outside, lost=of_pause)
    if state.is_unregistered(stored.before) or state.is_reported:
        return replace(planned, change=GONE_BEFORE)
    vanish = _runs(_of_store(state, instant, pause))
    return replace(planned, vanish=vanish, lost=() if state.task in confirmed else ('task', *of_pause))


def _with_guesses(plan: list[PlannedTask]) -> list[PlannedTask]:
    """Return a plan with a guess for tasks that are gone, the best guesses first, and each new task once."""
    gone = {planned.name: planned.state for planned in plan if planned.change == GONE and planned.state is not None}
    new = {planned.name: planned.task for planned in plan if planned.change == NEW and planned.task is not None}
    found: dict[str, Guess] = {}
    pairs = ((likeness(state, task), old, name) for old, state in gone.items() for name, task in new.items())
    for (_, why), old, name in sorted((pair for pair in pairs if pair[0][0]), key=lambda pair: -pair[0][0]):
        if old not in found and name in new:
            found[old] = Guess(name, why)
            del new[name]
    return [replace(planned, guess=found.get(planned.name)) for planned in plan]


def likeness(state: TaskState, task: Task) -> tuple[int, str]:
    """Return how likely a row is that of a task of another name, 0 for not at all, and what they have in common."""
    path = dotted_path(task.f)
    # a name that was left out is the path of the function
    same_function = path in (state.callable, state.task)
    same_end = not same_function and state.task.rpartition('.')[2] in (_end(task.name), _end(path))
    if not same_function and not same_end:
        return 0, ''
    same_schedule = is_schedule_of(task, state.schedule)
    common = ['function'] if same_function else ['last part of the name']
    common += ['schedule'] if same_schedule else []
    return 4 * same_function + 2 * same_end + same_schedule, f'the same {" and ".join(common)}'


def _end(name: str) -> str:
    return name.rpartition('.')[2]


def _of_code(task: Task, instant: datetime, pause: Pause | None) -> frozenset[datetime]:
    return _minutes(task.schedule, task.timezone, instant, pause)


def _of_store(state: TaskState, instant: datetime, pause: Pause | None) -> frozenset[datetime] | None:
    """Return the runs of a row, ``None`` if its schedule cannot be read."""
    read = read_schedule(state.schedule)
    return None if read is None else _minutes(*read, instant, pause)


# many tasks share few schedules
@lru_cache(100)
def _minutes(schedule: Schedule, zone: tzinfo | None, instant: datetime, pause: Pause | None) -> frozenset[datetime]:
    """Return the minutes in the period after an instant at which a schedule is due, without those of a pause."""
    runs = schedule.runs(clock.to_wall(instant, zone).replace(tzinfo=zone))
    end = instant + PERIOD
    begin = instant if pause is None else pause.until or end + clock.MINUTE
    return frozenset(minute for minute in until(end, runs) if minute >= begin)


def _runs(minutes: Collection[datetime] | None) -> Runs:
    return Runs(None) if minutes is None else Runs(len(minutes), min(minutes, default=None))
