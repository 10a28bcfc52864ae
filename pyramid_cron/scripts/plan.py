"""``pcron plan``: what a deploy of the code does, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.names import ALL_TASKS
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.store.deploy_plan import (
    BACK,
    CHANGED,
    GONE,
    GONE_BEFORE,
    NEW,
    OUTSIDE,
    PERIOD,
    RENAMED,
    SAME,
    PlannedTask,
    Runs,
)
from pyramid_cron.store.migrations import VERSION
from pyramid_cron.store.older_tables import StoredTasks
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.task_texts import format_pause

# what may need a decision comes first
ORDER = (GONE, OUTSIDE, RENAMED, CHANGED, NEW, BACK, SAME, GONE_BEFORE)
LABELS = {OUTSIDE: 'leaves', GONE_BEFORE: 'was gone'}
INDENT = ' ' * 10
LOSSES = {('task',): '{}', ('task', 'pause'): '{} and its pause', ('pause',): 'the pause of {}'}
# the exit status if a task or a pause would be lost
LOSES = 3


class DeployPlan(NamedTuple):
    """A plan, and what it was made of.

    :param tasks: what the deploy does to each task.
    :param stored: the rows of the store.
    :param app: the name of the application in the store.
    :param creates_tables: whether the first tick creates and upgrades the tables.
    :param instant: the minute of the plan.
    :param zone: the time zone of its times, ``None`` for the machine's.
    """

    tasks: Sequence[PlannedTask]
    stored: StoredTasks
    app: str
    creates_tables: bool
    instant: datetime
    zone: tzinfo | None

    @property
    def status(self) -> int:
        """The exit status: 3 if something would be lost, 1 if no tick could use the tables, 0 otherwise."""
        if self.lost:
            return LOSES
        return int(self.stored.is_outdated and not self.creates_tables)

    @property
    def lost(self) -> list[str]:
        """What would be lost: names of tasks, and pauses."""
        return [LOSSES[tuple(planned.lost)].format(planned.name) for planned in self.tasks if planned.lost]

    @property
    def changes(self) -> dict[str, str]:
        """What the deploy does to the tasks that it changes, by their names."""
        unchanged = (SAME, GONE_BEFORE)
        return {planned.name: _label(planned) for planned in self.tasks if planned.change not in unchanged}

    def total(self, runs: str) -> int:
        """Return how many runs appear or vanish, of the schedules that can be read."""
        return sum(getattr(planned, runs).number or 0 for planned in self.tasks)


def plan_text(plan: DeployPlan, width: int) -> str:
    """Return a plan in lines, none longer than ``width`` unless a single word is."""
    heads = [_tables(plan)] if plan.stored.is_outdated else []
    of_all = plan.stored.pauses.get(ALL_TASKS)
    heads += [] if of_all is None else [f'All tasks are paused {format_pause(of_all, plan.zone)}']
    lines = [line for head in heads for line in (*wrap('', head, width), '')]
    for planned in sorted(plan.tasks, key=lambda planned: ORDER.index(planned.change)):
        if planned.change != SAME or planned.name in plan.stored.pauses or planned.is_running:
            lines.append(f'{_label(planned):9} {planned.name}')
            for detail in _details(planned, plan):
                lines += wrap(INDENT, detail, width)
    if lines and lines[-1]:
        lines.append('')
    return '\n'.join([*lines, *wrap('', _summary(plan), width)])


def _tables(plan: DeployPlan) -> str:
    version = plan.stored.version
    has = 'has no tables yet' if version is None else f'has tables of version {_version(version)}'
    text = f'The store {has}, and this code needs version {_version(VERSION)}: '
    if plan.creates_tables:
        return f'{text}its first tick {"creates" if version is None else "upgrades"} them.'
    return f'{text}apply what "pcron store upgrade CONFIG_URI --sql" prints, because cron.create_tables is false.'


def _version(version: tuple[int, int]) -> str:
    return '.'.join(map(str, version))


def _label(planned: PlannedTask) -> str:
    if planned.change != SAME:
        return LABELS.get(planned.change, planned.change)
    return _progress(planned) if planned.is_running else 'paused'


def _details(planned: PlannedTask, plan: DeployPlan) -> Iterator[str]:
    yield from _schedules(planned)
    for (one, several), runs in ((('vanishes', 'vanish'), planned.vanish), (('appears', 'appear'), planned.appear)):
        if runs.number == 1 and runs.first is not None:
            yield f'one run in {PERIOD.days} days {one}, {_time(runs.first, plan)}'
        elif runs.number and runs.first is not None:
            yield f'{runs.number:,} runs in {PERIOD.days} days {several}, the first {_time(runs.first, plan)}'
    yield from _fates(planned)
    if planned.pause is not None:
        paused = f'paused {format_pause(planned.pause, plan.zone)}'
        yield f'loses its pause: {paused}' if 'pause' in planned.lost else paused
    if planned.is_running and planned.state is not None and planned.state.started is not None:
        yield f'{_progress(planned)} since {_time(planned.state.started, plan)}'


def _schedules(planned: PlannedTask) -> Iterator[str]:
    task = planned.task
    before = 'a schedule that cannot be read here' if planned.before is None else _schedule(*planned.before)
    if task is None:
        yield before
        return
    after = _schedule(str(task.schedule), task.timezone) + (f', by {task.schedule_by}' if task.schedule_by else '')
    if planned.has_other_schedule:
        yield f'{before} becomes {after}'
    elif planned.change != SAME:
        yield after


def _schedule(text: str, zone: tzinfo | None) -> str:
    return f'{text} ({zone or LOCAL_TIME})'


def _fates(planned: PlannedTask) -> Iterator[str]:
    """Yield what becomes of the row, and what to do about it."""
    if planned.former is not None:
        yield f'takes over the row, the pause and the history of {planned.former}'
    if planned.change == OUTSIDE:
        yield 'store=False: each process runs it for itself'
    if planned.change == BACK:
        yield 'owes nothing from the time without it'
    if planned.guess is not None:
        yield (
            f'perhaps it is {planned.guess.task} now, which has {planned.guess.why}: '
            f'register that with was={planned.name!r}'
        )
    elif 'task' in planned.lost:
        yield 'register it again, or confirm its removal with --gone'


def _progress(planned: PlannedTask) -> str:
    return 'enqueued' if planned.state is not None and planned.state.is_enqueued else 'running'


def _time(instant: datetime, plan: DeployPlan) -> str:
    return f'{clock.to_zone(instant, plan.zone):%a %Y-%m-%d %H:%M}'


def _summary(plan: DeployPlan) -> str:
    in_code = sum(planned.task is not None and planned.task.store for planned in plan.tasks)
    in_store = len(plan.stored.states)
    text = f'{plan.app} has {in_code} task{"" if in_code == 1 else "s"} in the code and {in_store} in the store. '
    appear, vanish = plan.total('appear'), plan.total('vanish')
    if not plan.changes:
        text += 'A deploy changes none of them. '
    elif appear or vanish:
        text += f'In {PERIOD.days} days {vanish:,} runs vanish and {appear:,} appear. '
    if plan.lost:
        text += f'A deploy loses {"; ".join(plan.lost)}. '
    return f'{text}Times are in {plan.zone or LOCAL_TIME}.'


def plan_json(plan: DeployPlan) -> str:
    """Return a plan as JSON."""
    shown = {
        'at': clock.to_zone(plan.instant, plan.zone).isoformat(),
        'at_utc': plan.instant.isoformat(),
        'until_utc': (plan.instant + PERIOD).isoformat(),
        'app': plan.app,
        'tables': {
            'version': plan.stored.version and _version(plan.stored.version),
            'needed': _version(VERSION),
            'outdated': plan.stored.is_outdated,
            'upgraded_by_tick': plan.creates_tables,
        },
        'lost': [{'task': planned.name, 'what': what} for planned in plan.tasks for what in planned.lost],
        'appear': plan.total('appear'),
        'vanish': plan.total('vanish'),
        'tasks': [_as_dict(planned) for planned in plan.tasks],
    }
    return json.dumps(shown, indent=2)


def _as_dict(planned: PlannedTask) -> dict[str, Any]:
    task, before, pause, state = planned.task, planned.before, planned.pause, planned.state
    return {
        'name': planned.name,
        'change': planned.change.replace(' ', '_'),
        'former_name': planned.former,
        'schedule': task and str(task.schedule),
        'schedule_by': task and task.schedule_by,
        'timezone': task and task.timezone and str(task.timezone),
        'schedule_in_store': before and before[0],
        'timezone_in_store': before and before[1] and str(before[1]),
        'appear': _runs_as_dict(planned.appear),
        'vanish': _runs_as_dict(planned.vanish),
        'perhaps': planned.guess and planned.guess._asdict(),
        'paused': pause
        and {
            'until': pause.until and pause.until.isoformat(),
            'reason': pause.reason,
            'requested_by': pause.requested_by,
        },
        'running_since': state.started.isoformat() if state and state.is_claimed and state.started else None,
        'lost': list(planned.lost),
    }


def _runs_as_dict(runs: Runs) -> dict[str, Any]:
    return {'runs': runs.number, 'first_utc': runs.first and runs.first.isoformat()}
