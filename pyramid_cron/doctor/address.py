"""The address of the trigger: from a URL, the ``[server:…]`` section of an ini file, or ``cron.url``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from pyramid_cron.external_url import DEFAULT_PORTS, BaseURL

UNIX = 'unix:'
# in the path of a URL
SAFE = "/%:@!$&'()*+,;=~"
# what a server listens at that listens at all addresses
EVERYWHERE = ('', '*', '0.0.0.0', '::', '[::]')
# of servers that listen somewhere without a setting
PORTS_OF_SERVERS = {'waitress': 8080, 'gunicorn': 8000}


class Address(NamedTuple):
    """Where a request is sent to.

    :param scheme: ``'http'`` or ``'https'``.
    :param host: a name or an address, without brackets.
    :param port: the port.
    :param path: the path of the trigger, as it is sent.
    :param unix_socket: the path of the unix socket in place of host and port.
    """

    scheme: str
    host: str
    port: int
    path: str
    unix_socket: str | None = None

    def __str__(self) -> str:
        if self.unix_socket is not None:
            return f'{UNIX}{self.unix_socket}'
        host = f'[{self.host}]' if ':' in self.host else self.host
        port = '' if self.port == DEFAULT_PORTS[self.scheme] else f':{self.port}'
        return f'{self.scheme}://{host}{port}{self.path}'

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine by a name or an address that is that of no other."""
        if self.unix_socket is not None or self.host.lower() == 'localhost':
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_this_machine(self) -> bool:
        """Whether a request does not leave this machine."""
        if self.is_loopback:
            return True
        try:
            address = ip_address(self.host)
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                # sends nothing, and takes the address from which the system would send
                probe.connect((self.host, 9))
                return ip_address(probe.getsockname()[0].partition('%')[0]) == address
        except (OSError, ValueError):
            return False

    @property
    def end(self) -> tuple[str, int | str]:
        """What is equal for two addresses at which the same server listens."""
        if self.unix_socket is not None:
            return UNIX, self.unix_socket
        return 'loopback' if self.is_loopback else self.host.lower(), self.port


def parse_url(text: str, path: str) -> Address:
    """Parse ``http://localhost:6543/cron``, ``http://localhost:6543`` or ``unix:/run/shop.sock``.

    :param text: a URL; its query is left out.
    :param path: the path of the trigger where the URL has none.
    :raises ValueError: for any other text.
    """
    if text.startswith(UNIX):
        if not text.removeprefix(UNIX).startswith('/'):
            raise ValueError(f'{text!r} is no path of a socket, as in unix:/run/shop.sock')
        return Address('http', 'localhost', 80, path, text.removeprefix(UNIX))
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise ValueError(f'{text!r} is no URL: {exc}') from None
    if '@' in parts.netloc:
        # it may have a password
        raise ValueError('the URL has a user, which pcron doctor sends to no server: leave it out')
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not text.isprintable():
        raise ValueError(f'{text!r} is no URL such as http://localhost:6543/cron')
    shown = parts.path if parts.path.strip('/') else path
    return Address(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], quote(shown, safe=SAFE))


def parameters_of(text: str) -> list[str]:
    """Return the names of the parameters in the query of a URL."""
    return [part.partition('=')[0] for part in text.partition('?')[2].split('&')]


def of_base_url(url: BaseURL, path: str) -> Address:
    """Return the address of the trigger below ``cron.url``."""
    return Address(url.scheme, url.host, url.port, prefix_of(url) + path)


def prefix_of(url: BaseURL | None) -> str:
    """Return the path below which the application is mounted according to ``cron.url``."""
    return '' if url is None else quote(url.script_name.encode('latin-1'))


def of_server(section: Mapping[str, str], path: str) -> Address | None:
    """Return the address at which the server of an ini file's section listens, ``None`` if it is not known.

    :param section: the settings of the section: those of waitress, gunicorn and servers with ``host`` and ``port``.
    :param path: the path of the trigger.
    """
    listen = (section.get('listen') or section.get('bind') or '').replace(',', ' ').split()
    unix = section.get('unix_socket') or next((item for item in listen if item.startswith(UNIX)), '').removeprefix(UNIX)
    if unix:
        return Address('http', 'localhost', 80, path, unix)
    default = next((port for name, port in PORTS_OF_SERVERS.items() if name in section.get('use', '')), None)
    if listen:
        host, _, number = listen[0].rpartition(':')
    else:
        host, number = section.get('host', ''), section.get('port', str(default or ''))
    if not number.isdecimal():
        return None
    return Address('http', 'localhost' if host in EVERYWHERE else host.strip('[]'), int(number), path)
