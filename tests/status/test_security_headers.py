"""The headers of the responses of the status page."""

import pytest

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.mark.slow
@pytest.mark.parametrize('path', ['', '/task?name=shop.task', '/due', '/due?at=2026-11-24T02:00', '/history'])
def test_every_page_has_security_headers(make_page, path):
    headers = make_page().get(path).headers
    assert headers['Cache-Control'] == 'no-store'
    assert headers['Content-Security-Policy'] == CSP
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['X-Frame-Options'] == 'DENY'
    assert headers['Referrer-Policy'] == 'same-origin'
