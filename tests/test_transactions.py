"""One transaction for each task: real sessions on real database files, requested through the WSGI application."""

import contextlib
import logging
import sqlite3
import subprocess
import sys
import types
from datetime import datetime, timezone

import pytest
import transaction
import webtest
import zope.sqlalchemy
from pyramid import testing
from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import mark_error_retryable
from sqlalchemy import ForeignKey, NullPool, create_engine, event, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from transaction.interfaces import NoTransaction, TransientError

from pyramid_cron import CronView, Skip, transactions
from pyramid_cron.testing import tick
from tests.support.ids import shown

INSTANT = datetime(2026, 7, 1, 9, 30, tzinfo=timezone.utc)
VETO = {'tm.commit_veto': 'pyramid_tm.default_commit_veto'}
RETRY = {'retry.attempts': '3'}
# later than any time of the real clock
NEXT_MINUTE = datetime(2100, 1, 1, tzinfo=timezone.utc)


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = 'rows'

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    # checked by SQLite when the transaction commits, not when the row is inserted
    parent_id: Mapped[int | None] = mapped_column(ForeignKey('rows.id', deferrable=True, initially='DEFERRED'))


class Database:
    """A database file, and what a connection of its own sees in it."""

    def __init__(self, path):
        self.path = path
        self.engine = create_engine(f'sqlite:///{path}', poolclass=NullPool)
        event.listen(self.engine, 'connect', lambda connection, _: connection.execute('PRAGMA foreign_keys = ON'))
        self.factory = sessionmaker(bind=self.engine)
        Base.metadata.create_all(self.engine)

    def join(self, manager):
        """Return a session that takes part in the manager's transactions."""
        session = self.factory()
        zope.sqlalchemy.register(session, transaction_manager=manager)
        return session

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return [name for (name,) in connection.execute('SELECT name FROM rows ORDER BY id')]

    def is_locked(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=0)) as connection:
            try:
                connection.execute('BEGIN EXCLUSIVE')
            except sqlite3.OperationalError:
                return True
            return False


class Marked(Exception):
    """An error after which pyramid_retry runs the request again."""


mark_error_retryable(Marked)


class BrokenDataManager:
    """A data manager that raises in one of its steps."""

    def __init__(self, step, exc):
        self.broken, self.exc = step, exc

    def _take(self, step):
        if step == self.broken:
            raise self.exc

    def sortKey(self):
        # before that of a session
        return 'broken'

    def abort(self, _):
        self._take('abort')

    def tpc_begin(self, _):
        self._take('tpc_begin')

    def commit(self, _):
        self._take('commit')

    def tpc_vote(self, _):
        self._take('tpc_vote')

    def tpc_finish(self, _):
        self._take('tpc_finish')

    def tpc_abort(self, _):
        self._take('tpc_abort')


class Synchronizer:
    """A synchronizer that raises for one of the transactions that begin while it is registered."""

    def __init__(self, broken, exc):
        self.broken, self.exc, self.begun = broken, exc, 0

    def newTransaction(self, _):
        self.begun += 1
        if self.begun == self.broken:
            raise self.exc

    def beforeCompletion(self, _):
        pass

    def afterCompletion(self, _):
        pass


def is_open(manager):
    """Return whether the manager has an open transaction, without opening one."""
    explicit, manager.explicit = manager.explicit, True
    try:
        manager.get()
    except NoTransaction:
        return False
    finally:
        manager.explicit = explicit
    return True


def insert(request, name, **values):
    request.dbsession.add(Row(name=name, **values))
    request.dbsession.flush()


def inserting(name, then=lambda request: None, **values):
    """Return a task that inserts a row and then does something with the request."""

    def task(system):
        insert(system['request'], name, **values)
        then(system['request'])

    return task


def raising(exc):
    def then(request):
        raise exc

    return then


def joining(step, exc):
    def then(request):
        request.tm.get().join(BrokenDataManager(step, exc))

    return then


@pytest.fixture(autouse=True)
def _the_threads_manager_is_left_as_it_was():
    transaction.abort()
    yield
    was_open = is_open(transaction.manager)
    transaction.abort()
    transaction.manager.clearSynchs()
    assert not was_open


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / 'rows.sqlite')
    yield database
    database.engine.dispose()


@pytest.fixture(params=['explicit', 'thread-local'])
def kind(request):
    return request.param


@pytest.fixture
def make_app(database, kind):
    """Return what makes an application with pyramid_tm that runs the tasks in a dict from names to functions."""

    def make(tasks, *, settings=None, on_request=None, setup=None, **schedule):
        settings = dict(settings or {})
        if kind == 'explicit':
            settings['tm.manager_hook'] = 'pyramid_tm.explicit_manager'

        def dbsession(request):
            session = request.environ.get('app.dbsession')
            return database.join(request.tm) if session is None else session

        with Configurator(settings=settings) as config:
            config.include('pyramid_tm')
            if 'retry.attempts' in settings:
                config.include('pyramid_retry')
            config.include('pyramid_cron')
            config.add_request_method(dbsession, reify=True)
            for name, task in tasks.items():
                config.add_cron_task(task, **(schedule or {'min': '*'}), name=name)
            if on_request is not None:
                config.add_subscriber(lambda event: on_request(event.request), NewRequest)
            if setup is not None:
                setup(config)
        return webtest.TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})

    return make


def statuses(app):
    """Request a run and return each task's outcome, or what it raised, by its name."""
    answer = app.get('/cron', headers={'Accept': 'application/json'}, expect_errors=True)
    return {task['name']: task.get('exception', task['outcome']) for task in answer.json['tasks']}


# what the second task raises, and how the fourth one's commit fails
FAILURES = {
    'plain': (RuntimeError('second'), {'parent_id': 999}, lambda request: None),
    'transient': (TransientError('second'), {}, joining('tpc_vote', TransientError('fourth'))),
    'marked': (
        Marked('second'),
        {},
        lambda request: request.tm.get().addBeforeCommitHook(raising(Marked('fourth')), (request,)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('failure', FAILURES)
@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_each_task_is_committed_or_rolled_back_by_itself(make_app, database, veto, retry, failure):
    exc, values, then = FAILURES[failure]
    ran = []

    def track(name):
        return lambda request: ran.append(name)

    def fail(request):
        ran.append('second')
        raise exc

    def fail_at_commit(request):
        then(request)
        ran.append('fourth')

    app = make_app(
        {
            'first': inserting('1', track('first')),
            'second': inserting('2', fail),
            'third': inserting('3', track('third')),
            'fourth': inserting('4', fail_at_commit, **values),
        },
        settings={**veto, **retry},
    )

    answer = app.get('/cron', status=500)

    assert answer.text == 'fail: 2 of 4 tasks failed: second, fourth'
    assert database.rows() == ['1', '3']
    # the body of the fourth came to its end
    assert ran == ['first', 'second', 'third', 'fourth']
    assert not database.is_locked()


@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_tasks_that_all_succeed_are_all_committed(make_app, database, veto):
    app = make_app({'first': inserting('1'), 'second': inserting('2')}, settings=veto)
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['1', '2']


@pytest.mark.parametrize('exc', [TransientError('again'), Marked('again')], ids=['transient', 'marked'])
def test_the_same_errors_in_a_view_are_retried(make_app, exc):
    attempts = []

    def view(request):
        attempts.append(request.environ['retry.attempt'])
        raise exc

    def setup(config):
        config.add_route('flaky', '/flaky')
        config.add_view(view, route_name='flaky')

    app = make_app({}, settings=RETRY, setup=setup)
    with pytest.raises(type(exc)):
        app.get('/flaky')
    assert attempts == [0, 1, 2]


@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
def test_without_pyramid_tm_tasks_commit_on_their_own_session(database, retry):
    ran = []

    def task(name, exc=None, **values):
        def run(system):
            ran.append(name)
            with Session(database.engine) as session, session.begin():
                session.add(Row(name=name, **values))
                session.flush()
                if exc is not None:
                    raise exc

        return run

    with Configurator(settings=retry) as config:
        if retry:
            config.include('pyramid_retry')
        config.include('pyramid_cron')
        config.add_cron_task(task('1'), min='*', name='first')
        config.add_cron_task(task('2', Marked('second')), min='*', name='second')
        config.add_cron_task(task('3'), min='*', name='third')
        config.add_cron_task(task('4', parent_id=999), min='*', name='fourth')
    app = webtest.TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})

    answer = app.get('/cron', status=500)

    assert answer.text == 'fail: 2 of 4 tasks failed: second, fourth'
    assert database.rows() == ['1', '3']
    assert ran == ['1', '2', '3', '4']


def test_an_idle_task_has_its_own_transaction(make_app, database):
    app = make_app(
        {'first': inserting('1', raising(RuntimeError())), 'second': inserting('2')},
        min='*',
        idle=True,
    )
    assert statuses(app) == {'first': 'RuntimeError', 'second': 'ok'}
    assert database.rows() == ['2']


def test_a_task_that_dooms_its_transaction_is_ok(make_app, database, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app = make_app(
        {
            'first': inserting('1'),
            'doomed': inserting('2', lambda request: request.tm.doom()),
            'third': inserting('3'),
        }
    )
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['1', '3']
    logged = [message for message in caplog.messages if 'doomed: rolling it back' in message]
    assert logged == ['the transaction of task doomed is doomed: rolling it back']


def test_a_task_may_commit_and_go_on(make_app, database, kind):
    def go_on(request):
        request.tm.commit()
        if kind == 'explicit':
            request.tm.begin()
        insert(request, 'after')

    app = make_app({'committing': inserting('before', go_on), 'next': inserting('next')})
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['before', 'after', 'next']


def test_a_tasks_own_commit_survives_its_failure(make_app, database, kind):
    def go_on(request):
        request.tm.commit()
        if kind == 'explicit':
            request.tm.begin()
        insert(request, 'after')
        raise RuntimeError

    app = make_app({'committing': inserting('before', go_on), 'next': inserting('next')})
    assert statuses(app) == {'committing': 'RuntimeError', 'next': 'ok'}
    assert database.rows() == ['before', 'next']


def test_a_task_may_abort_and_go_on(make_app, database, kind):
    def go_on(request):
        request.tm.abort()
        if kind == 'explicit':
            request.tm.begin()
        insert(request, 'after')

    app = make_app({'aborting': inserting('before', go_on), 'next': inserting('next')})
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['after', 'next']


@pytest.mark.parametrize(('end', 'rows'), [('commit', ['1', '2']), ('abort', ['2'])])
def test_a_task_may_end_its_transaction_and_return(make_app, database, end, rows):
    app = make_app(
        {
            'ending': inserting('1', lambda request: getattr(request.tm, end)()),
            'next': inserting('2'),
        }
    )
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == rows


@pytest.mark.parametrize('end', ['commit', 'abort'])
def test_the_last_task_may_leave_no_transaction_open(make_app, database, end):
    app = make_app({'last': inserting('1', lambda request: getattr(request.tm, end)())})
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == (['1'] if end == 'commit' else [])


@pytest.mark.parametrize('kind', ['explicit'], indirect=True)
def test_writing_outside_an_explicit_transaction_fails(make_app, database):
    def go_on(request):
        request.tm.commit()
        insert(request, 'after')

    app = make_app({'careless': inserting('before', go_on)})
    assert statuses(app) == {'careless': 'NoTransaction'}
    assert database.rows() == ['before']


def test_beginning_again_is_up_to_the_manager(make_app, database, kind):
    def begin(request):
        request.tm.begin()
        insert(request, 'after')

    app = make_app({'beginning': inserting('before', begin), 'next': inserting('next')})
    if kind == 'explicit':
        assert statuses(app) == {'beginning': 'AlreadyInTransaction', 'next': 'ok'}
        assert database.rows() == ['next']
    else:
        assert statuses(app) == {'beginning': 'ok', 'next': 'ok'}
        assert database.rows() == ['after', 'next']


@pytest.mark.slow
@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
@pytest.mark.parametrize('exc', [SystemExit, KeyboardInterrupt])
def test_an_exit_passes_through_and_leaves_nothing_open(make_app, database, exc, veto):
    managers = []

    def exit_once(request):
        managers.append(request.tm)
        if len(managers) == 1:
            raise exc

    def first(system):
        insert(system['request'], f'first {len(managers)}')

    app = make_app(
        {'first': first, 'exiting': inserting('2', exit_once), 'third': inserting('3')},
        settings={**veto, **RETRY},
    )

    with pytest.raises(exc):
        app.get('/cron')
    assert database.rows() == ['first 0']
    assert not is_open(managers[0])
    assert not database.is_locked()

    # the next tick finds the task free to run
    assert {task.name: task.outcome for task in tick(app, NEXT_MINUTE).tasks} == {
        'first': 'ok',
        'exiting': 'ok',
        'third': 'ok',
    }
    assert database.rows() == ['first 0', 'first 1', '2', '3']


def test_an_exit_at_commit_leaves_nothing_open(make_app, database):
    managers = []

    def exit_at_commit(request):
        managers.append(request.tm)
        request.tm.get().addBeforeCommitHook(raising(SystemExit()), (request,))

    app = make_app({'first': inserting('1'), 'exiting': inserting('2', exit_at_commit)})
    with pytest.raises(SystemExit):
        app.get('/cron')
    assert database.rows() == ['1']
    assert not is_open(managers[0])
    assert not database.is_locked()


def test_a_task_that_raises_stop_iteration_has_failed(make_app, database):
    app = make_app({'first': inserting('1', raising(StopIteration())), 'second': inserting('2')})
    assert statuses(app) == {'first': 'StopIteration', 'second': 'ok'}
    assert database.rows() == ['2']


# the subscriber registers it in the first transaction, then one begins for each of three tasks and one at the end
@pytest.mark.slow
@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
@pytest.mark.parametrize('broken', [2, 3, 4])
def test_a_transaction_that_cannot_begin_fails_one_task(make_app, database, broken, retry):
    synchronizers = []

    def register(request):
        synchronizers.append(Synchronizer(broken, TransientError('begin')))
        request.tm.registerSynch(synchronizers[-1])

    names = ['first', 'second', 'third']
    app = make_app(
        {name: inserting(name) for name in names},
        settings={**VETO, **retry},
        on_request=register,
    )
    failing = names[broken - 2]
    assert statuses(app) == {name: 'TransientError' if name == failing else 'ok' for name in names}
    assert database.rows() == [name for name in names if name != failing]
    assert len(synchronizers) == 1
    assert not database.is_locked()


@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
def test_a_final_transaction_that_cannot_begin_is_logged(make_app, database, caplog, retry):
    synchronizers = []

    def register(request):
        synchronizers.append(Synchronizer(4, TransientError('final begin')))
        request.tm.registerSynch(synchronizers[-1])

    app = make_app({'first': inserting('1'), 'second': inserting('2')}, settings=retry, on_request=register)
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['1', '2']
    assert [synchronizer.begun for synchronizer in synchronizers] == [4]
    (record,) = [record for record in caplog.records if 'could not be begun cleanly' in record.message]
    assert record.levelname == 'ERROR'
    assert record.exc_info[0] is TransientError


@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
def test_a_failing_abort_does_not_hide_the_failure(make_app, database, caplog, retry):
    def join_and_raise(request):
        joining('abort', TransientError('abort'))(request)
        raise ValueError('task')

    app = make_app({'first': inserting('1', join_and_raise), 'second': inserting('2')}, settings=retry)
    assert statuses(app) == {'first': 'ValueError', 'second': 'ok'}
    assert database.rows() == ['2']
    (record,) = [record for record in caplog.records if 'could not be rolled back cleanly' in record.message]
    assert record.levelname == 'ERROR'
    assert record.exc_info[0] is TransientError


def test_a_doomed_task_with_a_failing_abort_fails(make_app, database):
    def join_and_doom(request):
        joining('abort', OSError('abort'))(request)
        request.tm.doom()

    app = make_app({'first': inserting('1', join_and_doom), 'second': inserting('2')})
    assert statuses(app) == {'first': 'OSError', 'second': 'ok'}
    assert database.rows() == ['2']


def test_a_failing_abort_of_earlier_work_stops_no_task(make_app, database, caplog):
    app = make_app({'first': inserting('1')}, on_request=joining('abort', TransientError('abort')), settings=RETRY)
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['1']
    assert 'a transaction could not be rolled back cleanly' in caplog.messages


def test_earlier_work_of_the_request_is_rolled_back(make_app, database):
    app = make_app({'first': inserting('1')}, on_request=lambda request: insert(request, 'earlier'))
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['1']


@pytest.mark.parametrize('end', ['commit', 'abort'])
def test_an_earlier_end_of_the_transaction_is_harmless(make_app, database, end):
    def earlier(request):
        insert(request, 'earlier')
        getattr(request.tm, end)()

    app = make_app({'first': inserting('1')}, on_request=earlier)
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == (['earlier', '1'] if end == 'commit' else ['1'])


def test_without_due_tasks_the_requests_transaction_stays(make_app, database, caplog):
    app = make_app({}, on_request=lambda request: insert(request, 'earlier'))
    assert app.get('/cron', status=200).text == 'ok'
    assert database.rows() == ['earlier']
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    # WebTest sets no port, which is logged once
    assert [record.message for record in warned if 'REMOTE_PORT' not in record.message] == []


def test_a_doomed_manager_of_a_test_is_left_alone(make_app, database, kind):
    manager = transaction.TransactionManager(explicit=True) if kind == 'explicit' else transaction.manager
    manager.begin()
    manager.doom()
    session = database.join(manager)
    app = make_app({'first': inserting('1'), 'second': inserting('2')})

    answer = app.get(
        '/cron', extra_environ={'tm.active': True, 'tm.manager': manager, 'app.dbsession': session}, status=200
    )

    assert answer.text == 'ok'
    assert manager.isDoomed()
    assert session.scalars(select(Row.name).order_by(Row.id)).all() == ['1', '2']
    assert database.rows() == []
    manager.abort()
    assert database.rows() == []
    assert not is_open(manager)
    assert not database.is_locked()


def test_a_failure_is_reported_inside_a_tests_transaction(make_app, database, kind):
    manager = transaction.TransactionManager(explicit=True) if kind == 'explicit' else transaction.manager
    manager.begin()
    manager.doom()
    app = make_app({'first': inserting('1'), 'second': inserting('2', raising(RuntimeError()))})

    session = database.join(manager)
    answer = app.get(
        '/cron', extra_environ={'tm.active': True, 'tm.manager': manager, 'app.dbsession': session}, status=500
    )

    assert answer.text == 'fail: 1 of 2 tasks failed: second'
    assert '1' in session.scalars(select(Row.name)).all()
    manager.abort()
    assert database.rows() == []


def test_a_tests_manager_that_is_not_doomed_commits(make_app, database, kind):
    manager = transaction.TransactionManager(explicit=True) if kind == 'explicit' else transaction.manager
    manager.begin()
    session = database.join(manager)
    app = make_app({'first': inserting('1'), 'second': inserting('2', raising(RuntimeError()))})

    app.get('/cron', extra_environ={'tm.active': True, 'tm.manager': manager, 'app.dbsession': session}, status=500)

    assert database.rows() == ['1']
    assert is_open(manager)
    manager.abort()


@pytest.mark.parametrize('name', ['first', 'tägliche Bereinigung'])
def test_the_transaction_is_described_by_the_task(make_app, name):
    descriptions = []

    def task(system):
        descriptions.append(system['request'].tm.get().description)

    app = make_app({name: task, 'second': task})
    app.get('/cron', status=200)
    assert descriptions == [name, 'second']


def test_the_same_request_and_session_serve_every_task(make_app, database):
    served = []

    def task(system):
        served.append((system['request'], system['request'].dbsession, system['request'].tm))

    def failing(system):
        task(system)
        raise RuntimeError

    app = make_app(
        {'first': task, 'second': failing, 'third': task},
        on_request=lambda request: served.append((request, request.dbsession, request.tm)),
    )
    app.get('/cron', status=500)
    assert len(served) == 4
    for objects in zip(*served, strict=True):
        assert all(found is objects[0] for found in objects)


def test_a_failed_flush_leaves_a_usable_session(make_app, database):
    def break_the_session(request):
        with contextlib.suppress(IntegrityError):
            insert(request, 'taken')
        # the session wants to be rolled back before it does anything else
        insert(request, 'free')

    app = make_app({'first': inserting('taken', break_the_session), 'second': inserting('taken')})
    assert statuses(app) == {'first': 'PendingRollbackError', 'second': 'ok'}
    assert database.rows() == ['taken']


def test_a_task_sees_the_commit_before_it(make_app, database):
    found = []

    def look(request):
        found.append(request.dbsession.scalars(select(Row.name).order_by(Row.id)).all())

    app = make_app(
        {
            'first': inserting('1', look),
            'second': inserting('2', lambda request: (look(request), raising(RuntimeError())(request))),
            'third': inserting('3', look),
        }
    )
    app.get('/cron', status=500)
    assert found == [['1'], ['1', '2'], ['1', '3']]


def test_with_pyramid_tm_off_tasks_manage_their_own(make_app, database):
    active, begun = [], []

    def task(name, exc=None):
        def run(system):
            request = system['request']
            active.append('tm.active' in request.environ)
            begun.append(is_open(request.tm))
            with request.tm:
                insert(request, name)
                if exc is not None:
                    raise exc

        return run

    app = make_app(
        {'first': task('1'), 'second': task('2', TransientError()), 'third': task('3')},
        settings={'tm.activate_hook': lambda request: request.path_info != '/cron', **RETRY},
    )
    assert statuses(app) == {'first': 'ok', 'second': 'TransientError', 'third': 'ok'}
    assert database.rows() == ['1', '3']
    assert active == begun == [False] * 3


@pytest.mark.parametrize('retry', [{}, RETRY], ids=['once', 'retry'])
def test_skipped_tasks_leave_the_requests_transaction_alone(make_app, database, caplog, retry):
    app = make_app({'first': inserting('1')}, on_request=lambda request: insert(request, 'earlier'), settings=retry)
    (task,) = app.app.registry['cron_tasks']
    assert app.app.registry['cron_claims'].claim(task, None) is None
    assert statuses(app) == {'first': 'skipped'}
    assert [record for record in caplog.records if record.levelname == 'ERROR'] == []
    assert database.rows() == ['earlier']


def test_a_failed_begin_leaves_the_final_transaction_intact(make_app, caplog):
    synchronizers = []

    def register(request):
        synchronizers.append(Synchronizer(2, TransientError('begin')))
        request.tm.registerSynch(synchronizers[-1])

    app = make_app({'only': inserting('1')}, on_request=register)
    assert statuses(app) == {'only': 'TransientError'}
    assert 'could not be begun' not in caplog.text


def test_an_exit_while_a_transaction_begins_leaves_nothing_open(make_app):
    synchronizers, managers = [], []

    def register(request):
        managers.append(request.tm)
        synchronizers.append(Synchronizer(2, KeyboardInterrupt()))
        request.tm.registerSynch(synchronizers[-1])

    app = make_app({'only': inserting('1')}, on_request=register)
    with pytest.raises(KeyboardInterrupt):
        app.get('/cron')
    assert not is_open(managers[0])


@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_an_invoked_exception_view_causes_no_retry(make_app, veto):
    ran = []

    def task(system):
        ran.append(1)
        try:
            raise TransientError
        except TransientError:
            system['request'].invoke_exception_view()

    def setup(config):
        config.add_exception_view(lambda exc, request: Response('caught'), context=Exception)

    make_app({'first': task}, settings={**RETRY, **veto}, setup=setup).get('/cron', expect_errors=True)
    assert ran == [1]


def failing_later(handler, registry):
    """A tween that does work in the transaction, which fails when pyramid_tm commits."""

    def tween(request):
        response = handler(request)
        joining('tpc_vote', TransientError('later'))(request)
        return response

    return tween


def test_an_error_after_the_run_causes_no_retry(make_app, database):
    def setup(config):
        tweens = types.ModuleType('later_tweens')
        tweens.failing_later = failing_later
        sys.modules['later_tweens'] = tweens
        config.add_tween('later_tweens.failing_later', under='pyramid_tm.tm_tween_factory')

    attempts = []
    app = make_app(
        {'first': inserting('1')},
        settings=RETRY,
        setup=setup,
        on_request=lambda request: attempts.append(request.environ['retry.attempt']),
    )
    with pytest.raises(TransientError):
        app.get('/cron')
    assert database.rows() == ['1']
    assert attempts == [0]


def test_a_transaction_doomed_before_the_run_is_logged(make_app, database, caplog):
    app = make_app({'first': inserting('1')}, on_request=lambda request: request.tm.doom())
    assert statuses(app) == {'first': 'ok'}
    assert database.rows() == []
    assert "the request's transaction is doomed" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_an_exception_view_of_the_application_is_unused(make_app, database, veto):
    seen = []

    def view(exc, request):
        seen.append(exc)
        return Response('sorry')

    def setup(config):
        config.add_exception_view(view, context=Exception)
        config.add_route('flaky', '/flaky')
        config.add_view(lambda request: 1 / 0, route_name='flaky')

    app = make_app(
        {
            'first': inserting('1'),
            'second': inserting('2', raising(RuntimeError())),
            'third': inserting('3'),
            'fourth': inserting('4', parent_id=999),
        },
        settings=veto,
        setup=setup,
    )
    assert app.get('/cron', status=500).text == 'fail: 2 of 4 tasks failed: second, fourth'
    assert database.rows() == ['1', '3']
    assert seen == []
    # it is there
    assert app.get('/flaky').text == 'sorry'


def test_reopen_ignores_a_request_without_pyramid_tm(kind):
    manager = transaction.TransactionManager(explicit=kind == 'explicit')
    transactions.reopen(Request.blank('/cron'), manager)
    assert not is_open(manager)


@pytest.fixture
def managed_request(database, kind):
    """A request with an open transaction of pyramid_tm, in which a row was inserted."""
    request = Request.blank('/cron', environ={'tm.active': True, 'retry.attempt': 0, 'retry.attempts': 3})
    request.tm = transaction.TransactionManager(explicit=kind == 'explicit')
    request.tm.begin()
    request.dbsession = database.join(request.tm)
    insert(request, 'earlier')
    yield request
    request.tm.abort()


def test_a_suspended_request_has_no_transaction_and_no_retry(managed_request, database):
    with transactions.suspended(managed_request):
        assert not is_open(managed_request.tm)
        assert not database.is_locked()
        assert managed_request.environ['retry.attempts'] == 1
    assert is_open(managed_request.tm)
    assert database.rows() == []


def test_a_suspended_request_is_reopened_after_an_exit(managed_request):
    with pytest.raises(SystemExit), transactions.suspended(managed_request):
        raise SystemExit
    assert is_open(managed_request.tm)


def test_a_request_without_pyramid_tm_is_not_suspended(managed_request):
    del managed_request.environ['tm.active']
    with transactions.suspended(managed_request):
        assert is_open(managed_request.tm)
    assert managed_request.environ['retry.attempts'] == 1


def test_the_view_works_with_a_dummy_request():
    ran = []
    with testing.testConfig() as config:
        config.include('pyramid_cron')
        config.add_cron_task(lambda system: ran.append(system['request']), min='*')
        config.commit()
        request = testing.DummyRequest(remote_addr='127.0.0.1')
        assert CronView(request)() == 'ok'
    assert ran == [request]


def commits_unless_an_exception_passes(handler, registry):
    def tween(request):
        with request.dbsession as session:
            response = handler(request)
            session.commit()
        return response

    return tween


def commits_below_400(handler, registry):
    def tween(request):
        with request.dbsession as session:
            response = handler(request)
            if response.status_int < 400:
                session.commit()
        return response

    return tween


@contextlib.contextmanager
def committed(system):
    """A transaction of the session that the tween above ends."""
    session = system['request'].dbsession
    session.rollback()
    with session.begin():
        yield


class Committed:
    """The same as a class."""

    def __init__(self, system):
        self.session = system['request'].dbsession

    def __enter__(self):
        self.session.rollback()
        self.transaction = self.session.begin()
        self.transaction.__enter__()

    def __exit__(self, *raised):
        return self.transaction.__exit__(*raised)


@contextlib.contextmanager
def swallowing(system):
    with committed(system):
        try:
            yield
        except BaseException:
            system['request'].dbsession.rollback()


@pytest.fixture
def make_tween_app(database):
    """Return a function that makes an application with a tween, not pyramid_tm, to end the request's transaction."""
    # the tween is found by a name, and the module of these tests has none that Pyramid could import
    tweens = types.ModuleType('committing_tweens')
    vars(tweens).update({f.__name__: f for f in (commits_unless_an_exception_passes, commits_below_400)})
    sys.modules[tweens.__name__] = tweens

    def make(tasks, tween=commits_unless_an_exception_passes, on_request=None, **settings):
        with Configurator(settings={f'cron.{name}': value for name, value in settings.items()}) as config:
            config.add_tween(f'committing_tweens.{tween.__name__}')
            config.include('pyramid_cron')
            config.add_request_method(lambda request: database.factory(), 'dbsession', reify=True)
            for name, task in tasks.items():
                config.add_cron_task(task, min='*', name=name)
            if on_request is not None:
                config.add_subscriber(lambda event: on_request(event.request), NewRequest)
        return webtest.TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})

    yield make
    del sys.modules[tweens.__name__]


@pytest.mark.slow
@pytest.mark.parametrize('tween', [commits_unless_an_exception_passes, commits_below_400])
@pytest.mark.parametrize('wrapper', [committed, Committed, swallowing])
def test_the_applications_transaction_keeps_only_successes(make_tween_app, database, tween, wrapper):
    tasks = {'1': inserting('1'), '2': inserting('2', raising(RuntimeError())), '3': inserting('3')}
    app = make_tween_app(tasks, tween, transaction=wrapper)
    assert app.get('/cron', status=500).text == 'fail: 1 of 3 tasks failed: 2'
    assert database.rows() == ['1', '3']
    assert not database.is_locked()


@pytest.mark.parametrize(
    ('tween', 'rows'), [(commits_unless_an_exception_passes, ['1', '2', '3']), (commits_below_400, [])]
)
def test_without_the_setting_the_tween_decides_for_all_tasks(make_tween_app, database, tween, rows):
    tasks = {'1': inserting('1'), '2': inserting('2', raising(RuntimeError())), '3': inserting('3')}
    make_tween_app(tasks, tween).get('/cron', status=500)
    assert database.rows() == rows


def test_a_swallowed_failure_is_a_failure(make_tween_app, database):
    exc = RuntimeError('swallowed')
    app = make_tween_app({'1': inserting('1', raising(exc)), '2': inserting('2')}, transaction=swallowing)
    report = tick(app, INSTANT)
    assert [(task.outcome, task.exception) for task in report.tasks] == [('failed', exc), ('ok', None)]
    assert database.rows() == ['2']


@pytest.mark.parametrize('exc', [KeyboardInterrupt, StopIteration, GeneratorExit])
def test_no_exception_is_swallowed(exc):
    raised = exc()
    with pytest.raises(exc) as caught, transactions.application_transaction(Suppressing, {}):
        raise raised
    assert caught.value is raised


class Suppressing:
    def __init__(self, system): ...

    def __enter__(self): ...

    def __exit__(self, *raised):
        return True


def test_a_failing_commit_fails_its_task(make_tween_app, database):
    app = make_tween_app({'1': inserting('1', parent_id=999), '2': inserting('2')}, transaction=committed)
    assert statuses(app) == {'1': 'IntegrityError', '2': 'ok'}
    assert database.rows() == ['2']


def refusing(system):
    raise LookupError


@contextlib.contextmanager
def unopened(system):
    raise LookupError
    yield


@pytest.mark.parametrize('wrapper', [refusing, unopened])
def test_a_wrapper_that_raises_fails_the_uncalled_task(make_tween_app, wrapper):
    ran = []
    app = make_tween_app({'1': ran.append, '2': ran.append}, transaction=wrapper)
    assert statuses(app) == {'1': 'LookupError', '2': 'LookupError'}
    assert ran == []


class Asynchronous:
    async def __aenter__(self): ...

    async def __aexit__(self, *raised): ...


@pytest.mark.parametrize('returned', [None, 5, Asynchronous()], ids=shown)
def test_a_wrapper_without_a_context_manager_is_named(make_tween_app, returned):
    def careless(system):
        return returned

    app = make_tween_app({'1': inserting('1')}, transaction=careless)
    (task,) = tick(app, INSTANT).tasks
    assert isinstance(task.exception, TypeError)
    for part in ('careless', type(returned).__name__, 'no context manager', 'contextlib.contextmanager'):
        assert part in str(task.exception)


def test_the_wrapper_receives_the_tasks_system(make_tween_app):
    given, called = [], []

    def wrapper(system):
        given.append(system)
        return contextlib.nullcontext()

    make_tween_app({'1': called.append, '2': called.append}, transaction=wrapper).get('/cron')
    assert [id(system) for system in given] == [id(system) for system in called]
    assert len(given) == 2


def test_a_returned_coroutine_is_rolled_back_by_the_wrapper(make_tween_app, database):
    async def later(): ...

    def task(system):
        insert(system['request'], '1')
        return later()

    assert statuses(make_tween_app({'1': task}, transaction=committed)) == {'1': 'TypeError'}
    assert database.rows() == []


@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_the_setting_replaces_the_transactions_of_pyramid_tm(make_app, database, veto):
    begun = []

    @contextlib.contextmanager
    def wrapper(system):
        begun.append(system['request'].tm.get())
        yield

    app = make_app(
        {'1': inserting('1'), '2': inserting('2', raising(RuntimeError()))},
        settings={**veto, 'cron.transaction': wrapper},
        on_request=lambda request: insert(request, 'earlier'),
    )
    app.get('/cron', status=500)
    # one transaction, the request's own, which ends as pyramid_tm ends it
    assert begun[0] is begun[1]
    assert database.rows() == ([] if veto else ['earlier', '1', '2'])


def test_with_the_setting_a_doomed_transaction_is_ignored(make_app, database, caplog):
    settings = {'cron.transaction': lambda system: contextlib.nullcontext()}
    app = make_app({'1': inserting('1')}, settings=settings, on_request=lambda request: request.tm.doom())
    assert statuses(app) == {'1': 'ok'}
    assert 'doomed' not in caplog.text


def test_with_the_setting_a_later_error_causes_no_retry(make_app):
    ran = []

    def setup(config):
        tweens = types.ModuleType('later_tweens')
        tweens.failing_later = failing_later
        sys.modules['later_tweens'] = tweens
        config.add_tween('later_tweens.failing_later', under='pyramid_tm.tm_tween_factory')

    settings = {**RETRY, 'cron.transaction': lambda system: contextlib.nullcontext()}
    attempts = []
    app = make_app(
        {'1': ran.append},
        settings=settings,
        setup=setup,
        on_request=lambda request: attempts.append(request.environ['retry.attempt']),
    )
    with pytest.raises(TransientError):
        app.get('/cron')
    assert len(ran) == 1
    assert attempts == [0]


class Server:
    """A PostgreSQL database with the table of rows."""

    def __init__(self, url):
        self.engine = create_engine(url, poolclass=NullPool)
        Base.metadata.create_all(self.engine)

    def rows(self):
        with self.engine.connect() as connection:
            return list(connection.scalars(select(Row.name).order_by(Row.id)))


def swallowing_an_error(request):
    with contextlib.suppress(ProgrammingError):
        request.dbsession.execute(text('SELECT no_such_column FROM rows'))


@pytest.fixture
def server(postgresql):
    return Server(postgresql)


@pytest.fixture(params=[False, True], ids=['one phase', 'two phases'])
def make_server_app(request, server, kind):
    """Return what makes an application with pyramid_tm and PostgreSQL."""

    def make(tasks):
        def dbsession(web_request):
            session = Session(server.engine, twophase=request.param)
            zope.sqlalchemy.register(session, transaction_manager=web_request.tm)
            return session

        settings = {'tm.manager_hook': 'pyramid_tm.explicit_manager'} if kind == 'explicit' else {}
        with Configurator(settings=settings) as config:
            config.include('pyramid_tm')
            config.include('pyramid_cron')
            config.add_request_method(dbsession, reify=True)
            for name, task in tasks.items():
                config.add_cron_task(task, min='*', name=name)
        return webtest.TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})

    return make


@pytest.mark.slow
def test_a_swallowed_database_error_that_aborts_fails_the_task(make_server_app, server):
    app = make_server_app({'1': inserting('1'), '2': inserting('2', swallowing_an_error), '3': inserting('3')})
    report = tick(app, INSTANT)
    assert [task.outcome for task in report.tasks] == ['ok', 'failed', 'ok']
    assert isinstance(report.tasks[1].exception, transactions.Aborted)
    assert 'session.begin_nested()' in str(report.tasks[1].exception)
    assert server.rows() == ['1', '3']


@pytest.mark.slow
def test_an_error_in_a_savepoint_fails_no_task(make_server_app, server):
    def careful(request):
        with contextlib.suppress(ProgrammingError), request.dbsession.begin_nested():
            request.dbsession.execute(text('SELECT no_such_column FROM rows'))

    def through_the_manager(request):
        savepoint = request.tm.savepoint()
        swallowing_an_error(request)
        savepoint.rollback()

    app = make_server_app({'1': inserting('1', careful), '2': inserting('2', through_the_manager)})
    assert statuses(app) == {'1': 'ok', '2': 'ok'}
    assert server.rows() == ['1', '2']


@pytest.mark.slow
def test_an_error_fails_no_task_without_writes(make_server_app, server):
    app = make_server_app({'1': lambda system: swallowing_an_error(system['request'])})
    assert statuses(app) == {'1': 'ok'}


@pytest.mark.slow
def test_an_error_before_a_write_fails_the_task(make_server_app, server):
    def task(system):
        swallowing_an_error(system['request'])
        system['request'].dbsession.add(Row(name='1'))

    assert statuses(make_server_app({'1': task})) == {'1': 'InternalError'}
    assert server.rows() == []


def test_a_session_bound_to_a_connection_is_checked(server):
    manager = transaction.TransactionManager(explicit=True)
    with server.engine.connect() as connection, Session(connection) as session:
        zope.sqlalchemy.register(session, transaction_manager=manager)
        request = types.SimpleNamespace(dbsession=session)
        with pytest.raises(transactions.Aborted), transactions.task_transaction(manager, '1'):
            inserting('1', swallowing_an_error)({'request': request})
    assert server.rows() == []


WITHOUT_PYRAMID_TM = """
import sys
from pyramid.config import Configurator
from webob import Request

def task(system):
    print('ran')

def failing(system):
    raise RuntimeError

import pyramid_cron
with Configurator() as config:
    config.include('pyramid_cron')
    config.add_cron_task(task, min='*')
    config.add_cron_task(failing, min='*')
request = Request.blank('/cron', environ={'REMOTE_ADDR': '127.0.0.1', 'paste.testing': True})
response = request.get_response(config.make_wsgi_app())
print(response.status_int, sorted({'transaction', 'pyramid_tm', 'sqlalchemy'} & set(sys.modules)))
"""


@pytest.mark.slow
def test_without_pyramid_tm_the_transaction_package_is_not_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_PYRAMID_TM], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == ['ran', '500 []']


def test_the_manager_of_a_request_or_its_thread_is_found(monkeypatch):
    manager = transaction.TransactionManager()
    assert transactions.manager_of(testing.DummyRequest(tm=manager)) is manager
    assert transactions.manager_of(testing.DummyRequest()) is transaction.manager
    monkeypatch.delitem(sys.modules, 'transaction')
    assert transactions.manager_of(testing.DummyRequest()) is None


def test_a_task_that_skips_is_rolled_back(make_app, database):
    app = make_app({'1': inserting('1'), '2': inserting('2', raising(Skip('no new file'))), '3': inserting('3')})
    assert app.get('/cron', status=200).text == 'ok: 1 of 3 tasks skipped: 2 (no new file)'
    assert database.rows() == ['1', '3']


@pytest.mark.parametrize('wrapper', [committed, Committed, swallowing])
def test_a_task_that_skips_is_rolled_back_by_the_application(make_tween_app, database, wrapper):
    tasks = {'1': inserting('1'), '2': inserting('2', raising(Skip('no new file'))), '3': inserting('3')}
    app = make_tween_app(tasks, transaction=wrapper)
    assert app.get('/cron', status=200).text == 'ok: 1 of 3 tasks skipped: 2 (no new file)'
    assert database.rows() == ['1', '3']
