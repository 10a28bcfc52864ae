"""The version of SQLAlchemy, checked at start-up."""

import subprocess
import sys
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from pyramid.exceptions import ConfigurationError

from pyramid_cron.store.sqlalchemy_version import OLDEST, require_sqlalchemy

START = """
import sys

sys.path.insert(0, sys.argv[1])
from pyramid.config import Configurator

for settings in ({}, {'cron.store': 'sqlite:////var/cron.sqlite'}):
    try:
        with Configurator(settings=settings) as config:
            config.include('pyramid_cron')
        print('started')
    except Exception as exc:
        print(f'{type(exc).__name__}: {exc}')
"""


def test_it_is_that_of_the_extra():
    requirements = map(Requirement, requires('pyramid_cron'))
    [bound] = [found for found in requirements if found.marker and found.marker.evaluate({'extra': 'store'})]
    assert str(bound.specifier) == f'>={".".join(map(str, OLDEST))}'


@pytest.mark.parametrize('installed', ['2.0.28', '2.0.44', '2.1.0b1', '3.0'])
def test_later_versions_are_accepted(installed):
    require_sqlalchemy(installed)


@pytest.mark.parametrize('installed', ['1.4.54', '2.0', '2.0.27', '2.0.0rc3'])
def test_older_versions_are_refused(installed):
    with pytest.raises(ConfigurationError, match=rf'^cron\.store: SQLAlchemy {installed} .* needs 2\.0\.28 or later'):
        require_sqlalchemy(installed)


@pytest.mark.slow
def test_an_older_one_stops_an_application_that_has_a_store(tmp_path):
    (tmp_path / 'sqlalchemy.py').write_text("__version__ = '1.4.54'\n")
    done = subprocess.run([sys.executable, '-c', START, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        'started',
        'ConfigurationError: cron.store: SQLAlchemy 1.4.54 is installed, and the store needs 2.0.28 or later; run: '
        "pip install 'pyramid_cron[store]'; where another package requires the older SQLAlchemy, remove cron.store: "
        'tasks run without a store too',
    ]
