"""The script. It ends with status 1 if something was silently wrong, or if a control went unnoticed."""

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from pyramid_cron.schedules.clock import MINUTE

from .catalogue import DURING, FAULTS, Fault
from .checks import RECOVERY, Watch
from .controls import CONTROLS
from .database_faults import task_deleted
from .databases import DATABASES
from .world import World

# minutes before the first fault, and that a fault lasts at most
BEFORE, LONGEST = 5, 6


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.faults', description=sys.modules['tests.faults'].__doc__)
    parser.add_argument('--database', choices=DATABASES, default='postgresql')
    parser.add_argument('--minutes', type=int, default=2000, help='how many minutes to simulate (default: 2000)')
    parser.add_argument('--faults', type=int, default=60, help='how many faults (default: 60)')
    parser.add_argument('--seed', type=int, default=0, help='of everything that is left to chance (default: 0)')
    parser.add_argument('--only', action='append', help='a fault, which can be repeated (default: all of them)')
    parser.add_argument('--pairs', action='store_true', help='let a fault of a process begin during each fault')
    parser.add_argument('--control', choices=CONTROLS, help='take out a protection, which has to be found')
    parser.add_argument('--verbose', action='store_true', help='print what the servers answer')
    arguments = parser.parse_args()
    every = {fault.__name__: fault for fault in FAULTS[arguments.database]}
    chosen = [every[name] for name in arguments.only or every]
    during = DURING if arguments.pairs else []
    plan = plan_faults(chosen, during, arguments.minutes, arguments.faults, random.Random(arguments.seed))
    with tempfile.TemporaryDirectory(prefix='faults-') as name, DATABASES[arguments.database](Path(name)) as database:
        # whole hours ago, so that tasks are due in the same minutes of each run
        hours = arguments.minutes // 60 + 2
        begin = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - hours * 60 * MINUTE
        world = World(database, Path(name), begin, arguments.seed, arguments.control)
        watch, began = Watch(world), time.monotonic()
        try:
            simulate(world, watch, plan, arguments.minutes, arguments.control is not None, arguments.verbose)
        finally:
            world.end()
        figures = {
            'seconds': round(time.monotonic() - began, 1),
            'simulated minutes': (world.minute - begin) // MINUTE,
            'faults begun': [f'{minute}: {name}' for minute, name in watch.faults],
            **watch.figures,
            'recorded': dict(watch.outcomes),
            'findings': [finding._asdict() for finding in watch.findings],
        }
        if watch.findings and not arguments.control:
            sys.stderr.write((Path(name) / 'log').read_text()[-20000:])
    print(json.dumps(vars(arguments) | figures, indent=2))
    if arguments.control and not watch.findings:
        print(f'the control {arguments.control} went unnoticed', file=sys.stderr)
    sys.exit(bool(watch.findings) != bool(arguments.control))


class Planned(NamedTuple):
    """A fault, and the minute in which it ends."""

    fault: Fault
    ends: int
    chance: random.Random


def plan_faults(faults, during, minutes, number, chance):
    """Return the faults by the minutes in which they begin.

    One begins after the other has ended and what it left behind is over; each kind comes before one comes again.

    :param during: of which one begins a minute after each, and ends with it.
    """
    recovery = RECOVERY // MINUTE
    length = (minutes - BEFORE) // number
    if length < LONGEST + recovery + 2:
        raise SystemExit(f'{number} faults need {(LONGEST + recovery + 2) * number + BEFORE} minutes')
    order = []
    while len(order) < number:
        order += chance.sample(faults, len(faults))
    plan = {}
    for index, fault in enumerate(order[:number]):
        lasts = chance.randint(2 if during else 1, LONGEST)
        begins = BEFORE + index * length + chance.randrange(length - lasts - recovery - 1)
        plan[begins] = Planned(fault, begins + lasts, random.Random(chance.random()))
        # without its row no process knows what a task owes, until one ticks
        if during and fault is not task_deleted:
            plan[begins + 1] = Planned(chance.choice(during), begins + lasts, random.Random(chance.random()))
    return plan


def simulate(world, watch, plan, minutes, first_only, verbose):
    """Let minutes pass, in which faults begin and end.

    :param first_only: end with the first finding.
    """
    with ExitStack() as stack:
        ends = None
        for number in range(1, minutes + 1):
            if number == ends:
                stack.close()
                watch.fault_ended = world.minute + MINUTE
            if number in plan:
                fault, ends, chance = plan[number]
                watch.begin(number, fault.__name__, stack.enter_context(fault(world, chance)))
            answers, healths = world.pass_minute(), world.healths()
            if verbose:
                print(number, watch.fault, *answers, *healths, sep='\n  ', file=sys.stderr)
            watch.after_minute(answers, healths)
            if first_only and watch.findings:
                return


main()
