"""The answer to ``/cron?quiet``: nothing when all is well, and otherwise what cron's mail may hold.

It holds names of tasks, classes of exceptions, times and phrases of this package. Messages of exceptions, paths, hosts
and accounts are in the log only.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from pyramid_cron.errors import Unavailable
from pyramid_cron.outcomes import LOCKED, LOST, STUCK
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.schedules import clock

# in place of reasons that have the process, its host, or the message of an exception
PHRASES = {
    LOCKED: 'locked: another transaction holds its row in the store',
    LOST: 'lost: the process that ran it has died',
}
IN_THE_LOG = 'the log has the reason'


def quiet_text(report: RunReport) -> str:
    """Return an empty text if nothing is wrong, and otherwise a line for all and one for each task that is not well."""
    if not report.failed:
        return ''
    troubled = [task for task in report.tasks if task.is_fault]
    parts = [] if report.problem is None else [report.brief_problem or IN_THE_LOG]
    if troubled:
        parts.append(f'{len(troubled)} of {len(report.tasks)} tasks due at {_shown(report.minute)}')
    lines = [f'fail: {"; ".join(parts)}', *(f'{task.name}: {_state(task, report.zone)}' for task in troubled)]
    # with an end of its line, after which curl prints its own message
    return ''.join(f'{line}\n' for line in lines)


def _state(task: TaskReport, zone: tzinfo | None) -> str:
    """Return what is wrong with a task."""
    if task.outcome in PHRASES:
        return PHRASES[task.outcome]
    if task.outcome == STUCK:
        # that is how long it has been running
        return f'stuck: {task.reason}'
    if task.exception is None:
        return f'failed before it began; {IN_THE_LOG}'
    state = f'failed with {task.error}'
    if isinstance(task.exception, Unavailable):
        state += f': {task.exception.brief}'
    if task.scheduled_for is not None:
        state += f', for {_shown(task.scheduled_for)}'
    if task.attempt > 1:
        state += f', attempt {task.attempt}'
    return state + _failures(task, zone)


def _failures(task: TaskReport, zone: tzinfo | None) -> str:
    failures = task.failures
    if failures is None:
        return ''
    if failures.first is not None:
        # each process counts its own: without a store it does not know of the others
        since = f' since {_shown(clock.to_zone(failures.first, zone))}' if failures.number > 1 else ''
        return f'; failures in a row in this process: {failures.number}{since}'
    last = failures.last_success
    succeeded = 'none' if last is None else _shown(clock.to_zone(last, zone))
    return f'; failures in a row: {failures.number}, last success: {succeeded}'


def _shown(moment: datetime) -> str:
    return moment.isoformat(' ', 'minutes')
