"""The tasks of an application, and which of them are due."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Hashable, Iterator
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.due_index import Index
from pyramid_cron.schedules.fields import LEFT_OUT, NO_LINE, FieldValue
from pyramid_cron.schedules.schedule import Schedule

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

System = dict[str, Any]
BY_POSITION = attrgetter('position')


class Handing(Protocol):
    """What hands a task over, made of ``via`` by the package ``queues``."""

    #: whether it does so on the connection of the store, within the claim
    within_claim: bool

    def send(self, turn: Any, connection: Any = None) -> None:
        """Hand over the run that a :class:`.Turn` is.

        :param connection: that of the claim, if it is to be within that.
        """


class Task:
    """A function, the schedule it runs by, and whether it waits for the idle time of a run.

    :param f: a callable that takes one ``system`` dict.
    :param min: minutes; this and the next four as in :meth:`.Schedule.from_fields`.
    :param hour: hours.
    :param day: days of the month.
    :param month: months.
    :param dow: days of the week.
    :param idle: run after the normal tasks of a run, and only while it has time left.
    :param name: what logs and reports call the task; the dotted path of ``f`` if it is left out.
    :param cron: a crontab line or nickname in place of the five, as in :meth:`.Schedule.from_line`.
    :param timezone: the time zone of the schedule, a :class:`zoneinfo.ZoneInfo` or an IANA name; the machine's local
        time if it is left out.
    :param catch_up: how long after a minute that was missed the task still runs for it, in seconds or as a
        :class:`~datetime.timedelta`, 0 for never; the setting ``cron.catch_up`` if it is left out. This
        and the next two are for ``cron.store``.
    :param retries: how often a failed run is tried again, until the next minute is due.
    :param store: false leaves the task to each process, as if there were no store.
    :param via: what the task is handed over to when it is due, see :func:`.add_cron_task`; false for nothing, whatever
        the setting ``cron.via`` says.
    :raises ValueError: for a schedule that can never match, a time zone that does not exist, and a name that is empty
        or not printable.
    """

    __slots__ = (
        'catch_up',
        'engine',
        'f',
        'idle',
        'name',
        'position',
        'retries',
        'schedule',
        'store',
        'timezone',
        'via',
    )

    #: its place in the order of registration, once it is registered
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
        retries: int = 0,
        store: bool = True,
        via: Any = None,
    ) -> None:
        if name is not None and not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise ValueError(f'name={name!r} is not a text of printable characters')
        if idle not in (True, False):
            raise ValueError(f'idle={idle!r} is neither True nor False')
        if store not in (True, False):
            raise ValueError(f'store={store!r} is neither True nor False')
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ValueError(f'retries={retries!r} is not a number of further attempts, 0 or more')
        if idle and via is not None and via is not False:
            raise ValueError(
                f'idle=True and via={via!r}: an idle task waits for the time that a request has left, and whoever it '
                'is handed over to has a time of its own; leave one of the two out'
            )
        self.f = f
        self.name = dotted_path(f) if name is None else name
        self.idle = idle
        self.timezone = None if timezone is None else clock.parse_zone(timezone)
        self.catch_up = None if catch_up is None else parse_catch_up(catch_up)
        self.retries = retries
        self.store = store
        self.via = via
        #: hands the task over; ``None`` for one that is called here
        self.engine: Handing | None = None
        fields = (min, hour, day, month, dow)
        if cron is NO_LINE:
            self.schedule = Schedule.from_fields(*fields)
        elif cron is not None and any(value is not LEFT_OUT for value in fields):
            raise ValueError(f'cron={cron!r} is the whole schedule: leave min, hour, day, month and dow out')
        else:
            self.schedule = Schedule.from_line(cron)

    def __repr__(self) -> str:
        return f'<Task {self.name}>'

    def check(self, moment: datetime) -> bool:
        """Tell whether the task is due at ``moment``.

        :param moment: a naive datetime is a wall-clock minute, which matches the schedule or does not; an aware one is
            an instant, to which the task's time zone and the rule for daylight saving time apply.
        """
        if moment.tzinfo is None:
            return self.schedule.matches(moment)
        return self.schedule.is_due(clock.wall_minutes(moment, self.timezone))

    def scheduled_for(self, instant: datetime) -> datetime:
        """Return the minute that a tick at ``instant`` stands for, aware and in the task's time zone."""
        return clock.to_zone(instant, self.timezone)

    def patience(self, catch_up: timedelta) -> timedelta:
        """Return how long after its minute a run still begins that was handed over.

        :param catch_up: how long a minute that was missed is caught up, unless the task says so itself.
        """
        return max(catch_up if self.catch_up is None else self.catch_up, clock.MINUTE)

    def window(self, seconds: float) -> float:
        """Return the seconds after which a run of it is stuck: never if it is handed over.

        :param seconds: those of the other tasks.
        """
        return seconds if self.engine is None else math.inf

    def caught_up(self, instant: datetime) -> list[datetime]:
        """Return the wall-clock minutes that the clocks skipped just before ``instant`` and the task was meant for."""
        if self.schedule.interval:
            return []
        return [wall for wall in clock.wall_minutes(instant, self.timezone).skipped if self.schedule.matches(wall)]

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the coming instants at which the task is due, aware and in its time zone.

        :param after: the instant they are later than, aware.
        """
        return self.schedule.runs(clock.to_wall(after, self.timezone).replace(tzinfo=self.timezone))


def parse_catch_up(value: Any) -> timedelta:
    """Return the time that a number of seconds is, or its text.

    :raises ValueError: if it is none, or below 0.
    """
    try:
        time = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (OverflowError, TypeError, ValueError):
        time = None
    if time is None or isinstance(value, bool) or time < timedelta(0):
        raise ValueError(f'catch_up={value!r} is no time: write seconds, or a timedelta, and 0 for never')
    return time


def dotted_path(f: object) -> str:
    """Return the module and qualified name of ``f``, or of its class if ``f`` has no name of its own."""
    while isinstance(f, functools.partial):
        f = f.func
    named: Any = f if hasattr(f, '__qualname__') else type(f)
    # a method of a built-in type has no module but that of its type
    module = getattr(named, '__module__', None) or type(getattr(named, '__self__', named)).__module__
    return f'{module}.{named.__qualname__}'


class Tasks:
    """The tasks of one application, in the order in which they were registered: ``registry['cron_tasks']``."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, Task] = {}
        # by name, whether it was given
        self._names: dict[str, bool] = {}
        # by dotted path, the last number behind it
        self._numbers: dict[str, int] = {}
        self._by_zone: dict[ZoneInfo | None, Index[Task]] = {}
        self._added = 0

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, key: Hashable, task: Task, *, named: bool = False) -> None:
        """Add ``task`` under ``key``, in place of the one that was registered under it before.

        Lambdas and nested functions can share a dotted path: the second is named ``path#2``, and so on.

        :param named: whether the task's name was given, and is not the dotted path of its function.
        :raises ValueError: if another task has the name, and one of the two was given it.
        """
        replaced = self._tasks.pop(key, None)
        if replaced is not None:
            self._by_zone[replaced.timezone].remove(replaced.schedule, replaced)
            del self._names[replaced.name]
            self._numbers.clear()
        path = task.name
        if path in self._names and (named or self._names[path]):
            raise ValueError(f'the name {path!r} belongs to another cron task; give one of them another name')
        while task.name in self._names:
            # not counted from 1 for each of many tasks
            number = self._numbers[path] = self._numbers.get(path, 1) + 1
            task.name = f'{path}#{number}'
        self._names[task.name] = named
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
        # those of one schedule are in their order
        if len(found) > 1:
            due.sort(key=BY_POSITION)
        return due

    def named(self, names: Collection[str]) -> list[Task]:
        """Return the tasks of these names, in the order of the names.

        :raises LookupError: if there is no task of one of them.
        """
        by_name = {task.name: task for task in self}
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise LookupError(f'no cron task is named {", ".join(map(repr, unknown))}')
        return [by_name[name] for name in dict.fromkeys(names)]


def _due_at_change(index: Index[Task], instant: datetime, zone: ZoneInfo | None) -> list[Task]:
    """Return the tasks of a time zone that are due at ``instant``, where its clocks may just have changed."""
    minutes = clock.wall_minutes(instant, zone)
    matching = {task for wall in {*minutes.interval, *minutes.fixed_time} for tasks in index.at(wall) for task in tasks}
    return sorted((task for task in matching if task.schedule.is_due(minutes)), key=BY_POSITION)
