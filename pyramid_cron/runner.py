"""Runs the tasks of an order: one after another, within a time budget, each in isolation."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron.claims import Claims, EngineNotAnswering, Found, NotClaimed, Run, Unavailable
from pyramid_cron.events import RunFinished, RunStarted, TaskFinished, TaskStarted, has_subscribers, notify
from pyramid_cron.isolation import Guard, enable_loggers, ends_process
from pyramid_cron.orders import Order
from pyramid_cron.printable import class_name, log_error, message
from pyramid_cron.reports import (
    FAILED,
    NO_TIME_LEFT,
    OK,
    OUTCOMES,
    QUEUED,
    SKIPPED,
    STOPPING,
    STUCK,
    RunReport,
    TaskReport,
    duration,
)
from pyramid_cron.schedules import clock
from pyramid_cron.tasks import Engine, System, Task
from pyramid_cron.transactions import RunTransactions

log = logging.getLogger(__name__)

# seconds from which on an engine that fails counts as one that does not answer
LONG_WAIT = 2.0

# outcomes that the summary of a run counts even if there are none
ALWAYS_COUNTED = (OK, FAILED, SKIPPED)


def run(request: Any, order: Order) -> RunReport:
    """Run the tasks of an order: the normal ones, then the idle ones, each in the order in which they are found.

    An exception of a task is logged and reported, and the next task runs. An exception that ends the process ends the
    run, and is raised again.

    :param request: the request that the tasks find in ``system``; its registry holds them.
    :raises LookupError: if there is no task of one of the names.
    """
    enable_loggers()
    started = order.monotonic()
    found = _find(request.registry, order)
    report = _run_found(request, order, started, found)
    if found.finish is not None:
        found.finish()
    return report


def _run_found(request: Any, order: Order, started: float, found: Found) -> RunReport:
    registry, instant = request.registry, order.instant
    settings = registry['cron_settings']
    # a run in a worker has no time limit of ours
    window = settings.window if order.delivery is None else math.inf
    problem = None if found.problem is None else str(found.problem)
    if not found.runs and problem is None:
        # converting the instant is what costs most in a tick with nothing due, and is not done for a log that is off
        if log.isEnabledFor(logging.DEBUG):
            log.debug('run for %s: nothing is due', clock.to_zone(instant, settings.timezone))
        return RunReport(instant, settings.timezone, order.monotonic() - started, ())
    minute = clock.to_zone(instant, settings.timezone)
    if found.problem is not None:
        log_error(log, found.problem.__cause__, 'run for %s: %s', minute, problem)
    brief = None if found.problem is None else found.problem.brief
    if not found.runs:
        return RunReport(instant, settings.timezone, order.monotonic() - started, (), problem, brief)
    due = sorted(found.runs, key=lambda run: run.task.idle)
    log.info('run for %s begins, tasks due: %d', minute, len(due))
    notify(registry, RunStarted(request, minute, tuple(run.task for run in due)), order.exits)
    reports = _Runner(request, order, started, window).run_all(due)
    result = RunReport(instant, settings.timezone, order.monotonic() - started, tuple(reports), problem, brief)
    _log_end(result, window)
    notify(registry, RunFinished(request, result), order.exits)
    return result


def _find(registry: Any, order: Order) -> Found:
    """Return the runs that an order stands for."""
    claims: Claims = registry['cron_claims']
    tasks = registry['cron_tasks']
    if order.delivery is not None:
        return claims.delivered(tasks, order.delivery, registry['cron_settings'].catch_up)
    if order.names is not None:
        return claims.named(tasks, order.names, order.requested_by, order.enqueue)
    return claims.due(tasks, order.instant, order.trigger)


class _Runner:
    """Runs the tasks of one order; computes once what they share."""

    def __init__(self, request: Any, order: Order, started: float, window: float) -> None:
        self.request = request
        self.registry = request.registry
        self.order = order
        self.window = window
        self.monotonic = monotonic = order.monotonic
        self.transactions = RunTransactions(request)
        self.guard = Guard()
        # once, because sending an event without subscribers takes as long as the rest of a task's run
        self.sends_started, self.sends_finished = (
            has_subscribers(self.registry, event) for event in (TaskStarted, TaskFinished)
        )
        # of engines that have kept a task waiting in vain
        self.silent_brokers: list[object] = []
        # the same for all tasks of a minute and a time zone, and slow to convert
        self.in_zone: dict[tuple[datetime, tzinfo | None], datetime] = {}

        def time_left() -> float:
            return window - (monotonic() - started)

        self.time_left: Callable[[], float] = time_left

    def run_all(self, due: Sequence[Run]) -> list[TaskReport]:
        """Run the tasks one after another, and leave the request's transaction as pyramid_tm expects it."""
        reports: list[TaskReport] = []
        for run in due:
            if self.order.stop():
                reports.append(self.skip(run.task, STOPPING))
                continue
            try:
                reports.append(self.run_one(run))
            except BaseException as exc:
                left = ', '.join(other.task.name for other in due[len(reports) + 1 :]) or 'none'
                log.error('task %s: %s ends the run; not run: %s', run.task.name, class_name(exc), left)
                raise
        self.transactions.finish()
        return reports

    def run_one(self, run: Run) -> TaskReport:
        """Run a task, or report why it does not run, and send the event of its end."""
        task = run.task
        scheduled_for = self.scheduled_for(run)
        if run.not_claimed is not None:
            report = self.report_not_claimed(task, run.not_claimed)
        elif task.idle and self.time_left() <= 0:
            report = self.skip(task, NO_TIME_LEFT)
            run.skip(NO_TIME_LEFT)
        else:
            report = self.claim_and_run(run, scheduled_for)
        if self.sends_finished:
            event = TaskFinished(self.request, task, scheduled_for, report.outcome, report.seconds, report.exception)
            notify(self.registry, event, self.order.exits)
        return report

    def scheduled_for(self, run: Run) -> datetime:
        """Return the minute that a run is for, in the time zone of its task."""
        key = run.minute or self.order.instant, run.task.timezone
        if key not in self.in_zone:
            self.in_zone[key] = run.task.scheduled_for(key[0])
        return self.in_zone[key]

    def claim_and_run(self, run: Run, scheduled_for: datetime) -> TaskReport:
        """Run a task, or enqueue it, under a claim."""
        try:
            not_claimed = run.claim()
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            shown = exc.__cause__ if isinstance(exc, Unavailable) else exc
            log_error(log, shown, 'task %s does not run: %s', run.task.name, message(exc))
            return TaskReport(run.task.name, FAILED, exception=exc)
        if not_claimed is not None:
            return self.report_not_claimed(run.task, not_claimed)
        try:
            report = self.call(run, scheduled_for) if run.engine is None else self.enqueue(run, run.engine)
        except BaseException:
            run.interrupt()
            raise
        try:
            report = run.release(report)
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            log_error(log, exc, 'the end of task %s could not be recorded', run.task.name)
            return TaskReport(run.task.name, FAILED, report.seconds, exception=exc)
        late = run.minute is not None and run.minute != self.order.instant
        if not late and run.attempt == 1:
            return report
        return report._replace(attempt=run.attempt, scheduled_for=scheduled_for if late else None)

    def enqueue(self, run: Run, engine: Engine) -> TaskReport:
        """Enqueue a run, unless its claim has done so."""
        task, began = run.task, self.monotonic()
        try:
            if not engine.within_claim:
                self.require_answering(engine)
                engine.enqueue(run)
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            seconds = self.monotonic() - began
            if seconds >= LONG_WAIT:
                self.silent_brokers.append(engine.broker)
            log_error(log, exc, 'task %s could not be enqueued after %.3f s', task.name, seconds)
            return TaskReport(task.name, FAILED, seconds, exception=exc)
        log.info('task %s is enqueued with %s', task.name, engine)
        return TaskReport(task.name, QUEUED, self.monotonic() - began)

    def require_answering(self, engine: Engine) -> None:
        """Raise an exception if the engine has not answered in this run: one wait in a tick is enough."""
        if engine.broker in self.silent_brokers:
            raise EngineNotAnswering(
                f'{engine} did not answer for a task before, and is not waited for again in this run'
            )

    def call(self, run: Run, scheduled_for: datetime) -> TaskReport:
        """Call a task in its transaction."""
        task = run.task
        if log.isEnabledFor(logging.INFO):
            log.info('task %s begins%s', task.name, _special_minute(run, self.order.instant, scheduled_for))
        if self.sends_started:
            notify(self.registry, TaskStarted(self.request, task, scheduled_for), self.order.exits)
        system = {
            'request': self.request,
            'registry': self.registry,
            'time_left': self.time_left,
            'scheduled_for': scheduled_for,
        }
        began = self.monotonic()
        try:
            with self.transactions.around(task.name, system), run.joined(self.request):
                self.call_isolated(task, system)
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            seconds = self.monotonic() - began
            log_error(log, exc, 'task %s failed after %.3f s', task.name, seconds)
            return TaskReport(task.name, FAILED, seconds, exception=exc)
        seconds = self.monotonic() - began
        log.info('task %s ended in %.3f s', task.name, seconds)
        return TaskReport(task.name, OK, seconds)

    def call_isolated(self, task: Task, system: System) -> None:
        """Call a task, and undo what would affect the next one."""
        try:
            result: Any = task.f(system)
        except BaseException as exc:
            self.guard.after(task.name, exc)
            raise
        self.guard.after(task.name, None)
        # nothing has run yet of a coroutine, a generator or the like; isinstance() would call __class__ of a proxy
        kind = type(result)
        if result is not None and issubclass(kind, (Awaitable, GeneratorType, AsyncGeneratorType)):
            if issubclass(kind, (CoroutineType, GeneratorType)):
                result.close()
            raise TypeError(f'the task returned a {kind.__name__}, none of which has run; call asyncio.run() in it')

    def report_not_claimed(self, task: Task, not_claimed: NotClaimed) -> TaskReport:
        """Report a task that may not begin."""
        running = not_claimed.running_seconds
        if running is not None and running > task.window(self.window):
            reason = f'running for {duration(running)}'
            log.error('task %s is stuck: %s', task.name, reason)
            return TaskReport(task.name, STUCK, reason=reason)
        return self.skip(task, not_claimed.reason, not_claimed.level, not_claimed.outcome)

    def skip(self, task: Task, reason: str, level: int = logging.WARNING, outcome: str = SKIPPED) -> TaskReport:
        """Report a task that does not run."""
        log.log(level, 'task %s %s: %s', task.name, 'does not run' if outcome == FAILED else f'is {outcome}', reason)
        return TaskReport(task.name, outcome, reason=reason)


def _log_end(report: RunReport, window: float) -> None:
    counts = [(outcome, len(report.names(outcome))) for outcome in OUTCOMES]
    log.info(
        'run for %s ended in %.3f s: %s',
        report.minute,
        report.seconds,
        ', '.join(f'{count} {outcome}' for outcome, count in counts if count or outcome in ALWAYS_COUNTED),
    )
    if report.seconds > window:
        log.warning(
            'run for %s took %.3f s, longer than its window of %g s: the next one may have begun before its end',
            report.minute,
            report.seconds,
            window,
        )


def _special_minute(run: Run, instant: datetime, scheduled_for: datetime) -> str:
    """Return how the minute of a run differs from that of the tick, as the end of a line of the log."""
    text = f', for {scheduled_for}' if run.minute is not None and run.minute != instant else ''
    walls = ', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in run.task.skipped_wall_minutes(run.minute or instant))
    if walls:
        text += f', meant for {walls}, which the clocks skipped'
    return f'{text}, attempt {run.attempt}' if run.attempt > 1 else text
