"""Tasks and the report of a run as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING

from pyramid_cron.reports import LOST, PAUSED, STUCK, UNREGISTERED, RunReport, TaskReport, duration, format_length
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary, sort_by_next_run

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problems import Problem

# columns of a name, which may be longer where there is room, and of a schedule
MAX_NAME, MIN_NAME, MAX_SCHEDULE = 24, 8, 20
# columns of a reason, which is left out where there are fewer
MIN_REASON = 16


def format_count(tasks: Sequence[object]) -> str:
    return f'{len(tasks) or "no"} task{"" if len(tasks) == 1 else "s"}'


def format_next_task(summaries: Sequence[TaskSummary], zone: tzinfo | None) -> str:
    """Return how many tasks there are, and which is the next to run, at a time in ``zone``."""
    text = f'{format_count(summaries)}, {zone or LOCAL_TIME}. Next: '
    runs = [(summary.next_instant, summary) for summary in summaries if summary.next_instant]
    if not runs:
        return f'{text}never.'
    first = min(run for run, _ in runs)
    names = [summary.task.name for run, summary in runs if run == first]
    wall, today = clock.to_zone(first, zone), clock.to_zone(summaries[0].instant, zone).date()
    others = f' and {len(names) - 1} more' if len(names) > 1 else ''
    return f'{text}{wall:%H:%M}{"" if wall.date() == today else f" on {wall:%a %Y-%m-%d}"} {names[0]}{others}.'


def format_table(summaries: Sequence[TaskSummary], zone: tzinfo | None, width: int, verbose: bool) -> list[str]:
    """Return a line for each task, the next to run first, with as many columns as fit.

    :param summaries: those of at least one task.
    :param zone: the time zone of the times.
    :param verbose: add the first line of the docstring below each.
    """
    summaries = sort_by_next_run(summaries)
    names = [summary.task.name for summary in summaries]
    widest = min(MAX_NAME, max(map(len, names)))
    for headings, cells in LAYOUTS:
        rows = [headings, *(tuple(cell(summary, zone) for cell in cells) for summary in summaries)]
        columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
        room = width - sum(max(map(len, column)) + 2 for column in columns)
        if room >= widest:
            break
    room = max(room, MIN_NAME)
    # behind the time until the next run, which has no heading
    position = 2 if len(columns) > 1 and not columns[1][0] else 1
    columns.insert(position, ('TASK', *(shorten(name, room) for name in names)))
    lines = _align(columns)
    if not verbose:
        return lines
    descriptions = [wrap('    ', summary.description, width) for summary in summaries]
    return [lines[0], *(line for first, more in zip(lines[1:], descriptions, strict=True) for line in (first, *more))]


def format_timeline(summaries: Sequence[TaskSummary], zone: tzinfo | None, width: int, count: int) -> list[str]:
    """Return a line for each of the next runs of all these tasks.

    :param summaries: each with ``count`` next runs.
    """
    runs = sorted(
        (clock.to_instant(run), number) for number, summary in enumerate(summaries) for run in summary.next_runs
    )
    shown = [(clock.to_zone(run, zone), summaries[number]) for run, number in runs[:count]]
    times = [f'{run:%a %Y-%m-%d %H:%M} {clock.format_offset(run)}' for run, _ in shown]
    distances = [f'in {format_length(summary.instant, run)}' for run, summary in shown]
    names = [summary.task.name for _, summary in shown]
    columns = [times, distances, names]
    if max(map(len, _align(columns)), default=0) > width:
        columns = [times, [shorten(name, max(width - len(times[0]) - 2, MIN_NAME)) for name in names]]
    return _align(columns)


def format_due(summaries: Sequence[TaskSummary], width: int) -> list[str]:
    """Return a line for each task: whether it is due, and as much of the reason as fits.

    :param summaries: those of at least one task.
    """
    states = [_due_state(summary) for summary in summaries]
    names = [summary.task.name for summary in summaries]
    reasons = [
        summary.format_pause() if state == 'paused' else summary.explain()
        for state, summary in zip(states, summaries, strict=True)
    ]
    room = width - len('not due') - 2
    widest = min(MAX_NAME, max(map(len, names)))
    reason_room = room - widest - 2
    if reason_room < MIN_REASON:
        return _align([states, [shorten(name, max(room, MIN_NAME)) for name in names]])
    cut = [reason if len(reason) <= reason_room else f'{reason[: reason_room - 3]}...' for reason in reasons]
    return _align([states, [shorten(name, widest) for name in names], cut])


def _due_state(summary: TaskSummary) -> str:
    if not summary.is_due:
        return 'not due'
    return 'paused' if summary.is_paused else 'due'


def shorten(text: str, room: int) -> str:
    """Return a text with its middle left out if it is longer than ``room``."""
    if len(text) <= room:
        return text
    end = (room - 2) // 2
    return f'{text[: room - 3 - end]}...{text[len(text) - end :]}'


def _align(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column), default=0) for column in columns]
    return ['  '.join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)]


def _next_run(summary: TaskSummary, zone: tzinfo | None) -> str:
    if not summary.next_runs:
        return 'paused' if summary.is_paused else 'never'
    run, today = (clock.to_zone(instant, zone) for instant in (summary.next_runs[0], summary.instant))
    days = (run.date() - today.date()).days
    return f'{run:%H:%M}' if days == 0 else f'{run:%a %H:%M}' if days < 7 else f'{run:%Y-%m-%d %H:%M}'


def _next_run_briefly(summary: TaskSummary, zone: tzinfo | None) -> str:
    return _next_run(summary, zone)[:10]


def _distance(summary: TaskSummary, zone: tzinfo | None) -> str:
    return f'in {format_length(summary.instant, summary.next_runs[0])}' if summary.next_runs else ''


def _schedule(summary: TaskSummary, zone: tzinfo | None) -> str:
    task = summary.task
    shown = shorten(str(task.schedule), MAX_SCHEDULE)
    return shown if str(task.timezone) == str(zone) else f'{shown} {summary.zone_name}'


def _last_run(summary: TaskSummary, zone: tzinfo | None) -> str:
    return ', '.join(filter(None, ['paused' if summary.is_paused else '', summary.format_last_run()]))


def _last_outcome(summary: TaskSummary, zone: tzinfo | None) -> str:
    return 'paused' if summary.is_paused else summary.last_outcome


# of a task beside its name, from a wide terminal to a narrow one
LAYOUTS: list[tuple[tuple[str, ...], tuple[Callable[[TaskSummary, tzinfo | None], str], ...]]] = [
    (('NEXT RUN', '', 'SCHEDULE', 'LAST RUN'), (_next_run, _distance, _schedule, _last_run)),
    (('NEXT RUN', 'SCHEDULE', 'LAST RUN'), (_next_run, _schedule, _last_run)),
    (('NEXT RUN', 'SCHEDULE', 'LAST'), (_next_run, _schedule, _last_outcome)),
    (('NEXT', 'LAST'), (_next_run_briefly, _last_outcome)),
]


def format_task(
    summary: TaskSummary, width: int, last_runs: Sequence[str], catch_up: timedelta, of_ticks: Problem | None = None
) -> Iterator[str]:
    """Yield lines with everything about one task, none longer than ``width`` unless a single word is.

    :param last_runs: a line for each of its last runs.
    :param of_ticks: the problem that ticks do not come, or fail.
    :param catch_up: the setting ``cron.catch_up``, for a task without one of its own.
    """
    task = summary.task
    yield task.name
    for number, paragraph in enumerate(summary.docstring.split('\n\n')):
        if number:
            yield ''
        yield from wrap('  ', paragraph, width)
    yield ''
    yield from _labelled('schedule', f'{task.schedule} ({summary.zone_name})', width)
    settings = ['idle: after the others, while there is time'] if task.idle else []
    settings += [f'enqueued by {task.engine}'] if task.engine else []
    if not task.store:
        settings.append('store=False: each process for itself')
    else:
        grace = catch_up if task.catch_up is None else task.catch_up
        settings.append(f'caught up for {duration(grace.total_seconds())}' if grace else 'never caught up')
        settings += [f'retries: {task.retries}'] if task.retries else []
        settings += [f'was {", ".join(task.was)}'] if task.was else []
    yield from _labelled('settings', '; '.join(settings), width)
    yield from _labelled('paused', summary.format_pause(), width)
    state = 'due' if summary.is_due else 'not due'
    yield from _labelled(state, f'at {summary.local_instant:%a %Y-%m-%d %H:%M}: {summary.explain()}', width)
    zone = task.timezone
    problems = [] if of_ticks is None else [str(of_ticks)]
    problems += [format_problem(problem, zone, problem.kind) for problem in summary.problems if problem.kind != PAUSED]
    sections = {'problems': problems, 'next runs': summary.format_next_runs(), 'last runs': last_runs}
    for label, lines in sections.items():
        for index, line in enumerate(lines):
            yield from _labelled('' if index else label, line, width)


def format_problem(problem: Problem, zone: tzinfo | None, subject: str) -> str:
    """Return a subject, such as the name of a task, with the details of its problem."""
    text = subject
    if problem.pause is not None:
        until = problem.pause.until
        text += ', until it is resumed' if until is None else f', until {clock.to_zone(until, zone):%a %Y-%m-%d %H:%M}'
    elif problem.kind == STUCK and problem.seconds is not None:
        text += f', running for {duration(problem.seconds)}'
    elif problem.since is not None:
        since = 'since ' if problem.kind == UNREGISTERED else ''
        text += f', {since}{clock.to_zone(problem.since, zone):%a %Y-%m-%d %H:%M}'
    why = problem.error or (problem.pause and problem.pause.reason)
    return f'{text}: {why}' if why else text


def _labelled(label: str, text: str, width: int) -> list[str]:
    return wrap(f'  {label:11}' if label else ' ' * 13, text, width)


def wrap(start: str, text: str, width: int) -> list[str]:
    """Return a text in lines, the first behind ``start`` and the others below the text, without breaking a word."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=' ' * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def format_report(report: RunReport) -> Iterator[str]:
    """Yield a line for the problem of a run, if it has one, and for each of its tasks."""
    if report.problem is not None:
        yield f'problem  {report.problem}'
    width = max([8, *(len(task.outcome) for task in report.tasks)])
    for task in report.tasks:
        yield format_task_report(task, width)


def format_task_report(task: TaskReport, width: int = 8) -> str:
    """Return a line for one task of a run.

    :param width: the columns of the outcome.
    """
    detail = task.error or task.reason
    # the end of a lost run is unknown, and so is how long it took
    text = task.name if task.outcome == LOST else f'{task.name}, {task.seconds:.3f} s'
    if task.scheduled_for is not None:
        text += f', for {task.scheduled_for.isoformat(" ", "minutes")}'
    if task.attempt > 1:
        text += f', attempt {task.attempt}'
    return f'{task.outcome:{width}} {text}{f": {detail}" if detail else ""}'
