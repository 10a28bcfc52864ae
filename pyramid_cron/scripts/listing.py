"""What ``pcron list`` shows of each task as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pyramid_cron.overview import Overview

HEADINGS = ('NAME', 'SCHEDULE', 'TIME ZONE', 'IDLE', 'NEXT RUN', 'DESCRIPTION')


def table(entries: Sequence[Overview]) -> list[str]:
    """Return a table with a line for each task, however long."""
    rows = [
        (
            entry.task.name,
            str(entry.task.schedule),
            entry.zone,
            'idle' if entry.task.idle else '',
            entry.next_runs()[0],
            entry.description,
        )
        for entry in entries
    ]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [HEADINGS, tuple('-' * len(heading) for heading in HEADINGS), *rows]
    return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in lines]


def blocks(entries: Sequence[Overview], width: int, at: bool) -> Iterator[str]:
    """Yield the lines of a paragraph for each task, none longer than ``width`` unless a single word is.

    :param at: tell whether the task is due at the instant.
    """
    for number, entry in enumerate(entries):
        task = entry.task
        if number:
            yield ''
        yield task.name
        yield from _labelled('', entry.description, width)
        yield from _labelled('schedule', f'{task.schedule} ({entry.zone}{", idle" if task.idle else ""})', width)
        if at:
            yield from _labelled('due' if entry.due else 'not due', entry.why(), width)
        for index, run in enumerate(entry.next_runs()):
            yield from _labelled('' if index else 'next run', run, width)


def _labelled(label: str, text: str, width: int) -> list[str]:
    indent = ' ' * 12
    return textwrap.wrap(
        text,
        width,
        initial_indent=f'  {label:10}' if label else indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
