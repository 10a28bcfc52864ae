"""The bars of a timeline."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.history_entries import PastRun
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.timeline.bars import bar_of, bars_of, bars_to_come
from pyramid_cron.timeline.sentences import time_format
from pyramid_cron.timeline.window import Window
from tests.support.states import state

UTC = timezone.utc
NOW = datetime(2026, 12, 1, 2, 30, 30, tzinfo=UTC)
TWO = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
WINDOW = Window(datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC))
USUAL = state('t', good_seconds='120 180')


def past(outcome='ok', seconds=134.0, began=TWO, **values):
    known = {'task': 't', 'outcome': outcome, 'scheduled_for': TWO, 'attempt': 1, 'trigger': 'request', 'host': None}
    known |= {'pid': None, 'started': began, 'finished': None, 'seconds': seconds}
    return PastRun(**(known | {'reason': None, 'error': None, 'traceback': None} | values))


@pytest.mark.parametrize(
    ('run', 'row', 'stuck', 'expected'),
    [
        (past(), USUAL, False, ('ok', 134, 134, '02:00 ok, 2 min 14 s')),
        (past('failed', 3.0, error='Timeout'), USUAL, False, ('failed', 3, 3, '02:00 failed, 3.0 s: Timeout')),
        (past('failed', 3.0, made_good_by=''), None, False, ('made good', 3, 3, '02:00 made good, 3.0 s')),
        # how long it took is not known
        (past('lost', None, reason='killed'), USUAL, False, ('lost', 0, 0, '02:00 lost: killed')),
        # when a minute was recorded does not matter
        (
            past('missed', None, NOW, attempt=0, reason='no tick'),
            None,
            False,
            ('missed', 0, 0, '02:00 missed: no tick'),
        ),
        (past('skipped', None, attempt=0, scheduled_for=None), None, False, ('skipped', 0, 0, '02:00 skipped')),
        (
            past('running', None),
            state('t', good_seconds='2000 2400'),
            False,
            ('running', 1830, 2000, '02:00 running for 30 min 30 s, usually 33 min 20 s to 40 min'),
        ),
        # it takes longer than usual
        (
            past('running', None),
            USUAL,
            True,
            ('stuck', 1830, 1830, '02:00 stuck for 30 min 30 s, usually 2 to 3 min'),
        ),
        (
            past('running', None),
            state('t', good_seconds='120 120 120 120 180'),
            False,
            ('running', 1830, 1830, '02:00 running for 30 min 30 s, slower than usual (2 to 3 min)'),
        ),
        (past('running', None), None, True, ('stuck', 1830, 1830, '02:00 stuck for 30 min 30 s')),
        (past('queued', None), USUAL, True, ('queued', 1830, 1830, '02:00 queued for 30 min 30 s')),
        # the clock of another machine is ahead
        (past('running', None, NOW + MINUTE), None, False, ('running', 0, 0, '02:31 running for 0 s')),
    ],
)
def test_a_run_has_a_bar(run, row, stuck, expected):
    bar = bar_of(run, row, stuck, NOW)
    spans = [round((instant - bar.begin).total_seconds()) for instant in (bar.end, bar.until)]
    assert (bar.kind, *spans, bar.describe(time_format(WINDOW, UTC))) == expected


def to_come(task, row=None, pause=None, window=WINDOW, now=NOW):
    return list(bars_to_come(task, row, pause, window, now))


def test_what_is_to_come_has_its_usual_length():
    task = Task(print, name='t', cron='0 2,3 * * *', timezone='UTC')
    [bar] = to_come(task, USUAL)
    assert (bar.kind, bar.begin, bar.until) == ('to come', TWO + 60 * MINUTE, TWO + 62 * MINUTE)
    assert bar.describe(time_format(WINDOW, UTC)) == '03:00 to come, usually 2 to 3 min'
    assert bar.as_dict(UTC) == {
        'kind': 'to come',
        'begin': '2026-12-01T03:00:00+00:00',
        'end': None,
        'expected_end': '2026-12-01T03:02:00+00:00',
        'why': None,
    }


def test_without_a_run_so_far_it_is_what_is_expected():
    expected, unknown = (Task(print, name='t', cron='0 3 * * *', timezone='UTC', expect=e) for e in (600, None))
    [bar] = to_come(expected)
    assert (bar.until - bar.begin, bar.usual) == (10 * MINUTE, 'expected to take 10 min')
    [bar] = to_come(unknown)
    assert (bar.until, bar.usual) == (bar.begin, '')
    assert bar.describe(time_format(WINDOW, UTC)) == '03:00 to come'


def test_a_window_may_begin_later():
    task = Task(print, name='t', cron='0 * * * *', timezone='UTC')
    window = Window(TWO + 2 * 60 * MINUTE, TWO + 4 * 60 * MINUTE)
    assert [bar.begin.hour for bar in to_come(task, window=window)] == [4, 5]
    assert to_come(task, window=window, now=WINDOW.end) == []


def test_minutes_before_the_end_of_a_pause_do_not_come():
    task = Task(print, name='t', cron='0 * * * *', timezone='UTC')
    assert [bar.begin.hour for bar in to_come(task, pause=Pause(TWO.replace(hour=22), 'it hangs', None))] == [22, 23]
    assert to_come(task, pause=Pause(None, 'it hangs', None)) == []


def test_a_bar_for_programs_has_its_end():
    bar = bar_of(past(error='Timeout'), None, False, NOW)
    shown = bar.as_dict(UTC)
    assert (shown['end'], shown['expected_end'], shown['why']) == ('2026-12-01T02:02:14+00:00', None, 'Timeout')
    assert bar_of(past('running', None), None, False, NOW).as_dict(UTC)['end'] is None


def test_a_run_that_began_before_the_window_is_in_it():
    hour = timedelta(hours=1)
    runs = [past(began=WINDOW.first - hour, seconds=seconds) for seconds in (3600, 3601)]
    runs += [past(began=WINDOW.first, seconds=0.0), past(began=WINDOW.end)]
    runs += [past('missed', None, attempt=0, scheduled_for=minute) for minute in (WINDOW.first - MINUTE, WINDOW.first)]
    found = bars_of(runs, {}, [], WINDOW, NOW)
    assert [(bar.kind, bar.begin - WINDOW.first) for bar in found] == [
        ('ok', -hour),
        ('ok', 0 * hour),
        ('missed', 0 * hour),
    ]
