"""The actions behind the buttons of the page. Each returns a message about its outcome."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from pyramid_cron import transactions
from pyramid_cron.claims import Unavailable
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.orders import NotRun, run_through
from pyramid_cron.printable import user_name
from pyramid_cron.reports import FAILED, OK, RunReport, format_seconds
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import format_distance, format_time
from pyramid_cron.status.queries import last_manual_run
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_minute

log = logging.getLogger(__name__)

NO_STORE = 'pausing a task needs a store: set cron.store'


def run_now(request: Any, task: Task, loaded_at: datetime) -> str:
    """Run a task, due or not, in a request of its own through the application.

    :param request: the request of the button.
    :param loaded_at: when the page with the button was made. A task that has run by hand since does not run again, so
        that a button that is pressed twice runs it once.
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
    try:
        with transactions.suspended(request):
            report = run_through(
                registry['cron_status_app'],
                registry,
                clock.current_minute(),
                [task.name],
                requested_by=requested_by,
                exits=OF_SERVERS,
            )
    except NotRun as exc:
        return f'{task.name} was not run: {exc}'
    return _format_report(task, report)


def _format_report(task: Task, report: RunReport) -> str:
    if not report.tasks:
        return f'{task.name} was not run: {report.problem}'
    [result] = report.tasks
    why = result.reason or result.error or ''
    if result.outcome == OK:
        return f'{task.name} ran: ok in {format_seconds(result.seconds)}'
    if result.outcome == FAILED:
        return f'{task.name} failed after {format_seconds(result.seconds)}: {why}'
    return f'{task.name} was not run: {result.outcome}, {why}'


def pause(request: Any, task: Task, reason: str, until: str) -> str:
    """Pause a task.

    :param reason: why, as it was typed.
    :param until: when the pause ends, as a browser sends it: in the local time of the page, or empty for a pause that
        lasts until it is resumed.
    """
    registry, now = request.registry, clock.now()
    zone, end = registry['cron_settings'].timezone, None
    if until:
        try:
            end = parse_minute(until, now, zone, future=True)
        except TimeError as exc:
            return f'{task.name} was not paused: until {exc}'
    if registry['cron_store'] is None:
        return f'{task.name} was not paused: {NO_STORE}'
    try:
        registry['cron_store'].pause([task.name], reason=reason, until=end, requested_by=_user(request))
    except (LookupError, ValueError, Unavailable) as exc:
        return f'{task.name} was not paused: {exc.args[0]}'
    return f'{task.name} is paused {f"until {format_time(end, now, zone).text}" if end else "until it is resumed"}'


def resume(request: Any, task: Task) -> str:
    """End the pause of a task."""
    if request.registry['cron_store'] is None:
        return f'{task.name} was not resumed: {NO_STORE}'
    try:
        resumed = request.registry['cron_store'].resume([task.name], requested_by=_user(request))
    except Unavailable as exc:
        return f'{task.name} was not resumed: {exc}'
    return f'{task.name} is resumed' if resumed else f'{task.name} was not paused'


def _user(request: Any) -> str | None:
    requested_by = request.authenticated_userid
    return None if requested_by is None else user_name(requested_by)
