"""Texts about a task for people."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.alarm import Acknowledged
from pyramid_cron.claims import Pause
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.stops import Stop
from pyramid_cron.task_texts import (
    format_acknowledged,
    format_attempt,
    format_pause,
    format_retries,
    format_stop,
    format_stopped,
    format_waits,
    pause_as_dict,
)

BERLIN = ZoneInfo('Europe/Berlin')
NOON = datetime(2026, 12, 24, 11, tzinfo=timezone.utc)


def plain(system):
    pass


@pytest.mark.parametrize(
    ('retries', 'text'),
    [(0, 'none'), (2, '2'), ((60,), '1, after 60 s'), ((60, 600, 3600), '3, after 60 s, 10 min and 1 h 0 min')],
)
def test_retries_are_shown_with_their_waits(retries, text):
    assert format_retries(Task(plain, retries=retries)) == text


@pytest.mark.parametrize(
    ('pause', 'text'),
    [
        (Pause(None, 'why', None), 'until it is resumed: why'),
        (Pause(None, 'why', 'ada', True), 'by ada until they are resumed: why'),
        (Pause(None, 'why', 'ada', since=NOON), 'by ada since Thu 2026-12-24 12:00 until it is resumed: why'),
        (Pause(NOON, 'why', 'ada'), 'by ada until Thu 2026-12-24 12:00: why'),
    ],
)
def test_a_pause_has_end_user_and_reason(pause, text):
    assert format_pause(pause, BERLIN) == text


@pytest.mark.parametrize(
    ('request_', 'text'),
    [
        (StopRequest('ada', NOON), 'stop requested by ada at Thu 2026-12-24 12:00'),
        (StopRequest(None), 'stop requested'),
    ],
)
def test_a_request_that_a_run_ends_has_user_and_time(request_, text):
    assert format_stop(request_, BERLIN) == text


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({}, ': its process sees this within 30 s; the run ends when the task next calls stopping()'),
        ({'is_new': False}, ' already, stop requested by ada: its process sees this within 30 s; the run ends '),
        ({'lease_over': True}, ': its process has not renewed its lease, and may be dead: then the next tick ends '),
    ],
)
def test_what_became_of_a_stop_is_a_sentence(values, text):
    assert format_stopped(Stop('task', StopRequest('ada'), **values), 90, BERLIN).startswith(f'task is to stop{text}')


def test_a_pause_is_in_utc_for_json():
    values = {
        'since': None,
        'until': '2026-12-24T11:00:00+00:00',
        'reason': 'why',
        'requested_by': 'ada',
        'all_tasks': True,
    }
    assert pause_as_dict(Pause(NOON, 'why', 'ada', True)) == values
    assert pause_as_dict(Pause(None, 'why', None))['until'] is None
    assert pause_as_dict(Pause(None, 'why', None, since=NOON))['since'] == '2026-12-24T11:00:00+00:00'


@pytest.mark.parametrize(
    ('acknowledged', 'text'),
    [
        (Acknowledged('why', None, None), 'acknowledged: why'),
        (Acknowledged('why', 'ada', NOON), 'acknowledged by ada since Thu 2026-12-24 12:00: why'),
    ],
)
def test_an_acknowledgement_has_user_time_and_reason(acknowledged, text):
    assert format_acknowledged(acknowledged, BERLIN) == text


def test_an_attempt_has_its_date_unless_that_is_today():
    assert format_attempt(NOON, NOON, BERLIN) == 'next attempt at 12:00'
    assert format_attempt(NOON, NOON.replace(day=23), BERLIN) == 'next attempt on Thu 2026-12-24 12:00'
    # today is that of the time zone
    assert format_attempt(NOON, NOON.replace(day=23, hour=23), BERLIN) == 'next attempt at 12:00'


def test_a_wait_has_its_date_unless_that_is_today():
    assert format_waits(NOON, NOON, BERLIN) == 'waits for a process since 12:00'
    assert format_waits(NOON.replace(day=23), NOON, BERLIN) == 'waits for a process since Wed 2026-12-23 12:00'
