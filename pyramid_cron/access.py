"""Who may trigger a run. Names are never looked up, and ``Host`` opens nothing: it can only close."""

from __future__ import annotations

import functools
import hmac
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METHODS = ('GET', 'POST')
LOCAL_HOST = r'(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?'

# headers in which proxies name the client, several separated by commas, as WSGI spells them
CLIENT_VARIABLES = frozenset(
    {
        'HTTP_X_FORWARDED_FOR',
        'HTTP_X_REAL_IP',
        'HTTP_CF_CONNECTING_IP',
        'HTTP_TRUE_CLIENT_IP',
        'HTTP_X_CLIENT_IP',
        'HTTP_X_CLUSTER_CLIENT_IP',
    }
)
PROXY_VARIABLES = CLIENT_VARIABLES | {'HTTP_FORWARDED', 'HTTP_VIA'}
PROXY_PREFIX = 'HTTP_X_FORWARDED_'


class Refusal(NamedTuple):
    """Why a request may not trigger a run.

    :param status: the HTTP status, 401, 403 or 405.
    :param why: what is wrong with the request.
    :param remedy: what somebody who expected it to be allowed can do.
    """

    status: int
    why: str
    remedy: str


def parse_network(text: object) -> Network:
    """Return the network that ``text`` names: ``10.1.2.3``, ``10.0.0.0/8``, ``fd00::/8``.

    :raises ValueError: if it is not one, or has bits set behind its prefix.
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not the text of an address or network')
    network = ip_network(text)
    if network.network_address.is_unspecified and network.num_addresses == 1:
        raise ValueError(f'{text} is the address of nobody; {text}/0 is any')
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        # peers are unwrapped too
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


@functools.lru_cache(maxsize=256)
def parse_address(text: str | None) -> Address | None:
    """Return the address that ``text`` is, an IPv4 one if it is wrapped in IPv6, or ``None`` if it is none.

    Servers on a unix socket name the peer ``0.0.0.0``, which stands for no address and is none here either.
    """
    try:
        address = ip_address(text or '')
    except ValueError:
        return None
    address = getattr(address, 'ipv4_mapped', None) or address
    return None if address.is_unspecified else address


def refuse(
    method: str,
    peer: str | None,
    environ: Mapping[str, Any],
    *,
    secret: bytes | None,
    allowed_ips: tuple[Network, ...] | None,
) -> Refusal | None:
    """Return why a request may not trigger a run, or ``None`` if it may.

    :param method: the HTTP method.
    :param peer: the address the connection comes from, ``REMOTE_ADDR``.
    :param environ: the request's headers as WSGI spells them (``HTTP_HOST``); other keys do not matter.
    :param secret: what ``Authorization: Bearer`` has to carry, or ``None`` if addresses decide.
    :param allowed_ips: the networks that ``peer`` has to be in, or ``None`` for any.
    """
    if method not in METHODS:
        return Refusal(405, f'the method is {_shown(method)}', 'use GET or POST')
    if secret is not None and not _carries(environ.get('HTTP_AUTHORIZATION'), secret):
        return Refusal(401, 'it does not carry the secret', "send 'Authorization: Bearer' with cron.secret's value")
    address = parse_address(peer)
    if allowed_ips is not None and not _is_in(allowed_ips, address):
        return Refusal(
            403,
            f'the peer {_shown(peer)} is not in cron.allowed_ips',
            'add its address there, or set cron.secret and send it',
        )
    if secret is not None:
        return None
    return (
        _refuse_proxied(environ, allowed_ips or ())
        or _refuse_renamed(environ.get('HTTP_HOST'), address)
        or _refuse_cross_site(environ)
    )


def _refuse_proxied(environ: Mapping[str, Any], allowed_ips: tuple[Network, ...]) -> Refusal | None:
    """A proxy on an allowed machine makes everybody look allowed: whoever it speaks for has to be allowed too."""
    # one look at all names at once, for the tick of each minute that shows no proxy
    if PROXY_VARIABLES.isdisjoint(environ) and PROXY_PREFIX not in '\n'.join(environ):
        return None
    clients = list(_forwarded_for(environ['HTTP_FORWARDED'])) if 'HTTP_FORWARDED' in environ else []
    for key in CLIENT_VARIABLES.intersection(environ):
        clients += environ[key].split(',')
    for client in clients:
        if not _is_in(allowed_ips, parse_address(client.strip())):
            return _proxied(f'for the client {_shown(client.strip())}, who is not in cron.allowed_ips')
    return None if clients else _proxied('that does not name its client')


def _proxied(whom: str) -> Refusal:
    return Refusal(
        403,
        f'it came through a proxy {whom}',
        'request the application server itself, or set cron.secret and send it',
    )


def _refuse_renamed(host: str | None, address: Address | None) -> Refusal | None:
    """A page whose own host name is made to point at this machine, and a proxy that passes nothing but ``Host``."""
    if host is None or re.fullmatch(LOCAL_HOST, host, re.IGNORECASE) or address is None or not address.is_loopback:
        return None
    return Refusal(
        403,
        f'it comes from this machine but asks for the host {_shown(host)}',
        'request http://localhost instead, or set cron.secret and send it',
    )


def _refuse_cross_site(environ: Mapping[str, Any]) -> Refusal | None:
    """A browser that somebody else's page sent here, or that fetches ahead of its user."""
    site = environ.get('HTTP_SEC_FETCH_SITE')
    if site not in (None, 'none', 'same-origin'):
        return _browser(f'Sec-Fetch-Site is {_shown(site)}')
    if 'prefetch' in environ.get('HTTP_SEC_PURPOSE', '').lower():
        return _browser('Sec-Purpose is prefetch')
    for key, name in (('HTTP_ORIGIN', 'Origin'), ('HTTP_REFERER', 'Referer')):
        value = environ.get(key)
        if value is not None and _host(value) != _host('//' + environ.get('HTTP_HOST', '')):
            return _browser(f'{name} is {_shown(value)}')
    return None


def _browser(why: str) -> Refusal:
    return Refusal(
        403,
        f'a browser made it for another site or ahead of time: {why}',
        'use curl or open the address itself, or set cron.secret and send it',
    )


def _is_in(networks: tuple[Network, ...], address: Address | None) -> bool:
    return address is not None and any(address in network for network in networks)


def _carries(authorization: str | None, secret: bytes) -> bool:
    scheme, _, credentials = (authorization or '').partition(' ')
    # WSGI hands headers over as Latin-1 whatever their bytes were (PEP 3333)
    sent = credentials.strip(' ').encode('latin-1', 'replace')
    return scheme.lower() == 'bearer' and hmac.compare_digest(sent, secret)


def _forwarded_for(value: str) -> Iterator[str]:
    """Yield the client that each proxy in a ``Forwarded`` header names (RFC 7239), an empty text if it names none."""
    for element in value.split(','):
        pairs = [pair.partition('=') for pair in element.split(';')]
        named = [client.strip() for key, _, client in pairs if key.strip().lower() == 'for']
        yield from (_node(client) for client in named or [''])


def _node(text: str) -> str:
    """Strip the quotes, brackets and port of a node such as ``"[2001:db8::1]:8080"``."""
    match = re.fullmatch(r'(?:\[([^]]*)\]|([^:]*))(?::[0-9]{1,5})?', text.strip('"'))
    return (match[1] or match[2] or '') if match else text


def _host(url: str) -> object:
    """Return what two URLs of one host and port have in common; a URL without a host has nothing in common with any."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return object()
    return (parts.hostname, None if port in (80, 443) else port) if parts.hostname else object()


def _shown(value: str | None) -> str:
    """Return ``value`` fit for a log line: quoted, without control characters, not longer than a line."""
    return repr(value[:80] if value else value)
