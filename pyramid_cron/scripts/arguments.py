"""The arguments of ``pcron``, and the check of names of tasks among them."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Any, NoReturn

from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.tasks import Task

VARIABLES = 'variables of the configuration file, as in http_port=8080'
AT = (
    "the minute to examine, such as '2026-12-24 00:00', in the time zone of the application or with an offset, "
    '02:00 of today, or now'
)
# number of runs or entries; databases take no integer at all
LARGEST = 10**6


class _Version(argparse.Action):
    """Prints the version, which is looked up only for this option."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> NoReturn:
        print(f'pyramid_cron {version("pyramid_cron")}')
        parser.exit()


def is_url(word: str) -> bool:
    """Return whether a word is meant as the URL of ``pcron doctor``, and not as a variable."""
    return word.startswith(('http:', 'https:', 'unix:'))


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 1 to {LARGEST}')
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog='pcron',
        description='Show and run the scheduled tasks of a Pyramid application.',
        epilog='Each command has a --help of its own.',
    )
    parser.add_argument('--version', action=_Version, nargs=0, help='print the version')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)

    def add(
        name: str, text: str, metavar: str = 'NAME=VALUE', words: str = VARIABLES, more: str = '', to: Any = commands
    ) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = to.add_parser(
            name, help=text, description=f'{text[0].upper()}{text[1:]}.{more}'
        )
        command.add_argument(
            'config_uri', metavar='CONFIG_URI', help='the configuration file, as in app.ini or app.ini#name'
        )
        command.add_argument('words', metavar=metavar, nargs='*', help=words)
        return command

    one = f'the name of a task, and {VARIABLES}'
    several = f'names of tasks, and {VARIABLES}'
    some = f'names of tasks, all tasks if there is none, and {VARIABLES}'
    command = add('list', 'show the tasks, the next to run first, with their schedules and last runs', 'TASK', some)
    command.add_argument('--next', metavar='N', type=_positive, help='show the next N runs of all these tasks')
    command.add_argument('--at', metavar='TIME', help=f'{AT}: show which tasks are due then, and why')
    command.add_argument('--json', action='store_true', help='print JSON')
    command.add_argument('-v', '--verbose', action='store_true', help='show the first lines of their docstrings')
    command = add('show', 'explain one task: its schedule, next and last runs, and why it is due or not', 'TASK', one)
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument(
        '--next', metavar='N', type=_positive, default=5, help='show the next N runs; 5 if it is left out'
    )
    command = add('tick', 'run what is due, once')
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument('--dry-run', action='store_true', help='show what would run, and run nothing')
    command = add('run', 'run tasks now, due or not', 'TASK', several)
    command.add_argument(
        '--via', action='store_true', help='enqueue the tasks that a tick would enqueue, in place of running them here'
    )
    add('work', 'run what is due at each minute, until SIGTERM or SIGINT')
    add(
        'perform',
        'run a task that was enqueued',
        'KEY',
        f'the key of its message, and {VARIABLES}',
        more=' A run that has begun before, or that comes too late, is not repeated and does not count as failed.',
    )
    command = add(
        'history',
        'show what ran, what did not, and when no tick came',
        'TASK',
        some,
        more=' The newest comes last. Needs cron.store.',
    )
    command.add_argument('--failed', action='store_true', help='show only what failed, was lost or was missed')
    command.add_argument(
        '--since',
        metavar='TIME',
        help="show nothing before this time, such as '2026-12-24 00:00', or 90min, 2h, 3d ago",
    )
    command.add_argument(
        '--limit', metavar='N', type=_positive, default=50, help='show the last N; 50 if it is left out'
    )
    command.add_argument('--json', action='store_true', help='print JSON')
    command.add_argument('-v', '--verbose', action='store_true', help='show the ends of tracebacks')
    command = add(
        'pause',
        'pause tasks',
        'TASK',
        several,
        more=' What is due until the pause ends is recorded as paused, and not caught up. Needs cron.store.',
    )
    command.add_argument('--reason', metavar='TEXT', required=True, help='why; shown wherever the tasks are')
    command.add_argument(
        '--until',
        metavar='TIME',
        help="when the pause ends by itself, such as '2026-12-24 00:00', or the next 02:00; if it is left out, "
        'pcron resume ends it',
    )
    add('resume', 'end the pauses of tasks', 'TASK', several, more=' Needs cron.store.')
    add(
        'forget',
        'delete what decides about tasks that are not registered any more, and their pauses',
        'TASK',
        several,
        more=' Their history stays. Needs cron.store.',
    )
    command = add(
        'doctor',
        'check the whole set-up from here: what keeps tasks from running, and what to do',
        'URL',
        'the address that the trigger requests, as in http://localhost:6543/cron or unix:/run/app.sock, if it is not '
        f'to be taken from the section [server:main] or from cron.url; and {VARIABLES}',
        more=' It sends a request that is checked as any other and runs nothing. Run it as the account of the crontab.',
    )
    command.add_argument('--json', action='store_true', help='print JSON')
    text = 'manage cron.store'
    actions = commands.add_parser('store', help=text, description=f'{text[0].upper()}{text[1:]}.').add_subparsers(
        dest='action', metavar='ACTION', required=True
    )
    add('check', 'check whether the store can be used, also with the session of the application', to=actions)
    command = add(
        'upgrade',
        'create the tables of the store, or bring them up to this version',
        more=' It does so whatever cron.create_tables is.',
        to=actions,
    )
    command.add_argument(
        '--sql', action='store_true', help='change nothing, and print the SQL that does it, for sqlite3 or psql'
    )
    return parser


def require_known(names: Iterable[str], tasks: Iterable[Task], others: Collection[str] = ()) -> None:
    """Require that every name is known.

    :param tasks: the tasks that have known names.
    :param others: further known names.
    :raises UsageError: for an unknown name, with the names that come close.
    """
    known = {task.name for task in tasks} | set(others)
    for name in names:
        if name not in known:
            raise UsageError(f'no cron task is named {name!r}{_hint(name, known)}')


def _hint(name: str, known: Collection[str]) -> str:
    """Return a suggestion of the names that come close in their last part.

    Whole names are not compared: a dotted path that two share makes any names look alike.
    """
    last = {other: other.rpartition('.')[2] for other in known}
    close = difflib.get_close_matches(name.rpartition('.')[2], set(last.values()))
    near = sorted(other for other in last if last[other] in close)
    return f'; is {" or ".join(near)} meant?' if near else "; 'pcron list' shows their names"
