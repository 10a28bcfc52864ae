"""A real HTTP server of this machine that keeps what it receives."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(ThreadingHTTPServer):
    """A server that answers with a status, or accepts and does not answer before it is released."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.received = []
        self.status = 200
        #: set when a request has come
        self.called = threading.Event()
        #: until it is set, nothing is answered
        self.released = threading.Event()
        self.released.set()

    @property
    def url(self):
        return f'http://127.0.0.1:{self.server_port}'

    @property
    def paths(self):
        return [path for path, _ in self.received]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.received.append((self.path, body.decode()))
        self.server.called.set()
        self.server.released.wait()
        with contextlib.suppress(OSError):
            # the client may have gone
            self.send_response(self.server.status)
            self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running():
    """Run a service while the ``with`` lasts."""
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.released.set()
            service.shutdown()
            thread.join()
