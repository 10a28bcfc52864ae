# PYTHON_ARGCOMPLETE_OK, which argcomplete looks for
"""The command ``pcron``: list the tasks of an application, run them, and show what became of them."""

from __future__ import annotations

import getpass
import json
import logging
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from typing import Any

from pyramid.paster import setup_logging
from pyramid.scripts.common import get_config_loader, parse_vars

from pyramid_cron import clock
from pyramid_cron.claims import Claims, Pause, Unavailable
from pyramid_cron.inprocess import NotRun, call_through, cron_path, run_through
from pyramid_cron.overview import LOCAL_TIME, Overview
from pyramid_cron.reports import ALARMING, PastRun, RunReport
from pyramid_cron.scripts.arguments import make_parser, parse_minute, require_known
from pyramid_cron.scripts.listing import (
    counted,
    explained,
    outlook,
    reasons,
    report_line,
    report_lines,
    table,
    timeline,
    wrapped,
)
from pyramid_cron.scripts.loading import Refused, load
from pyramid_cron.scripts.worker import Ending, work
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

# the commands whose words are names of tasks too
WITH_TASKS = ('list', 'show', 'run', 'history', 'pause', 'resume')

# a line of the log of a run then fits a terminal of 80 columns
PLAIN_FORMAT = '%(levelname).1s %(message)s'


def main(argv: Sequence[str] = sys.argv, quiet: bool = False) -> int:
    """Run the command and return its exit status: 2 if it was used wrongly, 1 if a task did not succeed, and else 0.

    If a signal interrupted it, the status is 128 and the number of the signal, as shells have it.
    """
    with suppress(ImportError):
        # ends the process if a shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(PCronCommand.parser)
    return PCronCommand(argv, quiet).run()


def login_name() -> str | None:
    """Return the name of the account that runs the command, ``None`` if it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, LookupError, ImportError):
        return None


class PCronCommand:
    """One call of the command, in the way of Pyramid's own.

    :param argv: the name of the program and its arguments.
    :param quiet: print nothing but errors.
    :raises SystemExit: for arguments that make no sense.
    """

    script_name = 'pcron'
    parser = make_parser()
    setup_logging = staticmethod(setup_logging)
    now = staticmethod(clock.now)

    def __init__(self, argv: Sequence[str], quiet: bool = False) -> None:
        self.quiet = quiet
        # argparse leaves over what comes behind an option
        self.args, words = self.parser.parse_known_args(list(argv[1:]))
        if any(word.startswith('-') for word in words):
            self.parser.error(f'unrecognized arguments: {" ".join(words)}')
        self.args.words += words
        self.ending = Ending(
            '' if quiet else f'{self.script_name}: stopping after the running task; again interrupts it'
        )

    def run(self) -> int:
        commands = {
            'list': self.list,
            'show': self.show,
            'pause': self.pause,
            'resume': self.resume,
            'tick': self.tick,
            'run': self.run_named,
            'work': self.work,
            'perform': self.perform,
            'history': self.history,
            'store': self.check_store,
        }
        try:
            self.load()
            return commands[self.args.command]()
        except Refused as exc:
            self.warn(str(exc))
            return 2
        except (NotRun, Unavailable) as exc:
            self.warn(str(exc))
            return 1
        except KeyboardInterrupt:
            number = self.ending.number or signal.SIGINT
            self.warn(f'interrupted by {number.name}')
            return 128 + number

    def out(self, text: str) -> None:
        if self.quiet:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # whoever read it, as in | head, has had enough; Python would complain again at its end
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def warn(self, text: str) -> None:
        print(f'{self.script_name}: {text}', file=sys.stderr)

    def load(self) -> None:
        """Load the application.

        :raises Refused: if the configuration is not there, if it does not include pyramid_cron, or if several parts of
            it do.
        """
        uri, words = self.args.config_uri, self.args.words
        if self.args.command == 'perform':
            words = words[1:]
        elif self.args.command in WITH_TASKS:
            words = [word for word in words if '=' in word]
        try:
            config_vars = parse_vars(words)
            sections = get_config_loader(uri).get_sections()
        except FileNotFoundError as exc:
            raise Refused(f'there is no file {exc.filename}') from None
        except ValueError as exc:
            raise Refused(exc) from None
        config_vars.setdefault('__script__', self.script_name)
        if self.args.command == 'work' and 'loggers' not in sections and not self.quiet:
            # otherwise nobody would hear of what it does
            logging.basicConfig(format=PLAIN_FORMAT)
            logging.getLogger('pyramid_cron').setLevel(logging.INFO)
        self.setup_logging(uri, global_conf=config_vars)
        self.app, self.registry, self.remedy = load(uri, config_vars)
        self.tasks: Tasks = self.registry['cron_tasks']
        self.claims: Claims = self.registry['cron_claims']
        self.zone: tzinfo | None = self.registry['cron_settings'].timezone

    def minute(self, text: str | None = None) -> datetime:
        """Return the minute that ``--at`` names, the current one if it is left out.

        :raises Refused: if it names none.
        """
        if text is None:
            return clock.minute_of(self.now())
        return parse_minute(text, '--at', self.zone, self.now())

    def shown(self, instant: datetime) -> str:
        return clock.to_zone(instant, self.zone).isoformat(' ', 'minutes')

    def list(self) -> int:
        """Show the tasks."""
        args = self.args
        instant, at = self.minute(args.at), args.at is not None or args.due
        entries = self.overviews(instant, args.next or 1, self.chosen())
        if args.due:
            entries = [entry for entry in entries if entry.due]
        if args.json:
            at_zone = clock.to_zone(instant, self.zone).isoformat()
            shown = {
                'at': at_zone,
                'at_utc': instant.isoformat(),
                'path': cron_path(self.registry),
                'tasks': [entry.as_dict(at) for entry in entries],
            }
            self.out(json.dumps(shown, indent=2))
            return 0
        width = self.width()
        if args.next:
            lines = timeline(entries, self.zone, width, args.next)
        elif at:
            due = sum(entry.due for entry in entries)
            total = len(self.chosen())
            lines = [f'At {self.shown(instant)} {due} of {total} tasks are due.', *reasons(entries, width)]
        else:
            lines = table(entries, instant, self.zone, width, args.verbose) if entries else []
        if not len(self.tasks):
            lines = ['The application has no cron tasks.']
        paused = [entry.task.name for entry in entries if entry.is_paused]
        if args.next and paused:
            lines += wrapped('Paused: ', ', '.join(paused), width)
        end = f'Times are in {self.zone or LOCAL_TIME}. Trigger: {cron_path(self.registry)}'
        self.out('\n'.join([*lines, '', *wrapped('', end, width)]))
        return 0

    def chosen(self) -> Sequence[Task]:
        """Return the tasks that are named, all if there is none."""
        names = self.named()
        require_known(names, self.tasks)
        return [task for task in self.tasks if not names or task.name in names]

    def overviews(self, instant: datetime, count: int, tasks: Iterable[Task]) -> Sequence[Overview]:
        last: Mapping[str, PastRun] = {}
        pauses: Mapping[str, Pause] = {}
        try:
            last, pauses = self.claims.last_runs(), self.claims.paused()
        except Unavailable as exc:
            self.warn(f'without last runs and pauses: {exc}')
        return [Overview.of(task, instant, count, last.get(task.name), pauses.get(task.name)) for task in tasks]

    def show(self) -> int:
        """Explain one task."""
        names = self.named()
        if len(names) != 1:
            raise Refused("name one task; 'pcron list' shows their names")
        [entry] = self.overviews(self.minute(self.args.at), self.args.next, self.chosen())
        remembered = ['not remembered: set cron.store']
        settings = self.registry['cron_settings']
        if settings.store is not None:
            from pyramid_cron.scripts.history import last_lines

            try:
                remembered = last_lines(self.stored_claims(), names[0], entry.task.timezone)
            except Unavailable:
                # which was said
                remembered = []
        self.out('\n'.join(explained(entry, self.width(), remembered, settings.catch_up)))
        return 0

    def pause(self) -> int:
        """Let tasks not run for a while."""
        claims, now = self.stored_claims(), self.now()
        until = None
        if self.args.until is not None:
            until = parse_minute(self.args.until, '--until', self.zone, now, future=True)
        reason = self.args.reason.strip()
        if not reason:
            raise Refused('--reason has to say why, for whoever looks at the tasks')
        names = self.named_at_least_one()
        require_known(names, self.tasks)
        try:
            claims.pause(names, reason=reason, until=until, by=login_name())
        except LookupError as exc:
            raise Refused(str(exc)) from None
        lasts = 'until it is resumed' if until is None else f'until {self.shown(until)}'
        for name in names:
            self.out(f'{name} is paused {lasts}')
        return 0

    def resume(self) -> int:
        """End the pauses of tasks."""
        claims = self.stored_claims()
        names = self.named_at_least_one()
        # what was paused and renamed since can be resumed too
        require_known(names, self.tasks, claims.paused())
        resumed = claims.resume(names, by=login_name())
        for name in names:
            self.out(f'{name} {"is resumed" if name in resumed else "was not paused"}')
        return 0

    def named_at_least_one(self) -> Sequence[str]:
        names = self.named()
        if not names:
            raise Refused(f"name the tasks to {self.args.command}; 'pcron list' shows their names")
        return names

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

    def named(self) -> Sequence[str]:
        """Return the words that are no variables."""
        names = {task.name for task in self.tasks}
        return [word for word in self.args.words if word in names or '=' not in word]

    def run_named(self) -> int:
        """Run the tasks that are named."""
        wanted = self.named_at_least_one()
        require_known(wanted, self.tasks)
        return self.report(self.run_for(self.minute(), wanted, hands_over=self.args.via))

    def perform(self) -> int:
        """Run a task that was handed over."""
        if not self.args.words:
            raise Refused('give the key under which the task was handed over')
        from pyramid_cron.queues.performing import perform

        try:
            report = perform(self.app, self.args.words[0], registry=self.registry, method=self.args.method)
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None
        except (ValueError, LookupError) as exc:
            raise Refused(str(exc)) from None
        self.out(report_line(report))
        return 1 if report.status in ALARMING else 0

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

    def history(self) -> int:
        """Show what is remembered."""
        claims = self.stored_claims()
        # slow to import, and needs what the extra installs
        from pyramid_cron.scripts.history import history

        self.args.names = self.named()
        self.out(history(claims, self.tasks, self.zone, self.now(), self.args, self.width()))
        return 0

    def check_store(self) -> int:
        """Say whether the store can be used."""
        claims = self.stored_claims()
        from pyramid_cron.store.checking import check

        findings = []
        for finding in check(claims, lambda call: call_through(self.app, self.registry, call)):
            findings.append(finding)
            start = f'{"ok" if finding.ok else "fail":4}  {finding.subject:8}  '
            self.out('\n'.join(wrapped(start, finding.text, self.width())))
        return 0 if all(finding.ok for finding in findings) else 1

    def stored_claims(self) -> Any:
        """Return the claims of the store.

        :raises Refused: if there is no store.
        """
        if self.registry['cron_settings'].store is None:
            raise Refused(
                f'{self.args.command} needs cron.store, which is not set; write, for example, '
                'cron.store = sqlite:///%(here)s/cron.sqlite'
            )
        return self.claims

    def run_for(
        self,
        instant: datetime,
        names: Iterable[str] | None = None,
        stop: Callable[[], bool] = lambda: False,
        hands_over: bool = False,
    ) -> RunReport:
        """Run what is due, or the tasks that are named.

        :raises NotRun: if something in the application answers before the run.
        """
        try:
            return run_through(
                self.app, self.registry, instant, names, method=self.args.method, stop=stop, hands_over=hands_over
            )
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None

    def report(self, report: RunReport) -> int:
        """Print what became of the tasks of a run, and return the exit status that says so."""
        self.out(f'{self.shown(report.minute)}: {counted(report.tasks)} in {report.seconds:.3f} s')
        for line in report_lines(report):
            self.out(line)
        return 1 if report.failed else 0
