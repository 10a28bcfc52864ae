"""Changes of real sessions that no commit has kept, and those that are rolled back on purpose."""

import contextlib

import pytest
import transaction
import zope.sqlalchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, registry

from pyramid_cron.errors import CronError
from pyramid_cron.store.uncommitted import NotCommitted, Uncommitted

pytestmark = pytest.mark.each_database

METADATA = MetaData()
NOTES = Table('notes', METADATA, Column('id', Integer, primary_key=True), Column('what', String(50)))
INSERT = text("INSERT INTO notes (what) VALUES ('a')")


class Note:
    def __init__(self, what, id=None):
        self.what, self.id = what, id


@pytest.fixture(scope='module', autouse=True)
def mapping():
    mapping = registry()
    mapping.map_imperatively(Note, NOTES)
    yield
    mapping.dispose()


@pytest.fixture
def bind(engine):
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    yield engine
    METADATA.drop_all(engine)


@pytest.fixture
def session(bind):
    with Session(bind) as session:
        yield session


@pytest.fixture
def uncommitted(session):
    return Uncommitted(session, None)


@pytest.fixture
def manager():
    manager = transaction.TransactionManager(explicit=True)
    manager.begin()
    return manager


@pytest.fixture
def managed(session, manager):
    """The same of a session that zope.sqlalchemy manages."""
    zope.sqlalchemy.register(session, transaction_manager=manager)
    return Uncommitted(session, manager)


def by_text(session):
    session.execute(INSERT)


def by_core(session):
    session.execute(insert(NOTES).values(what='a'))


def by_many(session):
    session.execute(insert(NOTES), [{'what': 'a'}, {'what': 'b'}])


def by_flush(session):
    session.add(Note('a'))
    session.flush()


def by_bulk(session):
    session.bulk_insert_mappings(Note, [{'what': 'a'}])


def by_connection(session):
    session.connection().exec_driver_sql("INSERT INTO notes (what) VALUES ('a')")


EACH_WAY = [by_text, by_core, by_many, by_flush, by_bulk, by_connection]


@pytest.mark.slow
@pytest.mark.parametrize('change', EACH_WAY)
def test_a_change_of_a_closed_session_is_lost(session, uncommitted, change):
    change(session)
    assert uncommitted.lost is None
    session.close()
    assert uncommitted.lost == 'INSERT'


@pytest.mark.slow
@pytest.mark.parametrize('change', EACH_WAY)
def test_a_committed_change_is_kept(session, uncommitted, change):
    for _ in range(2):
        change(session)
        session.commit()
    session.execute(select(NOTES)).all()
    session.close()
    assert uncommitted.lost is None
    assert uncommitted.roll_back() is None


def test_autocommit_keeps_a_change_at_once(session, uncommitted):
    session.connection(execution_options={'isolation_level': 'AUTOCOMMIT'})
    session.execute(INSERT)
    session.close()
    assert uncommitted.lost is None
    assert session.scalars(select(NOTES.c.what)).all() == ['a']


def test_reading_loses_nothing(session, uncommitted):
    session.execute(text('SELECT what FROM notes')).all()
    session.scalars(select(Note)).all()
    session.close()
    assert uncommitted.lost is None


def test_a_rollback_is_meant(session, uncommitted):
    session.execute(INSERT)
    session.rollback()
    session.close()
    assert uncommitted.lost is None
    # and what follows counts anew
    session.execute(INSERT)
    session.close()
    assert uncommitted.lost == 'INSERT'


def test_a_later_rollback_does_not_excuse_a_loss(session, uncommitted):
    session.execute(text('DELETE FROM notes'))
    session.close()
    session.execute(INSERT)
    session.rollback()
    assert uncommitted.lost == 'DELETE'


def test_a_statement_that_failed_changed_nothing(session, uncommitted):
    session.execute(insert(NOTES).values(id=1))
    session.commit()
    with pytest.raises(IntegrityError):
        session.execute(insert(NOTES).values(id=1))
    session.close()
    assert uncommitted.lost is None


def test_a_failed_flush_loses_what_was_before_it(session, uncommitted):
    session.execute(insert(NOTES).values(id=1))
    session.add(Note('b', id=1))
    with pytest.raises(IntegrityError):
        session.flush()
    session.close()
    assert uncommitted.lost == 'INSERT'


def test_a_failed_commit_loses_what_was_before_it(session, uncommitted, bind):
    def fail(connection):
        raise OperationalError('COMMIT', {}, Exception('the database has gone'))

    event.listen(bind, 'commit', fail)
    session.execute(INSERT)
    with pytest.raises(OperationalError):
        session.commit()
    event.remove(bind, 'commit', fail)
    session.close()
    assert uncommitted.lost == 'INSERT'


def test_a_savepoint_that_is_rolled_back_is_meant(session, uncommitted):
    session.execute(text('SELECT 1'))
    with contextlib.suppress(ValueError), session.begin_nested():
        session.execute(INSERT)
        raise ValueError
    session.close()
    assert uncommitted.lost is None


def test_a_savepoint_does_not_hide_an_earlier_change(session, uncommitted):
    session.execute(text('DELETE FROM notes'))
    with contextlib.suppress(ValueError), session.begin_nested():
        session.execute(INSERT)
        raise ValueError
    session.close()
    assert uncommitted.lost == 'DELETE'


def test_a_released_savepoint_is_lost_with_its_transaction(session, uncommitted):
    with session.begin_nested(), session.begin_nested():
        session.execute(INSERT)
    session.close()
    # to the driver of SQLite the end of a savepoint without a BEGIN before it is a commit
    kept = session.scalars(select(NOTES.c.what)).all()
    assert kept == (['a'] if session.bind.dialect.name == 'sqlite' else [])
    assert uncommitted.lost == (None if kept else 'INSERT')


def test_an_open_savepoint_commits_with_its_transaction(session, uncommitted):
    session.begin_nested()
    session.execute(INSERT)
    session.commit()
    assert uncommitted.lost is None


def test_an_open_savepoint_is_lost_with_its_transaction(session, uncommitted):
    session.begin_nested()
    session.execute(INSERT)
    session.close()
    assert uncommitted.lost == 'INSERT'


def test_a_rollback_of_all_is_meant_for_savepoints_too(session, uncommitted):
    with contextlib.suppress(ValueError), session.begin():
        session.begin_nested()
        session.execute(INSERT)
        raise ValueError
    assert uncommitted.lost is None


def test_an_open_change_is_rolled_back(session, uncommitted):
    session.execute(INSERT)
    assert uncommitted.roll_back() == 'INSERT'
    assert uncommitted.lost is None
    assert not session.in_transaction()
    assert session.scalars(select(NOTES)).all() == []
    assert uncommitted.roll_back() is None


@pytest.mark.parametrize('kind', ['new', 'changed', 'deleted'])
def test_an_object_that_is_not_flushed_is_rolled_back(session, uncommitted, kind):
    session.add(Note('a'))
    session.commit()
    note = session.scalar(select(Note))
    # not a change
    note.what = 'a'
    assert uncommitted.roll_back() is None
    if kind == 'new':
        session.add(Note('b'))
    elif kind == 'changed':
        note.what = 'b'
    else:
        session.delete(note)
    assert uncommitted.roll_back() == 'an object that was added or changed'
    assert session.scalars(select(NOTES.c.what)).all() == ['a']


def test_a_rollback_without_a_connection_is_no_error(session, uncommitted, bind):
    def fail(connection):
        raise OperationalError('ROLLBACK', {}, Exception('the database has gone'))

    session.execute(INSERT)
    event.listen(bind, 'rollback', fail)
    assert uncommitted.roll_back() == 'INSERT'
    event.remove(bind, 'rollback', fail)


def test_a_transaction_that_is_open_already_is_seen(bind):
    with bind.connect() as connection, Session(connection) as session:
        session.execute(text('SELECT 1'))
        uncommitted = Uncommitted(session, None)
        session.execute(INSERT)
        assert uncommitted.roll_back() == 'INSERT'


def test_an_unmarked_change_is_lost(session, managed, manager):
    session.execute(INSERT)
    manager.commit()
    assert managed.lost == 'INSERT'


def test_a_marked_change_is_kept(session, managed, manager):
    session.execute(INSERT)
    zope.sqlalchemy.mark_changed(session)
    manager.commit()
    assert managed.lost is None


@pytest.mark.parametrize('doomed', [False, True])
def test_an_abort_is_meant(session, managed, manager, doomed):
    session.execute(INSERT)
    if doomed:
        manager.doom()
    manager.abort()
    assert managed.lost is None
    manager.begin()
    session.execute(INSERT)
    session.close()
    assert managed.lost == 'INSERT'


def test_a_session_beside_the_manager_is_seen(session, manager):
    manager.abort()
    uncommitted = Uncommitted(session, manager)
    session.execute(INSERT)
    assert uncommitted.roll_back() == 'INSERT'


def test_a_doomed_transaction_stays_open(session, managed, manager):
    session.execute(INSERT)
    manager.doom()
    assert managed.roll_back() is None
    assert session.in_transaction()


def test_changes_may_be_ignored(session, uncommitted):
    with uncommitted.ignored():
        session.execute(INSERT)
    session.close()
    assert uncommitted.lost is None


def test_changes_of_the_schema_are_seen_where_they_are_rolled_back(session, uncommitted):
    # SQLite's driver begins a transaction before a change of data only, and MariaDB commits at a change of the schema
    session.execute(text('CREATE TABLE others (id integer)'))
    session.close()
    is_postgresql = session.bind.dialect.name == 'postgresql'
    assert uncommitted.lost == ('CREATE' if is_postgresql else None)
    if not is_postgresql:
        session.execute(text('DROP TABLE others'))


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_changes_of_the_schema_are_seen_in_a_transaction_of_sqlite(session, uncommitted):
    session.execute(text('BEGIN'))
    session.execute(text('CREATE TABLE others (id integer)'))
    session.close()
    assert uncommitted.lost == 'CREATE'


def test_no_listener_stays(bind):
    def count():
        events = 'after_begin', 'after_commit', 'after_transaction_end', 'after_soft_rollback'
        found = [list(getattr(session.dispatch, name)) for name in events]
        return [len(listeners) for listeners in (*found, list(connection.dispatch.after_cursor_execute))]

    with bind.connect() as connection, Session(connection) as session:
        before = count()
        uncommitted = Uncommitted(session, None)
        session.execute(INSERT)
        assert count() == [number + 1 for number in before]
        uncommitted.leave()
        assert count() == before


def test_the_error_shows_what_to_do():
    assert issubclass(NotCommitted, (CronError, RuntimeError))
    assert str(NotCommitted('DELETE')) == (
        'DELETE was not committed, and is rolled back: where zope.sqlalchemy manages the session, call '
        'zope.sqlalchemy.mark_changed(session) after it; elsewhere commit, in the task or in what cron.transaction '
        'names; call session.rollback() if it is not to be kept'
    )
