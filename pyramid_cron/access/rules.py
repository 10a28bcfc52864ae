"""Rules of access to the trigger: method, secret, address, headers of proxies and browsers, account of the peer.

No name is looked up in the DNS. Without the secret, a header can only close access, never open it.
"""

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
# the usual peers of the tick of each minute, parsed in advance
COMMON_ADDRESSES = {text: ip_address(text) for text in ('127.0.0.1', '::1')}
MAX_ADDRESS_LENGTH = 64

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


def parse_network(text: object) -> Network:
    """Parse the text of an address or network: ``10.1.2.3``, ``10.0.0.0/8``, ``fd00::/8``.

    :raises ValueError: if ``text`` is neither, has bits set after its prefix, or has a scope.
    """
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not the text of an address or network')
    if '%' in text:
        raise ValueError(f'{text} has a scope, and no peer with a scope is ever allowed')
    network = ip_network(text)
    if network.network_address.is_unspecified and network.num_addresses == 1:
        raise ValueError(f'{text} stands for no address; write {text}/0 for every address')
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        # parse_address() unwraps peers in the same way
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def parse_address(text: str | None) -> Address | None:
    """Parse the address of a peer, IPv4 if it is mapped into IPv6; return ``None`` for any other text.

    Refused are ``0.0.0.0``, which some servers on a unix socket report as the peer, and an address with a scope such as
    ``::1%lo``, which Python counts as loopback whatever the scope is. Results are not cached, because a filter in front
    of the application can turn a header into the peer's address.
    """
    if text in COMMON_ADDRESSES:
        return COMMON_ADDRESSES[text]
    if not text or len(text) > MAX_ADDRESS_LENGTH or '%' in text:
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
    """Return the reason why a request may not trigger a run, or ``None`` for an allowed request.

    :param method: the HTTP method.
    :param peer: the address of the connection's other end, ``REMOTE_ADDR``.
    :param environ: the request's headers as keys of a WSGI environ (``HTTP_HOST``), and both ports of the connection
        (``REMOTE_PORT``, ``SERVER_PORT``) where the server sets them; other keys have no effect.
    :param secret: the secret that the request must carry, or ``None`` if addresses decide.
    :param allowed_ips: the networks that must contain ``peer``, or ``None`` for any peer.
    :param unchecked: called with the reason if the account behind the connection is unknown.
    :param tables: the files to find the account in, see :func:`.peers.owner_uids`.
    """
    if method not in METHODS:
        return Refusal(405, 'by another method', f'the method is {_quoted(method)}', 'use GET or POST')
    if secret is not None and not _has_secret(environ, secret):
        return Refusal(
            401,
            'without the secret',
            'it does not carry the secret',
            "send 'Authorization: Bearer' or 'Cron-Secret:' with cron.secret's value",
        )
    if 'HTTP_SCRIPT_NAME' in environ:
        # gunicorn cuts the path by this header, which would lead past the paths that a proxy refuses
        return Refusal(
            403,
            'with a header SCRIPT_NAME',
            f'it carries the header SCRIPT_NAME: {_quoted(environ["HTTP_SCRIPT_NAME"])}',
            "leave that to the server's own configuration",
        )
    address = parse_address(peer)
    if allowed_ips is not None and not _any_contains(allowed_ips, address):
        return Refusal(
            403,
            'from other addresses',
            f'the peer {_quoted(peer)} is not in cron.allowed_ips',
            'add its address there, or set cron.secret and send it',
        )
    if secret is not None:
        return None
    refusal = _refuse_proxy(environ) or _refuse_browser(environ)
    if refusal is not None or address is None or not address.is_loopback:
        return refusal
    # last, because the look-up of the account reads files
    return _refuse_other_host(environ) or _refuse_other_account(address, environ, unchecked, tables)


def _has_secret(environ: Mapping[str, Any], secret: bytes) -> bool:
    scheme, _, credentials = environ.get('HTTP_AUTHORIZATION', '').partition(' ')
    sent = [environ.get('HTTP_CRON_SECRET', ''), credentials if scheme.lower() == 'bearer' else '']
    # WSGI decodes headers as Latin-1 whatever their bytes were (PEP 3333)
    return any(hmac.compare_digest(text.strip(' ').encode('latin-1', 'replace'), secret) for text in sent)


def _any_contains(networks: tuple[Network, ...], address: Address | None) -> bool:
    if address is not None:
        # a loop, because the generator for any() would cost each tick more than the comparison
        for network in networks:
            if address in network:
                return True
    return False


def _refuse_proxy(environ: Mapping[str, Any]) -> Refusal | None:
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
                'through a proxy',
                f'it came through a proxy, which shows in the header {_quoted(name)}: {_quoted(environ[key])}',
                'request the application server itself, or set cron.secret and send it',
            )
    return None


def _refuse_browser(environ: Mapping[str, Any]) -> Refusal | None:
    """Refuse a browser's request that a page of another site caused, or that was made before the user wanted it."""
    site = environ.get('HTTP_SEC_FETCH_SITE')
    if site not in (None, 'none', 'same-origin'):
        return _browser_refusal(f'Sec-Fetch-Site is {_quoted(site)}')
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
            return _browser_refusal(f'{name} is {_quoted(value)}')
    return None


def _browser_refusal(why: str) -> Refusal:
    return Refusal(
        403,
        'by a browser',
        f'a browser made it for another site or ahead of time: {why}',
        'use curl or open http://localhost itself, or set cron.secret and send it',
    )


def _host_and_port(url: str) -> object:
    """Return a value that is equal for URLs of one host and port, and equal to nothing for a URL without a host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return object()
    return (parts.hostname, None if port in (80, 443) else port) if parts.hostname else object()


def _refuse_other_host(environ: Mapping[str, Any]) -> Refusal | None:
    """Refuse a ``Host`` other than this machine.

    It shows a page with a host name that resolves to this machine (DNS rebinding), and a proxy that adds no header.
    """
    host = environ.get('HTTP_HOST')
    if host is None or LOCAL_HOST.fullmatch(host):
        return None
    return Refusal(
        403,
        'for another host',
        f'it comes from this machine but its header Host is {_quoted(host)}',
        'request http://localhost instead, or set cron.secret and send it',
    )


def _refuse_other_account(
    address: Address, environ: Mapping[str, Any], unchecked: Callable[[str], object], tables: tuple[str, ...]
) -> Refusal | None:
    """Refuse a connection of another account.

    The requests of a proxy on this machine that adds no header look like those of curl, but it runs as another account.
    """
    port = _parse_port(environ.get('REMOTE_PORT'))
    server_port = None if port is None else _parse_port(environ.get('SERVER_PORT'))
    if port is None or server_port is None:
        unchecked('the server does not set the port of the connection (REMOTE_PORT)')
        return None
    try:
        owners = peers.owner_uids(address, port, server_port, tables)
    except OSError as exc:
        unchecked(f'there is no table of connections ({exc})')
        return None
    if not owners:
        return _account_refusal(
            f'it comes from {address} port {port}, and no process of this machine holds that connection open',
            'keep it open until the answer is there',
        )
    strangers = owners - peers.trusted_uids()
    if not strangers:
        return None
    other, own = peers.account_name(min(strangers)), peers.account_name(os.geteuid())
    return _account_refusal(
        f'it comes from this machine, but from the account {other}; the server runs as {own}',
        f'make it as {own} or as root',
    )


def _account_refusal(why: str, remedy: str) -> Refusal:
    return Refusal(403, 'from other accounts', why, f'{remedy}, or set cron.secret and send it')


def _parse_port(value: object) -> int | None:
    text = str(value)
    return int(text) if PORT.fullmatch(text) and 0 < int(text) < 65536 else None


def _quoted(value: str | None) -> str:
    """Return ``value`` for a log line: quoted, without control characters, at most 80 characters of it."""
    return repr(value[:80] if value else value)
