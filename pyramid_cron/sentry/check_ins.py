"""From events to check-ins: the start and the end of each run, as one check-in of its monitor."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from sentry_sdk import get_client, get_current_scope, is_initialized
from sentry_sdk.crons import capture_checkin

from pyramid_cron.events import TaskFinished, TaskLost, TaskStarted
from pyramid_cron.outcomes import FAILED, OK, PAUSED, SKIPPED, STOPPED
from pyramid_cron.scrub import scrubber_of
from pyramid_cron.sentry import failures
from pyramid_cron.sentry.monitors import Monitors

log = logging.getLogger(__name__)

IN_PROGRESS, ERROR = 'in_progress', 'error'
# the context by which Sentry shows events beside their monitor
CONTEXT = 'monitor'
TAG = 'cron.task'
NOT_INITIALIZED = 'nothing is sent to Sentry until the application calls sentry_sdk.init(dsn=…)'


class CheckIns:
    """The check-ins of an application. What the SDK raises is logged, and changes nothing else.

    :param registry: its registry.
    :param monitors: the monitors that receive them.
    """

    def __init__(self, registry: Any, monitors: Monitors) -> None:
        self.monitors = monitors
        self._registry = registry
        # of runs that begin and end in this process: the check-ins in progress, by the keys of the runs
        self._open: dict[str, str] = {}
        self._has_failed = False

    def run_started(self, event: Any) -> None:
        """Prepare the SDK for the failures of a run."""
        with self._guarded():
            failures.prepare(scrubber_of(self._registry))

    def started(self, event: TaskStarted) -> None:
        """Report that a task begins. Until its end, events are shown beside its monitor."""
        task = event.task
        slug = self.monitors.slug_of(task.name)
        with self._guarded():
            scope = get_current_scope()
            scope.set_tag(TAG, task.name)
            if slug is not None:
                scope.set_context(CONTEXT, {'slug': slug})
                check_in = self._id_of(task, event.key) or uuid4().hex
                self._open[event.key] = check_in
                self._send(slug, check_in, IN_PROGRESS, config=self.monitors.config_of(task))

    def finished(self, event: TaskFinished) -> None:
        """Report the end of a task: a failure as an event, and how its run ended as a check-in."""
        task = event.task
        slug = self.monitors.slug_of(task.name)
        with self._guarded():
            if event.is_fault and event.exception is not None:
                failures.capture_failure(task.name, event.exception)
            failures.forget()
            scope = get_current_scope()
            scope.remove_tag(TAG)
            scope.remove_context(CONTEXT)
            began = self._open.pop(event.key, None)
            status = status_of(event)
            if slug is not None and status is not None:
                # of an error that several servers report, one
                check_in = began or (self._id_of(task, event.key) if status == ERROR else None)
                config = None if began else self.monitors.config_of(task)
                self._send(slug, check_in, status, event.seconds if began else None, config)

    def lost(self, event: TaskLost) -> None:
        """Report that the process of a run is dead, unless it is to run once more."""
        slug = self.monitors.slug_of(event.name)
        if slug is not None and not event.will_retry:
            with self._guarded():
                self._send(slug, self._shared_id(event.key), ERROR)

    def _send(
        self, slug: str, check_in: str | None, status: str, seconds: float | None = None, config: Any = None
    ) -> None:
        capture_checkin(slug, check_in, status, seconds, config)
        if not is_initialized():
            self._log(NOT_INITIALIZED)
        else:
            self._has_failed = False

    def _id_of(self, task: Any, key: str) -> str | None:
        """Return the id of a run that a store keeps, which other processes may end; ``None`` for any other."""
        return self._shared_id(key) if task.store and self._registry['cron_store'] is not None else None

    def _shared_id(self, key: str) -> str:
        # ids are unique over all projects of Sentry, and each environment has monitors of its own
        client = get_client()
        scope = str(client.dsn), str(client.options.get('environment')), self._registry['cron_settings'].environment
        return uuid5(NAMESPACE_OID, repr((*scope, key))).hex

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            self._log('a check-in could not be sent to Sentry', exc)

    def _log(self, text: str, exc: Exception | None = None) -> None:
        """Log a problem: at WARNING, once until a check-in is sent."""
        log.log(logging.DEBUG if self._has_failed else logging.WARNING, '%s', text, exc_info=exc)
        self._has_failed = True


def status_of(event: TaskFinished) -> str | None:
    """Return the status of the check-in at the end of a task; ``None`` if none is sent."""
    outcome = event.outcome
    if event.will_retry:
        # the check-in goes on with the next attempt
        return None
    if outcome == FAILED:
        return ERROR
    if outcome in (OK, STOPPED, PAUSED) or (outcome == SKIPPED and event.raised_skip):
        return OK
    # it runs in another process, or later, or was lost, which is another event; that it is missed Sentry notices
    return None
