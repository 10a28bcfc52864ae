import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.errors import Refused as RefusedByDatabase
from pyramid_cron.store.errors import database_errors, one_line, original_errors, unavailable
from pyramid_cron.store.schema import runs, tasks, ticks
from tests.support.exceptions import Refused

GONE = OperationalError('SELECT 1', {'password': 's3cr3t'}, Exception('gone\n  away'), connection_invalidated=True)


class ErrorOfApplication(Exception):
    """What the application raises in place of the errors of its databases."""


@pytest.fixture
def replaced_errors():
    """Replace the errors of all engines, as an application does with a listener."""

    def replace(context):
        raise ErrorOfApplication('the application has no database')

    event.listen(Engine, 'handle_error', replace)
    yield
    event.remove(Engine, 'handle_error', replace)


def test_an_error_is_shown_without_its_statement():
    assert one_line(GONE) == 'gone away'
    assert one_line(ValueError('no\nluck')) == 'no luck'
    assert one_line(Refused()) == 'its message cannot be shown'
    # also of an error that a listener has replaced
    shown = str(OperationalError('SELECT 1', {'password': 's3cr3t'}, Exception('gone')))
    assert 's3cr3t' in shown
    assert 's3cr3t' not in one_line(ErrorOfApplication(shown))


def test_no_log_shows_the_parameters_of_an_error():
    failed = OperationalError('SELECT 1', {'password': 's3cr3t'}, Exception('gone'))
    assert 's3cr3t' in str(failed)
    with pytest.raises(OperationalError) as caught, original_errors():
        raise unavailable(failed) from failed
    assert caught.value is failed
    assert 's3cr3t' not in str(failed)


def test_a_brief_message_has_no_words_of_the_database():
    assert str(unavailable(GONE)) == 'the store is not available: gone away'
    assert unavailable(GONE).brief == 'the store is not available: Exception'
    assert unavailable(ValueError('no luck')).brief == 'the store is not available: ValueError'
    assert Unavailable('set the clock').brief == 'set the clock'


def test_a_lost_connection_is_known():
    assert unavailable(GONE).disconnected
    assert unavailable(ValueError('x'), disconnected=True).disconnected
    assert not unavailable(ValueError('x')).disconnected


@pytest.mark.parametrize(
    ('exc', 'refused'),
    [
        (DataError('', {}, Exception('too long')), True),
        (ProgrammingError('', {}, Exception('no table')), True),
        (UnicodeEncodeError('latin-1', 'x', 0, 1, 'no such character'), True),
        (DataError('', {}, Exception('gone'), connection_invalidated=True), False),
        (OperationalError('', {}, Exception('locked')), False),
        (LookupError('x'), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_is_known(exc, refused):
    assert isinstance(unavailable(exc), RefusedByDatabase) is refused
    # also if a listener has replaced the error
    replaced = ErrorOfApplication('x')
    replaced.__cause__ = exc
    assert isinstance(unavailable(replaced), RefusedByDatabase) is (refused or exc.__class__ is DataError)


def test_every_error_becomes_that_of_the_store():
    mine = Unavailable('tables are missing')
    for raised, shown in ((GONE, 'the store is not available: gone away'), (mine, 'tables are missing')):
        with pytest.raises(Unavailable) as found, database_errors():
            raise raised
        assert str(found.value) == shown
    with database_errors():
        pass


def test_a_session_gets_its_own_error_back():
    for raised in (GONE, ErrorOfApplication('x')):
        with pytest.raises(type(raised)) as found, original_errors(), database_errors():
            raise raised
        assert found.value is raised
    with pytest.raises(Unavailable, match=r'^x$'), original_errors():
        raise Unavailable('x')


@pytest.mark.slow
@pytest.mark.parametrize('table', [tasks, ticks, runs], ids=lambda table: table.name)
def test_replaced_errors_are_those_of_the_store(servers, replaced_errors, table):
    server = servers.start().add()
    server.tick(0)

    def rename(old, new):
        with servers.engine.begin() as connection:
            connection.exec_driver_sql(f'ALTER TABLE {old} RENAME TO {new}')

    rename(table.name, 'other')
    report = server.tick(5)
    # other tests use the same database
    rename('other', table.name)
    assert 'the application has no database' in str(report.problem or report.tasks[0].exception)
    assert report.failed
