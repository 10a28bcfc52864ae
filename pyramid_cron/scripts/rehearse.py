"""``pcron rehearse``: a run of a task that is rolled back, and what it would have written."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from pyramid_cron.errors import Unavailable
from pyramid_cron.orders import NotRun
from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import require_known
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.report_lines import format_task_report
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_minute

INDENT = ' ' * 4
# of one kind
MOST_LINES = 30
# the exit status if something was not held back
NOT_HELD = 3

LIMITS = (
    'Held back: each commit in SQLite, PostgreSQL and MariaDB (experimental, by PyMySQL), mails of pyramid_mailer. '
    'What is written stays locked until the end.',
    'Not held back, and reported: HTTP calls and other connections, files, processes that the task starts.',
    'Neither held back nor seen: values that sequences have given, what functions of the database do outside of it, '
    'and what code in other languages than Python does by itself.',
    'Refused: commits hidden in a text of several statements, transactions of two phases, what commits by itself in '
    'MariaDB, such as a change of the schema, other databases and drivers, and mails by smtplib.',
)


class RehearseCommand(Command):
    """Rehearses a task."""

    def held(self) -> AbstractContextManager[None]:
        """Return a context manager in which the application is loaded with connections that can be held back."""
        if self.args.command != 'rehearse':
            return nullcontext()
        from pyramid_cron.rehearsal.drivers import held_drivers

        return held_drivers()

    def rehearse(self) -> int:
        """Rehearse a task, and show what it would have written."""
        # not for other commands: it sees what the process does
        from pyramid_cron.rehearsal.held import REHEARSAL
        from pyramid_cron.rehearsal.process_events import watch_process
        from pyramid_cron.rehearsal.run import rehearse

        task, minute = self._task_and_minute()
        since = self._since(task)
        if not self._may_begin(task):
            self.out('Nothing was run.')
            return 1
        if REHEARSAL.not_held:
            drivers = ', '.join(sorted(REHEARSAL.not_held))
            raise UsageError(
                f'the application has connections of {drivers}, which cannot be held back; nothing was run'
            )
        watch_process()
        try:
            with self.until_sigterm():
                found = rehearse(
                    self.app, self.registry, task, instant=self.current_minute(), minute=minute, since=since
                )
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None
        report = found.report._replace(scheduled_for=minute and clock.to_zone(minute, self.zone))
        self.out('\n'.join([format_task_report(report), *findings_lines(found.findings, self.width())]))
        return NOT_HELD if not found.is_held else int(not found.is_good)

    def _task_and_minute(self) -> tuple[Task, datetime | None]:
        names = self.require_task_names()
        require_known(names, self.tasks)
        if len(names) != 1:
            raise UsageError('name one task to rehearse')
        [task] = self.tasks.named(names)
        if self.args.first is None:
            return task, None
        try:
            return task, parse_minute(self.args.first, self.now(), self.zone)
        except TimeError as exc:
            raise UsageError(f'--for {exc}') from None

    def _since(self, task: Task) -> datetime | None:
        """Return the minute of the last success by schedule, as the task would find it."""
        store = self.registry['cron_store']
        if store is None or not task.store:
            return None
        try:
            state = store.states().get(task.name)
        except Unavailable as exc:
            self.warn(f"without system['since']: {exc}")
            return None
        last: datetime | None = None if state is None else state.last_success_for
        return last

    def _may_begin(self, task: Task) -> bool:
        if self.args.yes:
            return True
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError('rehearse runs the task, and prompts before that on a terminal: elsewhere it needs --yes')
        for sentence in LIMITS:
            self.out('\n'.join(wrap('', sentence, self.width())))
        try:
            return input(f'Rehearse {task.name} now? [y/N] ').strip().lower() in ('y', 'yes')
        except EOFError:
            return False


def findings_lines(findings: Findings, width: int) -> Iterator[str]:
    """Yield the lines for what a rehearsal has found, none longer than ``width`` unless a single word is."""
    yield from _section('It would write, and all of that was rolled back:', list(_writes(findings)), width)
    if not findings.rows:
        yield 'It writes nothing that can be seen.'
    yield f'statements: {findings.statements}'
    times = {0: 'no', 1: 'yes, once'}.get(findings.commits, f'yes, {findings.commits} times')
    yield f'commits by itself: {times}{"; held back" if findings.commits else ""}'
    yield from _section('Its commit would fail:', findings.violations, width)
    yield from _section('Mails that were not sent:', findings.mails, width)
    yield from _section('Refused, so that the run is not as it would be:', findings.refused, width)
    yield from _section('NOT HELD BACK:', findings.escaped, width)


def _writes(findings: Findings) -> Iterator[str]:
    by_table: dict[tuple[str, str], list[str]] = defaultdict(list)
    for write, rows in sorted(findings.rows.items()):
        shown = f'{write.kind} {rows:,}' if write.kind in ('insert', 'update', 'delete') else write.kind
        by_table[write.database, write.table].append(shown)
    several = len({database for database, _ in by_table}) > 1
    for (database, table), kinds in by_table.items():
        yield f'{f"{database}: " if several else ""}{table}: {", ".join(kinds)}'


def _section(title: str, lines: list[str], width: int) -> Iterator[str]:
    if lines:
        yield title
        for line in lines[:MOST_LINES]:
            yield from wrap(INDENT, line, width)
        if len(lines) > MOST_LINES:
            yield f'{INDENT}and {len(lines) - MOST_LINES} more'
