"""The command ``pcron run --for``: one task for past minutes at which it was due."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyramid_cron.claims import Backfill
from pyramid_cron.orders import NotRun, run_backfill
from pyramid_cron.outcomes import ALREADY_OK, LOCKED, NO_RECORD, NO_TIME_LEFT, OK, QUEUED, RUNNING, SKIPPED, STILL_OWED
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.login import login_name
from pyramid_cron.scripts.progress_bar import SpanProgress
from pyramid_cron.scripts.report_lines import format_task_report
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_past

if TYPE_CHECKING:
    from pyramid_cron.store.backfill_plan import Plan

# the number of minutes from which on a backfill needs a confirmation at a terminal
MOST_UNASKED = 10
# seconds for which a task that another run holds is waited for, and between two attempts
PATIENCE, INTERVAL = 60.0, 1.0
# outcomes of a task that did not begin, and may begin later, unless it is for one of these reasons
BUSY, FINAL = (SKIPPED, LOCKED), (ALREADY_OK, NO_RECORD, STILL_OWED, NO_TIME_LEFT)


class BackfillCommand(Command):
    """Runs a task for past minutes."""

    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    def backfill(self, names: Sequence[str]) -> int:
        """Run a task for the minutes that the arguments name."""
        task, first, last = self._span(names)
        store = self.require_store()
        if not task.store:
            raise UsageError(f'{task.name} is not kept in cron.store (store=False): what it ran for is not known')
        plan = self._plan(store, task, first, last)
        self.out(self._describe(task, plan))
        if not self._is_confirmed(plan):
            self.out('Nothing was run.')
            return 1
        with self.shutdown.on_signals():
            status = self._run_all(task, plan.run)
        # what was named and is left to others did not run
        return status if plan.run or plan.ok else 1

    def _span(self, names: Sequence[str]) -> tuple[Task, datetime, datetime]:
        """Return the task, and the first and last minute that the arguments name."""
        if len(names) != 1:
            raise UsageError('name one task with --for: each is made good by itself, the oldest minute first')
        [task] = self.tasks.named(names)
        first = self._parse('for', self.args.first)
        last = first if self.args.until is None else self._parse('until', self.args.until)
        if last < first:
            raise UsageError(f'--until {self.args.until!r} is before --for {self.args.first!r}')
        return task, first, last

    def _parse(self, option: str, text: str) -> datetime:
        try:
            return parse_past(text, self.now(), self.zone)
        except TimeError as exc:
            raise UsageError(f'--{option} {exc}') from None

    def _plan(self, store: Any, task: Task, first: datetime, last: datetime) -> Plan:
        # needs what the extra installs
        from pyramid_cron.store.backfill_plan import TooMany, nearest_due, plan_backfill

        try:
            plan = plan_backfill(store, task, first, last, self.args.again)
        except TooMany as exc:
            raise UsageError(str(exc)) from None
        if not plan.due and task.schedule.is_off:
            raise UsageError(f'{task.name} is off, by {task.schedule_by}: no minute is due')
        if not plan.due:
            now = self.now()
            past = (minute for minute in nearest_due(store, task, first) if minute is not None and minute <= now)
            nearest = ' and '.join(map(self.format_minute, past))
            span = f'from {self.format_minute(first)} to {self.format_minute(last)}'
            when = f'at {self.format_minute(first)}' if first == last else span
            found = f'the nearest minutes: {nearest or "none"}{self._limit(plan)}'
            raise UsageError(f'{task.name} was not due {when}; {found}')
        return plan

    def _describe(self, task: Task, plan: Plan) -> str:
        due = plan.due
        counts = [
            (len(plan.run), 'to run now'),
            (len(plan.ok), 'ok already and left alone'),
            (len(plan.unknown), 'older than the history and left alone (--again runs them)'),
            (len(plan.owed), 'left to the next tick (pcron tick), which runs them or records them as missed'),
        ]
        shown = ', '.join(f'{number} {what}' for number, what in counts if number)
        span = f'at {self.format_minute(due[0])}'
        if len(due) > 1:
            span = f'{len(due)} times from {self.format_minute(due[0])} to {self.format_minute(due[-1])}'
        return f'{task.name} was due {span}: {shown}{self._limit(plan)}'

    def _limit(self, plan: Plan) -> str:
        """Return until when the schedule is not known; empty if it is."""
        if plan.unknown_until is None:
            return ''
        shown = self.format_minute(plan.unknown_until)
        return f'; the schedule before {shown} is not known, and only minutes with an entry in the history count'

    def _is_confirmed(self, plan: Plan) -> bool:
        if len(plan.run) <= MOST_UNASKED or self.args.yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return True
        question = f'Run it {len(plan.run)} times, the oldest minute first? [y/N] '
        try:
            return input(question).strip().lower() in ('y', 'yes')
        except EOFError:
            return False

    def _run_all(self, task: Task, minutes: Sequence[datetime]) -> int:
        bar = self.progress_bar()
        with bar.on_screen():
            return self._run_each(task, minutes, SpanProgress(bar, task.name, len(minutes), self.monotonic, self.now))

    def _run_each(self, task: Task, minutes: Sequence[datetime], progress: SpanProgress) -> int:
        for index, minute in enumerate(minutes):
            progress.begin(index)
            report = self._run(task, minute, progress)
            if report is None:
                self._report_left(minutes[index:])
                return self.interrupted()
            self._show(report, minute)
            if report.outcome == QUEUED:
                report = self._wait_for(task, minute)
                if report is None:
                    self._report_left(minutes[index:])
                    return self.interrupted()
                self._show(report, minute)
            if report.outcome != OK and report.reason != ALREADY_OK and not report.raised_skip:
                self._report_left(minutes[index + 1 :])
                return 1
        return 0

    def _run(self, task: Task, minute: datetime, progress: SpanProgress) -> TaskReport | None:
        """Run a task for a minute, after a wait if another run of it is in progress; ``None`` after a signal."""
        backfill = Backfill(task.name, minute, self.args.again)
        end, has_waited = self.monotonic() + PATIENCE, False
        while not self.shutdown.requested():
            try:
                report = run_backfill(
                    self.app,
                    self.registry,
                    backfill,
                    requested_by=login_name(),
                    enqueue=not self.args.here,
                    shutdown=self.shutdown.cause,
                    on_progress=progress.listen,
                )
            except NotRun as exc:
                raise NotRun(f'{exc}{self.remedy}') from None
            is_final = report.raised_skip or report.reason in FINAL
            if report.outcome not in BUSY or is_final or self.monotonic() >= end:
                return report
            if not has_waited:
                self.warn(f'waiting for {task.name}: {report.reason}')
            has_waited = True
            self.shutdown.wait(INTERVAL)
        return None

    def _wait_for(self, task: Task, minute: datetime) -> TaskReport | None:
        """Wait until an enqueued run for a minute has ended, and return its report; ``None`` after a signal."""
        store = self.require_store()
        while not self.shutdown.requested():
            with store.queries() as queries:
                run = queries.became_of(task.name, minute)[-1]
            if run.outcome not in (QUEUED, RUNNING):
                raised_skip = run.outcome == SKIPPED
                return TaskReport(
                    task.name, run.outcome, run.seconds or 0.0, run.why, attempt=run.attempt, raised_skip=raised_skip
                )
            self.shutdown.wait(INTERVAL)
        return None

    def _show(self, report: TaskReport, minute: datetime) -> None:
        self.out(format_task_report(report._replace(scheduled_for=clock.to_zone(minute, self.zone))))

    def _report_left(self, minutes: Sequence[datetime]) -> None:
        if minutes:
            times = '1 minute is' if len(minutes) == 1 else f'{len(minutes)} minutes are'
            self.out(f'{times} left, from {self.format_minute(minutes[0])} on: the same command goes on there.')
