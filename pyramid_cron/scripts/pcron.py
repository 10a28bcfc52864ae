"""The command ``pcron``: list the tasks of an application, run them, or run what is due minute by minute."""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, tzinfo

from pyramid.paster import setup_logging
from pyramid.scripts.common import get_config_loader, parse_vars

from pyramid_cron import clock
from pyramid_cron.inprocess import NotRun, cron_path, run_through
from pyramid_cron.overview import Overview
from pyramid_cron.reports import RunReport
from pyramid_cron.scripts.listing import blocks, counted, outlook, table
from pyramid_cron.scripts.loading import Refused, load
from pyramid_cron.scripts.worker import Ending, work
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

YEARS = range(1970, 9999)

# a line of the log of a run then fits a terminal of 80 columns
PLAIN_FORMAT = '%(levelname).1s %(message)s'


def main(argv: Sequence[str] = sys.argv, quiet: bool = False) -> int:
    """Run the command and return its exit status: 2 if it was used wrongly, 1 if a task did not succeed, and else 0.

    If a signal interrupted it, the status is 128 and the number of the signal, as shells have it.
    """
    return PCronCommand(argv, quiet).run()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='pcron',
        description='Show and run the scheduled tasks of a Pyramid application.',
        epilog='Each command has a --help of its own.',
    )
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    variables = 'variables of the configuration file, as in http_port=8080'
    at = "the minute to look at, such as '2026-12-24 00:00', in the time zone of the application or with an offset"

    def add(name: str, text: str, metavar: str = 'NAME=VALUE', words: str = variables) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f'{text[0].upper()}{text[1:]}.')
        command.add_argument(
            'config_uri', metavar='CONFIG_URI', help='the configuration file, as in app.ini or app.ini#name'
        )
        command.add_argument('words', metavar=metavar, nargs='*', help=words)
        return command

    command = add('list', 'show the tasks, their schedules and their next runs')
    command.add_argument('--next', metavar='N', type=_count, default=1, help='show the next N runs of each task')
    command.add_argument('--at', metavar='TIME', help=f'{at}: show which tasks are due then, and why')
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add('tick', 'run what is due, once')
    command.add_argument('--at', metavar='TIME', help=f'{at}; now if it is left out')
    command.add_argument('--dry-run', action='store_true', help='show what would run, and run nothing')
    runs = [
        command,
        add('run', 'run tasks now, due or not', 'TASK', f'names of tasks, and {variables}'),
        add('work', 'run what is due at each minute, until SIGTERM or SIGINT'),
    ]
    for command in runs:
        command.add_argument(
            '--post',
            dest='method',
            action='store_const',
            const='POST',
            default='GET',
            help='request it by POST, not GET',
        )
    return parser


class PCronCommand:
    """One call of the command, in the way of Pyramid's own.

    :param argv: the name of the program and its arguments.
    :param quiet: print nothing but errors.
    :raises SystemExit: for arguments that make no sense.
    """

    script_name = 'pcron'
    parser = _parser()
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
        commands = {'list': self.list, 'tick': self.tick, 'run': self.run_named, 'work': self.work}
        try:
            self.load()
            return commands[self.args.command]()
        except Refused as exc:
            print(f'{self.script_name}: {exc}', file=sys.stderr)
            return 2
        except NotRun as exc:
            print(f'{self.script_name}: {exc}', file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            number = self.ending.number or signal.SIGINT
            print(f'{self.script_name}: interrupted by {number.name}', file=sys.stderr)
            return 128 + number

    def out(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def load(self) -> None:
        """Load the application.

        :raises Refused: if the configuration is not there, if it does not include pyramid_cron, or if several parts of
            it do.
        """
        uri, words = self.args.config_uri, self.args.words
        if self.args.command == 'run':
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
        self.zone: tzinfo | None = self.registry['cron_settings'].timezone

    def minute(self, text: str | None = None) -> datetime:
        """Return the minute that ``--at`` names, the current one if it is left out.

        :raises Refused: if it names none.
        """
        if text is None:
            return clock.minute_of(self.now())
        try:
            moment = datetime.fromisoformat(f'{text[:-1]}+00:00' if text.endswith('Z') else text)
        except ValueError:
            raise Refused(f"--at {text!r} is not a time such as '2026-12-24 00:00'") from None
        if moment.year not in YEARS:
            raise Refused(f'--at {text!r} is not in the years {YEARS[0]} to {YEARS[-1]}')
        if moment.tzinfo is not None:
            return clock.minute_of(clock.to_instant(moment))
        wall = clock.minute_of(moment)
        instant = clock.to_instant(wall.replace(tzinfo=self.zone))
        if clock.to_wall(instant, self.zone) != wall:
            raise Refused(f'--at {text!r} is a time that the clocks skip in {self.zone or "local time"}')
        return instant

    def shown(self, instant: datetime) -> str:
        return clock.to_zone(instant, self.zone).isoformat(' ', 'minutes')

    def list(self) -> int:
        """Show the tasks."""
        instant, at = self.minute(self.args.at), self.args.at is not None
        entries = [Overview.of(task, instant, self.args.next) for task in self.tasks]
        if self.args.json:
            tasks = [entry.as_dict(at) for entry in entries]
            at_zone = clock.to_zone(instant, self.zone).isoformat()
            shown = {'at': at_zone, 'path': cron_path(self.registry), 'tasks': tasks}
            self.out(json.dumps(shown, indent=2))
            return 0
        width = shutil.get_terminal_size().columns
        lines = [] if at or self.args.next > 1 else table(entries)
        if not lines or max(map(len, lines)) > width:
            lines = list(blocks(entries, width, at))
        if at:
            due = sum(entry.due for entry in entries)
            lines[:0] = [f'At {self.shown(instant)} {due} of {len(entries)} tasks are due.', '']
        if not entries:
            lines = ['The application has no cron tasks.']
        self.out('\n'.join([*lines, '', f'Trigger: {cron_path(self.registry)}']))
        return 0

    def tick(self) -> int:
        """Run what is due, or show it."""
        instant = self.minute(self.args.at)
        if not self.args.dry_run:
            return self.report(self.run_for(instant))
        due = sorted(self.tasks.due(instant), key=lambda task: task.idle)
        self.out(f'{self.shown(instant)}: {counted(due)} would run')
        for task in due:
            self.out(f'{"idle" if task.idle else "":8} {task.name}')
        return 0

    def run_named(self) -> int:
        """Run the tasks that are named."""
        names = {task.name for task in self.tasks}
        wanted = [word for word in self.args.words if word in names or '=' not in word]
        for name in wanted:
            if name not in names:
                raise Refused(f'no cron task is named {name!r}{_hint(name, self.tasks)}')
        if not wanted:
            raise Refused("name the tasks to run; 'pcron list' shows their names")
        return self.report(self.run_for(self.minute(), wanted))

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
        self.out(textwrap.fill(text, shutil.get_terminal_size().columns, break_on_hyphens=False))
        with self.ending.by_signals():
            # what becomes of each run is in the log
            work(tick, since=since, zone=self.zone, now=self.now, wait=self.ending.wait)
        return 0

    def run_for(
        self, instant: datetime, names: Iterable[str] | None = None, stop: Callable[[], bool] = lambda: False
    ) -> RunReport:
        """Run what is due, or the tasks that are named.

        :raises NotRun: if something in the application answers before the run.
        """
        try:
            return run_through(self.app, self.registry, instant, names, method=self.args.method, stop=stop)
        except NotRun as exc:
            raise NotRun(f'{exc}{self.remedy}') from None

    def report(self, report: RunReport) -> int:
        """Print what became of the tasks of a run, and return the exit status that says so."""
        self.out(f'{self.shown(report.minute)}: {counted(report.tasks)} in {report.seconds:.3f} s')
        for task in report.tasks:
            detail = type(task.exception).__name__ if task.exception else task.reason
            self.out(f'{task.status:8} {task.name}, {task.seconds:.3f} s{f": {detail}" if detail else ""}')
        return 1 if report.failed else 0


def _hint(name: str, tasks: Iterable[Task]) -> str:
    """Suggest the names whose last part comes close: a dotted path that two share makes any names look alike."""
    last = {task.name: task.name.rpartition('.')[2] for task in tasks}
    close = difflib.get_close_matches(name.rpartition('.')[2], set(last.values()))
    near = [known for known in last if last[known] in close]
    return f'; is {" or ".join(near)} meant?' if near else "; 'pcron list' shows their names"
