"""Values for the templates: times, runs and strips."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.reports import PastRun
from pyramid_cron.status.formatting import draw_strip, format_run, format_span, format_time

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
    outcomes = ['ok', 'failed', 'lost', 'stuck', 'missed', 'skipped', 'paused', 'running', 'strange']
    bars = [draw_strip([outcome]).paths[0][1] for outcome in outcomes]
    symbols = [format_run(run(outcome), NOW, 3600, UTC).symbol for outcome in outcomes]
    assert len(set(bars)) == len(outcomes)
    assert len(set(symbols)) == len(outcomes)


@pytest.mark.parametrize(
    ('past', 'expected'),
    [
        (run(), ('ok', '✓', 'good', '17:50', '0.250 s', '', 'process 7 on web-1')),
        (run('failed', error='Timeout'), ('failed', '✗', 'bad', '17:50', '0.250 s', 'Timeout', 'process 7 on web-1')),
        (run('lost', reason='gone'), ('lost', '?', 'bad', '17:50', '', 'gone', 'process 7 on web-1')),
        (
            run('skipped', attempt=0, host=None, scheduled_for=ago(minutes=20), reason='still running'),
            ('skipped', '»', 'warn', '17:40', '', 'still running', ''),
        ),
        (
            run(scheduled_for=ago(minutes=60), attempt=2),
            ('ok', '✓', 'good', '17:50', '0.250 s', '', 'for 17:00, attempt 2, process 7 on web-1'),
        ),
        (
            run(scheduled_for=None, requested_by='ada', host=None),
            ('ok', '✓', 'good', '17:50', '0.250 s', '', 'by hand, ada'),
        ),
        (run(scheduled_for=None, host=None), ('ok', '✓', 'good', '17:50', '0.250 s', '', 'by hand')),
        (
            run('running', seconds=None, started=ago(seconds=40), host=None),
            ('running', '▸', 'quiet', '17:59', '40 s', '', ''),
        ),
        (
            run('running', seconds=None, started=ago(seconds=61), host=None),
            ('stuck', '!', 'bad', '17:59', '61 s', '', ''),
        ),
    ],
)
def test_a_run_is_one_line(past, expected):
    shown = format_run(past, NOW, 60, UTC)
    found = (shown.outcome, shown.symbol, shown.css_class, shown.when.text, shown.took, shown.why, shown.about)
    assert found == expected


def test_the_reason_of_a_lost_run_does_not_repeat_its_process():
    lost = run('lost', reason='process 7 on web-1, since 17:50')
    assert (format_run(lost, NOW, 60, UTC).why, format_run(lost, NOW, 60, UTC).about) == ('', 'process 7 on web-1')
    assert format_run(lost, NOW, 60, UTC, whole_reason=True).why == 'process 7 on web-1, since 17:50'
