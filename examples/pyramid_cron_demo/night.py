"""Writes a made-up night into the store of the demo, for a look at its pages: ``demo-night examples/demo.ini``.

Nothing of it has happened. Each of its runs is that of a process 4711 on a machine named "made-up". The run in progress
counts as lost at the first tick after an hour, as every run of a process that does not renew its lease.
"""

import sys
from datetime import timedelta
from random import Random
from uuid import uuid4

from pyramid.paster import get_app

from pyramid_cron.claims import Pause
from pyramid_cron.expected import with_good_run
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, RUNNING
from pyramid_cron.schedules.clock import MINUTE, current_minute, to_instant
from pyramid_cron.store.decision import next_due
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.leases import Process
from pyramid_cron.store.liveness import PidNamespace
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.schema import NOT_GOOD, runs
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.store.upgraded_rows import states_from_history
from pyramid_cron.testing import due_between

HOST, PID = 'made-up', 4711
# tasks that are not due each minute have runs of the days before as well, which show how long they usually take
DAYS, MOST_RUNS = timedelta(days=8), 24 * 60
TASKS = 'pyramid_cron_demo.tasks.'
PAUSED, MISSING = f'{TASKS}write_report', f'{TASKS}purge_sessions'
# no tick came in the minutes around the newest one at which MISSING was due: too late to catch up
SILENCE_BEFORE, SILENCE_AFTER = timedelta(minutes=4), timedelta(minutes=6)
# how long a good run takes, about
SECONDS = {
    'send_mail': 0.2,
    'fetch_prices': 3,
    'import_orders': 45,
    'make_index': 40,
    'purge_sessions': 4,
    'back_up': 50,
    'write_report': 40,
    'warm_cache': 0.5,
    'compact_database': 6,
}
FAILURE = {
    'outcome': FAILED,
    'seconds': 10.0,
    'error': 'TimeoutError',
    'reason': 'made up: no answer from prices.example within 10 s',
    'traceback': 'This is made up.\nTimeoutError: no answer from prices.example within 10 s\n',
}
# of a task, and which of its runs from the end
TROUBLE = {
    ('fetch_prices', 1): FAILURE,
    ('fetch_prices', 2): FAILURE,
    ('fetch_prices', 40): FAILURE,
    # longer than its task expects
    ('make_index', 1): {'seconds': 84.0},
    ('back_up', 1): {'outcome': LOST, 'reason': f'process {PID} on {HOST}'},
    ('import_orders', 1): {'outcome': RUNNING},
}


def main():
    if len(sys.argv) != 2:
        sys.exit(f'usage: {sys.argv[0]} examples/demo.ini')
    number = write_night(get_app(sys.argv[1]).registry, current_minute())
    print(f'{number} made-up runs are in the store now.' if number else 'The store has a made-up night already.')


def write_night(registry, now):
    """Write the night before a minute into the store, and return of how many runs: 0 if there is one already."""
    store, tasks = registry['cron_store'], list(registry['cron_tasks'])
    with store.database.begin() as connection:
        known = Queries(connection).past_runs(sys.maxsize)
        if any(run.host == HOST for run in known):
            return 0
        taken = {(run.task, run.scheduled_for) for run in known}
        due = due_minutes(registry, now, taken)
        silent = write_silence(connection, due[MISSING][-1], now)
        rows = [
            row
            for name, minutes in due.items()
            for row in made_up_runs(name, minutes)
            if row['scheduled_for'] not in silent
        ]
        write_results(connection, tasks, due, rows, now)
        claim_run(connection, rows)
        pause = Pause(None, 'made up: the mail server moves', 'ada')
        Pauses(connection).pause([PAUSED], pause, now - timedelta(hours=6))
    return len(rows)


def due_minutes(registry, now, taken):
    """Return the newest minutes before another one at which each task was due, the newest last, by its name.

    :param taken: names and minutes that are left out, because a real run is there.
    """
    due = {}
    for minute, name in due_between(registry, now - DAYS, now):
        if (name, to_instant(minute)) not in taken:
            due.setdefault(name, []).append(to_instant(minute))
    return {name: minutes[-MOST_RUNS:] for name, minutes in due.items()}


def write_silence(connection, minute, now):
    """Record that no tick came around a minute, and return the minutes without one."""
    first, last = minute - SILENCE_BEFORE, min(minute + SILENCE_AFTER, now - MINUTE)
    Ticks(connection).record_gap(first, last)
    missed = WithoutRun(MISSING, [minute], MISSED, 'made up: no tick came in time')
    History(connection).record_without_run([missed], last + MINUTE)
    return {first + number * MINUTE for number in range((last - first) // MINUTE + 1)}


def made_up_runs(name, minutes):
    """Yield the rows of a task's runs for these minutes."""
    chance = Random(name)
    short = name.removeprefix(TASKS)
    for number, minute in enumerate(minutes):
        trouble = TROUBLE.get((short, len(minutes) - number), {})
        seconds = trouble.get('seconds', round(SECONDS[short] * chance.uniform(0.8, 1.2), 2))
        outcome = trouble.get('outcome', OK)
        started = minute + timedelta(seconds=1)
        yield {
            'id': uuid4().hex,
            'task': name,
            'scheduled_for': minute,
            'attempt': 1,
            'trigger': 'request',
            'host': HOST,
            'pid': PID,
            'started': started,
            'finished': None if outcome == RUNNING else started + timedelta(seconds=seconds),
            'outcome': outcome,
            'not_good': NOT_GOOD.get(outcome),
            'seconds': None if outcome in (LOST, RUNNING) else seconds,
            **{column: trouble.get(column) for column in ('reason', 'error', 'traceback')},
        }


def write_results(connection, tasks, due, rows, now):
    """Write the runs, and with them the tasks' last results and the last tick; the tasks owe no minute before now."""
    RegisteredTasks(connection).register(tasks, now)
    connection.insert_all_new(runs, rows)
    for task in tasks:
        lengths = ''
        for row in rows:
            if row['task'] == task.name and row['outcome'] == OK:
                lengths = with_good_run(lengths, row['seconds'])
        # a real run in this minute is newer
        values = {'next_due': next_due(task, now - MINUTE), 'last_outcome': None, 'good_seconds': lengths}
        TaskResults(connection).skip_to(task.name, due[task.name][-1], **values)
    connection.execute(states_from_history())
    for minute in (now - 2 * MINUTE, now - MINUTE):
        Ticks(connection).record(minute, most_ahead=0)
        Ticks(connection).finish(minute, None)


def claim_run(connection, rows):
    """Claim the task of the run in progress for a process that renews its lease no more, which ends in an hour."""
    process = Process(3600, PidNamespace(None))
    process.host, process.pid = HOST, PID
    process.renew(connection)
    for row in rows:
        if row['outcome'] == RUNNING:
            claim = {'run_id': row['id'], 'process': process.id, 'started_at': row['started'].timestamp()}
            TaskClaims(connection).claim(row['task'], None, 1, **claim)
