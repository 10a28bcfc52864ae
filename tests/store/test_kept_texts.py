"""What the tables hold of texts that show secrets: nothing that is to be taken out, wherever the text comes from."""

import ast
import importlib.util
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from pyramid_cron import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.scrub import NOT_SCRUBBED, Scrubbed
from pyramid_cron.store.schema import metadata, runs, tasks, ticks
from pyramid_cron.store.storable import StorableText
from tests.support.enqueueing import LONG
from tests.support.servers import INSTANT
from tests.support.statements import before_each

SECRET, ADDRESS = 's3cr3t', 'bob@example.com'
STORE = Path(importlib.util.find_spec('pyramid_cron').origin).parent


def scrub(shown):
    # a text with escapes in place of the umlaut would not be found
    return shown.replace(SECRET, '***').replace('caf\xe9', '***')


def kept(servers):
    """Return all texts that the tables hold."""
    found = [row for table in metadata.sorted_tables for row in servers.rows(table)]
    return ' '.join(str(value) for row in found for value in row.values())


def insert_twice(system):
    """Fail as a statement of the application does."""
    raise IntegrityError('INSERT INTO mails VALUES (?)', (ADDRESS,), Exception(f'exists:\n{SECRET}'))


def traceback_of(servers, name='task'):
    return next(row['traceback'] for row in servers.rows(runs) if row['task'] == name)


def test_a_failed_statement_is_kept_without_its_parameters(servers):
    assert servers.start().add(body=insert_twice, min='*').tick(0).failed
    assert '[SQL: INSERT INTO mails VALUES (?)]\n[parameters: left out]\n' in traceback_of(servers)
    assert ADDRESS not in kept(servers)


def test_parameters_are_kept_on_request(servers):
    servers.start(keep_parameters='true').add(body=insert_twice, min='*').tick(0)
    assert f"[parameters: ('{ADDRESS}',)]" in traceback_of(servers)


def test_the_log_keeps_its_traceback(servers, caplog):
    servers.start(scrub=scrub).add(body=insert_twice, min='*').tick(0)
    assert f"[parameters: ('{ADDRESS}',)]" in caplog.text
    assert SECRET in caplog.text


def test_the_function_sees_a_traceback_before_it_is_cut(servers):
    def body(system):
        # of which the last 8000 characters, with the line end, begin in the middle of the secret
        raise LookupError(f'{"x" * 9000}{SECRET}{"y" * 7996}')

    servers.start(scrub=scrub).add(body=body, min='*').tick(0)
    assert traceback_of(servers).endswith('yy\n')
    assert '3t' not in traceback_of(servers)


@pytest.mark.slow
@pytest.mark.parametrize('broken', [lambda shown: 1 / 0, lambda shown: None], ids=['raises', 'no text'])
def test_a_function_that_fails_does_not_affect_runs(servers, warnings, broken):
    server = servers.start(scrub=broken).add(body=insert_twice, min='*').add('good', min='*')
    assert server.tick(0).names('ok') == ['good']
    assert traceback_of(servers) == servers.row()['last_error'] == NOT_SCRUBBED
    assert servers.history('task', 'outcome', 'error') == [('task', 'failed', 'IntegrityError'), ('good', 'ok', None)]
    # for the traceback, and the class of the exception in the row of the task
    assert len([line for line in warnings() if line.startswith('cron.scrub: ')]) == 1
    assert str(server.tick(1)) == 'fail: 1 of 2 tasks failed: task'


def test_why_a_run_is_not_enqueued_is_scrubbed(servers):
    def refuse(handover):
        raise ConnectionError(f'amqp://shop:{SECRET}@queue')

    server = servers.start(catch_up=LONG, scrub=scrub).add(via=refuse, min='*')
    assert server.tick(0).failed
    assert 'amqp://shop:***@queue' in kept(servers)
    assert SECRET not in kept(servers)


def test_why_a_claim_with_a_job_fails_is_scrubbed(servers):
    class Engine:
        within_claim, broker = True, 'queue'
        is_limited = False

        def enqueue_all(self, runs, connection):
            raise IntegrityError('INSERT', (ADDRESS,), Exception(SECRET)) from None

    server = servers.start(scrub=scrub).add(min='*')
    server.task().engine = Engine()
    assert server.tick(0).failed
    assert {row['reason'] for row in servers.rows(runs)} == {'it cannot be enqueued: IntegrityError: ***'}
    assert SECRET not in kept(servers)


def test_what_a_tick_could_not_do_is_scrubbed(servers):
    server = servers.start(scrub=scrub, catch_up=60).add(min='*')
    server.tick(0)
    server.claims.failed_ticks.add(INSTANT + MINUTE, f'no host {SECRET}')
    server.tick(10)
    assert 'no host ***' in kept(servers)
    # the gap, and the minutes that were missed in it
    assert {row['reason'] for row in servers.rows(runs) if row['outcome'] == 'missed'} == {'ticks failed: no host ***'}

    def fail(task, instant):
        raise LookupError(f'column {SECRET}')

    server.claims._poll._reaper.reap = lambda *arguments: fail(*arguments[:2])
    assert server.tick(11).failed
    (row,) = servers.rows(ticks)
    assert row['problem'] == 'task task: LookupError: column ***'
    assert server.claims.failed_ticks.reason(INSTANT, INSTANT + 11 * MINUTE) == row['problem']
    assert SECRET not in kept(servers)


def test_why_a_run_was_lost_is_scrubbed(servers):
    server = servers.start(scrub=lambda shown: shown.replace('elsewhere', '***')).add(min='*')
    server.tick(0)
    servers.hold(lease_until=0.0)
    server.tick(1)
    assert [row['reason'][:19] for row in servers.rows(runs) if row['outcome'] == 'lost'] == ['process 4711 on ***']


def test_the_reason_of_a_pause_is_scrubbed(servers):
    server = servers.start(scrub=scrub).add(min='*')
    server.tick(0)
    server.store.pause(['task'], reason=f'the password is {SECRET}')
    assert server.store.paused()['task'].reason == 'the password is ***'
    assert str(server.tick(1).tasks[0].reason) == 'paused: the password is ***'


def test_a_text_is_scrubbed_before_it_is_escaped(servers):
    """The database refuses the end of a run until it has less detail."""
    server = servers.start(scrub=scrub).add(min='*')
    (run,) = server.runs()
    run.claim()

    def refuse(statement):
        if statement.matches(of=tasks, kind='update', sets='last_finished') and len(refused) < 2:
            refused.append(statement)
            raise IntegrityError('', {}, Exception('refused'))

    refused = []
    with before_each(server.engine, refuse):
        run.release(TaskReport('task', 'failed', reason='caf\xe9 \u0436', exception=LookupError('x')))
    assert len(refused) == 2
    (row,) = servers.rows(runs)
    assert (row['reason'], row['traceback']) == (r'*** \u0436', None)


def test_no_text_of_any_length_escapes(servers):
    """Each column that could hold the text of an exception scrubs it, whatever statement writes it."""
    server = servers.start(scrub=scrub).add()
    server.tick(0)
    database = server.claims.database
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    texts = [column for column in columns if isinstance(column.type, StorableText)]
    # with Storable, which is for names, and what only this package writes, these are all: see test_storable.py
    assert {column.name for column in texts} == {
        *('last_error', 'last_message', 'reason', 'problem', 'traceback', 'note', 'log'),
        *('acknowledged', 'acknowledged_for', 'callable', 'not_begun', 'stop_requested_by'),
    }
    with database.begin() as connection:
        for column in texts:
            connection.execute(connection.update(column.table), {column.name: SECRET})
    server.store.pause(['task'], reason=SECRET)
    assert SECRET not in kept(servers)
    assert servers.row()['last_error'] == '***'


def test_a_statement_outside_of_a_store_leaves_parameters_out(servers):
    servers.start(keep_parameters='true').add().tick(0)
    servers.change(last_error=f"[parameters: ('{ADDRESS}',)]")
    assert servers.row()['last_error'] == '[parameters: left out]'
    servers.change(last_error=Scrubbed(SECRET))
    assert servers.row()['last_error'] == SECRET


@pytest.mark.slow
def test_only_the_database_makes_connections_of_the_store():
    """Another module could forget the application's function."""
    makers = {
        path.name
        for path in STORE.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'StoreConnection'
    }
    assert makers == {'database.py'}
