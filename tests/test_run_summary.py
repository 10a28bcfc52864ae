"""One past run in plain values."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.history_entries import ActionEntry, PastRun
from pyramid_cron.run_summary import describe_action, describe_trigger, summarize_run
from pyramid_cron.schedules.clock import minute_of

NOW = datetime(2026, 11, 24, 18, 0, 30, tzinfo=timezone.utc)


def past_run(outcome='ok', **values):
    started = values.pop('started', NOW - timedelta(minutes=10))
    known = {'task': 't', 'outcome': outcome, 'scheduled_for': minute_of(started), 'attempt': 1}
    known |= {'trigger': 'request', 'host': None, 'pid': None, 'started': started, 'finished': started}
    known |= {'seconds': 0.25, 'reason': None, 'error': None, 'traceback': None}
    return PastRun(**(known | values))


def run_summary(run, stuck=False):
    return summarize_run(run, NOW, stuck, lambda minute: f'{minute:%H:%M}')


@pytest.mark.parametrize(
    ('run', 'stuck', 'outcome', 'took'),
    [
        (past_run(), False, 'ok', '0.250 s'),
        # an earlier run of a task whose run in progress is stuck
        (past_run(), True, 'ok', '0.250 s'),
        (past_run('lost'), False, 'lost', ''),
        (past_run('ok', seconds=None), False, 'ok', ''),
        (past_run('skipped', attempt=0), False, 'skipped', ''),
        (past_run('running', started=NOW - timedelta(seconds=60)), False, 'running', '60 s'),
        (past_run('running', started=NOW - timedelta(seconds=61)), True, 'stuck', '61 s'),
        (past_run('queued', started=NOW - timedelta(seconds=61)), True, 'queued', '61 s'),
        # the clock of another machine is ahead
        (past_run('running', started=NOW + timedelta(seconds=5)), False, 'running', '0 s'),
    ],
)
def test_a_run_has_an_outcome_and_a_length(run, stuck, outcome, took):
    assert run_summary(run, stuck)[::2][:2] == (outcome, took)


@pytest.mark.parametrize(
    ('run', 'when', 'about'),
    [
        (past_run(), '17:50', []),
        (past_run(scheduled_for=None), '17:50', ['by hand']),
        (past_run(scheduled_for=None, requested_by='ada'), '17:50', ['by hand, ada']),
        (past_run(scheduled_for=NOW - timedelta(hours=1)), '17:50', ['for 17:00']),
        (
            past_run(scheduled_for=NOW - timedelta(hours=1), trigger='backfill', requested_by='ada'),
            '17:50',
            ['backfill, ada', 'for 17:00'],
        ),
        (past_run(trigger='backfill'), '17:50', ['backfill']),
        (past_run('failed', made_good_by='ada'), '17:50', ['made good by ada']),
        (past_run('failed', made_good_by=''), '17:50', ['made good']),
        (past_run('skipped', scheduled_for=NOW - timedelta(hours=1), attempt=0), '17:00', []),
        (past_run(attempt=2, host='web-1', pid=7), '17:50', ['attempt 2', 'process 7 on web-1']),
    ],
)
def test_a_run_has_a_time_and_details(run, when, about):
    assert (f'{run_summary(run).when:%H:%M}', run_summary(run).about) == (when, about)


@pytest.mark.parametrize(
    ('values', 'parts'),
    [
        ({}, ['paused']),
        ({'requested_by': 'ada'}, ['paused by ada']),
        ({'requested_by': 'ada', 'until': NOW}, ['paused by ada', 'until 18:00']),
    ],
)
def test_an_action_has_its_user_and_its_end(values, parts):
    entry = ActionEntry('task', 'paused', NOW, **values)
    assert describe_action(entry, lambda minute: f'{minute:%H:%M}') == parts


@pytest.mark.parametrize(
    ('run', 'text'),
    [
        (past_run(), 'a tick over HTTP'),
        (past_run(trigger='command'), 'a tick by pcron'),
        (past_run(trigger='manual', requested_by='ada'), 'by hand, by ada'),
        (past_run(trigger='backfill'), 'backfill'),
        # of a version to come
        (past_run(trigger='other'), 'other'),
        (past_run('missed', attempt=0, trigger='none'), ''),
    ],
)
def test_a_run_shows_what_has_requested_it(run, text):
    assert describe_trigger(run) == text
