"""Rows of tasks as values, and what is wrong with them: made up, without a database."""

from datetime import datetime, timedelta, timezone

from pyramid_cron.monitoring.examine import Examination
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import TickState

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


def state(task, outcome=None, at=None, seconds=2.0, **values):
    """Return the row of a task.

    :param outcome: its last outcome.
    :param at: the minute that this was for, in which the run ended too.
    """
    last = {'last_outcome': outcome, 'last_outcome_for': at}
    if outcome in ('ok', 'failed', 'lost'):
        last |= {'last_finished': at, 'last_seconds': None if outcome == 'lost' else seconds}
    return TaskState(task=task, **({'schedule': '', 'first_seen': LONG_AGO} | last | values))


def in_progress(began):
    """Return the values of a row whose run in progress was claimed at an instant."""
    return {'run_id': 'token', 'started_at': began.timestamp()}


def examination(tasks, states=(), last_tick=None, now=None, window=300.0, done=None, problem=None):
    """Return what is wrong with tasks by their rows.

    :param done: the last minute whose tick did its work; the last tick if it is left out.
    :param problem: what the last tick could not do.
    :param now: the instant by the database's clock; half a minute after the last tick if it is left out.
    """
    now = now or last_tick + timedelta(seconds=30)
    ticks = last_tick and TickState(last_tick, done or last_tick, problem, last_tick - MINUTE)
    snapshot = Snapshot({row.task: row for row in states}, ticks, now)
    return Examination(snapshot, find_problems(snapshot, tasks, window))
