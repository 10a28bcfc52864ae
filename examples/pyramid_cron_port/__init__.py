"""An application with periodic tasks that came from Celery's beat: docs/porting.rst walks through it."""

from pyramid.config import Configurator


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_tm')
        config.include('.models')
        config.include('.metrics')
        # it sets cron.celery, which the next one reads
        config.include('.queue')
        config.include('pyramid_cron')
        config.include('.tasks')
        config.include('.schedule')
        config.include('.reports')
        config.include('.views')
        return config.make_wsgi_app()
