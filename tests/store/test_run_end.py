"""The end of one run: its values, and less of them."""

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from pyramid_cron import TaskReport
from pyramid_cron.scrub import Scrubber
from pyramid_cron.store.circuit_breaker import CircuitBreaker
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.late import HISTORY_LOCKED
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.store.task_claims import TaskClaims
from tests.support.servers import INSTANT
from tests.support.statements import before_each


def test_a_failure_keeps_the_class_and_the_tracebacks_end():
    class Wrong(Exception):
        pass

    try:
        raise Wrong('at last ' + 'x' * 9000 + 'the end')
    except Wrong as exc:
        end = RunEnd.of(TaskReport('task', 'failed', 1.5, exception=exc)).scrubbed(Scrubber())
    assert (end.outcome, end.seconds, end.reason) == ('failed', 1.5, f'at last {"x" * 492}')
    assert end.error.endswith('<locals>.Wrong')
    assert len(end.traceback) == 8000
    assert end.traceback.endswith('the end\n')


def reason_of(exception, scrub=None, **report):
    return RunEnd.of(TaskReport('task', 'failed', exception=exception, **report)).scrubbed(Scrubber(scrub)).reason


def test_a_failure_keeps_the_first_line_of_its_message():
    assert reason_of(LookupError('\n  no answer\x1b \n from db-1')) == r'no answer\x1b'
    assert reason_of(LookupError()) is None
    assert reason_of(LookupError(' \n')) is None
    # what did not run to its end has a reason of its own
    assert reason_of(LookupError('why'), reason='it was fenced') == 'it was fenced'
    # scrubbed as a whole, before it is cut
    assert reason_of(LookupError('bob\nand the rest'), lambda text: text.replace('bob\nand', '***')) == '*** the rest'
    statement = IntegrityError('INSERT INTO mails VALUES (?)', ('bob',), Exception("Duplicate entry 'bob'"))
    assert reason_of(statement) == "(builtins.Exception) Duplicate entry '[left out]"


def test_a_message_that_cannot_be_shown_is_left_out():
    class Unshowable(Exception):
        def __str__(self):
            raise LookupError

    assert reason_of(Unshowable()) is None


def test_an_exception_that_cannot_be_shown_is_named():
    class Unshowable(Exception):
        @property
        def __notes__(self):
            raise LookupError

    end = RunEnd.of(TaskReport('task', 'failed', exception=Unshowable()))
    assert end.traceback.endswith('Unshowable, which cannot be shown')


def test_an_end_has_less_and_less_detail():
    end, seen = RunEnd('failed', 1.5, 'caf\xe9', 'W\xe9', 'lines', note='n\xe9', log='l\xe9'), []
    while end is not None:
        seen.append((*end[2:5], end.note, end.log))
        assert end[:2] == ('failed', 1.5)
        end = end.smaller()
    assert seen == [
        ('caf\xe9', 'W\xe9', 'lines', 'n\xe9', 'l\xe9'),
        ('caf\xe9', 'W\xe9', None, 'n\xe9', 'l\xe9'),
        (r'caf\xe9', r'W\xe9', None, r'n\xe9', r'l\xe9'),
        (r'caf\xe9', r'W\xe9', None, r'n\xe9', None),
        (None,) * 5,
    ]


def test_a_log_in_ascii_still_has_its_end():
    end = RunEnd('ok', 1.5, log='\xe9' * 32_000 + 'the end').smaller()
    assert len(end.log) == 64_000
    assert end.log.endswith(r'\xe9the end')


def test_an_end_is_scrubbed_once():
    scrub = Scrubber(lambda shown: f'{shown}!\xe9')
    end = RunEnd('failed', 1.5, 'why', 'Wrong').scrubbed(scrub)
    assert end.reason == 'why!\xe9'
    assert end.scrubbed(scrub) == end
    # not with escapes either, in which the function would not find what it looks for
    less = end.smaller()
    assert less.reason == r'why!\xe9'
    assert less.scrubbed(scrub) == less


def test_an_end_without_texts_has_no_less_detail():
    assert RunEnd('ok', 1.5).smaller() is None
    assert RunEnd('lost', 1.5, 'why').smaller() == RunEnd('lost', 1.5)


def refuse(server, when, error=DataError):
    """Refuse updates that set a column to a value of which something is true."""

    def listen(statement):
        if when(statement):
            raise error('', {}, Exception('refused'))

    return before_each(server.engine, listen)


def failing(servers):
    def body(system):
        raise LookupError('why')

    return servers.start(window='10e9').add(body=body, min='*').add('other', min='*')


@pytest.mark.slow
def test_a_refused_history_releases_its_task(servers, warnings):
    server = failing(servers)
    with refuse(server, lambda statement: statement.matches(of=runs, kind='update'), ProgrammingError):
        assert server.tick(0).failed
        assert server.clock.now == 1000
        assert servers.row()['run_id'] is None
        # without texts, because it could not be known which of the two was refused
        assert (servers.row()['last_outcome'], servers.row()['last_error']) == ('failed', None)
        assert warnings()[1:] == [
            'the history of task task cannot be recorded yet: the store is not available: refused',
            'the history of task other cannot be recorded yet: the store is not available: refused',
        ]
        server.tick(1)
        assert [minute for _, minute in server.ran] == [0, 0, 1, 1]
    server.claims._beat()
    assert sorted(servers.history()) == ['failed', 'failed', 'ok', 'ok']
    assert {row['finished'] is None for row in servers.rows(runs)} == {False}


@pytest.mark.slow
def test_an_end_that_is_refused_altogether_stays_late(servers, warnings):
    server = failing(servers)
    with refuse(server, lambda statement: statement.matches(of=tasks, kind='update', sets='last_finished')):
        server.tick(0)
        assert server.clock.now == 1000
        assert str(server.tick(1)) == (
            'fail: 2 of 2 tasks failed: '
            'task (the end of its last run cannot be recorded: the store is not available: refused), '
            'other (the end of its last run cannot be recorded: the store is not available: refused)'
        )
    assert not server.tick(2).problem
    assert server.ran[2:] == [('task', 2), ('other', 2)]


def wait_for(server, condition):
    """Let statements wait for a lock in vain."""
    server.claims.database.breaker = CircuitBreaker(server.clock)

    def listen(statement):
        if statement.matches(**condition):
            server.clock.sleep(4)
            raise OperationalError('', {}, LockNotAvailable('canceled due to lock timeout'))

    return before_each(server.engine, listen)


def test_a_locked_history_releases_its_task(servers, warnings):
    server = failing(servers)
    with wait_for(server, {'of': runs, 'kind': 'update'}):
        server.tick(0)
        # one wait for each of the two, and one after the tick
        assert servers.row()['run_id'] is servers.row('other')['run_id'] is None
        assert servers.row()['last_error'] == 'LookupError'
        assert warnings()[1:] == [
            f'the history of task task cannot be recorded yet: {HISTORY_LOCKED}',
            f'the history of task other cannot be recorded yet: {HISTORY_LOCKED}',
        ]
    server.claims._beat()
    assert sorted(servers.history('outcome', 'error')) == [('failed', 'LookupError'), ('ok', None)]


def test_a_release_whose_answer_was_lost_is_not_fenced(servers, warnings):
    server = failing(servers)
    (run, _) = server.runs()
    run.claim()
    with wait_for(server, {'of': runs, 'kind': 'update'}), server.commit_fails(after=True):
        report = run.release(TaskReport('task', 'ok', 1.5))
    assert report == TaskReport('task', 'ok', 1.5)
    server.claims._beat()
    assert 'ok' in servers.history()
    assert servers.row()['run_id'] is None
    assert servers.row()['last_success_for'] == INSTANT


@pytest.mark.slow
@pytest.mark.each_server
def test_nothing_waits_for_a_locked_history(servers, warnings):
    def body(system):
        held.append(servers.engine.connect())
        held[0].execute(select(runs.c.id).where(runs.c.task == 'task').with_for_update())

    held = []
    server = servers.start(window='10e9').add(body=body, min=0).add('other', min='*')
    assert str(server.tick(0)) == 'ok'
    assert server.clock.now == 1000
    assert warnings() == [
        'the history of task task cannot be recorded yet: another transaction holds its row in the history'
    ]
    assert servers.row()['last_outcome'] == 'ok'
    assert server.tick(0).tasks[0].reason == 'already run'
    server.tick(1)
    assert sorted(servers.history()) == ['ok', 'ok', 'running']
    held[0].close()
    server.claims.own.heartbeat.beat()
    assert servers.history() == ['ok', 'ok', 'ok']
    assert server.claims.own.heartbeat.is_idle


@pytest.mark.slow
@pytest.mark.each_server
def test_a_locked_history_does_not_keep_a_dead_run(servers, warnings):
    server = servers.start(window='10e9').add(min='*')
    server.tick(0)
    servers.hold(lease_until=0.0)
    with servers.engine.connect() as held:
        held.execute(select(runs.c.id).where(runs.c.id == 'other').with_for_update())
        assert server.tick(1).names('ok') == ['task']
    assert server.tick(2).names('ok') == ['task']
    server.claims.own.heartbeat.beat()
    assert sorted(servers.history()) == ['lost', 'ok', 'ok', 'ok']


def test_a_row_that_is_locked_for_a_moment_leaves_one_transaction(servers, server):
    server.tick(0)
    run_id = servers.rows(runs)[0]['id']
    servers.change(run_id=run_id)
    locked = [True]

    def release(connection, end, wait):
        if locked:
            locked.pop()
            raise Locked
        return TaskClaims(connection).release('task', run_id)

    ending = Ending('task', run_id, RunEnd('lost'), release)
    with pytest.raises(Locked):
        ending.write(server.claims.database)
    commits = []
    with server.overtaken(of=runs, kind='update', by=lambda: commits.append(servers.row()['run_id'])):
        ending.write(server.claims.database)
    # not released before the history is written
    assert commits == [run_id]
    assert (ending.is_done, servers.row()['run_id'], servers.history()) == (True, None, ['lost'])
