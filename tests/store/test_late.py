"""Ends of runs that could not be written in time."""

import pytest

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.late import MOST_ENDINGS, MOST_SECONDS_LATE, Late
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.schema import runs, tasks
from tests.support.statements import GONE

END = {'of': tasks, 'kind': 'update', 'sets': 'last_finished'}
HISTORY = {'of': runs, 'kind': 'update'}


@pytest.fixture
def late(server):
    return Late(server.claims.database, server.clock)


def ending(run_id, release=lambda connection, end, wait: True):
    return Ending('task', run_id, RunEnd('ok', 1.5), release)


def refuse(connection, end, wait):
    raise LookupError('not now')


def test_one_late_end_does_not_stop_the_others(late, warnings):
    tried = []

    def take(connection, end, wait):
        tried.append('good')
        return True

    late.add(ending('bad', refuse))
    late.add(ending('good', take))
    assert late
    late.write()
    late.write()
    assert tried == ['good']
    # once
    assert warnings() == ['the end of task task cannot be recorded yet: not now']
    assert (late.problem_of('bad'), late.problem_of('good'), late.problem_of(None)) == ('not now', None, None)


def test_a_late_end_that_was_not_tried_holds_its_task(late):
    late.add(ending('new'))
    assert late.problem_of('new') == 'not tried yet'


def test_a_release_is_never_given_up(late, server, warnings):
    late.add(ending('bad', refuse))
    server.clock.now += 2 * MOST_SECONDS_LATE
    late.write()
    assert warnings() == ['the end of task task cannot be recorded yet: not now']
    assert late.problem_of('bad') == 'not now'


def test_a_history_is_given_up_after_a_day(late, server, warnings):
    with server.outage(**HISTORY):
        released = ending('released')
        released._is_one_transaction = False
        late.write_now(released)
        late.write()
        assert warnings() == [f'the history of task task cannot be recorded yet: {GONE}']
        assert late.problem_of('released') is None
        server.clock.now += MOST_SECONDS_LATE + 1
        late.write()
    assert warnings() == [f'the end of task task is not recorded, and is given up: {GONE}']
    assert not late


def test_the_history_is_not_written_before_a_tick(late, server):
    with server.outage(**HISTORY) as tried:
        released = ending('released')
        released._is_one_transaction = False
        late.write_now(released)
        late.write(history=False)
    assert len(tried) == 1
    late.write()
    assert not late


def test_a_lost_connection_is_replaced(late):
    errors = [Unavailable('gone', disconnected=True)]

    def release(connection, end, wait):
        if errors:
            raise errors.pop()
        return True

    late.add(ending('run', release))
    late.write()
    assert not late


def test_a_bounded_number_of_ends_is_kept(late, server, warnings):
    with server.outage(**HISTORY):
        released = ending('released')
        released._is_one_transaction = False
        late.add(ending('held', refuse))
        late.write_now(released)
        for number in range(MOST_ENDINGS - 1):
            late.add(ending(str(number), refuse))
    # first what holds no task
    assert late.problem_of('held') == 'not tried yet'
    assert 'released' not in late._entries
    assert len(late._entries) == MOST_ENDINGS
    late.add(ending('another', refuse))
    assert late.problem_of('held') is None
    assert warnings()[-1].startswith('the end of task task is not recorded, and is given up')


@pytest.mark.slow
def test_the_late_end_of_a_task_is_reported_by_its_process(servers, server, warnings):
    other = servers.start(window='10e9').add()
    with server.outage(**END):
        server.tick(0)
        assert str(server.tick(0)) == (
            f'fail: 1 of 1 tasks failed: task (the end of its last run cannot be recorded: {GONE})'
        )
        assert server.tick(5).failed
        assert server.tick(6, names=['task']).failed
        assert other.tick(5).tasks[0].reason.startswith('still running')
    assert str(server.tick(5)) == 'ok'
    assert servers.minutes('ok') == [('task', 0), ('task', 5)]
