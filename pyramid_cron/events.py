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
    """A task has returned, has raised something, is handed over, or does not run."""

    outcome = Attribute('That of its :class:`.TaskReport`.')
    seconds = Attribute('How long it ran.')
    exception = Attribute('What it raised, or ``None``.')


class IRunFinished(Interface):
    """A run has ended."""

    request = Attribute('The request of the run.')
    report = Attribute('Its report.')


class ITaskMissed(Interface):
    """A task is passed over for minutes in which nobody asked in time. Needs a store, as those below."""

    name = Attribute('The name of the task.')
    minutes = Attribute('The minutes, aware, a tuple with the earliest first.')


class ITaskLost(Interface):
    """The process that ran a task has ended, or says nothing any more."""

    name = Attribute('The name of the task.')
    minute = Attribute('The minute that it had begun for, aware.')
    host = Attribute('The name of the machine.')
    pid = Attribute('The number of the process.')
    again = Attribute('Whether it is to be run once more.')


class ITaskPaused(Interface):
    """Somebody has paused a task."""

    name = Attribute('The name of the task.')
    until = Attribute('Until when, aware, or ``None`` if somebody has to resume it.')
    reason = Attribute('Why.')
    requested_by = Attribute('Who did, or ``None``.')


class ITaskResumed(Interface):
    """Somebody has ended the pause of a task."""

    name = Attribute('The name of the task.')
    requested_by = Attribute('Who did, or ``None``.')


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
        outcome: str,
        seconds: float,
        exception: BaseException | None,
    ) -> None:
        self.request = request
        self.task = task
        self.scheduled_for = scheduled_for
        self.outcome = outcome
        self.seconds = seconds
        self.exception = exception


@implementer(IRunFinished)
class RunFinished:
    """Sent when a run has ended, see ``IRunFinished``."""

    def __init__(self, request: Any, report: Any) -> None:
        self.request = request
        self.report = report


@implementer(ITaskMissed)
class TaskMissed:
    """Sent once for minutes that were missed, see ``ITaskMissed``."""

    def __init__(self, name: str, minutes: tuple[datetime, ...]) -> None:
        self.name = name
        self.minutes = minutes


@implementer(ITaskLost)
class TaskLost:
    """Sent once for a run that was lost, see ``ITaskLost``."""

    def __init__(self, name: str, minute: datetime | None, host: str | None, pid: int | None, again: bool) -> None:
        self.name = name
        self.minute = minute
        self.host = host
        self.pid = pid
        self.again = again


@implementer(ITaskPaused)
class TaskPaused:
    """Sent when a task is paused, see ``ITaskPaused``."""

    def __init__(self, name: str, until: datetime | None, reason: str, requested_by: str | None) -> None:
        self.name = name
        self.until = until
        self.reason = reason
        self.requested_by = requested_by


@implementer(ITaskResumed)
class TaskResumed:
    """Sent when the pause of a task is ended, see ``ITaskResumed``."""

    def __init__(self, name: str, requested_by: str | None) -> None:
        self.name = name
        self.requested_by = requested_by


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
