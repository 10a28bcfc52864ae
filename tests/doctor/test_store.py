from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from pyramid_cron.doctor.store import REMEDIES, examine_store
from pyramid_cron.monitoring.problem import OF_TICKS, WORDS
from pyramid_cron.store.schema import tasks, ticks

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def examined(servers):
    """Return a function that returns status, topic and text of the findings about a server that ticked just now."""

    def run(server, ago=timedelta(0)):
        server.ready()
        last = datetime.now(timezone.utc) - ago
        servers.execute(ticks.update().values(last_minute=last, done_minute=last))
        return list(examine_store(server.registry, lambda call: None, 'shop.ini'))

    return run


def of(findings, *topics):
    return [(finding.status, finding.text) for finding in findings if finding.topic in topics]


def test_there_is_a_remedy_for_each_problem():
    assert set(REMEDIES) == {*WORDS, *OF_TICKS} - {'retrying', 'tolerated', 'acknowledged'}


def test_a_sound_store_is_ok(server, examined):
    server.tick()
    # that MariaDB is experimental is no fault of this store
    found = [finding for finding in examined(server) if finding.topic != 'support']
    assert {finding.status for finding in found} == {'ok'}
    assert [finding.topic for finding in found] == [
        'database',
        'clock',
        'tables',
        'writing',
        'texts',
        'session',
        'ticks',
        'tasks',
    ]
    assert of(found, 'ticks')[0][1] in ('the last tick was 0 s ago', 'the last tick was 1 s ago')


def test_alembic_in_the_same_database_is_a_warning(server, servers, examined):
    server.tick()
    servers.execute(text('CREATE TABLE alembic_version (version_num VARCHAR(32))'))
    try:
        [found] = [found for found in examined(server) if found.topic == 'alembic']
    finally:
        servers.execute(text('DROP TABLE alembic_version'))
    assert found.status == 'warn'
    assert found.remedy == (
        'from pyramid_cron.store import include_name and context.configure(..., include_name=include_name)'
    )


def test_a_recent_tick_has_its_age(server, examined):
    server.tick()
    [(status, text)] = of(examined(server, timedelta(seconds=100)), 'ticks')
    assert status == 'ok'
    assert text in [f'the last tick was {seconds} s ago' for seconds in (100, 101, 102)]


def test_an_old_tick_is_a_failure(server, examined):
    server.tick()
    assert of(examined(server, timedelta(hours=3)), 'ticks') == [('fail', 'no tick for 3 h 0 min')]


def test_before_the_first_tick_there_is_none(server):
    server.ready()
    found = list(examine_store(server.registry, lambda call: None, 'shop.ini'))
    assert of(found, 'ticks') == [('fail', 'no tick has come yet')]


def test_a_failed_task_is_a_failure(servers, examined):
    server = servers.start().add(body=lambda system: 1 / 0)
    server.tick()
    [found] = [finding for finding in examined(server) if finding.topic == 'tasks']
    assert found.status == 'fail'
    assert found.text.startswith('task: failed: ZeroDivisionError: division by zero, ')
    assert 'traceback' in found.remedy


def test_pauses_are_warnings(servers, server, examined):
    server.add('other')
    server.tick()
    server.store.pause(['task'], reason='the disk is full', requested_by='me')
    server.store.pause(['other'], reason='why', until=datetime(2100, 1, 1, tzinfo=timezone.utc))
    servers.paused_from(0)
    assert of(examined(server), 'tasks') == [
        ('warn', 'other: paused since Mon 2020-11-23 02:00 until Fri 2100-01-01 00:00: why'),
        ('warn', 'task: paused by me since Mon 2020-11-23 02:00 until it is resumed: the disk is full'),
    ]


def test_a_pause_of_all_tasks_is_one_warning(servers, server, examined):
    server.add('other')
    server.tick()
    server.store.pause(['task'], reason='the disk is full')
    server.store.pause(['*'], reason='the database moves', requested_by='me')
    servers.paused_from(0)
    found = [finding for finding in examined(server) if finding.topic == 'tasks']
    # of the two without an end, that of the task itself is shown for it
    assert [(finding.text, finding.remedy) for finding in found] == [
        (
            'all tasks are paused by me since Mon 2020-11-23 02:00 until they are resumed: the database moves',
            '"pcron resume --all" ends the pause',
        ),
        (
            'task: paused since Mon 2020-11-23 02:00 until it is resumed: the disk is full',
            '"pcron resume" ends the pause',
        ),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(('unregistered', 'status'), [('warn', 'warn'), ('fail', 'fail')])
def test_an_unregistered_task_has_the_status_of_the_setting(servers, examined, unregistered, status):
    server = servers.start(unregistered=unregistered).add()
    server.tick()
    servers.execute(ticks.update().values(minute_before=LONG_AGO + timedelta(days=1)))
    servers.execute(tasks.update().values(task='gone', last_seen=LONG_AGO))
    assert of(examined(server), 'tasks') == [(status, 'gone: unregistered, Wed 2020-01-01 00:00')]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_an_unavailable_store_is_found_once(server, tmp_path):
    server.tick()
    server.engine.dispose()
    (tmp_path / 'cron.sqlite').write_text('no database, but long enough for a header of one' * 100)
    found = list(examine_store(server.registry, lambda call: None, 'shop.ini'))
    assert of(found, 'database')[0][0] == 'fail'
    [(status, text)] = of(found, 'ticks')
    assert status == 'warn'
    assert text.startswith('the last tick is not known: ')
    assert of(found, 'tasks') == []


def test_tasks_that_are_overdue_because_no_tick_comes_are_no_findings(server, servers, examined):
    server.tick()
    servers.change(next_due=datetime.now(timezone.utc) - timedelta(hours=2))
    found = examined(server, timedelta(hours=3))
    assert [status for status, _ in of(found, 'ticks')] == ['fail']
    assert of(found, 'tasks') == [('ok', 'no task is paused, unregistered, stuck or failed')]
