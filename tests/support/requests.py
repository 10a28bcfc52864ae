"""Requests for the tick."""

from webtest import TestApp

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}


def request_cron(app, path='/cron', **environ):
    """Request a path from this machine, or as ``environ`` says, and return the answer, whatever its status is."""
    return TestApp(app).get(path, extra_environ=LOCAL | environ, status='*')
