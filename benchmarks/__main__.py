"""Run the benchmarks, print their table, and write it beside this file as text and as JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.measure import COLUMNS, FULL, SHORT, WrongResult, machine, table


def main() -> None:
    """Measure everything; exit with status 1 if something that is measured does not do its work."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('--short', action='store_true', help='few tasks and rounds: whether it runs, not how fast')
    parser.add_argument('--output', type=Path, default=Path(__file__).parent, metavar='FOLDER', help='where to write')
    arguments = parser.parse_args()
    # before the minutes that it takes to measure
    if shutil.which('curl') is None:
        sys.exit('curl is needed, as in the crontab line that is measured')
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / 'results.txt').touch()
    except OSError as exc:
        sys.exit(f'the results cannot be written: {exc}')
    # the local time of the tasks, with clocks that change
    os.environ['TZ'] = 'Europe/Berlin'
    time.tzset()

    # they take their time from that
    from benchmarks import beat, due, handing, process, runs, store, tick

    size = SHORT if arguments.short else FULL
    rows = []
    try:
        for part in (due, tick, process, runs, store, beat, handing):
            print(f'{part.__name__} ...', file=sys.stderr, flush=True)
            rows += part.rows(size)
    except WrongResult as exc:
        sys.exit(f'wrong result: {exc}')
    facts = machine()
    notes = [note for note in (store.missing(), beat.missing()) if note]
    text = table(rows, facts, notes, goals=not arguments.short)
    print(text)
    shown = [row._asdict() | {'ratio': row.ratio, 'goal': row.goal} for row in rows]
    (arguments.output / 'results.txt').write_text(text + '\n', encoding='utf-8')
    (arguments.output / 'results.json').write_text(
        json.dumps(
            {'machine': facts, 'size': size._asdict(), 'rows': shown, 'notes': notes}, indent=1, ensure_ascii=False
        )
        + '\n',
        encoding='utf-8',
    )
    too_long = [line for line in text.splitlines() if len(line) > COLUMNS]
    if too_long:
        sys.exit('\n'.join([f'more than {COLUMNS} columns:', *too_long]))


if __name__ == '__main__':
    main()
