"""What ``pcron`` shows of tasks and of a run as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

from pyramid_cron.reports import LOST, RunReport, TaskReport, duration
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import LOCAL_TIME, Overview, distance, offset

# columns of a name, which may be longer where there is room, and of a schedule
MOST_OF_NAME, LEAST_OF_NAME, MOST_OF_SCHEDULE = 24, 8, 20
# columns of a reason, which is left out where there are fewer
LEAST_OF_REASON = 16


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


def table(entries: Sequence[Overview], instant: datetime, zone: tzinfo | None, width: int, verbose: bool) -> list[str]:
    """Return a line for each task, what runs next first, with as much as there is room for.

    :param zone: the time zone that times are shown in.
    :param verbose: put below each what it does, by its docstring.
    """
    entries = in_order(entries)
    names = [entry.task.name for entry in entries]
    widest = min(MOST_OF_NAME, max(map(len, names)))
    for headings, cells in LAYOUTS:
        rows = [headings, *(tuple(cell(entry, instant, zone) for cell in cells) for entry in entries)]
        columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
        room = width - sum(max(map(len, column)) + 2 for column in columns)
        if room >= widest:
            break
    room = max(room, LEAST_OF_NAME)
    # behind the time until the next run, which has no heading
    columns.insert(
        2 if len(columns) > 1 and not columns[1][0] else 1, ('TASK', *(shortened(name, room) for name in names))
    )
    lines = _aligned(columns)
    if not verbose:
        return lines
    told = [wrapped('    ', entry.description, width) for entry in entries]
    return [lines[0], *(line for first, more in zip(lines[1:], told, strict=True) for line in (first, *more))]


def in_order(entries: Sequence[Overview]) -> list[Overview]:
    """Return what runs next first, and what does not last."""
    # compared in UTC: within one time zone it would be the wall clock
    return sorted(entries, key=lambda entry: (not entry.runs, *map(clock.to_instant, entry.runs[:1])))


def timeline(entries: Sequence[Overview], zone: tzinfo | None, width: int, count: int) -> list[str]:
    """Return a line for each of the next runs, of whichever tasks.

    :param entries: each with as many of its runs.
    """
    runs = sorted((clock.to_instant(run), number) for number, entry in enumerate(entries) for run in entry.runs)
    shown = [(clock.to_zone(run, zone), entries[number]) for run, number in runs[:count]]
    times = [f'{run:%a %Y-%m-%d %H:%M} {offset(run)}' for run, _ in shown]
    distances = [distance(entry.instant, run) for run, entry in shown]
    names = [entry.task.name for _, entry in shown]
    columns = [times, distances, names]
    if max(map(len, _aligned(columns)), default=0) > width:
        columns = [times, [shortened(name, max(width - len(times[0]) - 2, LEAST_OF_NAME)) for name in names]]
    return _aligned(columns)


def reasons(entries: Sequence[Overview], width: int) -> list[str]:
    """Return a line for each task that says whether it is due, and as much of why as there is room for."""
    states = ['paused' if entry.due and entry.is_paused else 'due' if entry.due else 'not due' for entry in entries]
    names = [entry.task.name for entry in entries]
    told = [entry.paused() if state == 'paused' else entry.why() for state, entry in zip(states, entries, strict=True)]
    room = width - len('not due') - 2
    widest = min(MOST_OF_NAME, max(map(len, names), default=0))
    for_reason = room - widest - 2
    if for_reason < LEAST_OF_REASON:
        return _aligned([states, [shortened(name, max(room, LEAST_OF_NAME)) for name in names]])
    cut = [text if len(text) <= for_reason else f'{text[: for_reason - 3]}...' for text in told]
    return _aligned([states, [shortened(name, widest) for name in names], cut])


def shortened(text: str, room: int) -> str:
    """Return a text that leaves out its middle if that is too long."""
    if len(text) <= room:
        return text
    end = (room - 2) // 2
    return f'{text[: room - 3 - end]}...{text[len(text) - end :]}'


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column), default=0) for column in columns]
    return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)]


def _next(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    if not entry.runs:
        return 'paused' if entry.is_paused else 'never'
    run, today = clock.to_zone(clock.to_instant(entry.runs[0]), zone), clock.to_zone(instant, zone)
    days = (run.date() - today.date()).days
    return f'{run:%H:%M}' if days == 0 else f'{run:%a %H:%M}' if days < 7 else f'{run:%Y-%m-%d %H:%M}'


def _next_briefly(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    shown = _next(entry, instant, zone)
    return shown[:10]


def _in(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    return distance(instant, entry.runs[0]) if entry.runs else ''


def _schedule(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    task = entry.task
    shown = shortened(str(task.schedule), MOST_OF_SCHEDULE)
    return shown if str(task.timezone) == str(zone) else f'{shown} {entry.zone}'


def _last(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    return ', '.join(filter(None, ['paused' if entry.is_paused else '', entry.last_run()]))


def _status(entry: Overview, instant: datetime, zone: tzinfo | None) -> str:
    return 'paused' if entry.is_paused else entry.last.outcome if entry.last else ''


# of a task beside its name, from a wide terminal to a narrow one
LAYOUTS: list[tuple[tuple[str, ...], tuple[Callable[[Overview, datetime, tzinfo | None], str], ...]]] = [
    (('NEXT RUN', '', 'SCHEDULE', 'LAST RUN'), (_next, _in, _schedule, _last)),
    (('NEXT RUN', 'SCHEDULE', 'LAST RUN'), (_next, _schedule, _last)),
    (('NEXT RUN', 'SCHEDULE', 'LAST'), (_next, _schedule, _status)),
    (('NEXT', 'LAST'), (_next_briefly, _status)),
]


def explained(entry: Overview, width: int, remembered: Sequence[str], catch_up: timedelta) -> Iterator[str]:
    """Yield lines that tell all about one task, none longer than ``width`` unless a single word is.

    :param remembered: its last runs, in lines that are short.
    :param catch_up: how long after a minute that was missed a task still runs, unless it says so itself.
    """
    task = entry.task
    yield task.name
    for number, paragraph in enumerate(entry.docstring.split('\n\n')):
        if number:
            yield ''
        yield from wrapped('  ', paragraph, width)
    yield ''
    yield from _labelled('schedule', f'{task.schedule} ({entry.zone})', width)
    settings = ['idle: after the others, while there is time'] if task.idle else []
    settings += [f'handed over to {task.engine}'] if task.engine else []
    if not task.store:
        settings.append('store=False: each process for itself')
    else:
        grace = catch_up if task.catch_up is None else task.catch_up
        settings.append(f'caught up for {duration(grace.total_seconds())}' if grace else 'never caught up')
        settings += [f'retries: {task.retries}'] if task.retries else []
    yield from _labelled('settings', '; '.join(settings), width)
    yield from _labelled('paused', entry.paused(), width)
    yield from _labelled('due' if entry.due else 'not due', f'at {entry.at:%a %Y-%m-%d %H:%M}: {entry.why()}', width)
    for index, run in enumerate(entry.next_runs()):
        yield from _labelled('' if index else 'next runs', run, width)
    for index, line in enumerate(remembered):
        yield from _labelled('' if index else 'last runs', line, width)


def _labelled(label: str, text: str, width: int) -> list[str]:
    return wrapped(f'  {label:11}' if label else ' ' * 13, text, width)


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
    width = max([8, *(len(task.outcome) for task in report.tasks)])
    for task in report.tasks:
        yield report_line(task, width)


def report_line(task: TaskReport, width: int = 8) -> str:
    """Return a line for a task of a run.

    :param width: that of the outcome in it.
    """
    detail = type(task.exception).__name__ if task.exception else task.reason
    # how long a run took that was lost, nobody knows
    told = task.name if task.outcome == LOST else f'{task.name}, {task.seconds:.3f} s'
    if task.scheduled_for is not None:
        told += f', for {task.scheduled_for.isoformat(" ", "minutes")}'
    if task.attempt > 1:
        told += f', attempt {task.attempt}'
    return f'{task.outcome:{width}} {told}{f": {detail}" if detail else ""}'
