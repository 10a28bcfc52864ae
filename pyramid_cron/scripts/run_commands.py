"""The commands of ``pcron`` that run tasks."""

from __future__ import annotations

import logging
import shlex
import textwrap
from collections.abc import Iterable
from datetime import datetime

from pyramid_cron.errors import Unavailable
from pyramid_cron.orders import NotRun, run_through
from pyramid_cron.outcomes import ALARMING, DONE, QUEUED
from pyramid_cron.printable import message
from pyramid_cron.queues.worker import perform
from pyramid_cron.reports import RunReport
from pyramid_cron.run_output import ProgressListener
from pyramid_cron.scripts.backfill import BackfillCommand
from pyramid_cron.scripts.listing import format_count, format_next_task
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.login import login_name
from pyramid_cron.scripts.report_lines import format_report, format_task_report
from pyramid_cron.scripts.work_loop import work
from pyramid_cron.task_summary import summarize

log = logging.getLogger(__name__)


class RunCommands(BackfillCommand):
    """The commands that run due tasks, or named ones."""

    def tick(self) -> int:
        """Run what is due, or show it."""
        instant = self.parse_at()
        if not self.args.dry_run:
            self._require_past(instant)
            # a tick of cron finds what another server has run; one by hand is for a minute that is to run
            with self.until_sigterm():
                report = self.run_for(instant)
            return self.report(report, by_hand=self.args.at is not None)
        summaries = self.summaries(instant, 1, sorted(self.tasks.due(instant), key=lambda task: task.idle)).tasks
        due = [summary.task for summary in summaries if not summary.is_paused]
        self.out(f'{self.format_minute(instant)}: {format_count(due)} would run')
        for task in due:
            self.out(f'{"idle" if task.idle else "":8} {task.name}')
        for summary in summaries:
            if summary.is_paused:
                self.out(f'paused   {summary.task.name}, {summary.format_pause()}')
        return 0

    def _require_past(self, instant: datetime) -> None:
        # the store would refuse the minute, and record that as a failed tick: a fault until the next one
        if self.args.at is not None and self.registry['cron_store'] is not None and instant > self.current_minute():
            raise UsageError(
                f'--at {self.args.at!r} is in the future, and cron.store records what ran for each minute; '
                'see what would run with --dry-run'
            )

    def run_named(self) -> int:
        """Run the named tasks."""
        names = self.require_task_names()
        self.require_registered(names)
        if self.args.first is not None:
            return self.backfill(names)
        for option in ('until', 'again', 'yes'):
            if getattr(self.args, option):
                raise UsageError(f'--{option} needs --for, the first past minute to run the task for')
        bar = self.progress_bar()
        with self.until_sigterm(), bar.on_screen():
            report = self.run_for(self.current_minute(), names, not self.args.here, bar.show)
        status = self.report(report, by_hand=True)
        queued = report.names(QUEUED)
        if queued and self.registry['cron_store'] is not None:
            variables = [word for word in self.args.words if word not in self.task_words()]
            words = [self.script_name, 'history', self.args.config_uri, *queued, *variables]
            self.out(f'To see the outcome: {shlex.join(words)}')
        return status

    def perform(self) -> int:
        """Run a task that was enqueued."""
        if not self.args.words:
            raise UsageError('name the key of the message by which the task was enqueued')
        try:
            with self.until_sigterm():
                report = perform(self.app, self.args.words[0], self.registry, shutdown=self.shutdown.cause)
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None
        except (ValueError, LookupError) as exc:
            raise UsageError(str(exc)) from None
        self.out(format_task_report(report))
        return 1 if report.outcome in ALARMING else 0

    def work(self) -> int:
        """Run what is due at each minute."""

        def tick(minute: datetime) -> None:
            try:
                self.run_for(minute)
            except NotRun as exc:
                log.error('nothing ran for %s: %s', self.format_minute(minute), message(exc))

        since = self.current_minute()
        summaries = [summarize(task, since, 1) for task in self.tasks]
        text = f'{format_next_task(summaries, self.zone)} Ctrl-C stops after the running task.'
        self.out(textwrap.fill(text, self.width(), break_on_hyphens=False))
        with self.shutdown.on_signals():
            # the outcomes are in the log
            work(tick, since=since, zone=self.zone, now=self.now, wait=self.shutdown.wait)
        return 0

    def run_for(
        self,
        instant: datetime,
        names: Iterable[str] | None = None,
        enqueue: bool = False,
        on_progress: ProgressListener | None = None,
    ) -> RunReport:
        """Run due tasks, or named ones, until a signal requests the end.

        :raises NotRun: if something in the application answers before the run.
        """
        try:
            return run_through(
                self.app,
                self.registry,
                instant,
                names,
                stop=self.shutdown.requested,
                shutdown=self.shutdown.cause,
                requested_by=None if names is None else login_name(),
                enqueue=enqueue,
                on_progress=on_progress,
            )
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None

    def report(self, report: RunReport, by_hand: bool) -> int:
        """Print the report of a run, and return the exit status for it.

        :param by_hand: whether the tasks or the minute were named: then each task has to run, or be enqueued.
        :raises Unavailable: if nothing ran, because the store is not available.
        """
        if report.problem is not None and not report.tasks:
            raise Unavailable(f'nothing ran for {self.format_minute(report.minute)}: {report.problem}')
        self.out(f'{self.format_minute(report.minute)}: {format_count(report.tasks)} in {report.seconds:.3f} s')
        for line in format_report(report):
            self.out(line)
        not_done = by_hand and any(task.outcome not in DONE and not task.raised_skip for task in report.tasks)
        return 1 if report.failed or not_done else 0
