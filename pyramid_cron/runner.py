"""One cron run: the order of its tasks, its time budget, and their turns."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, tzinfo
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pyramid_cron.claims import Claims, Delivery, Held, Turn, Unavailable
from pyramid_cron.events import RunFinished, RunStarted, TaskFinished, TaskStarted, has_subscribers, notify
from pyramid_cron.isolation import OF_COMMANDS, Exits, Guard, ends_process
from pyramid_cron.reports import (
    FAILED,
    HANDED_OVER,
    NO_TIME_LEFT,
    OK,
    SKIPPED,
    STOPPING,
    STUCK,
    RunReport,
    TaskReport,
    duration,
)
from pyramid_cron.schedules import clock
from pyramid_cron.tasks import Engine, System, Task, Tasks
from pyramid_cron.transactions import RunTransactions

log = logging.getLogger(__name__)

# of a run, in the log
ALWAYS_COUNTED = (OK, FAILED, SKIPPED)


def run(
    request: Any,
    instant: datetime,
    *,
    window: float,
    zone: tzinfo | None = None,
    names: Collection[str] | None = None,
    trigger: str = 'request',
    requested_by: str | None = None,
    enqueue: bool = False,
    delivery: Delivery | None = None,
    exits: Exits = OF_COMMANDS,
    stop: Callable[[], bool] = lambda: False,
    monotonic: Callable[[], float] = time.monotonic,
) -> RunReport:
    """Run the tasks that are due: the normal ones, then the idle ones, each in the order of registration.

    Whatever a task raises is logged and reported, and the next one runs. What ends the process ends the run too, and
    passes through.

    :param request: the request that the tasks find in ``system``; its registry holds them.
    :param instant: the minute to run for, aware.
    :param window: seconds that ``time_left()`` counts down from; idle tasks start only while some are left.
    :param zone: the time zone of the report, ``None`` for the machine's.
    :param names: the tasks to run in place of those that are due.
    :param trigger: what asked for the run, for the record.
    :param requested_by: who asked for tasks by their names, for the record.
    :param enqueue: whether tasks that are named are handed over, where they have something to be handed over by.
    :param delivery: the run to begin that was handed over, in place of those that are due.
    :param exits: what ends the process if it is raised in the main thread.
    :param stop: asked before each turn; once it returns true, no other task begins.
    :param monotonic: a clock in seconds that nobody sets.
    :raises LookupError: if there is no task of one of the names.
    """
    started = monotonic()
    registry = request.registry
    tasks: Tasks = registry['cron_tasks']
    claims: Claims = registry['cron_claims']
    problem = None
    try:
        if delivery is not None:
            due = claims.delivered(tasks, delivery, registry['cron_settings'].catch_up)
        elif names is not None:
            due = claims.named(tasks, names, requested_by, enqueue)
        else:
            due = claims.turns(tasks, instant, trigger)
    except Unavailable as exc:
        due, problem = list(exc.turns), str(exc)
        log.error('run for %s: %s', clock.to_zone(instant, zone), problem, exc_info=exc.__cause__)
    if not due:
        # what costs most in a tick with nothing due is not done for a log that is off
        if problem is None and log.isEnabledFor(logging.DEBUG):
            log.debug('run for %s: nothing is due', clock.to_zone(instant, zone))
        return RunReport(instant, zone, monotonic() - started, (), problem)
    minute = clock.to_zone(instant, zone)
    log.info('run for %s begins, tasks due: %d', minute, len(due))
    due.sort(key=lambda turn: turn.task.idle)
    notify(registry, RunStarted(request, minute, tuple(turn.task for turn in due)), exits)
    reports = _Turns(request, instant, started, window, exits, monotonic).take_all(due, stop)
    result = RunReport(instant, zone, monotonic() - started, tuple(reports), problem)
    _log_end(result, window)
    notify(registry, RunFinished(request, result), exits)
    return result


class _Turns:
    """What the turns of a run have in common, found out once."""

    def __init__(
        self,
        request: Any,
        instant: datetime,
        started: float,
        window: float,
        exits: Exits,
        monotonic: Callable[[], float],
    ) -> None:
        self.request = request
        self.instant = instant
        self.window = window
        self.exits = exits
        self.monotonic = monotonic
        registry = self.registry = request.registry
        self.claims: Claims = registry['cron_claims']
        self.transactions = RunTransactions(request)
        self.guard = Guard()
        # asked once, because sending an event to nobody takes as long as the rest of a task's turn
        self.tell_started, self.tell_finished = (
            has_subscribers(registry, event) for event in (TaskStarted, TaskFinished)
        )
        # the same for all tasks of a minute and a time zone, and slow to convert
        self.in_zone: dict[tuple[datetime, tzinfo | None], datetime] = {}

        def time_left() -> float:
            return window - (monotonic() - started)

        self.time_left = time_left

    def take_all(self, due: Sequence[Turn], stop: Callable[[], bool]) -> list[TaskReport]:
        """Let each task have its turn, and leave the request's transaction as pyramid_tm expects it."""
        reports: list[TaskReport] = []
        for turn in due:
            if stop():
                reports.append(self.skip(turn.task, STOPPING))
                continue
            try:
                reports.append(self.take(turn))
            except BaseException as exc:
                missed = ', '.join(other.task.name for other in due[len(reports) + 1 :]) or 'none'
                log.error('task %s: %s ends the run; not run: %s', turn.task.name, type(exc).__name__, missed)
                raise
        self.transactions.finish()
        return reports

    def take(self, turn: Turn) -> TaskReport:
        """Let a task have its turn, and report what became of it."""
        task = turn.task
        key = turn.minute or self.instant, task.timezone
        if key not in self.in_zone:
            self.in_zone[key] = task.scheduled_for(key[0])
        scheduled_for = self.in_zone[key]
        if turn.held is not None:
            report = self.hold(task, turn.held)
        elif task.idle and self.time_left() <= 0:
            report = self.skip(task, NO_TIME_LEFT)
            self.claims.pass_over(turn, NO_TIME_LEFT)
        else:
            report = self.claim(turn, scheduled_for)
        if self.tell_finished:
            notify(
                self.registry,
                TaskFinished(self.request, task, scheduled_for, report.outcome, report.seconds, report.exception),
                self.exits,
            )
        return report

    def claim(self, turn: Turn, scheduled_for: datetime) -> TaskReport:
        """Run a task if nobody else does."""
        try:
            held = self.claims.claim(turn)
        except Unavailable as exc:
            log.error('task %s does not run: %s', turn.task.name, exc, exc_info=exc.__cause__)
            return TaskReport(turn.task.name, FAILED, exception=exc)
        if held is not None:
            return self.hold(turn.task, held)
        try:
            report = self.hand_over(turn, turn.engine) if turn.engine else self.run(turn, scheduled_for)
        except BaseException:
            self.claims.interrupt(turn)
            raise
        report = self.claims.release(turn, report)
        late = turn.minute is not None and turn.minute != self.instant
        if not late and turn.attempt == 1:
            return report
        return report._replace(attempt=turn.attempt, scheduled_for=scheduled_for if late else None)

    def hand_over(self, turn: Turn, engine: Engine) -> TaskReport:
        """Hand a task over, unless its claim has done so."""
        task, began = turn.task, self.monotonic()
        try:
            if not engine.within_claim:
                engine.enqueue(turn)
        except BaseException as exc:
            if ends_process(exc, self.exits):
                raise
            seconds = self.monotonic() - began
            _log_failure(task, seconds, exc, 'could not be handed over')
            return TaskReport(task.name, FAILED, seconds, exception=exc)
        log.info('task %s is handed over to %s', task.name, engine)
        return TaskReport(task.name, HANDED_OVER, self.monotonic() - began)

    def run(self, turn: Turn, scheduled_for: datetime) -> TaskReport:
        """Run a task that nothing is in the way of."""
        task = turn.task
        if log.isEnabledFor(logging.INFO):
            log.info('task %s begins%s', task.name, _meant_for(turn, self.instant, scheduled_for))
        if self.tell_started:
            notify(self.registry, TaskStarted(self.request, task, scheduled_for), self.exits)
        system = {
            'request': self.request,
            'registry': self.registry,
            'time_left': self.time_left,
            'scheduled_for': scheduled_for,
        }
        began = self.monotonic()
        try:
            with self.transactions.around(task.name, system), self.claims.joined(turn, self.request):
                self.call(task, system)
        except BaseException as exc:
            if ends_process(exc, self.exits):
                raise
            seconds = self.monotonic() - began
            _log_failure(task, seconds, exc)
            return TaskReport(task.name, FAILED, seconds, exception=exc)
        seconds = self.monotonic() - began
        log.info('task %s ended in %.3f s', task.name, seconds)
        return TaskReport(task.name, OK, seconds)

    def call(self, task: Task, system: System) -> None:
        """Call a task, and undo what would hurt the next one."""
        try:
            result = task.f(system)
        except BaseException as exc:
            self.guard.after(task.name, exc)
            raise
        self.guard.after(task.name, None)
        # what nobody would ever run: a coroutine, a generator or the like
        if result is not None and (
            inspect.isawaitable(result) or isinstance(result, (GeneratorType, AsyncGeneratorType))
        ):
            if isinstance(result, (CoroutineType, GeneratorType)):
                result.close()
            raise TypeError(
                f'the task returned a {type(result).__name__}, none of which has run; call asyncio.run() in it'
            )

    def hold(self, task: Task, held: Held) -> TaskReport:
        """Report a task that may not begin."""
        if held.seconds is not None and held.seconds > self.window:
            reason = f'running for {duration(held.seconds)}'
            log.error('task %s is stuck: %s', task.name, reason)
            return TaskReport(task.name, STUCK, reason=reason)
        return self.skip(task, held.reason, held.level, held.outcome)

    def skip(self, task: Task, reason: str, level: int = logging.WARNING, outcome: str = SKIPPED) -> TaskReport:
        """Report a task that is not run."""
        log.log(level, 'task %s is %s: %s', task.name, outcome, reason)
        return TaskReport(task.name, outcome, reason=reason)


def _log_failure(task: Task, seconds: float, exc: BaseException, what: str = 'failed') -> None:
    try:
        log.error('task %s %s after %.3f s', task.name, what, seconds, exc_info=exc)
    except Exception:
        # what shows a traceback asks the exception for a lot, and lets pass what that raises
        log.error('task %s %s after %.3f s: %s, which cannot be shown', task.name, what, seconds, type(exc).__name__)


def _log_end(report: RunReport, window: float) -> None:
    counts = [(status, len(report.names(status))) for status in (OK, FAILED, SKIPPED, STUCK, HANDED_OVER)]
    log.info(
        'run for %s ended in %.3f s: %s',
        report.minute,
        report.seconds,
        ', '.join(f'{count} {outcome}' for outcome, count in counts if count or outcome in ALWAYS_COUNTED),
    )
    if report.seconds > window:
        log.warning(
            'run for %s took %.3f s, longer than its window of %g s: the next one may have begun beside it',
            report.minute,
            report.seconds,
            window,
        )


def _meant_for(turn: Turn, instant: datetime, scheduled_for: datetime) -> str:
    """Say what is not plain about the minute that a task runs for."""
    told = f', for {scheduled_for}' if turn.minute is not None and turn.minute != instant else ''
    walls = ', '.join(f'{wall:%Y-%m-%d %H:%M}' for wall in turn.task.skipped_wall_minutes(turn.minute or instant))
    if walls:
        told += f', meant for {walls}, which the clocks skipped'
    return f'{told}, attempt {turn.attempt}' if turn.attempt > 1 else told
