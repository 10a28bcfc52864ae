"""The views of health and metrics."""

from __future__ import annotations

import json
from typing import Any

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.access.policy import reading_rules
from pyramid_cron.errors import Unavailable
from pyramid_cron.monitoring.health import health_of
from pyramid_cron.monitoring.metrics import expose
from pyramid_cron.schedules import clock
from pyramid_cron.settings import Settings
from pyramid_cron.views import JSON, PATH_INFO, TEXT, prefers_json, refused, respond

NOT_INSTALLED = "prometheus_client is not installed, or too old: run: pip install 'pyramid_cron[metrics]'"


def includeme(config: Any) -> None:
    """Add the routes ``cron_health`` and ``cron_metrics`` below that of the trigger."""
    path = Settings.parse(config.get_settings()).path.rstrip('/')
    for name, view in (('health', health), ('metrics', metrics)):
        config.add_route(f'cron_{name}', f'{path}/{name}', path_info=PATH_INFO)
        config.add_view(view, route_name=f'cron_{name}', permission=NO_PERMISSION_REQUIRED, require_csrf=False)


def health(request: Any) -> Response:
    """Return 200 if nothing is wrong, or 503 with what is. No task runs."""
    refusal = refused(request, reading_rules(request.registry['cron_settings']))
    if refusal is not None:
        return refusal
    found = health_of(request.registry)
    status = 200 if found.ok else 503
    if prefers_json(request):
        return respond(status, JSON, json.dumps(found.as_dict()))
    return respond(status, TEXT, str(found))


def metrics(request: Any) -> Response:
    """Return the metrics of the tasks as Prometheus reads them."""
    refusal = refused(request, reading_rules(request.registry['cron_settings']))
    if refusal is not None:
        return refusal
    registry = request.registry
    try:
        snapshot = registry['cron_store'].snapshot()
        content_type, text = expose(snapshot, registry['cron_tasks'], registry['cron_settings'].window, clock.now())
    except ImportError:
        return respond(501, TEXT, f'fail: {NOT_INSTALLED}')
    except Unavailable as exc:
        return respond(503, TEXT, f'fail: {exc}')
    return respond(200, content_type, text.decode())
