"""The message about a pressed button, on the page that the browser is redirected to.

The message travels in the URL, so that it needs no session and any process can show it. It is signed by the CSRF token
of the browser: a link that was made elsewhere shows no message.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from pyramid.csrf import get_csrf_token

MAX_LENGTH = 500


def flash_query(request: Any, message: str) -> dict[str, str]:
    """Return the query by which a page shows a message."""
    message = message[:MAX_LENGTH]
    return {'flash': message, 'signature': _sign(request, message)}


def read_flash(request: Any) -> str:
    """Return the message in the URL of a request, empty if there is none or its signature is wrong."""
    message: str = request.GET.get('flash', '')
    signature: str = request.GET.get('signature', '')
    if not message or not hmac.compare_digest(signature.encode(), _sign(request, message).encode()):
        return ''
    return message


def _sign(request: Any, message: str) -> str:
    token = get_csrf_token(request)
    # some session factories keep it as bytes
    key = token if isinstance(token, bytes) else token.encode()
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()[:32]
