"""The SDK of Sentry, with a transport that keeps what would be sent."""

import contextlib

import sentry_sdk
from pyramid.config import Configurator
from sentry_sdk.transport import Transport

DSN = 'https://public@sentry.example/1'


class Kept(Transport):
    """A transport that keeps the items of envelopes."""

    def __init__(self):
        super().__init__()
        self.items = []
        #: what is raised in place of that
        self.error = None

    def capture_envelope(self, envelope):
        if self.error is not None:
            raise self.error
        self.items += [(item.type, item.payload.json) for item in envelope.items]

    def of(self, kind):
        return [item for found, item in self.items if found == kind]

    @property
    def check_ins(self):
        return self.of('check_in')

    @property
    def events(self):
        return self.of('event')

    @property
    def statuses(self):
        return [(item['monitor_slug'], item['status']) for item in self.check_ins]


@contextlib.contextmanager
def initialized(*integrations, **options):
    """Set the SDK up while the ``with`` lasts, with these integrations alone, and yield the transport."""
    kept = Kept()
    with sentry_sdk.isolation_scope(), sentry_sdk.new_scope():
        sentry_sdk.init(
            DSN,
            transport=kept,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            enable_backpressure_handling=False,
            integrations=integrations,
            **options,
        )
        try:
            yield kept
        finally:
            sentry_sdk.get_client().close()
            sentry_sdk.get_global_scope().set_client(None)


def configured(*tasks, **settings):
    """Return the configuration of tasks that are due at each full hour, with the check-ins of Sentry."""
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')
    for number, f in enumerate(tasks):
        config.add_cron_task(f, name=f'task {number}', min=0, timezone='UTC')
    return config


def application(*tasks, **settings):
    """Return the application of these tasks."""
    return configured(*tasks, **settings).make_wsgi_app()
