"""One run of a task in the real application that leaves nothing: no claim, no record, no event, no commit."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from pyramid_cron.memory_claims import NOT_JOINED, NOT_KEPT
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order, call_through
from pyramid_cron.outcomes import OK
from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.mails import kept_mails
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_output import RunOutput
from pyramid_cron.stopping import StopRequest
from pyramid_cron.task_runner import TaskRunner
from pyramid_cron.tasks import System, Task
from pyramid_cron.transactions import RunTransactions, abort, is_doomed


class Rehearsed(NamedTuple):
    """The result of a rehearsal.

    :param report: how the run ended.
    :param findings: what it would have written, and what was not held back.
    """

    report: TaskReport
    findings: Findings

    @property
    def is_good(self) -> bool:
        """Whether the task has succeeded, or has found nothing to do, and a commit would succeed."""
        return (self.report.outcome == OK or self.report.raised_skip) and not self.findings.violations

    @property
    def is_held(self) -> bool:
        """Whether all that the task did was held back, and nothing had to be refused."""
        return not (self.findings.escaped or self.findings.refused)


class RehearsedRun:
    """A run that claims nothing and is not recorded, see :class:`.Run`.

    :param task: the task.
    :param minute: the minute that it is for, ``None`` for a run by name.
    :param since: the minute of the last success of a run by schedule.
    """

    attempt = 1
    not_claimed = engine = token = shared = stop_request = owed_minute = None
    turn = math.inf

    def __init__(self, task: Task, minute: datetime | None, since: datetime | None) -> None:
        self.task = task
        self.minute = minute
        self.since = since
        self.stopped: StopRequest | None = None

    def goes_on(self) -> bool:
        return False

    def claim(self) -> NotClaimed | None:
        return None

    def kept(self, output: RunOutput) -> AbstractContextManager[None]:
        return NOT_KEPT

    def joined(self, request: Any) -> AbstractContextManager[None]:
        return NOT_JOINED

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        return report

    def excuse(self, error: str) -> str | None:
        return None

    def interrupt(self) -> None:
        """Do nothing: there is no claim."""

    def skip(self, reason: str) -> None:
        """Do nothing: there is no record."""

    def wait(self, minute: datetime) -> NotClaimed | None:
        """Do nothing: it runs here."""
        return None


class _Runner(TaskRunner):
    """Runs the task of a rehearsal, in transactions that are rolled back, and sends no event."""

    def __init__(self, request: Any, order: Order, window: float, findings: Findings) -> None:
        super().__init__(request, order, order.monotonic(), window, lambda: True)
        self._findings = findings
        self.transactions = RunTransactions(request, rolled_back)
        # the request of the rehearsal has passed through all tweens
        self.requests = None
        self.sends_started = False

    def call_isolated(self, task: Task, system: System) -> None:
        """Call a task, and note the commits that are its own."""
        with self._findings.in_task():
            super().call_isolated(task, system)


def rehearse(
    app: Any,
    registry: Any,
    task: Task,
    *,
    instant: datetime,
    minute: datetime | None = None,
    since: datetime | None = None,
) -> Rehearsed:
    """Run a task through the whole application, and roll back all that it does.

    While threads of the task are alive, what they commit is held back as well.

    :param app: the WSGI application, loaded with :func:`.held_drivers`.
    :param registry: its registry.
    :param instant: the present minute.
    :param minute: the minute that the run is for, ``None`` for one by name.
    :param since: the minute of the last success of a run by schedule.
    :raises NotRun: if something in the application answers before the run.
    """
    findings, reports = Findings(), []

    def call(request: Any) -> None:
        order = Order(registry, instant, trigger='command')
        runner = _Runner(request, order, registry['cron_settings'].window, findings)
        reports.append(runner.run_claimed(RehearsedRun(task, minute, since)))
        runner.finish()

    before = set(threading.enumerate())

    def left() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in before]

    with REHEARSAL.going_on(findings, lambda: not left()), kept_mails(registry, findings):
        call_through(app, registry, call)
        for thread in left():
            findings.escape(f'a thread is still running, {thread.name}: what it does from now on is not shown')
    return Rehearsed(reports[0], findings)


@contextmanager
def rolled_back(manager: Any, note: str) -> Iterator[None]:
    """Run the body of a ``with`` in a new transaction of pyramid_tm, which is rolled back in any case.

    What sessions have not sent to their databases yet is sent before. Whatever else has joined the transaction is never
    committed.

    :param manager: a transaction manager, explicit or thread-local.
    :param note: the description of the transaction.
    """
    abort(manager)
    commits = _Commits()
    manager.registerSynch(commits)
    try:
        manager.begin().note(note)
        yield
        if is_doomed(manager) is False:
            for resource in list(manager.get()._resources):
                # of zope.sqlalchemy
                flush = getattr(getattr(resource, 'session', None), 'flush', None)
                if flush is not None:
                    flush()
    finally:
        abort(manager)
        manager.unregisterSynch(commits)


class _Commits:
    """Reports what else has joined a transaction that the task commits by itself: that cannot be held back."""

    def newTransaction(self, transaction: Any) -> None:
        transaction.addBeforeCommitHook(self._before, (transaction,))

    def _before(self, transaction: Any) -> None:
        findings = REHEARSAL.findings
        for resource in transaction._resources:
            if findings is not None and not hasattr(resource, 'session'):
                findings.escape(
                    f'the task has committed a {type(resource).__qualname__}, which is no session of SQLAlchemy'
                )

    def beforeCompletion(self, transaction: Any) -> None:
        pass

    afterCompletion = beforeCompletion
