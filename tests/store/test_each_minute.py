"""Tasks with ``missed='each'``: what they run after an outage, over all servers."""

import pytest
from sqlalchemy import update

from pyramid_cron import TaskReport
from pyramid_cron.outcomes import STILL_OWED
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import processes
from tests.support.enqueueing import LONG, Queue, begin
from tests.support.problems import task_problems
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def start(servers, **options):
    return servers.start(window='10e9').add(**({'missed': 'each', 'catch_up': 3600} | options))


def begun(server, *minutes):
    """Tick at minutes, and return for which minute the task ran at each of them."""
    found = {}
    for minute in minutes:
        before = len(server.ran)
        server.tick(minute)
        if server.ran[before:]:
            [(_, found[minute])] = server.ran[before:]
    return found


@pytest.mark.slow
def test_each_missed_minute_is_run_one_a_tick(servers, warnings):
    server = start(servers)
    assert begun(server, 0, 1) == {0: 0}
    # no tick until 23, and then one each minute
    assert begun(server, *range(23, 32)) == {23: 5, 24: 10, 25: 15, 26: 20, 27: 25, 30: 30}
    assert servers.minutes('missed') == servers.minutes('skipped') == []
    assert [text for text in warnings() if 'no tick' not in text] == []


@pytest.mark.slow
def test_minutes_that_are_too_long_ago_are_missed(servers, warnings):
    server = start(servers, catch_up=600)
    begun(server, 0)
    assert begun(server, 21, 22, 23) == {21: 15, 22: 20}
    assert servers.minutes('missed') == [('task', 5), ('task', 10)]
    assert 'task task was missed and does not run for 2 minutes from' in warnings()[-1]


@pytest.mark.slow
def test_several_servers_run_one_minute_a_minute(servers):
    first, second = start(servers), start(servers)
    first.tick(0)
    for minute in (16, 17, 18, 20):
        for server in (second, first):
            report = server.tick(minute)
            if minute == 20:
                # it is due then
                assert report.tasks[0].outcome == ('ok' if server is second else 'skipped')
    assert [minute for _, minute in second.ran] == [5, 10, 15, 20]
    assert [minute for _, minute in first.ran] == [0]


@pytest.mark.slow
def test_a_due_task_reports_that_earlier_minutes_come_first(servers):
    first, second = start(servers), start(servers)
    first.tick(0)
    assert [(task.outcome, task.scheduled_for.minute) for task in first.tick(15).tasks] == [('ok', 5)]
    [task] = second.tick(15).tasks
    assert (task.outcome, task.reason) == ('skipped', 'earlier minutes come first, one a minute')
    assert begun(second, 16, 17) == {16: 10, 17: 15}


@pytest.mark.slow
def test_minutes_during_a_run_are_run_after_it(servers):
    server, other = start(servers), start(servers)
    server.tick(0)
    (run,) = server.runs(5)
    assert run.claim() is None
    [task] = other.tick(10).tasks
    assert (task.outcome, task.reason[:13]) == ('skipped', 'still running')
    server.clock.now += 6 * 60
    run.release(TaskReport('task', 'ok', 360.0))
    assert begun(other, 12, 13, 15) == {12: 10, 15: 15}
    assert servers.minutes('skipped') == []


@pytest.mark.slow
def test_a_lost_run_comes_before_newer_minutes(servers):
    dead, server = start(servers), start(servers)
    dead.tick(0)
    (run,) = dead.runs(5)
    assert run.claim() is None
    servers.execute(update(processes).values(boot_and_pidns='another boot', lease_until=0.0))
    # it may have done its work: it is not repeated
    assert begun(server, 16, 17, 18) == {16: 10, 17: 15}
    assert servers.minutes('lost') == [('task', 5)]
    assert servers.minutes('skipped') == []
    run.interrupt()


@pytest.mark.slow
def test_retries_come_before_newer_minutes(servers):
    left = [LookupError, LookupError]

    def body(system):
        if left and system['scheduled_for'].minute == 5:
            raise left.pop()

    server = start(servers, body=body, retries=(60, 600))
    begun(server, 0)
    assert begun(server, *range(11, 26)) == {11: 5, 12: 5, 22: 5, 23: 10, 24: 15, 25: 20}
    assert begun(server, 26) == {26: 25}


@pytest.mark.slow
def test_an_idle_task_without_time_left_keeps_its_minutes(servers):
    busy = servers.start(window='1e-9').add(idle=True, missed='each', catch_up=3600)
    server = start(servers, idle=True)
    server.tick(0)
    report = busy.tick(11)
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', 'no time left')]
    assert begun(server, 12, 13) == {12: 5, 13: 10}
    assert servers.minutes('skipped') == []


@pytest.mark.slow
def test_a_pause_skips_what_is_owed(servers):
    server = start(servers)
    begun(server, 0)
    server.store.pause(['task'], reason='the printer is broken')
    servers.paused_from(1)
    assert begun(server, 11, 15) == {}
    assert servers.minutes('paused') == [('task', 5), ('task', 10), ('task', 15)]


@pytest.mark.slow
def test_what_is_owed_before_a_pause_waits_for_its_end(servers):
    server = start(servers)
    begun(server, 0)
    server.store.pause(['task'], reason='the printer is broken', until=INSTANT + 14 * MINUTE)
    servers.paused_from(11)
    assert begun(server, 11, 13) == {}
    assert begun(server, 14, 15) == {14: 5, 15: 10}


@pytest.mark.slow
def test_minutes_are_enqueued_one_after_another(servers):
    queue = Queue()
    web = servers.start(catch_up=LONG).add(missed='each', via=queue)
    web.tick(0)
    begin(web, queue.pop())
    keys = []
    for minute in (16, 17, 18, 19):
        web.tick(minute)
        if minute != 17:
            keys += [handover.key[-6:-1] for handover in queue]
            begin(web, queue.pop())
    # at 17 a worker had not begun the run yet
    assert keys == ['02:05', '02:10', '02:15']
    assert web.ran == [('task', 0), ('task', 5), ('task', 10), ('task', 15)]


@pytest.mark.slow
def test_a_backfill_leaves_a_minute_that_is_owed_to_the_ticks(servers):
    server = servers.start(keep_history='3650').add(missed='each', catch_up=3600)
    server.tick(0)
    servers.change(busy_until=INSTANT + 7 * MINUTE)
    report = server.backfill(5)
    assert (report.outcome, report.reason) == ('skipped', STILL_OWED)
    assert begun(server, 8) == {8: 5}
    assert server.backfill(5, again=True).outcome == 'ok'


@pytest.mark.slow
def test_a_retry_will_be_tried_though_newer_minutes_are_due(servers):
    def fail(system):
        raise LookupError

    server = start(servers, body=fail, retries=(600,))
    server.tick(0)
    assert servers.row()['will_retry']
    [problem] = task_problems(server.registry)
    assert problem.next_attempt == INSTANT + 10 * MINUTE
