"""Runs one task: the claim, the transaction, the call, and the release."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron.claims import NotClaimed, Run, Unavailable
from pyramid_cron.enqueuing import Enqueuing
from pyramid_cron.events import TaskStarted, has_subscribers, notify
from pyramid_cron.isolation import Guard, ends_process
from pyramid_cron.orders import Order
from pyramid_cron.printable import log_error, message
from pyramid_cron.reports import FAILED, OK, SKIPPED, STUCK, TaskReport, duration
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
        self.guard = Guard()
        self.enqueuing = Enqueuing(order, self.release)
        # once, because sending an event without subscribers takes as long as the rest of a task's run
        self.sends_started = has_subscribers(self.registry, TaskStarted)
        # the same for all tasks of a minute and a time zone, and slow to convert
        self.in_zone: dict[tuple[datetime, tzinfo | None], datetime] = {}

        def time_left() -> float:
            return window - (monotonic() - started)

        self.time_left: Callable[[], float] = time_left

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


def _special_minute(run: Run, instant: datetime, scheduled_for: datetime) -> str:
    """Return how the minute of a run differs from that of the tick, as the end of a line of the log."""
    text = f', for {scheduled_for}' if run.minute is not None and run.minute != instant else ''
    walls = ', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in run.task.skipped_wall_minutes(run.minute or instant))
    if walls:
        text += f', meant for {walls}, which the clocks skipped'
    return f'{text}, attempt {run.attempt}' if run.attempt > 1 else text
