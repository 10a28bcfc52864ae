"""Setting up the store of an application, with and without SQLAlchemy."""

import subprocess
import sys
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskPaused, TaskPaused
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.store.claims import StoreClaims

MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'sqlalchemy':
            raise ModuleNotFoundError("No module named 'sqlalchemy'", name=name)

sys.meta_path.insert(0, Missing())
from pyramid.config import Configurator

def start(**settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(print, retries=1, catch_up=60, name='task', min=0)
    return config

start()
assert not [name for name in sys.modules if name.startswith('pyramid_cron.store')]
try:
    start(**{'cron.store': 'sqlite:////var/cron.sqlite'})
except Exception as exc:
    print(type(exc).__name__, exc)
"""
UNUSED = """
import sys
from datetime import datetime, timezone
from pyramid.config import Configurator
from pyramid_cron.testing import tick

with Configurator() as config:
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: None, min='*', name='task')
assert str(tick(config.registry, datetime(2020, 1, 1, tzinfo=timezone.utc))) == 'ok'
print([name for name in sys.modules if name.startswith(('pyramid_cron.store', 'sqlalchemy'))])
"""


def python(code, folder='.'):
    command = [sys.executable, '-c', code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()


@pytest.mark.slow
def test_without_sqlalchemy_the_setting_is_refused(tmp_path):
    printed = python(MISSING, tmp_path)
    assert 'ConfigurationError' in printed
    assert "cron.store: No module named 'sqlalchemy'; run: pip install 'pyramid_cron[store]'" in printed


@pytest.mark.slow
def test_without_the_setting_no_store_is_imported(tmp_path):
    assert python(UNUSED, tmp_path) == '[]'


def test_a_bad_store_stops_the_start():
    with (
        pytest.raises(ConfigurationError, match='a database in memory'),
        Configurator(settings={'cron.store': 'sqlite://'}) as config,
    ):
        config.include('pyramid_cron')


def test_an_application_starts_while_the_database_is_away(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/none/cron.sqlite'}, package='tests')
    config.include('pyramid_cron')
    config.commit()
    store = config.registry['cron_store']
    assert store.options.app == config.registry.package_name
    with pytest.raises(Unavailable), store.database.begin():
        pass


def test_the_settings_reach_the_store(tmp_path):
    settings = {
        'cron.store': f'sqlite:///{tmp_path}/cron.sqlite',
        'cron.app': 'shop',
        'cron.catch_up': '60',
        'cron.lease': '30',
        'cron.keep_history': '2',
        'cron.session': 'dbsession',
        'cron.timezone': 'Europe/Berlin',
        'cron.create_tables': 'false',
    }
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    sent = []
    config.add_subscriber(sent.append, ITaskPaused)
    config.commit()
    store, claims = config.registry['cron_store'], config.registry['cron_claims']
    options = store.options
    assert (options.app, options.lease, options.session) == ('shop', 30, 'dbsession')
    assert (options.catch_up, options.keep_history) == (timedelta(seconds=60), timedelta(days=2))
    assert options.zone == ZoneInfo('Europe/Berlin')
    assert (store.database.app, store.database.creates_tables) == ('shop', False)
    # both have one pool
    assert isinstance(claims.in_store, StoreClaims)
    assert (claims.in_store.database, claims.in_store.options) == (store.database, options)
    assert isinstance(claims.in_memory, MemoryClaims)
    event = TaskPaused('task', None, 'why', None)
    options.notify(event)
    assert sent == [event]


def test_an_exit_in_a_subscriber_of_the_store_passes(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    config.include('pyramid_cron')
    config.add_subscriber(lambda event: sys.exit(), ITaskPaused)
    config.commit()
    with pytest.raises(SystemExit):
        config.registry['cron_store'].options.notify(TaskPaused('task', None, 'why', None))


def test_without_the_setting_there_is_no_store():
    config = Configurator()
    config.include('pyramid_cron')
    config.commit()
    assert config.registry['cron_store'] is None
    assert isinstance(config.registry['cron_claims'], MemoryClaims)
