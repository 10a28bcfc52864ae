"""Run the benchmarks, print their table, and write it beside this file as text and as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.databases import use_disk
from benchmarks.measure import FULL, SHORT, Row, Size, WrongResult
from benchmarks.table import COLUMNS, goal, table

# modules of this folder, in the order of the table
GROUPS = (
    'nothing_due',
    'tick',
    'process',
    'due_task',
    'moment',
    'servers',
    'walk',
    'scheduler',
    'beat',
    'handing_procrastinate',
    'handing_celery',
    'many',
    'history',
    'due',
    'footprint',
    'runs',
)


def main() -> None:
    """Measure everything; exit with status 1 if something that is measured does not do its work."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('--short', action='store_true', help='few tasks and rounds: whether it runs, not how fast')
    parser.add_argument('--output', type=Path, metavar='FOLDER', help='where to write')
    parser.add_argument(
        '--only', action='append', choices=GROUPS, metavar='GROUP', help=f'measure only this: {", ".join(GROUPS)}'
    )
    arguments = parser.parse_args()
    # what is published is one run of all
    output = arguments.output or (None if arguments.only or arguments.short else Path(__file__).parent)
    # before the minutes that it takes to measure
    if shutil.which('curl') is None:
        sys.exit('curl is needed, as in the crontab line that is measured')
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
            (output / 'results.txt').touch()
        except OSError as exc:
            sys.exit(f'the results cannot be written: {exc}')
    use_disk()
    # the local time of the tasks, with clocks that change
    os.environ['TZ'] = 'Europe/Berlin'
    time.tzset()

    size = SHORT if arguments.short else FULL
    try:
        rows = list(_measured(arguments.only or GROUPS, size, arguments.short))
    except WrongResult as exc:
        sys.exit(f'wrong result: {exc}')
    facts, notes = _facts()
    text = table(rows, facts, notes, goals=not arguments.short)
    print(text)
    if output is not None:
        shown = [row._asdict() | {'ratio': row.ratio, 'goal': goal(row)} for row in rows]
        found = {'machine': facts, 'size': size._asdict(), 'rows': shown, 'notes': notes}
        (output / 'results.txt').write_text(text + '\n', encoding='utf-8')
        (output / 'results.json').write_text(json.dumps(found, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
    if output == Path(__file__).parent:
        page.main()
    too_long = [line for line in text.splitlines() if len(line) > COLUMNS]
    if too_long:
        sys.exit('\n'.join([f'more than {COLUMNS} columns:', *too_long]))


def _measured(groups: Sequence[str], size: Size, short: bool) -> Iterator[Row]:
    """Yield the rows of these groups, and print the progress.

    Each of several groups is measured in a process of its own: what one leaves in memory slows down the next.
    """
    if len(groups) == 1:
        # it takes its local time from the environment
        yield from importlib.import_module(f'benchmarks.{groups[0]}').rows(size)
        return
    began = time.monotonic()
    for number, name in enumerate(groups, 1):
        print(f'{time.monotonic() - began:5.0f} s  {number}/{len(groups)} {name} ...', file=sys.stderr, flush=True)
        yield from _measured_apart(name, short)
    print(f'{time.monotonic() - began:5.0f} s  all measured', file=sys.stderr, flush=True)


def _measured_apart(group: str, short: bool) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix='benchmark-') as folder:
        command = [sys.executable, '-m', 'benchmarks', '--only', group, '--output', folder, *['--short'] * short]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            # it has printed why
            sys.exit(done.returncode)
        found = json.loads((Path(folder) / 'results.json').read_text(encoding='utf-8'))
    return [Row(**{name: row[name] for name in Row._fields}) for row in found['rows']]


def _facts() -> tuple[dict[str, Any], list[str]]:
    """Return what the figures depend on, and what is missing."""
    from benchmarks import databases, redis
    from benchmarks.machine import machine

    notes = [note for note in (databases.missing(), redis.missing()) if note]
    return machine() | {'servers': databases.facts()}, notes


if __name__ == '__main__':
    main()
