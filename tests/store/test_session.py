"""The record of a run in the transaction of its task: real sessions, requested through the whole application."""

import contextlib
import logging
import threading

import pytest
import transaction
import zope.sqlalchemy
from pyramid_tm import explicit_manager
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert, select, text
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError
from sqlalchemy.orm import scoped_session, sessionmaker
from webtest import TestApp

from pyramid_cron import Skip
from pyramid_cron.store import Fenced, NotCommitted, NotJoined
from pyramid_cron.store.schema import processes, runs, tasks
from tests.support.servers import INSTANT
from tests.support.statements import GONE, before_each

LOGGER = logging.getLogger('shop')
METADATA = MetaData()
EFFECTS = Table('effects', METADATA, Column('id', Integer, primary_key=True), Column('what', String(50)))


class Site:
    """Servers whose tasks write to the database of the store by sessions that pyramid_tm commits."""

    def __init__(self, servers, settings):
        self.servers = servers
        self.settings = {'session': 'dbsession', **settings}
        self.engines = []
        self.bind = self.engine(servers.url)

    def engine(self, url, **options):
        self.engines.append(create_engine(url, **options))
        METADATA.create_all(self.engines[-1])
        with self.engines[-1].begin() as connection:
            connection.execute(EFFECTS.delete())
        return self.engines[-1]

    def session(self, request):
        session = sessionmaker(bind=self.bind)()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def start(self, body=None, make_session=None, include=('pyramid_tm',), tasks=None, options=None, **settings):
        def setup(config):
            for name in include:
                config.include(name)
            config.add_request_method(make_session or self.session, 'dbsession', reify=True)

        server = self.servers.start(include=setup, **{**self.settings, **settings})
        for name, function in (tasks or {'task': body}).items():
            server.add(name, function, **(options or {}))
        server.ready()
        server.target = TestApp(server.config.make_wsgi_app())
        server.ready()
        return server

    def effects(self):
        return [row['what'] for row in self.servers.rows(EFFECTS)]


@pytest.fixture(params=['explicit', 'thread-local'])
def site(request, servers):
    hook = {'tm.manager_hook': explicit_manager} if request.param == 'explicit' else {}
    site = Site(servers, hook)
    yield site
    transaction.abort()
    for engine in site.engines:
        engine.dispose()


def write(system, what='done'):
    session = system['request'].dbsession
    session.execute(insert(EFFECTS).values(what=what))
    zope.sqlalchemy.mark_changed(session() if isinstance(session, scoped_session) else session)


@contextlib.contextmanager
def ends(server):
    """Yield a list of the connections by which the ends of runs are written: the store's own, and the session's."""
    found = []

    def note(name):
        def call(statement):
            if statement.matches(of=tasks, kind='update', sets='last_outcome'):
                found.append(name)

        return call

    with contextlib.ExitStack() as stack:
        stack.enter_context(before_each(server.engine, note('store')))
        for engine in server.site.engines:
            stack.enter_context(before_each(engine, note('session')))
        yield found


def run(site, body, **options):
    """Run a task, and return its report, its row's outcome, and what wrote its end."""
    server = site.start(body, **options)
    server.site = site
    with ends(server) as found:
        (report,) = server.tick().tasks
    (kept,) = site.servers.history()
    assert site.servers.row()['run_id'] is None
    return report, kept, found


@pytest.mark.slow
def test_work_and_record_commit_together(site):
    report, kept, ends = run(site, write)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['done']
    assert site.servers.history('seconds')[0] >= 0


def stop(system, server):
    server.store.stop('task', requested_by='ada')
    server.claims.own.heartbeat.beat()
    assert system['stopping']()


@pytest.mark.slow
def test_the_work_of_a_stopped_run_commits_with_its_record(site):
    servers = []

    def body(system):
        stop(system, servers[0])
        write(system)

    servers.append(site.start(body, options={'retries': 1, 'min': '0'}))
    servers[0].site = site
    with ends(servers[0]) as found:
        [report] = servers[0].tick().tasks
    assert (report.outcome, report.reason, report.excuse) == ('stopped', 'by ada', 'retrying')
    assert (site.servers.history('outcome', 'reason'), found) == ([('stopped', 'by ada')], ['session'])
    assert site.effects() == ['done']
    row = site.servers.row()
    assert (row['run_id'], row['retry_reason'], row['last_outcome']) == (None, 'failed', 'stopped')


@pytest.mark.slow
def test_a_stopped_run_fails_if_its_work_was_not_committed(site):
    servers = []

    def body(system):
        stop(system, servers[0])
        write_unmarked(system)

    servers.append(site.start(body))
    [report] = servers[0].tick().tasks
    assert (report.outcome, report.error) == ('failed', 'NotCommitted')


@pytest.mark.slow
def test_a_stopped_run_whose_commit_was_not_answered_is_stopped(site):
    servers = []

    def body(system):
        stop(system, servers[0])
        write(system)

    def lose(connection):
        connection.connection.dbapi_connection.commit()
        raise OperationalError('COMMIT', {}, Exception('the database has gone'))

    servers.append(site.start(body))
    event.listen(site.bind, 'commit', lose)
    try:
        [report] = servers[0].tick().tasks
    finally:
        event.remove(site.bind, 'commit', lose)
    assert (report.outcome, report.reason) == ('stopped', 'by ada')
    assert site.effects() == ['done']


@pytest.mark.slow
def test_a_failed_task_leaves_only_its_record(site):
    def body(system):
        write(system)
        raise ValueError

    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('failed', 'failed', ['store'])
    assert site.effects() == []


def doom(system):
    write(system)
    system['request'].tm.doom()


def read(system):
    system['request'].dbsession.execute(select(EFFECTS)).all()


def abort(system):
    write_unmarked(system)
    system['request'].tm.abort()
    system['request'].tm.begin()
    read(system)


def roll_back(system):
    write_unmarked(system)
    system['request'].dbsession.rollback()


def read_in_savepoint(system):
    # at whose end the store marks the run
    with system['request'].dbsession.begin_nested():
        read(system)


def write_unmarked(system):
    # zope.sqlalchemy does not know that Core has written something, and rolls it back
    system['request'].dbsession.execute(text("INSERT INTO effects (what) VALUES ('unmarked')"))


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('body', [doom, abort, roll_back, read, read_in_savepoint, lambda system: None])
def test_a_task_without_a_commit_is_recorded_separately(site, body):
    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['store'])
    assert site.effects() == []


def commit_unmarked(system):
    write_unmarked(system)
    system['request'].tm.commit()
    system['request'].tm.begin()
    write(system)


def close(system):
    write_unmarked(system)
    system['request'].dbsession.close()
    write(system)


def write_in_savepoint(system):
    # to the driver of SQLite the end of a savepoint without a BEGIN before it is a commit
    system['request'].dbsession.execute(EFFECTS.delete())
    with system['request'].dbsession.begin_nested():
        write_unmarked(system)


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('body', [write_unmarked, commit_unmarked, close, write_in_savepoint])
def test_a_task_that_loses_its_work_has_failed(site, body, warnings):
    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('failed', 'failed', ['store'])
    assert isinstance(report.exception, NotCommitted)
    assert ' was not committed, and is rolled back: where zope.sqlalchemy' in str(report.exception)
    assert any('task task failed' in warning for warning in warnings())
    assert site.effects() == []
    assert site.servers.row()['last_error'].endswith('NotCommitted')


@pytest.mark.slow
def test_a_task_that_loses_its_work_is_retried(site):
    left = [write_unmarked, write]
    server = site.start(lambda system: left.pop(0)(system), options={'retries': 1})
    server.tick(0)
    server.tick(1)
    assert site.servers.history() == ['failed', 'ok']
    assert site.effects() == ['done']


# in SQLite the record would wait for the end of the test
@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_test_that_rolls_back_everything_is_left_alone(site):
    manager = transaction.TransactionManager(explicit=True)
    manager.begin()
    manager.doom()
    server = site.start(write_unmarked)
    server.target.extra_environ.update({'tm.active': True, 'tm.manager': manager})
    (report,) = server.tick().tasks
    assert (report.outcome, manager.isDoomed()) == ('ok', True)
    manager.abort()
    assert site.effects() == []


@pytest.mark.slow
def test_savepoints_are_not_commits(site):
    def body(system):
        session = system['request'].dbsession
        with session.begin_nested():
            write(system, 'released')
        with contextlib.suppress(ValueError), session.begin_nested():
            write(system, 'rolled back')
            raise ValueError
        session.begin_nested()
        write(system, 'open')

    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['released', 'open']


@pytest.mark.slow
def test_each_task_is_recorded_with_its_own_work(site):
    def bad(system):
        write(system, 'bad')
        raise ValueError

    server = site.start(tasks={'first': write, 'bad': bad, 'last': write})
    assert [task.outcome for task in server.tick().tasks] == ['ok', 'failed', 'ok']
    assert site.effects() == ['done', 'done']
    assert sorted(site.servers.history('task', 'outcome')) == [('bad', 'failed'), ('first', 'ok'), ('last', 'ok')]
    # and at the next tick as well
    server.tick(5)
    assert len(site.effects()) == 4


@pytest.mark.slow
def test_a_retry_starts_without_earlier_work(site):
    failures = iter([ValueError])

    def body(system):
        write(system)
        for failure in failures:
            raise failure

    server = site.start(body, options={'retries': 1})
    server.tick(0)
    server.tick(1)
    assert site.servers.history() == ['failed', 'ok']
    assert site.effects() == ['done']


@pytest.mark.slow
def test_a_fenced_run_cannot_commit(site, warnings):
    def body(system):
        read(system)
        site.servers.change(run_id='theirs')
        write(system)

    server = site.start(body)
    (report,) = server.tick().tasks
    assert (report.outcome, type(report.exception)) == ('failed', Fenced)
    assert site.effects() == []
    assert site.servers.row()['run_id'] == 'theirs'


@pytest.mark.slow
def test_a_fenced_run_cannot_commit_within_its_task(site):
    def body(system):
        read(system)
        # before it writes, because in SQLite a writer excludes all others
        site.servers.change(run_id='theirs')
        write(system)
        system['request'].tm.commit()

    (report,) = site.start(body).tick().tasks
    assert isinstance(report.exception, Fenced)
    assert site.effects() == []


def last(site):
    row = site.servers.row()
    return row['last_outcome'], row['failures_in_a_row'], row['last_success_at'] is not None


def commit(system):
    write(system, 'first')
    system['request'].tm.commit()
    system['request'].tm.begin()
    write(system, 'second')


def commit_with_open_savepoint(system):
    write(system, 'first')
    system['request'].dbsession.begin_nested()
    system['request'].tm.commit()
    system['request'].tm.begin()
    write(system, 'second')


@pytest.mark.slow
@pytest.mark.parametrize('begin', [commit, commit_with_open_savepoint])
def test_a_lost_run_that_committed_is_not_repeated(site, begin):
    def body(system):
        begin(system)
        raise KeyboardInterrupt

    server = site.start(body)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert site.effects() == ['first']
    assert site.servers.history() == ['lost']
    assert site.servers.row()['retry_reason'] is None
    assert server.tick(1).tasks == ()


@pytest.mark.slow
@pytest.mark.parametrize('begin', [write, read])
def test_a_lost_run_without_a_commit_is_repeated(site, begin):
    stops = iter([KeyboardInterrupt])

    def body(system):
        begin(system)
        for stop in stops:
            raise stop

    server = site.start(body)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert site.effects() == []
    server.tick(1)
    assert site.servers.history('outcome', 'attempt') == [('lost', 1), ('ok', 2)]
    assert len(site.effects()) == (begin is write)


@pytest.mark.slow
def test_a_lost_run_without_the_session_is_not_repeated(site):
    def body(system):
        raise KeyboardInterrupt

    server = site.start(body)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert server.tick(1).tasks == ()
    assert site.servers.history() == ['lost']


@pytest.mark.slow
def test_a_fenced_run_fails_at_its_first_query(site):
    def body(system):
        site.servers.change(run_id='theirs')
        read(system)
        went_on.append(True)

    went_on = []
    (report,) = site.start(body).tick().tasks
    assert isinstance(report.exception, Fenced)
    assert went_on == []
    assert site.servers.row()['run_id'] == 'theirs'


@pytest.mark.slow
def test_an_outage_before_the_first_query_is_logged(site, warnings):
    def body(system):
        with server.outage(of=tasks, kind='update', sets='transactional'):
            write(system)

    server = site.start(body)
    assert [task.outcome for task in server.tick().tasks] == ['ok']
    assert site.effects() == ['done']
    assert f'it cannot be recorded that task task uses the session: {GONE}' in warnings()


@pytest.mark.slow
def test_a_lost_run_within_a_savepoint_is_repeated(site):
    def body(system):
        with system['request'].dbsession.begin_nested():
            write(system)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.start(body).tick(0)
    # to the driver of SQLite the end of a savepoint without a BEGIN before it is a commit
    assert site.effects() == (['done'] if site.servers.url.startswith('sqlite') else [])
    assert site.servers.row()['retry_reason'] == (None if site.effects() else 'lost')


@pytest.mark.slow
def test_a_task_that_commits_is_recorded_with_the_last_one(site):
    report, kept, ends = run(site, commit)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['first', 'second']


@pytest.mark.slow
@pytest.mark.parametrize('after', [False, True])
def test_a_commit_without_an_answer_is_looked_up(site, warnings, after):
    server = site.start(write)
    left = [1]

    def fail(connection):
        if left:
            left.pop()
            driver = connection.connection.dbapi_connection
            driver.commit() if after else driver.rollback()
            raise OperationalError('COMMIT', {}, Exception('the database has gone'))

    event.listen(site.bind, 'commit', fail)
    (report,) = server.tick().tasks
    outcome = 'ok' if after else 'failed'
    assert (report.outcome, site.servers.history()) == (outcome, [outcome])
    assert len(site.effects()) == after
    # the last outcome was written in the transaction that was rolled back
    assert last(site) == (('ok', 0, True) if after else ('failed', 1, False))
    assert any('the database did not confirm it' in warning for warning in warnings()) is after


class Objector:
    """A data manager that votes against the commit, before sessions or after them."""

    def __init__(self, key):
        self.key = key

    def sortKey(self):
        return self.key

    def tpc_vote(self, _):
        raise ValueError('no')

    def abort(self, _):
        pass

    tpc_begin = commit = tpc_abort = abort


@pytest.mark.slow
def test_a_failure_at_commit_leaves_nothing(site):
    def body(system):
        write(system)
        system['request'].tm.get().join(Objector('!'))

    report, kept, _ = run(site, body)
    assert (report.outcome, kept) == ('failed', 'failed')
    assert site.effects() == []


@pytest.mark.slow
def test_a_second_session_does_not_commit_the_record(site, tmp_path):
    elsewhere = site.engine(f'sqlite:///{tmp_path}/elsewhere.sqlite')

    def body(system):
        session = sessionmaker(bind=elsewhere)()
        zope.sqlalchemy.register(session, transaction_manager=system['request'].tm)
        session.execute(insert(EFFECTS).values(what='elsewhere'))
        zope.sqlalchemy.mark_changed(session)

    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['store'])
    with elsewhere.connect() as connection:
        assert connection.execute(select(EFFECTS.c.what)).scalars().all() == ['elsewhere']


def test_a_named_run_commits_with_its_record(site):
    server = site.start(write)
    server.tick(1)
    (report,) = server.tick(1, names=['task']).tasks
    assert report.outcome == 'ok'
    assert site.servers.history('trigger', 'outcome') == [('manual', 'ok')]
    assert site.effects() == ['done']


@pytest.mark.slow
def test_a_scoped_session_is_joined(site):
    def session(request):
        registry = scoped_session(sessionmaker(bind=site.bind))
        zope.sqlalchemy.register(registry, transaction_manager=request.tm)
        return registry

    report, kept, ends = run(site, write, make_session=session)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])


@pytest.fixture
def sessions(site):
    """A registry of sessions, as an application has it for all its requests."""
    made = scoped_session(sessionmaker(bind=site.bind))
    manager = transaction.manager
    if 'tm.manager_hook' in site.settings:
        manager = transaction.TransactionManager(explicit=True)
        site.settings['tm.manager_hook'] = lambda request: manager
    zope.sqlalchemy.register(made, transaction_manager=manager)
    yield made
    made.remove()


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('before', [read, lambda system: None, roll_back])
def test_the_next_session_of_a_registry_is_joined(site, sessions, before):
    def body(system):
        before(system)
        sessions.remove()
        write(system)

    report, kept, ends = run(site, body, make_session=lambda request: sessions)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['done']


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('place', ['before', 'after'])
def test_work_is_lost_around_a_removed_session(site, sessions, place):
    def body(system):
        if place == 'before':
            write_unmarked(system)
        sessions.remove()
        if place == 'after':
            write_unmarked(system)

    report, kept, ends = run(site, body, make_session=lambda request: sessions)
    assert (report.outcome, kept, ends) == ('failed', 'failed', ['store'])
    assert isinstance(report.exception, NotCommitted)


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('ends', ['commits', 'dies'])
def test_a_lost_run_that_removed_its_session(site, sessions, ends):
    stops = iter([KeyboardInterrupt])

    def body(system):
        read(system)
        sessions.remove()
        write(system)
        for stop in stops:
            if ends == 'commits':
                system['request'].tm.commit()
            raise stop

    server = site.start(body, make_session=lambda request: sessions)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert site.servers.row()['retry_reason'] == (None if ends == 'commits' else 'lost')
    server.tick(1)
    assert site.effects() == ['done']


@pytest.mark.slow
def test_sessions_of_other_threads_are_not_joined(site, sessions):
    def beside():
        with sessionmaker(class_=type(sessions()), bind=site.bind)() as session:
            return session.execute(select(EFFECTS)).all()

    def body(system):
        read(system)
        found = []
        thread = threading.Thread(target=lambda: found.append(list(sessions().execute(select(EFFECTS)))))
        thread.start()
        thread.join()
        # left open, its own work is none of this run's
        assert found == [[]]
        # nor another one of the same class here
        assert beside() == []

    report, kept, ends = run(site, body, make_session=lambda request: sessions)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['store'])


def test_a_run_within_a_run_leaves_its_sessions_joined(servers):
    site = Site(servers, {})
    sessions = scoped_session(sessionmaker(bind=site.bind))

    def commit(what):
        sessions.remove()
        sessions.execute(insert(EFFECTS).values(what=what))
        sessions.commit()

    def outer(system):
        sessions.execute(select(EFFECTS))
        sessions.remove()
        assert server.tick(1, names=['inner']).tasks[0].outcome == 'ok'
        commit('outer')
        raise KeyboardInterrupt

    bodies = {'outer': outer, 'inner': lambda system: commit('inner')}
    server = site.start(tasks=bodies, make_session=lambda request: sessions, include=())
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert site.effects() == ['inner', 'outer']
    # it is not to be repeated, because what it has committed is known
    assert servers.row('outer')['retry_reason'] is None
    sessions.remove()
    site.bind.dispose()


def not_joined(site, **options):
    report, kept, _ = run(site, write, **options)
    assert (report.outcome, kept, type(report.exception)) == ('failed', 'failed', NotJoined)
    assert site.effects() == []
    return str(report.exception)


@pytest.mark.slow
def test_a_session_of_another_database_is_refused(site, tmp_path):
    other = tmp_path / 'other.sqlite'
    site.bind = site.engine(f'sqlite:///{other}')
    message = not_joined(site)
    assert message.startswith('cron.session = dbsession: its database has no table cron_processes: ')
    assert message.endswith('it has to be that of cron.store')


@pytest.mark.slow
def test_a_session_of_another_store_is_refused(site, made_sqlite, tmp_path):
    copy = tmp_path / 'copy.sqlite'
    copy.write_bytes(made_sqlite.read_bytes())
    site.bind = site.engine(f'sqlite:///{copy}')
    assert not_joined(site) == (
        'cron.session = dbsession leads to another database than cron.store: set both to the same one, '
        'or remove cron.session, and runs are at most once'
    )


def test_an_attribute_without_a_session_is_refused(site):
    message = not_joined(site, make_session=lambda request: sessionmaker(bind=site.bind))
    assert message == 'cron.session = dbsession is a sessionmaker, not a session of SQLAlchemy'


@pytest.mark.slow
def test_a_request_without_the_attribute_is_refused(site):
    assert not_joined(site, session='db') == 'cron.session = db: the request has no such attribute'


# SQLite has one isolation level
@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
@pytest.mark.parametrize('level', ['REPEATABLE READ', 'SERIALIZABLE'])
def test_sessions_of_any_isolation_level_are_joined(site, level, caplog):
    caplog.set_level('INFO', 'shop')
    site.bind = site.engine(site.servers.url, isolation_level=level)
    other = site.servers.start(window='10e9').add(min='*')

    def body(system):
        write(system)
        # what other servers do meanwhile is no conflict
        assert other.tick(1).tasks[0].reason.startswith('still running')
        site.servers.execute(processes.update().values(lease_until=10.0**12))
        other.store.stop('task')
        # nor is what this one writes
        system['note']('half of it')
        LOGGER.info('half of it')
        system['progress'](1, 2)
        server.claims.own.heartbeat.beat()
        assert any(row['outputs'] for row in site.servers.rows(processes))

    server = site.start(body, options={'min': '*'})
    assert [task.outcome for task in server.tick(0).tasks] == ['ok']
    assert site.effects() == ['done']


def talk(system, message):
    write(system)
    system['note']('a note')
    LOGGER.info(message)


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize(
    ('message', 'where'),
    [
        ('in ascii', 'session'),
        # a session with another encoding could not write it, and its work would be rolled back
        ('caf\xe9', 'store'),
    ],
)
def test_note_and_log_are_committed_with_the_work_if_any_session_can_write_them(site, caplog, message, where):
    caplog.set_level('INFO', 'shop')
    server = site.start(lambda system: talk(system, message))
    with writes_of(site.bind, 'log') as by_session, writes_of(server.engine, 'log') as by_store:
        assert [task.outcome for task in server.tick().tasks] == ['ok']
    assert (len(by_session), len(by_store)) == ((1, 0) if where == 'session' else (0, 1))
    ((note, log),) = site.servers.history('note', 'log')
    assert (note, log[9:]) == ('a note', f'INFO shop: {message}')
    assert site.effects() == ['done']


@contextlib.contextmanager
def writes_of(engine, column):
    """Yield a list of the statements that set a column of the history."""
    found = []

    def keep(statement):
        if statement.matches(of=runs, kind='update', sets=column):
            found.append(statement)

    with before_each(engine, keep):
        yield found


@pytest.mark.slow
def test_work_that_is_rolled_back_leaves_note_and_log(site, caplog):
    caplog.set_level('INFO', 'shop')

    def body(system):
        talk(system, 'caf\xe9')
        raise LookupError

    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('failed', 'failed', ['store'])
    ((note, log),) = site.servers.history('note', 'log')
    assert (note, log[9:]) == ('a note', 'INFO shop: caf\xe9')
    assert site.effects() == []


@pytest.mark.slow
def test_what_is_logged_after_the_record_is_written_too(site, caplog):
    caplog.set_level('INFO', 'shop')

    def body(system):
        write(system)
        event.listen(system['request'].dbsession, 'after_commit', lambda session: LOGGER.info('committed'))

    run(site, body)
    assert site.servers.history('log')[0].endswith('INFO shop: committed')


@pytest.mark.slow
def test_an_outage_after_the_commit_loses_the_log_and_not_the_work(site, caplog, warnings):
    caplog.set_level('INFO', 'shop')
    server = site.start(lambda system: talk(system, 'caf\xe9'))
    with server.outage(of=runs, kind='update', sets='log'):
        assert [task.outcome for task in server.tick().tasks] == ['ok']
    (warning,) = warnings()
    assert warning.startswith('the output of task task is not recorded: the store is not available')
    assert site.servers.history('outcome', 'note', 'log') == [('ok', None, None)]


@pytest.mark.slow
def test_the_statements_of_the_record_are_not_in_the_log(site, caplog):
    caplog.set_level('INFO', 'sqlalchemy.engine')
    run(site, write)
    (log,) = site.servers.history('log')
    assert 'INSERT INTO effects' in log
    assert tasks.name not in log


def level_by_statement(session):
    session.execute(text('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'))


def level_by_option(session):
    session.connection(execution_options={'isolation_level': 'SERIALIZABLE'})


OF_MARIADB = 'information_schema.innodb_trx WHERE trx_mysql_thread_id = connection_id()'
LEVEL = {
    'postgresql': 'SHOW transaction_isolation',
    'mariadb': f'SELECT trx_isolation_level FROM {OF_MARIADB}',
}


@pytest.mark.slow
@pytest.mark.each_server
@pytest.mark.parametrize('choose', [level_by_statement, level_by_option])
def test_a_task_chooses_its_isolation_level(site, choose):
    level = LEVEL[site.bind.dialect.name]
    found = []

    def body(system):
        session = system['request'].dbsession
        choose(session)
        write(system)
        found.append(session.scalar(text(level)).lower())

    report, kept, ends = run(site, body)
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert found == ['serializable']
    assert site.effects() == ['done']


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
@pytest.mark.parametrize('choose', [level_by_statement, level_by_option])
def test_a_task_chooses_the_level_of_a_transaction_around_it(servers, choose):
    @contextlib.contextmanager
    def own(system):
        with system['request'].dbsession.begin():
            yield

    def body(system):
        session = system['request'].dbsession
        choose(session)
        session.execute(insert(EFFECTS).values(what=session.scalar(text(LEVEL['postgresql']))))

    site = Site(servers, {'transaction': own})
    report, kept, ends = run(site, body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['serializable']
    site.bind.dispose()


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_an_aborted_transaction_is_not_another_database(servers):
    @contextlib.contextmanager
    def own(system):
        with system['request'].dbsession.begin():
            yield

    def body(system):
        with contextlib.suppress(ProgrammingError):
            system['request'].dbsession.execute(text('SELECT nothing'))

    site = Site(servers, {'transaction': own})
    report, kept, _ = run(site, body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    assert (report.outcome, kept, type(report.exception)) == ('failed', 'failed', InternalError)
    site.bind.dispose()


@contextlib.contextmanager
def own_transaction(system):
    session = system['request'].dbsession
    with session.begin():
        # its connection is in use before the task
        read(system)
        yield


def test_a_lost_run_in_an_own_transaction_is_repeated(servers):
    def body(system):
        system['request'].dbsession.execute(insert(EFFECTS).values(what='done'))
        raise KeyboardInterrupt

    site = Site(servers, {'transaction': own_transaction})
    server = site.start(body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    assert site.effects() == []
    assert servers.row()['retry_reason'] == 'lost'
    site.bind.dispose()


@pytest.mark.slow
def test_a_failed_task_is_not_ok_by_a_commit(servers):
    @contextlib.contextmanager
    def commit_always(system):
        try:
            yield
        finally:
            system['request'].dbsession.commit()

    def body(system):
        system['request'].dbsession.execute(insert(EFFECTS).values(what='done'))
        raise ValueError

    site = Site(servers, {'transaction': commit_always})
    report, kept, _ = run(site, body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    assert (report.outcome, kept) == ('failed', 'failed')
    assert site.effects() == ['done']
    site.bind.dispose()


def test_an_own_transaction_in_another_store_is_refused(servers, made_sqlite, tmp_path):
    copy = tmp_path / 'copy.sqlite'
    copy.write_bytes(made_sqlite.read_bytes())
    site = Site(servers, {'transaction': own_transaction})
    elsewhere = site.engine(f'sqlite:///{copy}')
    not_joined(site, make_session=lambda request: sessionmaker(bind=elsewhere)(), include=())
    for engine in site.engines:
        engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_fenced_run_cannot_commit_what_it_does_not_see(site):
    def body(system):
        commit(system)
        # its transaction sees the row as it was
        site.servers.change(run_id='theirs')
        system['request'].tm.commit()

    site.bind = site.engine(site.servers.url, isolation_level='REPEATABLE READ')
    assert site.start(body).tick().failed
    assert site.effects() == ['first']


def test_transactions_without_pyramid_tm_are_joined(servers):
    def body(system):
        system['request'].dbsession.execute(insert(EFFECTS).values(what='done'))

    site = Site(servers, {'transaction': own_transaction})
    report, kept, ends = run(site, body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['session'])
    assert site.effects() == ['done']
    site.bind.dispose()


@pytest.mark.slow
def test_a_task_that_commits_alone_is_recorded_separately(servers):
    def body(system):
        system['request'].dbsession.execute(insert(EFFECTS).values(what='done'))
        system['request'].dbsession.commit()
        if len(site.effects()) == 2:
            raise KeyboardInterrupt

    site = Site(servers, {})
    report, kept, ends = run(site, body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=())
    assert (report.outcome, kept, ends) == ('ok', 'ok', ['store'])
    with pytest.raises(KeyboardInterrupt):
        site.start(body, make_session=lambda request: sessionmaker(bind=site.bind)(), include=()).tick(5)
    assert servers.row()['retry_reason'] is None
    site.bind.dispose()


@pytest.mark.slow
@pytest.mark.each_database
def test_a_task_that_forgets_its_commit_has_failed(servers):
    site, made = Site(servers, {}), []

    def make_session(request):
        made.append(sessionmaker(bind=site.bind)())
        return made[0]

    def body(system):
        system['request'].dbsession.execute(insert(EFFECTS).values(what='open'))

    report, kept, ends = run(site, body, make_session=make_session, include=())
    assert (report.outcome, kept, ends) == ('failed', 'failed', ['store'])
    assert isinstance(report.exception, NotCommitted)
    # so that a later commit of the application does not keep what has failed
    assert not made[0].in_transaction()
    site.bind.dispose()


@pytest.mark.slow
@pytest.mark.each_database
def test_an_abort_without_pyramid_tm_is_meant(servers):
    @contextlib.contextmanager
    def own(system):
        with transaction.manager:
            yield

    def make_session(request):
        session = sessionmaker(bind=site.bind)()
        zope.sqlalchemy.register(session)
        return session

    def body(system):
        write_unmarked(system)
        transaction.abort()

    site = Site(servers, {'transaction': own})
    report, kept, _ = run(site, body, make_session=make_session, include=())
    assert (report.outcome, kept) == ('ok', 'ok')
    site.bind.dispose()


def test_a_task_with_store_false_is_not_joined(site):
    server = site.start(write, options={'store': False})
    assert [task.outcome for task in server.tick().tasks] == ['ok']
    assert site.effects() == ['done']
    assert site.servers.history() == []


@pytest.mark.slow
def test_no_listener_stays_on_a_session(site):
    def listeners(session):
        names = 'after_transaction_create', 'before_commit'
        return [listener for name in names for listener in getattr(session.dispatch, name)]

    made = []

    def make_session(request):
        session = site.session(request)
        made.append((session, listeners(session)))
        return session

    def stop(system):
        raise KeyboardInterrupt

    bodies = {'good': write, 'bad': lambda system: 1 / 0, 'interrupted': stop}
    with pytest.raises(KeyboardInterrupt):
        site.start(tasks=bodies, make_session=make_session).tick()
    assert sorted(site.servers.history('task', 'outcome')) == [
        ('bad', 'failed'),
        ('good', 'ok'),
        ('interrupted', 'lost'),
    ]
    ((session, before),) = made
    assert listeners(session) == before


@pytest.mark.slow
def test_the_last_outcome_commits_with_the_work(site):
    run(site, write)
    assert last(site) == ('ok', 0, True)


@pytest.mark.slow
def test_a_skip_is_rolled_back_and_recorded(site):
    def body(system):
        write(system)
        raise Skip('no new file')

    report, kept, ends = run(site, body)
    assert (report.outcome, report.reason, kept, ends) == ('skipped', 'no new file', 'skipped', ['store'])
    assert site.effects() == []


@pytest.mark.slow
def test_since_moves_in_the_transaction_of_the_task(site):
    """The row has the new value as soon as the work is committed, and not before."""
    seen = []

    def body(system):
        seen.append((system['since'], site.servers.row()['last_success_for']))
        write(system)

    server = site.start(body)
    server.site = site
    with ends(server) as found:
        server.tick(0)
    assert found == ['session']
    assert seen == [(None, None)]
    assert site.servers.row()['last_success_for'] == INSTANT
