"""The application demo: the environment of the container has what differs between installations."""

import logging
import os

from pyramid.config import Configurator

log = logging.getLogger(__name__)


def home(request):
    return 'Welcome\n'


def greet(system):
    log.info('greetings for %s', system['scheduled_for'])


def main(global_config, **settings):
    settings['cron.secret'] = os.environ['CRON_SECRET']
    settings['cron.store'] = os.environ['CRON_STORE']
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_route('home', '/')
        config.add_view(home, route_name='home', renderer='string')
        config.add_cron_task(greet, min='*')
        return config.make_wsgi_app()
