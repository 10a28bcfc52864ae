"""Who may trigger a run. Names are never looked up, and no header opens anything: it can only close."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from pyramid_cron.access import peers
from pyramid_cron.access.log import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METHODS = ('GET', 'POST')
PORT = re.compile('[0-9]{1,5}')
LOCAL_HOST = re.compile(r'(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?', re.IGNORECASE)
# where the tick of each minute comes from, which spares it to be read
USUAL = {text: ip_address(text) for text in ('127.0.0.1', '::1')}
LONGEST_ADDRESS = 64

# headers of proxies as WSGI spells them, besides those with this in their name
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


def parse_network(text: object) -> Network:
    """Return the network that ``text`` names: ``10.1.2.3``, ``10.0.0.0/8``, ``fd00::/8``.

    :raises ValueError: if it is not one, has bits set behind its prefix, or a scope.
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not the text of an address or network')
    if '%' in text:
        raise ValueError(f'{text} has a scope, and no peer with a scope is ever allowed')
    network = ip_network(text)
    if network.network_address.is_unspecified and network.num_addresses == 1:
        raise ValueError(f'{text} is the address of nobody; {text}/0 is any')
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        # peers are unwrapped too
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def parse_address(text: str | None) -> Address | None:
    """Return the address that ``text`` is, an IPv4 one if it is wrapped in IPv6, or ``None`` if it is none.

    Servers on a unix socket name the peer ``0.0.0.0``, which stands for no address and is none here either. One with a
    scope, such as ``::1%lo``, is none: Python takes it for loopback whatever the scope is. Nothing is remembered,
    because a filter in front of the application can make a header the peer's address.
    """
    if text in USUAL:
        return USUAL[text]
    if not text or len(text) > LONGEST_ADDRESS or '%' in text:
        return None
    try:
        address = ip_address(text)
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
    unchecked: Callable[[str], object],
    tables: tuple[str, ...] = peers.TABLES,
) -> Refusal | None:
    """Return why a request may not trigger a run, or ``None`` if it may.

    :param method: the HTTP method.
    :param peer: the address the connection comes from, ``REMOTE_ADDR``.
    :param environ: the request's headers as WSGI spells them (``HTTP_HOST``), and both ports of the connection
        (``REMOTE_PORT``, ``SERVER_PORT``) where the server tells them; other keys do not matter.
    :param secret: what the request has to carry, or ``None`` if addresses decide.
    :param allowed_ips: the networks that ``peer`` has to be in, or ``None`` for any.
    :param unchecked: is called with the reason if the account behind a connection cannot be told.
    :param tables: the files that tell it, see :func:`.peers.owners`.
    """
    if method not in METHODS:
        return Refusal(405, 'by another method', f'the method is {_shown(method)}', 'use GET or POST')
    if secret is not None and not _carries(environ, secret):
        return Refusal(
            401,
            'without the secret',
            'it does not carry the secret',
            "send 'Authorization: Bearer' or 'Cron-Secret:' with cron.secret's value",
        )
    if 'HTTP_SCRIPT_NAME' in environ:
        # gunicorn takes the path apart by it, and so past what a proxy refuses
        return Refusal(
            403,
            'with a header SCRIPT_NAME',
            f'it carries the header SCRIPT_NAME: {_shown(environ["HTTP_SCRIPT_NAME"])}',
            "leave that to the server's own configuration",
        )
    address = parse_address(peer)
    if allowed_ips is not None and not _is_in(allowed_ips, address):
        return Refusal(
            403,
            'from other addresses',
            f'the peer {_shown(peer)} is not in cron.allowed_ips',
            'add its address there, or set cron.secret and send it',
        )
    if secret is not None:
        return None
    refusal = _refuse_proxied(environ) or _refuse_browser(environ)
    if refusal is not None or address is None or not address.is_loopback:
        return refusal
    # last, because it reads files
    return _refuse_renamed(environ) or _refuse_account(address, environ, unchecked, tables)


def _carries(environ: Mapping[str, Any], secret: bytes) -> bool:
    scheme, _, credentials = environ.get('HTTP_AUTHORIZATION', '').partition(' ')
    sent = [environ.get('HTTP_CRON_SECRET', ''), credentials if scheme.lower() == 'bearer' else '']
    # WSGI hands headers over as Latin-1 whatever their bytes were (PEP 3333)
    return any(hmac.compare_digest(text.strip(' ').encode('latin-1', 'replace'), secret) for text in sent)


def _is_in(networks: tuple[Network, ...], address: Address | None) -> bool:
    if address is not None:
        # a loop, because the generator that any() takes costs the tick of each minute more than the look
        for network in networks:
            if address in network:
                return True
    return False


def _refuse_proxied(environ: Mapping[str, Any]) -> Refusal | None:
    """A proxy on an allowed machine makes everybody look allowed, and whom it names is what it was told to name."""
    # one look at all names at once, for the tick of each minute that shows no proxy
    if PROXY_VARIABLES.isdisjoint(environ) and FORWARDED not in '\n'.join(environ):
        return None
    for key in sorted(environ):
        if key in PROXY_VARIABLES or (key.startswith('HTTP_') and FORWARDED in key):
            name = key[5:].replace('_', '-').title()
            return Refusal(
                403,
                'through a proxy',
                f'it came through a proxy, which shows in the header {_shown(name)}: {_shown(environ[key])}',
                'request the application server itself, or set cron.secret and send it',
            )
    return None


def _refuse_browser(environ: Mapping[str, Any]) -> Refusal | None:
    """A browser that somebody else's page sent here, or that fetches ahead of its user."""
    site = environ.get('HTTP_SEC_FETCH_SITE')
    if site not in (None, 'none', 'same-origin'):
        return _browser(f'Sec-Fetch-Site is {_shown(site)}')
    if site is None and 'HTTP_ACCEPT_LANGUAGE' in environ:
        return _browser('it sends Accept-Language and does not tell by Sec-Fetch-Site who asked for this')
    for key in PREFETCH_VARIABLES:
        if 'prefetch' in environ.get(key, '').lower():
            return _browser(f'{key[5:].replace("_", "-").title()} is prefetch')
    for key, name in (('HTTP_ORIGIN', 'Origin'), ('HTTP_REFERER', 'Referer')):
        value = environ.get(key)
        if value is not None and _host(value) != _host('//' + environ.get('HTTP_HOST', '')):
            return _browser(f'{name} is {_shown(value)}')
    return None


def _browser(why: str) -> Refusal:
    return Refusal(
        403,
        'by a browser',
        f'a browser made it for another site or ahead of time: {why}',
        'use curl or open http://localhost itself, or set cron.secret and send it',
    )


def _host(url: str) -> object:
    """Return what two URLs of one host and port have in common; a URL without a host has nothing in common with any."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return object()
    return (parts.hostname, None if port in (80, 443) else port) if parts.hostname else object()


def _refuse_renamed(environ: Mapping[str, Any]) -> Refusal | None:
    """A page whose own host name is made to point at this machine, and a proxy that passes nothing but ``Host``."""
    host = environ.get('HTTP_HOST')
    if host is None or LOCAL_HOST.fullmatch(host):
        return None
    return Refusal(
        403,
        'for another host',
        f'it comes from this machine but asks for the host {_shown(host)}',
        'request http://localhost instead, or set cron.secret and send it',
    )


def _refuse_account(
    address: Address, environ: Mapping[str, Any], unchecked: Callable[[str], object], tables: tuple[str, ...]
) -> Refusal | None:
    """A proxy on this machine that adds nothing: its requests are those of a curl, but it runs as somebody else."""
    port = _port(environ.get('REMOTE_PORT'))
    server_port = None if port is None else _port(environ.get('SERVER_PORT'))
    if port is None or server_port is None:
        unchecked('the server does not tell the port of the connection (REMOTE_PORT)')
        return None
    try:
        owners = peers.owners(address, port, server_port, tables)
    except OSError as exc:
        unchecked(f'there is no table of connections ({exc})')
        return None
    if not owners:
        return _account(
            f'it comes from {address} port {port}, and no process of this machine holds that connection open',
            'keep it open until the answer is there',
        )
    strangers = owners - peers.trusted()
    if not strangers:
        return None
    own = peers.account(os.geteuid())
    return _account(
        f'it comes from this machine, but from the account {peers.account(min(strangers))}; the server runs as {own}',
        f'make it as {own} or as root',
    )


def _account(why: str, remedy: str) -> Refusal:
    return Refusal(403, 'from other accounts', why, f'{remedy}, or set cron.secret and send it')


def _port(value: object) -> int | None:
    text = str(value)
    return int(text) if PORT.fullmatch(text) and 0 < int(text) < 65536 else None


def _shown(value: str | None) -> str:
    """Return ``value`` fit for a log line: quoted, without control characters, not longer than a line."""
    return repr(value[:80] if value else value)
