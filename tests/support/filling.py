"""A history to look at: what a store would hold after days of ticks, written at once."""

from datetime import timedelta
from heapq import merge
from itertools import islice, takewhile
from uuid import uuid4

from sqlalchemy import insert

from pyramid_cron.schedules.clock import MINUTE, current_minute, to_instant
from pyramid_cron.store.history import record_gap, record_unbegun
from pyramid_cron.store.schema import runs, ticks
from pyramid_cron.store.task_state import deploy

# rows in one statement
BATCH = 20000


def fill(registry, days, now=None, most=None):
    """Record a good run for each minute at which a task was due in the last days.

    :param now: the last minute that had a tick.
    :param most: how many runs of a task at most, the newest.
    """
    now = now or current_minute()
    claims = registry['cron_claims']
    app, tasks = claims.options.app, list(registry['cron_tasks'])
    with claims.database.begin() as connection:
        deploy(connection, app, tasks, {}, now)
        connection.execute(insert(ticks).values(app=app, last_minute=now, minute_before=now - MINUTE))
        # in the order in which a server would have written them
        minutes = merge(*(due(task, now - timedelta(days=days), now, most) for task in tasks))
        rows = (ran(app, name, minute, seconds=0.05 + len(name) % 40 / 7) for minute, name in minutes)
        while batch := list(islice(rows, BATCH)):
            connection.execute(insert(runs), batch)


def due(task, start, end, most):
    """Yield the minutes at which a task is due until ``end``, with its name."""
    found = takewhile(lambda minute: minute <= end, map(to_instant, task.runs(start)))
    return ((minute, task.name) for minute in (list(found)[-most:] if most else found))


def ran(app, task, minute, outcome='ok', seconds=0.2, **values):
    """Return the row of a run."""
    started = values.pop('started', minute and minute + timedelta(seconds=1))
    return {
        'id': uuid4().hex,
        'app': app,
        'task': task,
        'scheduled_for': minute,
        'attempt': 1,
        'trigger': 'request',
        'requested_by': None,
        'host': 'web-1',
        'pid': 4711,
        'started': started,
        'finished': None if outcome == 'running' else started + timedelta(seconds=seconds),
        'outcome': outcome,
        'seconds': None if outcome == 'running' else seconds,
        'reason': None,
        'error': None,
        'traceback': None,
        **values,
    }


def record(registry, *rows):
    """Record runs."""
    claims = registry['cron_claims']
    with claims.database.begin() as connection:
        connection.execute(insert(runs), [ran(claims.options.app, *row[:2], **row[2]) for row in rows])


def record_silence(registry, first, last, *missed):
    """Record minutes without a tick, and the tasks that were due in the first and did not run."""
    claims = registry['cron_claims']
    with claims.database.begin() as connection:
        record_gap(connection, claims.options.app, first, last)
        for name in missed:
            record_unbegun(
                connection, claims.options.app, name, [first], 'missed', 'nobody asked in time', last + MINUTE
            )
