"""Enqueued runs without an engine: they are kept in a list until a test begins them."""

from pyramid_cron import perform

# seconds in which a minute of the year 2020 is not too late
LONG = str(10 * 365 * 86400)


class Queue(list):
    """The handovers of runs that were enqueued, the oldest first."""

    #: raised in place of enqueueing
    broken = None

    def __call__(self, handover):
        if self.broken is not None:
            raise self.broken
        self.append(handover)


def begin(worker, handover):
    """Begin an enqueued run in a server, and return its report."""
    return perform(worker.config.make_wsgi_app(), handover.key)
