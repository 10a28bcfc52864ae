"""The runs of one task at a tick: late ones, overlaps, and pauses."""

from datetime import timedelta

import pytest

from tests.support.servers import INSTANT


def test_a_late_run_is_for_its_own_minute(servers, caplog):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    caplog.set_level('INFO', 'pyramid_cron')
    report = second.tick(3)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'ok')]
    assert second.ran == [('task', 0)]
    assert 'task task begins, for 2020-11-23 02:00:00+00:00' in caplog.messages
    first.tick(3)
    first.tick(4)
    assert first.ran == []
    assert servers.history('scheduled_for', 'outcome', 'attempt') == [(INSTANT, 'ok', 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('setting', 'own', 'late', 'ran'),
    [
        ({}, {}, 5, True),
        ({}, {}, 6, False),
        ({'catch_up': '600'}, {}, 10, True),
        ({'catch_up': '600'}, {}, 11, False),
        ({'catch_up': '600'}, {'catch_up': 60}, 2, False),
        ({'catch_up': '600'}, {'catch_up': 0}, 1, False),
        ({'catch_up': '0'}, {}, 1, False),
        ({'catch_up': '0'}, {'catch_up': timedelta(hours=1)}, 59, True),
    ],
)
def test_catch_up_limits_how_late_a_task_runs(servers, warnings, setting, own, late, ran):
    server = servers.start(**setting).add(min=0, **own)
    server.tick(-1)
    server.tick(late)
    assert server.ran == ([('task', 0)] if ran else [])
    assert servers.minutes('missed') == ([] if ran else [('task', 0)])


def test_an_overlap_is_skipped_and_names_the_process(servers, warnings):
    server = servers.start(window='10e9').add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    process = 'process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', f'still running: {process}')]
    assert warnings() == [f'task task is skipped: still running: {process}']
    assert servers.minutes('skipped') == [('task', 1)]
    # the minute of the run itself is not worth a warning
    assert [task.reason for task in server.tick(0).tasks] == ['already run']
    assert warnings() == []


def test_an_overlap_longer_than_the_window_is_stuck(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    assert report.failed
    assert [task.outcome for task in report.tasks] == ['stuck']
    assert report.tasks[0].reason.startswith('running for')


def test_a_paused_minute_is_no_outcome(servers, server):
    server.tick(0)
    server.store.pause(['task'], reason='why')
    (task,) = server.tick(5).tasks
    assert (task.outcome, task.reason) == ('paused', 'paused: why')
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for']) == ('ok', INSTANT)


def test_what_a_killed_server_leaves_is_caught_up(servers):
    first, second = (servers.start().add('one', min=0).add('two', min=0) for _ in range(2))
    for server in (first, second):
        server.tick(-1)
    first.runs(0)[0].claim()
    assert second.tick(1).names('ok') == ['two']
    assert second.ran == [('two', 0)]
