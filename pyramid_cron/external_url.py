"""What the requests of tasks look like from outside: the setting ``cron.url``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

UNCHANGED = nullcontext()

DEFAULT_PORTS = {'http': 80, 'https': 443}

# a name or an IPv4 address, because Pyramid cannot tell an IPv6 address from its port
URL = re.compile(
    r'(?P<scheme>https?)://(?P<host>[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?'
    r"(?P<path>(/([a-z0-9._~!$&'()*+,;=:@-]|%[0-9a-f]{2})+)*)/?",
    re.IGNORECASE | re.ASCII,
)


class BaseURL(NamedTuple):
    """Where an application is to be found from outside.

    :param scheme: ``'http'`` or ``'https'``.
    :param host: its name, without a port.
    :param port: its port.
    :param script_name: the path that its own paths follow, as WSGI has it: decoded, and each byte a character.
    """

    scheme: str
    host: str
    port: int
    script_name: str

    @classmethod
    def parse(cls, value: Any) -> BaseURL:
        """Return the value of a text such as ``https://example.com/shop``.

        :raises ValueError: if it is anything but scheme, host, port and path.
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
        # a request whose script name is no UTF-8 cannot tell its URL
        unquote(match['path'], errors='strict')
        return cls(scheme, match['host'].lower(), port, unquote_to_bytes(match['path']).decode('latin-1'))

    def environ(self) -> dict[str, str]:
        """Return it as keys of a WSGI environ."""
        default = self.port == DEFAULT_PORTS[self.scheme]
        return {
            'wsgi.url_scheme': self.scheme,
            'HTTP_HOST': self.host if default else f'{self.host}:{self.port}',
            'SERVER_NAME': self.host,
            'SERVER_PORT': str(self.port),
            'SCRIPT_NAME': self.script_name,
        }


def seen_from_outside(environ: dict[str, Any], url: BaseURL | None) -> AbstractContextManager[None]:
    """Let a request say in the body of a ``with`` that it came to ``url``, and afterwards what it said before.

    The path that follows the script name stays.

    :param environ: that of the request.
    :param url: ``None`` to change nothing.
    """
    return UNCHANGED if url is None else _changed(environ, url.environ())


@contextmanager
def _changed(environ: dict[str, Any], keys: dict[str, str]) -> Iterator[None]:
    before = {key: environ[key] for key in keys if key in environ}
    environ.update(keys)
    try:
        yield
    finally:
        for key in keys:
            environ.pop(key, None)
        environ.update(before)
