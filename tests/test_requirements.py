"""The lower bounds of ``setup.py``, and the versions that ``tox -e oldest`` installs.

The bounds are those of the installed package: install a checkout again when they have changed.
"""

import configparser
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PACKAGE = 'pyramid_cron'
#: for those who work on the package; applications do not install them
FOR_DEVELOPERS = {'benchmarks', 'docs', 'testing'}
EXTRAS = set(metadata(PACKAGE).get_all('Provides-Extra')) - FOR_DEVELOPERS
REQUIREMENTS = [Requirement(text) for text in requires(PACKAGE)]


def of_extra(extra):
    """Return what an extra adds to the requirements of the package."""
    return [found for found in REQUIREMENTS if found.marker and found.marker.evaluate({'extra': extra})]


def lower_bound(requirement):
    """Return the lowest version that a requirement allows, ``None`` if it allows any."""
    return next((Version(found.version) for found in requirement.specifier if found.operator == '>='), None)


@pytest.fixture(scope='module')
def oldest():
    """The section of ``tox.ini``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(Path(__file__).parent.parent / 'tox.ini', encoding='utf-8')
    return parser['testenv:oldest']


@pytest.fixture(scope='module')
def pinned(oldest):
    """The one version of each package that ``oldest`` allows, by the name of the package."""
    found = [Requirement(line) for line in oldest['deps'].splitlines() if line]
    exact = [(one.name, item) for one in found for item in one.specifier if item.operator == '==']
    return {canonicalize_name(name): Version(item.version) for name, item in exact}


@pytest.mark.parametrize('extra', sorted(EXTRAS))
def test_each_requirement_of_an_extra_has_a_lower_bound(extra):
    assert of_extra(extra)
    assert [found.name for found in of_extra(extra) if lower_bound(found) is None] == []


def test_oldest_installs_each_extra(oldest):
    assert {name.strip() for name in oldest['extras'].split(',')} == EXTRAS | {'testing'}


def test_oldest_installs_exactly_the_lower_bounds(pinned):
    bounds = {canonicalize_name(found.name): lower_bound(found) for found in REQUIREMENTS if lower_bound(found)}
    assert pinned == bounds
