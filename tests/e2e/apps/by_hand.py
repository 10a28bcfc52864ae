"""An application with a page of tasks that are run by hand."""

import os
import time
from pathlib import Path

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED

# longer than the time limit of a server
LONG = 8


def long(system):
    """Take longer than the server waits."""
    time.sleep(LONG)
    with Path('ran').open('a') as file:
        print(os.getpid(), file=file)


def short(system):
    """End at once."""


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.add_cron_status(
            '/admin/cron', permission=NO_PERMISSION_REQUIRED, write_permission=NO_PERMISSION_REQUIRED
        )
        config.add_cron_task(long, name='shop.long', min=0)
        config.add_cron_task(short, name='shop.short', min=0)
        if 'via' in settings:
            config.add_cron_task(long, name='shop.queued', min=0, via=settings['via'])
            config.add_cron_task(
                short, name='shop.outside', min=0, via=settings['via'], store=settings['via'] != 'celery'
            )
        return config.make_wsgi_app()


def app(environ, start_response):
    """The application of a server that reads no ini file."""
    if 'made' not in globals():
        globals()['made'] = main({}, **{'cron.app': 'shop', 'cron.store': f'sqlite:///{Path.cwd()}/cron.sqlite'})
    return globals()['made'](environ, start_response)
