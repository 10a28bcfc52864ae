"""The application: one of each setting below a path of its own, and ``/alive``, which any request reaches.

``/alive`` answers the port of the client as the server sets it. Variables of the environment name the settings to
serve, a control, and a file that receives a line for each request that was let in.
"""

import os

from pyramid.config import Configurator

from .controls import CONTROLS

SECRET = 'a-secret-of-more-than-16-characters'

SETTINGS = {
    'default': {},
    'secret': {'cron.secret': SECRET},
    'unchecked': {'cron.peer_check': 'off'},
}


def make_app(settings):
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: None, name='task', min='*')
    return config.make_wsgi_app()


def make_apps(control=None, only=SETTINGS):
    changed = dict(SETTINGS)
    if control:
        changed |= CONTROLS[control]() or {}
    return {name: make_app(changed[name]) for name in only}


def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/alive':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [f'alive {environ.get("REMOTE_PORT", "")}'.encode()]
    name, _, rest = path[1:].partition('/')
    if name not in apps:
        start_response('404 Not Found', [('Content-Type', 'text/plain')])
        return [b'not found']
    environ['SCRIPT_NAME'] = environ.get('SCRIPT_NAME', '') + '/' + name
    environ['PATH_INFO'] = '/' + rest

    def start(status, headers, exc_info=None):
        if status.startswith('200 '):
            # the client of an attack does not wait for the answer
            with open(JOURNAL, 'a') as journal:
                journal.write(name + '\n')
        return start_response(status, headers, exc_info)

    return apps[name](environ, start)


JOURNAL = os.environ.get('DOORS_JOURNAL', os.devnull)
apps = make_apps(os.environ.get('DOORS_CONTROL'), os.environ.get('DOORS_SETTINGS', 'default').split())
