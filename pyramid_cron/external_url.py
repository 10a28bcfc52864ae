"""The external URL of the application (the setting ``cron.url``), which requests have while tasks run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

UNCHANGED = nullcontext()

DEFAULT_PORTS = {'http': 80, 'https': 443}

# a name or an IPv4 address, because Pyramid cannot separate an IPv6 address from its port
URL = re.compile(
    r'(?P<scheme>https?)://(?P<host>[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?'
    r"(?P<path>(/([a-z0-9._~!$&'()*+,;=:@-]|%[0-9a-f]{2})+)*)/?",
    re.IGNORECASE | re.ASCII,
)


class BaseURL(NamedTuple):
    """The URL of an application as its visitors see it.

    :param scheme: ``'http'`` or ``'https'``.
    :param host: the host name, without a port.
    :param port: the port.
    :param script_name: the path in front of the application's own paths, as in WSGI: decoded, each byte a character.
    """

    scheme: str
    host: str
    port: int
    script_name: str

    @classmethod
    def parse(cls, value: Any) -> BaseURL:
        """Parse a text such as ``https://example.com/shop``.

        :raises ValueError: if ``value`` has other parts than scheme, host, port and path.
        """
        match = URL.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(
                'it has to be http:// or https:// and a host, with a port and a path if need be, '
                'as in https://example.com/shop: no user, query or fragment, and anything not ASCII encoded'
            )
        scheme = match['scheme'].lower()
        port = int(match['port'] or DEFAULT_PORTS[scheme])
        if not 0 < port < 65536:
            raise ValueError('its port has to be from 1 to 65535')
        # WebOb raises when a request builds its URL from a script name that is not UTF-8
        unquote(match['path'], errors='strict')
        return cls(scheme, match['host'].lower(), port, unquote_to_bytes(match['path']).decode('latin-1'))

    @property
    def text(self) -> str:
        """It as a text, without a slash at its end."""
        return f'{self.scheme}://{self.environ()["HTTP_HOST"]}{quote(self.script_name.encode("latin-1"))}'

    def environ(self) -> dict[str, str]:
        """Return the keys of a WSGI environ for this URL."""
        default = self.port == DEFAULT_PORTS[self.scheme]
        return {
            'wsgi.url_scheme': self.scheme,
            'HTTP_HOST': self.host if default else f'{self.host}:{self.port}',
            'SERVER_NAME': self.host,
            'SERVER_PORT': str(self.port),
            'SCRIPT_NAME': self.script_name,
        }


def seen_from_outside(environ: dict[str, Any], url: BaseURL | None) -> AbstractContextManager[None]:
    """Set ``url`` as the base URL of a request for the body of a ``with``, and restore the previous one afterwards.

    The path after the script name does not change.

    :param environ: the WSGI environ of the request.
    :param url: the base URL, ``None`` for no change.
    """
    return UNCHANGED if url is None else _replaced(environ, url.environ())


@contextmanager
def _replaced(environ: dict[str, Any], keys: dict[str, str]) -> Iterator[None]:
    before = {key: environ[key] for key in keys if key in environ}
    environ.update(keys)
    try:
        yield
    finally:
        for key in keys:
            environ.pop(key, None)
        environ.update(before)
