"""The view that a trigger requests once a minute."""

from __future__ import annotations

import json
import logging
from typing import Any

from webob.acceptparse import create_accept_header

from pyramid_cron import access, clock, runner
from pyramid_cron.settings import Settings

log = logging.getLogger(__name__)

TEXT, JSON = 'text/plain', 'application/json'

# what the statuses of a refusal oblige the answer to say (RFC 9110)
REFUSAL_HEADERS = {401: ('WWW-Authenticate', 'Bearer'), 405: ('Allow', ', '.join(access.METHODS))}


class CronView:
    """Runs what is due in the current minute, if the request may ask for it.

    :param request: a request whose registry holds the tasks.
    """

    def __init__(self, request: Any) -> None:
        self.request = request

    def __call__(self) -> str:
        """Return the body of the answer; its status and headers are set on ``request.response``."""
        instant = clock.local(clock.current_minute())
        request = self.request
        settings: Settings = request.registry['cron_settings']
        refusal = access.refuse(
            request.method,
            request.remote_addr,
            request.headers,
            secret=settings.secret,
            allowed_ips=settings.allowed_ips,
        )
        if refusal is not None:
            return self._refuse(refusal)
        report = runner.run(request, instant, window=settings.window)
        status = 500 if report.names(runner.FAILED) else 200
        accept = create_accept_header(request.headers.get('Accept'))
        if [offer for offer, _ in accept.acceptable_offers([TEXT, JSON])][:1] == [JSON]:
            return self._answer(status, JSON, json.dumps(report.as_dict()))
        return self._answer(status, TEXT, str(report))

    def _refuse(self, refusal: access.Refusal) -> str:
        request = self.request
        log.warning('refused a request to run cron tasks: %s; to allow it, %s', refusal.why, refusal.remedy)
        if refusal.status in REFUSAL_HEADERS:
            name, value = REFUSAL_HEADERS[refusal.status]
            request.response.headers[name] = value
        address = access.parse_address(request.remote_addr)
        return self._answer(refusal.status, TEXT, f'fail {address}' if address else 'fail')

    def _answer(self, status: int, content_type: str, body: str) -> str:
        # a task may have left its own marks on the response
        response = self.request.response
        response.status_int = status
        response.content_type = content_type
        return body
