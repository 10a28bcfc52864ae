"""Tasks for the tests of the status page, its permissions, and the token of its forms."""

from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron import Skip

# a page with buttons for all visitors
FOR_EVERYBODY = {'permission': NO_PERMISSION_REQUIRED, 'write_permission': NO_PERMISSION_REQUIRED}


def user_header(user):
    return {'User': user} if user else {}


def add_task(config):
    config.add_cron_task(do_nothing, name='shop.task', min=0)


def do_nothing(system):
    """Do nothing.

    And do it well.
    """


def add_tasks(config):
    def daily(system):
        """Send the invoices."""

    config.add_cron_task(lambda system: None, name='shop.often', min='*', timezone='Europe/Berlin', idle=True)
    config.add_cron_task(daily, name='shop.daily', cron='0 2 * * *')
    config.add_cron_task(print, name='shop.never', min=0, hour=0, day=29, month=2, dow='mon', timezone='UTC')


def recording(ran, fails=False, skips=False):
    def configure(config):
        def work(system):
            ran.append(system['scheduled_for'])
            if fails:
                raise ValueError('no paper')
            if skips:
                raise Skip('no new file')

        config.add_cron_task(work, name='shop.task', min=0, catch_up=0, retries=2)

    return configure


def token(page):
    return page.task().forms[0]['csrf_token'].value
