"""Decides whether a failure is an alarm: for the answer of its tick and the log, and for health and the page."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.outcomes import ACKNOWLEDGED, EXCUSED, FAILED, PAUSED, RETRYING, TOLERATED
from pyramid_cron.printable import class_name, log_error
from pyramid_cron.reports import TaskReport

if TYPE_CHECKING:
    from pyramid_cron.claims import Run

log = logging.getLogger(__name__)


class Acknowledged(NamedTuple):
    """A known failure of a task that a user has acknowledged.

    :param reason: why it is no alarm.
    :param requested_by: the user, if known.
    :param since: when it was acknowledged, in UTC; ``None`` if that is not known.
    """

    reason: str
    requested_by: str | None
    since: datetime | None


class Failing(NamedTuple):
    """The failures of a task up to its last result, which is one.

    :param runs: how many runs in a row have failed, were lost or missed, the last one among them, 1 at least. The
        attempts of a run count once.
    :param will_retry: whether the last one is tried again for its minute.
    :param acknowledged: whether a person has acknowledged such a failure.
    :param paused: whether the task is paused.
    """

    runs: int
    will_retry: bool = False
    acknowledged: bool = False
    paused: bool = False

    def excuse(self, tolerate: int) -> str | None:
        """Return why the failures are no alarm of health and the page, ``None`` if they are one.

        A task that has used up all attempts of a run before the last one has raised the alarm, which stays until it
        succeeds, whatever is to be tried again.

        :param tolerate: how many runs in a row may fail: the argument ``tolerate`` of the task.
        """
        if self.paused:
            return PAUSED
        if self.acknowledged:
            return ACKNOWLEDGED
        if self.has_alarmed(tolerate):
            return None
        return RETRYING if self.will_retry else TOLERATED

    def excuse_of_attempt(self, tolerate: int) -> str | None:
        """Return why the last attempt is no alarm of its tick, ``None`` if it is one.

        An attempt that will be repeated is no alarm, whatever failed before it. Meanwhile health and the page show the
        failures before it, by :meth:`excuse`.

        :param tolerate: that of the task, as for :meth:`excuse`.
        """
        if self.will_retry and not self.acknowledged:
            return RETRYING
        return self.excuse(tolerate)

    def has_alarmed(self, tolerate: int) -> bool:
        """Return whether more runs in a row than are tolerated have used up their attempts."""
        return self.runs - self.will_retry > tolerate


def parse_tolerate(value: Any) -> int:
    """Return the number of the argument ``tolerate``.

    :raises ValueError: if it is not a whole number, 0 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f'tolerate={value!r} is not a number of runs in a row that may fail, 0 or more')
    return value


def report_failure(run: Run, exc: BaseException, seconds: float, what: str) -> TaskReport:
    """Log that a run has failed, as an ERROR or, if that is no alarm, as a WARNING, and return its report.

    :param what: what has happened, with ``after`` at its end.
    """
    excuse = run.excuse(class_name(exc))
    level = logging.ERROR if excuse is None else logging.WARNING
    text = f'task %s {what} %.3f s{EXCUSED.get(excuse, "")}'
    log_error(log, exc, text, run.task.name, seconds, level=level, failed_task=run.task.name)
    return TaskReport(run.task.name, FAILED, seconds, exception=exc, excuse=excuse)
