"""Applications that stand for the servers of one store."""

import contextlib
import time
from datetime import datetime, timezone

from pyramid.config import Configurator
from sqlalchemy import column, event, func, insert, select, table, update
from sqlalchemy.exc import OperationalError

from pyramid_cron.claims import Backfill
from pyramid_cron.orders import run_backfill
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.circuit_breaker import CircuitBreaker
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import gaps, pauses, processes, runs, tasks
from pyramid_cron.testing import tick
from tests.support import statements

# long ago, because a minute ahead of the database's clock is refused
INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
NEVER = datetime.max.replace(tzinfo=timezone.utc)


class Clock:
    """A monotonic clock that only sleeping, and a test, moves on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Server:
    """An application with a store, which stands for a server beside others of the same database."""

    def __init__(self, store, settings, include=lambda config: None):
        self.config = Configurator(
            settings={'cron.store': store, 'cron.app': 'app', 'cron.timezone': 'UTC', **settings}
        )
        include(self.config)
        self.config.include('pyramid_cron')
        self.registry = self.config.registry
        self.clock = Clock()
        self._claims = None
        #: the name and the minute of each task that ran, the minute in minutes after INSTANT
        self.ran = []
        self.target = self.registry

    def add(self, name='task', body=lambda system: None, **options):
        def f(system):
            self.ran.append((name, round((system['scheduled_for'] - INSTANT) / MINUTE)))
            return body(system)

        self.config.add_cron_task(f, name=name, **({'min': '*/5'} | options))
        return self

    def ready(self):
        """Make the application, with a clock of its claims that stands still, and return the claims of the store."""
        if self._claims is None:
            self.config.commit()
            made = self.registry['cron_claims'].in_store
            made.database.breaker = CircuitBreaker(self.clock)
            self._claims = StoreClaims(made.database, made.options, made.failed_ticks, self.clock, self.clock.sleep)
            self.registry['cron_claims'].in_store = self._claims
        return self._claims

    @property
    def claims(self):
        return self.ready()

    @property
    def store(self):
        self.ready()
        return self.registry['cron_store']

    @property
    def engine(self):
        return self.claims.database.engine

    def task(self, name='task'):
        self.ready()
        return next(task for task in self.registry['cron_tasks'] if task.name == name)

    def tick(self, minute=0, names=None):
        self.ready()
        return tick(self.target, INSTANT + minute * MINUTE, names)

    def backfill(self, minute=0, again=False, requested_by='ada', name='task', **options):
        """Run a task for a past minute, and return its report."""
        self.ready()
        wanted = Backfill(name, INSTANT + minute * MINUTE, again)
        return run_backfill(self.config.make_wsgi_app(), self.registry, wanted, requested_by=requested_by, **options)

    def runs(self, minute=0):
        """Return the runs that a tick finds, before any of them is claimed."""
        self.ready()
        found = self.registry['cron_claims'].due(self.registry['cron_tasks'], INSTANT + minute * MINUTE, 'request')
        return list(found.runs)

    def executed(self):
        """Yield a list that receives each :class:`.Statement` that is executed in the ``with``."""
        return statements.executed(self.engine)

    @contextlib.contextmanager
    def statements(self):
        """Yield a list that receives the text of each statement that is executed in the ``with``."""
        found = []
        with statements.before_each(self.engine, lambda statement: found.append(statement.text)):
            yield found

    def outage(self, begins_with='', times=10**6, **condition):
        """Fail statements, as :func:`.statements.outage` does."""
        return statements.outage(self.engine, times, begins_with=begins_with, **condition)

    @contextlib.contextmanager
    def silence(self, seconds=5, **condition):
        """Fail statements that meet a condition after a wait, as when the database does not answer or is locked.

        The ``with`` yields a list that receives the statements that were waited for.
        """
        found = []

        def fail(statement):
            if statement.matches(**condition):
                found.append(statement)
                self.clock.sleep(seconds)
                raise OperationalError(statement.text, {}, Exception('canceling statement due to lock timeout'))

        with statements.before_each(self.engine, fail):
            yield found

    @contextlib.contextmanager
    def commit_fails(self, after, times=1):
        """Let the next commits fail, before or after the database has done them."""
        left = [None] * times

        def fail(connection):
            if left:
                left.pop()
                if after:
                    connection.connection.dbapi_connection.commit()
                raise OperationalError('COMMIT', {}, Exception('the database has gone'))

        event.listen(self.engine, 'commit', fail)
        yield
        event.remove(self.engine, 'commit', fail)

    @contextlib.contextmanager
    def answer_lost(self):
        """Let the next claim or its commit be done by the database, whose answer is lost."""
        if self.engine.dialect.name != 'postgresql':
            with self.commit_fails(after=True):
                yield
            return
        left = [None]

        def fail(connection, cursor, text, parameters, context, executemany):
            if left and statements.Statement.of(text, context).matches(of=runs, kind='insert'):
                left.pop()
                raise OperationalError(text, {}, Exception('the database has gone'))

        event.listen(self.engine, 'after_cursor_execute', fail)
        yield
        event.remove(self.engine, 'after_cursor_execute', fail)

    def overtaken(self, begins_with='', by=None, **condition):
        """Call something just before a statement, as :func:`.statements.overtaken` does."""
        return statements.overtaken(self.engine, by, begins_with=begins_with, **condition)


class Servers:
    """Applications that share a database, and what is in it."""

    def __init__(self, engine):
        self.url = engine.url.render_as_string(hide_password=False)
        self.engine = engine
        self._started = []

    def start(self, **settings):
        """Start a server; settings are named without their prefix."""
        include = settings.pop('include', lambda config: None)
        store = settings.pop('store', self.url)
        prefixed = {name if '.' in name else f'cron.{name}': value for name, value in settings.items()}
        self._started.append(Server(store, prefixed, include))
        return self._started[-1]

    def rows(self, table):
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def row(self, task='task'):
        (row,) = (row for row in self.rows(tasks) if row['task'] == task)
        return row

    def history(self, *columns):
        """Return of each run its outcome, or these columns, in the order of their minutes and of their ends."""
        columns = columns or ('outcome',)
        found = sorted(
            self.rows(runs),
            key=lambda row: (row['scheduled_for'] or row['started'], row['attempt'], row['finished'] or NEVER),
        )
        shown = [tuple(row[column] for column in columns) for row in found]
        return [values[0] for values in shown] if len(columns) == 1 else shown

    def minutes(self, outcome):
        """Return the minutes after INSTANT that are recorded with a outcome, and their tasks."""
        return sorted(
            (row['task'], round((row['scheduled_for'] - INSTANT) / MINUTE))
            for row in self.rows(runs)
            if row['outcome'] == outcome
        )

    def gaps(self):
        return [
            tuple(round((row[end] - INSTANT) / MINUTE) for end in ('first_minute', 'last_minute'))
            for row in self.rows(gaps)
        ]

    @contextlib.contextmanager
    def begin(self, app='app'):
        """Return, for a ``with``, a connection of an application with a transaction, which is committed at its end."""
        with self.engine.begin() as connection:
            yield StoreConnection(connection, app)

    @property
    def statements_of_a_quiet_tick(self):
        """The number of statements with nothing due: MariaDB has none that changes a row and returns it."""
        return 2 if self.engine.dialect.name == 'mariadb' else 1

    def execute(self, statement):
        with self.engine.begin() as connection:
            return connection.execute(statement)

    def change(self, task='task', **values):
        """Change the row of a task behind everybody's back."""
        self.execute(update(tasks).where(tasks.c.task == task).values(**values))

    def paused_from(self, minute=0):
        """Date the pauses back to a minute, in place of the present one."""
        self.execute(update(pauses).values(since=INSTANT + minute * MINUTE))

    def hold(self, task='task', run_id='other', process='stranger', **values):
        """Let a process of another machine run a task, whose lease is not over unless ``lease_until`` says so."""
        other = {
            'id': process,
            'host': 'elsewhere',
            'pid': 4711,
            'boot_and_pidns': 'another boot',
            'lease_until': time.time() + 3600,
        }
        self.execute(insert(processes).values(other | values))
        self.change(task, run_id=run_id, process=process, started_at=INSTANT.timestamp())
        begun = {'app': 'app', 'attempt': 1, 'trigger': 'request', 'started': INSTANT, 'outcome': 'running'}
        self.execute(insert(runs).values(id=run_id, task=task, scheduled_for=self.row(task)['last_minute'], **begun))

    def end_connections(self):
        """End all connections to a database of PostgreSQL but that of this very statement."""
        pid = column('pid')
        others = select(func.pg_terminate_backend(pid, 10000)).select_from(table('pg_stat_activity'))
        others = others.where(column('datname') == func.current_database(), pid != func.pg_backend_pid())
        with self.engine.connect() as connection:
            assert set(connection.execute(others).all()) == {(True,)}

    def end(self):
        for server in self._started:
            heartbeat = server.claims.own.heartbeat
            # of what a test has claimed and not released, or could not write
            heartbeat.end(heartbeat._count)
            heartbeat._is_left = False
            if heartbeat._socket is not None:
                # its thread ends at once
                heartbeat._socket.close()
            server.engine.dispose()
