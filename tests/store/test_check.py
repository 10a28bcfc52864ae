"""What ``pcron store check`` finds out, with databases and applications as they really are."""

import re

import pytest
from sqlalchemy import create_engine, inspect, select, text

from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.store.check import _of_clock
from pyramid_cron.store.schema import metadata, processes

APP = """
import contextlib

import sqlalchemy
import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy.orm import Session, scoped_session, sessionmaker

def registered(request):
    session = Session(request.registry['engine'])
    zope.sqlalchemy.register(session, transaction_manager=request.tm)
    return session

def scoped(request):
    factory = scoped_session(sessionmaker(request.registry['engine']))
    zope.sqlalchemy.register(factory, transaction_manager=request.tm)
    return factory

def plain(request):
    return Session(request.registry['engine'])

def nothing(request):
    return None

def broken(request):
    raise LookupError('no engine today')

def closed(handler, registry):
    return lambda request: Response(status=503)

@contextlib.contextmanager
def commits(system):
    with system['request'].dbsession.begin():
        yield

def main(global_config, kind='registered', **settings):
    with Configurator(settings=settings) as config:
        if settings.get('tm') != 'no':
            config.include('pyramid_tm')
        config.include('pyramid_cron')
        config.registry['engine'] = sqlalchemy.create_engine(settings.get('sqlalchemy.url', settings['cron.store']))
        config.add_request_method(globals()[kind], 'dbsession', reify=True)
        if 'closed' in settings:
            config.add_tween(__name__ + '.closed')
        config.add_cron_task(lambda system: 1 / 0, min='*', name='never called')
        return config.make_wsgi_app()
"""


@pytest.fixture
def check(write_module, tmp_path, monkeypatch, capsys):
    """Return a function that checks the store of an application with these settings, and returns status and lines."""
    module = write_module(APP)
    ini = tmp_path / 'shop.ini'

    def run(url, columns=500, **settings):
        monkeypatch.setenv('COLUMNS', str(columns))
        settings = {'cron.store': url, 'tm.manager_hook': 'pyramid_tm.explicit_manager', **settings}
        lines = '\n'.join(f'{key} = {value}' for key, value in settings.items() if value).replace('MODULE', module)
        ini.write_text(f'[app:main]\nuse = call:{module}:main\n{lines}\n')
        command = PCronCommand(['pcron', 'store', 'check', str(ini)])
        status = command.run()
        command.registry['engine'].dispose()
        command.claims.database.engine.dispose()
        out, err = capsys.readouterr()
        assert err == ''
        return status, re.sub(r'in \d+ ms', 'in 1 ms', re.sub(r'\d+\.\d s', '0.0 s', out)).splitlines()

    return run


@pytest.fixture
def url(tmp_path):
    """The URL of an SQLite database with the tables."""
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url)
    return url


def make_tables(url, *statements):
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def known_processes(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.scalars(select(processes.c.id)))
    engine.dispose()
    return found


UNSET = 'ok    session   cron.session is not set: a run that dies is reported as lost, and is not repeated'
JOINS = 'ok    session   cron.session = dbsession joins: what a task does there commits with its record'


def test_a_store_that_can_be_used_has_status_0(check, url):
    status, lines = check(url)
    version = create_engine('sqlite://').dialect.dbapi.sqlite_version
    assert status == 0
    assert [line.replace('behind', 'ahead of') for line in lines] == [
        f'ok    database  {url}, SQLite {version}, answered in 1 ms',
        "ok    clock     this machine's is 0.0 s ahead of the database's",
        'ok    tables    all 6 are there',
        'ok    writing   it can be written',
        UNSET,
    ]


def test_it_fits_a_terminal(check, url):
    assert max(map(len, check(url, columns=80, **{'cron.session': 'nothing'})[1][1:])) <= 80


@pytest.mark.parametrize('kind', ['registered', 'scoped'])
@pytest.mark.parametrize('hook', ['pyramid_tm.explicit_manager', ''])
def test_a_session_that_pyramid_tm_commits_joins_and_nothing_of_the_trial_is_left(check, url, kind, hook):
    status, lines = check(url, kind=kind, **{'cron.session': 'dbsession', 'tm.manager_hook': hook})
    assert (status, lines[-1]) == (0, JOINS)
    assert known_processes(url) == []


def test_a_session_that_the_application_commits_joins(check, url):
    settings = {'kind': 'plain', 'tm': 'no', 'cron.session': 'dbsession', 'cron.transaction': 'MODULE.commits'}
    assert check(url, **settings)[1][-1] == JOINS
    assert known_processes(url) == []


def test_postgresql_can_be_used_and_joins(check, postgresql):
    make_tables(postgresql)
    status, lines = check(postgresql, **{'cron.session': 'dbsession'})
    assert status == 0
    shown = postgresql.partition('?')[0]
    assert re.fullmatch(rf'ok    database  {re.escape(shown)}, PostgreSQL \d+\.\d+, answered in 1 ms', lines[0])
    assert lines[-2:] == ['ok    writing   it can be written', JOINS]
    assert known_processes(postgresql) == []


def test_a_session_that_nobody_commits_does_not_join(check, url):
    status, lines = check(url, kind='plain', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (
        1,
        'fail  session   cron.session = dbsession is not committed with the task: register it with zope.sqlalchemy '
        'where pyramid_tm is active, or commit it in what cron.transaction names',
    )


def test_a_session_of_another_database_does_not_join(check, url, tmp_path):
    other = f'sqlite:///{tmp_path}/other.sqlite'
    make_tables(other)
    status, lines = check(url, **{'cron.session': 'dbsession', 'sqlalchemy.url': other})
    assert status == 1
    assert lines[-1].startswith('fail  session   cron.session = dbsession leads to another database than cron.store: ')
    assert known_processes(url) == known_processes(other) == []


def test_what_is_no_session_does_not_join(check, url):
    status, lines = check(url, kind='nothing', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (
        1,
        'fail  session   cron.session = dbsession is a NoneType, and no session of SQLAlchemy',
    )


def test_an_error_of_the_application_is_told(check, url):
    status, lines = check(url, kind='broken', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (1, 'fail  session   cron.session = dbsession: LookupError: no engine today')


def test_an_application_that_answers_before_is_told(check, url):
    status, lines = check(url, closed='yes', **{'cron.session': 'dbsession'})
    assert status == 1
    assert lines[-1] == ('fail  session   the application answered 503 Service Unavailable before its tasks could run')


def test_before_the_first_tick_there_is_no_file_and_none_is_made(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/cron.sqlite', **{'cron.session': 'dbsession'})
    assert (status, lines) == (
        0,
        [
            f'ok    database  no file {tmp_path}/cron.sqlite yet: the first tick makes it, with the tables',
            'ok    session   cron.session = dbsession is not tried before there are tables',
        ],
    )
    assert not (tmp_path / 'cron.sqlite').exists()


def test_a_file_in_a_folder_that_is_not_there_cannot_be_made(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/missing/cron.sqlite')
    assert (status, lines[0]) == (
        1,
        f'fail  database  no file {tmp_path}/missing/cron.sqlite, and this account cannot make one in '
        f'{tmp_path}/missing',
    )


def test_a_file_that_nobody_is_to_make_is_lacking(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/cron.sqlite', **{'cron.create_tables': 'false'})
    assert (status, lines[0]) == (
        1,
        f'fail  database  no file {tmp_path}/cron.sqlite, and cron.create_tables is false: let Alembic make it',
    )


@pytest.mark.parametrize(
    ('create', 'status', 'mark', 'remedy'),
    [
        ('true', 0, 'ok   ', ' yet: {}; the first tick makes them (cron.create_tables)'),
        ('false', 1, 'fail ', ': {}; let Alembic make them, or set cron.create_tables = true'),
    ],
)
def test_tables_that_are_lacking_are_named_and_not_made(check, postgresql, create, status, mark, remedy):
    names = 'cron_gaps, cron_pauses, cron_processes, cron_runs, cron_tasks, cron_ticks'
    ended, lines = check(postgresql, **{'cron.create_tables': create})
    assert (ended, lines[2:]) == (status, [f'{mark} tables    not there{remedy.format(names)}', UNSET])
    engine = create_engine(postgresql)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_tables_of_another_version_are_told_from_these(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, 'ALTER TABLE cron_tasks DROP COLUMN busy_until')
    status, lines = check(url)
    assert (status, lines[2]) == (
        1,
        'fail  tables    not there: cron_tasks.busy_until; another version made them: migrate or drop them',
    )


def test_an_account_that_may_not_write_is_told(check, postgresql_server, postgresql):
    make_tables(postgresql, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC')
    account = 'reader'
    postgresql_server.execute(f'CREATE ROLE {account} LOGIN')
    status, lines = check(postgresql.replace('cron@', f'{account}:secret@'))
    assert status == 1
    assert lines[0].startswith(f'ok    database  postgresql+psycopg://{account}:***@/')
    assert lines[3] == 'fail  writing   it cannot be written: permission denied for table cron_gaps'


def test_a_database_that_does_not_answer_is_told_without_a_password(check, tmp_path):
    status, lines = check(
        f'postgresql+psycopg://cron:a-secret@/shop?host={tmp_path}', **{'sqlalchemy.url': 'sqlite://'}
    )
    assert status == 1
    assert lines[0].startswith('fail  database  postgresql+psycopg://cron:***@/shop: connection ')
    assert 'a-secret' not in ''.join(lines)


@pytest.mark.parametrize(
    ('ahead', 'ok', 'told'),
    [
        (2.04, True, '2.0 s ahead of'),
        (-60, True, '60.0 s behind'),
        (60.1, False, '60.1 s ahead of'),
        (-61, False, '61.0 s behind'),
    ],
)
def test_clocks_that_are_more_than_a_minute_apart_are_a_fault(ahead, ok, told):
    finding = _of_clock(ahead)
    assert (finding.ok, finding.text.partition(" the database's")[0]) == (ok, f"this machine's is {told}")
