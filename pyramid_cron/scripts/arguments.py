"""The arguments of ``pcron``, and the check of names of tasks among them."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Any, NoReturn

from pyramid_cron.names import close_names
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.scripts.questions import QUESTIONS
from pyramid_cron.tasks import Task

VARIABLES = 'variables of the configuration file, as in http_port=8080'
AT = (
    "the minute to examine, such as '2026-12-24 00:00', in the time zone of the application or with an offset, "
    "02:00 of today, 'yesterday 02:00', or now"
)
VERBOSE = 'show the traceback if the store is not available'
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
        epilog=QUESTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action=_Version, nargs=0, help='print the version')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)

    def add(
        name: str,
        text: str,
        metavar: str = 'NAME=VALUE',
        words: str = VARIABLES,
        more: str = '',
        to: Any = commands,
        verbose: str = VERBOSE,
    ) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = to.add_parser(
            name, help=text, description=f'{text[0].upper()}{text[1:]}.{more}'
        )
        command.add_argument(
            'config_uri', metavar='CONFIG_URI', help='the configuration file, as in app.ini or app.ini#name'
        )
        command.add_argument('words', metavar=metavar, nargs='*', help=words)
        command.add_argument('-v', '--verbose', action='store_true', help=verbose)
        return command

    one = f'the name of a task or a part of it, and {VARIABLES}'
    several = f'names of tasks or parts of them, and {VARIABLES}'
    some = f'names of tasks or parts of them, all tasks if there is none, and {VARIABLES}'
    command = add(
        'list',
        'show the tasks, the next to run first, with their schedules and last runs',
        'TASK',
        some,
        verbose='show the first lines of their docstrings',
    )
    command.add_argument('--next', metavar='N', type=_positive, help='show the next N runs of all these tasks')
    command.add_argument(
        '--at', metavar='TIME', help=f'{AT}: show which tasks are due then, what became of that, and why others are not'
    )
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add('show', 'explain one task: its schedule, next and last runs, and why it is due or not', 'TASK', one)
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument(
        '--next', metavar='N', type=_positive, default=5, help='show the next N runs; 5 if it is left out'
    )
    add(
        'running',
        'show what is running, since when and where, and the last runs that took longest',
        'TASK',
        some,
        more=' The longest comes first. Needs cron.store.',
    )
    command = add('tick', 'run what is due, once')
    command.add_argument('--at', metavar='TIME', help=f'{AT}; now if it is left out')
    command.add_argument('--dry-run', action='store_true', help='show what would run, and run nothing')
    command = add(
        'run',
        'run tasks now, due or not, or one task for past minutes',
        'TASK',
        several,
        more=' A task with via= is enqueued, as by a tick, and runs in a worker. '
        'With --for, which needs cron.store, a task runs for the minutes at which it was due, the oldest first, '
        'until one does not succeed. Minutes for which it was ok are left alone. A task with via= is enqueued for one '
        'minute after another, each when the run before has ended.',
    )
    command.add_argument(
        '--here', action='store_true', help='run tasks with via= in this process, in place of enqueuing them'
    )
    command.add_argument(
        '--for',
        dest='first',
        metavar='TIME',
        help="run one task for this past minute, such as 02:00, 'yesterday 02:00' or '2026-12-24 02:00', in the time "
        'zone of the application or with an offset',
    )
    command.add_argument(
        '--until', metavar='TIME', help='run it for all minutes from --for until this one at which it was due'
    )
    command.add_argument(
        '--again',
        action='store_true',
        help='run it also for minutes for which it was ok, or that are older than the history',
    )
    command.add_argument(
        '--yes', action='store_true', help='run more than 10 minutes without the question on a terminal'
    )
    command = add(
        'rehearse',
        'run a task in a transaction that is always rolled back, and show what it would write',
        'TASK',
        one,
        more=' The exit status is 1 if the task failed, and 3 if something was not held back, or was refused. '
        'Nothing is claimed or recorded.',
    )
    command.add_argument(
        '--for',
        dest='first',
        metavar='TIME',
        help="the minute that it finds in scheduled_for, such as '2026-12-24 02:00'; the present one if it is left out",
    )
    command.add_argument('--yes', action='store_true', help='run it without the question on a terminal')
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
        verbose='show the keys of runs, their notes and logs, and the ends of tracebacks',
    )
    chosen = command.add_mutually_exclusive_group()
    chosen.add_argument('--failed', action='store_true', help='show only what failed, was lost or was missed')
    chosen.add_argument(
        '--by-hand',
        action='store_true',
        help='show only what people did: pauses, their ends, runs by name and the like',
    )
    command.add_argument(
        '--since',
        metavar='TIME',
        help='show what happened or was in progress from this time on, such as yesterday, 22:00, monday, '
        "'2026-12-24 00:00', or 5m, 2h, 3d ago",
    )
    command.add_argument(
        '--limit', metavar='N', type=_positive, default=50, help='show the last N; 50 if it is left out'
    )
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add(
        'audit',
        'show what became of each minute at which a task was due, and whether its work was committed once',
        'TASK',
        one,
        more=' The exit status is 1 unless each was committed once, or found nothing to do. Needs cron.store, and for '
        'the proof cron.session.',
        verbose='show each minute',
    )
    command.add_argument(
        '--since',
        metavar='TIME',
        required=True,
        help="the first minute, such as yesterday, monday, 2026-01-01 or '2026-12-24 02:00', or 90min, 2h, 3d ago",
    )
    command.add_argument('--until', metavar='TIME', help='the last minute; now if it is left out')
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add(
        'timeline',
        'show a night at a glance: what ran, what did not, what overlaps, and what is to come',
        more=' Without --since and --until it is the present night, from noon to noon. What ran needs cron.store.',
    )
    command.add_argument(
        '--since',
        metavar='TIME',
        help="the beginning, such as '2026-12-24 00:00', 22:00 of today, or 2h ago; a day before --until if it is left "
        'out',
    )
    command.add_argument(
        '--until',
        metavar='TIME',
        help="the end, such as '2026-12-24 12:00', or the next 06:00 or 2d after --since; a day after it if it is left "
        'out',
    )
    command.add_argument('--json', action='store_true', help='print JSON')
    command = add(
        'pause',
        'pause tasks',
        'TASK',
        f'names of tasks, none with --all, and {VARIABLES}',
        more=' What is due until the pause ends is recorded as paused, and not caught up. Needs cron.store.',
    )
    command.add_argument('--reason', metavar='TEXT', required=True, help='why; shown wherever the tasks are')
    command.add_argument(
        '--until',
        metavar='TIME',
        help="when the pause ends by itself, such as '2026-12-24 00:00', the next 06:00 or monday, 'tomorrow 06:00', "
        'or 2d, 3h, 45m from now, in the time zone of the application; if it is left out, pcron resume ends it',
    )
    command.add_argument(
        '--all',
        action='store_true',
        help='pause all tasks, those included that a later deploy adds, and leave pauses of single tasks as they are',
    )
    command = add(
        'acknowledge',
        'acknowledge the last failures of tasks, which are no alarm then',
        'TASK',
        several,
        more=' They stay so until a task succeeds, or fails otherwise. Needs cron.store.',
    )
    command.add_argument('--reason', metavar='TEXT', required=True, help='why; shown wherever the tasks are')
    add(
        'stop',
        'end queued runs, and request that runs in progress end',
        'TASK',
        f'names of tasks, or keys of runs as pcron history -v shows them, and {VARIABLES}',
        more=' A run in progress ends when its task next calls time_left() or stopping() of its system. '
        'Needs cron.store.',
    )
    command = add(
        'resume',
        'end the pauses of tasks',
        'TASK',
        f'names of tasks, none with --all, and {VARIABLES}',
        more=' Needs cron.store.',
    )
    command.add_argument('--all', action='store_true', help='end the pause of all tasks, and not those of single tasks')
    add(
        'forget',
        'delete what decides about tasks that are not registered any more, and their pauses',
        'TASK',
        several,
        more=' Their history stays. Needs cron.store.',
    )
    command = add(
        'plan',
        'compare the code with the store, and show what a deploy of it does',
        more=' It changes nothing. The exit status is 3 if the deploy would lose a task or a pause. Needs cron.store.',
    )
    command.add_argument(
        '--gone',
        metavar='TASK',
        action='append',
        default=[],
        help='a task that is removed on purpose, and does not count as lost; may be repeated',
    )
    command.add_argument('--json', action='store_true', help='print JSON')
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
            near = close_names(name, known)
            hint = f'; is {" or ".join(near)} meant?' if near else "; 'pcron list' shows their names"
            raise UsageError(f'no cron task is named {name!r}{hint}')
