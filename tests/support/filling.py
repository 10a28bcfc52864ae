"""A history to look at: what a store would hold after days of ticks, written at once."""

from datetime import timedelta
from heapq import merge
from itertools import islice, takewhile
from uuid import uuid4

from sqlalchemy import insert, update

from pyramid_cron.schedules.clock import MINUTE, current_minute, to_instant
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.live_progress import write_progress
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.schema import NOT_GOOD, processes, runs, tasks, ticks
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.store.upgraded_rows import states_from_history

# rows in one statement
BATCH = 20000


def fill(registry, days, now=None, most=None):
    """Record a good run for each minute at which a task was due in the last days.

    :param now: the last minute that had a tick.
    :param most: how many runs of a task at most, the newest.
    """
    now = now or current_minute()
    store = registry['cron_store']
    app, registered = store.options.app, list(registry['cron_tasks'])
    with store.database.begin() as connection:
        RegisteredTasks(connection).register(registered, now)
        connection.execute(insert(ticks).values(app=app, last_minute=now, minute_before=now - MINUTE))
        # in the order in which a server would have written them
        minutes = merge(*(due(task, now - timedelta(days=days), now, most) for task in registered))
        rows = (ran(app, name, minute, seconds=0.05 + len(name) % 40 / 7) for minute, name in minutes)
        while batch := list(islice(rows, BATCH)):
            connection.execute(insert(runs), batch)
        connection.execute(states_from_history())


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
        'not_good': NOT_GOOD.get(outcome),
        'seconds': None if outcome == 'running' else seconds,
        'reason': None,
        'error': None,
        'traceback': None,
        **values,
    }


def record(registry, *rows):
    """Record runs, and on the rows of their tasks the last result or the run in progress."""
    store = registry['cron_store']
    with store.database.begin() as connection:
        values = [ran(store.options.app, *row[:2], **row[2]) for row in rows]
        connection.execute(insert(runs), values)
        renew_results(connection, [row['task'] for row in values])
        for row in values:
            if row['outcome'] in ('running', 'queued'):
                claimed = {'run_id': row['id'], 'started_at': row['started'].timestamp()}
                connection.execute(update(tasks).where(tasks.c.task == row['task']).values(**claimed))


def record_progress(registry, task, progress):
    """Record the progress of the run in progress of a task, in a process of its own."""
    with registry['cron_store'].database.begin() as connection:
        run_id = TaskStates(connection).get(task).run_id
        lease = {'host': 'web-1', 'pid': 4711, 'lease_until': 1e11, 'progress': write_progress({run_id: progress})}
        connection.execute(insert(processes).values(id=run_id, **lease))
        connection.execute(update(tasks).where(tasks.c.task == task).values(process=run_id))


def record_silence(registry, first, last, *missed):
    """Record minutes without a tick, and the tasks that were due in the first and did not run."""
    store = registry['cron_store']
    with store.database.begin() as connection:
        Ticks(connection).record_gap(first, last)
        for name in missed:
            History(connection).record_without_run([WithoutRun(name, [first], 'missed', 'no tick came in time')])
        connection.execute(update(runs).where(runs.c.outcome == 'missed').values(started=last + MINUTE))
        renew_results(connection, missed)


def tick_failed(registry, minute, problem):
    """Record that the tick of a minute failed."""
    with registry['cron_store'].database.begin() as connection:
        Ticks(connection).record_gap(minute, minute, problem)


def renew_results(connection, names):
    """Fill in the last results of tasks anew, from their history."""
    connection.execute(update(tasks).where(tasks.c.task.in_(names)).values(last_outcome=None))
    connection.execute(states_from_history())
