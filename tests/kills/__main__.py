"""The script. It ends with status 1 if a promise was broken, or if a control went unnoticed."""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import Process
from pathlib import Path

from sqlalchemy import create_engine

from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import MINUTE
from tests.support.databases import DATABASES

from . import processes
from .application import Base, make_app
from .checks import compare, is_quiet
from .controls import CONTROLS
from .processes import BEGIN, Walkers

# simulated minutes within which everything that was lost has come to an end
MOST_MINUTES = 200


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.kills', description=sys.modules['tests.kills'].__doc__)
    parser.add_argument('--database', choices=DATABASES, default='sqlite')
    parser.add_argument('--kills', type=int, default=500, help='how many processes to kill (default: 500)')
    parser.add_argument('--seed', type=int, default=0, help='of everything that is left to chance (default: 0)')
    parser.add_argument(
        '--step',
        type=float,
        default=processes.STEP,
        help='seconds that a simulated minute takes; a slow machine gets on with more runs in longer ones '
        f'(default: {processes.STEP})',
    )
    parser.add_argument(
        '--alone', action='store_true', help='without cron.session: runs are at most once, and lost ones not repeated'
    )
    parser.add_argument(
        '--control',
        choices=CONTROLS,
        nargs='?',
        const='repeated',
        help='break something that has to be found: repeat lost runs without cron.session, leave out the fencing '
        'token (on PostgreSQL: a process that is frozen with the lock of SQLite is not taken over from), let a '
        'process take a task that another runs, run past minutes that were ok meanwhile, or move since '
        'after the commit of the task',
    )
    parser.add_argument(
        '--backfills',
        action='store_true',
        help='let half of the processes run tasks for past minutes in place of ticks, several at once',
    )
    parser.add_argument(
        '--each', action='store_true', help='with cron.requests = each: each task has a request of its own'
    )
    arguments = parser.parse_args()
    requests = 'each' if arguments.each else 'one'
    joined = not arguments.alone
    processes.STEP = arguments.step
    if arguments.control:
        fault, joined = CONTROLS[arguments.control]
        fault()
        arguments.backfills = arguments.backfills or arguments.control == 'rerun'
    with tempfile.TemporaryDirectory(prefix='kills-') as name, DATABASES[arguments.database](Path(name)) as url:
        chance = random.Random(arguments.seed)
        figures = kill(url, Path(name), arguments.kills, chance, joined, requests, arguments.backfills)
    print(json.dumps(vars(arguments) | figures, indent=2))
    found = any(figures['wrong'].values())
    if arguments.control and not found:
        print(f'the control {arguments.control} went unnoticed', file=sys.stderr)
    sys.exit(found != bool(arguments.control))


def kill(url, folder, kills, chance, joined, requests, backfills):
    """Kill so many processes over a database, and return figures."""
    # in a process of its own, because those that are forked must not inherit connections
    in_another_process(make_effects, url)
    began = time.monotonic()
    walkers = Walkers(chance, folder, url=url, session=joined, requests=requests, backfills=backfills)
    try:
        while walkers.kills < kills:
            walkers.step()
            # the processes are real, and so is the time in which they get on
            time.sleep(0.002)
    finally:
        walkers.end()
    seconds = time.monotonic() - began
    app, registry = make_app(url, folder, joined, requests=requests)
    minute = walkers.clock.minute(2)
    for _ in range(MOST_MINUTES):
        minute += MINUTE
        run_through(app, registry, minute)
        if is_quiet(url, minute):
            break
    figures = compare(url, registry, minute, folder / 'overlaps', joined)
    log = (folder / 'log').read_text()
    figures['wrong']['processes that ended by themselves'] = walkers.crashed
    figures['fenced'] = log.count('the run was taken over by')
    # SQLite has a single lock, and a process may be frozen with it
    figures['refused by the database'] = dict(Counter(re.findall(r'the store is not available: (.*)', log)))
    if any(figures['wrong'].values()):
        sys.stderr.write(log[-20000:])
    return {
        'seconds': round(seconds, 1),
        'simulated minutes': (minute - BEGIN) // MINUTE,
        'killed': walkers.killed_at,
        'frozen': walkers.frozen,
        **figures,
    }


def make_effects(url):
    Base.metadata.create_all(create_engine(url))


def in_another_process(function, *arguments):
    process = Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


main()
