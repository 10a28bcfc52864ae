import logging

import pytest

from pyramid_cron.store.engine import make_engine
from tests.support.night import Night
from tests.support.pcron import FixedCommand

APP = '''
import functools
import signal
import sys

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_cron import Skip

from pyramid_cron import Skip

def purge(system):
    """
    Delete what is old.

    More about it.
    """

def plain(system):
    pass

def counts(system):
    for done in range(3):
        system['progress'](done, 2)

def keep(handover):
    pass

class Report:
    """Write the report."""

    def __call__(self, system):
        pass

def fails(system):
    raise RuntimeError('a detail')

def skips(system):
    raise Skip('no new file')

def ends(system):
    signal.raise_signal(signal.SIGTERM)

def interrupted(system):
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)

def interrupts(system):
    raise KeyboardInterrupt

def exits(system):
    sys.exit(0)

def method(system):
    print(system['request'].method, system['request'].url)

def skips(system):
    raise Skip('no new file')


def closed(handler, registry):
    return lambda request: Response(status=503)

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        if 'prefix' in settings:
            config.include('pyramid_cron', route_prefix=settings['prefix'])
        if 'closed' in settings:
            config.add_tween(__name__ + '.closed')
        for line in filter(None, settings['tasks'].split(';')):
            eval(f'config.add_cron_task({line})')
        return config.make_wsgi_app()
'''


INI = """
[app:main]
use = call:{module}:main
pyramid.includes = {include}
tasks = {tasks}
{settings}
"""


@pytest.fixture(autouse=True)
def quiet_log():
    """Take back what ``pcron work`` does to the log of an application that does not configure it."""
    logger = logging.getLogger('pyramid_cron')
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def module(write_module):
    return write_module(APP)


@pytest.fixture
def ini(module, tmp_path):
    """Write the ini file of an application with these tasks, each the arguments of ``add_cron_task``."""

    def write(*tasks, settings='cron.timezone = Europe/Berlin', include='pyramid_cron'):
        path = tmp_path / 'app.ini'
        path.write_text(INI.format(module=module, settings=settings, include=include, tasks=';'.join(tasks)))
        return str(path)

    return write


@pytest.fixture
def pcron(capsys, monkeypatch):
    """Run the command at ``NOW``, and return its exit status and what it printed."""

    def run(*argv, columns=80, command=FixedCommand):
        monkeypatch.setenv('COLUMNS', str(columns))
        status = command(['pcron', *argv]).run()
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def night(tmp_path):
    night = Night(f'sqlite:///{tmp_path}/cron.sqlite')
    night.tick()
    yield night
    night.close()


@pytest.fixture
def stored(tmp_path):
    """Settings with a store that keeps the history for long, so that no test depends on the present."""
    return f'cron.timezone = Europe/Berlin\ncron.store = sqlite:///{tmp_path}/cron.sqlite\ncron.keep_history = 100000'


@pytest.fixture
def engine_of_app(tmp_path):
    """An engine for the database of these settings."""
    engine = make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None)
    yield engine
    engine.dispose()
