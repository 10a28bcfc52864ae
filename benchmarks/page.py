"""Make what docs/benchmarks.rst shows from ``results.json``: its tables, its sentences with figures, its chart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import words
from benchmarks.chart import chart
from benchmarks.measure import Row
from benchmarks.reach import sentences
from benchmarks.table import shown

FOLDER = Path(__file__).parent
RESULTS = FOLDER / 'results.json'
PAGE = FOLDER / 'page.rst'
CHART = FOLDER.parent / 'docs' / 'benchmarks.svg'

# of many peers these are those that users come from
PEERS_OF_DUE = ('plain loop', 'croniter.match', 'APScheduler trigger', 'Celery crontab.is_due')


class Section(NamedTuple):
    """A part of the page.

    :param name: of the part, by which the page includes it.
    :param groups: a regular expression for the groups of its rows.
    :param wanted: whether a row is on the page; the dump has all.
    """

    name: str
    groups: str
    wanted: Callable[[Row], bool] = lambda row: True


SECTIONS = (
    Section('tick', "^A tick|^A minute's tick"),
    Section('due', '^A due task$'),
    Section('moment', '^A minute in which many'),
    Section('servers', 'several processes|on four processes'),
    Section('handing', '^Handing'),
    Section('many', '^Many registered'),
    Section('history', '[Hh]istory'),
    Section(
        'finding',
        '^Which of N',
        lambda row: (row.other in PEERS_OF_DUE and 'few due' in row.what) or 'among' in row.what,
    ),
    Section('process', '^Import|^Memory|^The next run'),
)


def page(results: Mapping[str, Any]) -> str:
    """Return the parts that the page includes.

    :param results: the content of ``results.json``.
    """
    rows = [Row(**{name: row[name] for name in Row._fields}) for row in results['rows']]
    parts = {section.name: _tables(row for row in rows if _belongs(row, section)) for section in SECTIONS}
    parts['machine'] = [_machine(results['machine'])]
    parts['goals'] = [_goals(rows)]
    parts['reach'] = [f'- {sentence}' for sentence in sentences(rows)]
    lines = ['.. made by python -m benchmarks.page', '']
    for name, made in parts.items():
        lines += [f'.. begin {name}', '', *made, '', f'.. end {name}', '']
    return '\n'.join(lines)


def _belongs(row: Row, section: Section) -> bool:
    return re.search(section.groups, row.group) is not None and section.wanted(row)


def _tables(rows: Iterable[Row]) -> list[str]:
    made: list[str] = []
    by_group: dict[str, list[Row]] = {}
    for row in rows:
        by_group.setdefault(row.group, []).append(row)
    for group, of_group in by_group.items():
        if made:
            made.append('')
        made += _table(group, of_group)
    return made or ['This run has none of these rows.']


def _table(group: str, rows: list[Row]) -> list[str]:
    goals = any(row.reached is not None for row in rows)
    lines = [f'.. csv-table:: {group}', '    :delim: |', '    :header-rows: 1']
    lines += ['    :widths: 32 13 35 20' if goals else '    :widths: 36 14 50', '']
    lines.append('    Measured | Here | Compared' + (' | Goal' if goals else ''))
    before = None
    for row in rows:
        same = before is not None and (before.what, before.here) == (row.what, row.here)
        what, figure = ('', '') if same else (row.what, shown(row.here, row.unit))
        cells = [what or '\\', figure or '\\', words.compared(row), *([words.goal(row) or '\\'] if goals else [])]
        lines.append('    ' + ' | '.join(cells))
        before = row
    return lines


def _machine(facts: Mapping[str, Any]) -> str:
    servers = '; '.join(facts['servers'])
    return f'{facts["processor"]}, {facts["cores"]} cores, {facts["system"]}, {facts["python"]}; {servers}.'


def _goals(rows: list[Row]) -> str:
    aimed = [row for row in rows if row.reached is not None]
    missed = [row for row in aimed if not row.reached]
    if not missed:
        return f'All {len(aimed)} goals are reached.'
    return f'Goals reached: {len(aimed) - len(missed)} of {len(aimed)}. The others are marked as missed.'


def files(results: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each file that is made, with its text."""
    yield PAGE, page(results)
    yield CHART, chart(Row(**{name: row[name] for name in Row._fields}) for row in results['rows'])


def main() -> None:
    """Write the files."""
    for path, text in files(json.loads(RESULTS.read_text(encoding='utf-8'))):
        path.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
