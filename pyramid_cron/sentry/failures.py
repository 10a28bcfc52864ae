"""One event for each failure: by the logging integration of sentry_sdk, or by this module where that sends none."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from sentry_sdk import capture_exception, get_global_scope, new_scope

from pyramid_cron.printable import FAILED_TASK
from pyramid_cron.scrub import Scrubber

# of the run of this thread: the scrubber of its application, and the task with a failure that has been captured
_scrubber: ContextVar[Scrubber | None] = ContextVar('pyramid_cron scrubber', default=None)
_captured: ContextVar[str | None] = ContextVar('pyramid_cron captured', default=None)
# the scopes that have the processor, by their ids: one for all applications of a process
_prepared: dict[int, object] = {}


def prepare(scrubber: Scrubber) -> None:
    """Prepare the SDK, and this thread, for the failures of a run.

    :param scrubber: scrubs the messages of exceptions.
    """
    scope = get_global_scope()
    if id(scope) not in _prepared:
        _prepared[id(scope)] = scope
        scope.add_event_processor(process_event)
    _scrubber.set(scrubber)


def process_event(event: Any, hint: dict[str, Any]) -> Any:
    """Notice that an event is about a record of ours, and scrub it."""
    name = getattr(hint.get('log_record'), FAILED_TASK, None)
    if name is None:
        return event
    _captured.set(name)
    return scrub(event)


def scrub(event: Any) -> Any:
    """Scrub the messages of the exceptions of an event, and return it."""
    scrubber = _scrubber.get()
    if scrubber is not None:
        for value in event.get('exception', {}).get('values', ()):
            if value.get('value'):
                value['value'] = str(scrubber(value['value']))
    return event


def capture_failure(name: str, exc: BaseException) -> None:
    """Send an event about the failure of a task, unless the logging integration has sent one."""
    if _captured.get() == name:
        return
    with new_scope() as scope:
        scope.add_event_processor(lambda event, hint: scrub(event))
        capture_exception(exc)


def forget() -> None:
    """Forget what has been captured, after the end of a task."""
    _captured.set(None)
