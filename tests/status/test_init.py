"""The include of the status page."""

import sys

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch):
    # as Python itself marks a module that cannot be imported
    monkeypatch.setitem(sys.modules, 'pyramid_jinja2', None)
    with pytest.raises(ConfigurationError, match=r"pip install 'pyramid_cron\[status\]'"):
        Configurator().include('pyramid_cron.status')
