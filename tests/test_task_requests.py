"""A request of its own for each task, with real sessions and tweens: ``cron.requests = each``."""

import contextlib
import sqlite3
import sys
import types
from datetime import datetime, timezone

import pytest
import transaction
import webtest
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import get_current_request
from sqlalchemy import ForeignKeyConstraint, NullPool, String, create_engine, event, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from transaction.interfaces import NoTransaction, TransientError

from pyramid_cron import Skip
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.store.schema import tasks
from pyramid_cron.testing import tick
from tests.support.enqueueing import LONG, Queue, begin
from tests.support.requests import LOCAL

EXPLICIT = {'tm.manager_hook': 'pyramid_tm.explicit_manager'}
VETO = {'tm.commit_veto': 'pyramid_tm.default_commit_veto'}
IN_TM, OVER_TM = {'under': 'pyramid_tm.tm_tween_factory'}, {'over': 'pyramid_tm.tm_tween_factory'}
MINUTE = datetime(2026, 7, 1, 9, 30, tzinfo=timezone.utc)


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = 'rows'

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    parent_id: Mapped[int | None]
    # checked when the transaction commits, which MariaDB cannot
    __table_args__ = (
        ForeignKeyConstraint(['parent_id'], ['rows.id'], deferrable=True, initially='DEFERRED').ddl_if(
            dialect=('sqlite', 'postgresql')
        ),
    )


class Site:
    """An application with tasks that have requests of their own, and what happened in it."""

    def __init__(self, path):
        self.path = path
        self.engine = create_engine(f'sqlite:///{path}', poolclass=NullPool)
        event.listen(self.engine, 'connect', lambda connection, _: connection.execute('PRAGMA foreign_keys = ON'))
        Base.metadata.create_all(self.engine)
        self.settings = {'cron.requests': 'each'}
        self.tweens = []
        self.tasks = {}
        self.includes = ['pyramid_tm']
        #: what a task or a callback has noted
        self.seen = []

    def dbsession(self, request):
        session = sessionmaker(self.engine)()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        request.add_finished_callback(lambda request: session.close())
        return session

    def add(self, name, then=lambda request: None, **values):
        """Add a task that inserts a row, and then does something with its request."""

        def task(system):
            system['request'].dbsession.add(Row(name=name, **values))
            system['request'].dbsession.flush()
            return then(system['request'])

        self.tasks[name] = task
        return self

    def tween(self, around, **position):
        """Add a tween: a function of the handler and the request."""
        self.tweens.append((around, position))
        return self

    def make(self, monkeypatch, setup=lambda config: None):
        module = types.ModuleType('tweens_of_a_test')
        monkeypatch.setitem(sys.modules, module.__name__, module)
        config = Configurator(settings=self.settings)
        for name in self.includes:
            config.include(name)
        config.include('pyramid_cron')
        config.add_request_method(self.dbsession, reify=True)
        for number, (around, position) in enumerate(self.tweens):
            factory = lambda handler, registry, around=around: lambda request: around(handler, request)  # noqa: E731
            setattr(module, f'tween_{number}', factory)
            config.add_tween(f'{module.__name__}.tween_{number}', **position)
        for name, task in self.tasks.items():
            config.add_cron_task(task, min='*', name=name)
        setup(config)
        return webtest.TestApp(config.make_wsgi_app(), extra_environ=dict(LOCAL))

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return [name for (name,) in connection.execute('SELECT name FROM rows ORDER BY id')]


@pytest.fixture(params=['explicit', 'thread-local'])
def site(request, tmp_path):
    transaction.abort()
    site = Site(tmp_path / 'rows.sqlite')
    site.settings |= EXPLICIT if request.param == 'explicit' else {}
    yield site
    site.engine.dispose()
    # no transaction is left open in this thread
    transaction.manager.explicit = True
    try:
        with pytest.raises(NoTransaction):
            transaction.manager.get()
    finally:
        transaction.manager.explicit = False
        transaction.abort()


@pytest.fixture
def run(site, monkeypatch):
    """Return a function that makes the application, ticks, and returns the outcomes, or what tasks raised."""

    def run(setup=lambda config: None, **headers):
        app = site.make(monkeypatch, setup)
        answer = app.get('/cron', headers={'Accept': 'application/json', **headers}, expect_errors=True)
        return {task['name']: task.get('exception', task['outcome']) for task in answer.json['tasks']}

    return run


def raising(exc):
    def then(request):
        raise exc

    return then


def test_each_task_has_a_request_of_its_own(site, run):
    def then(request):
        site.seen.append((request, request.dbsession, get_current_request()))

    outer = []
    site.add('a', then).add('b', then)
    site.tween(lambda handler, request: outer.append(request) or handler(request))
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.rows() == ['a', 'b']
    # that of the tick comes first
    assert len(set(outer)) == len(outer) == 3
    assert [request for request, _, _ in site.seen] == outer[1:]
    assert all(request is current for request, _, current in site.seen)
    assert site.seen[0][1] is not site.seen[1][1]


def test_by_default_they_share_one(site, run):
    site.settings['cron.requests'] = 'one'
    site.add('a', site.seen.append).add('b', site.seen.append)
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.seen[0] is site.seen[1]


def test_what_a_tween_sets_up_reaches_each_task(site, run):
    def set_up(handler, request):
        request.dbsession.add(Row(name='set up'))
        return handler(request)

    site.add('a').add('b', raising(LookupError())).add('c')
    site.tween(set_up, **IN_TM)
    assert run() == {'a': 'ok', 'b': 'LookupError', 'c': 'ok'}
    # in the transaction of each task; that of the tick is rolled back
    assert site.rows() == ['set up', 'a', 'set up', 'c']


@pytest.mark.slow
@pytest.mark.parametrize('veto', [{}, VETO, {'tm.commit_veto': lambda request, response: False}])
@pytest.mark.parametrize('view', [False, True], ids=['raised', 'exception view'])
def test_a_failed_task_is_rolled_back_by_itself(site, run, veto, view):
    def setup(config):
        if view:
            config.add_exception_view(lambda exc, request: Response('sorry'), context=Exception)

    site.settings |= veto
    site.add('a').add('b', raising(TransientError())).add('c', parent_id=999).add('d')
    assert run(setup) == {'a': 'ok', 'b': 'TransientError', 'c': 'IntegrityError', 'd': 'ok'}
    assert site.rows() == ['a', 'd']


@pytest.mark.parametrize('veto', [{}, VETO], ids=['no veto', 'veto'])
def test_a_commit_that_fails_last_leaves_the_answer(site, monkeypatch, veto):
    site.settings |= veto
    site.add('a').add('b', parent_id=999)
    view = lambda exc, request: Response('sorry')  # noqa: E731
    app = site.make(monkeypatch, lambda config: config.add_exception_view(view, context=Exception))
    assert app.get('/cron', status=500).text == 'fail: 1 of 2 tasks failed: b'
    assert site.rows() == ['a']


def test_callbacks_are_those_of_one_task(site, run):
    def calling(name):
        def then(request):
            request.add_response_callback(lambda request, response: site.seen.append(f'{name} responded'))
            request.add_finished_callback(lambda request: site.seen.append(f'{name} finished'))
            if name == 'b':
                raise LookupError

        return then

    for name in 'abc':
        site.add(name, calling(name))
    run()
    assert site.seen == ['a responded', 'a finished', 'b finished', 'c responded', 'c finished']


@pytest.mark.parametrize('exc', [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_is_the_failure_of_its_task(site, monkeypatch, exc):
    def tween(handler, request):
        try:
            return handler(request)
        except Exception as exc:
            site.seen.append(type(exc).__name__)
            raise

    site.add('a', raising(exc)).add('b').tween(tween, **OVER_TM)
    app = site.make(monkeypatch)
    report = run_through(app.app, app.app.registry, current_minute(), exits=())
    assert [task.outcome for task in report.tasks] == ['failed', 'ok']
    assert report.tasks[0].exception is exc
    # tweens do not expect it
    assert site.seen == ['TaskExited']
    assert site.rows() == ['b']


def exit_at_commit(request):
    request.tm.get().addBeforeCommitHook(raising(KeyboardInterrupt()), (request,))


@pytest.mark.parametrize('then', [raising(KeyboardInterrupt()), exit_at_commit], ids=['in the task', 'at its commit'])
def test_an_exit_of_the_server_leaves_nothing_open(site, monkeypatch, then):
    site.add('a', then).add('b')
    app = site.make(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run_through(app.app, app.app.registry, current_minute(), exits=OF_SERVERS)
    assert site.rows() == []


def test_an_exit_without_pyramid_tm_passes(site, monkeypatch):
    site.includes = []
    site.tasks['a'] = raising(KeyboardInterrupt())
    app = site.make(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run_through(app.app, app.app.registry, current_minute())


def test_an_error_of_a_tween_is_the_failure_of_one_task(site, run):
    def tween(handler, request):
        site.seen.append(request)
        if len(site.seen) == 3:
            raise OSError('away')
        return handler(request)

    site.add('a').add('b').add('c').tween(tween)
    assert run() == {'a': 'ok', 'b': 'OSError', 'c': 'ok'}
    assert site.rows() == ['a', 'c']


def answering(status, number, after=False):
    """Return a tween that answers a request by itself, the first of which has the number 1."""
    count = []

    def tween(handler, request):
        count.append(request)
        if len(count) != number:
            return handler(request)
        if after:
            handler(request)
        return Response('closed', status=status)

    return tween


@pytest.mark.parametrize('status', [200, 302, 503])
def test_an_answer_before_the_task_is_its_failure(site, run, status, caplog):
    site.add('a').add('b').tween(answering(status, 2))
    assert run() == {'a': 'NotCompleted', 'b': 'ok'}
    assert f'the application answered {status} ' in caplog.text
    assert 'before the task could run' in caplog.text


def test_an_error_after_the_commit_is_logged(site, run, caplog):
    def fail(request, response):
        raise OSError('away')

    site.add('a', lambda request: request.add_response_callback(fail)).add('b')
    # a retry would do it twice
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.rows() == ['a', 'b']
    assert 'task a is committed, and the application failed after that' in caplog.text


def test_without_pyramid_tm_an_error_after_the_task_is_its_failure(site, run, caplog):
    site.includes = []
    site.tasks = dict.fromkeys('ab', lambda system: None)
    site.tween(answering(503, 2, after=True))
    assert run() == {'a': 'NotCompleted', 'b': 'ok'}
    assert 'the application answered 503 Service Unavailable after the task' in caplog.text


def test_without_pyramid_tm_the_exception_passes_through_the_tweens(site, run):
    """A tween that commits unless an exception passes, as of applications without pyramid_tm."""

    def tween(handler, request):
        request.own = Session(site.engine)
        with request.own, request.own.begin():
            return handler(request)

    def adding(name, exc=None):
        def task(system):
            system['request'].own.add(Row(name=name))
            if exc is not None:
                raise exc

        return task

    site.includes = []
    site.tasks = {'a': adding('a'), 'b': adding('b', LookupError()), 'c': adding('c', Skip('why')), 'd': adding('d')}
    site.tween(tween)
    assert run() == {'a': 'ok', 'b': 'LookupError', 'c': 'skipped', 'd': 'ok'}
    assert site.rows() == ['a', 'd']


def test_a_skip_is_no_error_to_the_tweens(site, run):
    def tween(handler, request):
        response = handler(request)
        site.seen.append(response.status_int)
        return response

    site.add('a', raising(Skip('no new file'))).add('b').tween(tween)
    assert run() == {'a': 'skipped', 'b': 'ok'}
    assert site.seen == [200, 200, 200]
    assert site.rows() == ['b']


def test_a_veto_is_the_failure_of_a_task(site, run, caplog):
    site.settings['tm.commit_veto'] = lambda request, response: bool(site.seen) and site.seen.pop()
    site.add('a', lambda request: site.seen.append(True)).add('b')
    assert run() == {'a': 'NotCompleted', 'b': 'ok'}
    assert site.rows() == ['b']
    assert 'the application rolled back the transaction of the task: a commit veto' in caplog.text


def test_a_task_may_doom_its_transaction(site, run, caplog):
    site.add('a', lambda request: request.tm.doom()).add('b')
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.rows() == ['b']
    assert 'the transaction of task a is doomed: rolling it back' in caplog.text


@pytest.mark.parametrize(('end', 'rows'), [('commit', ['a', 'b']), ('abort', ['b'])])
def test_a_task_may_end_its_transaction(site, run, end, rows):
    site.add('a', lambda request: getattr(request.tm, end)()).add('b')
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.rows() == rows


def test_the_application_may_end_it_before(site, run):
    def tween(handler, request):
        request.tm.abort()
        return handler(request)

    site.add('a').add('b', raising(LookupError())).tween(tween, **IN_TM)
    assert run() == {'a': 'ok', 'b': 'LookupError'}
    assert site.rows() == ['a']


def test_a_failure_of_the_commit_after_an_own_end_is_noticed(site, run):
    def then(request):
        request.tm.commit()
        request.tm.begin()
        request.dbsession.add(Row(name='more', parent_id=999))

    site.add('a', then).add('b')
    assert run() == {'a': 'IntegrityError', 'b': 'ok'}
    assert site.rows() == ['a', 'b']


def test_a_tween_that_repeats_a_request_runs_no_task_twice(site, run, caplog):
    def tween(handler, request):
        try:
            return handler(request)
        except OSError:
            return handler(request)

    site.add('a', lambda request: site.seen.append('a') or raising(OSError())(request)).add('b')
    site.tween(tween)
    assert run() == {'a': 'OSError', 'b': 'ok'}
    assert site.seen == ['a']


def test_pyramid_retry_repeats_nothing(site, run):
    site.includes.append('pyramid_retry')
    site.settings['retry.attempts'] = '3'
    site.add('a', lambda request: site.seen.append('a') or raising(TransientError())(request)).add('b')
    assert run() == {'a': 'TransientError', 'b': 'ok'}
    assert site.seen == ['a']
    assert site.rows() == ['b']


def test_an_error_of_the_tick_itself_repeats_nothing(site, monkeypatch):
    def tween(handler, request):
        response = handler(request)
        site.seen.append(request)
        if len(site.seen) == 2:
            # that of the tick ends last
            raise TransientError
        return response

    site.includes.append('pyramid_retry')
    site.settings['retry.attempts'] = '3'
    site.add('a').tween(tween, **IN_TM)
    app = site.make(monkeypatch)
    with pytest.raises(TransientError):
        app.get('/cron')
    assert site.rows() == ['a']


def test_the_transaction_of_the_tick_is_not_open_meanwhile(site, run):
    first = []

    def only_first(handler, request):
        if not first:
            first.append(request)
            request.dbsession.add(Row(name='of the tick'))
            # locks out every other writer of SQLite
            request.dbsession.flush()
        return handler(request)

    site.add('a').add('b').tween(only_first, **IN_TM)
    assert run() == {'a': 'ok', 'b': 'ok'}
    assert site.rows() == ['a', 'b']


def test_the_identity_is_that_of_the_tick(site, run):
    def note(system):
        request = system['request']
        site.seen.append((request.headers['Cron-Secret'], request.remote_addr, request.method, request.body))

    site.settings['cron.secret'] = secret = 'of sixteen letters or more'
    site.tasks['a'] = note
    assert run(**{'Cron-Secret': secret}) == {'a': 'ok'}
    assert site.seen[0] == (secret, '127.0.0.1', 'GET', b'')


def test_a_body_of_the_tick_is_not_that_of_a_task(site, monkeypatch):
    def note(system):
        request = system['request']
        site.seen.append((request.method, request.body, request.environ['wsgi.input'].read()))

    site.tasks['a'] = note
    site.make(monkeypatch).post('/cron', b'x' * 10)
    assert site.seen == [('POST', b'', b'')]


def test_what_webob_keeps_of_the_tick_is_not_that_of_a_task(site, run):
    def tween(handler, request):
        site.seen.append('webob.adhoc_attrs' in request.environ)
        request.environ['webob.adhoc_attrs'] = {'user': 'of this request'}
        return handler(request)

    site.add('a').add('b').tween(tween)
    run()
    assert site.seen == [False] * 3


def test_tasks_see_the_external_url(site, run):
    site.settings['cron.url'] = 'https://example.com/shop'
    site.tasks['a'] = lambda system: site.seen.append(system['request'].route_url('cron'))
    run()
    assert site.seen == ['https://example.com/shop/cron']


def test_the_time_left_is_that_of_the_tick(site, run):
    site.tasks = dict.fromkeys('ab', lambda system: site.seen.append(system['time_left']))
    run()
    assert site.seen[0] is site.seen[1]


def test_a_task_may_have_a_transaction_of_another_kind(site, run):
    @contextlib.contextmanager
    def wrapper(system):
        with Session(site.engine) as session, session.begin():
            system['own'] = session
            yield

    def adding(name, exc=None):
        def task(system):
            system['own'].add(Row(name=name))
            if exc is not None:
                raise exc

        return task

    site.settings['cron.transaction'] = wrapper
    site.tasks = {'a': adding('a'), 'b': adding('b', LookupError())}
    assert run() == {'a': 'ok', 'b': 'LookupError'}
    assert site.rows() == ['a']


def test_a_test_that_rolls_back_everything_is_respected(site, monkeypatch):
    """The pattern of pyramid_tm's documentation: the test has begun and doomed a transaction."""
    site.add('a')
    app = site.make(monkeypatch)
    manager = transaction.TransactionManager(explicit=True)
    manager.begin()
    manager.doom()
    app.extra_environ |= {'tm.active': True, 'tm.manager': manager}
    assert app.get('/cron').text == 'ok'
    manager.abort()
    assert site.rows() == []


def test_an_exit_in_such_a_test_leaves_its_transaction(site, monkeypatch):
    site.add('a', raising(KeyboardInterrupt()))
    app = site.make(monkeypatch)
    manager = transaction.TransactionManager(explicit=True)
    manager.begin()
    manager.doom()
    environ = {'tm.active': True, 'tm.manager': manager}
    with pytest.raises(KeyboardInterrupt):
        run_through(app.app, app.app.registry, current_minute(), environ=environ)
    assert manager.isDoomed()
    manager.abort()


def test_the_answers_body_is_closed(site, run):
    class Body(list):
        def close(self):
            site.seen.append('closed')

    def tween(handler, request):
        response = handler(request)
        response.app_iter = Body(response.app_iter)
        return response

    site.add('a').tween(tween)
    assert run() == {'a': 'ok'}
    assert site.seen == ['closed'] * 2


def test_a_registry_has_no_router_and_one_request(site, monkeypatch):
    site.includes = []
    site.tasks = dict.fromkeys('ab', lambda system: site.seen.append(system['request']))
    app = site.make(monkeypatch)
    tick(app.app.registry, MINUTE)
    assert site.seen[0] is site.seen[1]


def test_the_factory_of_requests_is_the_applications(site, run):
    class Own(Request):
        pass

    site.tasks['a'] = lambda system: site.seen.append(isinstance(system['request'], Own))
    assert run(lambda config: config.set_request_factory(Own)) == {'a': 'ok'}
    assert site.seen == [True]


# with a store


@pytest.fixture
def stored(servers):
    """Return a function that starts a server with a session that its runs join, in requests of their own."""
    made = []

    def start(**settings):
        own = create_engine(servers.url)
        made.append(own)

        def include(config):
            config.include('pyramid_tm')
            config.add_request_method(dbsession, reify=True)

        def dbsession(request):
            session = sessionmaker(own)()
            zope.sqlalchemy.register(session, transaction_manager=request.tm)
            return session

        Base.metadata.create_all(own)
        return servers.start(include=include, requests='each', session='dbsession', **EXPLICIT, **settings)

    yield start
    for own in made:
        Base.metadata.drop_all(own)
        own.dispose()


def through_the_application(server):
    server.ready()
    claims = server.claims
    server.target = webtest.TestApp(server.config.make_wsgi_app())
    server.registry['cron_claims'].in_store = claims
    return server


@pytest.mark.slow
@pytest.mark.each_database
def test_a_joined_run_is_recorded_in_its_own_transaction(servers, stored):
    def body(system):
        system['request'].dbsession.add(Row(name=system['request'].path))

    def fail(system):
        body(system)
        raise LookupError

    server = through_the_application(stored().add(body=body).add('other', body=fail).add('third', body=body))
    report = server.tick(0)
    assert [task.outcome for task in report.tasks] == ['ok', 'failed', 'ok']
    assert servers.history('task', 'outcome') == [('task', 'ok'), ('other', 'failed'), ('third', 'ok')]
    assert [row['name'] for row in servers.rows(Row.__table__)] == ['/cron'] * 2
    assert {row['run_id'] for row in servers.rows(tasks)} == {None}


def test_a_change_that_is_not_committed_is_noticed(servers, stored):
    def body(system):
        # without mark_changed()
        system['request'].dbsession.execute(Row.__table__.insert().values(name='lost'))

    server = through_the_application(stored().add(body=body))
    [task] = server.tick(0).tasks
    assert task.error == 'NotCommitted'
    assert servers.history() == ['failed']


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_that_was_taken_over_commits_nothing(servers, stored):
    def body(system):
        system['request'].dbsession.add(Row(name='late'))
        servers.change(run_id='of another process')

    server = through_the_application(stored().add(body=body))
    [task] = server.tick(0).tasks
    assert task.error == 'Fenced'
    assert servers.rows(Row.__table__) == []


def test_an_enqueued_run_has_a_request_of_its_own_in_its_worker(servers, stored):
    queue, seen = Queue(), []

    def body(system):
        seen.append(system['request'])
        system['request'].dbsession.add(Row(name='of a worker'))

    for name in ('web', 'worker'):
        server = stored(catch_up=LONG).add(body=body, via=queue)
        if name == 'web':
            assert [task.outcome for task in server.tick(0).tasks] == ['queued']
    server.ready()
    assert begin(server, queue[0]).outcome == 'ok'
    assert servers.history() == ['ok']
    assert [row['name'] for row in servers.rows(Row.__table__)] == ['of a worker']


def test_idle_tasks_run_in_requests_of_their_own(servers, stored):
    seen = []
    server = stored()
    for name, idle in (('idle', True), ('normal', False)):
        server.add(name, body=lambda system: seen.append(system['request']), idle=idle)
    through_the_application(server).tick(0)
    assert [name for name, _ in server.ran] == ['normal', 'idle']
    assert len(set(seen)) == 2


@pytest.mark.each_server
def test_a_task_that_swallows_an_error_of_the_server_has_failed(servers, stored):
    """PostgreSQL would answer the commit with a rollback, without an error."""

    def body(system):
        session = system['request'].dbsession
        session.add(Row(name='lost'))
        session.flush()
        with contextlib.suppress(ProgrammingError):
            session.execute(text('SELECT * FROM nothing'))

    server = through_the_application(stored().add(body=body))
    [task] = server.tick(0).tasks
    if servers.engine.dialect.name == 'postgresql':
        assert task.error == 'Aborted'
        assert servers.history() == ['failed']
        assert servers.rows(Row.__table__) == []
