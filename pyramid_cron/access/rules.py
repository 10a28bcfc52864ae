"""Rules of access: method, secret, address, headers of proxies and browsers, account of the peer.

No name is looked up in the DNS. Without a secret, a header can only close access, never open it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyramid_cron.access import peers
from pyramid_cron.access.accounts import refuse_other_account
from pyramid_cron.access.addresses import Network, any_contains, parse_address
from pyramid_cron.access.headers import refuse_browser, refuse_other_host, refuse_proxy
from pyramid_cron.access.refusal import WITHOUT_SECRET, Refusal, quoted

METHODS = ('GET', 'POST')
READING_METHODS = ('GET', 'HEAD')
TO_RUN, TO_READ = 'to run cron tasks', 'for health or metrics'


# not a named tuple: tools that record errors show its items
@dataclass(frozen=True)
class Rules:
    """What a request has to be like.

    :param secret: the secret that it must carry, or ``None`` if addresses decide.
    :param allowed_ips: the networks that must contain its peer, or ``None`` for any peer.
    :param peer_check: whether the account at the other end of a connection of this machine decides as well.
    :param methods: the HTTP methods that it can have.
    :param purpose: what it is for, in the log.
    :param secret_setting: the name of the setting that the secret is from.
    :param ips_setting: that of the addresses.
    """

    secret: bytes | None = field(repr=False)
    allowed_ips: tuple[Network, ...] | None
    peer_check: bool = True
    methods: tuple[str, ...] = METHODS
    purpose: str = TO_RUN
    secret_setting: str = 'cron.secret'
    ips_setting: str = 'cron.allowed_ips'


class Sender(NamedTuple):
    """What a request shows of its sender.

    :param method: the HTTP method.
    :param peer: the address of the connection's other end, ``REMOTE_ADDR``.
    :param environ: the headers as keys of a WSGI environ (``HTTP_HOST``), and what the server sets, such as the ports
        of the connection (``REMOTE_PORT``, ``SERVER_PORT``).
    """

    method: str
    peer: str | None
    environ: Mapping[str, Any]


def refuse(
    rules: Rules, sender: Sender, unchecked: Callable[[str], object], tables: tuple[str, ...] = peers.TABLES
) -> Refusal | None:
    """Return the reason why a request is refused, or ``None`` for an allowed request.

    :param unchecked: called with the reason if this system does not show the account behind a connection.
    :param tables: the files to find the account in, see :func:`.peers.find_owners`.
    """
    refusal = _refuse(rules, sender, unchecked, tables)
    if refusal is None:
        return None
    remedy = refusal.remedy
    if rules.secret is None and refusal.status == 403:
        remedy += f', or set {rules.secret_setting} and send it'
    # 0.1 had no health and no metrics
    was_allowed = refusal.was_allowed and rules.purpose == TO_RUN
    return refusal._replace(remedy=remedy, purpose=rules.purpose, was_allowed=was_allowed)


def refuse_by_all(alternatives: Iterable[Rules], sender: Sender, unchecked: Callable[[str], object]) -> Refusal | None:
    """Return the reason by the first of several rules, or ``None`` for a request that complies with one of them."""
    first = None
    for rules in alternatives:
        refusal = refuse(rules, sender, unchecked)
        if refusal is None:
            return None
        first = first or refusal
    return first


def _refuse(
    rules: Rules, sender: Sender, unchecked: Callable[[str], object], tables: tuple[str, ...]
) -> Refusal | None:
    method, peer, environ = sender
    if method not in rules.methods:
        return Refusal(405, 'by another method', f'the method is {quoted(method)}', f'use {" or ".join(rules.methods)}')
    if rules.secret is not None and not _has_secret(environ, rules.secret):
        return Refusal(
            401,
            WITHOUT_SECRET,
            'it does not carry the secret',
            f"send 'Authorization: Bearer' or 'Cron-Secret:' with {rules.secret_setting}'s value",
        )
    if 'HTTP_SCRIPT_NAME' in environ:
        # gunicorn cuts the path by this header, which would lead past the paths that a proxy refuses
        return Refusal(
            403,
            'with a header SCRIPT_NAME',
            f'it carries the header SCRIPT_NAME: {quoted(environ["HTTP_SCRIPT_NAME"])}',
            "leave that to the server's own configuration",
        )
    address = parse_address(peer)
    if rules.allowed_ips is not None and not any_contains(rules.allowed_ips, address):
        return Refusal(
            403,
            'from other addresses',
            f'the peer {quoted(peer)} is not in {rules.ips_setting}',
            'have the server listen at an address' if address is None else f'add its address to {rules.ips_setting}',
        )
    if rules.secret is not None:
        return None
    refusal = refuse_proxy(environ) or refuse_browser(environ)
    if refusal is not None or address is None or not address.is_loopback:
        return refusal
    refusal = refuse_other_host(environ)
    if refusal is not None or not rules.peer_check:
        return refusal
    # last, because the look-up of the account reads files
    return refuse_other_account(address, environ, unchecked, tables)


def _has_secret(environ: Mapping[str, Any], secret: bytes) -> bool:
    scheme, _, credentials = environ.get('HTTP_AUTHORIZATION', '').partition(' ')
    sent = [environ.get('HTTP_CRON_SECRET', ''), credentials if scheme.lower() == 'bearer' else '']
    # WSGI decodes headers as Latin-1 whatever their bytes were (PEP 3333)
    return any(hmac.compare_digest(text.strip(' ').encode('latin-1', 'replace'), secret) for text in sent)
