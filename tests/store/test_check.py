"""``pcron store check`` with databases as they really are."""

import re
import resource

import pytest
from sqlalchemy import create_engine, func, inspect, select, text

from pyramid_cron.store.check import _of_clock
from pyramid_cron.store.schema import runs
from tests.support.store_check import known_processes, make_tables

UNSET = 'ok    session   cron.session is not set: a run that dies is reported as lost, and is not repeated'
TEXTS = 'ok    texts     all characters can be stored'
EXPERIMENTAL = (
    'warn  support   {} is experimental: the tests that kill servers and break the database run on SQLite and '
    'PostgreSQL only'
)
JOINS = 'ok    session   cron.session = dbsession joins: what a task does there commits with its record'


def test_a_good_store_has_status_0(check, made_url):
    status, lines = check(made_url)
    version = create_engine('sqlite://').dialect.dbapi.sqlite_version
    assert status == 0
    assert [line.replace('behind', 'ahead of') for line in lines] == [
        f'ok    database  {made_url}, SQLite {version}, answered in 1 ms',
        "ok    clock     this machine's is 0.0 s ahead of the database's",
        'ok    tables    all 8 are there, version 1.2',
        'ok    writing   it can be written',
        TEXTS,
        UNSET,
    ]


def test_a_function_that_scrubs_does_not_matter(check, made_url):
    # whatever text it returns, the check compares the one that it has written
    status, lines = check(made_url, **{'cron.scrub': 'builtins.ascii'})
    assert (status, lines[-2]) == (0, TEXTS)


def test_the_output_fits_a_terminal(check, made_url, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    assert max(map(len, check(made_url, **{'cron.session': 'nothing'})[1][1:])) <= 80


@pytest.mark.slow
def test_a_good_store_on_postgresql_has_status_0(check, postgresql):
    make_tables(postgresql)
    status, lines = check(postgresql, **{'cron.session': 'dbsession'})
    assert status == 0
    shown = postgresql.partition('?')[0]
    assert re.fullmatch(rf'ok    database  {re.escape(shown)}, PostgreSQL \d+\.\d+, answered in 1 ms', lines[0])
    assert lines[-2:] == [TEXTS, JOINS]
    assert known_processes(postgresql) == []


def test_a_store_on_mariadb_is_experimental(check, mariadb):
    make_tables(mariadb)
    status, lines = check(mariadb)
    assert (status, lines[1]) == (0, EXPERIMENTAL.format('MariaDB'))


def test_the_check_creates_no_file(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/cron.sqlite', **{'cron.session': 'dbsession'})
    assert (status, lines) == (
        0,
        [
            f'ok    database  no file {tmp_path}/cron.sqlite yet: the first tick creates it, with the tables',
            'ok    session   cron.session = dbsession is not checked before there are tables',
        ],
    )
    assert not (tmp_path / 'cron.sqlite').exists()


def test_a_file_in_a_missing_folder_fails(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/missing/cron.sqlite')
    assert (status, lines[0]) == (
        1,
        f'fail  database  no file {tmp_path}/missing/cron.sqlite, and this account cannot create one in '
        f'{tmp_path}/missing',
    )


def test_a_missing_file_without_create_tables_fails(check, tmp_path):
    status, lines = check(f'sqlite:///{tmp_path}/cron.sqlite', **{'cron.create_tables': 'false'})
    assert (status, lines[0]) == (
        1,
        f'fail  database  no file {tmp_path}/cron.sqlite, and cron.create_tables is false: create it with Alembic',
    )


@pytest.mark.parametrize(
    ('create', 'status', 'mark', 'remedy'),
    [
        ('true', 0, 'ok   ', ' yet: {}; the first tick creates them (cron.create_tables)'),
        ('false', 1, 'fail ', ': {}; create them with Alembic, or set cron.create_tables = true'),
    ],
)
def test_missing_tables_are_named_and_not_created(check, postgresql, create, status, mark, remedy):
    names = 'cron_audit, cron_gaps, cron_pauses, cron_processes, cron_runs, cron_schema, cron_tasks, cron_ticks'
    ended, lines = check(postgresql, **{'cron.create_tables': create})
    assert (ended, lines[2:]) == (status, [f'{mark} tables    not there{remedy.format(names)}', UNSET])
    engine = create_engine(postgresql)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_missing_column_is_named(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, 'ALTER TABLE cron_tasks DROP COLUMN busy_until')
    status, lines = check(url)
    assert (status, lines[2]) == (
        1,
        'fail  tables    version 1.2, not as they should be: no column cron_tasks.busy_until; "pcron store upgrade" '
        'adds what is missing, and sets the collation',
    )


def test_older_tables_are_upgraded_by_the_first_tick(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, "UPDATE cron_schema SET version = '0.0'", 'DROP INDEX cron_runs_by_start')
    assert check(url)[1][2] == (
        'fail  tables    version 0.0, not as they should be: no index cron_runs_by_start on cron_runs (app, started); '
        'the first tick upgrades them, and "pcron store upgrade" does it now'
    )


def test_older_tables_are_upgraded_by_hand_without_create_tables(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, "UPDATE cron_schema SET version = '1.1'", 'ALTER TABLE cron_tasks DROP COLUMN busy_until')
    assert check(url, **{'cron.create_tables': 'false'})[1][2] == (
        'fail  tables    version 1.1, not as they should be: no column cron_tasks.busy_until; "pcron store upgrade" '
        'upgrades them, where Alembic makes them after a migration (docs/alembic.rst)'
    )


@pytest.mark.parametrize(
    ('version', 'shown'), [('2.0', 'are of version 2.0, which is newer'), ('x', "'x' of the tables")]
)
def test_an_unknown_version_fails(check, tmp_path, version, shown):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, f"UPDATE cron_schema SET version = '{version}'")
    status, lines = check(url)
    assert status == 1
    assert lines[2].startswith('fail  tables    the ')
    assert shown in lines[2]


@pytest.mark.slow
def test_an_account_without_write_access_fails(check, postgresql_server, postgresql):
    make_tables(postgresql, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC')
    account = 'reader'
    postgresql_server.execute(f'CREATE ROLE {account} LOGIN')
    status, lines = check(postgresql.replace('cron@', f'{account}:secret@'))
    assert status == 1
    assert lines[0].startswith(f'ok    database  postgresql+psycopg://{account}:***@/')
    assert lines[3] == 'fail  writing   it cannot be written: permission denied for table cron_audit'


@pytest.fixture
def full_url(made_url):
    """The URL of an SQLite database whose journal cannot grow, as on a full disk or with a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    engine = create_engine(made_url)
    with engine.connect() as connection:
        # which stays in the journal while a connection is open
        connection.execute(text('CREATE TABLE filling AS SELECT hex(randomblob(50000)) AS digits'))
        connection.commit()
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
        yield made_url
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    engine.dispose()


def test_a_full_disk_fails(check, full_url):
    status, lines = check(full_url)
    assert (status, lines[3]) == (1, 'fail  writing   it cannot be written: disk I/O error')


def test_the_check_leaves_no_record(check, made_url):
    check(made_url)
    engine = create_engine(made_url)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(runs)) == 0
    engine.dispose()


def test_an_unreachable_database_is_shown_without_password(check, tmp_path):
    status, lines = check(
        f'postgresql+psycopg://cron:a-secret@/shop?host={tmp_path}', **{'sqlalchemy.url': 'sqlite://'}
    )
    assert status == 1
    assert lines[0].startswith('fail  database  postgresql+psycopg://cron:***@/shop: connection ')
    assert 'a-secret' not in ''.join(lines)


@pytest.mark.parametrize(
    ('ahead', 'ok', 'text'),
    [
        (2.04, True, '2.0 s ahead of'),
        (-60, True, '60.0 s behind'),
        (60.1, False, '60.1 s ahead of'),
        (-61, False, '61.0 s behind'),
    ],
)
def test_clocks_a_minute_apart_fail(ahead, ok, text):
    finding = _of_clock(ahead)
    assert (finding.ok, finding.text.partition(" the database's")[0]) == (ok, f"this machine's is {text}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ('encoding', 'problem'),
    [('LATIN1', 'character with byte sequence .* has no equivalent in encoding "LATIN1".*'), ('SQL_ASCII', None)],
)
def test_characters_that_cannot_be_stored_are_reported(check, postgresql_server, encoding, problem):
    name = f'check_{encoding.lower()}'
    postgresql_server.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        url = postgresql_server.url(name)
        make_tables(f'{url}&client_encoding=utf8')
        status, lines = check(url)
        # which no store needs
        assert status == 0
        reported = rf'ok    texts     not all characters can be stored: {problem}; a text that has others is written .*'
        assert re.fullmatch(TEXTS if problem is None else reported, lines[-2])
        engine = create_engine(f'{url}&client_encoding=utf8')
        with engine.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(runs)) == 0
        engine.dispose()
    finally:
        postgresql_server.execute(f'DROP DATABASE {name} WITH (FORCE)')


def test_characters_that_are_replaced_are_reported(check, tmp_path):
    url = f'sqlite:///{tmp_path}/replacing.sqlite'
    # as MySQL does without its strict mode
    make_tables(url, "CREATE TRIGGER replace AFTER INSERT ON cron_runs BEGIN UPDATE cron_runs SET reason = '?'; END")
    status, lines = check(url)
    assert status == 0
    assert r"not all characters can be stored: '\U0001f600' is read back as '?';" in lines[-2]


VERSION_OF_ALEMBIC = 'CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)'
SHARED = (
    'warn  alembic   this database has a table alembic_version, and {}: "alembic revision --autogenerate" would drop '
    'them; add these lines to env.py, or see docs/alembic.rst'
)
LINES = [
    f'{" " * 16}from pyramid_cron.store import include_name',
    f'{" " * 16}context.configure(..., include_name=include_name)',
]


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['sqlite', 'postgresql'])
def test_alembic_in_the_same_database_is_a_warning(check, tmp_path, request, kind):
    url = f'sqlite:///{tmp_path}/cron.sqlite' if kind == 'sqlite' else request.getfixturevalue('postgresql')
    make_tables(url, VERSION_OF_ALEMBIC)
    status, lines = check(url)
    assert (status, lines[3:6]) == (
        0,
        [SHARED.format('no env.py was found that names the tables of the store'), *LINES],
    )


def test_alembic_is_a_warning_before_there_are_tables(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(VERSION_OF_ALEMBIC))
    engine.dispose()
    status, lines = check(url)
    assert (status, lines[4:6]) == (0, LINES)


def test_alembic_is_ok_once_its_env_names_the_store(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    make_tables(url, VERSION_OF_ALEMBIC)
    env = tmp_path / 'migrations' / 'env.py'
    env.parent.mkdir()
    (tmp_path / 'alembic.ini').write_text('[alembic]\nscript_location = %(here)s/migrations\n')
    env.write_text('from alembic import context\n')
    assert check(url)[1][3:6] == [SHARED.format(f'{env} does not name the tables of the store'), *LINES]
    env.write_text('from pyramid_cron.store import include_name\n')
    status, lines = check(url)
    assert (status, lines[3]) == (0, f'ok    alembic   {env} names the tables of the store')
