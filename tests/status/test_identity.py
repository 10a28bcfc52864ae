"""What the pages are about."""

import importlib.metadata
import socket

import pytest
from pyramid.config import Configurator

from pyramid_cron.status.identity import identify, version_of


@pytest.mark.parametrize(
    ('settings', 'package', 'expected'),
    [
        # a package that is installed stands for an application that is
        ({'cron.app': 'shop', 'cron.environment': 'staging'}, 'webtest', 'shop {webtest} staging on {host}'),
        ({}, 'webtest', 'webtest {webtest} on {host}'),
        ({'cron.app': 'shop'}, 'tests.status', 'shop on {host}'),
    ],
)
def test_it_is_the_application_its_environment_host_and_versions(settings, package, expected):
    config = Configurator(settings=settings, package=package)
    config.include('pyramid_cron')
    config.commit()
    expected = expected.format(webtest=importlib.metadata.version('webtest'), host=socket.gethostname())
    library = f'pyramid_cron {importlib.metadata.version("pyramid_cron")}'
    assert str(identify(config.registry)) == f'{expected}, {library}'


@pytest.mark.parametrize('name', ['no-such-distribution', '__main__', ''])
def test_what_is_not_installed_has_no_version(name):
    assert version_of(name) == ''
