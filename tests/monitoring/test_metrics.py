"""What Prometheus reads, as its own client reads it."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from pyramid_cron.monitoring.metrics import expose
from pyramid_cron.store.schema import runs

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def fail(system):
    raise LookupError


@pytest.fixture
def scrape(servers):
    """Return a function that returns the metrics of a server: their values by their labels, by their names."""

    def scrape(server, now=None):
        server.ready()
        with servers.engine.connect() as connection:
            told = expose(connection, 'app', server.registry['cron_tasks'], now or datetime.now(timezone.utc))
        content_type, text = told
        assert content_type.startswith('text/plain; version=0.0.4')
        found = {}
        for family in text_string_to_metric_families(text.decode()):
            assert family.type == 'gauge'
            assert family.documentation.endswith('.')
            found[family.name.removeprefix('pyramid_cron_')] = {
                tuple(sample.labels[key] for key in ('task', 'outcome') if key in sample.labels): sample.value
                for sample in family.samples
            }
        return found

    return scrape


def test_of_tasks_that_never_ran_only_what_is_to_come_is_told(servers, scrape):
    server = servers.start().add(min=10, hour=2).add('never', day=29, month=2, min=0, hour=0)
    assert scrape(server, INSTANT) == {
        'last_tick_timestamp_seconds': {},
        'task_last_success_timestamp_seconds': {},
        'task_last_duration_seconds': {},
        'task_failed': {},
        'task_next_run_timestamp_seconds': {
            ('task',): (INSTANT + timedelta(minutes=10)).timestamp(),
            ('never',): datetime(2024, 2, 29, tzinfo=timezone.utc).timestamp(),
        },
        'task_paused': {('task',): 0, ('never',): 0},
        'task_runs_last_day': {},
    }


def test_the_state_of_each_task_is_told(servers, scrape):
    server = servers.start().add().add('bad', body=fail)
    server.tick(0)
    server.claims.pause(['bad'], reason='it fails')
    found = scrape(server)
    assert found['last_tick_timestamp_seconds'] == {(): INSTANT.timestamp()}
    (ended,) = (row['finished'] for row in servers.rows(runs) if row['task'] == 'task')
    assert found['task_last_success_timestamp_seconds'] == {('task',): pytest.approx(ended.timestamp())}
    assert set(found['task_last_duration_seconds']) == {('task',), ('bad',)}
    assert all(value >= 0 for value in found['task_last_duration_seconds'].values())
    assert found['task_failed'] == {('task',): 0, ('bad',): 1}
    assert found['task_paused'] == {('task',): 0, ('bad',): 1}
    assert found['task_runs_last_day'] == {('bad', 'failed'): 1, ('task', 'ok'): 1}


def test_a_run_that_has_not_ended_has_no_duration_and_a_task_that_is_gone_is_not_told(servers, server, scrape):
    server.add('gone').tick(0)
    servers.execute(update(runs).where(runs.c.task == 'task').values(seconds=None, finished=None, outcome='running'))
    found = scrape(servers.start().add())
    assert found['task_last_duration_seconds'] == {}
    assert found['task_last_success_timestamp_seconds'] == {}
    assert found['task_failed'] == {}
    assert found['task_runs_last_day'] == {}
    assert list(found['task_next_run_timestamp_seconds']) == [('task',)]


def test_runs_are_counted_for_a_day(servers, server, scrape):
    server.tick(0)
    servers.execute(update(runs).values(finished=INSTANT))
    assert scrape(server, INSTANT + timedelta(hours=23))['task_runs_last_day'] == {('task', 'ok'): 1}
    assert scrape(server, INSTANT + timedelta(hours=25))['task_runs_last_day'] == {}


def test_a_schedule_that_has_no_next_run_has_no_next_run(servers, scrape):
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


def test_without_the_package_the_answer_says_what_to_install(tmp_path):
    command = [sys.executable, '-c', WITHOUT, f'sqlite:///{tmp_path}/cron.sqlite']
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "501 fail: the metrics need a package that is not installed: pip install 'pyramid_cron[metrics]'",
        '503',
    ], ended.stderr
