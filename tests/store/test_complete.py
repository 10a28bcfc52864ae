"""The end of a run: written again while the database is away, or later, and refused to who was fenced off."""

import logging

import pytest

from pyramid_cron import TaskReport
from pyramid_cron.store import Fenced

REPORT = TaskReport('task', 'ok', 1.5)
END = 'UPDATE cron_tasks SET busy_until'


def test_the_end_of_a_run_is_written_again_for_a_while(servers, server, warnings):
    with server.outage(END, times=5) as tried:
        assert str(server.tick()) == 'ok'
    assert len(tried) == 5
    assert server.clock.now == pytest.approx(1000 + 5 * 0.3)
    assert servers.history() == ['ok']
    assert warnings() == []


def test_an_end_that_cannot_be_written_is_written_by_a_later_tick(servers, warnings):
    server, other = (servers.start(window='10e9').add(min='*') for _ in range(2))
    with server.outage(END):
        assert str(server.tick()) == 'ok'
    assert server.clock.now < 1000 + 5
    assert warnings() == ['the store cannot be told the end of task task: the database has gone']
    # until then the run goes on for everybody else
    assert other.tick(1).tasks[0].reason.startswith('still running')
    server.clock.now += 60 * 10
    server.tick(10)
    assert servers.minutes('ok') == [('task', 0), ('task', 10)]
    # it was not running all the time
    assert servers.minutes('missed') == [('task', minute) for minute in range(1, 10)]
    assert warnings()[-1].startswith('task task was missed')


def test_an_end_that_could_not_be_written_is_written_by_the_heartbeat(servers, server):
    with server.outage(END):
        server.tick()
    server.claims._beat()
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None


def test_an_end_whose_process_died_before_it_could_be_written_is_lost(servers, server, warnings):
    with server.outage(END):
        server.tick()
    servers.change(process='none')
    assert servers.start().add().tick(1).tasks[0].outcome == 'lost'
    # should it still come, it changes nothing
    server.tick(2)
    assert servers.history() == ['lost']


def test_an_end_that_the_database_has_kept_is_not_a_failure_if_the_answer_is_lost(servers, server, warnings):
    server.tick(-1)
    (turn,) = server.turns()
    server.claims.claim(turn)
    with server.commit_fails(after=True):
        report = server.claims.release(turn, REPORT)
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None
    assert report == REPORT
    assert warnings() == []


def test_a_run_that_was_taken_over_behind_its_back_is_reported_as_failed(servers, warnings):
    server = servers.start().add(body=lambda system: servers.change(run_id='other'))
    report = server.tick()
    assert [(task.outcome, type(task.exception)) for task in report.tasks] == [('failed', Fenced)]
    assert warnings() == ['task task: the run was taken over by another process, which took this one for dead']
    assert servers.row()['run_id'] == 'other'


def test_a_run_that_failed_and_was_taken_over_is_not_ended_twice(servers, warnings):
    def body(system):
        servers.change(run_id='other')
        raise ValueError

    server = servers.start().add(body=body)
    assert server.tick().failed
    assert servers.row()['run_id'] == 'other'


def test_minutes_that_came_while_a_task_was_running_are_not_owed(servers, warnings):
    server = servers.start().add(body=lambda system: server.clock.sleep(150), min='*')
    server.tick(0)
    server.tick(3)
    assert server.ran == [('task', 0), ('task', 3)]
    assert servers.minutes('missed') == []


def test_a_tick_that_came_late_has_not_been_running_since_its_minute(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    server.clock.sleep(3600)
    server.tick(1)
    server.tick(2)
    assert [minute for _, minute in server.ran] == [0, 1, 2]


@pytest.mark.parametrize('text', ['a\x00b', 'caf\udce9', 'x' * 20000], ids=['zero', 'surrogate', 'long'])
def test_whatever_an_exception_says_can_be_kept(servers, caplog, text):
    # what cannot be encoded cannot be sent with the report of this test either
    caplog.set_level(logging.CRITICAL + 1, 'pyramid_cron')

    def body(system):
        raise ValueError(text)

    server = servers.start().add(body=body)
    server.tick()
    ((outcome, error, kept),) = servers.history('outcome', 'error', 'traceback')
    assert (outcome, error) == ('failed', 'ValueError')
    assert kept.endswith({'a': 'a\\x00b\n', 'c': 'caf\\udce9\n', 'x': 'x' * 100 + '\n'}[text[0]])
    assert len(kept) <= 8000
    assert servers.row()['run_id'] is None
    assert server.clock.now == 1000


class Elusive(Exception):
    """Raises when a traceback of it is to be shown."""

    @property
    def __class__(self):
        raise LookupError('the class is not to be had')


def test_the_end_of_a_run_is_written_even_if_its_exception_cannot_be_shown(servers, warnings):
    def body(system):
        raise Elusive

    server = servers.start().add(body=body)
    assert server.tick().failed
    assert servers.history('outcome', 'error', 'traceback') == [('failed', 'Elusive', 'Elusive, which cannot be shown')]
    assert servers.row()['run_id'] is None
    assert server.clock.now == 1000
