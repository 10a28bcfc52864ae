"""The alert rules of the documentation, by Prometheus' own tool."""

import re
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from webtest import TestApp

TESTS = Path(__file__).parent / 'alerts_test.yml'


@pytest.fixture
def rules(root):
    return root / 'docs' / 'deploy' / 'alerts.yml'


@pytest.fixture
def promtool(program):
    def run(*arguments):
        return subprocess.run([program('promtool'), *map(str, arguments)], capture_output=True, text=True)

    return run


def test_the_alert_rules_can_be_read(promtool, rules):
    done = promtool('check', 'rules', rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '5 rules found' in done.stdout


def test_the_rules_fire_in_time_and_not_before(promtool, rules, tmp_path):
    path = tmp_path / 'alerts_test.yml'
    path.write_text(TESTS.read_text().replace('RULES', str(rules)))
    done = promtool('test', 'rules', path)
    assert done.returncode == 0, done.stdout + done.stderr
    # that a rule which fires later fails here
    path.write_text(path.read_text().replace('eval_time: 15m', 'eval_time: 14m'))
    assert promtool('test', 'rules', path).returncode == 1


def test_the_rules_use_only_exposed_metrics(rules, tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    config.include('pyramid_cron')
    config.add_cron_task(print, min=0, hour=2, name='shop.backup')
    app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    app.get('/cron', status=200)
    exposed = {family.name for family in text_string_to_metric_families(app.get('/cron/metrics').text)}
    used = set(re.findall(r'pyramid_cron_\w+', rules.read_text()))
    assert used <= exposed
    assert len(used) == 3
    config.registry['cron_store'].database.engine.dispose()


def test_prometheus_accepts_the_metrics(program, tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: None, min='*', name='every')
    app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    app.get('/cron', status=200)
    text = app.get('/cron/metrics').text
    done = subprocess.run([program('promtool'), 'check', 'metrics'], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, '')
    config.registry['cron_store'].database.engine.dispose()


def test_prometheus_scrapes_with_the_secret_of_a_monitor(program, serve, start, until, free_port, root, tmp_path):
    secret = 'sixteen characters and more'
    settings = {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.monitor_secret': secret}
    served = serve('waitress', settings=settings)
    text = (root / 'docs' / 'deploy' / 'prometheus.yml').read_text()
    (tmp_path / 'secret').write_text(secret)
    for shown, used in (
        ('/etc/prometheus/shop.secret', tmp_path / 'secret'),
        ('app1.internal:6543', f'127.0.0.1:{served.port}'),
    ):
        assert shown in text
        text = text.replace(shown, str(used))
    (tmp_path / 'prometheus.yml').write_text(f'global: {{scrape_interval: 1s}}\n{text}')
    port = free_port()
    arguments = '--config.file=prometheus.yml', '--storage.tsdb.path=data', f'--web.listen-address=127.0.0.1:{port}'
    start(program('prometheus'), *arguments, listen=('127.0.0.1', port))
    url = f'http://127.0.0.1:{port}/api/v1/query?query=pyramid_cron_no_tick'

    def is_scraped():
        try:
            return '"metric"' in urlopen(url).read().decode()
        except HTTPError as exc:
            if exc.code != 503:
                raise
            # it starts
            return False

    until(is_scraped, 'a scrape')
