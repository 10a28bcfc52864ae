"""Runs one task: the claim, the transaction, the call, and the release."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime, tzinfo
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron.alarm import report_failure
from pyramid_cron.claims import Run
from pyramid_cron.durations import run_duration
from pyramid_cron.enqueuing import Enqueuing
from pyramid_cron.errors import Skip, Unavailable, skip_reason
from pyramid_cron.events import TaskStarted, has_subscribers, notify
from pyramid_cron.isolation import Guard, ends_process
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order
from pyramid_cron.outcomes import EXCUSED, FAILED, OK, RETRYING, SKIPPED, STOPPED, STUCK, WAITS
from pyramid_cron.printable import log_error, message
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_keys import write_key
from pyramid_cron.run_output import RunOutput
from pyramid_cron.settings import app_name
from pyramid_cron.stopping import Stopping, StopRequest, is_not_stopping, never
from pyramid_cron.task_requests import task_requests
from pyramid_cron.tasks import System, Task
from pyramid_cron.transactions import RunTransactions

log = logging.getLogger(__name__)


class TaskRunner:
    """Runs tasks of one order; computes once what they share.

    :param request: the request that the tasks find in ``system``.
    :param order: the order.
    :param started: when the order began, on its monotonic clock.
    :param window: seconds that the order may take.
    :param is_last: returns whether the order has nothing else to do.
    """

    def __init__(self, request: Any, order: Order, started: float, window: float, is_last: Callable[[], bool]) -> None:
        self.request = request
        self.registry = request.registry
        self.order = order
        self.window = window
        self.is_last = is_last
        self.monotonic = monotonic = order.monotonic
        self.transactions = RunTransactions(request)
        self.requests = task_requests(request, order)
        self.guard = Guard()
        self.enqueuing = Enqueuing(order, self.release)
        # once, because sending an event without subscribers takes as long as the rest of a task's run
        self.sends_started = has_subscribers(self.registry, TaskStarted)
        # the same for all tasks of a minute and a time zone, and slow to convert
        self.in_zone: dict[tuple[datetime, tzinfo | None], datetime] = {}
        # random ones among them
        self.keys: dict[Run, str] = {}

        def time_left() -> float:
            return window - (monotonic() - started)

        self.time_left: Callable[[], float] = time_left

    def finish(self) -> None:
        """After the last task, leave the request's transaction as pyramid_tm expects it."""
        self.transactions.finish()
        if self.requests is not None:
            self.requests.finish()

    def scheduled_for(self, run: Run) -> datetime:
        """Return the minute that a run is for, in the time zone of its task."""
        return self.in_zone_of(run.task, run.minute or self.order.instant)

    def in_zone_of(self, task: Task, minute: datetime) -> datetime:
        """Return a minute in the time zone of a task."""
        key = minute, task.timezone
        if key not in self.in_zone:
            self.in_zone[key] = task.scheduled_for(minute)
        return self.in_zone[key]

    def key_of(self, run: Run) -> str:
        """Return the key of a run for events, the same at each call."""
        if run not in self.keys:
            app = app_name(self.registry['cron_settings'], self.registry)
            self.keys[run] = write_key(app, run.task.name, run.owed_minute, run.token)
        return self.keys[run]

    def claim_and_run(self, run: Run) -> TaskReport:
        """Run a task, or enqueue it, under a claim, or let it wait for a following tick if its engine has no room."""
        engine = run.engine
        # a run by name owes no minute, for which a following tick would look
        if engine is None or not engine.is_limited or run.minute is None:
            return self._claim_and_run(run)
        with ExitStack() as stack:
            try:
                full = stack.enter_context(engine.admit())
            except Exception as exc:
                return self.claim_failed(run, exc)
            return self._claim_and_run(run) if full is None else self.wait(run, run.minute, full)

    def _claim_and_run(self, run: Run) -> TaskReport:
        try:
            not_claimed = run.claim()
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            return self.claim_failed(run, exc)
        return self.run_claimed(run) if not_claimed is None else self.report_not_claimed(run.task, not_claimed)

    def claim_failed(self, run: Run, exc: BaseException) -> TaskReport:
        """Report a task that does not run because its claim has failed."""
        of_store, name = isinstance(exc, Unavailable), run.task.name
        shown, why = (exc.__cause__, exc) if of_store else (exc, message(exc))
        log_error(log, shown, 'task %s does not run: %s', name, why, failed_task=name)
        return TaskReport(name, FAILED, exception=exc)

    def run_claimed(self, run: Run) -> TaskReport:
        """Run a task that is claimed, or enqueue it, and release it."""
        try:
            enqueued = run.engine is not None
            report = self.enqueuing.enqueue(run) if enqueued else self.call(run, self.scheduled_for(run))
        except BaseException:
            run.interrupt()
            raise
        return self.described(run, self.release(run, report))

    def release(self, run: Run, report: TaskReport) -> TaskReport:
        """Release a run, and return its corrected report."""
        try:
            return run.release(report, run.shared is not None and self.is_last())
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            name = run.task.name
            log_error(log, exc, 'the end of task %s could not be recorded', name, failed_task=name)
            return TaskReport(name, FAILED, report.seconds, exception=exc)

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
            started = TaskStarted(self.request, task, scheduled_for, run.attempt, self.key_of(run))
            notify(self.registry, started, self.order.exits)
        began = self.monotonic()
        try:
            if self.requests is None:
                self.call_with(self.request, self.transactions, run, scheduled_for)
            else:
                self.requests.call(task.name, partial(self.call_with, run=run, scheduled_for=scheduled_for))
        except BaseException as exc:
            if ends_process(exc, self.order.exits):
                raise
            seconds = self.monotonic() - began
            # not isinstance(), which reads __class__ from the exception, a property that may raise another one
            if issubclass(type(exc), Skip):
                return _skipped(task, seconds, exc) if run.stopped is None else _stopped(run, run.stopped, seconds)
            return report_failure(run, exc, seconds, 'failed after')
        seconds = self.monotonic() - began
        if run.stopped is not None:
            return _stopped(run, run.stopped, seconds)
        if task.expect is not None and seconds > task.expect:
            log.warning('task %s ended in %.3f s, longer than its expect=%g', task.name, seconds, task.expect)
        else:
            log.info('task %s ended in %.3f s', task.name, seconds)
        return TaskReport(task.name, OK, seconds)

    def call_with(self, request: Any, transactions: RunTransactions, run: Run, scheduled_for: datetime) -> None:
        """Call a task with a request, in its transaction."""
        task, time_left, stopping = run.task, self.time_left, is_not_stopping
        if run.token is not None or self.order.shutdown is not never:
            of_run = Stopping(run, self.order.shutdown, self.time_left)
            time_left, stopping = of_run.time_left, of_run.is_requested
        output = RunOutput(task.name, self.monotonic, self.order.on_progress)
        system = {
            'request': request,
            'registry': self.registry,
            'time_left': time_left,
            'stopping': stopping,
            'scheduled_for': scheduled_for,
            'since': None if run.since is None else self.in_zone_of(run.task, run.since),
            'note': output.take_note,
            'progress': output.report_progress,
        }
        with run.kept(output), transactions.around(task.name, system), run.joined(request):
            self.call_isolated(task, system)

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
        if running is not None and running > not_claimed.stuck_after:
            reason = f'running for {run_duration(running)}'
            log.error('task %s is stuck: %s', task.name, reason)
            return TaskReport(task.name, STUCK, reason=reason)
        report = self.skip(task, not_claimed.reason, not_claimed.level, not_claimed.outcome)
        return report._replace(excuse=not_claimed.excuse)

    def wait(self, run: Run, minute: datetime, full: str) -> TaskReport:
        """Report a task that waits for a following tick, because its engine has no room."""
        not_claimed = run.wait(minute)
        if not_claimed is not None:
            return self.report_not_claimed(run.task, not_claimed)
        return self.skip(run.task, f'{WAITS}: {full}', logging.INFO)

    def skip(self, task: Task, reason: str, level: int = logging.WARNING, outcome: str = SKIPPED) -> TaskReport:
        """Report a task that does not run."""
        log.log(level, 'task %s %s: %s', task.name, 'does not run' if outcome == FAILED else f'is {outcome}', reason)
        return TaskReport(task.name, outcome, reason=reason)


def _skipped(task: Task, seconds: float, skip: BaseException) -> TaskReport:
    """Report a task that raised :exc:`.Skip`."""
    reason = skip_reason(skip)
    log.info('task %s is skipped after %.3f s: %s', task.name, seconds, reason)
    return TaskReport(task.name, SKIPPED, seconds, reason, raised_skip=True)


def _stopped(run: Run, request: StopRequest, seconds: float) -> TaskReport:
    """Report a task that has noticed that its run is to end, and has ended it."""
    excuse = RETRYING if run.goes_on() else None
    log.warning('task %s is stopped %s after %.3f s%s', run.task.name, request.reason, seconds, EXCUSED.get(excuse, ''))
    return TaskReport(run.task.name, STOPPED, seconds, request.reason, excuse=excuse)


def _special_minute(run: Run, instant: datetime, scheduled_for: datetime) -> str:
    """Return how the minute of a run differs from that of the tick, as the end of a line of the log."""
    text = f', for {scheduled_for}' if run.minute is not None and run.minute != instant else ''
    walls = ', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in run.task.skipped_wall_minutes(run.minute or instant))
    if walls:
        text += f', meant for {walls}, which the clocks skipped'
    return f'{text}, attempt {run.attempt}' if run.attempt > 1 else text
