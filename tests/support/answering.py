"""An HTTP server that sends one answer to all requests, in place of one with an application."""

import contextlib
import http.server
import socket
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers), self.client_address))
        status, body, headers = self.server.answer
        self.send_response(status)
        for name, value in {'Content-Length': len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return 'a client'

    def log_message(self, *arguments):
        pass


class UnixServer(http.server.HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)


@contextlib.contextmanager
def answering(body, status=200, *, unix=None, context=None, **headers):
    """Start a server that answers with this, and yield it: its list ``seen`` has what was requested.

    :param unix: the path of a unix socket, in place of a free port.
    :param context: an SSL context.
    """
    server = UnixServer(unix, Handler) if unix else http.server.HTTPServer(('127.0.0.1', 0), Handler)
    with server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.answer, server.seen = (status, body.encode('latin-1'), headers), []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
