"""Base of the commands of ``pcron``: arguments, output, and the loaded application."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from pyramid.scripts.common import get_config_loader, parse_vars

from pyramid_cron.printable import encodable, printable_lines
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import is_url, make_parser, require_known
from pyramid_cron.scripts.loading import UsageError, load
from pyramid_cron.scripts.work_loop import Shutdown
from pyramid_cron.settings import Settings
from pyramid_cron.task_summary import Summaries, summarize_all
from pyramid_cron.tasks import Task, Tasks
from pyramid_cron.times import TimeError, parse_minute

# the commands that take names of tasks beside variables
TASK_COMMANDS = ('list', 'show', 'run', 'history', 'pause', 'resume', 'forget')

# a line of the log of a run then fits a terminal of 80 columns
PLAIN_FORMAT = '%(levelname).1s %(message)s'


class Command:
    """One call of the command, structured as Pyramid's own scripts are.

    :param argv: the name of the program and its arguments.
    :param quiet: print nothing but errors.
    :raises SystemExit: for arguments that argparse refuses.
    """

    script_name = 'pcron'
    parser = make_parser()
    now = staticmethod(clock.now)

    def __init__(self, argv: Sequence[str], quiet: bool = False) -> None:
        self.quiet = quiet
        # argparse leaves over the words behind an option
        self.args, words = self.parser.parse_known_args(list(argv[1:]))
        if any(word.startswith('-') for word in words):
            self.parser.error(f'unrecognized arguments: {" ".join(words)}')
        self.args.words += words
        self.shutdown = Shutdown(
            '' if quiet else f'{self.script_name}: stopping after the running task; again interrupts it'
        )

    def out(self, text: str) -> None:
        if self.quiet:
            return
        try:
            print(encodable(printable_lines(text), sys.stdout.encoding), flush=True)
        except BrokenPipeError:
            # the reader, as in | head, has ended; without the replacement Python would report the pipe again at exit
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def warn(self, text: str) -> None:
        print(f'{self.script_name}: {printable_lines(text)}', file=sys.stderr)

    def load(self) -> None:
        """Load the application.

        :raises UsageError: for a configuration that does not exist, does not include pyramid_cron, or includes it in
            several applications.
        """
        uri, words = self.args.config_uri, self.args.words
        if self.args.command == 'perform':
            words = words[1:]
        elif self.args.command in TASK_COMMANDS:
            words = [word for word in words if '=' in word]
        elif self.args.command == 'doctor':
            words = [word for word in words if not is_url(word)]
        try:
            config_vars = parse_vars(words)
            # one loader, because plaster reads the entry points of all installed packages for each
            loader = get_config_loader(uri)
            sections = loader.get_sections()
        except FileNotFoundError as exc:
            raise UsageError(f'there is no file {exc.filename}') from None
        except ValueError as exc:
            raise UsageError(exc) from None
        config_vars.setdefault('__script__', self.script_name)
        if self.args.command == 'work' and 'loggers' not in sections and not self.quiet:
            # without a log, nothing would show what it runs
            logging.basicConfig(format=PLAIN_FORMAT)
            logging.getLogger('pyramid_cron').setLevel(logging.INFO)
        loader.setup_logging(config_vars)
        self.app, self.registry, self.remedy = load(loader, uri, config_vars)
        self.loader, self.config_vars = loader, config_vars
        self.tasks: Tasks = self.registry['cron_tasks']
        self.settings: Settings = self.registry['cron_settings']
        self.zone: tzinfo | None = self.settings.timezone

    def current_minute(self) -> datetime:
        return clock.minute_of(self.now())

    def parse_at(self) -> datetime:
        """Return the minute that ``--at`` names, the current one if it is left out.

        :raises UsageError: if its value is not a time.
        """
        if self.args.at is None:
            return self.current_minute()
        try:
            return parse_minute(self.args.at, self.now(), self.zone)
        except TimeError as exc:
            raise UsageError(f'--at {exc}') from None

    def format_minute(self, instant: datetime) -> str:
        return clock.to_zone(instant, self.zone).isoformat(' ', 'minutes')

    def task_names(self) -> Sequence[str]:
        """Return the words that are not variables."""
        names = {task.name for task in self.tasks}
        return [word for word in self.args.words if word in names or '=' not in word]

    def require_task_names(self) -> Sequence[str]:
        names = self.task_names()
        if not names:
            raise UsageError(f"name the tasks to {self.args.command}; 'pcron list' shows their names")
        return names

    def selected_tasks(self) -> Sequence[Task]:
        """Return the tasks that the arguments name, all tasks if they name none.

        :raises UsageError: for an unknown name.
        """
        names = self.task_names()
        require_known(names, self.tasks)
        return [task for task in self.tasks if not names or task.name in names]

    def summaries(self, instant: datetime, count: int, tasks: Iterable[Task]) -> Summaries:
        """Return the summaries of tasks with their next ``count`` runs, and warn if the store cannot be read."""
        found = summarize_all(self.registry, tasks, instant, count)
        if found.error is not None:
            self.warn(f'without last runs and pauses: {found.error}')
        return found

    def require_store(self) -> Any:
        """Return the store of the application.

        :raises UsageError: if there is no store.
        """
        store = self.registry['cron_store']
        if store is None:
            raise UsageError(
                f'{self.args.command} needs cron.store, which is not set; write, for example, '
                'cron.store = sqlite:///%(here)s/cron.sqlite'
            )
        return store
