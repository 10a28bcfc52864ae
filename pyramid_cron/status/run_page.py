"""The values of the page of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.history_entries import PastRun
from pyramid_cron.log_url import log_address
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, PAUSED, QUEUED, RUNNING, SKIPPED, STOPPED, STUCK
from pyramid_cron.run_keys import key_of, read_key
from pyramid_cron.run_summary import describe_trigger
from pyramid_cron.schedules import clock
from pyramid_cron.settings import app_name
from pyramid_cron.status.attention import Notice, notice_of
from pyramid_cron.status.formatting import FormattedProgress, FormattedRun, format_progress, format_run
from pyramid_cron.status.run_place import describe_place
from pyramid_cron.status.run_queries import RunReading, read_run
from pyramid_cron.status.tracebacks import end_first
from pyramid_cron.status.viewer import Viewer
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.task_texts import format_attempt, format_stop
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem

NO_STORE = 'Runs are recorded only in a store: set cron.store.'
# outcomes of a minute that can be made good
MAY_RUN_AGAIN = (FAILED, LOST, MISSED, SKIPPED, PAUSED, STOPPED)


class Attempt(NamedTuple):
    """One of the records of a minute.

    :param run: the record.
    :param is_this: whether the page is about it.
    """

    run: FormattedRun
    is_this: bool


class RunPage(NamedTuple):
    """The values of the page.

    :param task: the name of the task.
    :param registered: whether it is registered here, so that it has a page.
    :param minute: the minute that the run is for; empty for a run by name.
    :param zone: the time zone of all times.
    :param run: the run.
    :param facts: what is known of it, as labels and values.
    :param key: its key; empty for what did not begin.
    :param attempts: all records of its minute, the oldest first.
    :param next_attempt: when the task is tried again for the minute; empty if that is not known.
    :param notices: what is wrong with the task because of it.
    :param stop: by which user and since when it is to end, if it is in progress; empty if it is not.
    :param progress: how much of it is done, if it is in progress and reports that.
    :param raised: what it raised, or why it did not run or not to its end.
    :param frames: the frames of its traceback, the innermost first.
    :param traceback: the end of its traceback as it is recorded.
    :param note: its note.
    :param log: what it has logged.
    :param log_address: the address of its lines in a log system.
    :param run_again: the minute that a button runs the task for again, in ISO 8601 and UTC; empty without one.
    :param run_place: where the button runs it.
    """

    task: str
    registered: bool
    minute: str
    zone: str
    run: FormattedRun
    facts: Sequence[tuple[str, str]]
    key: str
    attempts: Sequence[Attempt]
    next_attempt: str
    notices: Sequence[Notice]
    stop: str
    progress: FormattedProgress | None
    raised: str
    frames: str
    traceback: str
    note: str
    log: str
    log_address: str
    run_again: str
    run_place: str


class FoundRun(NamedTuple):
    """The answer to a request for the page of a run.

    :param status: the status of HTTP: 404 if there is no such run.
    :param values: the values of the template.
    """

    status: int
    values: dict[str, Any]


def find_run(registry: Any, key: str, run_id: str, now: datetime, viewer: Viewer) -> FoundRun:
    """Return the page of the run with a key, or why there is none.

    :param key: the key, as it was requested.
    :param run_id: the id of one of several records of the minute, as it was requested; empty for the newest.
    :param viewer: the choices of the viewer.
    """
    values = {'page': None, 'key': key, 'error': None, 'missing': '', 'task': '', 'loaded_at': now.timestamp()}
    try:
        delivery = read_key(app_name(registry['cron_settings'], registry), key)
    except ValueError as exc:
        return FoundRun(404, values | {'missing': f'{exc}.'})
    reading = read_run(registry, delivery, run_id)
    page = build_run_page(registry, reading, now, viewer)
    if page is None and reading.error is None:
        task = '' if _find(registry, delivery.task) is None else delivery.task
        return FoundRun(404, values | {'missing': _why_missing(registry, key), 'task': task})
    return FoundRun(200, values | {'page': page, 'error': reading.error})


def _why_missing(registry: Any, key: str) -> str:
    if registry['cron_store'] is None:
        return NO_STORE
    days = registry['cron_settings'].keep_history / timedelta(days=1)
    return f'Nothing is recorded of {key}: it has not run, or its record was deleted after {days:g} days.'


def build_run_page(registry: Any, reading: RunReading, now: datetime, viewer: Viewer) -> RunPage | None:
    """Return the values of the page, ``None`` if there is no record of the run."""
    record, examination = reading.record, reading.examination
    if record is None or examination is None:
        return None
    settings, app, run = registry['cron_settings'], registry['cron_store'].options.app, record.run
    name = examination.snapshot.own_name(run.task)
    task = _find(registry, name)
    zone = viewer.zone_or(settings.timezone if task is None else task.timezone)
    # as on the page of all tasks, by the clock that has found them
    at = examination.snapshot.now
    problems = [problem for problem in examination.problems if problem.task == name]
    # only if the run is in progress
    state = examination.snapshot.states.get(name)
    state = state if state is not None and state.run_id == run.id else None
    stuck = name in examination.stuck
    about = [problem for problem in problems if _is_about(problem, run, record.attempts)]
    next_attempt = next((problem.next_attempt for problem in about if problem.next_attempt), None)
    traceback, summary = run.traceback or '', format_run(run, now, stuck, zone)
    raised, frames = end_first(traceback)
    again = '' if task is None else _minute_to_run(run, record.attempts)
    return RunPage(
        task=name,
        registered=task is not None,
        minute='' if run.scheduled_for is None else _format(run.scheduled_for, zone, '%H:%M'),
        zone=str(zone or LOCAL_TIME),
        run=summary,
        facts=list(_list_facts(run, zone)),
        key=key_of(app, run),
        attempts=[Attempt(format_run(one, now, stuck, zone), one.id == run.id) for one in record.attempts],
        next_attempt='' if next_attempt is None else format_attempt(next_attempt, at, zone),
        notices=[notice_of(problem, at, zone) for problem in about],
        stop='' if state is None or state.stop_request is None else format_stop(state.stop_request, zone),
        progress=format_progress(state, at),
        raised=raised or summary.why,
        frames=frames,
        traceback=traceback,
        note=record.note or '',
        log=record.log or '',
        log_address=log_address(settings, app, run, now),
        run_again=again,
        run_place=describe_place(registry, task, None)[0] if task is not None and again else '',
    )


def _find(registry: Any, name: str) -> Task | None:
    return next((task for task in registry['cron_tasks'] if task.name == name), None)


def _is_about(problem: Problem, run: PastRun, attempts: Sequence[PastRun]) -> bool:
    """Return whether a problem of its task is that of a run, or of the newest one for its minute."""
    if problem.kind == STUCK:
        return run.outcome == RUNNING
    is_newest = run.id == attempts[-1].id
    return problem.minute is not None and problem.minute == run.scheduled_for and is_newest


def _minute_to_run(run: PastRun, attempts: Sequence[PastRun]) -> str:
    """Return the minute of a run that can be made good, empty if it was ok or if that is not known yet."""
    is_good = any(one.outcome == OK or one.made_good_by is not None for one in attempts)
    if run.scheduled_for is None or is_good or attempts[-1].outcome not in MAY_RUN_AGAIN:
        return ''
    return clock.to_instant(run.scheduled_for).isoformat(timespec='minutes')


def _list_facts(run: PastRun, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    if run.scheduled_for is not None:
        yield 'Minute', _format(run.scheduled_for, zone, '%H:%M')
    if run.attempt:
        yield 'Attempt', str(run.attempt)
        yield 'Requested by', describe_trigger(run)
    if run.process:
        yield 'Where', run.process
    began = 'Enqueued' if run.outcome == QUEUED else 'Began' if run.attempt else 'Recorded'
    yield began, _format(run.started, zone, '%H:%M:%S')
    if run.attempt and run.finished is not None:
        # what became of a lost run was found later
        yield 'Found lost' if run.outcome == LOST else 'Ended', _format(run.finished, zone, '%H:%M:%S')


def _format(instant: datetime, zone: tzinfo | None, form: str) -> str:
    at = clock.to_zone(instant, zone)
    return f'{at:%a %Y-%m-%d} {at:{form}} {clock.format_offset(at)}'
