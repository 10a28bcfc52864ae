"""From events to pings: what each one reports to the service, and the text that people read there."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from pyramid_cron.durations import format_seconds
from pyramid_cron.events import TaskFinished, TaskLost, TaskStarted, TickFinished
from pyramid_cron.healthchecks.checks import FAIL, LOG, START, SUCCESS, Check, Checks
from pyramid_cron.healthchecks.sender import Ping, Sender
from pyramid_cron.history_entries import process_of
from pyramid_cron.outcomes import EXCUSED, FAILED, LOST, OK, PAUSED, RETRYING, SKIPPED, STOPPED
from pyramid_cron.printable import class_name, message
from pyramid_cron.scrub import scrubber_of

NO_ALARM = ', which is no alarm'


class Signal(NamedTuple):
    """What a ping reports.

    :param kind: what the URL ends with.
    :param text: the text for people.
    """

    kind: str
    text: str


class Pings:
    """The pings of an application.

    :param registry: its registry.
    :param checks: the checks that receive them.
    :param sender: sends them.
    """

    def __init__(self, registry: Any, checks: Checks, sender: Sender) -> None:
        self.checks = checks
        self.sender = sender
        self._registry = registry

    def started(self, event: TaskStarted) -> None:
        """Report that a task begins."""
        self._send(event.task.name, event.key, Signal(START, ''))

    def finished(self, event: TaskFinished) -> None:
        """Report the end of a task, or why it does not run."""
        if self.checks.of_task(event.task.name) is not None:
            signal = signal_of(event)
            if signal is not None:
                self._send(event.task.name, event.key, signal)

    def lost(self, event: TaskLost) -> None:
        """Report that the process of a run is dead."""
        process = 'its process is dead' if event.host is None else f'{process_of(event.pid, event.host)} is dead'
        self._send(event.name, event.key, _ended(f'{LOST}: {process}', event.will_retry, event.is_fault))

    def tick(self, event: TickFinished) -> None:
        """Report that a tick has come, and whether all is well: by the store, or without one by the tick itself."""
        check = self.checks.of_all
        if check is not None:
            self.sender.send(partial(self._of_all, check, event.report))

    def _of_all(self, check: Check, report: Any) -> Ping:
        if self._registry['cron_store'] is None:
            failed, text = report.failed, str(report)
        else:
            health = importlib.import_module('pyramid_cron.monitoring.health').health_of(self._registry)
            failed, text = not health.ok, str(health)
        return Ping(check.url(FAIL if failed else SUCCESS), self._scrubbed(text))

    def _send(self, name: str, key: str, signal: Signal) -> None:
        check = self.checks.of_task(name)
        if check is not None:
            # the same in each process that reports about the run
            run = str(uuid5(NAMESPACE_OID, key))
            self.sender.send(lambda: Ping(check.url(signal.kind, run), self._scrubbed(signal.text)))

    def _scrubbed(self, text: str) -> str:
        return scrubber_of(self._registry)(text)


def signal_of(event: TaskFinished) -> Signal | None:
    """Return what is reported about the end of a task, ``None`` if that is nothing."""
    outcome, why = event.outcome, event.reason
    if outcome == OK:
        return Signal(SUCCESS, f'ok after {format_seconds(event.seconds)}')
    if outcome == FAILED:
        exc = event.exception
        if exc is not None:
            why = ': '.join(filter(None, [class_name(exc), message(exc)]))
        return _ended(f'failed after {format_seconds(event.seconds)}: {why}', event.will_retry, event.is_fault)
    if outcome == STOPPED:
        return Signal(LOG if event.will_retry else SUCCESS, f'stopped {why}')
    if event.is_fault and outcome != LOST:
        return Signal(FAIL, f'{outcome}: {why}')
    if outcome == PAUSED or (outcome == SKIPPED and event.raised_skip):
        return Signal(SUCCESS, f'{outcome}: {why}')
    # it runs in another process, or later, or was lost, which is another event; that it is missed the service notices
    return None


def _ended(text: str, will_retry: bool, is_fault: bool) -> Signal:
    """Return the signal of a run that has failed or was lost."""
    if will_retry:
        return Signal(LOG, f'{text}{EXCUSED[RETRYING]}')
    return Signal(FAIL, text) if is_fault else Signal(SUCCESS, f'{text}{NO_ALARM}')
