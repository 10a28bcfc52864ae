"""One cron run: the order of its tasks, its time budget, and their turns."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime, tzinfo
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron import clock, transactions
from pyramid_cron.events import RunFinished, RunStarted, TaskFinished, TaskStarted, has_subscribers, notify
from pyramid_cron.reports import FAILED, OK, SKIPPED, RunReport, TaskReport
from pyramid_cron.tasks import System, Task, Tasks

log = logging.getLogger(__name__)


def run(
    request: Any,
    instant: datetime,
    *,
    window: float,
    zone: tzinfo | None = None,
    names: Collection[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
    monotonic: Callable[[], float] = time.monotonic,
) -> RunReport:
    """Run the tasks that are due: the normal ones, then the idle ones, each in the order of registration.

    A task that raises an :class:`Exception` is logged and reported, and the next one runs. Anything else that is
    raised, such as :class:`SystemExit`, ends the run and passes through.

    :param request: the request that the tasks find in ``system``; its registry holds them.
    :param instant: the minute to run for, aware.
    :param window: seconds that ``time_left()`` counts down from; idle tasks start only while some are left.
    :param zone: the time zone of the report, ``None`` for the machine's.
    :param names: the tasks to run in place of those that are due.
    :param stop: asked before each turn; the tasks left over are skipped once it returns true.
    :param monotonic: a clock in seconds that nobody sets.
    :raises LookupError: if there is no task of one of the names.
    """
    started = monotonic()

    def time_left() -> float:
        return window - (monotonic() - started)

    registry = request.registry
    tasks: Tasks = registry['cron_tasks']
    due = tasks.due(instant) if names is None else tasks.named(names)
    if not due:
        # what costs most in a tick with nothing due is not done for a log that is off
        if log.isEnabledFor(logging.DEBUG):
            log.debug('run for %s: nothing is due', clock.to_zone(instant, zone))
        return RunReport(instant, zone, monotonic() - started, ())
    minute = clock.to_zone(instant, zone)
    log.info('run for %s begins, tasks due: %d', minute, len(due))
    due.sort(key=lambda task: task.idle)
    notify(registry, RunStarted(request, minute, tuple(due)))
    reports: list[TaskReport] = []
    transactions.forbid_retry(request)
    manager = transactions.active_manager(request)
    # asked once, because sending an event to nobody takes as long as the rest of a task's turn
    tell_started, tell_finished = (has_subscribers(registry, event) for event in (TaskStarted, TaskFinished))
    # the same for all tasks of a time zone, and slow to convert
    in_zone: dict[tzinfo | None, datetime] = {}
    for number, task in enumerate(due, 1):
        if task.timezone not in in_zone:
            in_zone[task.timezone] = task.scheduled_for(instant)
        scheduled_for = in_zone[task.timezone]
        if stop():
            report = _skip(task, 'stopping')
        elif task.idle and time_left() <= 0:
            report = _skip(task, 'no time left')
        elif not tasks.claim(task):
            report = _skip(task, 'still running')
        else:
            try:
                if log.isEnabledFor(logging.INFO):
                    log.info('task %s begins%s', task.name, _meant_for(task, instant))
                if tell_started:
                    notify(registry, TaskStarted(request, task, scheduled_for))
                system = {
                    'request': request,
                    'registry': registry,
                    'time_left': time_left,
                    'scheduled_for': scheduled_for,
                }
                report = _run_task(task, system, manager, monotonic)
            except BaseException as exc:
                missed = ', '.join(other.name for other in due[number:]) or 'none'
                log.error('task %s raised %s, which ends the run; not run: %s', task.name, type(exc).__name__, missed)
                raise
            finally:
                tasks.release(task)
        reports.append(report)
        if tell_finished:
            notify(
                registry, TaskFinished(request, task, scheduled_for, report.status, report.seconds, report.exception)
            )
    if manager is not None and any(report.status != SKIPPED for report in reports):
        transactions.reopen(request, manager)
    result = RunReport(instant, zone, monotonic() - started, tuple(reports))
    _log_end(result, window)
    notify(registry, RunFinished(request, result))
    return result


def _log_end(report: RunReport, window: float) -> None:
    log.info(
        'run for %s ended in %.3f s: %d ok, %d failed, %d skipped',
        report.minute,
        report.seconds,
        *(len(report.names(status)) for status in (OK, FAILED, SKIPPED)),
    )
    if report.seconds > window:
        log.warning(
            'run for %s took %.3f s, longer than its window of %g s: the next one may have begun beside it',
            report.minute,
            report.seconds,
            window,
        )


def _meant_for(task: Task, instant: datetime) -> str:
    walls = ', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in task.caught_up(instant))
    return f', meant for {walls}, which the clocks skipped' if walls else ''


def _skip(task: Task, reason: str) -> TaskReport:
    log.warning('task %s is skipped: %s', task.name, reason)
    return TaskReport(task.name, SKIPPED, reason=reason)


def _run_task(task: Task, system: System, manager: Any | None, monotonic: Callable[[], float]) -> TaskReport:
    began = monotonic()
    try:
        if manager is None:
            _refuse_unstarted(task.f(system))
        else:
            with transactions.task_transaction(manager, task.name):
                _refuse_unstarted(task.f(system))
    except Exception as exc:
        seconds = monotonic() - began
        log.exception('task %s failed after %.3f s', task.name, seconds)
        return TaskReport(task.name, FAILED, seconds, exception=exc)
    seconds = monotonic() - began
    log.info('task %s ended in %.3f s', task.name, seconds)
    return TaskReport(task.name, OK, seconds)


def _refuse_unstarted(result: object) -> None:
    """Raise if a task returned what nobody would ever run: a coroutine, a generator or the like."""
    if result is not None and (inspect.isawaitable(result) or isinstance(result, (GeneratorType, AsyncGeneratorType))):
        if isinstance(result, (CoroutineType, GeneratorType)):
            result.close()
        raise TypeError(f'the task returned a {type(result).__name__}, none of which has run; call asyncio.run() in it')
