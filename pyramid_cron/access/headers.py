"""Headers that close access: of proxies, of browsers that another page sent, and a ``Host`` of another machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pyramid_cron.access.refusal import THROUGH_PROXY, Refusal, quoted

LOCAL_HOST = re.compile(r'(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?', re.IGNORECASE)

# headers of proxies, as keys of a WSGI environ: every name that contains this, and those below
FORWARDED = 'FORWARDED'
PROXY_VARIABLES = frozenset(
    {
        'HTTP_VIA',
        'HTTP_X_REAL_IP',
        'HTTP_CDN_LOOP',
        'HTTP_CF_CONNECTING_IP',
        'HTTP_FASTLY_CLIENT_IP',
        'HTTP_FLY_CLIENT_IP',
        'HTTP_TRUE_CLIENT_IP',
        'HTTP_X_CLIENT_IP',
        'HTTP_X_CLUSTER_CLIENT_IP',
        'HTTP_X_ENVOY_EXTERNAL_ADDRESS',
    }
)
PREFETCH_VARIABLES = ('HTTP_SEC_PURPOSE', 'HTTP_PURPOSE', 'HTTP_X_MOZ')


def refuse_proxy(environ: Mapping[str, Any]) -> Refusal | None:
    """Refuse a request with a header of a proxy.

    All clients of a proxy on an allowed machine have its address, and a client can forge the address in the header.
    """
    # all names in one comparison, because the tick of each minute has none of them
    if PROXY_VARIABLES.isdisjoint(environ) and FORWARDED not in '\n'.join(environ):
        return None
    for key in sorted(environ):
        if key in PROXY_VARIABLES or (key.startswith('HTTP_') and FORWARDED in key):
            name = key[5:].replace('_', '-').title()
            return Refusal(
                403,
                THROUGH_PROXY,
                f'it came through a proxy, which shows in the header {quoted(name)}: {quoted(environ[key])}',
                'request the application server itself',
                was_allowed=True,
            )
    return None


def refuse_browser(environ: Mapping[str, Any]) -> Refusal | None:
    """Refuse a browser's request that a page of another site caused, or that was made before the user wanted it."""
    site = environ.get('HTTP_SEC_FETCH_SITE')
    if site not in (None, 'none', 'same-origin'):
        return _browser_refusal(f'Sec-Fetch-Site is {quoted(site)}')
    if site is None and 'HTTP_ACCEPT_LANGUAGE' in environ:
        return _browser_refusal(
            'it sends Accept-Language without Sec-Fetch-Site, which would name the site that caused the request'
        )
    for key in PREFETCH_VARIABLES:
        if 'prefetch' in environ.get(key, '').lower():
            return _browser_refusal(f'{key[5:].replace("_", "-").title()} is prefetch')
    for key, name in (('HTTP_ORIGIN', 'Origin'), ('HTTP_REFERER', 'Referer')):
        value = environ.get(key)
        if value is not None and _host_and_port(value) != _host_and_port('//' + environ.get('HTTP_HOST', '')):
            return _browser_refusal(f'{name} is {quoted(value)}')
    return None


def _browser_refusal(why: str) -> Refusal:
    return Refusal(
        403,
        'by a browser',
        f'a browser made it for another site or ahead of time: {why}',
        'use curl or open http://localhost itself',
    )


def _host_and_port(url: str) -> object:
    """Return a value that is equal for URLs of one host and port, and equal to nothing for a URL without a host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return object()
    return (parts.hostname, None if port in (80, 443) else port) if parts.hostname else object()


def refuse_other_host(environ: Mapping[str, Any]) -> Refusal | None:
    """Refuse a ``Host`` other than this machine.

    It shows a page with a host name that resolves to this machine (DNS rebinding), and a proxy that adds no header.
    """
    host = environ.get('HTTP_HOST')
    if host is None or LOCAL_HOST.fullmatch(host):
        return None
    return Refusal(
        403,
        'for another host',
        f'it comes from this machine but its header Host is {quoted(host)}',
        'request http://localhost instead',
        was_allowed=True,
    )
