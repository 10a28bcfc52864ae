"""Accounts behind local connections: the owner of the peer's end, from the tables of Linux in ``/proc``."""

from __future__ import annotations

import os
import struct
from functools import cache
from ipaddress import IPv6Address
from typing import NamedTuple

from pyramid_cron.access.addresses import Address

TABLES = ('/proc/net/tcp', '/proc/net/tcp6')
ROOT = 0
ESTABLISHED, CLOSE_WAIT = b'01', b'08'
OWN_FILES = '/proc/self/fd'
OVERFLOW_UID = '/proc/sys/kernel/overflowuid'
# the mapping of a namespace in which each uid is itself
EVERY_UID = [b'0', b'0', b'4294967295']


class Owners(NamedTuple):
    """The accounts at a peer's end of its connections.

    :param uids: those of open connections, usually one.
    :param has_ended: whether the peer has ended one of them, of which the kernel then shows root's uid or nothing.
    """

    uids: frozenset[int]
    has_ended: bool


def find_owners(address: Address, port: int, server_port: int | None, tables: tuple[str, ...] = TABLES) -> Owners:
    """Return the accounts at a peer's end of its connections.

    If several connections share the port of the peer, those count that end in this process; if none does, as where
    Apache takes the requests of mod_wsgi, all count. After a peer has reset its connection, only those to other servers
    are left.

    :param address: the address of the peer.
    :param port: the port of the peer.
    :param server_port: the port of the server. Without a connection to it no owner is returned. It selects none among
        several, because a header may have set it.
    :param tables: the files to read, in the format of ``/proc/net/tcp``; unreadable files are skipped.
    :raises OSError: if no file can be read.
    """
    uids, servers = _read_ends(_end(address, port), port, tables)
    meant = {end for end, _ in uids} | {end for end, _, _ in servers}
    if server_port is None or not any(end.endswith(b':%04X' % server_port) for end in meant):
        return Owners(frozenset(), False)
    if len(meant) > 1:
        own = _own_sockets()
        meant = {end for end, _, inode in servers if inode in own} or meant
    has_ended = any(end in meant and state == CLOSE_WAIT for end, state, _ in servers)
    return Owners(frozenset(uid for end, uid in uids if end in meant), has_ended)


def _read_ends(
    peer: bytes, port: int, tables: tuple[str, ...]
) -> tuple[list[tuple[bytes, int]], list[tuple[bytes, bytes, bytes]]]:
    """Return both ends of a peer's connections, each with the end of the server in front.

    :return: the uids of open ends of the peer, and the states and inodes of the ends of servers of this machine.
    """
    near_port = b':%04X ' % port
    uids: list[tuple[bytes, int]] = []
    servers: list[tuple[bytes, bytes, bytes]] = []
    failures = []
    for table in tables:
        try:
            with open(table, 'rb') as lines:
                for line in lines:
                    # a cheap test first: the table can have thousands of lines
                    if near_port not in line:
                        continue
                    _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
                    local, remote = _unmapped(local), _unmapped(remote)
                    if local == peer and state == ESTABLISHED and inode != b'0':
                        uids.append((remote, int(uid)))
                    if remote == peer and state in (ESTABLISHED, CLOSE_WAIT):
                        servers.append((local, state, inode))
        except OSError as exc:
            failures.append(exc)
    if len(failures) == len(tables):
        raise failures[0]
    return uids, servers


def _own_sockets() -> set[bytes]:
    """Return the inodes of the sockets that this process holds."""
    found = set()
    try:
        names = os.listdir(OWN_FILES)
    except OSError:
        names = []
    for name in names:
        try:
            link = os.readlink(f'{OWN_FILES}/{name}')
        except OSError:
            # closed meanwhile by another thread, or that of the listing itself
            continue
        if link.startswith('socket:['):
            found.add(link[8:-1].encode())
    return found


def _unmapped(end: bytes) -> bytes:
    """Return an end of a connection, that of IPv4 if it is mapped into IPv6, as of a socket for both."""
    return end.removeprefix(MAPPED)


def _end(address: Address, port: int) -> bytes:
    """Return an end of a connection as the tables write it: 32-bit words in the machine's byte order, in hex."""
    words = struct.unpack(f'={len(address.packed) // 4}I', address.packed)
    return b''.join(b'%08X' % word for word in words) + b':%04X' % port


# the words of an IPv4 address that is mapped into IPv6, before the address itself
MAPPED = _end(IPv6Address(b'\0' * 10 + b'\xff\xff' + b'\0' * 4), 0)[:24]


# read once: neither file changes for a process
@cache
def stands_for_others(uid: int, uid_map: str = '/proc/self/uid_map', overflow: str = OVERFLOW_UID) -> bool:
    """Return whether the kernel also shows a uid for accounts that this process's user namespace does not map.

    :param uid_map: the file with the mapping of the namespace.
    :param overflow: the file with the uid that stands for those accounts.
    """
    try:
        with open(overflow, 'rb') as file:
            if int(file.read()) != uid:
                return False
        with open(uid_map, 'rb') as file:
            return file.read().split() != EVERY_UID
    except OSError:
        return False


def account_name(uid: int) -> str:
    """Return the name of an account with its uid, or the uid alone if it has no name."""
    # not a module of every system; only a system that has the tables gets here
    import pwd

    try:
        return f'{pwd.getpwuid(uid).pw_name} ({uid})'
    except KeyError:
        return str(uid)
