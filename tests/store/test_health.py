"""What is told to whoever watches: health and metrics, by the trigger's rules of access."""

import json
import sys
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from sqlalchemy import insert, update
from webtest import TestApp

from pyramid_cron.clock import now
from pyramid_cron.store.health import Health
from pyramid_cron.store.schema import processes, runs, tasks, ticks
from pyramid_cron.testing import tick

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}
LABELS = 'task', 'status'
SECRET = 'a secret of more than 16 characters'


class Watched:
    """An application with a store and two tasks, one of which fails as long as it is told to."""

    def __init__(self, url, prefix=None, **settings):
        self.fails = False
        self.config = Configurator(settings={'cron.store': url, 'cron.app': 'app', 'cron.timezone': 'UTC', **settings})
        self.config.include('pyramid_cron', route_prefix=prefix)
        self.config.add_cron_task(self.work, min='*', name='work')
        self.config.add_cron_task(lambda system: None, min='*', name='other')
        self.app = TestApp(self.config.make_wsgi_app(), extra_environ=LOCAL)
        self.claims = self.config.registry['cron_claims']

    def work(self, system):
        if self.fails:
            raise LookupError

    def tick(self, minutes=0):
        return tick(self.config.registry, now() + timedelta(minutes=minutes))

    def health(self, **options):
        answer = self.app.get('/cron/health', expect_errors=True, **options)
        return answer.status_int, answer.text

    def change(self, statement):
        with self.claims.database.begin() as connection:
            connection.execute(statement)

    def metrics(self):
        answer = self.app.get('/cron/metrics')
        assert answer.content_type == 'text/plain'
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        return {
            (sample.name.removeprefix('pyramid_cron_'), *filter(None, map(sample.labels.get, LABELS))): sample.value
            for sample in samples
        }


@pytest.fixture(params=['sqlite', 'postgresql'])
def url(request, tmp_path):
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path / "store.sqlite"}'
    return request.getfixturevalue('postgresql')


@pytest.fixture
def watch(url):
    watched = []

    def make(where=url, **settings):
        watched.append(Watched(where, **settings))
        return watched[-1]

    yield make
    for one in watched:
        one.claims.database.engine.dispose()


def test_before_the_first_tick_nothing_is_well(watch):
    watched = watch()
    assert watched.health() == (503, 'fail: no tick has come yet')
    assert watched.metrics().keys() >= {('task_paused', 'work'), ('task_next_run_timestamp_seconds', 'work')}


def test_after_a_tick_all_is_well(watch):
    watched = watch()
    watched.tick()
    status, text = watched.health()
    assert status == 200
    assert text.startswith('ok, last tick ')
    answer = watched.app.get('/cron/health', headers={'Accept': 'application/json'})
    told = json.loads(answer.text)
    assert 0 <= told.pop('seconds_since_last_tick') < 120
    assert told.pop('last_tick').endswith('+00:00')
    assert told == {'status': 'ok', 'failed': [], 'stuck': [], 'lost': [], 'missed': [], 'paused': [], 'problem': None}
    assert answer.headers['Cache-Control'] == 'no-store'


def test_a_tick_of_this_very_moment_is_zero_seconds_ago_in_json():
    assert json.loads(json.dumps(Health(silence=timedelta(0)).as_dict()))['seconds_since_last_tick'] == 0


def test_over_two_minutes_without_a_tick_are_not_well(watch):
    watched = watch()
    watched.tick(-3)
    status, text = watched.health()
    assert (status, text) == (503, 'fail: last tick 3 min ago')


def test_a_task_that_failed_is_told_until_it_succeeds(watch):
    watched = watch()
    watched.fails = True
    watched.tick(-1)
    status, text = watched.health()
    assert (status, text.partition('; ')[2]) == (503, 'failed: work')
    watched.fails = False
    watched.tick()
    assert watched.health()[0] == 200


def test_what_was_missed_or_lost_is_told_until_the_task_runs_again(watch):
    watched = watch(**{'cron.catch_up': '0'})
    watched.tick(-10)
    for task, status in (('other', 'missed'), ('work', 'lost')):
        watched.change(
            insert(runs).values(
                id=task, app='app', task=task, attempt=1, trigger='none', started=now(), finished=now(), status=status
            )
        )
    watched.change(update(ticks).values(last_minute=now()))
    status, text = watched.health()
    assert status == 503
    assert sorted(text.split('; ')[1:]) == ['lost: work', 'missed: other']
    watched.change(update(ticks).values(last_minute=now() - timedelta(minutes=1)))
    watched.tick()
    assert watched.health()[0] == 200


def test_a_task_that_runs_for_longer_than_the_window_is_stuck(watch):
    watched = watch()
    watched.tick()
    began = now().timestamp() - 720
    watched.change(insert(processes).values(id='other', host='elsewhere', pid=1, place='there', lease_until=10.0**12))
    watched.change(update(tasks).where(tasks.c.task == 'work').values(run_id='it', process='other', began=began))
    status, text = watched.health()
    assert (status, text.partition('; ')[2]) == (503, 'stuck: work (running for 12 min)')
    # while it is not too long, all is well
    watched.change(update(tasks).where(tasks.c.task == 'work').values(began=now().timestamp()))
    assert watched.health()[0] == 200


def test_a_paused_task_is_told_and_is_not_wrong(watch):
    watched = watch()
    watched.tick()
    watched.claims.pause(['work'], reason='why')
    status, text = watched.health()
    assert (status, text.partition('; ')[2]) == (200, 'paused: work')
    assert watched.metrics()['task_paused', 'work'] == 1


def test_what_the_code_does_not_have_any_more_does_not_count(watch):
    watched = watch()
    watched.tick()
    for status in ('failed', 'ok'):
        watched.change(
            insert(runs).values(
                id=status,
                app='app',
                task='gone',
                attempt=1,
                trigger='request',
                started=now(),
                finished=now(),
                status=status,
            )
        )
    watched.change(
        insert(tasks).values(
            app='app', task='gone', schedule='x', since=now(), attempt=1, transactional=False, run_id='x', began=0
        )
    )
    assert watched.health()[0] == 200
    assert not [key for key in watched.metrics() if 'gone' in key]


def test_the_metrics_tell_the_state_of_each_task(watch):
    watched = watch()
    watched.tick(-1)
    watched.fails = True
    watched.tick()
    told = watched.metrics()
    assert told['last_tick_timestamp_seconds',] % 60 == 0
    assert told['task_failed', 'work'] == 1
    assert told['task_failed', 'other'] == 0
    assert told['task_last_success_timestamp_seconds', 'work'] == pytest.approx(now().timestamp(), abs=60)
    assert told['task_last_duration_seconds', 'work'] >= 0
    assert told['task_next_run_timestamp_seconds', 'work'] > now().timestamp()
    assert told['task_runs_last_day', 'work', 'ok'] == told['task_runs_last_day', 'work', 'failed'] == 1
    assert told['task_runs_last_day', 'other', 'ok'] == 2


def test_the_rules_of_the_trigger_hold(watch):
    watched = watch(**{'cron.secret': SECRET})
    for path in ('/cron/health', '/cron/metrics'):
        assert watched.app.get(path, status=401).headers['WWW-Authenticate'] == 'Bearer'
        assert watched.app.head(path, status=405).headers['Allow'] == 'GET, POST'
        watched.app.get(f'{path}%0a', status=404)
        assert watched.app.get(path, headers={'Cron-Secret': SECRET}, expect_errors=True).status_int in (200, 503)
    stranger = watch(**{'cron.app': 'another'})
    for path in ('/cron/health', '/cron/metrics'):
        assert (
            stranger.app.get(path, status=403, extra_environ={'REMOTE_ADDR': '203.0.113.9'}).text == 'fail 203.0.113.9'
        )


def test_they_are_behind_the_triggers_own_path(watch):
    watched = watch(prefix='/api', **{'cron.path': '/tick'})
    watched.tick()
    assert watched.app.get('/api/tick/health').text.startswith('ok')
    assert 'pyramid_cron_last_tick' in watched.app.get('/api/tick/metrics').text


def test_a_store_that_cannot_be_asked_is_told(watch, tmp_path):
    watched = watch(f'sqlite:///{tmp_path}/no/folder/store.sqlite')
    for path in ('/cron/health', '/cron/metrics'):
        answer = watched.app.get(path, status=503)
        assert answer.text.startswith('fail: the store cannot be asked: ')
    told = json.loads(watched.app.get('/cron/health', status=503, headers={'Accept': 'application/json'}).text)
    assert told['problem'].startswith('the store cannot be asked')
    assert told['last_tick'] is told['seconds_since_last_tick'] is None


def test_the_metrics_of_a_server_without_the_package_are_not_implemented(watch, monkeypatch):
    watched = watch()
    monkeypatch.setitem(sys.modules, 'prometheus_client', None)
    assert 'pyramid_cron[metrics]' in watched.app.get('/cron/metrics', status=501).text


def test_without_a_store_there_is_neither():
    config = Configurator()
    config.include('pyramid_cron')
    app = TestApp(config.make_wsgi_app(), extra_environ=LOCAL)
    for path in ('/cron/health', '/cron/metrics'):
        app.get(path, status=404)
