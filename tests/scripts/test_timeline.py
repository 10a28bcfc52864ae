"""``pcron timeline``."""

import json
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.outcomes import FAILED, OK, RUNNING
from pyramid_cron.scripts.timeline import _as_dict, _lines
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.build import NoTick, Row, Timeline
from pyramid_cron.timeline.overlaps import Busy, LongMinutes, OwnOverlap
from pyramid_cron.timeline.window import Window, day_window, night_window
from pyramid_cron.times import PAST_EXAMPLES
from tests.support.filling import fill, record
from tests.support.pcron import NOW, FixedCommand

UTC, BERLIN = timezone.utc, ZoneInfo('Europe/Berlin')
DAY = day_window(date(2026, 12, 1), UTC)
APP = """
from pyramid.config import Configurator

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name, line in [('backup', '0 2 * * *'), ('report', '0 22 * * *'), ('often', '* * * * *')]:
            config.add_cron_task(print, cron=line, name=name)
        return config.make_wsgi_app()
"""


def at(hour, minute=0):
    return datetime(2026, 12, 1, hour, minute, tzinfo=UTC)


def bar(kind, begin, end=None, until=None, **values):
    end = begin if end is None else end
    return Bar('task', kind, begin, end, end if until is None else until, **values)


def lines(*rows, window=DAY, now=DAY.end, width=80, zone=UTC, **values):
    timeline = Timeline(window, now, rows=[Row(*row) for row in rows], has_store=True, **values)
    return list(_lines(timeline, 60.0, zone, width))


def test_the_picture_has_as_many_columns_for_each_hour():
    bars = [bar(OK, at(0), at(1)), bar(FAILED, at(6)), bar(RUNNING, at(11, 10), at(12), at(13))]
    rows = [('task', True, False, bars), ('other', True, False, [bar(TO_COME, at(22), until=at(23))])]
    shown = lines(*rows, now=at(12), no_ticks=[NoTick(at(8), at(9))])
    assert shown[:6] == [
        'Tue 2026-12-01 00:00 to Wed 2026-12-02 00:00, UTC, now 12:00',
        '',
        '       Tue      03       06       09       12       15       18       21',
        'task   ###      .        x     ///.     >>>===      .        .        .',
        'other  .        .        .     ///.        |        .        .        .  ===',
        '       x failed, > running, # ok, = to come, / no tick, | now',
    ]
    assert all(len(line) <= 80 for line in shown)


def test_a_day_of_25_hours_has_more_columns():
    window = day_window(date(2026, 10, 25), BERLIN)
    shown = lines(
        ('a', True, False, [bar(OK, window.end - timedelta(hours=1), window.end)]), window=window, zone=BERLIN
    )
    # of three columns an hour; 02:00 comes twice before 03:00
    assert shown[2] == '   Sun         03       06       09       12       15       18       21'
    assert shown[3] == 'a  .           .        .        .        .        .        .        .     ###'


def test_what_is_worse_is_in_front():
    bars = [bar(OK, at(0), at(1)), bar(FAILED, at(0, 10)), bar(OK, at(0, 12)), bar('strange', at(23))]
    shown = lines(('task', True, False, bars), width=60)
    assert shown[3:5] == [
        'task  x#    .     .     .     .     .     .     .   *',
        '      x failed, # ok, * other',
    ]


def test_a_long_name_has_a_line_of_its_own():
    name = 'shop.a_name_that_is_longer_than_its_column'
    shown = lines((name, True, False, [bar(OK, at(0))]))
    assert shown[3:5] == [name, f'{"":26}  #     .     .     .     .     .     .     .']


def test_a_narrow_terminal_has_what_fits():
    rows = ('task', True, False, [bar(OK, at(0), at(23))])
    assert lines(rows, width=40)[3:5] == ['      Tue   06 09 12 15 18 21', 'task  #######################']
    assert 'task  ##############' in lines(rows, width=20)
    assert 'task  #' in lines(rows, width=1)


def test_a_week_has_a_label_for_each_day():
    window = Window(DAY.first, DAY.first + timedelta(days=7))
    shown = lines(('task', True, False, [bar(OK, at(0))]), window=window)
    assert shown[2].split() == ['Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun', 'Mon']


def test_a_few_hours_have_a_label_for_each():
    shown = lines(('task', True, False, [bar(OK, at(1))]), window=Window(at(0), at(8)))
    assert shown[2].split() == ['Tue', '01', '02', '03', '04', '05', '06', '07']


def test_a_time_without_a_run_has_no_picture():
    assert lines(window=night_window(date(2026, 12, 1), UTC))[2:] == ['No task has a run in this time.']


def test_all_is_named_below_the_picture():
    bars = [bar(FAILED, at(2), at(2, 1), why='Timeout'), bar(RUNNING, at(11), at(12), usual='usually 2 h 0 min')]
    bars.append(bar(TO_COME, at(22), until=at(23), usual='usually 1 h 0 min'))
    shown = lines(
        ('task', True, False, bars),
        now=at(12),
        no_ticks=[NoTick(at(8), at(9))],
        busy=[Busy(at(3), at(4), 2, ['a', 'b'])],
        own_overlaps=[OwnOverlap('sync', at(2), at(3), 'usually 2 h 0 min')],
        long_minutes=[LongMinutes([at(22)], 3600.0, ['task'], [])],
        often=2,
    )
    assert shown[5:] == [
        '',
        'No tick',
        '  No tick from 08:00 to 08:59, for 1 h 0 min',
        '',
        'What went wrong',
        '  02:00  task, failed, 60 s: Timeout',
        '',
        'In progress',
        '  11:00  task, running for 1 h 0 min, usually 2 h 0 min',
        '',
        'To come',
        '  22:00  task, usually 1 h 0 min',
        '',
        'Minutes that will take longer than their window',
        '  22:00: task usually takes 1 h 0 min, longer than cron.window of 60 s',
        '',
        'What overlaps',
        '  03:00 to 04:00 (1 h): a and b overlapped',
        '  sync (usually 2 h 0 min) is still running when it is due again, as at 03:00',
        '    after 02:00: that minute is skipped',
        '',
        'Notes',
        '  2 tasks run more often than every 15 minutes, and have no row unless something',
        '    fails.',
    ]


def test_no_more_than_some_faults_are_listed():
    shown = lines(('task', True, False, [bar(FAILED, at(2))] * 33))
    assert shown[-1] == '  and 3 more'


@pytest.fixture
def shop(write_module, tmp_path, monkeypatch, capsys):
    """Return a function that runs a command on an application."""
    ini, module = tmp_path / 'shop.ini', write_module(APP)
    monkeypatch.setenv('COLUMNS', '80')

    def run(*arguments, stored=True):
        store = f'cron.store = sqlite:///{tmp_path}/cron.sqlite\n' if stored else ''
        ini.write_text(f'[app:main]\nuse = call:{module}:main\ncron.timezone = Europe/Berlin\ncron.app = shop\n{store}')
        command = FixedCommand(['pcron', 'timeline', str(ini), *arguments])
        status = command.run()
        run.registry = getattr(command, 'registry', None)
        if stored and run.registry is not None:
            run.registry['cron_store'].database.engine.dispose()
        return (status, *capsys.readouterr())

    return run


def test_the_command_shows_the_present_night(shop):
    # it is 00:07 in Berlin
    status, out, err = shop(stored=False)
    assert (status, err) == (0, '')
    assert out.splitlines()[:4] == [
        'Wed 2026-12-23 12:00 to Thu 2026-12-24 12:00, Europe/Berlin, now 00:07',
        '',
        '        12       15       18       21       Thu      03       06       09',
        'backup  .        .        .        .        |     =  .        .        .',
    ]
    assert '  02:00  backup' in out
    assert 'The runs are not known: set cron.store.' in out
    assert 'report' not in out


def test_the_command_shows_another_time(shop):
    status, out, err = shop('--since', '22:00', '--until', '06:00', stored=False)
    assert (status, err) == (0, '')
    assert out.startswith('Thu 2026-12-24 22:00 to Fri 2026-12-25 06:00, Europe/Berlin\n')
    assert '  22:00  report' in out


@pytest.mark.slow
def test_the_command_prints_json(shop):
    shop()
    fill(shop.registry, 1, NOW.replace(second=0))
    minute = datetime(2026, 12, 23, 20, tzinfo=UTC)
    record(shop.registry, ('report', minute, {'outcome': 'failed', 'error': 'Timeout'}))
    shop.registry['cron_store'].database.engine.dispose()
    status, out, err = shop('--json', '--since', '2026-12-23 21:00', '--until', '2026-12-24 03:00')
    assert (status, err) == (0, '')
    shown = json.loads(out)
    assert (shown['since'], shown['until']) == ('2026-12-23T21:00:00+01:00', '2026-12-24T03:00:00+01:00')
    assert [(row['name'], [bar['kind'] for bar in row['bars']]) for row in shown['tasks']] == [
        ('report', ['failed', 'ok']),
        ('backup', ['to come']),
    ]
    assert (shown['overlaps'], shown['long_minutes'], shown['error'], shown['cut_before']) == ([], [], None, None)


def test_json_has_all_that_is_named():
    timeline = Timeline(
        DAY,
        at(12),
        cut=at(1),
        no_ticks=[NoTick(at(8), at(9), 'no disk')],
        busy=[Busy(at(3), at(4), 2, ['a', 'b'])],
        own_overlaps=[OwnOverlap('sync', at(2), at(3), 'usually 2 h 0 min')],
        long_minutes=[LongMinutes([at(22)], 3600.0, ['task'], [])],
        has_store=True,
    )
    shown = _as_dict(timeline, UTC)
    assert shown['cut_before'] == '2026-12-01T01:00:00+00:00'
    assert shown['no_ticks'] == [
        {'first': '2026-12-01T08:00:00+00:00', 'end': '2026-12-01T09:00:00+00:00', 'problem': 'no disk'}
    ]
    assert shown['overlaps'][0]['tasks'] == ['a', 'b']
    assert shown['due_while_running'][0]['next'] == '2026-12-01T03:00:00+00:00'
    assert shown['long_minutes'][0]['minutes'] == ['2026-12-01T22:00:00+00:00']
    assert shown['notes'] == ['There are too many runs: none that began before 01:00 is shown.']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--since', 'soon'], f"--since or --until 'soon' is not a time such as {PAST_EXAMPLES}"),
        (
            ['--since', 'now', '--until', '9d'],
            "--until '9d' is not after --since 'now', or later than 8 days after it",
        ),
    ],
)
def test_a_bad_time_is_refused(shop, arguments, message):
    assert shop(*arguments, stored=False) == (2, '', f'pcron: {message}\n')


def test_a_store_that_is_away_is_an_error(shop, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('no database at all, but a text')
    status, out, err = shop()
    assert status == 1
    assert err.startswith('pcron: without what ran: ')
    assert '  02:00  backup' in out
