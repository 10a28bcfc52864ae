"""What became of it: each end of a task as metrics and as a line of the structured log."""

import logging

from pyramid_cron.events import ITaskFinished, ITaskLost, ITaskMissed

log = logging.getLogger(__name__)


def report_end(event):
    if event.reason == 'already run':
        # all servers but one receive this at each tick
        return
    tags = {'task': event.task.name, 'outcome': event.outcome}
    event.request.metrics.increment('cron.ended', **tags)
    event.request.metrics.timing('cron.seconds', event.seconds, **tags)
    details = {
        'for': event.scheduled_for,
        'seconds': event.seconds,
        'reason': event.reason,
        'attempt': event.attempt,
        'will_retry': event.will_retry,
    }
    log.log(logging.ERROR if event.is_fault else logging.INFO, 'task ended', extra={'fields': {**tags, **details}})


def includeme(config):
    metrics = config.registry['metrics']
    config.add_subscriber(report_end, ITaskFinished)
    # these two have no request: the process of the run is dead, or no run began
    config.add_subscriber(lambda event: metrics.increment('cron.lost', task=event.name), ITaskLost)
    config.add_subscriber(lambda event: metrics.increment('cron.missed', task=event.name), ITaskMissed)
