"""The account at the other end of a connection of this machine, which has to be the server's own, or root's.

The requests of a proxy on this machine that adds no header look like those of curl, but it runs as another account.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from pyramid_cron.access import peers
from pyramid_cron.access.addresses import Address
from pyramid_cron.access.refusal import OTHER_ACCOUNTS, Refusal

PORT = re.compile('[0-9]{1,5}')

# only root may bind a port below it; the forwarders of root that were tried do not
FIRST_UNPRIVILEGED_PORT = 1024
# for curl's --local-port
LOW_PORTS = range(600, FIRST_UNPRIVILEGED_PORT)
LOCAL_PORTS = f'{LOW_PORTS.start}-{LOW_PORTS.stop - 1}'


def refuse_other_account(
    address: Address, environ: Mapping[str, Any], unchecked: Callable[[str], object], tables: tuple[str, ...]
) -> Refusal | None:
    """Refuse a connection of this machine that another account has opened, or of which that cannot be seen.

    :param address: the loopback address of the peer.
    :param environ: a WSGI environ, of which the ports of both ends are used.
    :param unchecked: called with the reason if this system has no tables of connections; then the address decides.
    :param tables: the files to find the account in, see :func:`.peers.find_owners`.
    """
    if _has_no_connection(environ):
        return None
    port = _parse_port(environ.get('REMOTE_PORT'))
    # Apache sets SERVER_PORT by the header Host
    server_port = _parse_port(environ.get('mod_wsgi.listener_port', environ.get('SERVER_PORT')))
    try:
        # without a port, to see whether there are tables
        owners = peers.find_owners(address, port or 0, server_port, tables)
    except OSError as exc:
        unchecked(f'there is no table of connections ({exc})')
        return None
    if port is None:
        return _unknown_port('the server does not set its port (REMOTE_PORT), by which its account is looked up')
    if 'uwsgi.version' in environ:
        swapped = port >> 8 | (port & 0xFF) << 8
        if swapped != port and any(peers.find_owners(address, swapped, server_port, tables)):
            # the port that is set may be that of another connection
            return _unknown_port(
                f'the server sets its port (REMOTE_PORT) to {port}, which is {swapped} with its two bytes swapped, as '
                'uWSGI does with --http'
            )
    if owners.has_ended or not owners.uids:
        return Refusal(
            403,
            'on a connection that has ended',
            f'it comes from {address} port {port}, and no process of this machine holds that connection open',
            'keep it open until the answer is there',
            was_allowed=True,
        )
    return _refuse_owners(owners.uids, port)


def _refuse_owners(uids: frozenset[int], port: int) -> Refusal | None:
    own_uid = os.geteuid()
    # of several accounts, if this is a user namespace that maps not all of them
    strangers = uids if peers.stands_for_others(own_uid) else uids - {own_uid}
    own = peers.account_name(own_uid)
    if strangers == {peers.ROOT}:
        if port < FIRST_UNPRIVILEGED_PORT:
            return None
        return Refusal(
            403,
            f'by root from a port of {FIRST_UNPRIVILEGED_PORT} or above',
            f'it comes from this machine and from the account root, but from port {port}, as the requests of a '
            f'forwarder of root do; the server runs as {own}',
            f'call curl with --local-port {LOCAL_PORTS} in a crontab line of root, or use the account of the server',
            was_allowed=True,
        )
    if not strangers:
        return None
    other = peers.account_name(max(strangers))
    return Refusal(
        403,
        OTHER_ACCOUNTS,
        f'it comes from this machine, but from the account {other}; the server runs as {own}',
        f'make it as the account of the server, or as root by curl --local-port {LOCAL_PORTS}',
        was_allowed=True,
    )


def _unknown_port(why: str) -> Refusal:
    return Refusal(
        403,
        'by a server that does not set the port of its peer',
        f'it comes from this machine, and {why}',
        'use waitress or gunicorn, or cron.peer_check = off if this machine has neither a proxy nor another account',
        was_allowed=True,
    )


def _has_no_connection(environ: Mapping[str, Any]) -> bool:
    """Return whether the request was made in this process: by WebTest, as a ``DummyRequest``, or by ``prequest``."""
    # not any value: with uWSGI's protocol a client can send keys, but only texts
    made_here = environ.get('paste.testing') is True or environ.get('paste.command_request') is True
    return made_here or 'wsgi.version' not in environ


def _parse_port(value: object) -> int | None:
    text = str(value)
    return int(text) if PORT.fullmatch(text) and 0 < int(text) < 65536 else None
