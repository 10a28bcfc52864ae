"""One task of an order: its claim, its call and its release."""

import logging
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from pyramid.testing import DummyRequest

from pyramid_cron import Skip, Task
from pyramid_cron.memory_claims import MemoryClaims, MemoryRun
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.task_runner import TaskRunner

INSTANT = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def runner():
    """Something that runs tasks of an order of 60 seconds, of which no second passes."""
    with Configurator() as config:
        config.include('pyramid_cron')
    order = Order(config.registry, INSTANT, monotonic=lambda: 0.0)
    return TaskRunner(DummyRequest(registry=config.registry), order, 0.0, 60.0, lambda: True)


class Run(MemoryRun):
    """A run that keeps what it is released with."""

    shared, attempt = None, 1

    def __init__(self, function, minute=INSTANT):
        super().__init__(MemoryClaims(), Task(function, name='task', timezone='Europe/Berlin'), minute)
        self.released = []

    def release(self, report, is_last=False):
        self.released.append((report.outcome, is_last))
        return super().release(report, is_last)


def test_a_task_is_claimed_called_and_released(runner):
    found = []
    run = Run(found.append)
    assert runner.claim_and_run(run) == TaskReport('task', 'ok', 0.0)
    [system] = found
    assert system['scheduled_for'].isoformat() == '2026-11-30T03:00:00+01:00'
    assert system['time_left']() == 60.0
    assert run.released == [('ok', False)]


def test_a_shared_run_is_released_as_the_last_one(runner):
    run = Run(lambda system: None)
    run.shared = 'with other processes'
    runner.claim_and_run(run)
    assert run.released == [('ok', True)]


def test_a_task_that_is_claimed_already_is_not_called(runner, caplog):
    run = Run(None)
    run.claim()
    report = runner.claim_and_run(run)
    assert (report.outcome, report.reason, run.released) == ('skipped', 'still running', [])


@pytest.mark.parametrize(
    ('minutes', 'attempt', 'described'),
    [(0, 1, (1, None)), (0, 3, (3, None)), (-5, 1, (1, '02:55')), (-5, 2, (2, '02:55'))],
)
def test_a_report_has_what_is_unusual_about_its_run(runner, minutes, attempt, described):
    run = Run(print, INSTANT + timedelta(minutes=minutes))
    run.attempt = attempt
    report = runner.described(run, TaskReport('task', 'ok'))
    assert (report.attempt, report.scheduled_for and f'{report.scheduled_for:%H:%M}') == described


@pytest.mark.parametrize(('seconds', 'outcome'), [(None, 'skipped'), (60, 'skipped'), (61, 'stuck')])
def test_a_run_that_is_longer_than_its_limit_is_stuck(runner, caplog, seconds, outcome):
    report = runner.report_not_claimed(Task(print, name='task'), NotClaimed('still running', seconds, stuck_after=60))
    assert report.outcome == outcome
    assert caplog.records[0].levelno == (logging.ERROR if outcome == 'stuck' else logging.WARNING)


class NoNews(Skip):
    @property
    def __class__(self):
        raise LookupError


@pytest.mark.parametrize('kind', [Skip, NoNews])
def test_a_task_that_raises_skip_is_skipped(runner, caplog, kind):
    def task(system):
        raise kind('no new file')

    caplog.set_level(logging.INFO, 'pyramid_cron')
    run = Run(task)
    assert runner.claim_and_run(run) == TaskReport('task', 'skipped', reason='no new file', raised_skip=True)
    assert run.released == [('skipped', False)]
    assert caplog.records[-1].levelname == 'INFO'
    assert caplog.messages[-1] == 'task task is skipped after 0.000 s: no new file'


def test_a_task_gets_the_last_success_before_it(runner):
    found = []
    run = Run(lambda system: found.append(system['since']))
    assert runner.claim_and_run(run).outcome == 'ok'
    run.minute += MINUTE
    runner.claim_and_run(run)
    assert [since and since.isoformat() for since in found] == [None, '2026-11-30T03:00:00+01:00']
