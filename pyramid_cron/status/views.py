"""The views of the status page: the values of its templates, and its buttons."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from typing import Any
from urllib.parse import quote_plus

from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPNotFound, HTTPSeeOther
from pyramid.interfaces import IDefaultCSRFOptions
from pyramid.renderers import render_to_response
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.names import ALL_TASKS
from pyramid_cron.run_addresses import run_query
from pyramid_cron.schedules import clock
from pyramid_cron.settings import app_name
from pyramid_cron.status import actions
from pyramid_cron.status.due_page import build_due_page
from pyramid_cron.status.flash import flash_query, read_flash
from pyramid_cron.status.frame import frame_values
from pyramid_cron.status.history_form import HistoryForm
from pyramid_cron.status.history_page import build_history_page
from pyramid_cron.status.page import REFUSAL, StatusPage
from pyramid_cron.status.queries import read_task_history
from pyramid_cron.status.run_page import find_run
from pyramid_cron.status.task_filter import parse_filter
from pyramid_cron.status.task_page import build_task_page
from pyramid_cron.status.tasks_page import read_tasks_page
from pyramid_cron.status.timeline_page import DAY, NIGHT, build_timeline_page
from pyramid_cron.status.viewer import page_zone, read_viewer, typed_zone
from pyramid_cron.tasks import Task
from pyramid_cron.timeline.window import WindowError, parse_day
from pyramid_cron.times import TimeError, parse_minute


def require_utf8(request: Any) -> None:
    """Refuse a request with a query or a form that is not in UTF-8, which raises an error wherever it is read.

    :raises pyramid.httpexceptions.HTTPBadRequest: for such a request.
    """
    try:
        request.params.get('')
    except UnicodeDecodeError as exc:
        raise HTTPBadRequest('the query is not in UTF-8') from exc


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

    def view(self, name: str) -> Callable[[Any], Any]:
        """Return the view of a page or of a button, which shows why a request is refused, with a link to all tasks.

        :param name: the name of the page or the button, one of :data:`.READ_VIEWS` and :data:`.WRITE_VIEWS`.
        """
        answer = getattr(self, name)

        @functools.wraps(answer)
        def view(request: Any) -> Any:
            try:
                require_utf8(request)
                return answer(request)
            except (HTTPBadRequest, HTTPNotFound) as exc:
                return self._explain(request, exc)

        return view

    def tasks(self, request: Any) -> dict[str, Any]:
        """Show all tasks."""
        page = read_tasks_page(request.registry, _parse(parse_filter, request.GET), clock.now(), page_zone(request))
        return self._values(request, page=page, **self._buttons(request))

    def task(self, request: Any) -> dict[str, Any]:
        """Show one task."""
        task, now = _find_task(request, request.GET), clock.now()
        only = next((name for name in ('faults', 'by_hand') if name in request.GET), '')
        history = read_task_history(request.registry, task, **{only: True} if only else {})
        zone = read_viewer(request).zone_or(task.timezone)
        return self._values(
            request,
            task=build_task_page(request.registry, task, history, now, zone),
            only=only,
            loaded_at=now.timestamp(),
            **self._buttons(request),
        )

    def due(self, request: Any) -> dict[str, Any]:
        """Show what is due at a minute."""
        now, zone = clock.now(), page_zone(request)
        text, page, error = _text(request.GET, 'at'), None, ''
        if text:
            try:
                minute = parse_minute(text, now, typed_zone(request, _text(request.GET, 'zone')))
            except TimeError as exc:
                error = f'at {exc}'
            else:
                page = build_due_page(request.registry, minute, now, zone)
                text = _in_field(minute, zone)
        else:
            text = _in_field(now, zone)
        return self._values(request, page=page, at=text, error=error)

    def history(self, request: Any) -> dict[str, Any]:
        """Show the history of all tasks, or of some."""
        form = {name: _text(request.GET, name) for name in ('name', 'outcome', 'trigger', 'day', 'before')}
        return self._values(
            request, page=build_history_page(request.registry, HistoryForm(**form), clock.now(), page_zone(request))
        )

    def past_run(self, request: Any) -> dict[str, Any]:
        """Show one run."""
        key, run_id = _text(request.GET, 'key'), _text(request.GET, 'id')
        found = find_run(request.registry, key, run_id, clock.now(), read_viewer(request))
        request.response.status_int = found.status
        return self._values(request, **found.values, **self._buttons(request))

    def timeline(self, request: Any) -> dict[str, Any]:
        """Show a day or a night at a glance."""
        now, day, error = clock.now(), None, ''
        kind = DAY if DAY in request.GET else NIGHT
        text = _text(request.GET, kind)
        try:
            day = parse_day(text) if text else None
        except WindowError as exc:
            error = str(exc)
        page = build_timeline_page(request.registry, kind, day, now, page_zone(request))
        return self._values(request, page=page, error=error)

    def run(self, request: Any) -> Any:
        """Run a task now."""
        task = _find_task(request, request.POST)
        return self._redirect(request, task, actions.run_now(request, task, _loaded_at(request.POST)))

    def backfill(self, request: Any) -> Any:
        """Run a task for a past minute."""
        task, loaded_at = _find_task(request, request.POST), _loaded_at(request.POST)
        try:
            minute = datetime.fromisoformat(_text(request.POST, 'minute')).astimezone(timezone.utc)
        except (OverflowError, ValueError) as exc:
            raise HTTPBadRequest('minute is not a time') from exc
        zone = read_viewer(request).zone_or(task.timezone)
        message = actions.run_for_minute(request, task, clock.minute_of(minute), loaded_at, zone)
        return self._redirect(request, task, message)

    def pause(self, request: Any) -> Any:
        """Pause a task."""
        task, form = _find_task(request, request.POST), request.POST
        zone = typed_zone(request, _text(form, 'zone'))
        message = actions.pause(request, task.name, _text(form, 'reason'), _text(form, 'until'), zone)
        return self._redirect(request, task, message)

    def resume(self, request: Any) -> Any:
        """End the pause of a task."""
        task = _find_task(request, request.POST)
        return self._redirect(request, task, actions.resume(request, task.name, page_zone(request)))

    def pause_all(self, request: Any) -> Any:
        """Pause all tasks."""
        form = request.POST
        zone = typed_zone(request, _text(form, 'zone'))
        message = actions.pause(request, ALL_TASKS, _text(form, 'reason'), _text(form, 'until'), zone)
        return self._redirect(request, None, message)

    def resume_all(self, request: Any) -> Any:
        """End the pause of all tasks."""
        return self._redirect(request, None, actions.resume(request, ALL_TASKS, page_zone(request)))

    def acknowledge(self, request: Any) -> Any:
        """Acknowledge the last failure of a task."""
        task, form = _find_task(request, request.POST), request.POST
        return self._redirect(request, task, actions.acknowledge(request, task, _text(form, 'reason')))

    def stop(self, request: Any) -> Any:
        """End the queued run of a task, or request that its run in progress ends."""
        task = _find_task(request, request.POST)
        return self._redirect(
            request, task, actions.stop(request, task, _text(request.POST, 'run'), page_zone(request))
        )

    def _buttons(self, request: Any) -> dict[str, Any]:
        """Return whether the page has buttons, and the token that they send."""
        buttons = self._may_write(request)
        token = {'name': _token_name(request.registry), 'value': get_csrf_token(request)} if buttons else None
        return {'buttons': buttons, 'csrf': token}

    def _may_write(self, request: Any) -> bool:
        permission = self.page.write_permission
        if permission is None:
            return False
        # security policies do not know NO_PERMISSION_REQUIRED, for which views never call them
        return permission == NO_PERMISSION_REQUIRED or bool(request.has_permission(permission))

    def _redirect(self, request: Any, task: Task | None, message: str) -> HTTPSeeOther:
        """Redirect the browser to the page of the task, or to that of all tasks, which shows the message."""
        query = flash_query(request, message)
        if task is None:
            return HTTPSeeOther(self._path(request, 'tasks', **query))
        return HTTPSeeOther(self._path(request, 'task', name=task.name, **query))

    def _explain(self, request: Any, error: HTTPBadRequest | HTTPNotFound) -> Any:
        """Return the page about an address that cannot be shown, or about a button that did nothing."""
        try:
            require_utf8(request)
        except HTTPBadRequest:
            # the frame reads the query too
            request.query_string = ''
        request.response.status_int = error.status_int
        if isinstance(error, HTTPNotFound):
            heading = 'No such task'
        else:
            heading = 'Nothing was done' if request.method == 'POST' else 'This address cannot be shown'
        values = self._values(request, heading=heading, reason=f'{error.detail}.')
        return render_to_response(REFUSAL, values, request, response=request.response)

    def _path(self, request: Any, view: str, /, **query: str) -> str:
        path: str = request.route_path(self.page.route(view), _query=query or None)
        return path

    def _values(self, request: Any, **values: Any) -> dict[str, Any]:
        """Return the values of a template below one name, which values that subscribers add do not replace."""
        app = app_name(request.registry['cron_settings'], request.registry)
        task_path, run_path, history_path = (self._path(request, view) for view in ('task', 'past_run', 'history'))
        return {
            'cron': {
                **frame_values(request, self._path(request, 'tasks')),
                'path': functools.partial(self._path, request),
                # faster than route_path(), once for each task
                'task_path': lambda name: f'{task_path}?name={quote_plus(name)}',
                'history_path': lambda query: f'{history_path}?{query}',
                'run_path': lambda link: f'{run_path}?{run_query(app, link)}',
                # which needs a token, and so do buttons only
                'flash': '' if self.page.write_permission is None else read_flash(request),
                **values,
            }
        }


def _in_field(instant: datetime, zone: tzinfo | None) -> str:
    return f'{clock.to_wall(instant, zone):%Y-%m-%dT%H:%M}'


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


def _parse(parse: Callable[[Any], Any], form: Any) -> Any:
    """Return what a function returns for the parameters of an address.

    :raises pyramid.httpexceptions.HTTPBadRequest: if they have a value that they cannot have.
    """
    try:
        return parse(form)
    except ValueError as exc:
        raise HTTPBadRequest(str(exc)) from exc


def _loaded_at(form: Any) -> datetime:
    """Return when the page with a button was made.

    :raises pyramid.httpexceptions.HTTPBadRequest: if the field is not a time.
    """
    try:
        return datetime.fromtimestamp(float(_text(form, 'loaded_at')), timezone.utc)
    except (OSError, OverflowError, ValueError) as exc:
        raise HTTPBadRequest('loaded_at is not a time') from exc


def _token_name(registry: Any) -> str:
    options = registry.queryUtility(IDefaultCSRFOptions)
    return 'csrf_token' if options is None else str(options.token)
