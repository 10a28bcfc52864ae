"""Refusals of a configuration."""

import contextlib

import pytest
from pyramid.exceptions import ConfigurationError


@contextlib.contextmanager
def refused(*parts):
    """Expect a ``ConfigurationError`` whose message has these parts."""
    with pytest.raises(ConfigurationError) as caught:
        yield
    for part in parts:
        assert part in str(caught.value)
