"""``pcron store check`` of sessions, with applications as they really are."""

import pytest

from tests.support.store_check import known_processes, make_tables

UNSET = 'ok    session   cron.session is not set: a run that dies is reported as lost, and is not repeated'
JOINS = 'ok    session   cron.session = dbsession joins: what a task does there commits with its record'


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['registered', 'scoped'])
@pytest.mark.parametrize('hook', ['pyramid_tm.explicit_manager', ''])
def test_a_session_of_pyramid_tm_joins(check, made_url, kind, hook):
    status, lines = check(made_url, kind=kind, **{'cron.session': 'dbsession', 'tm.manager_hook': hook})
    assert (status, lines[-1]) == (0, JOINS)
    assert known_processes(made_url) == []


def test_a_session_of_another_transaction_joins(check, made_url):
    settings = {'kind': 'plain', 'tm': 'no', 'cron.session': 'dbsession', 'cron.transaction': 'MODULE.commits'}
    assert check(made_url, **settings)[1][-1] == JOINS
    assert known_processes(made_url) == []


def test_a_commit_after_the_check_is_free(check, made_url):
    settings = {'kind': 'plain', 'tm': 'no', 'cron.session': 'dbsession', 'cron.transaction': 'MODULE.commits'}
    assert check(made_url, tween='commits_last', **settings)[1][-1] == JOINS


def test_a_session_without_a_commit_does_not_join(check, made_url):
    status, lines = check(made_url, kind='plain', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (
        1,
        'fail  session   cron.session = dbsession is not committed with the task: register it with zope.sqlalchemy '
        'where pyramid_tm is active, or commit it in what cron.transaction names',
    )


def test_a_session_of_another_database_does_not_join(check, made_url, tmp_path):
    other = f'sqlite:///{tmp_path}/other.sqlite'
    make_tables(other)
    status, lines = check(made_url, **{'cron.session': 'dbsession', 'sqlalchemy.url': other})
    assert status == 1
    assert lines[-1].startswith('fail  session   cron.session = dbsession leads to another database than cron.store: ')
    assert known_processes(made_url) == known_processes(other) == []


def test_an_attribute_without_a_session_does_not_join(check, made_url):
    status, lines = check(made_url, kind='nothing', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (
        1,
        'fail  session   cron.session = dbsession is a NoneType, not a session of SQLAlchemy',
    )


def test_an_error_of_the_application_is_shown(check, made_url):
    status, lines = check(made_url, kind='broken', **{'cron.session': 'dbsession'})
    assert (status, lines[-1]) == (1, 'fail  session   cron.session = dbsession: LookupError: no engine today')


def test_an_error_of_the_store_is_shown(check, tmp_path):
    url = f'sqlite:///{tmp_path}/cron.sqlite'
    refusal = "BEGIN SELECT RAISE(ABORT, 'no process today'); END"
    make_tables(url, f'CREATE TRIGGER refusal BEFORE INSERT ON cron_processes {refusal}')
    status, lines = check(url, **{'cron.session': 'dbsession'})
    assert status == 1
    assert lines[-1].startswith('fail  session   cron.session = dbsession: ')
    assert lines[-1].endswith('no process today')


def test_an_application_that_answers_first_is_shown(check, made_url):
    status, lines = check(made_url, tween='closed', **{'cron.session': 'dbsession'})
    assert status == 1
    assert lines[-1] == ('fail  session   the application answered 503 Service Unavailable before its tasks could run')
