"""Requests that runs end, as a text in the row of their process."""

from datetime import datetime, timezone

import pytest

from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.stop_requests import MOST_REQUESTS, read_stops, with_stop

AT = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


def test_requests_are_read_as_they_were_written():
    text = with_stop(with_stop(None, 'first', StopRequest('ada', AT)), 'second', StopRequest(None, AT))
    assert read_stops(text) == {'first': StopRequest('ada', AT), 'second': StopRequest(None, AT)}


def test_the_newest_are_kept():
    text = None
    for number in range(MOST_REQUESTS + 1):
        text = with_stop(text, str(number), StopRequest('ada', AT))
    assert [*read_stops(text)] == [str(number) for number in range(1, MOST_REQUESTS + 1)]


@pytest.mark.parametrize(
    'text', [None, '', 'x', '[]', '{"a": 1}', '{"a": ["b"]}', '{"a": ["b", 1e99]}', '{"a": ["b", "c"]}']
)
def test_a_text_that_cannot_be_read_has_none(text):
    assert read_stops(text) == {}


def test_a_time_that_is_not_known_is_written():
    assert read_stops(with_stop(None, 'run', StopRequest('ada')))['run'].requested_by == 'ada'
