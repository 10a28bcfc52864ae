"""Whose connection it is: the account that owns the other end of one on this machine, as Linux tells in ``/proc``."""

from __future__ import annotations

import os
import struct
from ipaddress import IPv4Address, IPv6Address

TABLES = ('/proc/net/tcp', '/proc/net/tcp6')
ROOT = 0
ESTABLISHED = b'01'


def owners(
    address: IPv4Address | IPv6Address, port: int, server_port: int, tables: tuple[str, ...] = TABLES
) -> set[int]:
    """Return the uids that own the peer's end of its open connections to a port of this machine.

    There is one in most cases. There is none where the peer has given up: the kernel shows the sockets that no process
    holds any more with the uid of root and without an inode. There are several where the same port of the peer is
    connected to the same port of several addresses.

    :param address: the address of the peer.
    :param port: its port.
    :param server_port: the port it is connected to. Linux hands out a port once for each connection with another end.
    :param tables: the files to look in, one after another, of the form of ``/proc/net/tcp``; those that cannot be read
        are left out.
    :raises OSError: if none of them can be read.
    """
    # an IPv4 connection is in the second table if the client made it with a socket for IPv6
    ends = {_end(address, port)}
    if isinstance(address, IPv4Address):
        ends.add(_end(IPv6Address(b'\0' * 10 + b'\xff\xff' + address.packed), port))
    far_port = b':%04X' % server_port
    near_port = b':%04X ' % port
    found: set[int] = set()
    failures = []
    for table in tables:
        if found:
            # the kernel walks through all of its hash table for each of these files, which takes milliseconds
            break
        try:
            with open(table, 'rb') as lines:
                for line in lines:
                    # for each line of what can be thousands
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
    """Return an end of a connection as the tables write it: words of 32 bits in the machine's byte order, in hex."""
    words = struct.unpack(f'={len(address.packed) // 4}I', address.packed)
    return b''.join(b'%08X' % word for word in words) + b':%04X' % port


def trusted() -> set[int]:
    """Return the uids that can do as the server pleases anyway: root's, and the one that its own sockets have."""
    return {ROOT, os.geteuid()}


def account(uid: int) -> str:
    """Return the name of an account with its number, or the number alone if it has none."""
    # not on every system, unlike the tables that make it needed
    import pwd

    try:
        return f'{pwd.getpwuid(uid).pw_name} ({uid})'
    except KeyError:
        return str(uid)
