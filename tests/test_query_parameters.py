"""Parameters in the query of a tick."""

import pytest
from pyramid import testing
from pyramid.request import Request

from pyramid_cron.query_parameters import has_parameter


@pytest.mark.parametrize(
    ('query', 'found'),
    [
        ('quiet', True),
        ('quiet=', True),
        ('quiet=0', True),
        ('a=1&quiet', True),
        ('quiet&quiet', True),
        ('%ff&quiet', True),
        ('', False),
        ('a=quiet', False),
        ('quieter', False),
        ('Quiet', False),
        ('%71uiet', False),
    ],
)
def test_a_parameter_counts_whatever_its_value(query, found):
    assert has_parameter(Request.blank(f'/cron?{query}'), 'quiet') is found


@pytest.mark.parametrize('params', [{}, {'quiet': ''}, {'quiet': '1'}])
def test_a_parameter_of_a_dummy_request_counts(params):
    assert has_parameter(testing.DummyRequest(params), 'quiet') is bool(params)
