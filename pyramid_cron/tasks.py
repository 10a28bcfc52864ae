"""The tasks of an application, and which of them are due."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pyramid_cron.alarm import parse_tolerate
from pyramid_cron.callables import dotted_path
from pyramid_cron.expected import parse_expect
from pyramid_cron.missed_minutes import EACH, Missed, parse_catch_up, parse_missed
from pyramid_cron.names import Names, parse_former_names, parse_name
from pyramid_cron.queue_engine import Engine
from pyramid_cron.retry_waits import Retries, parse_retries
from pyramid_cron.schedule_overrides import SETTING, ScheduleOverrides
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.due_index import Index
from pyramid_cron.schedules.fields import LEFT_OUT, NO_LINE, FieldValue
from pyramid_cron.schedules.schedule import CALENDAR_ENDS, Schedule

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

System = dict[str, Any]
NO_OVERRIDES = ScheduleOverrides()
BY_POSITION = attrgetter('position')


class Task:
    """A callable, the schedule that it runs by, and the options of its runs.

    :param f: a callable that takes one dict, ``system``.
    :param timezone: the time zone of the schedule, an IANA name or a :class:`zoneinfo.ZoneInfo`; the machine's local
        time if it is left out.
    :raises ValueError: for a bad argument, naming it and its value.

    The other arguments are those of :func:`.add_cron_task`, with which an application registers a task.
    """

    __slots__ = (
        'catch_up',
        'engine',
        'expect',
        'f',
        'idle',
        'missed',
        'name',
        'position',
        'retries',
        'retry_waits',
        'schedule',
        'schedule_in_code',
        'store',
        'timezone',
        'tolerate',
        'via',
        'was',
    )

    #: the callable
    f: Callable[[System], object]
    #: the name in logs, reports and the store
    name: str
    #: the minutes at which the task is due
    schedule: Schedule
    #: the schedule that the task was registered with, if the setting ``cron.schedules`` has replaced it; else ``None``
    schedule_in_code: Schedule | None
    #: the time zone of the schedule; ``None`` for the machine's local time
    timezone: ZoneInfo | None
    #: whether the task runs after the normal tasks, and only while the tick has time left
    idle: bool
    #: how long after a missed minute the task still runs for it; ``None`` for the setting ``cron.catch_up``
    catch_up: timedelta | None
    #: which missed minutes are run: ``'newest'`` or ``'each'``
    missed: Missed
    #: the number of further attempts after a failed run
    retries: int
    #: the waits before these attempts; empty if they begin at the next ticks
    retry_waits: tuple[timedelta, ...]
    #: the seconds that a run is expected to take; ``None`` to judge it by the runs before it
    expect: float | None
    #: how many runs in a row may fail without an alarm
    tolerate: int
    #: whether the task is coordinated by ``cron.store``
    store: bool
    #: the argument ``via``; ``None`` for the setting ``cron.via``
    via: Any
    #: what enqueues the runs of the task; ``None`` for a task that runs in the process of the tick
    engine: Engine | None
    #: the names that the task had before
    was: tuple[str, ...]
    #: the place in the order of registration, once the task is registered
    position: int

    def __init__(
        self,
        f: Callable[[System], object],
        min: FieldValue = LEFT_OUT,
        hour: FieldValue = LEFT_OUT,
        day: FieldValue = LEFT_OUT,
        month: FieldValue = LEFT_OUT,
        dow: FieldValue = LEFT_OUT,
        idle: bool = False,
        *,
        name: str | None = None,
        cron: str = NO_LINE,
        timezone: str | ZoneInfo | None = None,
        catch_up: float | timedelta | None = None,
        missed: Missed = 'newest',
        retries: Retries = 0,
        store: bool = True,
        via: Any = None,
        was: str | Sequence[str] = (),
        tolerate: int = 0,
        expect: float | timedelta | None = None,
    ) -> None:
        self.f = f
        self.name = dotted_path(f) if name is None else parse_name(name)
        if idle not in (True, False):
            raise ValueError(f'idle={idle!r} is neither True nor False')
        if store not in (True, False):
            raise ValueError(f'store={store!r} is neither True nor False')
        self.tolerate = parse_tolerate(tolerate)
        if idle and via is not None and via is not False:
            raise ValueError(
                f'idle=True and via={via!r}: an idle task waits for the time that a request has left, and a worker has '
                'no such limit; leave one of the two out'
            )
        self.idle = idle
        self.timezone = None if timezone is None else clock.parse_zone(timezone)
        self.catch_up = None if catch_up is None else parse_catch_up(catch_up)
        self.missed = parse_missed(missed, self.catch_up)
        self.retries, self.retry_waits = parse_retries(retries)
        self.expect = None if expect is None else parse_expect(expect)
        self.store = store
        self.via = via
        self.was = parse_former_names(was)
        self.engine = None
        self.schedule_in_code = None
        fields = (min, hour, day, month, dow)
        if cron is NO_LINE:
            self.schedule = Schedule.from_fields(*fields)
        elif cron is not None and any(value is not LEFT_OUT for value in fields):
            raise ValueError(f'cron={cron!r} is the whole schedule: leave min, hour, day, month and dow out')
        else:
            self.schedule = Schedule.from_line(cron)

    def __repr__(self) -> str:
        return f'<Task {self.name}>'

    @property
    def schedule_by(self) -> str | None:
        """The setting that has replaced the schedule of the code: ``'cron.schedules'``, or ``None``."""
        return None if self.schedule_in_code is None else SETTING

    def check(self, moment: datetime) -> bool:
        """Return whether the task is due at ``moment``.

        :param moment: a naive datetime is a wall-clock minute, which matches the schedule or does not; an aware one is
            an instant, to which the task's time zone and the rule for daylight saving time apply.
        """
        if moment.tzinfo is None:
            return self.schedule.matches(moment)
        return self.schedule.is_due(clock.wall_minutes(moment, self.timezone))

    def scheduled_for(self, instant: datetime) -> datetime:
        """Return the minute of a tick at ``instant``, aware and in the task's time zone."""
        return clock.to_zone(instant, self.timezone)

    def grace(self, default: timedelta) -> timedelta:
        """Return how long after a missed minute the task still runs for it: its ``catch_up``, or the default.

        :param default: the setting ``cron.catch_up``.
        """
        return default if self.catch_up is None else self.catch_up

    @property
    def runs_each_minute(self) -> bool:
        """Whether the task runs for each minute that it missed, and not for the newest one alone."""
        return self.missed == EACH

    def is_repeated_at(self, at: datetime, after: datetime) -> bool:
        """Return whether a run may be repeated at a minute: no newer minute is due until then, or those wait for it.

        :param at: the minute of the first tick that may repeat it.
        :param after: the newest minute that the task does not owe any more.
        """
        return self.runs_each_minute or at < next(self.runs(after), CALENDAR_ENDS)

    def queue_timeout(self, default: timedelta) -> timedelta:
        """Return how long after its minute an enqueued run may begin: the grace, and a minute at least.

        :param default: the setting ``cron.catch_up``.
        """
        return max(self.grace(default), clock.MINUTE)

    def skipped_wall_minutes(self, instant: datetime) -> list[datetime]:
        """Return the wall-clock minutes of a fixed-time schedule that a clock change skipped just before ``instant``.

        The task is due at ``instant`` in their place.
        """
        if self.schedule.interval:
            return []
        return [wall for wall in clock.wall_minutes(instant, self.timezone).skipped if self.schedule.matches(wall)]

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants later than ``after`` at which the task is due, aware and in its time zone.

        :param after: an instant, aware.
        """
        return self.schedule.runs(clock.to_wall(after, self.timezone).replace(tzinfo=self.timezone))


class Tasks:
    """The tasks of one application, in the order in which they were registered: ``registry['cron_tasks']``."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, Task] = {}
        self._names = Names()
        self._by_zone: dict[ZoneInfo | None, Index[Task]] = {}
        self._added = 0
        # with the number of tasks that were added before
        self._stored: tuple[int, dict[str, Task]] = (0, {})

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def add(
        self,
        key: Hashable,
        task: Task,
        *,
        named: bool = False,
        in_store: bool = False,
        overrides: ScheduleOverrides = NO_OVERRIDES,
    ) -> None:
        """Add ``task`` under ``key``, in place of the task that was registered under this key before.

        :param named: whether the argument ``name`` set the task's name, which otherwise is a dotted path.
        :param in_store: whether the store keeps the task.
        :param overrides: the setting ``cron.schedules``.
        :raises ValueError: if it cannot have the name, see :meth:`.Names.add`.
        """
        replaced = self._tasks.pop(key, None)
        if replaced is not None:
            self._by_zone[replaced.timezone].remove(replaced.schedule, replaced)
            self._names.remove(replaced.name)
        task.name = self._names.add(task.name, given=named, in_store=in_store)
        schedule = overrides.schedule_of(task.name)
        if schedule is not None:
            task.schedule_in_code, task.schedule = task.schedule, schedule
        self._tasks[key] = task
        self._added += 1
        task.position = self._added
        self._by_zone.setdefault(task.timezone, Index()).add(task.schedule, task)

    def due(self, instant: datetime) -> list[Task]:
        """Return the tasks that are due at ``instant``, in the order of registration.

        :param instant: the minute, aware.
        """
        found: list[list[Task]] = []
        for zone, index in self._by_zone.items():
            wall = clock.wall_without_transition(instant, zone)
            found += [_due_at_change(index, instant, zone)] if wall is None else index.at(wall)
        due: list[Task] = []
        for tasks in found:
            due += tasks
        # a single list is in order already
        if len(found) > 1:
            due.sort(key=BY_POSITION)
        return due

    def stored(self) -> Mapping[str, Task]:
        """Return the tasks that the store keeps, by their names: the same object until another task is added."""
        added, stored = self._stored
        if added != self._added:
            stored = {task.name: task for task in self if task.store}
            self._stored = self._added, stored
        return stored

    def named(self, names: Collection[str]) -> list[Task]:
        """Return the tasks with these names, in the order of the names.

        :raises LookupError: if a name is not that of a task.
        """
        by_name = {task.name: task for task in self}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise LookupError(f'no cron task is named {", ".join(map(repr, unknown))}')
        return [by_name[name] for name in dict.fromkeys(names)]


def _due_at_change(index: Index[Task], instant: datetime, zone: ZoneInfo | None) -> list[Task]:
    """Return the tasks of a time zone that are due at ``instant``, near a change of its clocks."""
    minutes = clock.wall_minutes(instant, zone)
    matching = {task for wall in {*minutes.interval, *minutes.fixed_time} for tasks in index.at(wall) for task in tasks}
    return sorted((task for task in matching if task.schedule.is_due(minutes)), key=BY_POSITION)
