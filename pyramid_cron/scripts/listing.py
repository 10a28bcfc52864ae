"""What ``pcron`` shows of tasks and of a run as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo

from pyramid_cron import clock
from pyramid_cron.overview import LOCAL_TIME, Overview
from pyramid_cron.reports import LOST, RunReport

HEADINGS = ('NAME', 'SCHEDULE', 'TIME ZONE', 'IDLE', 'LAST RUN', 'NEXT RUN', 'DESCRIPTION')


def counted(tasks: Sequence[object]) -> str:
    return f'{len(tasks) or "no"} task{"" if len(tasks) == 1 else "s"}'


def outlook(entries: Sequence[Overview], instant: datetime, zone: tzinfo | None) -> str:
    """Say how many tasks there are, and which is the next to run after ``instant``, at a time in ``zone``."""
    # compared in UTC: within one time zone it would be the wall clock
    runs = [(clock.to_instant(entry.runs[0]), entry.task.name) for entry in entries if entry.runs]
    text = f'{counted(entries)}, {zone or LOCAL_TIME}. Next: '
    if not runs:
        return f'{text}never.'
    first = min(run for run, _ in runs)
    names = [name for run, name in runs if run == first]
    wall, today = clock.to_zone(first, zone), clock.to_zone(instant, zone).date()
    others = f' and {len(names) - 1} more' if len(names) > 1 else ''
    return f'{text}{wall:%H:%M}{"" if wall.date() == today else f" on {wall:%a %Y-%m-%d}"} {names[0]}{others}.'


def table(entries: Sequence[Overview]) -> list[str]:
    """Return a table with a line for each task, however long, without last runs if none is remembered."""
    rows = [
        (
            entry.task.name,
            str(entry.task.schedule),
            entry.zone,
            'idle' if entry.task.idle else '',
            entry.last_run(),
            entry.next_runs()[0],
            entry.description,
        )
        for entry in entries
    ]
    lines = [HEADINGS, tuple('-' * len(heading) for heading in HEADINGS), *rows]
    if not any(entry.last for entry in entries):
        at = HEADINGS.index('LAST RUN')
        lines = [line[:at] + line[at + 1 :] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
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
        yield from _labelled('last run', entry.last_run(), width)
        for index, run in enumerate(entry.next_runs()):
            yield from _labelled('' if index else 'next run', run, width)


def _labelled(label: str, text: str, width: int) -> list[str]:
    return wrapped(f'  {label:10}' if label else ' ' * 12, text, width)


def wrapped(start: str, text: str, width: int) -> list[str]:
    """Return a text with something before its first line, which is not cut inside of a word."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=' ' * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def report_lines(report: RunReport) -> Iterator[str]:
    """Yield a line for each task of a run, and for what was in the way of others."""
    if report.problem is not None:
        yield f'problem  {report.problem}'
    for task in report.tasks:
        detail = type(task.exception).__name__ if task.exception else task.reason
        # how long a run took that was lost, nobody knows
        told = task.name if task.status == LOST else f'{task.name}, {task.seconds:.3f} s'
        if task.scheduled_for is not None:
            told += f', for {task.scheduled_for.isoformat(" ", "minutes")}'
        if task.attempt > 1:
            told += f', attempt {task.attempt}'
        yield f'{task.status:8} {told}{f": {detail}" if detail else ""}'
