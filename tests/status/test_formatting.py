"""Values for the templates: times, runs and strips."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.history_entries import PastRun
from pyramid_cron.last_due import LastDue
from pyramid_cron.progress import Progress
from pyramid_cron.run_addresses import RunLink
from pyramid_cron.status.formatting import (
    draw_strip,
    format_last_due,
    format_progress,
    format_run,
    format_span,
    format_time,
)
from pyramid_cron.store.live_progress import write_progress
from pyramid_cron.store.liveness import ProcessState
from tests.support.states import in_progress, state

NOW = datetime(2026, 11, 24, 18, 0, 30, tzinfo=timezone.utc)
UTC = timezone.utc
BERLIN = ZoneInfo('Europe/Berlin')


def ago(**length):
    return NOW - timedelta(**length)


def run(outcome='ok', **values):
    started = values.pop('started', ago(minutes=10))
    known = {'task': 't', 'outcome': outcome, 'scheduled_for': started.replace(second=0), 'attempt': 1}
    known |= {'trigger': 'request', 'host': 'web-1', 'pid': 7, 'started': started, 'finished': started}
    known |= {'seconds': 0.25, 'reason': None, 'error': None, 'traceback': None}
    return PastRun(**(known | values))


@pytest.mark.parametrize(
    ('instant', 'text', 'away'),
    [
        (ago(seconds=42), '18:59', '42 s ago'),
        (ago(minutes=5), '18:55', '5 min ago'),
        (ago(hours=20), 'Mon 2026-11-23 23:00', '20 h ago'),
        (NOW, '19:00', '0 s ago'),
        (NOW + timedelta(seconds=30), '19:01', 'in 1 min'),
        (NOW + timedelta(hours=7, seconds=30), 'Wed 2026-11-25 02:01', 'in 7 h 1 min'),
    ],
)
def test_a_time_has_a_date_unless_it_is_today(instant, text, away):
    found = format_time(instant, NOW, BERLIN)
    assert (found.text, found.distance) == (text, away)
    assert datetime.fromisoformat(found.iso) == instant.replace(second=0)


def test_a_span_has_one_date_where_one_is_enough():
    assert format_span(ago(minutes=20), ago(minutes=10), NOW, UTC) == '17:40 to 17:50'
    assert format_span(ago(minutes=20), ago(minutes=20), NOW, UTC) == '17:40'
    assert format_span(ago(hours=20), ago(hours=19), NOW, UTC) == 'Mon 2026-11-23 22:00 to 23:00'
    assert format_span(ago(hours=20), ago(minutes=10), NOW, UTC) == 'Mon 2026-11-23 22:00 to 17:50'


def test_a_run_in_progress_has_its_progress():
    progress = write_progress({'token': Progress(42.0, 100.0, ago(minutes=1), 420.0)})
    process = ProcessState('web-1', 7, None, None, False, progress=progress)
    running = state('t', 'ok', ago(hours=1), **in_progress(ago(minutes=4)), process=process)
    last = LastDue('running', ago(minutes=4), '4 min')
    assert format_last_due(last, running, NOW, UTC).progress == (42, '42 %, about 6 min left')
    assert format_last_due(last, replace(running, process=None), NOW, UTC).progress is None
    assert format_progress(None, NOW) is None


def test_a_strip_has_a_text():
    found = draw_strip(['ok', 'failed', 'ok', 'missed', 'strange'])
    assert found.text == 'Last 5 runs: 2 ok, 1 failed, 1 missed, 1 strange; the last is strange'
    assert found.width == 30
    assert dict(found.paths) == {
        'good': 'M3 20V8M15 20V8',
        'bad': 'M9 20V0',
        'warn': 'M21 20v-3m0-5v-3',
        'quiet': 'M27 20v-2',
    }
    assert draw_strip(['ok', 'ok']).text == 'Last 2 runs: 2 ok'
    assert draw_strip(['ok']).text == 'Last run: ok'


def test_each_outcome_has_its_own_symbol_and_bar():
    # without colours, the shapes differ
    outcomes = [
        'ok',
        'failed',
        'lost',
        'stuck',
        'missed',
        'skipped',
        'paused',
        'running',
        'queued',
        'waiting',
        'strange',
    ]
    bars = [draw_strip([outcome]).paths[0][1] for outcome in outcomes]
    # a run is stuck while it is running
    runs = [(run('running' if outcome == 'stuck' else outcome), outcome == 'stuck') for outcome in outcomes]
    symbols = [format_run(past, NOW, stuck, UTC).symbol for past, stuck in runs]
    assert len(set(bars)) == len(outcomes)
    assert len(set(symbols)) == len(outcomes)


@pytest.mark.parametrize(
    ('past', 'stuck', 'expected'),
    [
        (run(), False, ('ok', '✓', 'good', '17:50', '0.250 s', '', 'process 7 on web-1')),
        (
            run('failed', error='Timeout'),
            False,
            ('failed', '✗', 'bad', '17:50', '0.250 s', 'Timeout', 'process 7 on web-1'),
        ),
        (run('lost', reason='gone'), False, ('lost', '?', 'bad', '17:50', '', 'gone', 'process 7 on web-1')),
        (
            run('skipped', attempt=0, host=None, scheduled_for=ago(minutes=20), reason='still running'),
            False,
            ('skipped', '»', 'warn', '17:40', '', 'still running', ''),
        ),
        (
            run(scheduled_for=ago(minutes=60), attempt=2),
            False,
            ('ok', '✓', 'good', '17:50', '0.250 s', '', 'for 17:00, attempt 2, process 7 on web-1'),
        ),
        (
            run(scheduled_for=None, requested_by='ada', host=None),
            False,
            ('ok', '✓', 'good', '17:50', '0.250 s', '', 'by hand, ada'),
        ),
        (run(scheduled_for=None, host=None), False, ('ok', '✓', 'good', '17:50', '0.250 s', '', 'by hand')),
        (
            run('running', seconds=None, started=ago(seconds=40), host=None),
            False,
            ('running', '▸', 'active', '17:59', '40 s', '', ''),
        ),
        (
            run('running', seconds=None, started=ago(seconds=61), host=None),
            True,
            ('stuck', '!', 'bad', '17:59', '61 s', '', ''),
        ),
    ],
)
def test_a_run_is_one_line(past, stuck, expected):
    shown = format_run(past, NOW, stuck, UTC)
    found = (shown.outcome, shown.symbol, shown.css_class, shown.when.text, shown.took, shown.why, shown.about)
    assert found == expected


def test_the_reason_of_a_lost_run_does_not_repeat_its_process():
    lost = run('lost', reason='process 7 on web-1, since 17:50')
    shown = format_run(lost, NOW, False, UTC)
    assert (shown.why, shown.about) == ('', 'process 7 on web-1')


@pytest.mark.parametrize(
    ('word', 'excuse', 'symbol', 'css_class'),
    [
        ('missed', None, '○', 'warn'),
        ('failed', None, '✗', 'bad'),
        ('failed', 'acknowledged', '✗', 'quiet'),
        ('overdue', None, '…', 'warn'),
        ('waiting', None, '⋯', 'active'),
    ],
)
def test_the_last_due_minute_has_the_look_of_its_word(word, excuse, symbol, css_class):
    last = LastDue(word, ago(minutes=10), '17:50', '2.0 s', 'Timeout', ('12 in a row',), excuse)
    iso = '2026-11-24T17:50+00:00'
    shown = format_last_due(last, state('t'), NOW, UTC)
    assert shown == (word, symbol, css_class, '17:50', iso, '2.0 s', ['Timeout', '12 in a row'], None, None)


def test_the_last_due_minute_has_a_link_where_there_is_a_record():
    def link(word, **values):
        return format_last_due(LastDue(word, ago(minutes=10), ''), state('t', **values), NOW, UTC).link

    minute = ago(minutes=10)
    assert link('failed', outcome='failed', at=minute) == RunLink('t', minute)
    # of a run by hand the row has no id
    assert link('ok', outcome='ok') is None
    assert link('running', **in_progress(minute)) == RunLink('t', None, 'token')
    assert link('overdue', outcome='ok', at=minute) is None
