"""The dump: every row in a table of 80 columns, the facts of the run above it, and the goals below it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.measure import Row

COLUMNS = 80
RULE = '-' * COLUMNS


def shown(figure: float, unit: str) -> str:
    """Return a figure with its unit: ``'1.23 ms'``."""
    if unit == 'B':
        return f'{figure:,.0f} B'
    if not unit:
        return f'{figure:,.0f}' if figure == int(figure) else digits(figure)
    factor, prefix = next(((f, p) for f, p in ((1e9, 'n'), (1e6, 'µ'), (1e3, 'm')) if figure * f < 999.5), (1, ''))
    return f'{digits(figure * factor)} {prefix}s'


def digits(figure: float) -> str:
    """Return a number of any size with about three digits."""
    for least, decimals in ((99.5, 0), (9.95, 1), (0.0995, 2), (0.00995, 3)):
        if figure >= least:
            return f'{figure:.{decimals}f}'
    return f'{figure:.1e}' if figure else '0'


def goal(row: Row) -> str | None:
    """Return what was aimed at and whether it is reached, if there was an aim."""
    if row.reached is None:
        return None
    if row.most_ratio is not None:
        aim = f'{digits(row.ratio)} of at most {row.most_ratio:g} times'
    else:
        aim = f'{shown(row.here, row.unit)} of at most {shown(row.most or 0, row.unit)}'
    return f'{"reached" if row.reached else "MISSED"}: {aim}'


def table(rows: Iterable[Row], facts: Mapping[str, Any], notes: Iterable[str] = (), goals: bool = True) -> str:
    """Return the rows as a table of 80 columns, the notes, and below them whether the goals are reached."""
    lines = [
        *textwrap.wrap(f'{facts["processor"]}, {facts["cores"]} cores, {facts["system"]}, {facts["python"]}', COLUMNS),
        *textwrap.wrap(', '.join(f'{name} {version}' for name, version in facts['versions'].items()), COLUMNS),
        *(line for server in facts['servers'] for line in textwrap.wrap(server, COLUMNS, subsequent_indent='    ')),
    ]
    before = None
    aims = []
    for row in rows:
        if before is None or row.group != before.group:
            lines += ['', row.group, _line('', 'here', 'compared with', 'there', 'ratio'), RULE]
        same = before is not None and (row.group, row.what, row.here) == (before.group, before.what, before.here)
        figure = '' if same else shown(row.here, row.unit)
        other = f'{row.other} *' if row.sampled else row.other
        lines.append(_line('' if same else row.what, figure, other, shown(row.there, row.unit), digits(row.ratio)))
        found = goal(row)
        if found is not None:
            if row.group not in aims:
                aims.append(row.group)
            text = f'{row.what}, {row.other}: {found}'
            aims += textwrap.wrap(text, COLUMNS, initial_indent='  ', subsequent_indent='      ')
        before = row
    sampled = ['* measured on a sample of the tasks']
    lines += ['', *sampled, *(line for note in notes for line in textwrap.wrap(note, COLUMNS))]
    return '\n'.join([*lines, '', 'Goals', RULE, *aims] if goals else lines)


def _line(what: str, here: str, other: str, there: str, ratio: str) -> str:
    return f'{what:29}{here:>9}  {other:23}{there:>8}{ratio:>9}'
