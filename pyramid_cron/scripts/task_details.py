"""Everything about one task, and what is wrong with it, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING

from pyramid_cron.durations import duration, run_duration
from pyramid_cron.outcomes import EXCUSED, OVERDUE, PAUSED, STUCK, UNREGISTERED
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.task_summary import TaskSummary
from pyramid_cron.task_texts import format_acknowledged, format_attempt, format_failing, format_pause, format_retries

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem


def format_task(
    summary: TaskSummary,
    width: int,
    last_runs: Sequence[str],
    catch_up: timedelta,
    of_ticks: Problem | None = None,
    last_due: str = '',
    state: str = '',
) -> Iterator[str]:
    """Yield lines with everything about one task, none longer than ``width`` unless a single word is.

    :param last_runs: a line for each of its last runs.
    :param of_ticks: the problem that ticks do not come, or fail.
    :param last_due: the last minute at which it was due, and what became of it; empty if that is not known.
    :param state: what the store has of it now, where that is not about this minute; empty if it is.
    :param catch_up: the setting ``cron.catch_up``, for a task without one of its own.
    """
    task = summary.task
    yield task.name
    for number, paragraph in enumerate(summary.docstring.split('\n\n')):
        if number:
            yield ''
        yield from wrap('  ', paragraph, width)
    yield ''
    by = f', by {task.schedule_by}; in the code {task.schedule_in_code}' if task.schedule_by else ''
    yield from labelled('schedule', f'{task.schedule} ({summary.zone_name}){by}', width)
    settings = ['idle: after the others, while there is time'] if task.idle else []
    settings += [f'enqueued by {task.engine}'] if task.engine else []
    if not task.store:
        settings.append('store=False: each process for itself')
    else:
        grace = catch_up if task.catch_up is None else task.catch_up
        settings.append(f'caught up for {duration(grace.total_seconds())}' if grace else 'never caught up')
        settings += ['each missed minute'] if task.runs_each_minute else []
        settings += [f'retries: {format_retries(task)}'] if task.retries else []
        settings += [f'was {", ".join(task.was)}'] if task.was else []
    settings += [f'expected to take {run_duration(task.expect)}'] if task.expect else []
    settings += [f'tolerated failures: {task.tolerate}'] if task.tolerate else []
    yield from labelled('settings', '; '.join(settings), width)
    yield from labelled('paused', summary.format_pause(), width)
    yield from labelled('length', summary.format_usual(), width)
    yield from labelled('stopping', summary.format_stop(), width)
    is_due = 'due' if summary.is_due else 'not due'
    yield from labelled(is_due, f'at {summary.local_instant:%a %Y-%m-%d %H:%M}: {summary.explain()}', width)
    yield from labelled('last due', last_due, width)
    yield from labelled('state', state, width)
    zone = task.timezone
    problems = [] if of_ticks is None else [str(of_ticks)]
    problems += [format_problem(problem, zone, problem.kind) for problem in summary.problems if problem.kind != PAUSED]
    sections = {'problems': problems, 'next runs': summary.format_next_runs(), 'last runs': last_runs}
    for label, lines in sections.items():
        for index, line in enumerate(lines):
            yield from labelled('' if index else label, line, width)


def format_problem(problem: Problem, zone: tzinfo | None, subject: str) -> str:
    """Return a subject, such as the name of a task, with the details of its problem."""
    text = subject
    if problem.pause is not None:
        return f'{text}, {format_pause(problem.pause, zone)}'
    if problem.kind == STUCK and problem.seconds is not None:
        text += f', running for {run_duration(problem.seconds)}'
        text += f', {problem.stop_text}' if problem.stop else ''
    elif problem.kind == OVERDUE and problem.seconds is not None:
        text += f', {problem.overdue_text}'
    elif problem.since is not None:
        since = 'since ' if problem.kind == UNREGISTERED else ''
        text += f', {since}{clock.to_zone(problem.since, zone):%a %Y-%m-%d %H:%M}'
    text += EXCUSED.get(problem.excuse, '')
    text = f'{text}: {problem.why}' if problem.why else text
    if problem.acknowledged is not None:
        text += f'; {format_acknowledged(problem.acknowledged, zone)}'
    failing = '' if problem.since is None else format_failing(problem, problem.since, zone)
    text = f'{text}; {failing}' if failing else text
    if problem.next_attempt is None or problem.since is None:
        return text
    return f'{text}; {format_attempt(problem.next_attempt, problem.since, zone)}'


def labelled(label: str, text: str, width: int) -> list[str]:
    """Return a text in lines behind a label, below the name of a task."""
    return wrap(f'  {label:11}' if label else ' ' * 13, text, width)
