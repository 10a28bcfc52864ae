"""What the store knows of the due minutes of a task."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import update

from pyramid_cron import Task
from pyramid_cron.schedules.clock import EPOCH, MINUTE
from pyramid_cron.store import due_records
from pyramid_cron.store.due_records import NoRow, TooMany, knowledge_of, read_account
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import runs
from pyramid_cron.store.task_state import TaskState
from tests.support.servers import INSTANT

KEPT = timedelta(days=30)
NOW = datetime(2020, 11, 23, 3, 0, tzinfo=timezone.utc)
FIVE, SEVEN = Task(print, min='*/5', timezone=None), Task(print, min='*/7')


def read(server, first, last, now=NOW, task=None):
    found = read_account(
        server.store, 'task', task or server.task(), INSTANT + first * MINUTE, INSTANT + last * MINUTE, now
    )
    return {round((minute.minute - INSTANT) / MINUTE): minute.fate for minute in found.minutes}


@pytest.mark.slow
@pytest.mark.each_database
def test_each_due_minute_has_its_records(servers):
    server = servers.start(catch_up='0', keep_history='100000').add().add('other')
    server.tick(0)
    server.tick(15)
    server.tick(17, names=['task'])
    # before the runs, which have begun in the present of the test
    servers.execute(update(runs).values(started=INSTANT))
    assert read(server, -20, 25) == {
        0: 'ok, not joined',
        5: 'missed',
        10: 'missed',
        15: 'ok, not joined',
        20: 'no tick yet',
        25: 'no tick yet',
    }
    assert read(server, 1, 9) == {5: 'missed'}
    found = read_account(server.store, 'task', None, INSTANT, INSTANT + 20 * MINUTE, NOW)
    assert (found.by_name, found.is_good, found.unknown_until) == (1, False, None)


def test_minutes_of_a_backlog_do_not_blame_ticks(servers):
    server = servers.start(catch_up='3600').add(missed='each')
    server.tick(0)
    server.tick(21)
    servers.execute(update(runs).values(started=INSTANT))
    fates = {0: 'ok, not joined', 5: 'ok, not joined', 10: 'not run yet', 15: 'not run yet', 20: 'not run yet'}
    assert read(server, 0, 25) == {**fates, 25: 'no tick yet'}


def test_runs_whose_end_is_not_recorded_have_that_of_the_row(servers):
    server = servers.start().add()
    server.tick(0)
    servers.execute(update(runs).values(started=INSTANT, outcome='running', finished=None))
    assert read(server, 0, 0) == {0: 'ok, not joined'}
    servers.change(last_outcome_for=INSTANT - MINUTE)
    assert read(server, 0, 0) == {0: 'lost'}


def test_without_a_row_nothing_is_known(servers, tmp_path):
    server = servers.start().add()
    with pytest.raises(NoRow):
        read(server, 0, 5)
    server = servers.start(store=f'sqlite:///{tmp_path}/none.sqlite').add()
    with pytest.raises(NoRow):
        read(server, 0, 5)


def test_a_span_has_a_limit(servers, monkeypatch):
    server = servers.start().add()
    server.tick(0)
    monkeypatch.setattr(due_records, 'MOST_MINUTES', 2)
    read(server, 0, 9)
    with pytest.raises(TooMany, match='task was due more than 2 times then: name a shorter span'):
        read(server, 0, 10)


def knowledge(task=FIVE, keep=KEPT, oldest=INSTANT, **values):
    state = TaskState(**{'task': 'task', 'schedule': write_schedule(FIVE), 'first_seen': INSTANT, **values})
    return knowledge_of(state, task, keep, oldest, NOW)


def test_the_last_minute_that_is_settled():
    later, latest = INSTANT + 5 * MINUTE, INSTANT + 9 * MINUTE
    assert knowledge().settled == INSTANT
    assert knowledge().owed_from == INSTANT + MINUTE
    assert knowledge(last_minute=later).settled == later
    assert knowledge(last_minute=later, busy_until=latest).settled == latest
    each = Task(print, min='*/5', missed='each')
    assert knowledge(each, last_minute=later, busy_until=latest).settled == later
    assert knowledge(None, last_minute=later, busy_until=latest).settled == latest


def test_records_begin_with_the_oldest_and_with_what_is_kept():
    assert knowledge().recorded_from == INSTANT
    assert knowledge(oldest=INSTANT + timedelta(seconds=61)).recorded_from == INSTANT + MINUTE
    assert knowledge(keep=timedelta(minutes=10)).recorded_from == NOW - 9 * MINUTE
    assert knowledge(oldest=None).recorded_from == NOW


def test_the_schedules_that_are_known():
    assert [period.first for period in knowledge().periods] == [EPOCH]
    changed, before = INSTANT + 60 * MINUTE, INSTANT
    values = {'schedule_changed_at': changed, 'previous_schedule': write_schedule(SEVEN)}
    previous, current = knowledge(**values, previous_schedule_from=before).periods
    assert (previous.first, previous.last, current.first) == (before, changed - MINUTE, changed)
    assert (previous.schedule, current.schedule) == (SEVEN.schedule, FIVE.schedule)
    # by a server with older code, or a text that cannot be read
    assert [period.first for period in knowledge(**values).periods] == [changed]
    unread = values | {'previous_schedule': '?'}
    assert [period.first for period in knowledge(**unread, previous_schedule_from=before).periods] == [changed]
    assert [period.schedule for period in knowledge(SEVEN, schedule='?').periods] == [SEVEN.schedule]
    assert knowledge(None, schedule='?').periods == []
