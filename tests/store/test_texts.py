from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.claims import Pause
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import busy_reason, parse_reason, paused_reason, running_process

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
BERLIN = ZoneInfo('Europe/Berlin')


PROCESS = ProcessState('web1', 7, None, None, False)
STARTED = INSTANT.timestamp()


def running(process=PROCESS, started_at=STARTED, **values):
    return TaskState('task', '', INSTANT, run_id='token', process=process, started_at=started_at, **values)


@pytest.mark.parametrize(
    ('state', 'zone', 'text'),
    [
        (running(), timezone.utc, 'process 7 on web1, since 2020-11-23 02:00:00+00:00'),
        (running(), BERLIN, 'process 7 on web1, since 2020-11-23 03:00:00+01:00'),
        (running(None), timezone.utc, 'process None on None, since 2020-11-23 02:00:00+00:00'),
        (running(started_at=None), timezone.utc, 'process 7 on web1, since ?'),
    ],
)
def test_a_process_is_shown_in_a_time_zone(state, zone, text):
    assert running_process(state, zone) == text
    assert busy_reason(state, zone) == f'still running: {text}'


def test_a_run_without_a_worker_is_queued():
    state = running(None, handed_over_for='2020-11-23T02:00+00:00')
    assert busy_reason(state, timezone.utc) == 'still queued, since 2020-11-23 02:00:00+00:00'


def test_a_pause_is_shown_with_its_user():
    assert paused_reason(Pause(None, 'it fails', 'root')) == 'paused by root: it fails'
    assert paused_reason(Pause(None, 'it moves', 'root', True)) == 'paused with all tasks by root: it moves'
    assert paused_reason(Pause(None, '\x1b', '\u202e')) == r'paused by \u202e: \x1b'
    assert paused_reason(Pause(INSTANT + timedelta(days=1), 'it fails', None)) == 'paused: it fails'


def test_a_reason_has_a_length():
    assert parse_reason('x' * 1000) == 'x' * 1000
    with pytest.raises(ValueError, match='the reason has 1001 characters: write 1000 at most'):
        parse_reason('x' * 1001)
