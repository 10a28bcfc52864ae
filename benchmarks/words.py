"""Figures and ratios in words, for the page of the documentation."""

from __future__ import annotations

import math

from benchmarks.measure import Row
from benchmarks.table import shown

# ratios between these are the same to a reader, because times differ by that from run to run
LEAST_SAME, MOST_SAME = 0.95, 1.05


def rounded(figure: float) -> str:
    """Return a number of any size with two digits that count: ``'1,100'``."""
    if not figure:
        return '0'
    decimals = 1 - math.floor(math.log10(abs(figure)))
    value = round(figure, decimals)
    # what has become 10 by rounding
    return f'{value:,.{1 if decimals > 0 and value < 10 else 0}f}'.removesuffix('.0')


def compared(row: Row) -> str:
    """Return how a figure compares with the other: ``'1,100 times less than APScheduler (4.2 s)'``."""
    return f'{_ratio(row)} {row.other} ({shown(row.there, row.unit)})'


def _ratio(row: Row) -> str:
    if not row.here:
        return 'none, unlike'
    found = row.ratio
    if found <= 0.5:
        return f'{rounded(1 / found)} times less than'
    if found < LEAST_SAME:
        return f'{100 * (1 - found):.0f} % less than'
    if found <= MOST_SAME:
        return 'the same as'
    if found < 2:
        return f'{100 * (found - 1):.0f} % more than'
    return f'{rounded(found)} times as much as'


def goal(row: Row) -> str:
    """Return what is aimed at, and whether it is reached; nothing if there is no aim."""
    if row.reached is None:
        return ''
    if row.most_ratio is None:
        aim = f'{shown(row.most or 0, row.unit)} at most'
    elif row.most_ratio < 1:
        aim = f'{rounded(1 / row.most_ratio)} times less'
    else:
        aim = 'not more' if row.most_ratio == 1 else f'{row.most_ratio:g} times at most'
    return aim if row.reached else f'{aim}: **missed**'
