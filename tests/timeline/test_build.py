"""Timelines of applications, with and without a store."""

from datetime import date, datetime, timezone

import pytest
from pyramid.config import Configurator
from sqlalchemy import update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import tasks
from pyramid_cron.timeline import build
from pyramid_cron.timeline.build import NoTick, build_timeline, runs_often
from pyramid_cron.timeline.window import day_window
from tests.support.clock import set_clock
from tests.support.filling import fill, record, record_silence

UTC = timezone.utc
NOW = datetime(2026, 12, 1, 12, 0, 30, tzinfo=UTC)
TODAY = day_window(date(2026, 12, 1), UTC)
NAMES = {
    'nightly': {'cron': '0 2 * * *'},
    'evening': {'cron': '0 22 * * *'},
    'often': {'cron': '*/5 * * * *'},
    'monthly': {'cron': '0 2 15 * *'},
}


def at(hour, minute=0, second=0):
    return datetime(2026, 12, 1, hour, minute, second, tzinfo=UTC)


@pytest.fixture
def make(tmp_path):
    """Return a function that makes an application, and returns its registry."""
    made = []

    def make(names=NAMES, stored=True, filled=True):
        settings = {'cron.timezone': 'UTC', 'cron.app': 'shop', 'cron.window': '60'}
        if stored:
            settings['cron.store'] = f'sqlite:///{tmp_path}/cron.sqlite'
        with Configurator(settings=settings) as config:
            config.include('pyramid_cron')
            for name, options in names.items():
                config.add_cron_task(print, name=name, **options)
        registry = config.registry
        if stored:
            made.append(registry)
            set_clock(registry['cron_store'].database.engine, lambda: NOW)
            if filled:
                fill(registry, 1, NOW.replace(second=0))
        return registry

    yield make
    for registry in made:
        registry['cron_store'].database.engine.dispose()


def usual(registry, **seconds):
    with registry['cron_store'].database.engine.begin() as connection:
        for name, text in seconds.items():
            connection.execute(update(tasks).where(tasks.c.task == name).values(good_seconds=text))


def rows(timeline):
    return [(row.task, [(bar.kind, bar.begin.replace(second=0)) for bar in row.bars]) for row in timeline.rows]


@pytest.mark.parametrize(
    ('cron', 'often'),
    [('*/15 * * * *', False), ('*/14 * * * *', True), ('* 2 * * *', False), ('0 2 * * *', False), ('* * * * *', True)],
)
def test_a_task_may_run_often(make, cron, often):
    [task] = make({'task': {'cron': cron}}, stored=False)['cron_tasks']
    assert runs_often(task.schedule) is often


def test_a_day_has_what_ran_and_what_is_to_come(make):
    registry = make()
    usual(registry, evening='120 180')
    timeline = build_timeline(registry, TODAY, NOW)
    assert rows(timeline) == [('nightly', [('ok', at(2))]), ('evening', [('to come', at(22))])]
    assert (timeline.has_store, timeline.error, timeline.often, timeline.cut) == (True, None, 1, None)
    assert [bar.until for bar in timeline.to_come] == [at(22, 2)]
    assert timeline.no_ticks == []


@pytest.mark.slow
def test_what_went_wrong_has_a_row_of_its_own(make):
    registry = make()
    record(registry, ('often', at(3), {'outcome': 'failed', 'error': 'Timeout'}), ('gone', at(4), {'outcome': 'lost'}))
    record(registry, ('often', at(3, 5), {'outcome': 'failed', 'made_good_by': 'ada'}))
    record_silence(registry, at(5), at(6), 'nightly')
    timeline = build_timeline(registry, TODAY, NOW)
    assert [(row.task, row.registered, row.often) for row in timeline.rows] == [
        ('nightly', True, False),
        ('often', True, True),
        ('gone', False, False),
        ('evening', True, False),
    ]
    assert [(bar.task, bar.kind) for bar in timeline.wrong] == [
        ('often', 'failed'),
        ('gone', 'lost'),
        ('nightly', 'missed'),
    ]
    assert timeline.often == 0
    assert timeline.no_ticks == [NoTick(at(5), at(6, 1))]


@pytest.mark.slow
def test_a_silence_that_goes_on_is_hatched_until_now(make):
    registry = make(filled=False)
    fill(registry, 1, at(9))
    assert build_timeline(registry, TODAY, NOW).no_ticks == [NoTick(at(9, 1), NOW)]
    assert build_timeline(registry, day_window(date(2026, 12, 2), UTC), NOW).no_ticks == []


@pytest.mark.slow
def test_what_was_due_since_the_last_tick_is_overdue(make):
    registry = make(filled=False)
    fill(registry, 1, at(1))
    with registry['cron_store'].database.engine.begin() as connection:
        connection.execute(update(tasks).where(tasks.c.task == 'nightly').values(next_due=at(2)))
    timeline = build_timeline(registry, TODAY, NOW)
    assert [(bar.task, bar.kind, bar.begin) for bar in timeline.wrong if bar.task == 'nightly'] == [
        ('nightly', 'overdue', at(2))
    ]
    [bar] = [bar for bar in timeline.wrong if bar.task == 'nightly']
    assert bar.describe(lambda instant: f'{instant:%H:%M}') == '02:00 overdue: no tick has come since then'
    # and the day before has none of it
    assert build_timeline(registry, day_window(date(2026, 11, 30), UTC), NOW).wrong == []


def test_without_ticks_so_far_nothing_is_hatched(make):
    timeline = build_timeline(make(filled=False), TODAY, NOW)
    assert (timeline.no_ticks, rows(timeline)) == ([], [('evening', [('to come', at(22))])])


def test_without_a_store_only_what_is_to_come_is_known(make):
    timeline = build_timeline(make(stored=False), TODAY, NOW)
    assert (rows(timeline), timeline.has_store) == ([('evening', [('to come', at(22))])], False)


def test_a_store_that_is_away_is_an_error(make, tmp_path):
    registry = make()
    registry['cron_store'].database.engine.dispose()
    (tmp_path / 'cron.sqlite').write_text('no database at all, but a text')
    timeline = build_timeline(registry, TODAY, NOW)
    assert timeline.has_store
    assert timeline.error
    assert rows(timeline) == [('evening', [('to come', at(22))])]


@pytest.mark.slow
def test_what_is_paused_does_not_come(make):
    registry = make()
    registry['cron_store'].pause(['evening'], reason='it hangs')
    registry['cron_store'].pause(['often'], reason='it hangs')
    timeline = build_timeline(registry, TODAY, NOW)
    assert (timeline.to_come, timeline.paused) == ([], ['evening'])
    assert build_timeline(registry, day_window(date(2026, 11, 30), UTC), NOW).paused == []


@pytest.mark.slow
def test_tasks_outside_the_store_are_named(make):
    registry = make(NAMES | {'local': {'cron': '0 23 * * *', 'store': False}})
    assert build_timeline(registry, TODAY, NOW).without_history == ['local']


@pytest.mark.slow
def test_long_minutes_and_overlaps_are_found(make):
    names = {
        'a': {'cron': '0 22 * * *'},
        'b': {'cron': '0 22 * * *'},
        'c': {'cron': '1 22 * * *'},
        'paused': {'cron': '0 22 * * *'},
        'queued': {'cron': '0 22 * * *', 'via': print},
        'often': {'cron': '* * * * *'},
        'idle': {'cron': '0 22 * * *', 'idle': True},
    }
    registry = make(names)
    usual(registry, a='90', b='30', c='5', paused='500', queued='70', often='65')
    registry['cron_store'].pause(['paused'], reason='it hangs')
    timeline = build_timeline(registry, TODAY, NOW)
    [long, alone] = timeline.long_minutes
    assert (long.minutes, long.seconds, long.tasks, long.idle) == ([at(22)], 185.0, ['a', 'often', 'b'], ['idle'])
    assert (alone.minutes, alone.tasks) == ([at(22, 1)], ['often', 'c'])
    [busy] = timeline.busy
    assert (busy.first, busy.end, busy.most) == (at(22), at(22, 1, 10), 3)
    assert busy.tasks == ['queued', 'a', 'b', 'idle', 'c']
    assert [(own.task, own.next - own.minute) for own in timeline.own_overlaps] == [('often', MINUTE)]


def test_too_many_runs_are_cut(make, monkeypatch):
    names = {f'task{number}': {'cron': f'{number} * * * *'} for number in range(3)}
    registry = make(names)
    monkeypatch.setattr(build, 'MOST_RUNS', 10)
    monkeypatch.setattr(build, 'MOST_ROWS', 2)
    timeline = build_timeline(registry, TODAY, NOW)
    # 12:00 and the minutes of the hours before
    assert timeline.cut.replace(second=0) == at(9)
    assert ([row.task for row in timeline.rows], timeline.more_rows) == (['task0', 'task1'], 1)
    assert next(bar.begin.replace(second=0) for row in timeline.rows for bar in row.bars) == at(9)


@pytest.mark.slow
def test_what_went_wrong_has_a_row_before_others(make, monkeypatch):
    names = {f'task{number}': {'cron': f'{number} * * * *'} for number in range(3)}
    registry = make(names)
    record(registry, ('task2', at(11, 30), {'outcome': 'failed'}))
    monkeypatch.setattr(build, 'MOST_ROWS', 1)
    timeline = build_timeline(registry, TODAY, NOW)
    assert ([row.task for row in timeline.rows], timeline.more_rows) == (['task2'], 2)


@pytest.mark.slow
def test_a_task_that_runs_often_may_be_stuck(make):
    registry = make({'often': {'cron': '*/5 * * * *', 'expect': 60}})
    record(registry, ('often', at(11), {'outcome': 'running', 'started': at(11)}))
    timeline = build_timeline(registry, TODAY, NOW)
    assert rows(timeline) == [('often', [('stuck', at(11))])]
    assert timeline.in_progress == []
    record(registry, ('often', at(11, 59), {'outcome': 'running', 'started': at(11, 59, 50)}))
    assert rows(build_timeline(registry, TODAY, NOW)) == []
    assert build_timeline(registry, day_window(date(2026, 12, 2), UTC), NOW).wrong == []
