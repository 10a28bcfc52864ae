"""The view that a trigger requests once a minute."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyramid.response import Response
from webob.acceptparse import create_accept_header

from pyramid_cron import isolation, runner
from pyramid_cron.access.addresses import parse_address
from pyramid_cron.access.log import RefusalLog
from pyramid_cron.access.policy import trigger_rules
from pyramid_cron.access.rules import Rules, Sender, refuse_by_all
from pyramid_cron.external_url import seen_from_outside
from pyramid_cron.orders import Order, PendingOrder, pending_order
from pyramid_cron.query_parameters import CHECK, QUIET, has_parameter
from pyramid_cron.quiet import quiet_text
from pyramid_cron.reports import RunReport
from pyramid_cron.schedules import clock
from pyramid_cron.settings import Settings, app_name

# the key of the environ that holds the report of a run, for the debug toolbar's panel
REPORT_KEY = 'pyramid_cron.report'

# a route's own pattern also matches a newline at the end of a path, by which a path that a proxy refuses would pass
PATH_INFO = r'[^\n]*\Z'

TEXT, JSON = 'text/plain; charset=UTF-8', 'application/json'

WOULD_RUN = 'ok: this request may run tasks, and has run none because of ?check'


class CronView:
    """Runs what is due in the current minute, if the request may trigger a run.

    :param request: a request whose registry holds the tasks.
    """

    def __init__(self, request: Any) -> None:
        self.request = request

    def __call__(self) -> str:
        """Return the body of the answer, and set its status and content type on ``request.response``.

        A failure of a task is part of the answer, which then has the status 500.

        :raises BaseException: an exception of a task that has to end the server: ``KeyboardInterrupt`` and
            ``SystemExit`` in its main thread, and gevent's ``GreenletExit``.
        """
        answer = self.answer()
        self.request.response.status_int = answer.status_int
        self.request.response.content_type = answer.content_type
        text: str = answer.text
        return text

    def answer(self) -> Response:
        """Return the answer, which is independent of what tasks do to ``request.response``."""
        # the minute of the tick is the one in which the request arrived
        instant = clock.current_minute()
        request = self.request
        settings: Settings = request.registry['cron_settings']
        pending = pending_order(request.environ)
        if pending is None:
            refusal = refused(request, [trigger_rules(settings)])
            if refusal is not None:
                return refusal
            if has_parameter(request, CHECK):
                name = app_name(settings, request.registry)
                return respond(200, TEXT, f'{WOULD_RUN}; application {name}\n')
            pending = PendingOrder(Order(request.registry, instant, exits=isolation.OF_SERVERS))
        elif pending.order.registry is not request.registry:
            pending.strayed = True
            return respond(404, TEXT, 'fail: the run was ordered from another application')
        report = pending.report = self.execute(pending.order)
        request.environ[REPORT_KEY] = report
        status = 500 if report.failed else 200
        if prefers_json(request):
            return respond(status, JSON, json.dumps(report.as_dict()))
        return respond(status, TEXT, quiet_text(report) if has_parameter(request, QUIET) else str(report))

    def execute(self, order: Order) -> RunReport:
        """Execute an order, with a request that looks as it does from outside."""
        settings: Settings = self.request.registry['cron_settings']
        with seen_from_outside(self.request.environ, settings.url):
            if order.call is None:
                return runner.run(self.request, order)
            order.call(self.request)
            return RunReport(order.instant, settings.timezone, 0.0, ())


def refused(request: Any, alternatives: Sequence[Rules]) -> Response | None:
    """Return the answer to a request that complies with none of the rules, ``None`` if it does with one of them."""
    refusals: RefusalLog = request.registry['cron_refusals']
    sender = Sender(request.method, request.remote_addr, _wsgi_headers(request))
    refusal = refuse_by_all(alternatives, sender, refusals.log_unchecked)
    refusals.note(refusal, time.monotonic())
    if refusal is None:
        return None
    # required by RFC 9110
    headers = {401: ('WWW-Authenticate', 'Bearer'), 405: ('Allow', ', '.join(alternatives[0].methods))}
    if has_parameter(request, CHECK) or has_parameter(request, QUIET):
        # with an end of its line, after which curl prints its own message
        text = f'fail: refused a request {refusal.kind}: {refusal.remedy}\n'
    else:
        address = parse_address(request.remote_addr)
        text = f'fail {address}' if address else 'fail'
    return respond(refusal.status, TEXT, text, *[headers[refusal.status]] if refusal.status in headers else [])


def _wsgi_headers(request: Any) -> Mapping[str, Any]:
    """Return the request's headers as WSGI spells them; a ``DummyRequest`` keeps them beside its environ."""
    environ: dict[str, Any] = request.environ
    if 'wsgi.version' in environ:
        return environ
    return {'HTTP_' + name.upper().replace('-', '_'): value for name, value in request.headers.items()}


def prefers_json(request: Any) -> bool:
    """Return whether a request prefers JSON to text."""
    accept = _wsgi_headers(request).get('HTTP_ACCEPT', '')
    if accept in ('', '*/*'):
        return False
    offers = create_accept_header(accept).acceptable_offers(['text/plain', JSON])
    return bool(offers) and offers[0][0] == JSON


def respond(status: int, content_type: str, text: str, *headers: tuple[str, str]) -> Response:
    """Return an answer that is never cached."""
    body = text.encode()
    return Response(
        status=status,
        headerlist=[
            ('Content-Type', content_type),
            ('Content-Length', str(len(body))),
            ('Cache-Control', 'no-store'),
            *headers,
        ],
        app_iter=[body],
    )
