"""Base of the commands of ``pcron``: arguments, output, and the loaded application."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from pyramid.scripts.common import get_config_loader, parse_vars

from pyramid_cron.errors import Unavailable
from pyramid_cron.printable import encodable, printable_lines
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.arguments import is_url, make_parser, require_known
from pyramid_cron.scripts.columns import NameCutter
from pyramid_cron.scripts.loading import UsageError, load
from pyramid_cron.scripts.progress_bar import ProgressBar
from pyramid_cron.scripts.typed_names import KnownNames, find_name
from pyramid_cron.scripts.work_loop import Shutdown
from pyramid_cron.settings import Settings
from pyramid_cron.summaries import Summaries, summarize_all
from pyramid_cron.tasks import Task, Tasks
from pyramid_cron.times import TimeError, parse_minute

if TYPE_CHECKING:
    from pyramid_cron.store.task_state import TaskState

# the commands that take names of tasks beside variables
TASK_COMMANDS = (
    'list',
    'show',
    'run',
    'history',
    'pause',
    'resume',
    'acknowledge',
    'stop',
    'forget',
    'audit',
    'rehearse',
    'running',
)
# those that change something, confirm a loss, or run the code of a task
CHANGING = ('run', 'pause', 'resume', 'acknowledge', 'stop', 'forget', 'plan', 'rehearse')
# columns of a table that is not for a terminal
UNLIMITED = 10**6

# a line of the log of a run then fits a terminal of 80 columns
PLAIN_FORMAT = '%(levelname).1s %(message)s'


class Command(ABC):
    """One call of the command, structured as Pyramid's own scripts are.

    :param argv: the name of the program and its arguments.
    :param quiet: print nothing but errors.
    :raises SystemExit: for arguments that argparse refuses.
    """

    script_name = 'pcron'
    parser = make_parser()
    now = staticmethod(clock.now)
    #: whether the output is for a person at a terminal, and whether one has typed the command
    is_terminal = staticmethod(lambda: sys.stdout.isatty())
    is_typed = staticmethod(lambda: sys.stdin is not None and sys.stdin.isatty())

    def __init__(self, argv: Sequence[str], quiet: bool = False) -> None:
        self.quiet = quiet
        # argparse leaves over the words behind an option
        self.args, words = self.parser.parse_known_args(list(argv[1:]))
        if any(word.startswith('-') for word in words):
            self.parser.error(f'unrecognized arguments: {" ".join(words)}')
        self.args.words += words
        self.before_line: Callable[[], object] = lambda: None
        self._names: dict[str, str] = {}
        self._states: Mapping[str, TaskState] | None = None
        self.shutdown = Shutdown(
            '' if quiet else f'{self.script_name}: stopping after the running task; again interrupts it'
        )

    def progress_bar(self) -> ProgressBar:
        """Return what shows the progress of runs. Each line that is printed erases it."""
        bar = ProgressBar(self.out, self.width, self.now, self.quiet)
        self.before_line = bar.erase
        return bar

    def out(self, text: str) -> None:
        if self.quiet:
            return
        self.before_line()
        try:
            print(encodable(printable_lines(text), sys.stdout.encoding), flush=True)
        except BrokenPipeError:
            # the reader, as in | head, has ended; without the replacement Python would report the pipe again at exit
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def table_width(self) -> int:
        """Return the columns of a line: those of the terminal or of ``COLUMNS``, without both as many as it takes."""
        return self.width() if self.is_terminal() or 'COLUMNS' in os.environ else UNLIMITED

    def name_cutter(self, others: Iterable[str] = ()) -> NameCutter | None:
        """Return what cuts names to the width of a terminal, ``None`` where names stay whole.

        :param others: names of tasks that are not registered, and that can be typed too.
        """
        return NameCutter([*(task.name for task in self.tasks), *others]) if self.is_terminal() else None

    def warn(self, text: str) -> None:
        self.before_line()
        print(f'{self.script_name}: {printable_lines(text)}', file=sys.stderr)

    def until_sigterm(self) -> AbstractContextManager[None]:
        """Return a context manager in which SIGTERM requests that the tasks in progress end."""
        # Python handles signals nowhere else
        is_main = threading.current_thread() is threading.main_thread()
        return self.shutdown.on_signals([signal.SIGTERM]) if is_main else nullcontext()

    def interrupted(self) -> int:
        """Report the signal that has interrupted the command, and return the exit status for it."""
        number = self.shutdown.signal or signal.SIGINT
        self.warn(f'interrupted by {number.name}')
        return 128 + number

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

    def task_words(self) -> Sequence[str]:
        """Return the words that are not variables, as they were typed."""
        names = {task.name for task in self.tasks}
        return [word for word in self.args.words if word in names or '=' not in word]

    def task_names(self) -> Sequence[str]:
        """Return the names that these words stand for, each once, and a word itself that stands for none.

        :raises UsageError: for a word that may stand for several tasks.
        """
        return list(dict.fromkeys(map(self.find_name, self.task_words())))

    def find_name(self, word: str) -> str:
        """Return the name that a word stands for, and print it if it is another one; the word if it stands for none.

        :raises UsageError: for a word that may stand for several tasks.
        """
        if word not in self._names:
            registered = {task.name for task in self.tasks}
            if word in registered or (word not in self.other_names() and self.is_taken_as_it_is(word)):
                self._names[word] = word
            else:
                known = KnownNames(registered, self.other_names(), self.unregistered_names())
                self._names[word] = self.resolve(word, known)
        return self._names[word]

    @abstractmethod
    def is_taken_as_it_is(self, word: str) -> bool:
        """Return whether a word that is not the name of a registered task is not a part of one either."""

    def resolve(self, word: str, known: KnownNames) -> str:
        """Return which of the names a word stands for, and print it if it is another one; the word if none."""
        whole = self.args.command if self.args.command in CHANGING and not self.is_typed() else None
        name = find_name(word, known, whole) or word
        if name != word:
            self.warn(f'{word!r} is taken for {name}')
        return name

    def unregistered_names(self) -> Collection[str]:
        """Return the names of tasks that are in the store and not registered here.

        :raises Unavailable: if the store cannot be read, for a command that changes something.
        """
        return set(self._read_states()) - {task.name for task in self.tasks}

    def other_names(self) -> Mapping[str, str]:
        """Return the names of registered tasks by their former ones, and by those that a newer release gives them.

        :raises Unavailable: if the store cannot be read, for a command that changes something.
        """
        former = {name: task.name for task in self.tasks for name in task.was}
        states = self._read_states()
        return {other: name for name, state in states.items() for other in state.other_names} | former

    def _read_states(self) -> Mapping[str, TaskState]:
        if self._states is None:
            store = self.registry['cron_store']
            try:
                self._states = {} if store is None else store.states()
            except Unavailable:
                if self.args.command in CHANGING:
                    raise
                # the output has what is known without the store
                self._states = {}
        return self._states

    def require_registered(self, names: Iterable[str]) -> None:
        """Require that tasks are registered here.

        :raises UsageError: for one that is not.
        """
        registered = {task.name for task in self.tasks}
        for name in names:
            if name not in registered and name in self.unregistered_names():
                raise UsageError(
                    f"{name} is not registered here, and only in the store: 'pcron show' has what is known of it"
                )
        require_known(names, self.tasks)

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
        self.require_registered(names)
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
