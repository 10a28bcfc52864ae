"""What the buttons of the page do. Each returns a sentence that says what became of it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from pyramid_cron import transactions
from pyramid_cron.claims import Unavailable
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.orders import NotRun, run_through
from pyramid_cron.reports import FAILED, OK, RunReport
from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import moment, seconds
from pyramid_cron.status.memory import by_hand_since
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_minute

log = logging.getLogger(__name__)


def run_now(request: Any, task: Task, seen: datetime) -> str:
    """Run a task, due or not, in a request of its own through the application.

    :param request: that of the button.
    :param seen: when its page was made. What was pressed twice runs once.
    """
    registry, requested_by = request.registry, _who(request)
    try:
        last = by_hand_since(registry, task.name, seen)
    except Unavailable as exc:
        return f'{task.name} was not run: {exc}'
    if last is not None:
        shown = moment(last, clock.now(), registry['cron_settings'].timezone)
        return f'{task.name} was not run again: it has been run by hand since the page was loaded, {shown.distance}'
    log.warning('task %s is run by hand%s', task.name, f' by {requested_by}' if requested_by else '')
    try:
        with transactions.set_aside(request):
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
    return _told(task, report)


def _told(task: Task, report: RunReport) -> str:
    if not report.tasks:
        return f'{task.name} was not run: {report.problem}'
    [result] = report.tasks
    why = result.reason or (type(result.exception).__name__ if result.exception else '')
    if result.outcome == OK:
        return f'{task.name} ran: ok in {seconds(result.seconds)}'
    if result.outcome == FAILED:
        return f'{task.name} failed after {seconds(result.seconds)}: {why}'
    return f'{task.name} was not run: {result.outcome}, {why}'


def pause(request: Any, task: Task, reason: str, until: str) -> str:
    """Pause a task.

    :param reason: why, as it was typed in.
    :param until: until when, as a browser sends it: the local time of the page; empty until somebody resumes it.
    """
    registry, now = request.registry, clock.now()
    zone, reason = registry['cron_settings'].timezone, ' '.join(reason.split())
    if not reason:
        return f'{task.name} was not paused: say why, for those who wonder'
    end = None
    if until:
        try:
            end = parse_minute(until, now, zone)
        except TimeError as exc:
            return f'{task.name} was not paused: until {exc}'
        if end <= now:
            return f'{task.name} was not paused: {moment(end, now, zone).text} is over'
    try:
        registry['cron_claims'].pause([task.name], reason=reason, until=end, requested_by=_who(request))
    except (LookupError, Unavailable) as exc:
        return f'{task.name} was not paused: {exc.args[0]}'
    return f'{task.name} is paused {f"until {moment(end, now, zone).text}" if end else "until somebody resumes it"}'


def resume(request: Any, task: Task) -> str:
    """End the pause of a task."""
    try:
        resumed = request.registry['cron_claims'].resume([task.name], requested_by=_who(request))
    except Unavailable as exc:
        return f'{task.name} was not resumed: {exc}'
    return f'{task.name} is resumed' if resumed else f'{task.name} was not paused'


def _who(request: Any) -> str | None:
    requested_by = request.authenticated_userid
    return None if requested_by is None else str(requested_by)
