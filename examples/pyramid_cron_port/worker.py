"""The application of Celery, for ``celery -A pyramid_cron_port.worker``; PORT_INI names the ini file."""

import os

from celery import signals
from pyramid.paster import get_app, setup_logging

from pyramid_cron.queues.celery import add_perform

CONFIG_URI = os.environ['PORT_INI']


@signals.setup_logging.connect
def configure_logging(**options):
    """Log as the ini file has it, in place of Celery's own format."""
    setup_logging(CONFIG_URI)


pyramid_app = get_app(CONFIG_URI)
app = pyramid_app.registry['celery']
add_perform(app, lambda: pyramid_app, acks_late=True)
