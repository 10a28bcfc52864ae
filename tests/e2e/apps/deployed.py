"""The application ``demo`` of the pages about deploying: ``DEPLOYED`` names the folder that its tasks write to."""

import os
import time
from pathlib import Path

from pyramid.config import Configurator

SECONDS = 200


def home(request):
    return 'Welcome\n'


def work(system):
    """Write a line, and wait while there is a file ``hold``."""
    folder = Path(os.environ['DEPLOYED'])
    with (folder / 'journal.txt').open('a') as journal:
        journal.write('begins\n')
    deadline = time.monotonic() + SECONDS
    while (folder / 'hold').exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
    with (folder / 'journal.txt').open('a') as journal:
        journal.write('ends\n')


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_route('home', '/')
        config.add_view(home, route_name='home', renderer='string')
        config.add_cron_task(work, min='*')
        return config.make_wsgi_app()
