"""The circuit breaker: a run that has waited for the database in vain does not wait for it again."""

import contextlib
import threading

import pytest
from sqlalchemy.exc import OperationalError, TimeoutError

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.circuit_breaker import OPEN_SECONDS, CircuitBreaker, CircuitOpen, NotAnswering
from pyramid_cron.store.errors import database_errors
from pyramid_cron.store.schema import processes, runs, tasks
from tests.support.servers import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(clock)


def database_error(invalidated=False):
    return OperationalError('SELECT 1', {}, Exception('a lock\ntimeout'), connection_invalidated=invalidated)


def use(breaker, clock=None, seconds=0, exc=None):
    with breaker.guard():
        if exc is not None:
            clock.sleep(seconds)
            with database_errors():
                raise exc


def test_a_database_that_answers_can_be_used(breaker):
    for _ in range(2):
        use(breaker)


def test_what_fails_at_once_can_be_tried_again(breaker, clock):
    exc = database_error()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            use(breaker, clock, 3, exc)
        assert type(caught.value) is Unavailable


@pytest.mark.parametrize(
    ('exc', 'end'),
    [
        (database_error(), ': a lock timeout'),
        (database_error(invalidated=True), ''),
        (TimeoutError('the pool is empty'), ': the pool is empty'),
    ],
)
def test_a_wait_in_vain_is_reported_and_not_repeated(breaker, clock, exc, end):
    with pytest.raises(NotAnswering) as caught:
        use(breaker, clock, 4, exc)
    assert str(caught.value) == f'the store is not available: it did not answer within 4 s{end}'
    assert caught.value.brief == 'the store is not available: it did not answer within 4 s'
    assert caught.value.__cause__ is exc
    for _ in range(2):
        with pytest.raises(CircuitOpen, match='is not waited for again in this run'):
            use(breaker)


def test_another_error_is_no_wait_for_the_database(breaker, clock):
    def fail():
        with breaker.guard():
            clock.sleep(4)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    use(breaker)


@pytest.mark.parametrize(('code', 'again'), [(1205, True), (2013, False)])
def test_a_database_that_has_a_lock_can_be_used(breaker, clock, code, again):
    breaker.close_if_locked()
    with pytest.raises(NotAnswering):
        use(breaker, clock, 4, OperationalError('SELECT 1', {}, Exception(code, 'too long')))
    breaker.close_if_locked()
    with contextlib.nullcontext() if again else pytest.raises(CircuitOpen):
        use(breaker)


def test_it_is_open_until_it_is_closed_or_a_minute_has_passed(breaker, clock):
    for end in (breaker.close, lambda: clock.sleep(OPEN_SECONDS)):
        with pytest.raises(NotAnswering):
            use(breaker, clock, 4, database_error())
        end()
        use(breaker)


def test_other_threads_find_out_for_themselves(breaker, clock):
    with pytest.raises(NotAnswering):
        use(breaker, clock, 4, database_error())
    done = []
    thread = threading.Thread(target=lambda: done.append(use(breaker)))
    thread.start()
    thread.join()
    assert done == [None]


@pytest.fixture
def many(servers):
    server = servers.start()
    for number in range(5):
        server.add(f'task {number}', min='*')
    server.tick(0)
    return server


@pytest.mark.slow
def test_a_tick_waits_once_for_a_locked_history(servers, many, warnings):
    began = many.clock.now
    with many.silence(of=runs, kind='insert') as waited:
        report = many.tick(1)
    assert [task.outcome for task in report.tasks] == ['failed'] * 5
    assert 'canceling statement due to lock timeout' in str(report.tasks[0].exception)
    assert 'is not waited for again in this run' in str(report.tasks[1].exception)
    assert (len(waited), many.clock.now - began) == (1, 5)
    assert [task.outcome for task in many.tick(2).tasks] == ['ok'] * 5


@pytest.mark.slow
def test_an_end_that_waited_is_written_later_and_nothing_else_is_tried(servers, many, warnings):
    began = many.clock.now
    with many.silence(of=tasks, kind='update', sets='busy_until') as waited:
        report = many.tick(1)
    assert [task.outcome for task in report.tasks] == ['ok', *['failed'] * 4]
    assert (len(waited), many.clock.now - began) == (1, 5)
    assert [task.outcome for task in many.tick(2).tasks] == ['ok'] * 5
    assert servers.minutes('ok')[:3] == [('task 0', 0), ('task 0', 1), ('task 0', 2)]


def test_a_refused_claim_leaves_nothing_to_write(servers, many, warnings):
    with many.silence(of=runs, kind='insert'):
        many.tick(1)
    many.claims.database.breaker.close()
    # for the only claim that may have been committed
    with many.executed() as executed:
        many.claims._late.write()
    assert [statement.kind for statement in executed] == ['update', 'select']


def test_a_heartbeat_and_a_pause_try_again(servers, many, warnings):
    for use in (many.claims._beat, lambda: many.store.pause(['task 0'], reason='why')):
        many.claims._late._entries.clear()
        with many.silence(of=processes, kind='update'), pytest.raises(NotAnswering):
            many.claims._beat()
        use()
