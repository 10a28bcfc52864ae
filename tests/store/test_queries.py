"""Queries of the history for people: runs, minutes without one, and strips of outcomes."""

from datetime import timedelta

import pytest
from sqlalchemy import event, insert, update

from pyramid_cron.history_entries import PastRun
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.queries import MOST_BEFORE, Missed, Queries, in_order, when
from pyramid_cron.store.schema import NOT_GOOD, runs
from pyramid_cron.store.ticks import Gap, Ticks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

SECOND = timedelta(seconds=1)


def at(minute):
    return INSTANT + minute * MINUTE


@pytest.fixture
def server(servers):
    """A server of which the store has the tasks ``task``, ``other`` and ``new``."""
    server = servers.start().add().add('other').add('new')
    server.tick(1)
    return server


@pytest.fixture
def query(server):
    """Return a function that calls a method of the queries."""

    def query(method, *arguments, **options):
        with server.store.queries() as queries:
            return method(queries, *arguments, **options)

    return query


@pytest.fixture
def record(servers, server):
    """Return a function that records a run."""

    def record(outcome, minute, task='task', app='app', late=SECOND, **values):
        record.number += 1
        run = {'attempt': 1, 'trigger': 'request', 'started': at(minute) + late, 'scheduled_for': at(minute)}
        row = {'id': f'{record.number:04}', 'task': task, 'app': app, 'outcome': outcome, **run, **values}
        servers.execute(insert(runs).values(row | {'not_good': NOT_GOOD.get(outcome)}))

    record.number = 0
    return record


def shown(past):
    return [(run.task, run.outcome, round((run.scheduled_for - INSTANT) / MINUTE)) for run in past]


@pytest.mark.slow
def test_past_runs_are_the_newest_first(servers, query, record):
    for minute, outcome in enumerate(['ok', 'failed', 'skipped', 'paused', 'running', 'lost']):
        record(outcome, minute)
    servers.change('task', run_id='0005')
    record('missed', 7)
    record('ok', 2, 'other')
    record('ok', 9, app='another')
    found = query(Queries.past_runs, 9)
    assert shown(found) == [
        ('task', 'lost', 5),
        ('task', 'running', 4),
        ('task', 'paused', 3),
        ('other', 'ok', 2),
        ('task', 'skipped', 2),
        ('task', 'failed', 1),
        ('task', 'ok', 0),
    ]
    assert query(Queries.past_runs, 2) == found[:2]
    assert query(Queries.past_runs, 9, ['other', 'new']) == found[3:4]
    assert query(Queries.past_runs, 4, ['other', 'task']) == found[:4]
    assert query(Queries.past_runs, 9, ['other', 'other']) == found[3:4]
    assert query(Queries.past_runs, 9, since=at(4) + SECOND) == found[:2]
    assert shown(query(Queries.past_runs, 9, faults=True)) == [('task', 'lost', 5), ('task', 'failed', 1)]
    assert shown(query(Queries.past_runs, 9, ['other'], faults=True)) == []


def test_runs_that_lasted_until_an_instant_are_found(query, record):
    until = {'finished': at(31)}
    record('ok', 10, finished=at(29))
    record('failed', 20, **until)
    record('skipped', 25, attempt=0, trigger='none', **until)
    record('ok', 30, 'other', **until)
    record('ok', 31, 'other', **until)
    record('running', 12, 'new', id='token')
    # the end of one that was lost may be unknown
    record('lost', 5, 'new')
    found = query(Queries.begun_before, at(30.5), ['task', 'other', 'new'])
    # that which runs according to the history runs no more according to the row of its task
    assert shown(found) == [('other', 'ok', 30), ('task', 'failed', 20)]
    assert query(Queries.begun_before, at(30.5), ['other']) == found[:1]


def test_a_run_that_goes_on_lasts_until_any_instant(servers, query, record):
    record('running', 12, 'new', id='token')
    servers.hold('new', run_id='held')
    assert [(run.task, run.outcome) for run in query(Queries.begun_before, at(30), ['new'])] == [('new', 'running')]


@pytest.mark.slow
def test_no_more_than_a_hundred_entries_of_a_task_are_read_for_one_run(query, record):
    record('ok', 10, finished=at(900))
    for minute in range(11, 11 + MOST_BEFORE - 1):
        record('skipped', minute, attempt=0, trigger='none')
    assert shown(query(Queries.begun_before, at(500), ['task'])) == [('task', 'ok', 10)]
    record('skipped', 400, attempt=0, trigger='none')
    assert query(Queries.begun_before, at(500), ['task']) == []


def test_a_task_has_entries_once_something_is_recorded(query, record):
    assert not query(Queries.has_entries, 'gone')
    record('missed', 1, 'gone', attempt=0)
    assert query(Queries.has_entries, 'gone')


def test_a_past_run_has_all_of_its_row(query, record):
    values = {
        'id': '0a',
        'attempt': 2,
        'trigger': 'manual',
        'requested_by': 'ada',
        'host': 'here',
        'pid': 7,
        'finished': at(2),
        'seconds': 1.5,
        'reason': 'why',
        'error': 'LookupError',
        'traceback': 'Traceback',
        'made_good_by': 'bob',
        'note': 'a note',
    }
    record('failed', 1, **values)
    (run,) = query(Queries.past_runs, 9)
    expected = values | {'task': 'task', 'outcome': 'failed', 'scheduled_for': at(1), 'started': at(1) + SECOND}
    assert run._asdict() == {name: expected[name] for name in PastRun._fields}


def test_a_missed_minute_that_was_made_good_is_an_entry_of_its_own(servers, query, record):
    record('missed', 1, started=at(9))
    record('missed', 2, started=at(9), made_good_by='ada')
    record('failed', 3, made_good_by='')
    servers.execute(update(runs).where(runs.c.made_good_by.is_not(None)).values(not_good=None))
    assert [(run.outcome, run.made_good) for run in query(Queries.past_runs, 9)] == [
        ('missed', 'made good by ada'),
        ('failed', 'made good'),
    ]
    assert query(Queries.past_runs, 9, faults=True) == []
    assert [missed.minutes for missed in query(Queries.missed, 9)] == [1]


def test_the_minutes_of_a_task_that_were_ok_are_found(query, record):
    for minute, outcome in enumerate(['ok', 'failed', 'ok', 'ok']):
        record(outcome, minute)
    record('ok', 1, 'other')
    assert query(Queries.ok_minutes, ['task'], {at(0), at(1), at(2)}) == {at(0), at(2)}
    assert [run.outcome for run in sorted(query(Queries.between, ['task'], at(1), at(2)))] == ['failed', 'ok']


def test_the_last_backfill_of_a_minute_is_found(query, record):
    record('ok', 1)
    record('failed', 1, started=at(9), trigger='backfill')
    record('failed', 2, started=at(10), trigger='backfill')
    assert query(Queries.backfilled_since, 'task', at(1), at(9)) == at(9)
    assert query(Queries.backfilled_since, 'task', at(1), at(10)) is None


@pytest.mark.slow
def test_missed_minutes_recorded_together_are_one(query, record):
    for minute in (3, 1, 2):
        record('missed', minute, started=at(9), reason='no tick came in time')
    record('missed', 2, 'other', started=at(9))
    record('missed', 5, started=at(10), reason='no tick came in time')
    record('missed', 6, app='another', started=at(10))
    record('ok', 7)
    found = query(Queries.missed, 9)
    assert found == [
        Missed('task', at(5), at(5), 1, at(10), 'no tick came in time'),
        Missed('task', at(1), at(3), 3, at(9), 'no tick came in time'),
        Missed('other', at(2), at(2), 1, at(9), None),
    ]
    assert query(Queries.missed, 1) == found[:1]
    assert query(Queries.missed, 9, ['other', 'new']) == found[2:]
    assert query(Queries.missed, 9, ['other', 'task']) == found
    assert query(Queries.missed, 2, ['other', 'task']) == found[:2]
    assert query(Queries.missed, 9, ['other', 'other']) == found[2:]
    assert query(Queries.missed, 9, since=at(3)) == found[:2]
    # the minutes count, not their record
    assert query(Queries.missed, 9, since=at(4)) == found[:1]
    assert query(Queries.missed, 9, since=at(6)) == []


def test_gaps_are_those_of_the_ticks(servers, query):
    with servers.begin() as connection:
        for first in (1, 5):
            Ticks(connection).record_gap(at(first), at(first + 1))
    assert query(Queries.gaps, 9) == [Gap(at(5), at(6)), Gap(at(1), at(2))]
    assert query(Queries.gaps, 1) == [Gap(at(5), at(6))]
    assert query(Queries.gaps, 9, at(3)) == [Gap(at(5), at(6))]


def test_a_strip_ends_with_the_newest_run(query, record):
    for minute, outcome in enumerate(['ok', 'failed', 'lost', 'ok'], 10):
        record(outcome, minute)
    record('skipped', 12, 'other')
    record('ok', 12, 'removed')
    record('ok', 12, app='another')
    assert query(Queries.strips, 3) == {'task': ['failed', 'lost', 'ok'], 'other': ['skipped']}
    assert query(Queries.strips, 3, ['other', 'removed']) == {'other': ['skipped']}


def test_a_strip_shows_what_was_made_good(query, record):
    record('failed', 10, made_good_by='ada')
    record('missed', 11, made_good_by='')
    record('failed', 12)
    assert query(Queries.strips, 9) == {'task': ['made good', 'made good', 'failed']}


def test_a_strip_has_the_newest_missed_minutes(query, record):
    found = timedelta(minutes=30)
    record('ok', 1)
    for minute in (5, 4, 3, 2):
        record('missed' if minute != 5 else 'skipped', minute, started=INSTANT + found, attempt=0)
    assert query(Queries.strips, 3) == {'task': ['missed', 'missed', 'skipped']}
    assert query(Queries.strips, 9) == {'task': ['ok', 'missed', 'missed', 'missed', 'skipped']}


# how PostgreSQL goes about it depends on what it knows of the sizes
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
@pytest.mark.parametrize('names', [[], ['task', 'other']])
def test_strips_read_no_more_than_they_show(server, servers, query, names):
    executed = []
    event.listen(server.engine, 'before_cursor_execute', lambda *given: executed.append((given[2], given[3])))
    query(Queries.strips, 30, names)
    (statement, values) = executed[-1]
    with servers.engine.connect() as connection:
        plan = [row.detail for row in connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', values)]
    of_runs = [step for step in plan if 'cron_runs_' in step]
    # those of one task, from the newest on or from a time on
    assert ['cron_runs_by_task (app=? AND task=?' in step for step in of_runs] == [True, True], plan
    assert 'started>?' in of_runs[1]


def test_a_minute_has_the_outcomes_of_its_tasks(query, record):
    record('failed', 5)
    record('ok', 5, attempt=2, late=timedelta(minutes=3))
    record('ok', 6)
    record('missed', 5, 'other', late=timedelta(hours=5))
    record('ok', 5, 'of another name')
    record('ok', 5, app='another')
    # however late it is recorded
    record('missed', 5, attempt=0, late=timedelta(days=8))
    found = query(Queries.for_minute, ['task', 'other'], at(5))
    assert [(run.task, run.outcome, run.attempt) for run in found] == [
        ('other', 'missed', 1),
        ('task', 'failed', 1),
        ('task', 'ok', 2),
        ('task', 'missed', 0),
    ]
    assert query(Queries.for_minute, [], at(5)) == []


def test_the_last_run_by_name_is_found(query, record):
    record('ok', 1, trigger='manual')
    record('ok', 3, trigger='manual')
    record('ok', 4)
    record('ok', 5, 'other', trigger='manual')
    record('ok', 5, app='another', trigger='manual')
    last = at(3) + SECOND
    assert query(Queries.by_hand_since, 'task', INSTANT) == last
    assert query(Queries.by_hand_since, 'task', last) == last
    assert query(Queries.by_hand_since, 'task', last + SECOND) is None


def past(minute, attempt=1, scheduled_for=None):
    values = dict.fromkeys(PastRun._fields)
    return PastRun(**values | {'started': at(minute), 'attempt': attempt, 'scheduled_for': scheduled_for})


def test_the_history_is_in_the_order_of_events():
    gap, missed = Gap(at(1), at(5)), Missed('task', at(1), at(2), 2, at(6))
    early, late, named = past(0, 1, at(-1)), past(3, 1, at(3)), past(9)
    skipped = past(8, 0, at(4))
    entries = in_order([named, skipped, late, early], [missed], [gap], 9)
    assert entries == [early, gap, missed, late, skipped, named]
    assert [when(entry) for entry in entries] == [at(0), at(1), at(2), at(3), at(4), at(9)]
    assert in_order([named, early], [missed], [gap], 2) == [missed, named]


def test_a_gap_comes_before_minutes_missed_in_it():
    gap, missed = Gap(at(1), at(1)), Missed('task', at(1), at(1), 1, at(6))
    run = past(1, 1, at(1))
    assert in_order([run], [missed], [gap], 9) == [gap, missed, run]


@pytest.mark.slow
def test_a_minute_is_found_however_late_it_was_recorded(servers):
    server = servers.start().add()
    server.tick(0)
    server.tick(10)
    with server.store.queries() as queries:
        assert [run.outcome for run in queries.became_of('task', INSTANT)] == ['ok']
        assert [run.outcome for run in queries.became_of('task', INSTANT + 5 * MINUTE)] == ['missed']
        assert queries.became_of('task', INSTANT + MINUTE) == []
        assert queries.became_of('other', INSTANT) == []


def test_runs_by_hand_are_found_alone(record, query):
    record('ok', 1)
    record('ok', 2, scheduled_for=None, trigger='manual', requested_by='ada')
    record('failed', 3, task='other', scheduled_for=None, trigger='manual')
    record('failed', 4, trigger='backfill')
    record('missed', 5, trigger='none')
    found = query(Queries.runs_by_hand, 9)
    assert [(run.task, run.started - SECOND) for run in found] == [('task', at(4)), ('other', at(3)), ('task', at(2))]
    assert [run.requested_by for run in query(Queries.runs_by_hand, 9, ['task'], at(1))] == [None, 'ada']
    assert len(query(Queries.runs_by_hand, 9, ['task', 'other', 'task'])) == 3
    assert len(query(Queries.runs_by_hand, 1, ['task', 'other'])) == 1


def test_actions_have_their_place_among_the_others(query, server):
    server.store.pause(['task', 'other'], reason='why')
    [action] = query(Queries.actions, 9, ['task'])
    run = PastRun(**dict.fromkeys(PastRun._fields) | {'started': action.at - SECOND, 'attempt': 1})
    later = run._replace(started=action.at + SECOND)
    assert in_order([later, run], [], [], 9, [action]) == [run, action, later]
    assert in_order([later, run], [], [], 2, [action]) == [action, later]
    assert query(Queries.actions, 1)[0].at == action.at
    assert query(Queries.actions, 9, since=action.at + SECOND) == []
