"""A server for tests in a browser."""

import contextlib
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """A browser opens connections ahead of time, for which one thread would wait."""

    daemon_threads = True


@contextlib.contextmanager
def serving(application):
    """Serve an application, and yield its address."""
    with make_server('127.0.0.1', 0, application, Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def visits(chromium, address):
    """Yield a function that opens a page in a window of its own. At the end, requests to other hosts fail."""
    contexts, elsewhere = [], []
    origin = address.removesuffix('/admin/cron') + '/'

    def visit(path='', width=1280, scheme='light', **options):
        context = chromium.new_context(viewport={'width': width, 'height': 800}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: request.url.startswith(origin) or elsewhere.append(request.url))
        page.on('console', lambda message: elsewhere.append(message.text))
        page.goto(address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert elsewhere == []


def opened(page):
    """Open everything that can be opened, where faults could hide."""
    page.evaluate("document.querySelectorAll('details').forEach(found => { found.open = true })")
    return page
