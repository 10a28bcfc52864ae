"""When it is done: what was the schedule of beat."""

import functools

from pyramid_cron import Skip
from pyramid_cron_port.tasks import count_tokens, purge_tokens, remind


def with_request(function, *, writes=True):
    """Turn a function that takes a request into a task of pyramid_cron.

    :param writes: whether the task writes, so that it is skipped in the read-only mode.
    """

    @functools.wraps(function)
    def task(system):
        request = system['request']
        if writes and request.read_only:
            raise Skip('read-only mode')
        return function(request)

    return task


def includeme(config):
    config.add_cron_task(with_request(count_tokens, writes=False), min='*/5', catch_up=240, via=False)
    config.add_cron_task(with_request(remind), min=10, catch_up=3000)
    config.add_cron_task(
        with_request(purge_tokens),
        min=0,
        hour=5,
        catch_up=3600,
        retries=(60, 120, 240),
        via='celery:soft_time_limit=600,time_limit=660',
    )
