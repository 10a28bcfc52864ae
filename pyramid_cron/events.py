"""The events of runs and their tasks, for the subscribers of an application.

Each event has an interface of its own, ``ITaskFinished`` for :class:`TaskFinished`, by which an application subscribes:
``config.add_subscriber(alert, ITaskFinished)``. Events are sent between the transactions of the tasks, not in them. An
exception that a subscriber raises is logged and changes nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zope.interface import Attribute, Interface, implementedBy, implementer

from pyramid_cron.isolation import Exits, ends_process
from pyramid_cron.printable import log_error

log = logging.getLogger(__name__)


class IRunStarted(Interface):
    """A tick begins to run its tasks. Not sent for a tick in which no task is due."""

    request = Attribute('The request of the tick.')
    minute = Attribute('The minute of the tick, aware.')
    tasks = Attribute('The :class:`.Task` objects that are due, in their order, a tuple.')


class ITaskStarted(Interface):
    """A task is about to be called: by a tick, or by a worker if the tick has enqueued its run."""

    request = Attribute('The request of the tick, also if the task has its own: see :doc:`requests`.')
    task = Attribute('The :class:`.Task`.')
    scheduled_for = Attribute("The minute that the task runs for, aware and in the task's time zone.")
    attempt = Attribute('The number of this attempt for the minute, from 1 on.')
    key = Attribute(
        'The key of the run, a text: the same at its start and its end, and for all attempts of a minute. A run by '
        'name and a backfill have a key of their own each time.'
    )


class ITaskFinished(ITaskStarted):
    """A task has returned, has raised an exception, is enqueued, or does not run."""

    outcome = Attribute('The outcome of its :class:`.TaskReport`, a text.')
    seconds = Attribute('The duration of the task in seconds.')
    exception = Attribute('The exception that the task raised, or ``None``, as for :exc:`.Skip`.')
    reason = Attribute('The reason of its :class:`.TaskReport`: why it was stopped or does not run, or ``None``.')
    raised_skip = Attribute('Whether the task began and raised :exc:`.Skip`.')
    will_retry = Attribute('Whether the attempt failed or was stopped, and the task runs again for this minute.')
    is_fault = Attribute(
        'Whether the answer is 500 because of it: not if the failure is tried again, tolerated or acknowledged, or the '
        'task is paused.'
    )


class IRunFinished(Interface):
    """The run of a tick has ended."""

    request = Attribute('The request of the tick.')
    report = Attribute('The :class:`.RunReport`.')


class ITickFinished(Interface):
    """A tick has ended, also one in which nothing was due."""

    request = Attribute('The request of the tick.')
    report = Attribute('The :class:`.RunReport`.')


class ITaskRecovered(Interface):
    """A task has succeeded after a failure that was an alarm, see :doc:`alarms`."""

    name = Attribute('The name of the task.')
    failed_since = Attribute('When its first failure since its last success was recorded, aware.')


class ITaskMissed(Interface):
    """A task has missed minutes.

    No tick came in time, no worker took the run in time, or a run on request lasted too long. Needs a store, as
    do the events below.
    """

    name = Attribute('The name of the task.')
    minutes = Attribute('The minutes, aware, a tuple with the earliest first.')


class ITaskLost(Interface):
    """The process that ran a task is dead: it has ended, or its lease has expired."""

    name = Attribute('The name of the task.')
    minute = Attribute('The minute that the run was for, aware, or ``None`` for a run by name.')
    host = Attribute('The host name of the process, or ``None``.')
    pid = Attribute('The number of the process, or ``None``.')
    will_retry = Attribute('Whether the task is run once more for this minute.')
    is_fault = Attribute('Whether it is an alarm: not if it is run once more, or tolerated.')
    key = Attribute('The key of the run, as in the event of its start.')


class ITaskUnregistered(Interface):
    """Ticks came for an hour, and no process that received them has registered a task that is in the store."""

    name = Attribute('The name of the task.')
    last_seen = Attribute('The minute of the last tick in a process that had the task registered, aware.')


class ITaskPaused(Interface):
    """A task is paused on request."""

    name = Attribute('The name of the task.')
    until = Attribute('The end of the pause, aware, or ``None`` for a pause that lasts until the task is resumed.')
    reason = Attribute('The reason, a text.')
    requested_by = Attribute('The user that requested it, or ``None``.')


class ITaskResumed(Interface):
    """The pause of a task is ended on request."""

    name = Attribute('The name of the task.')
    requested_by = Attribute('The user that requested it, or ``None``.')


class ITicksStopped(Interface):
    """Requests of visitors came, and no tick for more than three minutes."""

    last_tick = Attribute('The minute of the last tick, aware.')
    seconds = Attribute('The age of the last tick in seconds when it was noticed that ticks have stopped.')


class ITicksResumed(Interface):
    """A tick has come after ``ITicksStopped``."""

    last_tick = Attribute('The minute of the last tick before they stopped, aware.')
    minute = Attribute('The minute of the tick that has come, aware.')


@implementer(IRunStarted)
@dataclass(eq=False, repr=False)
class RunStarted:
    """Sent when a run begins. Its interface is ``IRunStarted``."""

    request: Any
    minute: datetime
    tasks: tuple[Any, ...]


@implementer(ITaskStarted)
@dataclass(eq=False, repr=False)
class TaskStarted:
    """Sent before a task is called. Its interface is ``ITaskStarted``."""

    request: Any
    task: Any
    scheduled_for: datetime
    attempt: int = 1
    key: str = ''


@implementer(ITaskFinished)
@dataclass(eq=False, repr=False)
class TaskFinished:
    """Sent when a task has finished. Its interface is ``ITaskFinished``."""

    request: Any
    task: Any
    scheduled_for: datetime
    outcome: str
    seconds: float
    exception: BaseException | None
    reason: str | None = None
    attempt: int = 1
    will_retry: bool = False
    is_fault: bool = False
    key: str = ''
    raised_skip: bool = False


@implementer(IRunFinished)
@dataclass(eq=False, repr=False)
class RunFinished:
    """Sent when a run has ended. Its interface is ``IRunFinished``."""

    request: Any
    report: Any


@implementer(ITickFinished)
@dataclass(eq=False, repr=False)
class TickFinished:
    """Sent when a tick has ended. Its interface is ``ITickFinished``."""

    request: Any
    report: Any


@implementer(ITaskRecovered)
@dataclass(eq=False, repr=False)
class TaskRecovered:
    """Sent once, over all servers of a store, when a task is well again. Its interface is ``ITaskRecovered``."""

    name: str
    failed_since: datetime


@implementer(ITaskMissed)
@dataclass(eq=False, repr=False)
class TaskMissed:
    """Sent once for the minutes that a task missed. Its interface is ``ITaskMissed``."""

    name: str
    minutes: tuple[datetime, ...]


@implementer(ITaskLost)
@dataclass(eq=False, repr=False)
class TaskLost:
    """Sent once for a run that is lost. Its interface is ``ITaskLost``."""

    name: str
    minute: datetime | None
    host: str | None
    pid: int | None
    will_retry: bool
    is_fault: bool = False
    key: str = ''


@implementer(ITaskUnregistered)
@dataclass(eq=False, repr=False)
class TaskUnregistered:
    """Sent once when a task is registered nowhere any more. Its interface is ``ITaskUnregistered``."""

    name: str
    last_seen: datetime


@implementer(ITaskPaused)
@dataclass(eq=False, repr=False)
class TaskPaused:
    """Sent when a task is paused. Its interface is ``ITaskPaused``."""

    name: str
    until: datetime | None
    reason: str
    requested_by: str | None


@implementer(ITaskResumed)
@dataclass(eq=False, repr=False)
class TaskResumed:
    """Sent when the pause of a task is ended. Its interface is ``ITaskResumed``."""

    name: str
    requested_by: str | None


@implementer(ITicksStopped)
@dataclass(eq=False, repr=False)
class TicksStopped:
    """Sent once over all servers when ticks have stopped. Its interface is ``ITicksStopped``."""

    last_tick: datetime
    seconds: float


@implementer(ITicksResumed)
@dataclass(eq=False, repr=False)
class TicksResumed:
    """Sent once over all servers when ticks come again. Its interface is ``ITicksResumed``."""

    last_tick: datetime
    minute: datetime


def has_subscribers(registry: Any, event_class: type) -> bool:
    """Return whether a subscriber is registered for events of this class."""
    return registry.has_listeners and bool(registry.adapters.subscriptions([implementedBy(event_class)], None))


def notify(registry: Any, event: object, exits: Exits) -> None:
    """Send an event to its subscribers, and log an exception that one of them raises.

    :param exits: the exceptions that end the process: they pass through in the main thread.
    """
    try:
        registry.notify(event)
    except BaseException as exc:
        if ends_process(exc, exits):
            raise
        log_error(log, exc, 'a subscriber of %s failed', type(event).__name__)
