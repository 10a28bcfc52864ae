"""The chart of the documentation: a few rows as bars, in SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import NamedTuple

from benchmarks.measure import Row
from benchmarks.reach import Found
from benchmarks.table import shown

TITLE = 'pyramid_cron next to other schedulers'
WIDTH, MARGIN, LINE, BAR = 440, 16, 24, 14
# where bars begin, and how long the longest is
LEFT, LONGEST = 212, 144
HERE, OTHER = '#2f6fb0', '#9aa5b1'


class Bar(NamedTuple):
    """One bar.

    :param label: beside it.
    :param seconds: its length.
    :param here: whether it is this library.
    """

    label: str
    seconds: float
    here: bool


class Panel(NamedTuple):
    """Bars of one scale, longest at the full width.

    :param title: above them.
    :param bars: from the top.
    """

    title: str
    bars: list[Bar]


def panels(rows: Iterable[Row]) -> Iterator[Panel]:
    """Yield the panels of what was measured."""
    found = Found(rows)
    many = 'A minute in which many tasks are due'
    yield from _compared(found, 'A tick with nothing due', 'A tick with nothing due', '^PostgreSQL$', 'job store')
    peers = found.all(many, r'^\d+ due, PostgreSQL$', 'job store')[-1:]
    teams = found.all('on several processes, PostgreSQL', r'^\d+ process(es)?$')
    if peers and teams:
        bars = [Bar(f'pyramid_cron, {row.what}', row.here, True) for row in teams]
        yield Panel(f'{peers[0].what.split()[0]} tasks due in one minute', [*bars, *map(_other, peers)])
    for engine, what in (('procrastinate', '^1,000 at once$'), ('Celery', '^1,000 at once, PostgreSQL$')):
        title = f'Handing over to {engine}, each of 1,000 tasks'
        yield from _compared(found, title, f'Handing tasks over to {engine}', what, '^(?!one INSERT)')


def _compared(found: Found, title: str, group: str, what: str, other: str) -> Iterator[Panel]:
    rows = found.all(group, what, other)
    if rows:
        yield Panel(title, [Bar('pyramid_cron', rows[0].here, True), *map(_other, rows)])


def _other(row: Row) -> Bar:
    return Bar(row.other, row.there, False)


def chart(rows: Iterable[Row]) -> str:
    """Return the chart as an SVG of its own background, so that it can be read in the dark as well."""
    drawn, y = [], MARGIN
    made = list(panels(rows))
    for panel in made:
        y += LINE
        drawn.append(f'  <text x="{MARGIN}" y="{y - 8}" font-weight="bold">{escape(panel.title)}</text>')
        longest = max(bar.seconds for bar in panel.bars)
        for bar in panel.bars:
            width = max(2, round(LONGEST * bar.seconds / longest))
            color = HERE if bar.here else OTHER
            drawn += [
                f'  <text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(bar.label)}</text>',
                f'  <rect x="{LEFT}" y="{y}" width="{width}" height="{BAR}" rx="2" fill="{color}"/>',
                f'  <text x="{LEFT + width + 6}" y="{y + 12}">{escape(shown(bar.seconds, "s"))}</text>',
            ]
            y += LINE
        y += 8
    height = y + MARGIN - 16
    described = ' '.join(f'{panel.title}: {", ".join(map(_text, panel.bars))}.' for panel in made)
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="t d"',
            '     font-family="system-ui, sans-serif" font-size="14" fill="#1b1f24">',
            f'  <title id="t">{escape(TITLE)}</title>',
            f'  <desc id="d">Seconds, less is better. {escape(described)}</desc>',
            f'  <rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="#f6f8fa" '
            'stroke="#808890"/>',
            *drawn,
            '</svg>',
            '',
        ]
    )


def _text(bar: Bar) -> str:
    return f'{bar.label} {shown(bar.seconds, "s")}'
