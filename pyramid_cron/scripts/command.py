"""What the commands of ``pcron`` have in common: arguments, output, and the application that they are about."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from pyramid.scripts.common import get_config_loader, parse_vars

from pyramid_cron.claims import Claims, Pause, Unavailable
from pyramid_cron.reports import PastRun
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import make_parser, require_known
from pyramid_cron.scripts.loading import Refused, load
from pyramid_cron.scripts.work_loop import Ending
from pyramid_cron.task_summary import Overview
from pyramid_cron.tasks import Task, Tasks
from pyramid_cron.times import TimeError, parse_minute

# the commands whose words are names of tasks too
WITH_TASKS = ('list', 'show', 'run', 'history', 'pause', 'resume')

# a line of the log of a run then fits a terminal of 80 columns
PLAIN_FORMAT = '%(levelname).1s %(message)s'


class Command:
    """One call of the command, in the way of Pyramid's own.

    :param argv: the name of the program and its arguments.
    :param quiet: print nothing but errors.
    :raises SystemExit: for arguments that make no sense.
    """

    script_name = 'pcron'
    parser = make_parser()
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
            # once, because plaster reads what all installed packages say of themselves
            loader = get_config_loader(uri)
            sections = loader.get_sections()
        except FileNotFoundError as exc:
            raise Refused(f'there is no file {exc.filename}') from None
        except ValueError as exc:
            raise Refused(exc) from None
        config_vars.setdefault('__script__', self.script_name)
        if self.args.command == 'work' and 'loggers' not in sections and not self.quiet:
            # otherwise nobody would hear of what it does
            logging.basicConfig(format=PLAIN_FORMAT)
            logging.getLogger('pyramid_cron').setLevel(logging.INFO)
        loader.setup_logging(config_vars)
        self.app, self.registry, self.remedy = load(loader, uri, config_vars)
        self.tasks: Tasks = self.registry['cron_tasks']
        self.claims: Claims = self.registry['cron_claims']
        self.zone: tzinfo | None = self.registry['cron_settings'].timezone

    def minute(self, text: str | None = None) -> datetime:
        """Return the minute that ``--at`` names, the current one if it is left out.

        :raises Refused: if it names none.
        """
        if text is None:
            return clock.minute_of(self.now())
        try:
            return parse_minute(text, self.now(), self.zone)
        except TimeError as exc:
            raise Refused(f'--at {exc}') from None

    def shown(self, instant: datetime) -> str:
        return clock.to_zone(instant, self.zone).isoformat(' ', 'minutes')

    def chosen(self) -> Sequence[Task]:
        """Return the tasks that are named, all if there is none."""
        names = self.named()
        require_known(names, self.tasks)
        return [task for task in self.tasks if not names or task.name in names]

    def named(self) -> Sequence[str]:
        """Return the words that are no variables."""
        names = {task.name for task in self.tasks}
        return [word for word in self.args.words if word in names or '=' not in word]

    def named_at_least_one(self) -> Sequence[str]:
        names = self.named()
        if not names:
            raise Refused(f"name the tasks to {self.args.command}; 'pcron list' shows their names")
        return names

    def overviews(self, instant: datetime, count: int, tasks: Iterable[Task]) -> Sequence[Overview]:
        last: Mapping[str, PastRun] = {}
        pauses: Mapping[str, Pause] = {}
        try:
            last, pauses = self.claims.last_runs(), self.claims.paused()
        except Unavailable as exc:
            self.warn(f'without last runs and pauses: {exc}')
        return [Overview.of(task, instant, count, last.get(task.name), pauses.get(task.name)) for task in tasks]

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
