"""The arguments of ``pcron``."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Any, NoReturn

from pyramid_cron.scripts.loading import Refused
from pyramid_cron.tasks import Task

VARIABLES = 'variables of the configuration file, as in http_port=8080'
AT = (
    "the minute to look at, such as '2026-12-24 00:00', in the time zone of the application or with an offset, "
    '02:00 of today, or now'
)


class _Version(argparse.Action):
    """Prints the version, which is looked up only if somebody asks for it."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> NoReturn:
        print(f'pyramid_cron {version("pyramid_cron")}')
        parser.exit()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
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
    some = f'names of tasks, all if there is none, and {VARIABLES}'
    command = add('list', 'show the tasks, what is next first, with their schedules and last runs', 'TASK', some)
    command.add_argument('--next', metavar='N', type=_count, help='show the next N runs, of whichever tasks')
    command.add_argument('--at', metavar='TIME', help=f'{AT}: show which tasks are due then, and why')
    command.add_argument('--due', action='store_true', help='show only what is due, now or at the time of --at')
    command.add_argument('--json', action='store_true', help='print JSON')
    command.add_argument('-v', '--verbose', action='store_true', help='show what the tasks do, by their docstrings')
    command = add('show', 'explain one task: when it runs, when it did, and why it is due or not', 'TASK', one)
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument(
        '--next', metavar='N', type=_count, default=5, help='show the next N runs; 5 if it is left out'
    )
    command = add('tick', 'run what is due, once')
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument('--dry-run', action='store_true', help='show what would run, and run nothing')
    by_name = add('run', 'run tasks now, due or not', 'TASK', several)
    by_name.add_argument(
        '--via', action='store_true', help='hand over, as when they are due, the tasks that are not run here then'
    )
    runs = [
        command,
        by_name,
        add('work', 'run what is due at each minute, until SIGTERM or SIGINT'),
        add(
            'perform',
            'run a task that was handed over',
            'KEY',
            f'the key under which it was handed over, and {VARIABLES}',
            more=' What was delivered before, or comes too late, does not run, and is no failure.',
        ),
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
    command = add(
        'history',
        'show what ran, what did not, and when nobody asked',
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
    command.add_argument('--limit', metavar='N', type=_count, default=50, help='show the last N; 50 if it is left out')
    command.add_argument('--json', action='store_true', help='print JSON')
    command.add_argument('-v', '--verbose', action='store_true', help='show the ends of tracebacks')
    command = add(
        'pause',
        'let tasks not run for a while',
        'TASK',
        several,
        more=' What they are due at until then is recorded, and not caught up. Needs cron.store.',
    )
    command.add_argument('--reason', metavar='TEXT', required=True, help='why, for whoever looks at the tasks')
    command.add_argument(
        '--until',
        metavar='TIME',
        help="when the pause ends by itself, such as '2026-12-24 00:00', or the next 02:00; if it is left out, "
        'pcron resume ends it',
    )
    add('resume', 'end the pauses of tasks', 'TASK', several, more=' Needs cron.store.')
    text = 'look after cron.store'
    actions = commands.add_parser('store', help=text, description=f'{text[0].upper()}{text[1:]}.').add_subparsers(
        dest='action', metavar='ACTION', required=True
    )
    add('check', 'say whether the store can be used, and with the session of the application', to=actions)
    return parser


def require_known(names: Iterable[str], tasks: Iterable[Task], others: Collection[str] = ()) -> None:
    """Make sure that tasks are known by their names.

    :param others: names that are known beside those of the tasks.
    :raises Refused: if one is not, with those that may be meant.
    """
    known = {task.name for task in tasks} | set(others)
    for name in names:
        if name not in known:
            raise Refused(f'no cron task is named {name!r}{_hint(name, known)}')


def _hint(name: str, known: Collection[str]) -> str:
    """Suggest the names whose last part comes close: a dotted path that two share makes any names look alike."""
    last = {other: other.rpartition('.')[2] for other in known}
    close = difflib.get_close_matches(name.rpartition('.')[2], set(last.values()))
    near = sorted(other for other in last if last[other] in close)
    return f'; is {" or ".join(near)} meant?' if near else "; 'pcron list' shows their names"
