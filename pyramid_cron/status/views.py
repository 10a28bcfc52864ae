"""The views of the status page: the values of its templates, and its buttons."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus

from markupsafe import Markup, escape
from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPNotFound, HTTPSeeOther
from pyramid.interfaces import IDefaultCSRFOptions
from pyramid.path import AssetResolver
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.schedules import clock
from pyramid_cron.status import actions
from pyramid_cron.status.due_page import build_due_page
from pyramid_cron.status.flash import flash_query, read_flash
from pyramid_cron.status.page import STATIC, StatusPage
from pyramid_cron.status.queries import read_task_history, read_tasks
from pyramid_cron.status.task_page import build_task_page
from pyramid_cron.status.tasks_page import build_tasks_page
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.tasks import Task
from pyramid_cron.times import TimeError, parse_minute

HEADERS = {
    'Cache-Control': 'no-store',
    # the last two do not follow from default-src
    'Content-Security-Policy': (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    'X-Content-Type-Options': 'nosniff',
    # a page of another site, with this one in a frame, could make users press its buttons
    'X-Frame-Options': 'DENY',
    # for the next request to the application, and no other site
    'Referrer-Policy': 'same-origin',
}


def with_security_headers(view: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Add headers to the responses of a view: they are not cached, framed, or extended by other sites.

    A query that is not in UTF-8, which raises an error wherever it is read, is refused.
    """

    @functools.wraps(view)
    def add_headers(context: Any, request: Any) -> Any:
        try:
            request.params.get('')
        except UnicodeDecodeError as exc:
            raise HTTPBadRequest('the query is not in UTF-8') from exc
        response = view(context, request)
        response.headers.update(HEADERS)
        return response

    return add_headers


def refuse(context: Any, request: Any) -> Any:
    """Return the refusal of what a button requests, for a page without buttons."""
    # not raised, so that no view for it sends a visitor to a login that would not help
    return HTTPForbidden('this page has no buttons, because add_cron_status has no write_permission')


class StatusViews:
    """The views of one page.

    :param page: the page.
    """

    def __init__(self, page: StatusPage) -> None:
        self.page = page

    def tasks(self, request: Any) -> dict[str, Any]:
        """Show all tasks."""
        now = clock.now()
        state = read_tasks(request.registry, now)
        return self._values(request, page=build_tasks_page(request.registry, state, now))

    def task(self, request: Any) -> dict[str, Any]:
        """Show one task."""
        task, now = _find_task(request, request.GET), clock.now()
        faults = 'faults' in request.GET
        history = read_task_history(request.registry, task, faults)
        buttons = self._may_write(request)
        return self._values(
            request,
            task=build_task_page(request.registry, task, history, now),
            faults=faults,
            buttons=buttons,
            loaded_at=now.timestamp(),
            csrf={'name': _token_name(request.registry), 'value': get_csrf_token(request)} if buttons else None,
        )

    def due(self, request: Any) -> dict[str, Any]:
        """Show what is due at a minute."""
        now, zone = clock.now(), request.registry['cron_settings'].timezone
        text, page, error = _text(request.GET, 'at'), None, ''
        if text:
            try:
                page = build_due_page(request.registry, parse_minute(text, now, zone), now)
            except TimeError as exc:
                error = f'at {exc}'
        else:
            text = f'{clock.to_wall(now, zone):%Y-%m-%dT%H:%M}'
        return self._values(request, page=page, at=text, error=error)

    def run(self, request: Any) -> Any:
        """Run a task now."""
        task = _find_task(request, request.POST)
        try:
            loaded_at = datetime.fromtimestamp(float(_text(request.POST, 'loaded_at')), timezone.utc)
        except (OSError, OverflowError, ValueError) as exc:
            raise HTTPBadRequest('loaded_at is not a time') from exc
        return self._redirect(request, task, actions.run_now(request, task, loaded_at))

    def pause(self, request: Any) -> Any:
        """Pause a task."""
        task, form = _find_task(request, request.POST), request.POST
        return self._redirect(request, task, actions.pause(request, task, _text(form, 'reason'), _text(form, 'until')))

    def resume(self, request: Any) -> Any:
        """End the pause of a task."""
        task = _find_task(request, request.POST)
        return self._redirect(request, task, actions.resume(request, task))

    def _may_write(self, request: Any) -> bool:
        permission = self.page.write_permission
        if permission is None:
            return False
        # security policies do not know NO_PERMISSION_REQUIRED, for which views never call them
        return permission == NO_PERMISSION_REQUIRED or bool(request.has_permission(permission))

    def _redirect(self, request: Any, task: Task, message: str) -> HTTPSeeOther:
        """Redirect the browser to the page of the task, which shows the message."""
        return HTTPSeeOther(self._path(request, 'task', name=task.name, **flash_query(request, message)))

    def _path(self, request: Any, view: str, /, **query: str) -> str:
        path: str = request.route_path(self.page.route(view), _query=query or None)
        return path

    def _values(self, request: Any, **values: Any) -> dict[str, Any]:
        """Return the values of a template below one name, which values that subscribers add do not replace."""
        task_path = self._path(request, 'task')
        stylesheet = request.static_path(f'{STATIC}status.css', _query={'v': _stylesheet_version()})
        return {
            'cron': {
                'path': functools.partial(self._path, request),
                # faster than route_path(), once for each task
                'task_path': lambda name: f'{task_path}?name={quote_plus(name)}',
                'stylesheet': stylesheet,
                'breakable': breakable,
                'zone': str(request.registry['cron_settings'].timezone or LOCAL_TIME),
                # which needs a token, and so do buttons only
                'flash': '' if self.page.write_permission is None else read_flash(request),
                **values,
            }
        }


def breakable(name: str) -> Markup:
    """Return the name of a task with places at the ends of its words where a narrow column may break it."""
    return escape(name).replace('.', Markup('.<wbr>')).replace('_', Markup('_<wbr>'))


def _find_task(request: Any, form: Any) -> Task:
    """Return the task that the field ``name`` names.

    :raises pyramid.httpexceptions.HTTPNotFound: if there is no task of that name.
    """
    try:
        found: list[Task] = request.registry['cron_tasks'].named([_text(form, 'name')])
    except LookupError as exc:
        raise HTTPNotFound(str(exc)) from exc
    return found[0]


def _text(form: Any, name: str) -> str:
    """Return the text of a field, empty if there is none.

    :raises pyramid.httpexceptions.HTTPBadRequest: for a file in place of a text.
    """
    value = form.get(name, '')
    if not isinstance(value, str):
        raise HTTPBadRequest(f'{name} is not a text')
    return value


def _token_name(registry: Any) -> str:
    options = registry.queryUtility(IDefaultCSRFOptions)
    return 'csrf_token' if options is None else str(options.token)


def _stylesheet_version() -> str:
    """Return a digest of the stylesheet, which the application may have overridden."""
    with AssetResolver(None).resolve(f'{STATIC}status.css').stream() as sheet:
        return hashlib.sha256(sheet.read()).hexdigest()[:12]
