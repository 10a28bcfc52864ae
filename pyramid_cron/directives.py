"""The directive ``add_cron_task`` and its decorator ``cron_task``, which register the tasks of an application."""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

import venusian
from pyramid.exceptions import ConfigurationError

from pyramid_cron import callables, missed_minutes, retry_waits
from pyramid_cron.callables import dotted_path
from pyramid_cron.missed_minutes import Missed
from pyramid_cron.retry_waits import Retries
from pyramid_cron.schedules.fields import LEFT_OUT, MOST_VALUES, NO_LINE, FieldValue, ScheduleWarning
from pyramid_cron.tasks import System, Task

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Decorated = TypeVar('Decorated', bound=Callable[[System], object])
Via = str | Callable[[Any], object] | Literal[False] | None


class TaskOptions(TypedDict):
    """The arguments that directive, decorator and :class:`.Task` share, for one to pass on to the other."""

    min: FieldValue
    hour: FieldValue
    day: FieldValue
    month: FieldValue
    dow: FieldValue
    idle: bool
    name: str | None
    cron: str
    timezone: str | ZoneInfo | None
    catch_up: float | timedelta | None
    missed: Missed
    retries: Retries
    store: bool
    via: Via
    was: str | Sequence[str]
    tolerate: int
    expect: float | timedelta | None


def add_cron_task(
    config: Any,
    f: Callable[[System], object] | str,
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
    via: Via = None,
    was: str | Sequence[str] = (),
    tolerate: int = 0,
    expect: float | timedelta | None = None,
) -> None:
    """Register a task: the directive ``config.add_cron_task``.

    All five fields have to match for the task to be due. A field is an integer, an iterable of integers (read once) or
    a text in the syntax of crontab(5), such as ``'*/15'`` or ``'9-17'``. Without ``min`` the task is due in every
    minute that matches the rest: ``hour=2`` alone is 60 runs, and ``min=0, hour=2`` is one. ``None`` is refused,
    because ``min=settings.get('purge.min')`` would make the task due every minute if that setting were missing.

    :param f: a callable that takes one dict, ``system``, or the dotted name of one, resolved relative to the package
        that calls the directive (``'.tasks.purge'``, ``'myapp.tasks.purge'``).
    :param min: minutes, 0 to 59.
    :param hour: hours of the local day, 0 to 23.
    :param day: days of the month, 1 to 31, in a text also ``'last'`` and ``'last-weekday'``, see :ref:`relative-days`.
    :param month: months, 1 to 12, or names in a text (``'jan,jul'``).
    :param dow: days of the week as :meth:`datetime.date.weekday` counts them, 0 (Monday) to 6 (Sunday), or names in a
        text (``'mon-fri'``, ``'fri#2'``, ``'fri#last'``). A text cannot have digits for days.
    :param idle: run after the normal tasks, and only while the tick has time left.
    :param name: the name in logs, reports and the store, which has to differ for a second registration of the same
        callable; the dotted path of ``f`` if it is left out. With ``cron.store`` it has at most 200 characters, is not
        the dotted path of another task's ``f``, and differs from other names in more than case, accents and blanks.
    :param cron: the schedule as a crontab line, in place of the five fields and with Debian's meaning: 0 and 7 are
        Sunday, and one of day-of-month and day-of-week suffices if neither starts with ``*``; ``L``, ``LW``, ``5#2``
        and ``5L``, which Debian's cron does not have, can be in it too. Or ``@hourly``, ``@daily``, ``@midnight``,
        ``@weekly``, ``@monthly``, ``@yearly``, ``@annually``.
    :param timezone: the time zone of the schedule, an IANA name or a :class:`zoneinfo.ZoneInfo`; the setting
        ``cron.timezone`` if it is left out.
    :param catch_up: with ``cron.store``, how long after a missed minute the task still runs for it, in seconds or as a
        :class:`~datetime.timedelta`, 0 for never; the setting ``cron.catch_up`` if it is left out. With ``via``, also
        how long an enqueued run may wait before it begins; for that, less than a minute counts as a minute.
    :param missed: with ``cron.store``, for which of the missed minutes within ``catch_up`` the task runs: for the
        ``'newest'``, or for ``'each'``, the oldest first, one at each tick. See :doc:`retries`.
    :param retries: with ``cron.store``, the number of further attempts after a failed run, at the ticks that follow, or
        a list of the waits before them, each in seconds or as a :class:`~datetime.timedelta`: ``(60, 600, 3600)``. Once
        the task is due again, no further attempt of the earlier minute begins, unless ``missed`` is ``'each'``. See
        :doc:`retries`.
    :param store: false leaves the task out of ``cron.store``: it runs in each process that receives a tick.
    :param via: the engine that the runs are enqueued with, in place of a call in the process of the tick: its name with
        its options, such as ``'procrastinate'`` and ``'celery:queue=slow'``, or a callable that takes a
        :class:`.Handover`, or the dotted name of one as for ``f``. The setting ``cron.via`` if it is left out; false
        for a task that is never enqueued.
    :param was: with ``cron.store``, a former name of the task, or a list of them: the task takes over row, pause and
        history of that name. See :ref:`renamed`.
    :param tolerate: how many runs in a row may fail before a failure is an alarm; a run has failed when it has used up
        its attempts. See :doc:`alarms`.
    :param expect: how long a run takes at most, in seconds or as a :class:`~datetime.timedelta`. A longer one is slow,
        one of twice that is stuck. If it is left out, a run is stuck after twice the longest of its last 30 good runs.
    :raises pyramid.exceptions.ConfigurationError: for a name that does not resolve, a class, and a callable that does
        not take one argument; for a field that can never match, and for the same name twice
        (:class:`~pyramid.exceptions.ConfigurationConflictError`) in one application.
    """
    options = TaskOptions(
        min=min,
        hour=hour,
        day=day,
        month=month,
        dow=dow,
        idle=idle,
        name=name,
        cron=cron,
        timezone=timezone,
        catch_up=catch_up,
        missed=missed,
        retries=retries,
        store=store,
        via=via,
        was=was,
        tolerate=tolerate,
        expect=expect,
    )
    _require_include(config, f)
    task = _make_task(config, _resolve(config, f), options)
    discriminator = ('cron task', _identity(task.f) if name is None else name)
    introspectable = config.introspectable('cron tasks', discriminator, task.name, 'cron task')
    introspectable.update(
        callable=task.f,
        name=task.name,
        schedule=task.schedule,
        crontab=task.schedule.crontab,
        idle=task.idle,
        was=task.was,
    )
    info = config.action_info

    def register() -> None:
        settings = config.registry['cron_settings']
        task.timezone = task.timezone or settings.timezone
        in_store = task.store and settings.store is not None
        try:
            config.registry['cron_tasks'].add(
                discriminator, task, named=name is not None, in_store=in_store, overrides=settings.schedules
            )
        except ValueError as exc:
            raise ConfigurationError(f'cron task {task.name}: {exc}') from exc
        introspectable.update(
            name=task.name,
            timezone=str(task.timezone or 'local time'),
            schedule=task.schedule,
            crontab=task.schedule.crontab,
            schedule_by=task.schedule_by,
            schedule_in_code=task.schedule_in_code,
        )
        by = '' if task.schedule_by is None else f', by {task.schedule_by}'
        for advice in (*task.schedule.advice, *(_advice_of_store(task) if in_store else ())):
            # cites the line that registers the task, as a conflict does
            warnings.warn_explicit(
                f'cron task {task.name}{by}: {advice}', ScheduleWarning, info.file or __name__, info.line
            )

    config.action(discriminator, register, introspectables=(introspectable,))


def cron_task(
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
    via: Via = None,
    was: str | Sequence[str] = (),
    tolerate: int = 0,
    expect: float | timedelta | None = None,
) -> Callable[[Decorated], Decorated]:
    """Register the decorated function when ``config.scan()`` finds it: the declarative :func:`add_cron_task`.

    The arguments are those of the directive, and the function itself is returned unchanged. Several of these decorators
    on one function are several tasks; all but one of them need a ``name``.

    :raises TypeError: on a class, on a function in a class, and without parentheses.
    """
    if callable(min):
        raise TypeError(f'@cron_task needs parentheses: write @cron_task() above {dotted_path(min)}')
    options = TaskOptions(
        min=_reusable(min),
        hour=_reusable(hour),
        day=_reusable(day),
        month=_reusable(month),
        dow=_reusable(dow),
        idle=idle,
        name=name,
        cron=cron,
        timezone=timezone,
        catch_up=catch_up,
        missed=missed,
        retries=retries,
        store=store,
        via=via,
        was=was,
        tolerate=tolerate,
        expect=expect,
    )

    # until Python 3.11 the line that venusian finds is not that of the decorator
    line = sys._getframe(1).f_lineno

    def decorate(function: Decorated) -> Decorated:
        def register(scanner: Any, found_as: str, found: object) -> None:
            config = scanner.config.with_package(info.module)
            file, _, scope, _ = info.codeinfo
            _require_include(config, function, f' in {file}, line {line}')
            source = linecache.getline(file, line).strip()
            config.add_cron_task(function, **options, _info=(file, line, scope, source))

        info = venusian.attach(function, register, category='pyramid')
        if isinstance(function, type) or info.scope == 'class':
            raise TypeError(f'@cron_task is for functions of a module, not for {dotted_path(function)}')
        return function

    return decorate


def _advice_of_store(task: Task) -> Iterator[str]:
    if task.runs_each_minute:
        # the next minute waits for the retries of the one before
        return missed_minutes.advice(task.schedule)
    return retry_waits.advice(task.schedule, task.retries, task.retry_waits)


def _reusable(value: FieldValue) -> FieldValue:
    # an iterator yields its values once, but a module can be scanned for several applications
    return tuple(islice(value, MOST_VALUES + 1)) if isinstance(value, Iterator) else value


def _make_task(config: Any, function: Callable[[System], object], options: TaskOptions) -> Task:
    via, name = options['via'], options['name']
    try:
        if isinstance(via, str) and via.startswith('.'):
            options = {**options, 'via': callables.resolve(via, config.package)}
        return Task(function, **options)
    except ValueError as exc:
        raise ConfigurationError(f'cron task {dotted_path(function) if name is None else name}: {exc}') from exc


def _require_include(config: Any, f: object, where: str = '') -> None:
    if 'cron_tasks' not in config.registry:
        shown = dotted_path(f) if callable(f) else repr(f)
        raise ConfigurationError(f"cron task {shown}{where}: call config.include('pyramid_cron') first")


def _resolve(config: Any, f: object) -> Callable[[System], object]:
    try:
        function: Callable[[System], object] = callables.resolve(f, config.package)
    except ValueError as exc:
        raise ConfigurationError(f'cron task {f!r} does not resolve: {exc}') from exc
    try:
        callables.check(function)
    except ValueError as exc:
        shown = dotted_path(function) if callable(function) else repr(f)
        raise ConfigurationError(f'cron task {shown} {exc}') from exc
    return function


def _identity(function: Callable[[System], object]) -> Hashable:
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function
