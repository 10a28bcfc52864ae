"""What whoever watches the application may ask: its health, and its metrics."""

from __future__ import annotations

import json
from typing import Any

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.monitoring.health import Health, examine
from pyramid_cron.monitoring.metrics import expose
from pyramid_cron.schedules import clock
from pyramid_cron.settings import Settings
from pyramid_cron.store.turns import in_a_line
from pyramid_cron.views import JSON, PATH_INFO, TEXT, prefers_json, refused, respond

NOT_INSTALLED = "the metrics need a package that is not installed: pip install 'pyramid_cron[metrics]'"


def includeme(config: Any) -> None:
    """Add the routes ``cron_health`` and ``cron_metrics`` behind that of the trigger, with its rules of access."""
    path = Settings.parse(config.get_settings()).path.rstrip('/')
    for name, view in (('health', health), ('metrics', metrics)):
        config.add_route(f'cron_{name}', f'{path}/{name}', path_info=PATH_INFO)
        config.add_view(view, route_name=f'cron_{name}', permission=NO_PERMISSION_REQUIRED, require_csrf=False)


def health(request: Any) -> Response:
    """Tell whether all is well: 200, or 503 with what is not. Nothing is run."""
    refusal = refused(request)
    if refusal is not None:
        return refusal
    found = _health(request.registry)
    status = 200 if found.ok else 503
    if prefers_json(request):
        return respond(status, JSON, json.dumps(found.as_dict()))
    return respond(status, TEXT, str(found))


def metrics(request: Any) -> Response:
    """Tell the state of the tasks as Prometheus reads it."""
    refusal = refused(request)
    if refusal is not None:
        return refusal
    claims = request.registry['cron_claims']
    try:
        with claims.database.begin() as connection:
            content_type, text = expose(connection, claims.options.app, request.registry['cron_tasks'], clock.now())
    except ImportError:
        return respond(501, TEXT, f'fail: {NOT_INSTALLED}')
    except SQLAlchemyError as exc:
        return respond(503, TEXT, f'fail: the store cannot be asked: {in_a_line(exc)}')
    return respond(200, content_type, text.decode())


def _health(registry: Any) -> Health:
    claims = registry['cron_claims']
    window = registry['cron_settings'].window
    windows = {task.name: task.window(window) for task in registry['cron_tasks']}
    try:
        with claims.database.begin() as connection:
            return examine(connection, claims.options.app, windows)
    except SQLAlchemyError as exc:
        return Health(problem=f'the store cannot be asked: {in_a_line(exc)}')
