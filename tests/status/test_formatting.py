"""Values for the templates: times, runs and strips."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.monitoring.problems import Problem
from pyramid_cron.reports import STUCK, PastRun
from pyramid_cron.status.formatting import draw_strip, format_run, format_span, format_state, format_time
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
            ('running', '▸', 'quiet', '17:59', '40 s', '', ''),
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


RUNNING = in_progress(ago(minutes=4))


@pytest.mark.parametrize(
    ('row', 'expected'),
    [
        (state('t', 'ok', ago(minutes=10)), ('ok', '17:50', '2.0 s', '', '')),
        (state('t', 'failed', ago(minutes=10), last_error='Timeout'), ('failed', '17:50', '2.0 s', 'Timeout', '')),
        (state('t', 'lost', ago(minutes=10)), ('lost', '17:50', '', '', '')),
        # the run before it succeeded
        (
            state('t', 'missed', ago(minutes=10), last_finished=ago(minutes=60), last_seconds=2.0),
            ('missed', '17:50', '', '', ''),
        ),
        (state('t', **RUNNING), ('running', '17:56', '4 min', '', '')),
        (state('t', **RUNNING, handed_over_for='x'), ('queued', '17:56', '4 min', '', '')),
        # an earlier result is shown until the next is there
        (
            state('t', 'failed', ago(minutes=10), last_error='Timeout', **RUNNING),
            ('failed', '17:50', '2.0 s', 'Timeout', 'running for 4 min'),
        ),
        (
            state('t', 'ok', ago(minutes=10), **RUNNING, handed_over_for='x'),
            ('ok', '17:50', '2.0 s', '', 'queued for 4 min'),
        ),
        # the clock of another machine is ahead
        (state('t', **in_progress(ago(seconds=-5))), ('running', '18:00', '0 s', '', '')),
    ],
)
def test_the_row_of_a_task_is_its_last_result(row, expected):
    shown = format_state(row, [], NOW, UTC)
    assert (shown.outcome, shown.when.text, shown.took, shown.why, shown.about) == expected


def test_a_task_that_has_not_run_has_no_result():
    assert format_state(state('t'), [], NOW, UTC) is None


def test_a_stuck_run_comes_before_the_last_result():
    row = state('t', 'failed', ago(minutes=10), last_error='Timeout', **RUNNING)
    shown = format_state(row, [Problem(STUCK, 't')], NOW, UTC)
    assert (shown.outcome, shown.symbol, shown.when.text, shown.took) == ('stuck', '!', '17:56', '4 min')
    assert (shown.why, shown.about) == ('', '')
