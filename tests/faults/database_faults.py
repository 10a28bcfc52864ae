"""Faults of databases, as context managers: some simulated minutes pass in the ``with``.

Each takes the :class:`.world.World` and a ``random.Random``, and yields a description.
"""

import signal
from contextlib import contextmanager

from .application import any_task
from .process_faults import HOUR

TABLES = ['cron_tasks', 'cron_runs', 'cron_ticks', 'cron_processes', 'cron_pauses', 'cron_gaps', 'cron_audit']


@contextmanager
def task_locked(world, chance):
    task = any_task(chance)
    with world.database.hold(f"SELECT 1 FROM cron_tasks WHERE task = '{task}' FOR UPDATE"):
        yield task


@contextmanager
def all_tasks_locked(world, chance):
    with world.database.hold('SELECT 1 FROM cron_tasks FOR UPDATE'):
        yield


@contextmanager
def ticks_locked(world, chance):
    with world.database.hold('SELECT 1 FROM cron_ticks FOR UPDATE'):
        yield


@contextmanager
def history_locked(world, chance):
    """As an admin does who looks at runs in progress."""
    with world.database.hold('SELECT 1 FROM cron_runs FOR UPDATE'):
        yield


@contextmanager
def table_locked(world, chance):
    table = chance.choice(TABLES)
    with world.database.hold(f'LOCK TABLE {table}'):
        yield table


@contextmanager
def file_locked(world, chance):
    with world.database.hold('UPDATE cron_schema SET version = version'):
        yield


@contextmanager
def revoked(world, chance):
    table = chance.choice(TABLES)
    rights = chance.choice(['ALL', 'INSERT, UPDATE'])
    world.database.execute(f'REVOKE {rights} ON {table} FROM app')
    yield f'{rights} ON {table}'
    world.database.execute(f'GRANT ALL ON {table} TO app')


def _unreadable(world, task, schedule):
    """Change the schedule in a row, as if another version had written it before the last deploy."""
    changed = f"schedule = '{schedule}', previous_schedule = '{schedule}', schedule_changed_at = first_seen"
    world.database.execute(f"UPDATE cron_tasks SET {changed} WHERE task = '{task}'")


@contextmanager
def schedule_unreadable(world, chance):
    task = any_task(chance)
    _unreadable(world, task, chance.choice(['v9 {}', '', 'zz zz zz zz zz 00 UTC', '\x01']))
    yield task


@contextmanager
def zone_unknown(world, chance):
    task = any_task(chance)
    _unreadable(world, task, f'1 1 1 1 1 00 {chance.choice(["Mars/Olympus", "../../etc/passwd", "UTC " * 9])}')
    yield task


@contextmanager
def value_unreadable(world, chance):
    """A value of a later version, in a column that may hold any."""
    task = any_task(chance)
    column = chance.choice(['last_outcome', 'last_error', 'acknowledged', 'stop_requested_by'])
    world.database.execute(f"UPDATE cron_tasks SET {column} = 'v9' WHERE task = '{task}'")
    yield f'{column} of {task}'


@contextmanager
def task_deleted(world, chance):
    task = any_task(chance)
    world.database.execute(f"DELETE FROM cron_tasks WHERE task = '{task}'")
    yield task


@contextmanager
def processes_deleted(world, chance):
    world.database.execute('DELETE FROM cron_processes')
    yield


@contextmanager
def history_emptied(world, chance):
    world.database.execute('DELETE FROM cron_runs')
    yield


@contextmanager
def disconnected(world, chance):
    """Between two ticks."""
    world.database.disconnect()
    yield


@contextmanager
def database_stopped(world, chance):
    world.database.server.kill()
    yield
    world.database.server.start_again()


@contextmanager
def database_restarted(world, chance):
    world.database.server.kill()
    world.database.server.start_again()
    yield


@contextmanager
def database_frozen(world, chance):
    world.database.send(signal.SIGSTOP)
    yield
    world.database.send(signal.SIGCONT)


@contextmanager
def read_only(world, chance):
    """As a primary that becomes a replica; pooled connections stay what they are when it is one no more."""
    world.database.execute('ALTER ROLE app SET default_transaction_read_only = on')
    world.database.disconnect()
    yield
    world.database.execute('ALTER ROLE app RESET default_transaction_read_only')


@contextmanager
def database_behind(world, chance):
    world.database_ahead = -chance.choice([300.0, HOUR])
    yield
    world.database_ahead = 0.0


@contextmanager
def statement_refused(world, chance):
    """By a trigger, for one task."""
    task, table = any_task(chance), chance.choice(['cron_tasks', 'cron_runs'])
    with _trigger(world, table, f"NEW.task = '{task}'", "'not this one'"):
        yield f'{task} in {table}'


@contextmanager
def disk_full(world, chance):
    table = chance.choice(['cron_tasks', 'cron_runs', 'cron_ticks'])
    message = "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
    with _trigger(world, table, 'true', message):
        yield table


@contextmanager
def _trigger(world, table, condition, message):
    function = f'BEGIN IF {condition} THEN RAISE EXCEPTION {message}; END IF; RETURN NEW; END'
    world.database.execute(
        f'CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${function}$$;'
        f'CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()'
    )
    yield
    world.database.execute('DROP FUNCTION refuse() CASCADE')
