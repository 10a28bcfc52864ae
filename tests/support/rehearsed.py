"""Applications whose tasks are rehearsed, and tasks made at random."""

import contextlib
import random
import sqlite3
import threading

import psycopg
import psycopg2
import psycopg2.extensions
import pymysql
import pymysql.cursors
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid_tm import explicit_manager
from sqlalchemy import (
    Column,
    Integer,
    String,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Session

from pyramid_cron.rehearsal.run import rehearse
from pyramid_cron.schedules.clock import current_minute


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = 'items'

    id = Column(Integer, primary_key=True)
    what = Column(String(50))


# no wait for a lock that another connection of the same rehearsal holds
QUICK = {
    'sqlite': {'timeout': 0.01},
    'postgresql': {'options': '-c lock_timeout=20ms'},
    'mariadb': {'init_command': 'SET SESSION innodb_lock_wait_timeout = 0'},
}


class Site:
    """An application with one database, of which each request has a session."""

    def __init__(self, url, by='pyramid_tm', include=(), **settings):
        self.engine = self.make_engine(url)
        Base.metadata.drop_all(self.engine)
        Base.metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.execute(insert(Item), [{'what': str(number)} for number in range(5)])
        self.config = Configurator(settings={'tm.manager_hook': explicit_manager, **settings})
        for name in (*include, *(['pyramid_tm'] if by == 'pyramid_tm' else [])):
            self.config.include(name)
        if by == 'session':
            self.config.add_settings({'cron.transaction': own_transaction})
        self.config.include('pyramid_cron')
        self.config.add_request_method(self._managed if by == 'pyramid_tm' else self._own, 'dbsession', reify=True)
        self.body = lambda system: None
        self.config.add_cron_task(self._call, name='task', min=0, hour=2)
        self.app = self.config.make_wsgi_app()
        self.registry = self.config.registry
        [self.task] = self.registry['cron_tasks']
        # what is open from now on is open before the rehearsal
        self.dump()

    @staticmethod
    def make_engine(url, **options):
        name = url.partition(':')[0].partition('+')[0]
        return create_engine(url, connect_args=QUICK[name], **options)

    @property
    def url(self):
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def is_sqlite(self):
        return self.engine.dialect.name == 'sqlite'

    def _managed(self, request):
        session = Session(self.engine)
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def _own(self, request):
        return Session(self.engine)

    def _call(self, system):
        self.body(system)

    def rehearse(self, body, **options):
        """Rehearse a task, and return the result."""
        self.body = body
        return rehearse(self.app, self.registry, self.task, **{'instant': current_minute(), **options})

    def dump(self):
        """Return all rows of all tables, and the definitions of these."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                pragmas = [connection.exec_driver_sql(f'PRAGMA {name}').scalar() for name in PRAGMAS]
                return [*connection.connection.driver_connection.iterdump(), pragmas]
            columns = connection.execute(text(COLUMNS.format(schema=SCHEMAS[self.engine.dialect.name]))).all()
            tables = dict.fromkeys(column.table_name for column in columns)
            return columns, [
                sorted(map(repr, connection.execute(text(f'SELECT * FROM {name}')).all())) for name in tables
            ]

    def direct(self):
        """Return a connection of the driver, without SQLAlchemy."""
        if self.is_sqlite:
            return sqlite3.connect(self.engine.url.database, timeout=0.01)
        url = self.engine.url
        if url.drivername.endswith('pymysql'):
            return pymysql.connect(
                unix_socket=url.query['unix_socket'], user='root', database=url.database, **QUICK['mariadb']
            )
        connect = psycopg.connect if url.drivername.endswith('psycopg') else psycopg2.connect
        return connect(host=url.query['host'], user=url.username, dbname=url.database, **QUICK['postgresql'])

    def end(self):
        self.engine.dispose()


COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = {schema} ORDER BY table_name, ordinal_position
"""
SCHEMAS = {'postgresql': 'current_schema()', 'mysql': 'database()', 'mariadb': 'database()'}
PRAGMAS = ('user_version', 'journal_mode', 'application_id')


@contextlib.contextmanager
def own_transaction(system):
    with system['request'].dbsession as session, session.begin():
        yield


class Program:
    """A task made at random: some steps, each of which may commit by itself."""

    def __init__(self, site, seed):
        self.site = site
        self.random = random.Random(seed)
        steps = [getattr(self, name) for name in sorted(vars(Program)) if name.startswith('step_')]
        self.steps = self.random.choices(steps, k=self.random.randint(1, 7))
        self.fails = self.random.random() < 0.2
        self.swallows = self.random.random() < 0.8
        # engines that the task leaves with their connections
        self.left = []

    def __repr__(self):
        return ', '.join(step.__name__[5:] for step in self.steps)

    def __call__(self, system):
        self.system = system
        for step in self.steps:
            try:
                step(system['request'].dbsession)
            except Exception:
                if not self.swallows:
                    raise
                with contextlib.suppress(Exception):
                    system['request'].dbsession.rollback()
        if self.fails:
            raise RuntimeError

    def end(self):
        for engine in self.left:
            engine.dispose()

    def insert(self):
        return f"INSERT INTO items (what) VALUES ('{self.random.random()}; COMMIT')"

    def step_orm_add(self, session):
        session.add(Item(what='added'))
        session.flush()

    def step_orm_change(self, session):
        item = session.scalars(select(Item)).first()
        if item is not None:
            item.what = 'changed'

    def step_orm_delete(self, session):
        session.delete(session.scalars(select(Item).order_by(Item.id.desc())).first())
        session.flush()

    def step_core(self, session):
        session.execute(update(Item).values(what=func.upper(Item.what) + 'x'))
        session.execute(text('DELETE FROM items WHERE id % 2 = 1'))

    def step_commit(self, session):
        session.add(Item(what='committed'))
        session.commit()

    def step_rollback(self, session):
        session.add(Item(what='rolled back'))
        session.rollback()

    def step_manager(self, session):
        session.add(Item(what='by the manager'))
        self.system['request'].tm.commit()
        self.system['request'].tm.begin()

    def step_savepoint(self, session):
        with session.begin_nested() as savepoint:
            session.add(Item(what='nested'))
            session.flush()
            if self.random.random() < 0.5:
                savepoint.rollback()

    def step_session_text(self, session):
        session.execute(text(self.insert().replace('; COMMIT', '')))
        session.execute(
            text(self.random.choice(['COMMIT', 'ROLLBACK', 'commit -- now', '/* */ COMMIT;', 'BEGIN', 'END']))
        )

    def step_engine_begin(self, session):
        with self.site.engine.begin() as connection:
            connection.execute(insert(Item), [{'what': 'many'}] * 3)

    def step_own_engine(self, session):
        engine = self.site.make_engine(self.site.url)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(self.insert())
                connection.execute(select(Item)).all()
        finally:
            if self.random.random() < 0.5:
                engine.dispose()
            else:
                self.left.append(engine)

    def step_autocommit(self, session):
        with self.site.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
            connection.exec_driver_sql(self.insert())
            connection.execute(update(Item).values(what='autocommitted'))

    def step_raw(self, session):
        connection = self.site.engine.raw_connection()
        cursor = connection.cursor()
        cursor.execute(self.insert())
        connection.commit()
        cursor.execute(self.insert())
        connection.driver_connection.commit()
        connection.close()

    def step_returning(self, session):
        with self.site.engine.begin() as connection:
            connection.execute(insert(Item).returning(Item.id), [{'what': 'a'}, {'what': 'b'}]).all()

    def step_direct(self, session):
        connection = self.site.direct()
        try:
            with connection:
                connection.cursor().execute(self.insert())
        finally:
            connection.close()

    def step_direct_autocommit(self, session):
        connection = self.site.direct()
        try:
            if self.site.is_sqlite:
                connection.isolation_level = None
            elif isinstance(connection, pymysql.connections.Connection):
                connection.autocommit(True)
            else:
                connection.autocommit = True
            connection.cursor().execute(self.insert())
            connection.cursor().execute('UPDATE items SET what = id')
        finally:
            connection.close()

    def step_several(self, session):
        connection = self.site.direct()
        script = f'{self.insert()}; COMMIT; BEGIN; DELETE FROM items; COMMIT'
        try:
            if self.site.is_sqlite:
                connection.executescript(script)
            else:
                connection.cursor().execute(script)
        finally:
            connection.close()

    def step_around(self, session):
        """Commit around what the connection overrides."""
        connection = self.site.direct()
        kind, cursor = plain_classes(connection)
        try:
            own = cursor(connection)
            with contextlib.suppress(Exception):
                own.execute(self.insert())
            connection.cursor().execute(self.insert())
            self.random.choice([lambda: kind.commit(connection), lambda: own.execute('COMMIT')])()
        finally:
            connection.close()

    def step_around_by_rollback(self, session):
        connection = self.site.direct()
        _, cursor = plain_classes(connection)
        try:
            connection.cursor().execute(self.insert())
            own = cursor(connection)
            own.execute('ROLLBACK')
            own.execute(self.insert())
            own.execute('COMMIT')
        finally:
            connection.close()

    def step_schema(self, session):
        with self.site.engine.begin() as connection:
            connection.exec_driver_sql(f'CREATE TABLE new_{self.random.randint(0, 9)} (id integer)')
            connection.exec_driver_sql('ALTER TABLE items ADD COLUMN more integer')

    def step_drop(self, session):
        with self.site.engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE items' if self.site.is_sqlite else 'TRUNCATE items')

    def step_pragma(self, session):
        if self.site.is_sqlite:
            with self.site.engine.connect() as connection:
                connection.exec_driver_sql('PRAGMA user_version = 7')
                connection.exec_driver_sql('PRAGMA journal_mode = wal')

    def step_thread(self, session):
        def begin():
            with contextlib.suppress(Exception):
                self.step_engine_begin(session)

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()


def plain_classes(connection):
    """Return the driver's own classes of connections and cursors."""
    if isinstance(connection, sqlite3.Connection):
        return sqlite3.Connection, sqlite3.Cursor
    if isinstance(connection, pymysql.connections.Connection):
        return next(kind for kind in type(connection).__mro__ if kind.__name__ == 'Connection'), pymysql.cursors.Cursor
    if isinstance(connection, psycopg.Connection):
        return psycopg.Connection, psycopg.Cursor
    return psycopg2.extensions.connection, psycopg2.extensions.cursor
