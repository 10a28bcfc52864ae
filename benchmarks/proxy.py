"""A process between a client and PostgreSQL, which counts round trips and makes each take longer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import make_url

from benchmarks.together import SPAWN, together

SIZE = 65536


@contextmanager
def proxy(url: str, delay: float = 0) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield a URL of the same database through a proxy, and a function that returns the round trips until now.

    A round trip begins with the first bytes that a client sends after it has received some.

    :param url: of a PostgreSQL that listens on a socket in a folder.
    :param delay: seconds that are added to each round trip.
    """
    parsed = make_url(url)
    path = f'{parsed.query["host"]}/.s.PGSQL.5432'
    port, trips = SPAWN.Value('i'), SPAWN.Value('q')
    with together(1, _serve, path, delay, port, trips) as (_, barrier):
        barrier.wait()
        through = parsed.set(host='127.0.0.1', port=port.value, query={})
        yield through.render_as_string(), lambda: int(trips.value)


def _serve(number: int, barrier: Any, path: str, delay: float, port: Any, trips: Any) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listening:
        port.value = listening.getsockname()[1]
        barrier.wait()
        while True:
            client, _ = listening.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            pipe = _Pipe(client, server, delay, trips)
            for target in (pipe.to_server, pipe.to_client):
                threading.Thread(target=target, daemon=True).start()


class _Pipe:
    """The two directions of a connection, each read by a thread.

    :param trips: the count of round trips, shared by processes.
    """

    def __init__(self, client: socket.socket, server: socket.socket, delay: float, trips: Any) -> None:
        self._client = client
        self._server = server
        self._delay = delay
        self._trips = trips
        self._answered = True

    def to_server(self) -> None:
        """Pass on what the client sends, until the connection ends."""
        while data := _received(self._client):
            if self._answered:
                self._answered = False
                with self._trips.get_lock():
                    self._trips.value += 1
                if self._delay:
                    time.sleep(self._delay)
            self._server.sendall(data)
        self._end()

    def to_client(self) -> None:
        """Pass on what the server sends, until the connection ends."""
        while data := _received(self._server):
            # before the client can send again
            self._answered = True
            try:
                self._client.sendall(data)
            except OSError:
                break
        self._end()

    def _end(self) -> None:
        for end in (self._client, self._server):
            # the other thread may have been first
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(SIZE)
    except OSError:
        return b''
