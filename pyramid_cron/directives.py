"""How an application registers its tasks."""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Callable, Hashable, Iterator
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import venusian
from pyramid.exceptions import ConfigurationError

from pyramid_cron import callables
from pyramid_cron.schedules.fields import LEFT_OUT, MOST_VALUES, NO_LINE, FieldValue, ScheduleWarning
from pyramid_cron.tasks import System, Task, dotted_path

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Decorated = TypeVar('Decorated', bound=Callable[[System], object])
Via = str | Callable[[Any], object] | Literal[False] | None


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
    retries: int = 0,
    store: bool = True,
    via: Via = None,
) -> None:
    """Register a task: the directive ``config.add_cron_task``.

    All five fields have to match for the task to be due. A field is an integer, an iterable of integers (read once) or
    a text in the syntax of crontab(5), such as ``'*/15'`` or ``'9-17'``. Without ``min`` the task is due in every
    minute that matches the rest: ``hour=2`` alone is 60 runs, and ``min=0, hour=2`` is one. ``None`` is refused: it is
    what an unset setting gives.

    :param f: a callable that takes one dict, ``system``, or the dotted name of one, resolved relative to the module
        that calls the directive (``'.tasks.purge'``, ``'myapp.tasks.purge'``).
    :param min: minutes, 0 to 59.
    :param hour: hours of the local day, 0 to 23.
    :param day: days of the month, 1 to 31.
    :param month: months, 1 to 12, or names in a text (``'jan,jul'``).
    :param dow: days of the week as :meth:`datetime.date.weekday` counts them, 0 (Monday) to 6 (Sunday), or names in a
        text (``'mon-fri'``), which takes no digits.
    :param idle: run after the normal tasks, and only while the run has time left.
    :param name: what logs and reports call the task, and what tells it from other registrations of the same callable;
        the dotted path of ``f`` if it is left out.
    :param cron: the schedule as a crontab line, in place of the five fields and with Debian's meaning: 0 and 7 are
        Sunday, and one of day-of-month and day-of-week suffices if neither starts with ``*``. Or ``@hourly``,
        ``@daily``, ``@midnight``, ``@weekly``, ``@monthly``, ``@yearly``, ``@annually``.
    :param timezone: the time zone of the schedule, an IANA name or a :class:`zoneinfo.ZoneInfo`; the setting
        ``cron.timezone`` if it is left out.
    :param catch_up: with ``cron.store``, how long after a minute that was missed the task still runs for it, in seconds
        or as a :class:`~datetime.timedelta`, 0 for never; the setting ``cron.catch_up`` if it is left out. With
        ``via``, how long a run may wait before it begins, a minute at least.
    :param retries: with ``cron.store``, how often a failed run is tried again at the ticks that follow, until the next
        minute is due.
    :param durable: false leaves the task out of ``cron.store``: each process that is asked runs it.
    :param via: hands the task over instead of calling it: the name of an engine with its options, such as
        ``'procrastinate'`` and ``'celery:queue=slow'``, or a callable, or the dotted name of one as for ``f``,
        that takes a :class:`.Handover`; the setting ``cron.via`` if it is left out, and false for a task that runs here
        all the same.
    :raises pyramid.exceptions.ConfigurationError: for a name that does not resolve, a class, and a callable that does
        not take one argument; for a field that can never match, and for the same callable or name twice
        (:class:`~pyramid.exceptions.ConfigurationConflictError`) in one application.
    """
    _require_include(config, f)
    function = _resolve(config, f)
    shown = dotted_path(function) if name is None else name
    try:
        if isinstance(via, str) and via.startswith('.'):
            via = callables.resolve(via, config.package)
        task = Task(
            function,
            min,
            hour,
            day,
            month,
            dow,
            idle,
            name=name,
            cron=cron,
            timezone=timezone,
            catch_up=catch_up,
            retries=retries,
            store=store,
            via=via,
        )
    except ValueError as exc:
        raise ConfigurationError(f'cron task {shown}: {exc}') from exc

    discriminator = ('cron task', _identity(function) if name is None else name)
    introspectable = config.introspectable('cron tasks', discriminator, shown, 'cron task')
    introspectable.update(
        callable=function, name=task.name, schedule=task.schedule, crontab=task.schedule.crontab, idle=task.idle
    )
    info = config.action_info

    def register() -> None:
        task.timezone = task.timezone or config.registry['cron_settings'].timezone
        try:
            config.registry['cron_tasks'].add(discriminator, task, named=name is not None)
        except ValueError as exc:
            raise ConfigurationError(f'cron task {shown}: {exc}') from exc
        introspectable.update(name=task.name, timezone=str(task.timezone or 'local time'))
        for advice in task.schedule.advice:
            # cites the line that registers the task, as a conflict does
            warnings.warn_explicit(
                f'cron task {task.name}: {advice}', ScheduleWarning, info.file or __name__, info.line
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
    retries: int = 0,
    store: bool = True,
    via: Via = None,
) -> Callable[[Decorated], Decorated]:
    """Register the decorated function when ``config.scan()`` finds it: the declarative :func:`add_cron_task`.

    The arguments are those of the directive. The function stays what it is. Stacked, it gives one function several
    schedules; all but one of them need a ``name``.

    :raises TypeError: on a class, on a function in a class, and without parentheses.
    """
    if callable(min):
        raise TypeError(f'@cron_task needs parentheses: write @cron_task() above {dotted_path(min)}')

    # until Python 3.11 the line that venusian finds is not that of the decorator
    line = sys._getframe(1).f_lineno

    def decorate(function: Decorated) -> Decorated:
        def register(scanner: Any, found_as: str, found: object) -> None:
            config = scanner.config.with_package(info.module)
            file, _, scope, _ = info.codeinfo
            _require_include(config, function, f' in {file}, line {line}')
            source = linecache.getline(file, line).strip()
            config.add_cron_task(
                function,
                *fields,
                idle,
                name=name,
                cron=cron,
                timezone=timezone,
                catch_up=catch_up,
                retries=retries,
                store=store,
                via=via,
                _info=(file, line, scope, source),
            )

        info = venusian.attach(function, register, category='pyramid')
        if isinstance(function, type) or info.scope == 'class':
            raise TypeError(f'@cron_task is for functions of a module, not for {dotted_path(function)}')
        return function

    # an iterator gives its values once, but a module can be scanned for several applications
    fields = [
        tuple(islice(value, MOST_VALUES + 1)) if isinstance(value, Iterator) else value
        for value in (min, hour, day, month, dow)
    ]
    return decorate


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
