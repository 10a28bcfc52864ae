"""Runs the tasks of an order: one after another, within a time budget, each in isolation."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron.claims import Claims, Found, NotClaimed, Run, SharedClaims, Unavailable
from pyramid_cron.enqueuing import Enqueuing, batches
from pyramid_cron.events import RunFinished, RunStarted, TaskFinished, TaskStarted, has_subscribers, notify
from pyramid_cron.isolation import Guard, enable_loggers, ends_process
from pyramid_cron.orders import Order
from pyramid_cron.printable import class_name, log_error, message
from pyramid_cron.reports import (
    FAILED,
    NO_TIME_LEFT,
    OK,
    OUTCOMES,
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
        self.enqueuing = Enqueuing(order, self.release)
        # the runs that are left, those that were not free, and the reports of the others
        self.left: list[Run] = []
        self.not_free: list[Run] = []
        self.reports: dict[Run, TaskReport] = {}
        # the one that is claimed or runs
        self.present: Run | None = None
        # the same for all tasks of a minute and a time zone, and slow to convert
        self.in_zone: dict[tuple[datetime, tzinfo | None], datetime] = {}

        def time_left() -> float:
            return window - (monotonic() - started)

        self.time_left: Callable[[], float] = time_left

    def run_all(self, due: Sequence[Run]) -> list[TaskReport]:
        """Run the tasks one after another, and leave the request's transaction as pyramid_tm expects it."""
        self.left.extend(due)
        try:
            for shared, engine, runs in batches(due):
                if not self.order.stop():
                    self.enqueue_all(shared, engine, runs)
            while self.left or self.not_free:
                self.run_next()
        except BaseException as exc:
            left = ', '.join(run.task.name for run in due if run not in self.reports and run is not self.present)
            present = '' if self.present is None else f'task {self.present.task.name}: '
            log.error('%s%s ends the run; not run: %s', present, class_name(exc), left or 'none')
            raise
        self.transactions.finish()
        return [self.reports[run] for run in due]

    def enqueue_all(self, shared: SharedClaims, engine: Engine, runs: Sequence[Run]) -> None:
        """Enqueue runs that go to one engine together."""
        reports, claimed = self.enqueuing.enqueue_all(shared, runs)
        self.not_free += claimed.not_free
        done = {*reports, *claimed.not_free}
        self.left = [run for run in self.left if run not in done]
        for run, report in reports.items():
            self.end(run, self.described(run, report))

    def run_next(self) -> None:
        """Run the next task of those that are left, or report why some do not run."""
        if self.order.stop():
            for run in [*self.not_free, *self.left]:
                self.end(run, self.skip(run.task, STOPPING))
            self.left, self.not_free = [], []
        elif not self.left:
            self.explain()
        elif (shared := self.shared(self.left[0])) is not None:
            self.run_first(shared)
        else:
            self.run_alone(self.left.pop(0))

    def shared(self, run: Run) -> SharedClaims | None:
        """Return the claims of which a run is claimed as the first that is free, ``None`` if it is not."""
        if run.not_claimed is not None or run.engine is not None or (run.task.idle and self.time_left() <= 0):
            return None
        return run.shared

    def run_first(self, shared: SharedClaims) -> None:
        """Run the first task that is free of those that are left, which other processes claim too."""
        first = self.present = self.left[0]
        same_kind = (run for run in self.left if run.task.idle == first.task.idle)
        try:
            claimed = shared.claim_first(run for run in same_kind if self.shared(run) is shared)
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            self.left.remove(first)
            self.end(first, self.claim_failed(first, exc))
            return
        self.not_free += claimed.not_free
        for run in (*claimed.not_free, *claimed.runs):
            self.left.remove(run)
        for run in claimed.runs:
            self.present = run
            self.end(run, self.run_claimed(run))

    def explain(self) -> None:
        """Report why runs were not free, and claim those by themselves that are free now."""
        runs, self.not_free = self.not_free, []
        reasons: list[NotClaimed | None] = [None] * len(runs)
        if runs[0].shared is not None:
            with suppress(Unavailable):
                # without the database each claim finds that out
                reasons = runs[0].shared.why_not_free(runs)
        for run, reason in zip(runs, reasons, strict=True):
            if reason is None:
                self.left.append(run)
            else:
                self.end(run, self.report_not_claimed(run.task, reason))
        while self.left:
            self.run_alone(self.left.pop(0))

    def run_alone(self, run: Run) -> None:
        """Run a task under a claim of its own, or report why it does not run."""
        self.present, task = run, run.task
        if run.not_claimed is not None:
            report = self.report_not_claimed(task, run.not_claimed)
        elif task.idle and self.time_left() <= 0:
            report = self.skip(task, NO_TIME_LEFT)
            run.skip(NO_TIME_LEFT)
        else:
            report = self.claim_and_run(run)
        self.end(run, report)

    def end(self, run: Run, report: TaskReport) -> None:
        """Keep the report of a run, and send the event of its end."""
        self.reports[run] = report
        self.present = None
        if self.sends_finished:
            event = TaskFinished(
                self.request, run.task, self.scheduled_for(run), report.outcome, report.seconds, report.exception
            )
            notify(self.registry, event, self.order.exits)

    def scheduled_for(self, run: Run) -> datetime:
        """Return the minute that a run is for, in the time zone of its task."""
        key = run.minute or self.order.instant, run.task.timezone
        if key not in self.in_zone:
            self.in_zone[key] = run.task.scheduled_for(key[0])
        return self.in_zone[key]

    def claim_and_run(self, run: Run) -> TaskReport:
        """Run a task, or enqueue it, under a claim."""
        try:
            not_claimed = run.claim()
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            return self.claim_failed(run, exc)
        return self.run_claimed(run) if not_claimed is None else self.report_not_claimed(run.task, not_claimed)

    def claim_failed(self, run: Run, exc: BaseException) -> TaskReport:
        """Report a task that does not run because its claim has failed."""
        shown = exc.__cause__ if isinstance(exc, Unavailable) else exc
        log_error(log, shown, 'task %s does not run: %s', run.task.name, message(exc))
        return TaskReport(run.task.name, FAILED, exception=exc)

    def run_claimed(self, run: Run) -> TaskReport:
        """Run a task that is claimed, or enqueue it, and release it."""
        try:
            if run.engine is None:
                report = self.call(run, self.scheduled_for(run))
            else:
                report = self.enqueuing.enqueue(run, run.engine)
        except BaseException:
            run.interrupt()
            raise
        return self.described(run, self.release(run, report))

    def release(self, run: Run, report: TaskReport) -> TaskReport:
        """Release a run, and return its corrected report."""
        try:
            return run.release(report, not (self.left or self.not_free))
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            log_error(log, exc, 'the end of task %s could not be recorded', run.task.name)
            return TaskReport(run.task.name, FAILED, report.seconds, exception=exc)

    def described(self, run: Run, report: TaskReport) -> TaskReport:
        """Return the report of a run with its attempt and its minute, if these are not the usual ones."""
        late = run.minute is not None and run.minute != self.order.instant
        if not late and run.attempt == 1:
            return report
        return report._replace(attempt=run.attempt, scheduled_for=self.scheduled_for(run) if late else None)

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
