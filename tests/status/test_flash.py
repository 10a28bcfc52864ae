"""The message about a pressed button, in the URL of the page that shows it."""

from urllib.parse import parse_qsl, urlencode

import pytest
from pyramid.testing import DummyRequest, setUp, tearDown

from pyramid_cron.status.flash import MAX_LENGTH, flash_query, read_flash


@pytest.fixture
def make_request():
    """Return a function that makes a request with a query, from a browser with a CSRF token."""
    setUp()

    def make(query=None, token='token of ada'):
        request = DummyRequest(params=dict(parse_qsl(urlencode(query or {}))))
        request.session['_csrft_'] = token
        return request

    yield make
    tearDown()


def test_a_message_comes_back_from_its_query(make_request):
    message = 'shop.task failed: <é> & more'
    assert read_flash(make_request(flash_query(make_request(), message))) == message


def test_a_token_of_bytes_signs_too(make_request):
    query = flash_query(make_request(token=b'bytes'), 'ok')
    assert read_flash(make_request(query, token=b'bytes')) == 'ok'
    assert read_flash(make_request(query, token='bytes')) == 'ok'


@pytest.mark.parametrize('change', [{'flash': 'You won'}, {'signature': ''}, {'signature': 'é'}, {'flash': ''}])
def test_a_changed_query_shows_no_message(make_request, change):
    query = flash_query(make_request(), 'shop.task ran: ok')
    assert read_flash(make_request({**query, **change})) == ''


def test_another_browser_shows_no_message(make_request):
    query = flash_query(make_request(), 'shop.task ran: ok')
    assert read_flash(make_request(query, token='token of bob')) == ''
    assert read_flash(make_request({'flash': 'shop.task ran: ok'})) == ''
    assert read_flash(make_request()) == ''


def test_a_long_message_is_cut(make_request):
    query = flash_query(make_request(), 'x' * (MAX_LENGTH + 1))
    assert read_flash(make_request(query)) == 'x' * MAX_LENGTH
