"""Accounts behind local connections: the owner of the peer's end, from the tables of Linux in ``/proc``."""

from __future__ import annotations

import os
import struct
from ipaddress import IPv4Address, IPv6Address

TABLES = ('/proc/net/tcp', '/proc/net/tcp6')
ROOT = 0
ESTABLISHED = b'01'


def owner_uids(
    address: IPv4Address | IPv6Address, port: int, server_port: int, tables: tuple[str, ...] = TABLES
) -> set[int]:
    """Return the uids that own the peer's end of its open connections to a port of this machine.

    Usually that is one uid. The set is empty after the peer has closed its socket, which the kernel then shows with the
    uid of root and without an inode. The set has several uids where the same port of the peer is connected to the same
    port of several addresses.

    :param address: the address of the peer.
    :param port: the port of the peer.
    :param server_port: the port of the server. Linux may use a local port again for connections to other ends.
    :param tables: the files to read, in order, in the format of ``/proc/net/tcp``; unreadable files are skipped.
    :raises OSError: if no file can be read.
    """
    # an IPv4 connection is in the second table if the client opened it with a socket for IPv6
    ends = {_end(address, port)}
    if isinstance(address, IPv4Address):
        ends.add(_end(IPv6Address(b'\0' * 10 + b'\xff\xff' + address.packed), port))
    far_port = b':%04X' % server_port
    near_port = b':%04X ' % port
    found: set[int] = set()
    failures = []
    for table in tables:
        if found:
            # for each of these files the kernel walks through its whole hash table, which takes milliseconds
            break
        try:
            with open(table, 'rb') as lines:
                for line in lines:
                    # a cheap test first: the table can have thousands of lines
                    if near_port not in line:
                        continue
                    _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
                    if local in ends and remote.endswith(far_port) and state == ESTABLISHED and inode != b'0':
                        found.add(int(uid))
        except OSError as exc:
            failures.append(exc)
    if len(failures) == len(tables):
        raise failures[0]
    return found


def _end(address: IPv4Address | IPv6Address, port: int) -> bytes:
    """Return an end of a connection as the tables write it: 32-bit words in the machine's byte order, in hex."""
    words = struct.unpack(f'={len(address.packed) // 4}I', address.packed)
    return b''.join(b'%08X' % word for word in words) + b':%04X' % port


def trusted_uids() -> set[int]:
    """Return the uids that control the server process anyway: root's, and the server's own."""
    return {ROOT, os.geteuid()}


def account_name(uid: int) -> str:
    """Return the name of an account with its uid, or the uid alone if it has no name."""
    # not a module of every system; only a system that has the tables gets here
    import pwd

    try:
        return f'{pwd.getpwuid(uid).pw_name} ({uid})'
    except KeyError:
        return str(uid)
