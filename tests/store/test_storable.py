"""Texts from outside, in a form that the database takes."""

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, select

from pyramid_cron import TaskReport
from pyramid_cron.claims import ByHand, Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.dialects import TABLE_OPTIONS
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.errors import Refused
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.schema import gaps, metadata
from pyramid_cron.store.storable import MOST_CHARACTERS, Storable, StorableText, ascii_if_refused, storable
from pyramid_cron.store.tick_work import TickWork
from tests.support.servers import INSTANT, Servers

# what only this package writes: its own words, tokens and schedules
OWN_TEXTS = {
    'version', 'schedule', 'previous_schedule', 'retry_reason', 'run_id', 'process', 'handed_over_for', 'last_outcome',
    'good_seconds', 'action', 'id', 'process_started', 'stops', 'progress', 'outputs', 'trigger', 'outcome', 'joined',
    'not_good',
}  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'stored'),
    [('a\x00b', r'a\x00b'), ('caf\udce9', r'caf\udce9'), ('\u0416 \U0001f600', '\u0416 \U0001f600'), ('', '')],
)
def test_what_no_database_takes_is_escaped(text, stored):
    assert storable(text) == stored


def test_each_text_from_outside_is_made_storable():
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    texts = {column.name for column in columns if isinstance(column.type, Storable)}
    assert {column.name for column in columns if isinstance(column.type, String)} == OWN_TEXTS
    assert {'reason', 'problem', 'error', 'traceback', 'requested_by', 'host'} <= texts


@pytest.mark.each_database
def test_a_text_is_cut_to_its_column(engine):
    table = Table('cut_texts', MetaData(), Column('short', Storable(5)), Column('long', StorableText), **TABLE_OPTIONS)
    table.create(engine)
    try:
        with engine.begin() as connection:
            connection.execute(insert(table), {'short': '\U0001f600' * 6, 'long': '\x00' * MOST_CHARACTERS})
            connection.execute(insert(table), {'short': None, 'long': None})
            first, second = connection.execute(select(table).order_by(table.c.short.is_(None))).all()
    finally:
        table.drop(engine)
    assert (first.short, len(first.long)) == ('\U0001f600' * 5, MOST_CHARACTERS)
    assert tuple(second) == (None, None)


def test_a_refused_text_is_written_in_ascii():
    written = []

    def write():
        written.append(storable('caf\xe9'))
        if len(written) == 1:
            raise Refused('no such character')
        return 'done'

    assert ascii_if_refused(write) == 'done'
    assert written == ['caf\xe9', r'caf\xe9']
    # and only then
    assert storable('caf\xe9') == 'caf\xe9'


def test_a_text_that_is_refused_in_ascii_is_an_error():
    def write():
        raise Refused('no such table')

    with pytest.raises(Refused):
        ascii_if_refused(write)
    assert storable('caf\xe9') == 'caf\xe9'


@pytest.fixture
def latin1(postgresql_server):
    """Servers of a PostgreSQL database that holds the languages of western Europe only."""
    postgresql_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    engine = make_engine(postgresql_server.url('latin'), None)
    upgrade(engine)
    servers = Servers(engine)
    yield servers
    servers.end()
    engine.dispose()
    postgresql_server.execute('DROP DATABASE latin WITH (FORCE)')


def test_any_text_can_be_stored_in_latin1(latin1, warnings):
    class Wrong(Exception):
        pass

    Wrong.__qualname__ = 'Wrong\u0416\x00'

    def body(system):
        raise Wrong('\U0001f600')

    server = latin1.start().add('bad', body=body, min='*').add('good', min='*')
    for minute in range(2):
        assert str(server.tick(minute)) == 'fail: 1 of 2 tasks failed: bad'
    assert server.ran == [('bad', 0), ('good', 0), ('bad', 1), ('good', 1)]
    ends = [end for end in latin1.history('outcome', 'error', 'traceback') if end[0] == 'failed']
    assert ends == [('failed', r'Wrong\u0416\x00', None)] * 2
    assert latin1.row('bad')['last_error'] == r'Wrong\u0416\x00'
    assert [warning.partition(':')[0] for warning in warnings() if 'detail' in warning] == [
        'the end of task bad is recorded in less detail'
    ] * 2
    server.store.pause(['good'], reason='\u0416', requested_by='\u0418')
    assert server.store.paused() == {'good': Pause(None, r'\u0416', r'\u0418')}


@pytest.mark.slow
def test_what_a_tick_could_not_do_can_be_stored_in_latin1(latin1, warnings):
    server = latin1.start().add(min='*')
    server.tick(0)
    server.claims.failed_ticks.add(INSTANT + MINUTE, '\u0416')
    server.tick(2)
    assert [row['problem'] for row in latin1.rows(gaps)] == [r'\u0416']
    assert latin1.minutes('ok') == [('task', 0), ('task', 2)]
    server.claims._finish_tick(INSTANT + 2 * MINUTE, None)
    with pytest.raises(Refused):
        server.claims._finish_tick(INSTANT + 2 * MINUTE, '\u0416')
    work = TickWork(INSTANT + 2 * MINUTE)
    work.add_problem('\u0416')
    server.claims._finish(work)
    assert server.store.snapshot().ticks.problem == r'\u0416'


def test_a_user_name_is_recorded_in_latin1(latin1, warnings):
    server = latin1.start().add()
    server.ready()
    (run,) = server.claims.named(server.registry['cron_tasks'], ['task'], ByHand('\u0418')).runs
    assert run.claim() is None
    run.release(TaskReport('task', 'ok'))
    assert latin1.history('outcome', 'requested_by') == [('ok', r'\u0418')]
