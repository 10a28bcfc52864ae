"""What became of a button, told by the page that the browser is sent to.

The sentence travels in the URL, so that no session is needed and any process can answer. It is signed by the CSRF token
of the browser: nobody else can make a link that lets the page say something.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from pyramid.csrf import get_csrf_token

MOST_CHARACTERS = 500


def say(request: Any, text: str) -> dict[str, str]:
    """Return the query of a URL whose page says a sentence."""
    text = text[:MOST_CHARACTERS]
    return {'said': text, 'signed': _signature(request, text)}


def said(request: Any) -> str:
    """Return the sentence that the page of a request is to say, empty if there is none or somebody else wrote it."""
    text: str = request.GET.get('said', '')
    if not text or not hmac.compare_digest(request.GET.get('signed', '').encode(), _signature(request, text).encode()):
        return ''
    return text


def _signature(request: Any, text: str) -> str:
    token = get_csrf_token(request)
    # some session factories keep it as bytes
    key = token if isinstance(token, bytes) else token.encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]
