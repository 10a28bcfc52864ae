"""Metrics as the client of Prometheus reads them."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete

from pyramid_cron import Skip
from pyramid_cron.monitoring.metrics import expose
from pyramid_cron.monitoring.problem import WORDS
from pyramid_cron.store.schema import runs, ticks
from tests.support.servers import INSTANT


def now():
    return datetime.now(timezone.utc)


def fail(system):
    raise LookupError


@pytest.fixture
def scrape():
    """Return a function that returns the metrics of a server: their values by their labels, by their names."""

    def scrape(server, instant=None):
        snapshot = server.store.snapshot()
        window = server.registry['cron_settings'].window
        content_type, text = expose(snapshot, server.registry['cron_tasks'], window, instant or now())
        assert content_type.startswith('text/plain; version=0.0.4')
        found = {}
        for family in text_string_to_metric_families(text.decode()):
            assert family.type == 'gauge'
            assert family.documentation.endswith('.')
            found[family.name.removeprefix('pyramid_cron_')] = {
                tuple(sample.labels[key] for key in ('task', 'problem') if key in sample.labels): sample.value
                for sample in family.samples
            }
        return found

    return scrape


def problems(found):
    """Return the problems of tasks in metrics."""
    assert {kind for _, kind in found['task_problem']} <= {*WORDS}
    # the last tick was years ago, so that tasks are overdue as well
    return [key for key, value in found['task_problem'].items() if value and key[1] != 'overdue']


def test_a_task_that_never_ran_has_a_next_run(servers, scrape):
    server = servers.start().add(min=10, hour=2).add('never', day=29, month=2, min=0, hour=0)
    assert scrape(server, INSTANT) == {
        'last_tick_timestamp_seconds': {},
        'no_tick': {(): 1},
        'tick_failed': {(): 0},
        'task_problem': {(task, kind): 0 for task in ('task', 'never') for kind in WORDS},
        'task_next_run_timestamp_seconds': {
            ('task',): (INSTANT + timedelta(minutes=10)).timestamp(),
            ('never',): datetime(2024, 2, 29, tzinfo=timezone.utc).timestamp(),
        },
        'task_last_success_timestamp_seconds': {},
        'task_last_duration_seconds': {},
        'task_failures_in_a_row': {},
        'task_skipped': {},
        'task_running_seconds': {},
    }


def test_each_task_has_its_state(servers, scrape):
    server = servers.start().add().add('bad', body=fail)
    server.tick(0)
    server.tick(5)
    server.store.pause(['bad'], reason='it fails')
    found = scrape(server)
    assert found['last_tick_timestamp_seconds'] == {(): (INSTANT + timedelta(minutes=5)).timestamp()}
    assert found['no_tick'] == {(): 1}
    ended = max(row['finished'] for row in servers.rows(runs) if row['task'] == 'task')
    assert found['task_last_success_timestamp_seconds'] == {('task',): pytest.approx(ended.timestamp())}
    assert set(found['task_last_duration_seconds']) == {('task',), ('bad',)}
    assert all(value >= 0 for value in found['task_last_duration_seconds'].values())
    # a paused task is no fault, whatever happened before
    assert problems(found) == [('bad', 'paused')]
    assert found['task_failures_in_a_row'] == {('task',): 0, ('bad',): 2}


@pytest.mark.slow
@pytest.mark.parametrize(('ago', 'no_tick'), [(110, 0), (121, 1)])
def test_silence_begins_as_in_health(servers, server, scrape, ago, no_tick):
    server.tick(0)
    servers.execute(ticks.update().values(last_minute=now() - timedelta(seconds=ago)))
    assert scrape(server)['no_tick'] == {(): no_tick}


@pytest.mark.slow
def test_a_removed_task_keeps_its_last_success(servers, server, scrape):
    server.add('gone').tick(0)
    servers.change('gone', last_seen=INSTANT - timedelta(hours=2))
    found = scrape(servers.start().add())
    assert set(found['task_last_success_timestamp_seconds']) == {('task',), ('gone',)}
    assert problems(found) == []
    servers.execute(ticks.update().values(minute_before=INSTANT))
    assert problems(scrape(server)) == [('gone', 'unregistered')]
    servers.hold('gone')
    found = scrape(servers.start().add())
    families = [found[f'task_{name}'] for name in ('last_duration_seconds', 'failures_in_a_row', 'running_seconds')]
    assert {key[0] for family in families for key in family} == {'task'}
    assert problems(found) == []


def test_a_row_from_before_store_false_has_no_metrics_of_runs(servers, scrape):
    servers.start().add(body=fail).tick(0)
    servers.hold()
    found = scrape(servers.start().add(store=False))
    for name in ('last_duration_seconds', 'failures_in_a_row', 'skipped', 'running_seconds'):
        assert found[f'task_{name}'] == {}
    assert problems(found) == []


def test_a_run_in_progress_has_seconds(servers, server, scrape):
    server.tick(0)
    servers.hold()
    servers.change(started_at=now().timestamp() - 7200)
    found = scrape(server)
    assert found['task_running_seconds'] == {('task',): pytest.approx(7200, abs=60)}
    assert problems(found) == [('task', 'stuck')]


def test_a_failed_task_stays_failed_while_it_runs(servers, scrape):
    failing = servers.start().add(body=fail)
    failing.tick(0)
    servers.hold()
    servers.change(started_at=now().timestamp())
    assert problems(scrape(failing)) == [('task', 'failed')]


def test_a_weekly_task_missed_days_ago_is_missed(servers, scrape):
    weekly = servers.start().add('weekly', min=0, hour=3, dow=0)
    weekly.tick(0)
    weekly.tick(60 * 24 * 2)
    found = scrape(weekly)
    assert problems(found) == [('weekly', 'missed')]
    # as health counts it
    assert found['task_failures_in_a_row'] == {('weekly',): 1}


def test_metrics_do_not_depend_on_the_history(servers, scrape):
    server = servers.start().add().add('bad', body=fail)
    server.tick(0)
    instant = now()
    before = scrape(server, instant)
    servers.execute(delete(runs))
    assert scrape(server, instant) == before


def test_a_schedule_without_a_next_run_is_left_out(servers, scrape):
    server = servers.start().add(min=0, hour=0, day=29, month=2)
    assert scrape(server, datetime(9999, 1, 1, tzinfo=timezone.utc))['task_next_run_timestamp_seconds'] == {}


WITHOUT = """
import sys
from webtest import TestApp
from pyramid.config import Configurator

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'prometheus_client':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Hidden())
config = Configurator(settings={'cron.store': sys.argv[1]})
config.include('pyramid_cron')
app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
answer = app.get('/cron/metrics', expect_errors=True)
print(answer.status_int, answer.text)
print(app.get('/cron/health', expect_errors=True).status_int)
"""


@pytest.mark.slow
def test_without_prometheus_client_the_answer_is_501(tmp_path):
    command = [sys.executable, '-c', WITHOUT, f'sqlite:///{tmp_path}/cron.sqlite']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "501 fail: prometheus_client is not installed, or too old: run: pip install 'pyramid_cron[metrics]'",
        '503',
    ], ended.stderr


def test_a_skipped_run_has_a_metric(servers, scrape):
    def skip(system):
        raise Skip

    server = servers.start().add(body=skip).add('other')
    server.tick()
    assert scrape(server)['task_skipped'] == {('task',): 1, ('other',): 0}
