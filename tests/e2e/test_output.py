"""Notes, logs and progress of a real process that is killed."""

import json
import os
import subprocess

import pytest

APP = """
import logging
import os
import threading

from pyramid.config import Configurator

log = logging.getLogger('shop')
log.setLevel(logging.INFO)


def hangs(system):
    system['note']('half of it')
    system['progress'](42, 100)
    log.info('first')
    log.info('secret ' * 1_500_000)
    log.info('last')
    if os.fork() == 0:
        log.info('in a child')
        os._exit(0)
    threading.Event().wait()


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(hangs, name='shop.hangs', min=0, hour=0, day=1, month=1)
        return config.make_wsgi_app()
"""

INI = """
[app:main]
use = call:e2e_output:main
cron.store = sqlite:///%(here)s/cron.sqlite
cron.app = shop
cron.lease = 3
cron.keep_log = 1k
"""


@pytest.fixture
def command(program, tmp_path):
    """Return the command line of ``pcron``, and its environment."""
    (tmp_path / 'e2e_output.py').write_text(APP)
    (tmp_path / 'app.ini').write_text(INI)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get('PYTHONPATH')]))
    environ = {**os.environ, 'PYTHONPATH': path}
    return lambda *words: {
        'args': [program('pcron'), words[0], str(tmp_path / 'app.ini'), *words[1:]],
        'env': environ,
        'text': True,
        'stdout': subprocess.PIPE,
        'stderr': subprocess.DEVNULL,
    }


def last_run(command):
    shown = json.loads(subprocess.run(**command('history', '--json'), timeout=60).stdout)
    return shown['entries'][-1] if shown['entries'] else {'note': None}


def test_a_run_that_is_killed_keeps_what_its_last_heartbeat_wrote(command):
    process = subprocess.Popen(**command('run', 'shop.hangs'))
    with process:
        while last_run(command)['note'] is None:
            assert process.poll() is None
        running = last_run(command)
        assert running['outcome'] == 'running'
        listed = json.loads(subprocess.run(**command('list', '--json'), timeout=60).stdout)
        assert listed['tasks'][0]['last']['progress']['percent'] == 42
        process.kill()
        # plain lines in a pipe
        assert process.stdout.read() == 'shop.hangs: 42 %\n'
    subprocess.run(**command('tick'), timeout=60)
    lost = last_run(command)
    assert (lost['outcome'], lost['note'], lost['log']) == ('lost', 'half of it', running['log'])
    assert len(lost['log'].encode()) <= 1000
    assert lost['log'].startswith('...')
    assert lost['log'].endswith(' INFO shop: last')
    assert 'child' not in lost['log']
