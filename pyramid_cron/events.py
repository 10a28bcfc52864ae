"""What subscribers are told about a run and its tasks.

Events are sent between the transactions of the tasks, not in them. A subscriber that raises is logged and changes
nothing else.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from zope.interface import Attribute, Interface, implementedBy, implementer

from pyramid_cron.isolation import Exits, ends_process

log = logging.getLogger(__name__)


class IRunStarted(Interface):
    """A run in which tasks have their turn begins."""

    request = Attribute('The request of the run.')
    minute = Attribute('The minute it runs for, aware.')
    tasks = Attribute('The tasks in the order of their turns, a tuple.')


class ITaskStarted(Interface):
    """A task is about to be called. For one that is skipped this is not sent."""

    request = Attribute('The request of the run.')
    task = Attribute('The task.')
    scheduled_for = Attribute("The minute that the tick stands for, aware and in the task's time zone.")


class ITaskFinished(ITaskStarted):
    """A task has returned, has raised something, or is skipped or stuck."""

    status = Attribute("``'ok'``, ``'failed'``, ``'skipped'`` or ``'stuck'``.")
    seconds = Attribute('How long it ran.')
    exception = Attribute('What it raised, or ``None``.')


class IRunFinished(Interface):
    """A run has ended."""

    request = Attribute('The request of the run.')
    report = Attribute('Its report.')


@implementer(IRunStarted)
class RunStarted:
    """Sent when a run begins, see ``IRunStarted``."""

    def __init__(self, request: Any, minute: datetime, tasks: tuple[Any, ...]) -> None:
        self.request = request
        self.minute = minute
        self.tasks = tasks


@implementer(ITaskStarted)
class TaskStarted:
    """Sent before a task is called, see ``ITaskStarted``."""

    def __init__(self, request: Any, task: Any, scheduled_for: datetime) -> None:
        self.request = request
        self.task = task
        self.scheduled_for = scheduled_for


@implementer(ITaskFinished)
class TaskFinished:
    """Sent when a task is through, see ``ITaskFinished``."""

    def __init__(
        self,
        request: Any,
        task: Any,
        scheduled_for: datetime,
        status: str,
        seconds: float,
        exception: BaseException | None,
    ) -> None:
        self.request = request
        self.task = task
        self.scheduled_for = scheduled_for
        self.status = status
        self.seconds = seconds
        self.exception = exception


@implementer(IRunFinished)
class RunFinished:
    """Sent when a run has ended, see ``IRunFinished``."""

    def __init__(self, request: Any, report: Any) -> None:
        self.request = request
        self.report = report


def has_subscribers(registry: Any, event_class: type) -> bool:
    """Tell whether anybody would hear of an event of this class."""
    return registry.has_listeners and bool(registry.adapters.subscriptions([implementedBy(event_class)], None))


def notify(registry: Any, event: object, exits: Exits) -> None:
    """Send an event to its subscribers; one of them that raises is logged.

    :param exits: what ends the process if it is raised in the main thread, and passes through.
    """
    try:
        registry.notify(event)
    except BaseException as exc:
        if ends_process(exc, exits):
            raise
        log.exception('a subscriber of %s failed', type(event).__name__)
