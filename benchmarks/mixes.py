"""Tasks of an invented application: when they are due, and that as each library wants to be told."""

from __future__ import annotations

import functools
import random
from datetime import datetime

from pyramid_cron import Schedule

# a Monday on which nothing is special
NOW = datetime(2026, 11, 23, 9, 8)

# crontab lines that all libraries read alike: months by number, days of the week by name
DUE = (
    '8 9 * * *',
    '* * * * *',
    '*/4 * * * *',
    '8,38 * * * *',
    '8 9-17 * * mon-fri',
    '8 9 * * mon',
    '8 9 23 * *',
    '0-30/2 9 * 11 *',
)
MINUTES = ('*', '*/5', '*/15', '0-29', '10-50/10', '7,37')
HOURS = ('*', '9-17', '*/2', '22,23', '6,18')
DATES = ('* * *', '* * *', '* * mon-fri', '1 1,4,7,10 *', '* * sat,sun', '* * mon,wed,fri', '* * tue,thu')


def lines(count: int, due: int) -> list[str]:
    """Return ``count`` crontab lines in no order, ``due`` of which match the minute ``NOW``; always the same ones."""
    chance = random.Random(count * 1_000_003 + due)
    made = [chance.choice(DUE) for _ in range(due)]
    while len(made) < count:
        line = _any_line(chance)
        if not Schedule.from_line(line).matches(NOW):
            made.append(line)
    chance.shuffle(made)
    return made


def _any_line(chance: random.Random) -> str:
    minute = chance.choice(MINUTES) if chance.random() < 0.5 else chance.randrange(60)
    hour = chance.choice(HOURS) if chance.random() < 0.5 else chance.randrange(24)
    kind = chance.random()
    if kind < 0.5:
        dates = chance.choice(DATES)
    elif kind < 0.7:
        dates = f'* * {chance.choice(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}'
    elif kind < 0.9:
        dates = f'{chance.randint(1, 28)} * *'
    else:
        dates = f'{chance.randint(1, 28)} {chance.randint(1, 12)} *'
    return f'{minute} {hour} {dates}'


@functools.cache
def sets(line: str) -> tuple[frozenset[int], ...]:
    """Return the values that match in each field, as the original's tasks held them."""
    schedule = Schedule.from_line(line)
    masks = (schedule.min, schedule.hour, schedule.day, schedule.month, schedule.dow)
    return tuple(frozenset(value for value in range(60) if mask >> value & 1) for mask in masks)
