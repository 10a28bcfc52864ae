"""Celery: an application of its own for each registry, and tasks that receive a request."""

import celery
from pyramid.scripting import prepare
from pyramid.threadlocal import get_current_request


class RequestTask(celery.Task):
    """A task that calls its function with a request before the arguments, in the transaction of that request."""

    # else Celery checks the arguments of a message against the function, and misses the request
    typing = False

    def __call__(self, *args, **kwargs):
        with prepare(registry=self.app.registry) as env:
            request = env['request']
            with request.tm:
                return self.run(request, *args, **kwargs)

    def apply_async(self, args=None, kwargs=None, **options):
        """Send a message; during a request, only after the commit of its transaction."""
        request = get_current_request()
        # a retry is sent at once: the attempt before it is rolled back, and so has no commit after which to send it
        if request is None or options.get('retries'):
            return super().apply_async(args, kwargs, **options)
        request.tm.get().addAfterCommitHook(self._send_if_committed, (args, kwargs, options))
        return None

    def _send_if_committed(self, is_committed, args, kwargs, options):
        if is_committed:
            super().apply_async(args, kwargs, **options)


def add_celery_task(config, function, **options):
    """Add a task to Celery: a function that takes a request and the arguments of a message."""
    config.registry['celery'].task(function, name=task_name(function), shared=False, **options)


def celery_task(request, function):
    """Return the task of a function."""
    return request.registry['celery'].tasks[task_name(function)]


def task_name(function):
    return f'{function.__module__}.{function.__name__}'


def includeme(config):
    settings = config.registry.settings
    app = celery.Celery('port', broker=settings['celery.broker_url'], task_cls=RequestTask, set_as_current=False)
    app.conf.task_ignore_result = True
    # a busy worker takes no message that an idle one could take
    app.conf.worker_prefetch_multiplier = 1
    app.registry = config.registry
    config.registry['celery'] = settings['cron.celery'] = app
    config.add_directive('add_celery_task', add_celery_task)
    config.add_request_method(celery_task, 'task')
