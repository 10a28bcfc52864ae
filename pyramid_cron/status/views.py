"""The page over HTTP: which values it shows to whom, and what its buttons ask for."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

from markupsafe import Markup, escape
from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.interfaces import IDefaultCSRFOptions
from pyramid.path import AssetResolver
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.schedules import clock
from pyramid_cron.status import actions
from pyramid_cron.status.directives import STATIC, StatusPage
from pyramid_cron.status.flash import said, say
from pyramid_cron.status.memory import recall, recall_task
from pyramid_cron.status.task_page import detail_of, minute_of
from pyramid_cron.status.tasks_page import status_of
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_minute

HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'",
    'X-Content-Type-Options': 'nosniff',
    # a page of somebody else, with this one in it, could get its buttons pressed
    'X-Frame-Options': 'DENY',
    # the next request to the application needs it, nobody else does
    'Referrer-Policy': 'same-origin',
}


def protected(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Put the headers on the answers of a view that keep them private, and free of what is not theirs."""

    @functools.wraps(view)
    def with_headers(context: Any, request: Any) -> Any:
        response = view(context, request)
        response.headers.update(HEADERS)
        return response

    return with_headers


class StatusViews:
    """The views of one page.

    :param page: the page.
    """

    def __init__(self, page: StatusPage) -> None:
        self.page = page

    def tasks(self, request: Any) -> dict[str, Any]:
        """Show all tasks."""
        now = clock.now()
        return self._values(request, status=status_of(request.registry, recall(request.registry, now), now))

    def task(self, request: Any) -> dict[str, Any]:
        """Show one task."""
        task, now = _named(request, request.GET), clock.now()
        faults = 'faults' in request.GET
        detail = detail_of(request.registry, task, recall_task(request.registry, task.name, faults), now)
        buttons = self._may_write(request)
        return self._values(
            request,
            task=detail,
            faults=faults,
            buttons=buttons,
            seen=now.timestamp(),
            csrf={'name': _token_name(request.registry), 'value': get_csrf_token(request)} if buttons else None,
        )

    def due(self, request: Any) -> dict[str, Any]:
        """Show what was due in a minute."""
        now, zone = clock.now(), request.registry['cron_settings'].timezone
        text, minute, problem = request.GET.get('at', ''), None, ''
        if text:
            try:
                minute = minute_of(request.registry, parse_minute(text, now, zone), now)
            except TimeError as exc:
                problem = f'at {exc}'
        else:
            text = f'{clock.to_wall(now, zone):%Y-%m-%dT%H:%M}'
        return self._values(request, minute=minute, at=text, problem=problem)

    def run(self, request: Any) -> Any:
        """Run a task now."""
        task = _named(request, request.POST)
        try:
            seen = datetime.fromtimestamp(float(request.POST.get('seen', '')), timezone.utc)
        except (OverflowError, ValueError) as exc:
            raise HTTPBadRequest('seen is not a time') from exc
        return self._back(request, task, actions.run_now(request, task, seen))

    def pause(self, request: Any) -> Any:
        """Pause a task."""
        task, form = _named(request, request.POST), request.POST
        return self._back(request, task, actions.pause(request, task, form.get('reason', ''), form.get('until', '')))

    def resume(self, request: Any) -> Any:
        """End the pause of a task."""
        task = _named(request, request.POST)
        return self._back(request, task, actions.resume(request, task))

    def _may_write(self, request: Any) -> bool:
        permission = self.page.write_permission
        # a security policy has not heard of the permission that views ask nobody for
        return permission == NO_PERMISSION_REQUIRED or bool(request.has_permission(permission))

    def _back(self, request: Any, task: Task, text: str) -> HTTPSeeOther:
        """Send the browser to the page of the task, which says what became of its button."""
        return HTTPSeeOther(self._path(request, 'task', name=task.name, **say(request, text)))

    def _path(self, request: Any, view: str, /, **query: str) -> str:
        path: str = request.route_path(self.page.route(view), _query=query or None)
        return path

    def _values(self, request: Any, **values: Any) -> dict[str, Any]:
        """Return what a template gets, by one name, which no subscriber of the application will take for its own."""
        to_task = self._path(request, 'task')
        style = request.static_path(f'{STATIC}status.css', _query={'v': _version()})
        return {
            'cron': {
                'path': functools.partial(self._path, request),
                # the path of a task is asked for as often as there are tasks
                'to_task': lambda name: f'{to_task}?name={quote_plus(name)}',
                'style': style,
                'breakable': breakable,
                'zone': str(request.registry['cron_settings'].timezone or LOCAL_TIME),
                'said': said(request),
                **values,
            }
        }


def breakable(name: str) -> Markup:
    """Return the name of a task that a narrow column may break where its words end."""
    return escape(name).replace('.', Markup('.<wbr>')).replace('_', Markup('_<wbr>'))


def _named(request: Any, form: Any) -> Task:
    """Return the task that a request names.

    :raises pyramid.httpexceptions.HTTPNotFound: if there is none of that name.
    """
    try:
        found: list[Task] = request.registry['cron_tasks'].named([form.get('name', '')])
    except LookupError as exc:
        raise HTTPNotFound(str(exc)) from exc
    return found[0]


def _token_name(registry: Any) -> str:
    options = registry.queryUtility(IDefaultCSRFOptions)
    return getattr(options, 'token', None) or 'csrf_token'


def _version() -> str:
    """Return what changes with the stylesheet, which the application may have put another in the place of."""
    with AssetResolver(None).resolve(f'{STATIC}status.css').stream() as sheet:
        return hashlib.sha256(sheet.read()).hexdigest()[:12]
