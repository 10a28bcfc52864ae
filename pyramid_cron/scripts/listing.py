"""Tasks as a table: the lines of ``list``, and of what is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from pyramid_cron.outcomes import PAUSED
from pyramid_cron.schedule_overrides import SETTING
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import NameCutter, align, cut_end, shorten, width_of, wrap
from pyramid_cron.summaries import sort_by_next_run
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary

if TYPE_CHECKING:
    pass

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


def format_table(
    summaries: Sequence[TaskSummary], zone: tzinfo | None, width: int, verbose: bool, cutter: NameCutter | None = None
) -> list[str]:
    """Return a line for each task, the next to run first, with as many columns as fit.

    Below it is what is known of a run that is in progress or went wrong, in lines of their own.

    :param summaries: those of at least one task.
    :param zone: the time zone of the times.
    :param verbose: add the first line of the docstring below each.
    :param cutter: cuts names that do not fit, ``None`` to leave them whole.
    """
    summaries = sort_by_next_run(summaries)
    names = [summary.task.name for summary in summaries]
    widest = min(MAX_NAME, max(map(width_of, names)))
    for headings, cells in LAYOUTS:
        rows = [headings, *(tuple(cell(summary, zone) for cell in cells) for summary in summaries)]
        columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
        room = width - sum(max(map(width_of, column)) + 2 for column in columns)
        if room >= widest:
            break
    # behind the time until the next run, which has no heading
    position = 2 if len(columns) > 1 and not columns[1][0] else 1
    columns.insert(position, ('TASK', *_cut(names, room, cutter)))
    lines = align(columns)
    more = [_details(summary, zone, width, verbose) for summary in summaries]
    return [lines[0], *(line for first, below in zip(lines[1:], more, strict=True) for line in (first, *below))]


def _details(summary: TaskSummary, zone: tzinfo | None, width: int, verbose: bool) -> list[str]:
    last = summary.last_due(zone)
    known = [] if last is None else wrap('    ', '; '.join(last.lines), width)
    return [*known, *(wrap('    ', summary.description, width) if verbose else [])]


def format_overrides(summaries: Sequence[TaskSummary], width: int) -> list[str]:
    """Return lines with the tasks that have their schedules from ``cron.schedules``, none without such a task."""
    changed = [summary.task for summary in summaries if summary.task.schedule_by]
    off = sum(task.schedule.is_off for task in changed)
    texts = [f'{off} of {format_count(summaries)} off'] if off else []
    texts += [f'{task.name} at {task.schedule}' for task in changed if not task.schedule.is_off]
    return wrap(f'By {SETTING}: ', '; '.join(texts), width) if texts else []


def format_timeline(
    summaries: Sequence[TaskSummary], zone: tzinfo | None, width: int, count: int, cutter: NameCutter | None = None
) -> list[str]:
    """Return a line for each of the next runs of all these tasks.

    :param summaries: each with ``count`` next runs.
    :param cutter: cuts names that do not fit, ``None`` to leave them whole.
    """
    runs = sorted(
        (clock.to_instant(run), number) for number, summary in enumerate(summaries) for run in summary.next_runs
    )
    shown = [(clock.to_zone(run, zone), summaries[number]) for run, number in runs[:count]]
    times = [f'{run:%a %Y-%m-%d %H:%M} {clock.format_offset(run)}' for run, _ in shown]
    distances = [summary.format_until(run) for run, summary in shown]
    names = [summary.task.name for _, summary in shown]
    columns: list[Sequence[str]] = [times, distances, names]
    if cutter is not None and max(map(width_of, align(columns)), default=0) > width:
        columns = [times, _cut(names, width - len(times[0]) - 2, cutter)]
    return align(columns)


def format_due(
    summaries: Sequence[TaskSummary], width: int, cutter: NameCutter | None = None, results: Mapping[str, str] = {}
) -> list[str]:
    """Return a line for each task, those that are due first: whether it is due, and what became of it, or why not.

    :param summaries: those of at least one task.
    :param cutter: cuts names, and reasons why a task is due or not, that do not fit; ``None`` to leave them whole.
    :param results: what became of the minute, by the names of tasks.
    """
    in_order = sorted(summaries, key=lambda summary: not summary.is_due)
    states = [_due_state(summary, summary.task.name in results) for summary in in_order]
    names = [summary.task.name for summary in in_order]
    reasons = [
        results.get(summary.task.name) or (summary.format_pause() if state == PAUSED else summary.explain())
        for state, summary in zip(states, in_order, strict=True)
    ]
    if cutter is None:
        return align([states, names, reasons])
    room = width - len('not due') - 2
    widest = min(MAX_NAME, max(map(width_of, names)))
    reason_room = room - widest - 2
    if reason_room < MIN_REASON:
        return align([states, _cut(names, room, cutter)])
    starts = [line[:-1] for line in align([states, _cut(names, widest, cutter), ['|'] * len(names)])]
    lines = list[str]()
    for start, summary, reason in zip(starts, in_order, reasons, strict=True):
        # what became of it is whole
        has_result = summary.task.name in results
        lines += wrap(start, reason, width) if has_result else [start + cut_end(reason, reason_room)]
    return lines


def _due_state(summary: TaskSummary, has_result: bool) -> str:
    if not summary.is_due:
        return 'not due'
    # a minute that is over has its result, though the task is paused now
    return PAUSED if summary.is_paused and not has_result else 'due'


def _cut(names: Sequence[str], room: int, cutter: NameCutter | None) -> Sequence[str]:
    return names if cutter is None else [cutter.cut(name, max(room, MIN_NAME)) for name in names]


def _next_run(summary: TaskSummary, zone: tzinfo | None) -> str:
    if not summary.next_runs:
        return summary.why_none
    run, today = (clock.to_zone(instant, zone) for instant in (summary.next_runs[0], summary.instant))
    days = (run.date() - today.date()).days
    text = f'{run:%H:%M}' if days == 0 else f'{run:%a %H:%M}' if days < 7 else f'{run:%Y-%m-%d %H:%M}'
    return f'({text})' if summary.is_doubtful else text


def _next_run_briefly(summary: TaskSummary, zone: tzinfo | None) -> str:
    text = _next_run(summary, zone)
    return text if len(text) <= len('(Mon 02:00)') else text.strip('()')[:10]


def _distance(summary: TaskSummary, zone: tzinfo | None) -> str:
    return summary.format_until(summary.next_runs[0]) if summary.next_runs else ''


def _schedule(summary: TaskSummary, zone: tzinfo | None) -> str:
    task = summary.task
    shown = shorten(str(task.schedule), MAX_SCHEDULE)
    return shown if str(task.timezone) == str(zone) else f'{shown} {summary.zone_name}'


def _last_due(summary: TaskSummary, zone: tzinfo | None) -> str:
    last = summary.last_due(zone)
    # a minute that was skipped by the pause is no news beside it
    text = '' if last is None or (summary.is_paused and last.word == PAUSED) else str(last)
    return ', '.join(filter(None, [PAUSED if summary.is_paused else '', text]))


def _last_word(summary: TaskSummary, zone: tzinfo | None) -> str:
    last = summary.last_due(zone)
    return PAUSED if summary.is_paused else '' if last is None else last.word


# of a task beside its name, from a wide terminal to a narrow one
LAYOUTS: list[tuple[tuple[str, ...], tuple[Callable[[TaskSummary, tzinfo | None], str], ...]]] = [
    (('NEXT RUN', '', 'SCHEDULE', 'LAST DUE'), (_next_run, _distance, _schedule, _last_due)),
    (('NEXT RUN', 'SCHEDULE', 'LAST DUE'), (_next_run, _schedule, _last_due)),
    (('NEXT RUN', 'SCHEDULE', 'LAST'), (_next_run, _schedule, _last_word)),
    (('NEXT', 'LAST'), (_next_run_briefly, _last_word)),
]
