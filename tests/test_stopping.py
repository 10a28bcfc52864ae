"""Runs that are to end early, as their tasks see it: without a store, by the end of the process."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator
from pyramid.scripting import prepare

from pyramid_cron import Skip
from pyramid_cron.orders import Order
from pyramid_cron.stopping import StopRequest
from pyramid_cron.views import CronView

MINUTE = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def run(body, **order):
    """Run a task, and return its report."""
    config = Configurator()
    config.include('pyramid_cron')
    config.add_cron_task(body, name='task', min='*')
    config.commit()
    with prepare(registry=config.registry) as env:
        return CronView(env['request']).execute(Order(config.registry, MINUTE, **order))


def outcome(report):
    [task] = report.tasks
    return task.outcome, task.reason


def test_nothing_stops_a_run_by_default():
    seen = []
    report = run(lambda system: seen.extend([system['stopping'](), system['time_left']() > 0]))
    assert seen == [False, True]
    assert outcome(report) == ('ok', None)


def test_a_task_that_notices_the_end_of_its_process_is_stopped(caplog):
    seen = []
    report = run(lambda system: seen.append(system['stopping']()), shutdown=lambda: 'SIGTERM')
    assert seen == [True]
    assert outcome(report) == ('stopped', 'by SIGTERM')
    assert str(report) == 'ok: 1 of 1 tasks stopped: task (by SIGTERM)'
    assert not report.failed
    [message] = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert message.startswith('task task is stopped by SIGTERM after 0.')


def test_time_left_is_negative_then():
    seen = []
    report = run(lambda system: seen.append(system['time_left']()), shutdown=lambda: 'SIGTERM')
    assert seen == [-1]
    assert outcome(report) == ('stopped', 'by SIGTERM')


def test_a_run_that_is_late_has_less_time_left_than_that():
    now, seen = [0], []

    def body(system):
        now[0] = 100
        seen.append(system['time_left']())

    run(body, shutdown=lambda: 'SIGTERM', monotonic=lambda: now[0])
    assert seen == [-40]


def test_a_task_that_does_not_look_has_done_all_of_its_work():
    assert outcome(run(lambda system: None, shutdown=lambda: 'SIGTERM')) == ('ok', None)


def test_what_a_task_has_noticed_stays():
    causes = iter(['SIGTERM'])
    seen = []
    report = run(
        lambda system: seen.extend([system['stopping'](), system['stopping']()]), shutdown=lambda: next(causes, None)
    )
    assert seen == [True, True]
    assert outcome(report) == ('stopped', 'by SIGTERM')


def test_a_task_that_skips_what_is_left_is_stopped():
    def body(system):
        if system['stopping']():
            raise Skip('later')

    report = run(body, shutdown=lambda: 'SIGTERM')
    assert outcome(report) == ('stopped', 'by SIGTERM')
    assert not report.tasks[0].raised_skip


def test_a_task_that_raises_has_failed_all_the_same():
    def body(system):
        assert system['stopping']()
        raise ValueError

    report = run(body, shutdown=lambda: 'SIGTERM')
    assert report.tasks[0].outcome == 'failed'
    assert report.failed


def test_a_stopped_run_is_neither_a_success_nor_a_failure_of_this_process():
    config = Configurator()
    config.include('pyramid_cron')
    seen = []
    causes = iter([None, 'SIGTERM', None])

    def body(system):
        seen.append(system['since'])
        if len(seen) == 1:
            raise ValueError
        system['stopping']()

    config.add_cron_task(body, name='task', min='*')
    config.commit()
    recovered = []
    for cause in causes:
        with prepare(registry=config.registry) as env:
            order = Order(config.registry, MINUTE.replace(minute=len(seen)), shutdown=lambda cause=cause: cause)
            recovered.append(CronView(env['request']).execute(order).tasks[0].failed_since is not None)
    assert seen == [None, None, None]
    # the stop in between does not end the alarm
    assert recovered == [False, False, True]


@pytest.mark.parametrize(('requested_by', 'reason'), [('ada', 'by ada'), (None, 'on request')])
def test_the_reason_names_the_user_if_that_is_known(requested_by, reason):
    assert StopRequest(requested_by).reason == reason
