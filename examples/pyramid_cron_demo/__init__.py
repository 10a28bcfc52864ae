"""A small Pyramid application with scheduled tasks."""

from pyramid.config import Configurator

from pyramid_cron_demo import tasks


def home(request):
    return 'Request /cron to run what is due.\n'


def main(global_config, **settings):
    # demo.ini includes pyramid_cron: that is where the directive comes from
    with Configurator(settings=settings) as config:
        config.add_route('home', '/')
        config.add_view(home, route_name='home', renderer='string')

        # every minute
        config.add_cron_task(tasks.send_mail, min='*')
        # at 02:00, and at 07:30 on Mondays
        config.add_cron_task(tasks.purge_sessions, min=0, hour=2)
        config.add_cron_task(tasks.write_report, min=30, hour=7, dow=0)

        # after the tasks above, if the minute is not over by then: every minute, by dotted name, and at the full hour
        config.add_cron_task('.tasks.warm_cache', min='*', idle=True)
        config.add_cron_task(tasks.compact_database, min=0, idle=True)

        return config.make_wsgi_app()
