"""A relay to a PostgreSQL server that counts the round trips of its clients, and can delay each."""

import contextlib
import socket
import threading
import time

from sqlalchemy import make_url


class Relay:
    """Connections that lead to the socket of a server.

    :param path: the path of the server's socket.
    :param delay: seconds that each round trip takes longer.
    """

    def __init__(self, path, delay=0.0):
        self._path = path
        self._delay = delay
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        #: the round trips of all connections
        self.trips = 0
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._open += [client, server]
                state = {'answered': True}
                threading.Thread(target=self._requests, args=[client, server, state], daemon=True).start()
                threading.Thread(target=self._answers, args=[server, client, state], daemon=True).start()

    def _requests(self, client, server, state):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                # what follows before an answer belongs to the same round trip
                if state['answered']:
                    state['answered'] = False
                    self.trips += 1
                    time.sleep(self._delay)
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answers(self, server, client, state):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                state['answered'] = True
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def end(self):
        for end in (self._listener, *self._open):
            end.close()


@contextlib.contextmanager
def relayed(url, delay=0.0):
    """Yield a relay to the server of a URL, and the URL that leads through it."""
    url = make_url(url)
    relay = Relay(f'{url.query["host"]}/.s.PGSQL.5432', delay)
    try:
        through = url.set(host='127.0.0.1', port=relay.port, query={'sslmode': 'disable', 'gssencmode': 'disable'})
        yield relay, through.render_as_string(hide_password=False)
    finally:
        relay.end()
