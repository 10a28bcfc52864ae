"""Which of many tasks are due in a minute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pycron
from apscheduler.triggers.cron import CronTrigger
from celery import Celery
from celery.schedules import crontab
from croniter import croniter
from cronsim import CronSim

from benchmarks.measure import Row, Size, WrongResult, medians
from benchmarks.mixes import NOW, lines, sets
from pyramid_cron import Task
from pyramid_cron.tasks import Tasks

GROUP = 'Which of N tasks are due in a minute'
ZONE = ZoneInfo('Europe/Berlin')
AWARE = NOW.replace(tzinfo=ZONE)
INSTANT = AWARE.astimezone(timezone.utc)
MINUTE = timedelta(minutes=1)

Numbers = Callable[[], list[int]]


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows of each number of tasks and each mix, for a machine whose local time is ``ZONE``."""
    found: dict[tuple[int, str], Callable[[], object]] = {}
    for count in size.counts:
        for mix, due in (('few due', 10 if count > 10 else 1), ('a third due', count // 3), ('all due', count)):
            made = lines(count, due)
            what = f'{count:,} tasks, {mix}'
            found[count, mix] = checked(registry(made), made, what)
            yield from _compared(what, made, due, size, mix, found[count, mix])
    most = size.counts[-1]
    ten = [line for line in lines(most, 10) if SetTask(line).check(NOW)]
    functions = {'here': found[most, 'few due'], 'there': checked(registry(ten), ten, 'ten alone')}
    yield row(f'10 due among {most:,}', 'the same 10 alone', medians(functions, size.rounds), most_ratio=3)
    made = lines(10, 1)
    zoned = checked(registry(made, 'Europe/Berlin'), made, 'own zone')
    functions = {'here': zoned, 'there': plain_loop(made, given_wall=True)}
    yield row('10 tasks, few due, own zone', 'plain loop, wall given', medians(functions, 5 * size.rounds))


def row(what: str, other: str, seconds: dict[str, float], factor: float = 1, **options: Any) -> Row:
    return Row(GROUP, what, other, seconds['here'], seconds['there'] * factor, **options)


class Registry(Tasks):
    """The tasks of a list of crontab lines, registered as the directive does it."""

    def due_now(self) -> list[Task]:
        return self.due(INSTANT)


def registry(made: list[str], zone: str | None = None) -> Registry:
    tasks = Registry()
    for number, line in enumerate(made):
        tasks.add(number, Task(print, cron=line, name=str(number), timezone=zone), named=True)
    return tasks


def checked(tasks: Registry, made: list[str], what: str) -> Callable[[], list[Task]]:
    """Return the look-up of tasks, once it has found what the plain loop finds."""
    found, expected = [int(task.name) for task in tasks.due_now()], plain_loop(made)()
    if found != expected:
        raise WrongResult(f'{what}: {len(found)} were found, {len(expected)} are due')
    return tasks.due_now


def _compared(what: str, made: list[str], due: int, size: Size, mix: str, here: Callable[[], object]) -> Iterator[Row]:
    expected = plain_loop(made)()
    if len(expected) != due:
        raise WrongResult(f'{what}: the plain loop finds {len(expected)}, {due} are due')
    functions: dict[str, Callable[[], object]] = {'here': here}
    part = made[: size.sample]
    # the loops take all tasks, the libraries a sample
    for name, make in LOOPS.items():
        functions[name] = make(made)
    for name, make in LIBRARIES.items():
        functions[name] = function = make(part)
        if function() != [number for number in expected if number < len(part)]:
            raise WrongResult(f'{what}: {name} finds others')
    # what takes a few microseconds is measured more often
    seconds = medians(functions, size.rounds * (5 if len(made) == 10 else 1))
    for name in (*LOOPS, *LIBRARIES):
        yield row(
            what,
            name,
            {'here': seconds['here'], 'there': seconds[name]},
            len(made) / len(part) if name in LIBRARIES else 1,
            sampled=len(part) if name in LIBRARIES and part != made else None,
            most_ratio=_aim(name, len(made), size, mix),
        )


def _aim(name: str, count: int, size: Size, mix: str) -> float | None:
    if name == 'plain loop' and count == 10:
        return 1.5
    if name == 'plain loop' and mix == 'few due' and count == 100_000:
        return 0.01
    return None


class SetTask:
    """A task as the original had it: five sets, and a method that looks into them."""

    __slots__ = ('day', 'dow', 'hour', 'min', 'month')

    def __init__(self, line: str) -> None:
        self.min, self.hour, self.day, self.month, self.dow = sets(line)

    def check(self, wall: datetime) -> bool:
        return (
            wall.minute in self.min
            and wall.hour in self.hour
            and wall.day in self.day
            and wall.month in self.month
            and wall.weekday() in self.dow
        )


def plain_loop(made: list[str], given_wall: bool = False) -> Numbers:
    """The original's way: a loop that asks each task. It begins with the instant of the tick, as this library does."""
    tasks = list(enumerate(map(SetTask, made)))

    def given() -> list[int]:
        return [number for number, task in tasks if task.check(NOW)]

    def found() -> list[int]:
        wall = datetime.fromtimestamp(INSTANT.timestamp())
        return [number for number, task in tasks if task.check(wall)]

    return given if given_wall else found


def croniter_match(made: list[str]) -> Numbers:
    return lambda: [number for number, line in enumerate(made) if croniter.match(line, NOW)]


def cronsim_next(made: list[str]) -> Numbers:
    """cronsim has no match: a minute is due if it is the next one after the minute before."""
    before = NOW - MINUTE
    return lambda: [number for number, line in enumerate(made) if next(CronSim(line, before)) == NOW]


def pycron_is_now(made: list[str]) -> Numbers:
    return lambda: [number for number, line in enumerate(made) if pycron.is_now(line, NOW)]


def apscheduler_trigger(made: list[str]) -> Numbers:
    triggers = [CronTrigger.from_crontab(line, timezone=ZONE) for line in made]
    return lambda: [
        number for number, trigger in enumerate(triggers) if trigger.get_next_fire_time(None, AWARE) == AWARE
    ]


def celery_is_due(made: list[str]) -> Numbers:
    app = Celery(set_as_current=False)
    app.conf.timezone = 'Europe/Berlin'
    schedules = []
    for line in made:
        minute, hour, day, month, dow = line.split()
        schedules.append(crontab(minute, hour, dow, day, month, nowfun=lambda: AWARE, app=app))
    before = AWARE - MINUTE
    return lambda: [number for number, schedule in enumerate(schedules) if schedule.is_due(before).is_due]


LOOPS: dict[str, Callable[[list[str]], Numbers]] = {
    'plain loop': plain_loop,
    'plain loop, wall given': functools.partial(plain_loop, given_wall=True),
}
LIBRARIES: dict[str, Callable[[list[str]], Numbers]] = {
    'croniter.match': croniter_match,
    'cronsim': cronsim_next,
    'pycron': pycron_is_now,
    'APScheduler trigger': apscheduler_trigger,
    'Celery crontab.is_due': celery_is_due,
}
