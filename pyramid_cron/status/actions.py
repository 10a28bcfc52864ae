"""The actions behind the buttons of the page. Each returns a message about its outcome."""

from __future__ import annotations

import logging
import re
from datetime import datetime, tzinfo
from typing import Any

from pyramid_cron import transactions
from pyramid_cron.claims import Backfill
from pyramid_cron.durations import format_seconds
from pyramid_cron.errors import Unavailable
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.not_claimed import NEEDS_STORE
from pyramid_cron.orders import NotRun, run_backfill, run_through
from pyramid_cron.outcomes import FAILED, OK, QUEUED, STOPPED
from pyramid_cron.printable import message, user_name
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.scrub import scrubber_of
from pyramid_cron.separate_runs import SeparateRun, separate_run
from pyramid_cron.status.formatting import format_distance, format_time
from pyramid_cron.status.queries import last_backfill, last_manual_run
from pyramid_cron.task_texts import format_pause, format_stopped
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, format_until, parse_until

log = logging.getLogger(__name__)

# in the URL of a broker, for example
PASSWORD = re.compile(r'(?<=://)[^\s/@]+(?=@)')

NO_STORE = 'pausing a task needs a store: set cron.store'
NO_STORE_TO_STOP = 'stopping a run needs a store: set cron.store'
NO_STORE_TO_ACKNOWLEDGE = 'acknowledging a failure needs a store: set cron.store'


def run_now(request: Any, task: Task, loaded_at: datetime) -> str:
    """Run a task, due or not, in a request of its own through the application.

    A task with an engine is enqueued, and another one is begun in a process of its own if that is possible.

    :param request: the request of the button.
    :param loaded_at: when the page with the button was made. A task that has run by hand since does not run again, so
        that a button that is pressed twice runs it once. Without a record of the first run, as without a store, a
        second press after its end runs the task again.
    """
    registry, requested_by = request.registry, _user(request)
    try:
        last = last_manual_run(registry, task.name, loaded_at)
    except Unavailable as exc:
        return f'{task.name} was not run: {exc}'
    if last is not None:
        ago = format_distance(last, clock.now())
        return f'{task.name} was not run again: it has been run by hand since the page was loaded, {ago}'
    log.warning('task %s is run by hand%s', task.name, f' by {requested_by}' if requested_by else '')
    separate = separate_run(registry, task)
    try:
        with transactions.suspended(request):
            report = run_through(
                registry['cron_status_app'],
                registry,
                clock.current_minute(),
                [task.name],
                requested_by=requested_by,
                exits=OF_SERVERS,
                enqueue=True,
                engine=None if separate is None else separate.engine(registry),
            )
    except NotRun as exc:
        return f'{task.name} was not run: {exc}'
    if not report.tasks:
        return f'{task.name} was not run: {report.problem}'
    return _format_result(registry, f'{task.name} {{}}', report.tasks[0], separate)


def run_for_minute(request: Any, task: Task, minute: datetime, loaded_at: datetime, zone: tzinfo | None) -> str:
    """Run a task for a past minute, in a request of its own through the application.

    :param minute: the minute, in UTC.
    :param loaded_at: as for :func:`run_now`: a minute for which it has run since does not run again.
    :param zone: the time zone of the message, ``None`` for the machine's.
    """
    registry, requested_by, now = request.registry, _user(request), clock.now()
    shown = f'for {format_time(minute, now, zone).text}'
    if registry['cron_store'] is None or not task.store:
        return f'{task.name} was not run {shown}: {NEEDS_STORE.reason}'
    from pyramid_cron.store.backfill_plan import plan_backfill

    try:
        if minute > now or not plan_backfill(registry['cron_store'], task, minute, minute).due:
            return f'{task.name} was not run {shown}: it was not due then'
        last = last_backfill(registry, task.name, minute, loaded_at)
        if last is not None:
            return f'{task.name} was not run again {shown}: it has been since the page was loaded'
        log.warning('task %s is run %s by hand%s', task.name, shown, f' by {requested_by}' if requested_by else '')
        separate = separate_run(registry, task)
        with transactions.suspended(request):
            result = run_backfill(
                registry['cron_status_app'],
                registry,
                Backfill(task.name, minute),
                requested_by=requested_by,
                exits=OF_SERVERS,
                enqueue=True,
                engine=None if separate is None else separate.engine(registry),
            )
    except (NotRun, Unavailable) as exc:
        return f'{task.name} was not run {shown}: {exc}'
    return _format_result(registry, f'{task.name} {{}} {shown}', result, separate)


def _format_result(registry: Any, text: str, result: TaskReport, separate: SeparateRun | None) -> str:
    why = result.reason or result.error or ''
    if result.outcome == QUEUED:
        if separate is not None:
            return f'{text.format("runs")} in process {separate.pid}; the key of its run is {result.key}'
        return f'{text.format("is enqueued")} with {result.engine}; the key of its run is {result.key}'
    if result.outcome == FAILED and result.exception is not None and not _has_begun(result):
        # of the queue or the store, which no traceback of a task explains
        why = PASSWORD.sub('***', scrubber_of(registry)(message(result.exception)))
        if result.engine is None:
            return f'{text.format("was not run")}: {why}'
        took = format_seconds(result.seconds)
        return f'{text.format("could not be enqueued")} with {result.engine} after {took}: {result.error}: {why}'
    if result.outcome == OK:
        return f'{text.format("ran")}: ok in {format_seconds(result.seconds)}'
    if result.outcome == STOPPED:
        return f'{text.format("was stopped")} after {format_seconds(result.seconds)}: {why}'
    if result.raised_skip:
        return f'{text.format("ran and skipped")}: {why}'
    if result.outcome == FAILED:
        return f'{text.format("failed")} after {format_seconds(result.seconds)}: {why}'
    return f'{text.format("was not run")}: {result.outcome}, {why}'


def _has_begun(result: TaskReport) -> bool:
    return result.engine is None and not isinstance(result.exception, Unavailable)


def pause(request: Any, name: str, reason: str, until: str, zone: tzinfo | None) -> str:
    """Pause a task, or all tasks.

    :param name: the name of the task, :data:`.ALL_TASKS` for all.
    :param reason: why, as it was typed.
    :param until: when the pause ends, as it was typed; empty for a pause that lasts until it is resumed.
    :param zone: the time zone in which that was typed, ``None`` for the machine's.
    """
    registry, now, several = request.registry, clock.now(), name == ALL_TASKS
    end = None
    failed = f'No pause of {"all tasks" if several else name} was set'
    if until.strip():
        try:
            end = parse_until(until, now, zone)
        except TimeError as exc:
            return f'{failed}: until {exc}'
    if registry['cron_store'] is None:
        return f'{failed}: {NO_STORE}'
    try:
        replaced = registry['cron_store'].pause([name], reason=reason, until=end, requested_by=_user(request))
    except (LookupError, ValueError, Unavailable) as exc:
        return f'{failed}: {exc.args[0]}'
    old = f'; that replaces the pause {format_pause(replaced[name], zone)}' if name in replaced else ''
    return f'{_subject(name)} paused {format_until(end, now, zone, several)}{old}'


def resume(request: Any, name: str, zone: tzinfo | None) -> str:
    """End the pause of a task, or that of all tasks.

    :param name: the name of the task, :data:`.ALL_TASKS` for that of all, which leaves those of single tasks.
    :param zone: the time zone of the message, ``None`` for the machine's.
    """
    store, several = request.registry['cron_store'], name == ALL_TASKS
    failed = 'The tasks were not resumed' if several else f'{name} was not resumed'
    if store is None:
        return f'{failed}: {NO_STORE}'
    try:
        resumed, still = store.resume([name], requested_by=_user(request)), store.paused()
    except Unavailable as exc:
        return f'{failed}: {exc}'
    if not resumed:
        return 'There was no pause of all tasks' if several else f'{name} was not paused'
    left = f'; still paused by themselves: {", ".join(still)}' if several and still else ''
    if ALL_TASKS in still:
        left = f'; all tasks are still paused {format_pause(still[ALL_TASKS], zone)}'
    return f'{_subject(name)} resumed{left}'


def _subject(name: str) -> str:
    return 'All tasks are' if name == ALL_TASKS else f'{name} is'


def acknowledge(request: Any, task: Task, reason: str) -> str:
    """Acknowledge the last failure of a task.

    :param reason: why it is no alarm, as it was typed.
    """
    store = request.registry['cron_store']
    if store is None:
        return f'{task.name}: {NO_STORE_TO_ACKNOWLEDGE}'
    try:
        store.acknowledge([task.name], reason=reason, requested_by=_user(request))
    except (LookupError, ValueError, Unavailable) as exc:
        return f'{task.name}: its failure was not acknowledged: {exc.args[0]}'
    return f'{task.name}: its failure is acknowledged, and is no alarm until the task succeeds or fails otherwise'


def stop(request: Any, task: Task, run_id: str, zone: tzinfo | None) -> str:
    """End the queued run of a task, or request that its run in progress ends.

    :param run_id: the run that the page with the button has shown, which may have been queued: no later one.
    :param zone: the time zone of the message, ``None`` for the machine's.
    """
    store = request.registry['cron_store']
    if store is None:
        return f'{task.name}: {NO_STORE_TO_STOP}'
    try:
        stopped = store.stop(task.name, requested_by=_user(request), run_id=run_id)
    except (LookupError, ValueError, Unavailable) as exc:
        return f'{task.name} was not stopped: {exc.args[0]}'
    return format_stopped(stopped, store.options.lease, zone)


def _user(request: Any) -> str | None:
    requested_by = request.authenticated_userid
    return None if requested_by is None else user_name(requested_by)
