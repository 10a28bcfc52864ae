"""The headers of all responses of the status page that keep it from caches, frames and other sites."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

HEADERS = {
    'Cache-Control': 'no-store',
    # the last two do not follow from default-src
    'Content-Security-Policy': (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    'X-Content-Type-Options': 'nosniff',
    # a page of another site, with this one in a frame, could make users press its buttons
    'X-Frame-Options': 'DENY',
    # for the next request to the application, and no other site
    'Referrer-Policy': 'same-origin',
}


def with_security_headers(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Add headers to the responses of a view: they are not cached, framed, or extended by other sites."""

    @functools.wraps(view)
    def add_headers(context: Any, request: Any) -> Any:
        response = view(context, request)
        response.headers.update(HEADERS)
        return response

    return add_headers
