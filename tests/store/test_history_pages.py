"""Pages of the history, each read from where the one before it ended."""

from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from pyramid_cron.history_entries import ActionEntry, PastRun
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import history_pages
from pyramid_cron.store.history_pages import Found, HistoryPage, HistoryPages, Position, Wanted, merge
from pyramid_cron.store.queries import Missed
from pyramid_cron.store.schema import NOT_GOOD, audit, gaps, runs
from pyramid_cron.store.ticks import Gap
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

SECOND = timedelta(seconds=1)


def at(minute):
    return INSTANT + minute * MINUTE


@pytest.fixture
def server(servers):
    server = servers.start().add()
    server.ready()
    return server


@pytest.fixture
def record(servers, server):
    """Return a function that records runs of a task for some minutes."""

    def record(outcome, *minutes, task='task', app='app', **values):
        for minute in minutes:
            record.number += 1
            began = {'attempt': 1, 'trigger': 'request', 'started': at(minute) + SECOND, 'scheduled_for': at(minute)}
            row = {'id': f'{record.number:032x}', 'task': task, 'app': app, 'outcome': outcome, **began, **values}
            servers.execute(insert(runs).values(row | {'not_good': NOT_GOOD.get(outcome), **values}))

    record.number = 0
    return record


@pytest.fixture
def act(servers, server):
    """Return a function that records an action."""

    def act(action, minute, task='task', app='app'):
        values = {'id': f'{action:0>32}', 'app': app, 'task': task, 'action': action, 'at': at(minute)}
        servers.execute(insert(audit).values(values))

    return act


@pytest.fixture
def read(server):
    """Return a function that reads a page."""

    def read(limit=9, before=None, **wanted):
        with server.store.database.reading() as connection:
            return HistoryPages(connection).read(Wanted(**wanted), limit, before)

    return read


@pytest.fixture
def shown(read):
    """Return a function that returns all entries as words, after it has read them page by page in two sizes."""

    def shown(**wanted):
        by_size = []
        for limit in (2, 50):
            entries, before = [], None
            while page := read(limit, before, **wanted):
                assert len(page.entries) <= limit
                entries += page.entries
                before = page.older
                if before is None:
                    break
            by_size.append(entries)
        assert sorted(map(word, by_size[0])) == sorted(map(word, by_size[1]))
        return [word(entry) for entry in by_size[1]]

    return shown


def word(entry):
    if isinstance(entry, PastRun):
        return f'{entry.outcome} {entry.task} {round((entry.scheduled_for - INSTANT) / MINUTE)}'
    if isinstance(entry, Missed):
        return f'{entry.minutes} missed {entry.task} {round((entry.last - INSTANT) / MINUTE)}'
    if isinstance(entry, ActionEntry):
        return f'{entry.action} {entry.task}'
    return f'gap {round((entry.first - INSTANT) / MINUTE)}'


@pytest.mark.slow
def test_a_page_has_all_kinds_of_entries(record, act, shown, servers):
    record('ok', 1, 2, 3)
    record('failed', 4)
    record('missed', 5, 6, 7, attempt=0, started=at(9))
    record('missed', 6, task='other', attempt=0, started=at(9))
    record('missed', 8, attempt=0, started=at(9), made_good_by='ada', not_good=None)
    record('ok', 9, task='other')
    record('ok', 9, app='another')
    act('paused', 3)
    act('resumed', 4, app='another')
    servers.execute(insert(gaps).values(app='app', first_minute=at(5), last_minute=at(8)))
    servers.execute(insert(gaps).values(app='another', first_minute=at(5), last_minute=at(8)))
    assert shown() == [
        'ok other 9',
        'missed task 8',
        '3 missed task 7',
        '1 missed other 6',
        'gap 5',
        'failed task 4',
        'ok task 3',
        'paused task',
        'ok task 2',
        'ok task 1',
    ]


def test_entries_of_the_same_instant_are_each_on_one_page(record, act, read):
    record('skipped', *range(7), attempt=0, started=at(9))
    act('paused', 9)
    act('resumed', 9)
    pages, before = [], None
    while not pages or before is not None:
        page = read(2, before)
        pages.append([word(entry) for entry in page.entries])
        before = page.older
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert len({entry for page in pages for entry in page}) == 9


def test_the_last_page_has_no_older_one(record, read):
    record('ok', 1, 2, 3)
    assert read(3).older is None
    older = read(2).older
    assert [word(entry) for entry in read(2, older).entries] == ['ok task 1']
    assert read(2, older).older is None
    assert read(2, Position(at(0))) == HistoryPage([], None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('wanted', 'found'),
    [
        ({'outcome': 'faults'}, ['lost 5', 'failed 4', 'missed 3']),
        ({'outcome': 'failed'}, ['failed 4']),
        ({'outcome': 'lost'}, ['lost 5']),
        ({'outcome': 'missed'}, ['missed 3']),
        ({'outcome': 'skipped'}, ['skipped 2']),
        ({'outcome': 'ok'}, ['ok 7', 'ok 6', 'ok 1']),
        ({'trigger': 'manual'}, ['ok 6']),
        ({'trigger': 'backfill'}, ['ok 7']),
        ({'trigger': 'by hand'}, ['paused', 'ok 7', 'ok 6']),
        ({'trigger': 'request'}, ['lost 5', 'failed 4', 'skipped 2', 'ok 1']),
        ({'trigger': 'command'}, []),
        ({'trigger': 'manual', 'outcome': 'failed'}, []),
        ({'trigger': 'manual', 'outcome': 'ok'}, ['ok 6']),
        ({'trigger': 'manual', 'outcome': 'missed'}, []),
        ({'trigger': 'by hand', 'outcome': 'ok'}, ['ok 7', 'ok 6']),
    ],
)
@pytest.mark.parametrize('names', [(), ['task'], ['task', 'x', 'y'], ['task', *'abcdefgh']])
def test_entries_are_filtered(record, act, shown, wanted, found, names):
    record('ok', 1)
    record('skipped', 2, attempt=0)
    record('missed', 3, attempt=0, trigger='none')
    record('failed', 4)
    record('lost', 5)
    record('ok', 6, trigger='manual')
    record('ok', 7, trigger='backfill')
    act('paused', 8)
    if names:
        record('ok', 9, 10, task='other')
        record('missed', 9, task='other', attempt=0)
        record('failed', 9, task='other', trigger='manual')
        act('resumed', 9, 'other')
    words = [entry.replace(' task', '').removeprefix('1 ') for entry in shown(names=names, **wanted)]
    assert words == found


def test_actions_on_all_tasks_belong_to_each(act, shown):
    act('paused', 1, '*')
    act('resumed', 2, 'other')
    assert shown(names=['task']) == ['paused *']
    assert shown() == ['resumed other', 'paused *']


def test_gaps_are_left_out_of_the_history_of_a_task(servers, record, shown):
    servers.execute(insert(gaps).values(app='app', first_minute=at(5), last_minute=at(8)))
    assert shown(names=['task']) == shown(outcome='faults') == []


def test_a_page_looks_at_a_limited_number_of_runs(record, read, monkeypatch):
    monkeypatch.setattr(history_pages, 'MOST_READ', 6)
    record('skipped', 1, attempt=0)
    record('ok', *range(2, 18))
    record('skipped', 18, attempt=0)
    pages = [read(1, outcome='skipped')]
    while pages[-1].older is not None:
        pages.append(read(1, pages[-1].older, outcome='skipped'))
    words = [[word(entry) for entry in page.entries] for page in pages]
    assert words == [['skipped task 18'], [], ['skipped task 1'], []]
    # it has looked at six runs
    assert pages[1].older.at == at(7) + SECOND


def test_what_one_reading_has_not_looked_for_yet_is_left_to_the_next_page():
    newest, older, oldest = (Position(at(minute), 'a') for minute in (3, 2, 1))
    gap = Gap(at(3), at(3))
    found = [Found([(newest, gap)], older), Found([(oldest, Gap(at(1), at(1)))]), Found([], oldest)]
    assert merge(found, 5) == HistoryPage([gap], older)
    assert merge([], 5) == HistoryPage([], None)


# how the others go about it depends on what they know of the sizes
@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
@pytest.mark.parametrize(
    ('wanted', 'index'),
    [
        ({}, 'cron_runs_by_start (app=? AND started<?)'),
        ({'names': ['task']}, 'cron_runs_by_task (app=? AND task=? AND started<?)'),
        ({'outcome': 'ok'}, 'cron_runs_by_start (app=? AND started<?)'),
        ({'outcome': 'failed'}, 'cron_runs_not_good_by_start (app=? AND not_good=? AND started<?)'),
        (
            {'outcome': 'failed', 'names': ['task']},
            'cron_runs_not_good_by_task (app=? AND task=? AND not_good=? AND started<?)',
        ),
        ({'outcome': 'missed'}, 'cron_runs_not_good_by_start (app=? AND not_good=? AND started<?)'),
        ({'trigger': 'manual'}, 'cron_runs_by_hand (app=? AND trigger=? AND started<?)'),
        ({'trigger': 'backfill', 'names': ['task']}, 'cron_runs_by_hand (app=? AND trigger=? AND started<?)'),
    ],
)
def test_a_page_is_read_by_an_index(server, servers, record, read, wanted, index):
    record('ok', *range(3))
    executed = []
    event.listen(server.engine, 'before_cursor_execute', lambda *given: executed.append((given[2], given[3])))
    read(9, Position(at(99), 'f'), **wanted)
    with servers.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {text}', values).all() for text, values in executed]
    of_runs = [row.detail for plan in plans for row in plan if 'cron_runs ' in row.detail]
    assert of_runs[0].rpartition(' USING ')[2].removeprefix('COVERING ').removeprefix('INDEX ') == index
    assert all(' USING ' in step for step in of_runs)
