"""The request of the doctor: the one of a trigger, with ``?check``, after which nothing runs."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import itertools
import os
import random
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from pyramid_cron.access.accounts import LOW_PORTS
from pyramid_cron.doctor.address import Address
from pyramid_cron.query_parameters import CHECK

QUERY = f'?{CHECK}'
TIMEOUT_SECONDS = 10.0
TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
MAX_BODY = 65536


class Answer(NamedTuple):
    """What a server answered.

    :param status: the HTTP status.
    :param body: the first part of its body.
    :param location: the header ``Location``, ``None`` without one.
    :param server: the header ``Server``, empty without one.
    """

    status: int
    body: str
    location: str | None = None
    server: str = ''


def send(
    address: Address,
    secret: bytes | None = None,
    *,
    from_low_port: bool = False,
    uid: int | None = None,
    seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Send the request, through no proxy and following no redirect, and return the answer.

    :param secret: the secret to send.
    :param from_low_port: connect from a port below 1024, which only root may do.
    :param uid: connect as this account, which only root may do.
    :param seconds: after which the answer is not waited for any more.
    :raises OSError: if there is no connection or no answer in time.
    :raises http.client.HTTPException: if the answer is not one of HTTP.
    """
    headers = {'Accept': 'text/plain, */*', 'User-Agent': 'pcron doctor'}
    if secret is not None:
        headers['Authorization'] = f'Bearer {secret.decode("latin-1")}'
    connection: http.client.HTTPConnection
    sock = connect(address, from_low_port=from_low_port, uid=uid)
    try:
        if address.scheme == 'https':
            context = ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=address.host)
            connection = http.client.HTTPSConnection(address.host, address.port, context=context)
        else:
            connection = http.client.HTTPConnection(address.host, address.port)
        # it uses no more of a socket than that has
        connection.sock = cast(socket.socket, SocketUntil(sock, time.monotonic() + seconds))
        connection.request('GET', address.path + QUERY, headers=headers)
        response = connection.getresponse()
        body = response.read(MAX_BODY).decode('utf-8', 'replace')
        return Answer(response.status, body, response.getheader('Location'), response.getheader('Server') or '')
    finally:
        sock.close()


class SocketUntil:
    """What HTTPConnection uses of a socket, with a limit for all parts of an answer together.

    :param sock: the socket.
    :param until: the time by a monotonic clock, in seconds, after which nothing is read.
    """

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until
        self.sendall = sock.sendall

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file to read from."""
        return io.BufferedReader(_Reader(self._sock, self._until))

    def close(self) -> None:
        """Do nothing: the answer is read after this."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


@contextlib.contextmanager
def _acting_as(uid: int | None) -> Iterator[None]:
    if uid is None:
        yield
        return
    before = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)


def connect(address: Address, *, from_low_port: bool = False, uid: int | None = None) -> socket.socket:
    """Return a connection to a server, see :func:`send`."""
    if address.unix_socket is not None:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT_SECONDS)
        try:
            with _acting_as(uid):
                sock.connect(address.unix_socket)
        except OSError:
            sock.close()
            raise
        return sock
    failure = OSError(f'{address.host} has no address')
    # in the end any port, for a root that may not use these, as in some containers
    sources = [*(random.sample(LOW_PORTS, len(LOW_PORTS)) if from_low_port else ()), 0]
    ends = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failed = None
    for end, source in itertools.product(ends, sources):
        if end is failed:
            continue
        family, kind, protocol, _, where = end
        with _acting_as(uid):
            # belongs to the account for good, as the table of connections shows it
            sock = socket.socket(family, kind, protocol)
        sock.settimeout(TIMEOUT_SECONDS)
        # a port of a connection that has ended is free for another server
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(('', source))
            sock.connect(where)
            return sock
        except OSError as exc:
            sock.close()
            failure = exc
            if exc.errno not in TAKEN:
                failed = end
    raise failure
