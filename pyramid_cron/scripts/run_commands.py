"""The commands of ``pcron`` that run tasks."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable, Iterable
from datetime import datetime

from pyramid_cron import perform
from pyramid_cron.orders import NotRun, run_through
from pyramid_cron.reports import ALARMING, RunReport
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.listing import counted, outlook, report_line, report_lines
from pyramid_cron.scripts.loading import Refused
from pyramid_cron.scripts.work_loop import work
from pyramid_cron.task_summary import Overview

log = logging.getLogger(__name__)


class RunCommands(Command):
    """The commands that run what is due, or what is named."""

    def tick(self) -> int:
        """Run what is due, or show it."""
        instant = self.minute(self.args.at)
        if not self.args.dry_run:
            return self.report(self.run_for(instant))
        entries = self.overviews(instant, 1, sorted(self.tasks.due(instant), key=lambda task: task.idle))
        due = [entry.task for entry in entries if not entry.is_paused]
        self.out(f'{self.shown(instant)}: {counted(due)} would run')
        for task in due:
            self.out(f'{"idle" if task.idle else "":8} {task.name}')
        for entry in entries:
            if entry.is_paused:
                self.out(f'paused   {entry.task.name}, {entry.paused()}')
        return 0

    def run_named(self) -> int:
        """Run the tasks that are named."""
        wanted = self.named_at_least_one()
        require_known(wanted, self.tasks)
        return self.report(self.run_for(self.minute(), wanted, enqueue=self.args.via))

    def perform(self) -> int:
        """Run a task that was handed over."""
        if not self.args.words:
            raise Refused('give the key under which the task was handed over')
        try:
            report = perform(self.app, self.args.words[0], registry=self.registry, method=self.args.method)
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None
        except (ValueError, LookupError) as exc:
            raise Refused(str(exc)) from None
        self.out(report_line(report))
        return 1 if report.outcome in ALARMING else 0

    def work(self) -> int:
        """Run what is due at each minute."""

        def tick(minute: datetime) -> None:
            try:
                self.run_for(minute, stop=self.ending.asked)
            except NotRun as exc:
                log.error('nothing ran for %s: %s', self.shown(minute), exc)

        since = self.minute()
        entries = [Overview.of(task, since, 1) for task in self.tasks]
        text = f'{outlook(entries, since, self.zone)} Ctrl-C stops after the running task.'
        self.out(textwrap.fill(text, self.width(), break_on_hyphens=False))
        with self.ending.by_signals():
            # what becomes of each run is in the log
            work(tick, since=since, zone=self.zone, now=self.now, wait=self.ending.wait)
        return 0

    def run_for(
        self,
        instant: datetime,
        names: Iterable[str] | None = None,
        stop: Callable[[], bool] = lambda: False,
        enqueue: bool = False,
    ) -> RunReport:
        """Run what is due, or the tasks that are named.

        :raises NotRun: if something in the application answers before the run.
        """
        try:
            return run_through(
                self.app, self.registry, instant, names, method=self.args.method, stop=stop, enqueue=enqueue
            )
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None

    def report(self, report: RunReport) -> int:
        """Print what became of the tasks of a run, and return the exit status that says so."""
        self.out(f'{self.shown(report.minute)}: {counted(report.tasks)} in {report.seconds:.3f} s')
        for line in report_lines(report):
            self.out(line)
        return 1 if report.failed else 0
