"""A Pyramid application with tasks, and what a server of it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from benchmarks.measure import WrongResult
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.tasks import Task

PATHS = {'tick': '/cron', 'bare view': '/bare', 'one with own Response': '/response'}


class AnyMinute(MemoryClaims):
    """Claims by which tasks run at each tick, since those of a benchmark come within one minute."""

    def claim(self, task: Task, minute: datetime | None) -> NotClaimed | None:
        """Claim a task for no minute."""
        return super().claim(task, None)


def nothing(system: dict[str, Any]) -> None: ...


def not_now() -> dict[str, int]:
    """Return fields that match neither today nor tomorrow."""
    month = (datetime.now(timezone.utc) + timedelta(days=183)).month
    return {'min': 0, 'hour': 2, 'month': month}


def configurator(
    tasks: int = 10,
    due_tasks: int = 0,
    zones: tuple[str | None, ...] = (None,),
    task: Callable[[dict[str, Any]], object] = nothing,
) -> Configurator:
    """Return the configuration of an application with tasks that are not due and tasks that always are."""
    config = Configurator()
    # before the package's own route, which is matched after them
    for name, view in (('bare', lambda request: 'ok'), ('response', lambda request: Response('ok'))):
        config.add_route(name, f'/{name}')
        config.add_view(view, route_name=name, renderer='string')
    config.include('pyramid_cron')
    config.registry['cron_claims'] = AnyMinute()
    for number in range(tasks):
        config.add_cron_task(nothing, name=f'not due {number}', timezone=zones[number % len(zones)], **not_now())
    for number in range(due_tasks):
        config.add_cron_task(task, name=f'due {number}')
    config.commit()
    if len(config.registry['cron_tasks']) != tasks + due_tasks:
        raise WrongResult('an application does not have the tasks that it registered')
    return config


def main(global_config: dict[str, str], **settings: str) -> Any:
    """Return the WSGI application, for an ini file."""
    return configurator().make_wsgi_app()


def caller(app: Any, path: str, accept: str = '*/*') -> Callable[[], bytes]:
    """Return a function that requests a path of the application as a server would for curl."""
    given = {
        'REQUEST_METHOD': 'GET',
        'SCRIPT_NAME': '',
        'PATH_INFO': path,
        'QUERY_STRING': '',
        'SERVER_NAME': 'localhost',
        'SERVER_PORT': '6543',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'REMOTE_ADDR': '127.0.0.1',
        'HTTP_HOST': 'localhost:6543',
        'HTTP_USER_AGENT': 'curl/8.0.1',
        'HTTP_ACCEPT': accept,
        'wsgi.version': (1, 0),
        'wsgi.url_scheme': 'http',
        # there is no connection to look up an account by
        'paste.testing': True,
    }

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        if not status.startswith('200'):
            raise WrongResult(f'{path} answered {status}')

    return lambda: b''.join(app(dict(given), start_response))
