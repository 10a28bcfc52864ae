"""A small Pyramid application with scheduled tasks, a store, and the page that shows both."""

from pathlib import Path

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.httpexceptions import HTTPFound
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron_demo import tasks


def home(request):
    return HTTPFound(request.route_path('home') + 'admin/cron')


def main(global_config, **settings):
    # demo.ini includes pyramid_cron: that is where the directive comes from
    with Configurator(settings=settings) as config:
        config.add_route('home', '/')
        config.add_view(home, route_name='home')

        # every minute
        config.add_cron_task(tasks.send_mail, min='*')
        # at 02:00, and at 07:30 on Mondays
        config.add_cron_task(tasks.purge_sessions, min=0, hour=2)
        config.add_cron_task(tasks.write_report, min=30, hour=7, dow=0)
        # as whole crontab lines
        config.add_cron_task(tasks.fetch_prices, cron='3-59/10 * * * *')
        # with what a run takes at most: a longer one is slow, and after twice that stuck
        config.add_cron_task(tasks.import_orders, cron='5-59/15 * * * *', expect=900)
        config.add_cron_task(tasks.make_index, cron='25 * * * *', expect=60)
        config.add_cron_task(tasks.back_up, cron='15 4 * * *')

        # after the tasks above, if the minute is not over by then: every minute, by dotted name, and at the full hour
        config.add_cron_task('.tasks.warm_cache', min='*', idle=True)
        config.add_cron_task(tasks.compact_database, min=0, idle=True)

        # a page for everybody, because this is a demo on localhost: your application has a permission for it
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.include('pyramid_cron.status')
        for_everybody = {'permission': NO_PERMISSION_REQUIRED, 'write_permission': NO_PERMISSION_REQUIRED}
        config.add_cron_status('/admin/cron', **for_everybody)

        if 'cron.store' in settings:
            # SQLite makes the file and not its folder
            Path(settings['demo.journal']).parent.mkdir(exist_ok=True)
        return config.make_wsgi_app()
